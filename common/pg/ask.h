/* One question over a connection of one's own, for threads that may wait for the answer, but not for ever. */
#ifndef PR_PG_ASK_H
#define PR_PG_ASK_H

#include <libpq-fe.h>
#include <stdint.h>

/*
 * PQexecParams with text values and a bound: when no answer came within `within_ms`, the connection is shut down, and PQstatus says CONNECTION_BAD. A server's
 * own statement_timeout and TCP's user timeout do not help against a proxy that acknowledges and never answers. The result is the caller's to
 * clear; NULL, which counts as an error to PQresultStatus, when nothing could be sent. The thread that owns `pg`.
 */
PGresult *pr_pg_ask(PGconn *pg, const char *sql, int n, const char *const *values, int64_t within_ms);

#endif
