/* The dispatcher's own table: its defaults are legal, and what only several options together can tell is told. */
#include "dispatcher/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct loaded {
    struct pr_options o;
    struct pr_conf conf;
    struct pr_buf out;
    enum pr_options_action action;
};

enum { WORDS = 8 };
#define BASE "--kafka.bootstrap.servers=a:9092", "--postgres.conninfo=dbname=x"

static void load(struct loaded *l, const char *const *args) {
    char *argv[WORDS + 1] = {strdup("postrider-dispatcher")};
    int argc = 1;
    for (; args[argc - 1]; argc++) {
        assert_true(argc < WORDS);
        argv[argc] = strdup(args[argc - 1]);
    }
    pr_buf_init(&l->out, 1 << 20);
    l->action = pr_options_load(&l->o, &l->conf, argc, argv, NULL, &l->out);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
}

static void drop(struct loaded *l) {
    pr_conf_free(&l->conf);
    pr_buf_free(&l->out);
}

static void expect_usage(const char *extra, const char *fault) {
    struct loaded l;
    const char *args[] = {BASE, extra, NULL};
    load(&l, args);
    assert_int_equal(l.action, PR_OPTIONS_USAGE);
    if (!strstr(pr_buf_text(&l.out), fault)) {
        fail_msg("%s", pr_buf_text(&l.out));
    }
    drop(&l);
}

static void brokers_and_a_database_are_all_it_needs(void **state) {
    (void)state;
    struct loaded l;
    const char *args[] = {BASE, NULL};
    load(&l, args);
    if (l.action != PR_OPTIONS_RUN) {
        fail_msg("%s", pr_buf_text(&l.out));
    }
    assert_string_equal(pr_conf_pair(&l.o.kafka, "bootstrap.servers"), "a:9092");
    assert_string_equal(l.o.postgres.conninfo, "dbname=x");
    assert_int_equal(l.o.topics.events.n, 1);
    assert_string_equal(l.o.topics.events.v[0], "postrider.events");
    assert_true(l.o.dispatch.lanes >= 1);
    assert_true(l.o.dispatch.name[0] != '\0');
    assert_int_equal(l.o.dispatch.memory_max, 80 << 20);
    assert_int_equal(l.o.dispatch.stall_after_ms, 30000);
    assert_int_equal(l.o.dispatch.drain_timeout_ms, 25000);
    assert_int_equal(l.o.dispatch.lease_ms, 15000);
    assert_int_equal(l.o.dispatch.heartbeat_ms, 2000);
    assert_int_equal(l.o.dispatch.reconcile_window_ms, 120000);
    assert_int_equal(l.o.dispatch.only_to.n, 0);
    assert_string_equal(l.o.provider.cloud_api_url, "https://graph.facebook.com/v25.0");
    assert_string_equal(l.o.admin.listen, "127.0.0.1:9464");
    assert_int_equal(l.o.log.level, PR_OPT_LOG_INFO);
    assert_int_equal(l.o.log.format, PR_OPT_LOG_LOGFMT);
    assert_int_equal(l.o.log.addresses, PR_OPT_ADDRESSES_MASKED);
    drop(&l);
}

static void words_of_the_enums_are_in_the_order_of_the_table(void **state) {
    (void)state;
    struct loaded l;
    const char *args[] = {BASE, "--log.level=error", "--log.format=json", "--log.addresses=full", NULL};
    load(&l, args);
    assert_int_equal(l.action, PR_OPTIONS_RUN);
    assert_int_equal(l.o.log.level, PR_OPT_LOG_ERROR);
    assert_int_equal(l.o.log.format, PR_OPT_LOG_JSON);
    assert_int_equal(l.o.log.addresses, PR_OPT_ADDRESSES_FULL);
    drop(&l);
}

static void without_brokers_or_a_database_it_does_not_start(void **state) {
    (void)state;
    struct loaded l;
    const char *no_brokers[] = {"--postgres.conninfo=dbname=x", NULL};
    load(&l, no_brokers);
    assert_int_equal(l.action, PR_OPTIONS_USAGE);
    assert_non_null(strstr(pr_buf_text(&l.out), "kafka.bootstrap.servers: is required"));
    drop(&l);
    const char *no_database[] = {"--kafka.bootstrap.servers=a:9092", NULL};
    load(&l, no_database);
    assert_int_equal(l.action, PR_OPTIONS_USAGE);
    assert_non_null(strstr(pr_buf_text(&l.out), "postgres.conninfo: is required"));
    drop(&l);
}

