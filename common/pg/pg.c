/* Statements in a pipeline: each with a SYNC of its own, and no answer believed before that SYNC. */
#include "pg/pg.h"

#include "base/check.h"
#include "base/fault.h"
#include "pg/pg_private.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000, WATCHDOG_EXTRA_MS = 5000 };
#define NS_PER_MS INT64_C(1000000)

struct pr_pg *pr_pg_new(const struct pr_pg_options *options) {
    pr_assert(options->depth_max > 0 && options->connect_timeout_ms > 0 && options->statement_timeout_ms > 0);
    struct pr_pg *pg = calloc(1, sizeof *pg);
    if (!pg) {
        return NULL;
    }
    pg->ring = calloc(options->depth_max, sizeof *pg->ring);
    if (!pg->ring) {
        free(pg);
        return NULL;
    }
    pg->options = *options;
    pg->state = PR_PG_CLOSED;
    pg->retry_ns = 1;
    pg->backoff_ms = BACKOFF_FIRST_MS;
    return pg;
}

void pr_pg_free(struct pr_pg *pg) {
    if (!pg) {
        return;
    }
    pr_pg_drop(pg, 0, "the connection was closed");
    free(pg->ring);
    free(pg);
}

static struct pr_pg_open *head_of(struct pr_pg *pg) {
    return &pg->ring[pg->ring_first];
}

/* Takes the oldest statement out of the ring and tells its owner, who may send again at once: so the slot must be free before. */
static void finish_head(struct pr_pg *pg, const struct pr_pg_result *result) {
    struct pr_pg_open open = *head_of(pg);
    *head_of(pg) = (struct pr_pg_open){0};
    pg->ring_first = (pg->ring_first + 1) % pg->options.depth_max;
    pg->ring_n--;
    open.done(open.arg, result);
    PQclear(open.rows);
    PQclear(open.error);
}

static void copy_state(char sqlstate[6], const PGresult *error) {
    const char *state = error ? PQresultErrorField(error, PG_DIAG_SQLSTATE) : NULL;
    (void)snprintf(sqlstate, 6, "%s", state ? state : "");
}

/* One line out of libpq's several, for logs. */
static void set_error(struct pr_pg *pg, const char *why) {
    (void)snprintf(pg->error, sizeof pg->error, "%s", why);
    size_t n = strlen(pg->error);
    while (n > 0 && pg->error[n - 1] == '\n') {
        pg->error[--n] = '\0';
    }
    for (char *c = pg->error; *c; c++) {
        *c = *c == '\n' || *c == '\t' ? ' ' : *c;
    }
}

/* What was in flight may be committed or not; its own error, if one came, says more than the connection's. */
static void fail_open(struct pr_pg *pg) {
    for (uint32_t n = pg->ring_n; n > 0; n--) {
        struct pr_pg_open *open = head_of(pg);
        struct pr_pg_result result = {.class = PR_PG_RECONNECT};
        copy_state(result.sqlstate, open->error);
        result.message = open->error ? PQresultErrorMessage(open->error) : pg->error;
        finish_head(pg, &result);
    }
}

void pr_pg_drop(struct pr_pg *pg, int64_t now_ns, const char *why) {
    set_error(pg, why); /* before PQfinish: it may be libpq's own text */
    PQclear(pg->answer);
    pg->answer = NULL;
    PQfinish(pg->probe);
    PQfinish(pg->conn);
    pg->probe = pg->conn = NULL;
    pg->state = PR_PG_CLOSED;
    pg->broken = pg->want_write = false;
    pg->names_n = 0;
    pg->socket++;
    pg->retry_ns = now_ns + pg->backoff_ms * NS_PER_MS;
    pg->backoff_ms = pg->backoff_ms * 2 < BACKOFF_MAX_MS ? pg->backoff_ms * 2 : BACKOFF_MAX_MS;
    fail_open(pg);
}

void pr_pg_opened(struct pr_pg *pg) {
    pg->state = PR_PG_READY;
    pg->error[0] = '\0';
    pg->generation++;
}

