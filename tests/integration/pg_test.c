/* Statements against a real server (POSTRIDER_TEST_PG: conninfo of a private one): above all, that no row is believed before its commit. */
#include "integration/pg_fixture.h"
#include "pg/ask.h"

#include <signal.h>
#include <sys/socket.h>

static int group_setup(void **state) {
    (void)state;
    outside("drop schema if exists pipe_test cascade; create schema pipe_test; create table pipe_test.kept (n bigint);"
            "create function pipe_test.refuse() returns trigger language plpgsql as $$ begin"
            "  if new.n < 0 then raise exception 'refused at commit' using errcode = '23514'; end if;"
            "  if new.n > 1000000 then perform pg_sleep(3); end if; return null; end $$;"
            "create constraint trigger refuse after insert on pipe_test.kept deferrable initially deferred for each "
            "row execute function pipe_test.refuse()");
    return 0;
}

static int group_teardown(void **state) {
    (void)state;
    outside("drop schema if exists pipe_test cascade");
    return 0;
}

static void answers_come_in_the_order_of_sending(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    for (int i = 0; i < 10; i++) {
        struct pr_params params;
        pr_params_init(&params, 1024);
        pr_params_int8(&params, i * 7);
        assert_true(pr_pg_send(pg, "echo", "select $1::int8", &params, on_done, &a, pr_clock_mono_ns()));
        pr_params_free(&params);
    }
    assert_true(run_until(pg, &a, 10, 5000));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(a.class[i], PR_PG_OK);
        assert_int_equal(a.value[i], i * 7);
    }
    pr_pg_free(pg);
}

static void no_more_is_taken_than_the_depth(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    for (int i = 0; i < 16; i++) {
        assert_true(pr_pg_has_room(pg));
        send_sql(pg, "one", "select 1::int8", &a);
    }
    assert_false(pr_pg_has_room(pg));
    assert_false(pr_pg_send(pg, "one", "select 1::int8", NULL, on_done, &a, pr_clock_mono_ns()));
    assert_true(run_until(pg, &a, 16, 5000));
    assert_true(pr_pg_has_room(pg));
    pr_pg_free(pg);
    assert_int_equal(a.n, 16);
}

static void rows_whose_commit_fails_are_not_believed(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    send_sql(pg, "good", "insert into pipe_test.kept values (1) returning n", &a);
    send_sql(pg, "bad", "insert into pipe_test.kept values (-1) returning n", &a);
    send_sql(pg, "after", "insert into pipe_test.kept values (2) returning n", &a);
    assert_true(run_until(pg, &a, 3, 5000));
    assert_int_equal(a.class[0], PR_PG_OK);
    assert_int_equal(a.class[1], PR_PG_BAD);
    assert_string_equal(a.sqlstate[1], "23514");
    assert_int_equal(a.rows[1], -1);
    assert_non_null(strstr(a.message[1], "refused at commit"));
    assert_int_equal(a.class[2], PR_PG_OK);
    assert_int_equal(a.value[2], 2);
    assert_true(pr_pg_is_ready(pg)); /* and the pipeline goes on */
    send_sql(pg, "bad", "insert into pipe_test.kept values (-1) returning n", &a);
    send_sql(pg, "good", "insert into pipe_test.kept values (1) returning n", &a);
    assert_true(run_until(pg, &a, 5, 5000));
    assert_int_equal(a.class[3], PR_PG_BAD);
    assert_int_equal(a.class[4], PR_PG_OK);
    assert_int_equal(outside_count("select count(*) from pipe_test.kept where n < 0"), 0);
    pr_pg_free(pg);
}

static void rows_of_a_commit_that_is_still_running_are_held_back(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    send_sql(pg, "slow", "insert into pipe_test.kept values (2000000) returning n", &a);
    assert_false(run_until(pg, &a, 1, 1000)); /* the row is here after a millisecond, its commit after three seconds */
    assert_int_equal(outside_count("select count(*) from pipe_test.kept where n = 2000000"), 0);
    assert_true(run_until(pg, &a, 1, 5000));
    assert_int_equal(a.class[0], PR_PG_OK);
    assert_int_equal(a.value[0], 2000000);
    pr_pg_free(pg);
}

