/* The three sources: what a file, the environment and the command line may look like. */
#include "unit/conf/conf_fixture.h"

static void variables_have_underscores_for_dots_and_dashes(void **state) {
    (void)state;
    struct loaded l;
    const char *env[] = {"POSTRIDER_WORK_MAX_SIZE=2KiB", "POSTRIDER_WORK_WAIT_TIME=1s", NULL};
    load(&l, NULL, env);
    expect_ok(&l);
    assert_int_equal(l.t.size, 2048);
    assert_int_equal(l.t.wait, 1000);
    pr_conf_free(&l.conf);
}

static void an_empty_variable_counts_as_not_set(void **state) {
    (void)state;
    struct loaded l;
    const char *env[] = {"POSTRIDER_SHOP_COUNT=", "POSTRIDER_SHOP_NAME=", "POSTRIDER_NO_SUCH=", NULL};
    load(&l, NULL, env);
    expect_ok(&l);
    expect_defaults(&l.t);
    pr_conf_free(&l.conf);
}

static void an_unknown_variable_of_our_sections_is_a_fault_and_others_are_not_ours(void **state) {
    (void)state;
    struct loaded l;
    const char *env[] = {"POSTRIDER_WEBHOOK_PORT=1", "POSTRIDER_SHOP_COUNTT=1", "POSTRIDER_SHOPPING=1", "POSTRIDERX=1",
                         NULL};
    load(&l, NULL, env);
    assert_false(l.ok);
    assert_string_equal(pr_buf_text(&l.conf.faults),
                        "POSTRIDER_SHOP_COUNTT: there is no such option; did you mean shop.count?\n");
    pr_conf_free(&l.conf);
}

static void what_kubernetes_sets_for_a_service_of_our_name_is_passed_over(void **state) {
    (void)state;
    struct loaded l;
    const char *env[] = {"POSTRIDER_KAFKA_SERVICE_HOST=10.0.0.1",
                         "POSTRIDER_KAFKA_SERVICE_PORT=9092",
                         "POSTRIDER_KAFKA_SERVICE_PORT_TLS=9093",
                         "POSTRIDER_KAFKA_PORT=tcp://10.0.0.1:9092",
                         "POSTRIDER_KAFKA_PORT_9092_TCP_ADDR=10.0.0.1",
                         "POSTRIDER_SHOP_PORT=tcp://10.0.0.1:1",
                         NULL};
    load(&l, NULL, env);
    expect_ok(&l);
    assert_int_equal(l.t.kafka.n, 0);
    pr_conf_free(&l.conf);
}

static void pairs_keep_their_order_and_the_longest_prefix_takes_the_key(void **state) {
    (void)state;
    struct loaded l;
    const char *text = "[kafka]\nz = 1\nconsumer.a = 2\na.b.c = 3 ; 4 # 5\nconsumer = 6\n";
    const char *args[] = {"-c", write_file("b.conf", text, strlen(text)), "--kafka.z=9", "--kafka.new=8", NULL};
    const char *env[] = {"POSTRIDER_KAFKA_SASL_PASSWORD=p", "POSTRIDER_KAFKA_CONSUMER_FETCH_MIN_BYTES=7", NULL};
    load(&l, args, env);
    expect_ok(&l);
    assert_int_equal(l.t.kafka.n, 5);
    assert_string_equal(l.t.kafka.v[0].key, "z");
    assert_string_equal(l.t.kafka.v[0].value, "9");
    assert_string_equal(l.t.kafka.v[1].key, "a.b.c");
    assert_string_equal(l.t.kafka.v[1].value, "3 ; 4 # 5");
    assert_string_equal(l.t.kafka.v[2].key, "consumer");
    assert_string_equal(l.t.kafka.v[3].key, "sasl.password");
    assert_string_equal(l.t.kafka.v[4].key, "new");
    assert_int_equal(l.t.consumer.n, 2);
    assert_string_equal(l.t.consumer.v[0].key, "a");
    assert_string_equal(pr_conf_pair(&l.t.consumer, "fetch.min.bytes"), "7");
    assert_null(pr_conf_pair(&l.t.consumer, "z"));
    pr_conf_free(&l.conf);
}

static void a_broken_file_is_told_by_line(void **state) {
    (void)state;
    expect_fault("[shop]\nname\n", "test.conf:2: is neither [section] nor key = value nor a # comment\n");
    expect_fault("# x\nname = y\n",
                 "test.conf:2: name: stands before any [section]: options belong to one, such as [kafka]\n");
    expect_fault("[shop]\nname = y\n[work]\n[shop]\nname = z\n",
                 "test.conf:5: shop.name: was given already (test.conf:2); remove one\n");
    expect_fault("[kafka]\na = y\na = y\n", "test.conf:3: kafka.a: was given already (test.conf:2); remove one\n");
}