static int64_t head_deadline(const struct pr_pg *pg) {
    return pg->head_since_ns + (pg->options.statement_timeout_ms + WATCHDOG_EXTRA_MS) * NS_PER_MS;
}

static struct pr_pg_interest interest_ready(const struct pr_pg *pg) {
    struct pr_pg_interest interest = {.fd = PQsocket(pg->conn), .want_read = true, .want_write = pg->want_write};
    if (pg->broken) {
        interest.timer_ns = 1;
    } else if (pg->ring_n > 0) {
        interest.timer_ns = head_deadline(pg);
    }
    return interest;
}

static struct pr_pg_interest interest_opening(const struct pr_pg *pg) {
    struct pr_pg_interest interest = {.fd = PQsocket(pr_pg_open_conn(pg))};
    if (pg->step == PR_PG_STEP_CONNECT || pg->step == PR_PG_STEP_PROBE_CONNECT) {
        interest.want_read = pg->polling == PGRES_POLLING_READING;
        interest.want_write = pg->polling == PGRES_POLLING_WRITING;
    } else {
        interest.want_read = true;
        interest.want_write = pg->want_write;
    }
    interest.timer_ns = pg->step_until_ns < pg->open_until_ns ? pg->step_until_ns : pg->open_until_ns;
    return interest;
}

struct pr_pg_interest pr_pg_interest(const struct pr_pg *pg) {
    struct pr_pg_interest interest = {.fd = -1};
    switch (pg->state) {
    case PR_PG_CLOSED: interest.timer_ns = pg->retry_ns; break;
    case PR_PG_OPENING: interest = interest_opening(pg); break;
    case PR_PG_READY: interest = interest_ready(pg); break;
    }
    interest.socket = pg->socket;
    return interest;
}

static bool is_one_of(const char *state, const char *list) {
    for (const char *p = list; *p; p += strlen(p) + 1) {
        if (strncmp(state, p, strlen(p)) == 0) {
            return true;
        }
    }
    return false;
}

/* By SQLSTATE, as the design has it; 25006 because a server that became read-only is the wrong server, not a wrong statement. */
static enum pr_pg_class classify(const char *state) {
    if (is_one_of(state, "40001\0"
                         "40P01\0"
                         "55P03\0")) {
        return PR_PG_REPEAT;
    }
    if (state[0] == '\0' || is_one_of(state, "08\0"
                                             "53\0"
                                             "57\0"
                                             "58\0"
                                             "XX\0"
                                             "25006\0")) {
        return PR_PG_RECONNECT;
    }
    return strcmp(state, "PR001") == 0 ? PR_PG_FENCED : PR_PG_BAD;
}

bool pr_pg_blames_data(const char sqlstate[6]) {
    return !is_one_of(sqlstate, "0A\0"
                                "25\0"
                                "28\0"
                                "3D\0"
                                "3F\0"
                                "42\0");
}

/*
 * Whether the failure is the prepared statement's and not the statement's: its name is unknown (a Parse before it failed, or a pooler cleared
 * the session: 26000), or its plan's columns changed with a migration (0A000, only if this statement did not just parse it).
 */
static bool forget_name(struct pr_pg *pg, const struct pr_pg_open *open, const char *state) {
    bool stale = !open->parses && (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0);
    bool parse_failed = open->parses && !open->parsed;
    if ((stale || parse_failed) && pg->names[open->name].serial == open->serial) {
        pg->names[open->name].prepared = false;
    }
    return stale;
}

/* The SYNC is here: an error seen on the way (the command's, or the commit's behind its rows) decides, else it is committed. */
static void settle_head(struct pr_pg *pg, int64_t now_ns) {
    struct pr_pg_open *open = head_of(pg);
    struct pr_pg_result result = {.class = PR_PG_OK, .rows = open->rows, .message = ""};
    if (open->error || !open->rows) {
        result.rows = NULL;
        copy_state(result.sqlstate, open->error);
        result.message = open->error ? PQresultErrorMessage(open->error) : "the server gave no result";
        result.class = classify(result.sqlstate);
        if (forget_name(pg, open, result.sqlstate)) {
            result.class = PR_PG_REPEAT;
        }
    }
    if (result.class == PR_PG_RECONNECT) {
        set_error(pg, result.message);
        pg->broken = true; /* the server is in trouble, says its class: leave it alone for a while */
    } else {
        pg->backoff_ms = BACKOFF_FIRST_MS;
    }
    pg->head_since_ns = now_ns;
    finish_head(pg, &result);
}