static void a_session_killed_during_the_commit_leaves_its_statements_unknown(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    uint64_t generation = pr_pg_generation(pg);
    struct answers a = {0};
    send_sql(pg, "slow", "insert into pipe_test.kept values (3000000) returning n", &a);
    send_sql(pg, "next", "insert into pipe_test.kept values (5) returning n", &a);
    assert_false(run_until(pg, &a, 1, 500));
    outside("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_test'");
    assert_true(run_until(pg, &a, 2, 5000));
    assert_int_equal(a.class[0], PR_PG_RECONNECT);
    assert_string_equal(a.sqlstate[0], "57P01");
    assert_int_equal(a.class[1], PR_PG_RECONNECT);
    assert_false(pr_pg_is_ready(pg));
    assert_non_null(strstr(pr_pg_error(pg), "terminating connection"));
    assert_true(run_until_ready(pg, 5000)); /* by itself */
    assert_int_equal(pr_pg_generation(pg), generation + 1);
    assert_int_equal(outside_count("select count(*) from pipe_test.kept where n = 3000000"), 0);
    send_sql(pg, "next", "insert into pipe_test.kept values (5) returning n", &a);
    assert_true(run_until(pg, &a, 3, 5000));
    assert_int_equal(a.class[2], PR_PG_OK);
    pr_pg_free(pg);
}

/* The network was cut; the server notices nothing while it is at work. */
static void what_a_cut_session_was_doing_is_ended_before_the_next_is_ready(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    send_sql(pg, "slow", "insert into pipe_test.kept values (4000000) returning n", &a);
    assert_false(run_until(pg, &a, 1, 500));
    assert_int_equal(shutdown(pr_pg_interest(pg).fd, SHUT_RDWR), 0);
    assert_true(run_until(pg, &a, 1, 5000));
    assert_int_equal(a.class[0], PR_PG_RECONNECT);
    assert_true(run_until_ready(pg, 5000));
    assert_int_equal(outside_count("select count(*) from pg_stat_activity where application_name = 'pg_test'"), 1);
    assert_false(run_until(pg, &a, 2, 4000));
    assert_int_equal(outside_count("select count(*) from pipe_test.kept where n = 4000000"), 0);
    pr_pg_free(pg);
}

/* Its backend is stopped, as one that waits for a disk that hangs: asked to end, it does not. */
static void while_a_cut_session_does_not_end_the_next_is_not_ready(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    send_sql(pg, "pid", "select pg_backend_pid()::int8", &a);
    assert_true(run_until(pg, &a, 1, 5000));
    pid_t backend = (pid_t)a.value[0];
    assert_int_equal(kill(backend, SIGSTOP), 0);
    send_sql(pg, "lost", "select 1::int8", &a);
    int error = shutdown(pr_pg_interest(pg).fd, SHUT_RDWR);
    bool is_told = run_until(pg, &a, 2, 5000);
    bool is_ready = run_until_ready(pg, 6000); /* two attempts, of which the second still knows whom it is to end */
    char why[512];
    (void)snprintf(why, sizeof why, "%s", pr_pg_error(pg));
    assert_int_equal(kill(backend, SIGCONT), 0);
    assert_int_equal(error, 0);
    assert_true(is_told);
    assert_int_equal(a.class[1], PR_PG_RECONNECT);
    assert_false(is_ready);
    assert_non_null(strstr(why, "does not end"));
    assert_true(run_until_ready(pg, 10000));
    assert_int_equal(outside_count("select count(*) from pg_stat_activity where application_name = 'pg_test'"), 1);
    pr_pg_free(pg);
}