static void semicolons_in_values_and_indented_lines_are_taken_as_they_stand(void **state) {
    (void)state;
    struct loaded l;
    load_text(&l, "\xef\xbb\xbf[shop]\r\n  name = a ;b # c=d:e\r\n  password =  x y \r\n; comment\r\n");
    expect_ok(&l);
    assert_string_equal(l.t.name, "a ;b # c=d:e");
    assert_string_equal(l.t.password, "x y");
    pr_conf_free(&l.conf);
}

static void a_long_line_is_read_whole_or_refused(void **state) {
    (void)state;
    static char text[PR_CONF_LINE_MAX + 100];
    struct loaded l;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "[shop]\nname = ", 14);
    text[7 + PR_CONF_LINE_MAX - 2] = '\n';
    text[7 + PR_CONF_LINE_MAX - 1] = '\0';
    load_text(&l, text);
    expect_ok(&l);
    assert_int_equal(strlen(l.t.name), PR_CONF_LINE_MAX - 2 - 7);
    pr_conf_free(&l.conf);
    text[7 + PR_CONF_LINE_MAX - 2] = 'x';
    text[7 + PR_CONF_LINE_MAX - 1] = '\n';
    text[7 + PR_CONF_LINE_MAX] = '\0';
    expect_fault(text, "test.conf:2: the line is too long: put a long secret in a file and name it by KEY_file\n");
}

static void a_nul_byte_is_a_fault(void **state) {
    (void)state;
    struct loaded l = {.ok = false};
    pr_conf_init(&l.conf, &table, &l.t);
    assert_false(pr_conf_load_text(&l.conf, "[shop]\nname = a\0b\n", 18, "x"));
    assert_string_equal(pr_buf_text(&l.conf.faults), "x:2: the line holds a NUL byte\n");
    pr_conf_free(&l.conf);
}

static void a_file_that_is_not_there_is_a_fault(void **state) {
    (void)state;
    struct loaded l;
    const char *args[] = {"--config=/no/such.conf", NULL};
    load(&l, args, NULL);
    assert_false(l.ok);
    assert_string_equal(pr_buf_text(&l.conf.faults),
                        "/no/such.conf: cannot read the configuration file: No such file or directory\n");
    pr_conf_free(&l.conf);
}

static void words_without_a_dot_are_the_programs(void **state) {
    (void)state;
    struct target t;
    struct pr_conf conf;
    char argv_room[][24] = {"prog", "--check-config", "--shop.count=3", "file.json", "--", "--shop.count=4",
                            "-v",   "--x=a.b"};
    char *argv[8];
    for (int i = 0; i < 8; i++) {
        argv[i] = argv_room[i];
    }
    pr_conf_init(&conf, &table, &t);
    assert_true(pr_conf_load(&conf, 8, argv, NULL));
    assert_int_equal(t.count, 3);
    assert_int_equal(conf.rest_n, 5);
    assert_string_equal(conf.rest[0], "--check-config");
    assert_string_equal(conf.rest[1], "file.json");
    assert_string_equal(conf.rest[2], "--shop.count=4");
    assert_string_equal(conf.rest[4], "--x=a.b");
    pr_conf_free(&conf);
}

static void an_option_without_a_value_and_a_c_without_a_file_are_faults(void **state) {
    (void)state;
    struct loaded l;
    const char *args[] = {"--shop.count", NULL};
    load(&l, args, NULL);
    assert_string_equal(pr_buf_text(&l.conf.faults),
                        "command line: --shop.count: has no value; write --shop.count=VALUE\n");
    pr_conf_free(&l.conf);
    const char *c[] = {"-c", NULL};
    load(&l, c, NULL);
    assert_string_equal(pr_buf_text(&l.conf.faults), "command line: -c: names no file; write -c FILE\n");
    pr_conf_free(&l.conf);
    const char *twice[] = {"--shop.count=1", "--shop.count=2", NULL};
    load(&l, twice, NULL);
    assert_string_equal(pr_buf_text(&l.conf.faults),
                        "command line: shop.count: was given already (command line); remove one\n");
    pr_conf_free(&l.conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_have_underscores_for_dots_and_dashes),
        cmocka_unit_test(an_empty_variable_counts_as_not_set),
        cmocka_unit_test(an_unknown_variable_of_our_sections_is_a_fault_and_others_are_not_ours),
        cmocka_unit_test(what_kubernetes_sets_for_a_service_of_our_name_is_passed_over),
        cmocka_unit_test(pairs_keep_their_order_and_the_longest_prefix_takes_the_key),
        cmocka_unit_test(a_broken_file_is_told_by_line),
        cmocka_unit_test(semicolons_in_values_and_indented_lines_are_taken_as_they_stand),
        cmocka_unit_test(a_long_line_is_read_whole_or_refused),
        cmocka_unit_test(a_nul_byte_is_a_fault),
        cmocka_unit_test(a_file_that_is_not_there_is_a_fault),
        cmocka_unit_test(words_without_a_dot_are_the_programs),
        cmocka_unit_test(an_option_without_a_value_and_a_c_without_a_file_are_faults),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
