/* Opening a connection without waiting: connect, find out whether a pooler shares it out, set the session up. */
#include "base/attr.h"
#include "base/buf.h"
#include "base/check.h"
#include "pg/pg_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { PROBE_STEP_MS = 2000, END_LAST_MS = 2000, PARAMS_MAX = 80, HOST_LIST_MAX = 16 * 1024, STEP_SQL_MAX = 256 };
#define NS_PER_MS INT64_C(1000000)

static const char transaction_pooler[] = "the connection goes through a pooler in transaction mode, which gives every "
                                         "transaction another server session: connect to PostgreSQL "
                                         "directly, or through the pooler in session mode (PgBouncer: "
                                         "pool_mode=session for this database; Supavisor: its session port)";

static const char second_connection[] = "a second connection, to find out the pooler's mode: ";

/* Defaults that conninfo may override: a dead peer is noticed within about a minute. */
static const char *const before[][2] = {
    {"keepalives", "1"},       {"keepalives_idle", "30"},     {"keepalives_interval", "10"},
    {"keepalives_count", "3"}, {"tcp_user_timeout", "30000"},
};

struct keywords {
    const char *key[PARAMS_MAX + 1];
    const char *value[PARAMS_MAX + 1];
    int n;
};

static void put_keyword(struct keywords *k, const char *key, const char *value) {
    pr_assert(k->n < PARAMS_MAX);
    k->key[k->n] = key;
    k->value[k->n++] = value;
    k->key[k->n] = k->value[k->n] = NULL;
}

/* "a,b,c" with its first `by` items put last: "b,c,a". Writes to `out`; the list as it is when it does not fit. */
static const char *rotated(const char *list, int by, struct pr_buf *out) {
    int items = 1;
    for (const char *c = list; *c; c++) {
        items += *c == ',';
    }
    const char *from = list;
    for (int i = 0; i < by % items; i++) {
        from = strchr(from, ',') + 1;
    }
    if (from == list) {
        return list;
    }
    pr_buf_put_text(out, from);
    pr_buf_put_char(out, ',');
    pr_buf_put(out, list, (size_t)(from - list) - 1);
    return out->failed ? list : pr_buf_text(out);
}

static bool is_list_keyword(const char *key, int *which) {
    static const char *const lists[] = {"host", "hostaddr", "port"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(key, lists[i]) == 0) {
            *which = i;
            return true;
        }
    }
    return false;
}

/* Opens to the same server with the same settings; libpq copies all it is given. NULL with pg->error set. */
static PGconn *start(struct pr_pg *pg) {
    char *fault = NULL;
    PQconninfoOption *given = PQconninfoParse(pg->options.conninfo, &fault);
    if (!given) {
        (void)snprintf(pg->error, sizeof pg->error, "%s", fault ? fault : "out of memory");
        PQfreemem(fault);
        return NULL;
    }
    struct keywords k = {.n = 0};
    struct pr_buf lists[3];
    for (int i = 0; i < 3; i++) {
        pr_buf_init(&lists[i], HOST_LIST_MAX);
    }
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        put_keyword(&k, before[i][0], before[i][1]);
    }
    put_keyword(&k, "application_name", pg->options.application);
    for (const PQconninfoOption *o = given; o->keyword; o++) {
        int which = 0;
        if (o->val) {
            put_keyword(&k, o->keyword,
                        is_list_keyword(o->keyword, &which) ? rotated(o->val, pg->rotation, &lists[which]) : o->val);
        }
    }
    put_keyword(&k, "client_encoding", "UTF8");
    PGconn *conn = PQconnectStartParams(k.key, k.value, 0);
    for (int i = 0; i < 3; i++) {
        pr_buf_free(&lists[i]);
    }
    PQconninfoFree(given);
    return conn;
}

static void quiet(void *arg PR_UNUSED, const char *message PR_UNUSED) {
    /* libpq's default prints notices to stderr, which is the log's */
}