/* An answer that a proxy withholds, say: nobody is told that the connection is of no use. */
static void a_question_without_an_answer_ends_with_its_connection(void **state) {
    (void)state;
    PGconn *pg = PQconnectdb(conninfo);
    PGresult *r = pr_pg_ask(pg, "select $1", 1, (const char *const[]){"here"}, 5000);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    assert_string_equal(PQgetvalue(r, 0, 0), "here");
    PQclear(r);
    r = pr_pg_ask(pg, "select pg_sleep(20) /* asked */", 0, NULL, 200);
    assert_int_equal(PQresultStatus(r), PGRES_FATAL_ERROR);
    PQclear(r);
    assert_int_equal(PQstatus(pg), CONNECTION_BAD);
    assert_int_equal(
        outside_count("select count(*) from pg_stat_activity where query like '%/* asked */' and state = 'active'"), 1);
    assert_null(pr_pg_ask(pg, "select 1", 0, NULL, 200));
    PQfinish(pg);
    outside(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%/* asked */' and state = 'active'");
}

static void an_idle_session_that_is_killed_is_opened_again(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    uint64_t generation = pr_pg_generation(pg);
    outside("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_test'");
    int64_t end = pr_clock_mono_ns() + 5000 * NS_PER_MS;
    while (pr_pg_generation(pg) == generation && pr_clock_mono_ns() < end) {
        turn(pg, 20);
    }
    assert_int_equal(pr_pg_generation(pg), generation + 1);
    pr_pg_free(pg);
}

static void a_statement_that_cannot_be_prepared_does_not_poison_its_name(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    const char *sql = "select n from pipe_test.later";
    send_sql(pg, "later", sql, &a);
    send_sql(pg, "later", sql, &a); /* relies on the Parse of the first */
    send_sql(pg, "one", "select 1::int8", &a);
    assert_true(run_until(pg, &a, 3, 5000));
    assert_int_equal(a.class[0], PR_PG_BAD);
    assert_string_equal(a.sqlstate[0], "42P01");
    assert_false(pr_pg_blames_data(a.sqlstate[0]));
    assert_int_equal(a.class[1], PR_PG_REPEAT);
    assert_int_equal(a.class[2], PR_PG_OK);
    outside("create table pipe_test.later (n bigint); insert into pipe_test.later values (77)");
    send_sql(pg, "later", sql, &a);
    send_sql(pg, "later", sql, &a);
    assert_true(run_until(pg, &a, 5, 5000));
    assert_int_equal(a.class[3], PR_PG_OK);
    assert_int_equal(a.value[3], 77);
    assert_int_equal(a.class[4], PR_PG_OK);
    pr_pg_free(pg);
}

static void a_plan_made_stale_by_a_migration_is_prepared_anew(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    outside("create table pipe_test.wide (n bigint); insert into pipe_test.wide values (1)");
    send_sql(pg, "wide", "select * from pipe_test.wide", &a);
    assert_true(run_until(pg, &a, 1, 5000));
    outside("alter table pipe_test.wide add column more text");
    send_sql(pg, "wide", "select * from pipe_test.wide", &a);
    assert_true(run_until(pg, &a, 2, 5000));
    assert_int_equal(a.class[1], PR_PG_REPEAT);
    assert_string_equal(a.sqlstate[1], "0A000");
    send_sql(pg, "wide", "select * from pipe_test.wide", &a);
    assert_true(run_until(pg, &a, 3, 5000));
    assert_int_equal(a.class[2], PR_PG_OK);
    pr_pg_free(pg);
}

/* Raises the SQLSTATE given: how the server's words become ours. */
static enum pr_pg_class class_of(struct pr_pg *pg, const char *sqlstate) {
    struct answers a = {0};
    struct pr_params params;
    pr_params_init(&params, 1024);
    pr_params_text(&params, pr_span_of(sqlstate));
    assert_true(run_until_ready(pg, 5000));
    assert_true(pr_pg_send(pg, "raise", "select pipe_test.raise($1)", &params, on_done, &a, pr_clock_mono_ns()));
    pr_params_free(&params);
    assert_true(run_until(pg, &a, 1, 5000));
    assert_string_equal(a.sqlstate[0], sqlstate);
    return a.class[0];
}

static void errors_are_sorted_by_sqlstate(void **state) {
    (void)state;
    outside("create function pipe_test.raise(text) returns void language plpgsql as $$ begin raise exception 'x' using "
            "errcode = $1; end $$");
    struct pr_pg *pg = open_ready();
    static const struct {
        const char *sqlstate;
        enum pr_pg_class class;
    } table[] = {
        {"40001", PR_PG_REPEAT},    {"40P01", PR_PG_REPEAT},    {"55P03", PR_PG_REPEAT},    {"40002", PR_PG_BAD},
        {"08006", PR_PG_RECONNECT}, {"53100", PR_PG_RECONNECT}, {"57014", PR_PG_RECONNECT}, {"58030", PR_PG_RECONNECT},
        {"XX001", PR_PG_RECONNECT}, {"25006", PR_PG_RECONNECT}, {"25001", PR_PG_BAD},       {"PR001", PR_PG_FENCED},
        {"PR002", PR_PG_BAD},       {"22021", PR_PG_BAD},       {"23505", PR_PG_BAD},       {"42501", PR_PG_BAD},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (class_of(pg, table[i].sqlstate) != table[i].class) {
            fail_msg("%s has the wrong class", table[i].sqlstate);
        }
    }
    pr_pg_free(pg);
}

static void an_error_of_the_server_itself_makes_us_reconnect(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    uint64_t generation = pr_pg_generation(pg);
    assert_int_equal(class_of(pg, "53200"), PR_PG_RECONNECT);
    assert_true(run_until_ready(pg, 5000));
    assert_int_equal(pr_pg_generation(pg), generation + 1);
    pr_pg_free(pg);
}

static void the_server_ends_a_statement_that_takes_too_long(void **state) {
    (void)state;
    struct pr_pg *pg = open_with(conninfo, "", 300);
    assert_true(run_until_ready(pg, 5000));
    struct answers a = {0};
    send_sql(pg, "sleep", "select pg_sleep(5)::text", &a);
    assert_true(run_until(pg, &a, 1, 2000));
    assert_int_equal(a.class[0], PR_PG_RECONNECT);
    assert_string_equal(a.sqlstate[0], "57014");
    pr_pg_free(pg);
}

static void a_server_that_hangs_is_dropped_by_our_own_watch(void **state) {
    (void)state;
    struct pr_pg *pg = open_with(conninfo, "set statement_timeout = 0", 300); /* as if the server did not keep it */
    assert_true(run_until_ready(pg, 5000));
    struct answers a = {0};
    int64_t begin = pr_clock_mono_ns();
    send_sql(pg, "sleep", "select pg_sleep(20)::text", &a);
    assert_true(run_until(pg, &a, 1, 9000));
    int64_t took_ms = (pr_clock_mono_ns() - begin) / NS_PER_MS;
    assert_int_equal(a.class[0], PR_PG_RECONNECT);
    assert_string_equal(a.sqlstate[0], "");
    assert_in_range((unsigned long)took_ms, 5300, 5900);
    outside("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_test'");
    pr_pg_free(pg);
}

static void closing_fails_what_is_in_flight(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {0};
    send_sql(pg, "sleep", "select pg_sleep(1)::text", &a);
    send_sql(pg, "one", "select 1::int8", &a);
    pr_pg_free(pg);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.class[0], PR_PG_RECONNECT);
    assert_int_equal(a.class[1], PR_PG_RECONNECT);
}