/* Files one result under the oldest statement. */
static void take_result(struct pr_pg *pg, PGresult *r, int64_t now_ns) {
    struct pr_pg_open *open = head_of(pg);
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_PIPELINE_SYNC) {
        PQclear(r);
        settle_head(pg, now_ns);
    } else if (status == PGRES_COMMAND_OK && open->parses && !open->parsed) {
        open->parsed = true;
        PQclear(r);
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        PQclear(open->rows);
        open->rows = r;
        PR_FAULT_IF(strcmp(pg->names[open->name].name, "claim") == 0, "claim.rows");
    } else if (status == PGRES_PIPELINE_ABORTED || open->error) {
        PQclear(r); /* follows from the error we have */
    } else {
        open->error = r;
    }
}

/* Results come apart by NULLs in pipeline mode; two in a row: there is nothing more. */
static void take_results(struct pr_pg *pg, int64_t now_ns) {
    int nulls = 0;
    while (nulls < 2 && !pg->broken && !PQisBusy(pg->conn)) {
        PGresult *r = PQgetResult(pg->conn);
        if (!r) {
            nulls++;
        } else if (pg->ring_n == 0) {
            PQclear(r); /* nobody's: the server's farewell */
            pg->broken = true;
        } else {
            nulls = 0;
            take_result(pg, r, now_ns);
        }
    }
}

static void flush(struct pr_pg *pg) {
    int left = PQflush(pg->conn);
    pg->want_write = left == 1;
    if (left < 0) {
        pg->broken = true;
        set_error(pg, PQerrorMessage(pg->conn));
    }
}

/* What was found broken while sending or reading; the server's farewell, if it came, says more than libpq about the closed socket. */
static void drop_if_broken(struct pr_pg *pg, int64_t now_ns) {
    if (!pg->broken) {
        return;
    }
    const PGresult *farewell = pg->ring_n > 0 ? head_of(pg)->error : NULL;
    char why[PR_PG_ERROR_BYTES];
    (void)snprintf(why, sizeof why, "%s",
                   farewell       ? PQresultErrorMessage(farewell)
                   : pg->error[0] ? pg->error
                                  : PQerrorMessage(pg->conn));
    pr_pg_drop(pg, now_ns, why[0] ? why : "the server closed the connection");
}

/* libpq reads at least 8 KiB at a time, a TLS record may hold 16: PostgreSQL's own are smaller, a TLS proxy's need not be. */
bool pr_pg_has_buffered(PGconn *conn) {
    SSL *ssl = PQsslStruct(conn, "OpenSSL");
    return ssl && SSL_pending(ssl) > 0;
}

static void ready_read(struct pr_pg *pg, int64_t now_ns) {
    bool alive;
    do {
        alive = PQconsumeInput(pg->conn) == 1;
        if (!alive) {
            set_error(pg, PQerrorMessage(pg->conn));
        }
        take_results(pg, now_ns); /* also of a dead connection: a SYNC may have come before its end */
    } while (alive && !pg->broken && pr_pg_has_buffered(pg->conn));
    pg->broken |= !alive || PQstatus(pg->conn) == CONNECTION_BAD;
}

static void ready_io(struct pr_pg *pg, bool readable, bool writable, int64_t now_ns) {
    if (readable) {
        ready_read(pg, now_ns);
    }
    if ((writable || pg->want_write) && !pg->broken) {
        flush(pg);
    }
    drop_if_broken(pg, now_ns);
}