PGconn *pr_pg_open_conn(const struct pr_pg *pg) {
    return pg->step == PR_PG_STEP_PROBE_CONNECT || pg->step == PR_PG_STEP_PROBE_HOLD ? pg->probe : pg->conn;
}

static void fail(struct pr_pg *pg, int64_t now_ns, const char *what, const char *why) {
    char text[2 * PR_PG_ERROR_BYTES];
    (void)snprintf(text, sizeof text, "%s%s", what, why);
    pr_pg_drop(pg, now_ns, text);
}

/* What a step sends, NULL for the two that connect. */
static const char *step_sql(const struct pr_pg *pg, char room[STEP_SQL_MAX]) {
    switch (pg->step) {
    case PR_PG_STEP_CONNECT:
    case PR_PG_STEP_PROBE_CONNECT: return NULL;
    case PR_PG_STEP_IDENTIFY:
        return "select pg_catalog.set_config('postrider.session', 'marked', false), pg_catalog.pg_backend_pid(), "
               "(select backend_start from pg_catalog.pg_stat_activity where pid = pg_catalog.pg_backend_pid())";
    case PR_PG_STEP_PROBE_HOLD: return "begin";
    case PR_PG_STEP_RECHECK:
        return "select pg_catalog.current_setting('postrider.session', true), pg_catalog.pg_backend_pid()";
    case PR_PG_STEP_END_LAST:
        (void)snprintf(
            room, STEP_SQL_MAX,
            "select pg_catalog.pg_terminate_backend(pid, %d) from pg_catalog.pg_stat_activity where pid = %d and "
            "backend_start = '%s'",
            END_LAST_MS, pg->last.pid, pg->last.start);
        return room;
    case PR_PG_STEP_CLEAN: return "deallocate all";
    case PR_PG_STEP_TIMEOUT:
        (void)snprintf(room, STEP_SQL_MAX, "set statement_timeout = %lld", (long long)pg->options.statement_timeout_ms);
        return room;
    case PR_PG_STEP_SETUP: return pg->options.setup;
    }
    pr_check_failed(__FILE__, __LINE__, "a step of enum pr_pg_step");
}

static void connection_failed(struct pr_pg *pg, int64_t now_ns) {
    char why[PR_PG_ERROR_BYTES];
    (void)snprintf(why, sizeof why, "%s", PQerrorMessage(pr_pg_open_conn(pg)));
    fail(pg, now_ns, pr_pg_open_conn(pg) == pg->probe ? second_connection : "", why);
}

static void enter_pipeline(struct pr_pg *pg, int64_t now_ns) {
    if (PQenterPipelineMode(pg->conn)) {
        pr_pg_opened(pg);
    } else {
        connection_failed(pg, now_ns);
    }
}

/* Begins a step; the first two of the probe get little time, for a pooler that makes us wait tells as much as one that answers. */
static void enter(struct pr_pg *pg, enum pr_pg_step step, int64_t now_ns) {
    char room[STEP_SQL_MAX];
    pg->step = step;
    PQclear(pg->answer);
    pg->answer = NULL;
    bool probing = step == PR_PG_STEP_PROBE_HOLD || step == PR_PG_STEP_RECHECK;
    pg->step_until_ns = probing ? now_ns + PROBE_STEP_MS * NS_PER_MS : pg->open_until_ns;
    pg->socket++;
    const char *sql = step_sql(pg, room);
    PGconn *conn = pr_pg_open_conn(pg);
    if (!sql) {
        pg->polling = PGRES_POLLING_WRITING; /* as libpq's manual has it: behave as if PQconnectPoll had said so */
    } else if (!PQsendQuery(conn, sql)) {
        connection_failed(pg, now_ns);
    } else {
        pg->want_write = PQflush(conn) == 1;
    }
}

static void enter_probe(struct pr_pg *pg, int64_t now_ns) {
    pg->probe = start(pg);
    if (!pg->probe || PQstatus(pg->probe) == CONNECTION_BAD) {
        char why[PR_PG_ERROR_BYTES];
        (void)snprintf(why, sizeof why, "%s", pg->probe ? PQerrorMessage(pg->probe) : "out of memory");
        fail(pg, now_ns, second_connection, why);
        return;
    }
    (void)PQsetNoticeProcessor(pg->probe, quiet, NULL);
    enter(pg, PR_PG_STEP_PROBE_CONNECT, now_ns);
}