static void on_chain(void *arg, const struct pr_pg_result *result) {
    struct answers *a = arg;
    on_done(a, result);
    if (a->n < 40 && result->class == PR_PG_OK) {
        assert_true(pr_pg_send(a->pg, "chain", "select 1::int8", NULL, on_chain, a, pr_clock_mono_ns()));
    } else if (result->class != PR_PG_OK) {
        assert_false(pr_pg_send(a->pg, "chain", "select 1::int8", NULL, on_chain, a, pr_clock_mono_ns()));
    }
}

static void a_callback_may_send_again(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    struct answers a = {.pg = pg};
    assert_true(pr_pg_send(pg, "chain", "select 1::int8", NULL, on_chain, &a, pr_clock_mono_ns()));
    assert_true(run_until(pg, &a, 40, 5000));
    assert_true(pr_pg_send(pg, "sleep", "select pg_sleep(9)::text", NULL, on_chain, &a, pr_clock_mono_ns()));
    turn(pg, 50);
    pr_pg_free(pg);
    assert_int_equal(a.n, 41);
    assert_int_equal(a.class[40], PR_PG_RECONNECT);
}

struct big {
    bool done;
    int64_t sum, count;
};

static void on_big(void *arg, const struct pr_pg_result *result) {
    struct big *big = arg;
    big->done = true;
    assert_int_equal(result->class, PR_PG_OK);
    big->count = PQntuples(result->rows);
    for (int i = 0; i < PQntuples(result->rows); i++) {
        big->sum += pr_pg_int8(result->rows, i, 0);
        assert_int_equal(pr_pg_bytes(result->rows, i, 1).n, 100);
    }
}

