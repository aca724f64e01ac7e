/* PostgreSQL for commands that a person waits for: synchronous, one connection, every error printed with its cure. */
#ifndef PR_CONTROL_DB_H
#define PR_CONTROL_DB_H

#include "base/attr.h"
#include "pg/params.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Connects with `conninfo` (--db: keywords or a URI), or POSTRIDER_POSTGRES_CONNINFO, or the PG* variables alone,
 * in that order. application_name is "postrider"; times are UTC. NULL after a message on stderr. The caller gives
 * it back with PQfinish. One thread.
 */
PGconn *pr_db_open(const char *conninfo) PR_MUST_CHECK;

/*
 * pr_db_open, and the schema must be there and not older than this program knows (see pr_db_schema_need). NULL
 * after a message with the cure.
 */
PGconn *pr_db_open_ready(const char *conninfo) PR_MUST_CHECK;

/*
 * The number of the newest migration that was applied; 0 when there is no schema yet; -1 after a message.
 * pr_db_schema_need is the newest one inside this program.
 */
int pr_db_schema(PGconn *db) PR_MUST_CHECK;
int pr_db_schema_need(void);

/* Runs one or more statements without parameters; rows are dropped. False after a message on stderr. */
bool pr_db_run(PGconn *db, const char *sql) PR_MUST_CHECK;

/*
 * One statement with `n` parameters as text ($1 … $n; NULL is NULL; the server infers types, cast where it
 * cannot). Results are text. NULL after a message on stderr; the caller gives it back with PQclear.
 */
PGresult *pr_db_query(PGconn *db, const char *sql, int n, const char *const *values) PR_MUST_CHECK;

/*
 * The same with binary parameters and arrays; results are text. `params` is finished by the call and may then be
 * reset.
 */
PGresult *pr_db_query_params(PGconn *db, const char *sql, struct pr_params *params) PR_MUST_CHECK;

/* The SQLSTATE of the last statement that failed, "" when there was none. Valid until the next failure. */
const char *pr_db_sqlstate(void);

/* Getters of text results; NULL reads as NULL, 0, false. Texts are borrowed from the result. */
const char *pr_db_text(const PGresult *r, int row, int col);
int64_t pr_db_int(const PGresult *r, int row, int col);
bool pr_db_bool(const PGresult *r, int row, int col);

/*
 * The number of the tenant called `name`; NULL: the only tenant there is. 0 after a message (unknown: the names
 * there are; several: to say --tenant). `label` gets its name when it is not NULL.
 */
enum { PR_TENANT_NAME = 64 };
int32_t pr_db_tenant(PGconn *db, const char *name, char label[PR_TENANT_NAME]) PR_MUST_CHECK;

#endif
