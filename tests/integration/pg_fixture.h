/* What the tests of pg share: a loop over poll, a record of what came back, and a second connection beside the pipeline. */
#ifndef PR_TESTS_PG_FIXTURE_H
#define PR_TESTS_PG_FIXTURE_H

#include "base/attr.h"
#include "base/clock.h"
#include "pg/pg.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_MS INT64_C(1000000)

static const char *conninfo;

/* Finds the server, or says that the tests are skipped for want of one. */
static PR_UNUSED bool has_server(void) {
    conninfo = getenv("POSTRIDER_TEST_PG");
    if (!conninfo || !conninfo[0]) {
        puts("skipped: POSTRIDER_TEST_PG, the conninfo of a private PostgreSQL, is not set");
        return false;
    }
    return true;
}

/* What came back, in order. */
struct answers {
    int n;
    enum pr_pg_class class[64];
    char sqlstate[64][6];
    char message[64][160];
    int64_t value[64]; /* first column of the first row, int8 */
    int rows[64];
    struct pr_pg *pg; /* set: send again from the callback */
};

static PR_UNUSED void on_done(void *arg, const struct pr_pg_result *result) {
    struct answers *a = arg;
    int i = a->n++;
    assert_true(i < 64);
    a->class[i] = result->class;
    memcpy(a->sqlstate[i], result->sqlstate, 6);
    (void)snprintf(a->message[i], sizeof a->message[i], "%s", result->message);
    a->rows[i] = result->rows ? PQntuples(result->rows) : -1;
    if (a->rows[i] > 0 && PQftype(result->rows, 0) == PR_OID_INT8) {
        a->value[i] = pr_pg_int8(result->rows, 0, 0);
    }
}

/* One turn of the loop: at most `ms` of waiting. */
static PR_UNUSED void turn(struct pr_pg *pg, int64_t ms) {
    struct pr_pg_interest interest = pr_pg_interest(pg);
    struct pollfd p = {.fd = interest.fd,
                       .events = (short)((interest.want_read ? POLLIN : 0) | (interest.want_write ? POLLOUT : 0))};
    int64_t now = pr_clock_mono_ns();
    if (interest.timer_ns) {
        int64_t left = interest.timer_ns > now ? (interest.timer_ns - now) / NS_PER_MS + 1 : 0;
        ms = left < ms ? left : ms;
    }
    int n = poll(&p, 1, (int)ms);
    now = pr_clock_mono_ns();
    if (n > 0) {
        pr_pg_io(pg, (p.revents & (POLLIN | POLLHUP | POLLERR)) != 0, (p.revents & POLLOUT) != 0, now);
    }
    interest = pr_pg_interest(pg);
    if (interest.timer_ns && interest.timer_ns <= now) {
        pr_pg_timer(pg, now);
    }
}

static PR_UNUSED bool run_until_ready(struct pr_pg *pg, int64_t ms) {
    int64_t end = pr_clock_mono_ns() + ms * NS_PER_MS;
    while (!pr_pg_is_ready(pg) && pr_clock_mono_ns() < end) {
        turn(pg, 50);
    }
    return pr_pg_is_ready(pg);
}

static PR_UNUSED bool run_until(struct pr_pg *pg, const struct answers *a, int n, int64_t ms) {
    int64_t end = pr_clock_mono_ns() + ms * NS_PER_MS;
    while (a->n < n && pr_clock_mono_ns() < end) {
        turn(pg, 50);
    }
    return a->n >= n;
}

static PR_UNUSED struct pr_pg *open_with(const char *info, const char *setup, int64_t statement_ms) {
    struct pr_pg_options options = {.conninfo = info,
                                    .application = "pg_test",
                                    .setup = setup,
                                    .connect_timeout_ms = 10000,
                                    .statement_timeout_ms = statement_ms,
                                    .depth_max = 16};
    struct pr_pg *pg = pr_pg_new(&options);
    assert_non_null(pg);
    return pg;
}

static PR_UNUSED struct pr_pg *open_ready(void) {
    struct pr_pg *pg = open_with(conninfo, "", 10000);
    if (!run_until_ready(pg, 10000)) {
        fail_msg("not ready: %s", pr_pg_error(pg));
    }
    assert_string_equal(pr_pg_error(pg), "");
    return pg;
}

static PR_UNUSED void send_sql(struct pr_pg *pg, const char *name, const char *sql, struct answers *a) {
    assert_true(pr_pg_send(pg, name, sql, NULL, on_done, a, pr_clock_mono_ns()));
}

static PR_UNUSED void quiet(void *arg, const char *message) {
    (void)arg;
    (void)message;
}

/* A second, blocking connection: the world outside of the pipeline. */
static PR_UNUSED void outside(const char *sql) {
    PGconn *conn = PQconnectdb(conninfo);
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    (void)PQsetNoticeProcessor(conn, quiet, NULL);
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    PQclear(r);
    PQfinish(conn);
}

static PR_UNUSED long outside_count(const char *sql) {
    PGconn *conn = PQconnectdb(conninfo);
    (void)PQsetNoticeProcessor(conn, quiet, NULL);
    PGresult *r = PQexec(conn, sql);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    long n = strtol(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    PQfinish(conn);
    return n;
}

#endif
