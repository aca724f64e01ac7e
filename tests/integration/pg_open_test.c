/* Opening a connection to a real server: setup, what cannot be reached, and poolers. */
#include "integration/pg_fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>

static void the_setup_runs_after_each_connect(void **state) {
    (void)state;
    struct pr_pg *pg = open_with(conninfo, "set application_name = 'pg_test_setup'; set jit = off", 5000);
    const char *sql =
        "select count(*) from pg_stat_activity where application_name = 'pg_test_setup' and pid = pg_backend_pid()"
        " and current_setting('jit') = 'off' and current_setting('statement_timeout') = '5s'";
    struct answers a = {0};
    for (int i = 0; i < 2; i++) {
        assert_true(run_until_ready(pg, 5000));
        send_sql(pg, "is_set", sql, &a);
        assert_true(run_until(pg, &a, i + 1, 5000));
        assert_int_equal(a.value[i], 1);
        outside("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_test_setup'");
        while (pr_pg_is_ready(pg)) {
            turn(pg, 20);
        }
    }
    pr_pg_free(pg);
}

static void a_setup_that_fails_is_told_and_tried_again(void **state) {
    (void)state;
    struct pr_pg *pg = open_with(conninfo, "set no_such_setting = 1", 5000);
    assert_false(run_until_ready(pg, 400));
    assert_non_null(strstr(pr_pg_error(pg), "setting up the session"));
    assert_non_null(strstr(pr_pg_error(pg), "no_such_setting"));
    assert_null(strchr(pr_pg_error(pg), '\n'));
    pr_pg_free(pg);
}

static void a_server_that_is_not_there_is_told(void **state) {
    (void)state;
    struct pr_pg *pg = open_with("host=127.0.0.1 port=1 dbname=none connect_timeout=1", "", 5000);
    assert_false(run_until_ready(pg, 800));
    assert_non_null(strstr(pr_pg_error(pg), "refused"));
    struct answers a = {0};
    assert_false(pr_pg_send(pg, "one", "select 1::int8", NULL, on_done, &a, pr_clock_mono_ns()));
    pr_pg_free(pg);
    assert_int_equal(a.n, 0);
}

static void a_conninfo_that_cannot_be_read_is_told(void **state) {
    (void)state;
    struct pr_pg *pg = open_with("hosst=127.0.0.1", "", 5000);
    assert_false(run_until_ready(pg, 50));
    assert_non_null(strstr(pr_pg_error(pg), "hosst"));
    pr_pg_free(pg);
}

static void a_host_that_never_answers_is_put_last(void **state) {
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0); /* takes connections and says nothing */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    PGconn *conn = PQconnectdb(conninfo);
    char info[512];
    (void)snprintf(info, sizeof info, "host=127.0.0.1,%s port=%d,%s user=%s dbname=%s sslmode=disable", PQhost(conn),
                   ntohs(address.sin_port), PQport(conn), PQuser(conn), PQdb(conn));
    PQfinish(conn);
    struct pr_pg_options options = {.conninfo = info,
                                    .application = "pg_test",
                                    .setup = "",
                                    .connect_timeout_ms = 400,
                                    .statement_timeout_ms = 5000,
                                    .depth_max = 1};
    struct pr_pg *pg = pr_pg_new(&options);
    assert_true(run_until_ready(pg, 3000));
    pr_pg_free(pg);
    close(listener);
}

/* POSTRIDER_TEST_POOLER_TRANSACTION and _SESSION: conninfo of a pooler in front of the same server, if there is one. */
static void a_pooler_in_transaction_mode_is_refused_with_the_cure(void **state) {
    (void)state;
    const char *pooler = getenv("POSTRIDER_TEST_POOLER_TRANSACTION");
    if (!pooler) {
        print_message("skipped: POSTRIDER_TEST_POOLER_TRANSACTION is not set\n");
        skip();
    }
    struct pr_pg *pg = open_with(pooler, "", 5000);
    int64_t end = pr_clock_mono_ns() + 6000 * NS_PER_MS;
    while (!pr_pg_is_ready(pg) && !pr_pg_error(pg)[0] && pr_clock_mono_ns() < end) {
        turn(pg, 50);
    }
    assert_false(pr_pg_is_ready(pg));
    assert_non_null(strstr(pr_pg_error(pg), "pool_mode=session"));
    pr_pg_free(pg);
}

static void a_pooler_in_session_mode_is_taken(void **state) {
    (void)state;
    const char *pooler = getenv("POSTRIDER_TEST_POOLER_SESSION");
    if (!pooler) {
        print_message("skipped: POSTRIDER_TEST_POOLER_SESSION is not set\n");
        skip();
    }
    for (int i = 0; i < 3; i++) { /* the pooler hands out the same server session, with what was prepared there */
        struct pr_pg *pg = open_with(pooler, "", 5000);
        if (!run_until_ready(pg, 8000)) {
            fail_msg("not ready: %s", pr_pg_error(pg));
        }
        struct answers a = {0};
        send_sql(pg, "one", "select 1::int8", &a);
        assert_true(run_until(pg, &a, 1, 5000));
        assert_int_equal(a.class[0], PR_PG_OK);
        pr_pg_free(pg);
    }
}

int main(void) {
    if (!has_server()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_setup_runs_after_each_connect),
        cmocka_unit_test(a_setup_that_fails_is_told_and_tried_again),
        cmocka_unit_test(a_server_that_is_not_there_is_told),
        cmocka_unit_test(a_conninfo_that_cannot_be_read_is_told),
        cmocka_unit_test(a_host_that_never_answers_is_put_last),
        cmocka_unit_test(a_pooler_in_transaction_mode_is_refused_with_the_cure),
        cmocka_unit_test(a_pooler_in_session_mode_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