/* More than the socket's buffers hold in both directions at once: neither side may wait for the other for ever. */
static void batches_larger_than_the_socket_go_both_ways(void **state) {
    (void)state;
    struct pr_pg *pg = open_ready();
    enum { ITEMS = 50000, BATCHES = 6 };
    static char text[100];
    memset(text, 'x', sizeof text);
    struct big big[BATCHES] = {0};
    for (int b = 0; b < BATCHES; b++) {
        struct pr_params params;
        pr_params_init(&params, 64 << 20);
        pr_params_array(&params, PR_OID_INT8);
        for (int i = 0; i < ITEMS; i++) {
            pr_item_int8(&params, i + b);
        }
        pr_params_array(&params, PR_OID_TEXT);
        for (int i = 0; i < ITEMS; i++) {
            pr_item_text(&params, pr_span_make(text, sizeof text));
        }
        assert_true(pr_pg_send(pg, "big", "select n, t from unnest($1, $2) u(n, t)", &params, on_big, &big[b],
                               pr_clock_mono_ns()));
        pr_params_free(&params);
    }
    int64_t end = pr_clock_mono_ns() + 20000 * NS_PER_MS;
    while (!big[BATCHES - 1].done && pr_clock_mono_ns() < end) {
        turn(pg, 50);
    }
    for (int b = 0; b < BATCHES; b++) {
        assert_int_equal(big[b].count, ITEMS);
        assert_int_equal(big[b].sum, (int64_t)ITEMS * (ITEMS - 1) / 2 + (int64_t)b * ITEMS);
    }
    pr_pg_free(pg);
}

int main(void) {
    if (!has_server()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_the_order_of_sending),
        cmocka_unit_test(no_more_is_taken_than_the_depth),
        cmocka_unit_test(rows_whose_commit_fails_are_not_believed),
        cmocka_unit_test(rows_of_a_commit_that_is_still_running_are_held_back),
        cmocka_unit_test(a_session_killed_during_the_commit_leaves_its_statements_unknown),
        cmocka_unit_test(what_a_cut_session_was_doing_is_ended_before_the_next_is_ready),
        cmocka_unit_test(while_a_cut_session_does_not_end_the_next_is_not_ready),
        cmocka_unit_test(a_question_without_an_answer_ends_with_its_connection),
        cmocka_unit_test(an_idle_session_that_is_killed_is_opened_again),
        cmocka_unit_test(a_statement_that_cannot_be_prepared_does_not_poison_its_name),
        cmocka_unit_test(a_plan_made_stale_by_a_migration_is_prepared_anew),
        cmocka_unit_test(errors_are_sorted_by_sqlstate),
        cmocka_unit_test(an_error_of_the_server_itself_makes_us_reconnect),
        cmocka_unit_test(the_server_ends_a_statement_that_takes_too_long),
        cmocka_unit_test(a_server_that_hangs_is_dropped_by_our_own_watch),
        cmocka_unit_test(closing_fails_what_is_in_flight),
        cmocka_unit_test(a_callback_may_send_again),
        cmocka_unit_test(batches_larger_than_the_socket_go_both_ways),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
