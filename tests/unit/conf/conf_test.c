/* The whole of a load: precedence, faults that say where, what and how to cure it, secrets, and reloading. */
#include "unit/conf/conf_fixture.h"

static void without_any_source_the_defaults_hold(void **state) {
    (void)state;
    struct loaded l;
    load(&l, NULL, NULL);
    expect_ok(&l);
    expect_defaults(&l.t);
    pr_conf_free(&l.conf);
}

static void each_source_stands_above_the_one_before(void **state) {
    (void)state;
    struct loaded l;
    const char *text = "[shop]\nname = file\ncount = 2\n[work]\nlanes = 2\n";
    const char *args[] = {"-c", write_file("a.conf", text, strlen(text)), "--work.lanes=4", NULL};
    const char *env[] = {"POSTRIDER_SHOP_COUNT=3", "POSTRIDER_WORK_LANES=3", "PATH=/bin", NULL};
    load(&l, args, env);
    expect_ok(&l);
    assert_string_equal(l.t.name, "file");
    assert_int_equal(l.t.count, 3);
    assert_int_equal(l.t.lanes, 4);
    assert_int_equal(l.t.size, INT64_C(128) << 20);
    assert_int_equal(l.conf.values[5].source, PR_CONF_FROM_ARGS);
    assert_int_equal(l.conf.values[4].source, PR_CONF_FROM_ENV);
    pr_conf_free(&l.conf);
}

static void only_the_value_in_force_must_be_right(void **state) {
    (void)state;
    struct loaded l;
    const char *args[] = {"--work.lanes=4", NULL};
    const char *env[] = {"POSTRIDER_WORK_LANES=many", NULL};
    load(&l, args, env);
    expect_ok(&l);
    pr_conf_free(&l.conf);
}

static void a_secret_is_read_from_a_file_without_its_last_newline(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *secret;
    } cases[] = {{"s3cret\n", "s3cret"},   {"s3cret", "s3cret"},
                 {"s3cret\r\n", "s3cret"}, {"two\nlines\n\n", "two\nlines\n"},
                 {" x \n", " x "},         {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loaded l;
        char text[256];
        const char *path = write_file("secret", cases[i].bytes, strlen(cases[i].bytes));
        (void)snprintf(text, sizeof text, "[shop]\npassword_file = %s\n[kafka]\nsasl.password_file = %s\n", path, path);
        load_text(&l, text);
        expect_ok(&l);
        assert_string_equal(l.t.password, cases[i].secret);
        assert_string_equal(pr_conf_pair(&l.t.kafka, "sasl.password"), cases[i].secret);
        pr_conf_free(&l.conf);
        (void)snprintf(text, sizeof text, "POSTRIDER_SHOP_PASSWORD_FILE=%s", path);
        char pair[256];
        (void)snprintf(pair, sizeof pair, "POSTRIDER_KAFKA_SASL_PASSWORD_FILE=%s", path);
        const char *env[] = {text, pair, NULL};
        load(&l, NULL, env);
        expect_ok(&l);
        assert_string_equal(l.t.password, cases[i].secret);
        assert_string_equal(pr_conf_pair(&l.t.kafka, "sasl.password"), cases[i].secret);
        pr_conf_free(&l.conf);
    }
}

static void a_secret_file_has_a_largest_size(void **state) {
    (void)state;
    static char bytes[PR_CONF_SECRET_MAX + 1];
    memset(bytes, 'x', sizeof bytes);
    struct loaded l;
    char text[256];
    (void)snprintf(text, sizeof text, "[shop]\npassword_file = %s\n", write_file("big", bytes, PR_CONF_SECRET_MAX));
    load_text(&l, text);
    expect_ok(&l);
    assert_int_equal(strlen(l.t.password), PR_CONF_SECRET_MAX);
    pr_conf_free(&l.conf);
    (void)write_file("big", bytes, PR_CONF_SECRET_MAX + 1);
    load_text(&l, text);
    assert_false(l.ok);
    assert_non_null(strstr(pr_buf_text(&l.conf.faults), "File too large"));
    pr_conf_free(&l.conf);
}

static void a_secret_file_that_is_no_text_or_not_there_is_a_fault(void **state) {
    (void)state;
    struct loaded l;
    char text[256];
    (void)snprintf(text, sizeof text, "[shop]\npassword_file = %s\n", write_file("nul", "a\0b", 3));
    load_text(&l, text);
    assert_false(l.ok);
    assert_non_null(strstr(pr_buf_text(&l.conf.faults), "NUL"));
    pr_conf_free(&l.conf);
    expect_fault("[shop]\npassword_file = /no/such\n",
                 "test.conf:2: shop.password_file: cannot read /no/such: No such file or directory\n");
    expect_fault("[shop]\npassword_file =\n", "test.conf:2: shop.password_file: names no file\n");
    expect_fault(
        "[shop]\nname_file = /etc/hostname\n",
        "test.conf:2: shop.name_file: only secrets are read from a file; write the value itself as shop.name\n");
}