void pr_pg_io(struct pr_pg *pg, bool readable, bool writable, int64_t now_ns) {
    switch (pg->state) {
    case PR_PG_CLOSED: break;
    case PR_PG_OPENING: pr_pg_open_advance(pg, now_ns); break;
    case PR_PG_READY: ready_io(pg, readable, writable, now_ns); break;
    }
}

static void ready_timer(struct pr_pg *pg, int64_t now_ns) {
    if (pg->broken) {
        drop_if_broken(pg, now_ns);
    } else if (pg->ring_n > 0 && now_ns >= head_deadline(pg)) {
        pr_pg_drop(pg, now_ns,
                   "no answer to a statement within statement_timeout and 5 s: the server or the network hangs");
    }
}

void pr_pg_timer(struct pr_pg *pg, int64_t now_ns) {
    switch (pg->state) {
    case PR_PG_CLOSED:
        if (now_ns >= pg->retry_ns) {
            pr_pg_open_begin(pg, now_ns);
        }
        break;
    case PR_PG_OPENING: pr_pg_open_timer(pg, now_ns); break;
    case PR_PG_READY: ready_timer(pg, now_ns); break;
    }
}

bool pr_pg_is_ready(const struct pr_pg *pg) {
    return pg->state == PR_PG_READY && !pg->broken;
}

bool pr_pg_has_room(const struct pr_pg *pg) {
    return pr_pg_is_ready(pg) && pg->ring_n < pg->options.depth_max;
}

const char *pr_pg_error(const struct pr_pg *pg) {
    return pg->error;
}

uint64_t pr_pg_generation(const struct pr_pg *pg) {
    return pg->generation;
}

static uint32_t name_index(struct pr_pg *pg, const char *name) {
    for (uint32_t i = 0; i < pg->names_n; i++) {
        if (pg->names[i].name == name || strcmp(pg->names[i].name, name) == 0) {
            return i;
        }
    }
    pr_assert(pg->names_n < PR_PG_NAMES_MAX && strlen(name) <= PR_PG_NAME_BYTES_MAX);
    pg->names[pg->names_n] = (struct pr_pg_name){.name = name};
    return pg->names_n++;
}

/* Parse if needed, then Bind and Execute. libpq refuses only without memory or connection; without a SYNC behind it, what it took cannot commit. */
static bool send_commands(struct pr_pg *pg, struct pr_pg_open *open, const char *sql, const struct pr_params_view *view) {
    struct pr_pg_name *name = &pg->names[open->name];
    open->parses = !name->prepared;
    name->serial += open->parses ? 1 : 0;
    open->serial = name->serial;
    char server_name[PR_PG_NAME_BYTES_MAX + 12];
    (void)snprintf(server_name, sizeof server_name, "%s_%u", name->name, (unsigned)name->serial);
    if (open->parses && !PQsendPrepare(pg->conn, server_name, sql, view->n, view->types)) {
        return false;
    }
    name->prepared = true;
    return PQsendQueryPrepared(pg->conn, server_name, view->n, view->values, view->lengths, view->formats, 1) == 1;
}

bool pr_pg_send(struct pr_pg *pg, const char *name, const char *sql, struct pr_params *params, pr_pg_done *done,
                void *arg, int64_t now_ns) {
    struct pr_params_view view = {.n = 0};
    if (!pr_pg_has_room(pg) || (params && !pr_params_finish(params, &view))) {
        return false;
    }
    struct pr_pg_open open = {.done = done, .arg = arg, .name = name_index(pg, name)};
    if (!send_commands(pg, &open, sql, &view)) {
        set_error(pg, PQerrorMessage(pg->conn));
        pg->broken = true;
        return false;
    }
    pg->head_since_ns = pg->ring_n == 0 ? now_ns : pg->head_since_ns;
    pg->ring[(pg->ring_first + pg->ring_n) % pg->options.depth_max] = open;
    pg->ring_n++;
    if (!PQpipelineSync(pg->conn)) { /* the SYNC may or may not have left: in flight, until the drop says RECONNECT */
        set_error(pg, PQerrorMessage(pg->conn));
        pg->broken = true;
        return true;
    }
    flush(pg);
    return true;
}
