/* A PostgreSQL connection in pipeline mode on somebody else's event loop: statements go out in order, answers come back in order. */
#ifndef PR_PG_PG_H
#define PR_PG_PG_H

#include "base/attr.h"
#include "base/span.h"
#include "pg/params.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* What the caller should do about a failing statement; by SQLSTATE (design: claim). */
enum pr_pg_class {
    PR_PG_OK,
    PR_PG_REPEAT, /* 40001, 40P01, 55P03, and a prepared statement that the server lost or must plan anew: the same statement again */
    PR_PG_RECONNECT, /* classes 08, 53, 57, 58, XX, 25006 (a standby), and a connection that broke before its SYNC: nothing is known of the statement */
    PR_PG_FENCED,    /* PR001: our own lease or epoch is over (raised by our functions) */
    PR_PG_BAD,       /* anything else: this statement will never work as it is; see pr_pg_blames_data */
};

/*
 * Of a BAD statement: whether its parameters may be the reason, so that halving the batch can find the one. False for classes that no data can
 * cause (0A, 25, 28, 3D, 3F, 42: a function, table or right is missing): dead-lettering would blame every job in turn, so stop instead.
 */
bool pr_pg_blames_data(const char sqlstate[6]);

/*
 * The end of one statement. Delivered only when its SYNC has arrived: rows alone prove nothing, because in pipeline mode they come before
 * the commit. `rows` is NULL unless OK; it and the texts are borrowed for the callback. `message` is never NULL.
 */
struct pr_pg_result {
    enum pr_pg_class class;
    const PGresult *rows;
    char sqlstate[6]; /* "" when there is none */
    const char *message;
};

/* Called from pr_pg_io, pr_pg_timer or pr_pg_free, once for every statement sent. May send further statements, may not free `pg`. */
typedef void pr_pg_done(void *arg, const struct pr_pg_result *result);

struct pr_pg;

struct pr_pg_options {
    const char *conninfo;    /* keywords or URI; this and the two below are borrowed for the life of the connection */
    const char *application; /* application_name, unless conninfo has one */
    const char *setup;       /* statements to run after each connect, in one transaction; "" for none */
    int64_t connect_timeout_ms; /* over 0; for connecting and setting up together. Resolving a host's name is libpq's and not bounded by it */
    int64_t statement_timeout_ms; /* over 0; also set on the server. 5 s more without an answer and the connection is dropped */
    uint32_t depth_max;           /* statements in flight at the most, 1 and up */
};

/*
 * What the loop should watch; it may change at any call of this header except the getters, so ask again after each. fd -1: nothing, only the timer.
 * Another `socket` number with the same fd means that the descriptor was closed and opened anew: an epoll registration is gone and has to be made again.
 */
struct pr_pg_interest {
    int fd;
    bool want_read, want_write;
    uint64_t socket;
    int64_t timer_ns; /* CLOCK_MONOTONIC time at which to call pr_pg_timer (may be past), 0 for none */
};

/* NULL only without memory. Starts no I/O: the first pr_pg_timer call connects. One thread. */
struct pr_pg *pr_pg_new(const struct pr_pg_options *options);

/* Fails all open statements with RECONNECT, closes, frees. NULL is accepted. */
void pr_pg_free(struct pr_pg *pg);

struct pr_pg_interest pr_pg_interest(const struct pr_pg *pg);

/* The descriptor became ready. */
void pr_pg_io(struct pr_pg *pg, bool readable, bool writable, int64_t now_ns);

/*
 * Time passed: connects, reconnects after a backoff (100 ms doubling to 5 s, back to 100 ms once a statement got through), ends what timed out.
 * With several hosts in conninfo, one that does not answer at all in connect_timeout is put last.
 */
void pr_pg_timer(struct pr_pg *pg, int64_t now_ns);

/*
 * Connected and in pipeline mode with the setup run. A connection through a pooler in transaction mode never gets there: pr_pg_error has the cure.
 */
bool pr_pg_is_ready(const struct pr_pg *pg);

/* Room for another statement (ready and below depth_max). */
bool pr_pg_has_room(const struct pr_pg *pg);

/* Why the connection is not ready, for logs and --check-config, without a newline; "" when it is, or before its first try ended. */
const char *pr_pg_error(const struct pr_pg *pg);

/* Times it was (re)connected; a statement sent before a change of it never comes back OK after it. */
uint64_t pr_pg_generation(const struct pr_pg *pg);

/*
 * Sends one statement followed by its own SYNC; a statement named `name` is prepared on first use per connection, with `params`' types: the same name
 * is always the same text and types, at most PR_PG_NAMES_MAX names. Results come in binary. False when there is no room, `params` failed or libpq
 * refused: nothing was sent and `done` will not be called. `params` NULL: none; may be reset as soon as the call returns. `name` and `sql`: static or
 * kept for the life of the connection.
 */
enum { PR_PG_NAMES_MAX = 256, PR_PG_NAME_BYTES_MAX = 48 };
bool pr_pg_send(struct pr_pg *pg, const char *name, const char *sql, struct pr_params *params, pr_pg_done *done,
                void *arg, int64_t now_ns) PR_MUST_CHECK;

/* Binary getters for the result formats we use; the column must have that type. NULL reads as 0, false, PR_TIME_NONE or a span with p NULL. */
bool pr_pg_is_null(const PGresult *r, int row, int col);
int16_t pr_pg_int2(const PGresult *r, int row, int col);
int32_t pr_pg_int4(const PGresult *r, int row, int col);
int64_t pr_pg_int8(const PGresult *r, int row, int col);
bool pr_pg_bool(const PGresult *r, int row, int col);
double pr_pg_float8(const PGresult *r, int row, int col);
struct pr_span pr_pg_bytes(const PGresult *r, int row, int col); /* text, bytea, uuid; borrowed from the result */
int64_t pr_pg_time_us(const PGresult *r, int row,
                      int col); /* timestamptz to microseconds since 1970; ±infinity is INT64_MAX / INT64_MIN + 1 */
int32_t pr_pg_date_days(const PGresult *r, int row,
                        int col); /* date to days since 1970-01-01; infinite ones INT32_MAX, INT32_MIN */

#endif