/* A session that is still to be ended stays so through attempts that fail: they had no statement of ours. */
static void identified(struct pr_pg *pg, const PGresult *r) {
    if (pg->last.pid == 0) {
        pg->last = pg->session;
    }
    pg->session.pid = (int)strtol(PQgetvalue(r, 0, 1), NULL, 10);
    (void)snprintf(pg->session.start, sizeof pg->session.start, "%s", PQgetvalue(r, 0, 2));
}

/*
 * A session that the network was cut from does not notice while it waits for a lock: it would go on and commit what we have long been told is lost, and
 * decided anew. One behind a pooler is let be: the pooler may have given it to another client.
 */
static void end_last(struct pr_pg *pg, int64_t now_ns) {
    enter(pg, pg->last.pid != 0 ? PR_PG_STEP_END_LAST : PR_PG_STEP_CLEAN, now_ns);
}

static void last_ended(struct pr_pg *pg, const PGresult *r, int64_t now_ns) {
    if (PQntuples(r) > 0 && strcmp(PQgetvalue(r, 0, 0), "t") != 0) {
        fail(pg, now_ns, "", "the session of the connection that was cut does not end");
        return;
    }
    pg->last.pid = 0;
    enter(pg, PR_PG_STEP_CLEAN, now_ns);
}

/* The session we marked must still be ours while another client is in a transaction. */
static void check_session(struct pr_pg *pg, const PGresult *r, int64_t now_ns) {
    bool same =
        strcmp(PQgetvalue(r, 0, 0), "marked") == 0 && (int)strtol(PQgetvalue(r, 0, 1), NULL, 10) == pg->session.pid;
    if (!same) {
        pr_pg_drop(pg, now_ns, transaction_pooler);
        return;
    }
    PQfinish(pg->probe);
    pg->probe = NULL;
    enter(pg, PR_PG_STEP_CLEAN, now_ns);
}

/* A query of a step has its result: on to the next step. */
static void step_done(struct pr_pg *pg, const PGresult *r, int64_t now_ns) {
    switch (pg->step) {
    case PR_PG_STEP_CONNECT: enter(pg, PR_PG_STEP_IDENTIFY, now_ns); break;
    case PR_PG_STEP_IDENTIFY:
        identified(pg, r);
        if (pg->session.pid == PQbackendPID(pg->conn)) {
            end_last(pg, now_ns);
        } else {
            enter_probe(pg, now_ns); /* poolers hand out keys of their own */
        }
        break;
    case PR_PG_STEP_PROBE_CONNECT: enter(pg, PR_PG_STEP_PROBE_HOLD, now_ns); break;
    case PR_PG_STEP_PROBE_HOLD: enter(pg, PR_PG_STEP_RECHECK, now_ns); break;
    case PR_PG_STEP_RECHECK: check_session(pg, r, now_ns); break;
    case PR_PG_STEP_END_LAST: last_ended(pg, r, now_ns); break;
    case PR_PG_STEP_CLEAN: enter(pg, PR_PG_STEP_TIMEOUT, now_ns); break;
    case PR_PG_STEP_TIMEOUT:
        if (pg->options.setup && pg->options.setup[0]) {
            enter(pg, PR_PG_STEP_SETUP, now_ns);
        } else {
            enter_pipeline(pg, now_ns);
        }
        break;
    case PR_PG_STEP_SETUP: enter_pipeline(pg, now_ns); break;
    }
}