static void secrets_are_never_shown(void **state) {
    (void)state;
    struct loaded l;
    struct pr_buf out;
    pr_buf_init(&out, 65536);
    load_text(&l,
              "[shop]\npassword = hunter2\n[kafka]\nsasl.password = hunter2\nssl.key.pem = hunter2\nclient.id = me\n");
    expect_ok(&l);
    pr_conf_effective(&l.conf, &out);
    assert_null(strstr(pr_buf_text(&out), "hunter2"));
    assert_non_null(strstr(pr_buf_text(&out), "shop.password = (set)  (test.conf:2)\n"));
    assert_non_null(strstr(pr_buf_text(&out), "kafka.sasl.password = (set)  (test.conf:4)\n"));
    assert_non_null(strstr(pr_buf_text(&out), "kafka.client.id = me  (test.conf:6)\n"));
    assert_non_null(strstr(pr_buf_text(&out), "shop.count = 5  (default)\n"));
    pr_conf_free(&l.conf);
    pr_buf_free(&out);
}

static void an_unknown_name_is_told_with_the_nearest_one(void **state) {
    (void)state;
    expect_fault("[shop]\nnmae = x\n", "test.conf:2: shop.nmae: there is no such option; did you mean shop.name?\n");
    expect_fault("[shop]\nlevel = x\n", "test.conf:2: shop.level: there is no such option; did you mean log.level?\n");
    expect_fault("[kafak]\nclient.id = x\n",
                 "test.conf:2: kafak.client.id: there is no such section; did you mean [kafka]?\n");
    expect_fault("[shop]\nzebra = x\n", "test.conf:2: shop.zebra: there is no such option; prog --help lists them\n");
}

static void every_fault_is_told_at_once(void **state) {
    (void)state;
    struct loaded l;
    load_text(&l, "[shop]\ncount = 0\nnmae = x\n[work]\nlanes = 9\n");
    assert_false(l.ok);
    assert_int_equal(l.conf.faults_n, 3);
    pr_conf_free(&l.conf);
}

static void the_fault_of_a_secret_does_not_show_it(void **state) {
    (void)state;
    static const struct pr_conf_row secret_rows[] = {
        {.name = "a.pin",
         .type = PR_CONF_INT,
         .offset = 0,
         .fallback = "1",
         .min = 1,
         .max = 9,
         .flags = PR_CONF_SECRET,
         .help = "A pin."},
        {.name = "a.must",
         .type = PR_CONF_STRING,
         .offset = 8,
         .fallback = "",
         .flags = PR_CONF_REQUIRED,
         .help = "It must be."},
    };
    static const struct pr_conf_table secret_table = {secret_rows, 2, "prog"};
    struct {
        int64_t pin;
        const char *must;
    } t;
    struct pr_conf conf;
    pr_conf_init(&conf, &secret_table, &t);
    assert_false(pr_conf_load_text(&conf, "[a]\npin = 4711\n", 15, "x"));
    assert_string_equal(pr_buf_text(&conf.faults), "x:2: a.pin: what was given does not fit; write a whole number from "
                                                   "1 to 9\na.must: is required: It must be.\n");
    pr_conf_free(&conf);
}

static void the_programs_own_faults_say_where_the_option_was_set(void **state) {
    (void)state;
    struct loaded l;
    load_text(&l, "[shop]\ncount = 2\n");
    pr_conf_fault(&l.conf, "shop.count", "is %s", "odd");
    pr_conf_fault(&l.conf, "shop.name", "is short");
    pr_conf_fault(&l.conf, NULL, "all is bad");
    assert_string_equal(pr_buf_text(&l.conf.faults),
                        "test.conf:2: shop.count: is odd\nshop.name: is short\nall is bad\n");
    pr_conf_free(&l.conf);
}

static void count_changed(void *arg, const struct pr_conf_row *row) {
    pr_buf_printf(arg, "%s%s ", row->name, row->flags & PR_CONF_RELOADABLE ? "!" : "");
}

static void a_reload_names_what_changed(void **state) {
    (void)state;
    struct loaded a;
    struct loaded b;
    struct pr_buf out;
    pr_buf_init(&out, 4096);
    load_text(&a, "[shop]\ncount = 2\n[kafka]\na = 1\n[work]\nlanes = 3\n");
    load_text(&b, "[shop]\ncount = 2\n[kafka]\na = 2\n[log]\nlevel = warn\n");
    assert_int_equal(pr_conf_diff(&a.conf, &b.conf, count_changed, &out), 3);
    assert_string_equal(pr_buf_text(&out), "kafka.* work.lanes log.level! ");
    assert_int_equal(pr_conf_diff(&a.conf, &a.conf, count_changed, &out), 0);
    pr_conf_free(&a.conf);
    pr_conf_free(&b.conf);
    pr_buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_source_the_defaults_hold),
        cmocka_unit_test(each_source_stands_above_the_one_before),
        cmocka_unit_test(only_the_value_in_force_must_be_right),
        cmocka_unit_test(a_secret_is_read_from_a_file_without_its_last_newline),
        cmocka_unit_test(a_secret_file_has_a_largest_size),
        cmocka_unit_test(a_secret_file_that_is_no_text_or_not_there_is_a_fault),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(an_unknown_name_is_told_with_the_nearest_one),
        cmocka_unit_test(every_fault_is_told_at_once),
        cmocka_unit_test(the_fault_of_a_secret_does_not_show_it),
        cmocka_unit_test(the_programs_own_faults_say_where_the_option_was_set),
        cmocka_unit_test(a_reload_names_what_changed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