static void options_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    expect_usage("--dispatch.heartbeat=7s", "dispatch.lease: is too short for this heartbeat");
    expect_usage("--dispatch.only_to=+1,5511", "'5511' is no E.164 address");
    expect_usage("--provider.cloud-api.url=graph.facebook.com",
                 "provider.cloud-api.url: 'graph.facebook.com' is no URL");
    expect_usage("--provider.360dialog.url=https://x/", "ends with a slash");
    expect_usage("--topics.events= , ", "topics.events: names no topic");
    expect_usage("--dispatch.lane=1", "did you mean dispatch.lanes?");
    expect_usage("--chekc-config", "--chekc-config: there is no such option");
    struct loaded l;
    const char *edge[] = {BASE, "--dispatch.heartbeat=6s", NULL};
    load(&l, edge);
    assert_int_equal(l.action, PR_OPTIONS_RUN);
    drop(&l);
}

static void flags_that_print_need_no_configuration(void **state) {
    (void)state;
    static const struct {
        const char *flag, *text;
    } flags[] = {
        {"--help", "--dispatch.lanes="},
        {"-h", "--check-config"},
        {"--print-options=conf", "\n#lanes = auto\n"},
        {"--print-options=mdoc", ".It Ic lanes\n"},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct loaded l;
        const char *args[] = {flags[i].flag, NULL};
        load(&l, args);
        assert_int_equal(l.action, PR_OPTIONS_PRINTED);
        assert_non_null(strstr(pr_buf_text(&l.out), flags[i].text));
        assert_false(l.out.failed);
        drop(&l);
    }
    struct loaded l;
    const char *version[] = {"--version", NULL};
    load(&l, version);
    assert_int_equal(l.action, PR_OPTIONS_VERSION);
    drop(&l);
    const char *check[] = {BASE, "--check-config", NULL};
    load(&l, check);
    assert_int_equal(l.action, PR_OPTIONS_CHECK_CONFIG);
    drop(&l);
    const char *print[] = {BASE, "--print-config", NULL};
    load(&l, print);
    assert_int_equal(l.action, PR_OPTIONS_PRINTED);
    assert_non_null(strstr(pr_buf_text(&l.out), "postgres.conninfo = (set)  (command line)\n"));
    drop(&l);
}

/* Loads with one option set; true when it was taken. */
static bool takes(const char *name, const char *value) {
    char word[512];
    (void)snprintf(word, sizeof word, "--%s=%s", name, value);
    struct loaded l;
    const char *args[] = {BASE, word, NULL};
    load(&l, args);
    bool ok = l.action == PR_OPTIONS_RUN;
    drop(&l);
    return ok;
}

static void every_number_takes_its_bounds_and_nothing_beyond(void **state) {
    (void)state;
    for (size_t i = 0; i < pr_options_table.n; i++) {
        const struct pr_conf_row *row = &pr_options_table.rows[i];
        bool together = strcmp(row->name, "dispatch.lease") == 0 || strcmp(row->name, "dispatch.heartbeat") == 0;
        const char *unit = row->type == PR_CONF_DURATION ? "ms" : "";
        if ((row->type != PR_CONF_INT && row->type != PR_CONF_SIZE && row->type != PR_CONF_DURATION) || together) {
            continue;
        }
        const int64_t values[] = {row->min, row->max, row->min - 1, row->max + 1};
        for (int v = 0; v < 4; v++) {
            char text[32];
            (void)snprintf(text, sizeof text, "%lld%s", (long long)values[v], unit);
            if (takes(row->name, text) != (v < 2)) {
                fail_msg("%s = %s", row->name, text);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brokers_and_a_database_are_all_it_needs),
        cmocka_unit_test(words_of_the_enums_are_in_the_order_of_the_table),
        cmocka_unit_test(without_brokers_or_a_database_it_does_not_start),
        cmocka_unit_test(options_that_contradict_each_other_are_refused),
        cmocka_unit_test(flags_that_print_need_no_configuration),
        cmocka_unit_test(every_number_takes_its_bounds_and_nothing_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