void pr_pg_open_begin(struct pr_pg *pg, int64_t now_ns) {
    pg->state = PR_PG_OPENING;
    pg->step = PR_PG_STEP_CONNECT;
    pg->open_until_ns = pg->step_until_ns = now_ns + pg->options.connect_timeout_ms * NS_PER_MS;
    pg->conn = start(pg);
    if (!pg->conn) {
        char why[PR_PG_ERROR_BYTES];
        (void)snprintf(why, sizeof why, "%s", pg->error[0] ? pg->error : "out of memory");
        pr_pg_drop(pg, now_ns, why);
    } else if (PQstatus(pg->conn) == CONNECTION_BAD) {
        connection_failed(pg, now_ns);
    } else {
        (void)PQsetNoticeProcessor(pg->conn, quiet, NULL);
        enter(pg, PR_PG_STEP_CONNECT, now_ns);
    }
}

/* A result of the query is an error: the step fails with the server's text. */
static void query_failed(struct pr_pg *pg, const PGresult *r, int64_t now_ns) {
    char why[PR_PG_ERROR_BYTES];
    (void)snprintf(why, sizeof why, "%s", PQresultErrorMessage(r));
    fail(pg, now_ns, pg->step == PR_PG_STEP_SETUP ? "setting up the session: " : "",
         why[0] ? why : "unexpected answer to a query");
}

/* Keeps the last result of the step's query; true once the answer is complete. */
static bool query_answered(struct pr_pg *pg, PGconn *conn, int64_t now_ns) {
    while (!PQisBusy(conn)) {
        PGresult *r = PQgetResult(conn);
        if (!r) {
            return pg->answer != NULL;
        }
        ExecStatusType status = PQresultStatus(r);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
            query_failed(pg, r, now_ns);
            PQclear(r);
            return false;
        }
        PQclear(pg->answer);
        pg->answer = r;
    }
    return false;
}

static void query_advance(struct pr_pg *pg, int64_t now_ns) {
    PGconn *conn = pr_pg_open_conn(pg);
    int left = PQflush(conn);
    bool alive = left >= 0;
    pg->want_write = left == 1;
    do {
        alive = alive && PQconsumeInput(conn);
    } while (alive && pr_pg_has_buffered(conn));
    if (!alive) {
        connection_failed(pg, now_ns);
    } else if (query_answered(pg, conn, now_ns)) {
        step_done(pg, pg->answer, now_ns);
    }
}

static void connect_advance(struct pr_pg *pg, int64_t now_ns) {
    PGconn *conn = pr_pg_open_conn(pg);
    pg->polling = PQconnectPoll(conn);
    pg->socket++; /* libpq may have gone on to the next address, with a new socket under the same number */
    if (pg->polling == PGRES_POLLING_FAILED) {
        connection_failed(pg, now_ns);
    } else if (pg->polling == PGRES_POLLING_OK) {
        if (PQsetnonblocking(conn, 1) != 0) {
            connection_failed(pg, now_ns);
        } else {
            step_done(pg, NULL, now_ns);
        }
    }
}

void pr_pg_open_advance(struct pr_pg *pg, int64_t now_ns) {
    if (pg->step == PR_PG_STEP_CONNECT || pg->step == PR_PG_STEP_PROBE_CONNECT) {
        connect_advance(pg, now_ns);
    } else {
        query_advance(pg, now_ns);
    }
}

void pr_pg_open_timer(struct pr_pg *pg, int64_t now_ns) {
    if (now_ns < pg->step_until_ns && now_ns < pg->open_until_ns) {
        return;
    }
    if (pg->step == PR_PG_STEP_RECHECK) {
        pr_pg_drop(pg, now_ns, transaction_pooler); /* our session is in the other client's hands */
    } else if (pg->step == PR_PG_STEP_PROBE_HOLD && now_ns < pg->open_until_ns) {
        PQfinish(pg->probe); /* our idle session was not given to it: session mode */
        pg->probe = NULL;
        enter(pg, PR_PG_STEP_CLEAN, now_ns);
    } else {
        pg->rotation += pg->step == PR_PG_STEP_CONNECT;
        fail(pg, now_ns, "no connection within connect_timeout",
             pg->step == PR_PG_STEP_CONNECT ? "" : ": the server took it, but answers no query");
    }
}
