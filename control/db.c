/* Connecting, running statements and saying what went wrong, for commands that a person waits for. */
#include "db.h"
#include "command.h"

#include "pr_migration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char last_sqlstate[6];

const char *pr_db_sqlstate(void) {
    return last_sqlstate;
}

/* What a person can do about an SQLSTATE; NULL when the message alone has to do. */
static const char *cure_of(const char *sqlstate) {
    static const struct {
        const char *state, *cure;
    } cures[] = {
        {"25006",
         "this server is a standby: connect to the primary (with several hosts: target_session_attrs=read-write)"},
        {"3F000", "run: postrider migrate"},
        {"40P01", "try again"},
        {"42501", "connect as the owner of schema postrider, or as a role that may do this"},
        {"42883", "run: postrider migrate"},
        {"42P01", "run: postrider migrate"},
        {"53300", "the server has no connection left: raise max_connections or end idle ones"},
        {"55P03", "somebody holds a lock: try again"},
        {"57014", "the statement ran into statement_timeout: raise it for this role"},
    };
    for (size_t i = 0; i < sizeof(cures) / sizeof(cures[0]); i++) {
        if (strcmp(cures[i].state, sqlstate) == 0) {
            return cures[i].cure;
        }
    }
    return NULL;
}

/* libpq ends its messages with a newline. */
static int trimmed(const char *message) {
    size_t n = strlen(message);
    while (n > 0 && (message[n - 1] == '\n' || message[n - 1] == ' ')) {
        n--;
    }
    return (int)n;
}

static void report(PGconn *db, const PGresult *result) {
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    snprintf(last_sqlstate, sizeof(last_sqlstate), "%s", state ? state : "");
    const char *message = result ? PQresultErrorMessage(result) : "";
    if (*message == '\0') {
        message = PQerrorMessage(db);
    }
    const char *cure = cure_of(last_sqlstate);
    pr_error("PostgreSQL: %.*s%s%s", trimmed(message), message, cure ? "\n  " : "", cure ? cure : "");
}

static bool set_up(PGconn *db) {
    /*
     * UTC and ISO, because commands print times as they come; notices of "already exists" would only disturb. Compiling a plan
     * over all day partitions takes seconds (measured: 4.7 s for a query of 17 ms).
     */
    return pr_db_run(
        db, "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set jit = off; set "
            "client_min_messages = warning");
}

PGconn *pr_db_open(const char *conninfo) {
    if (!conninfo) {
        conninfo = getenv("POSTRIDER_POSTGRES_CONNINFO");
    }
    /*
     * The conninfo is expanded where it stands, so what follows it cannot be overridden by it, and what stands
     * before can.
     */
    const char *const names[] = {"connect_timeout", "dbname", "fallback_application_name", "client_encoding", NULL};
    const char *const values[] = {"10", conninfo ? conninfo : "", "postrider", "UTF8", NULL};
    PGconn *db = PQconnectdbParams(names, values, 1);
    if (!db) {
        pr_error("out of memory");
        return NULL;
    }
    if (PQstatus(db) != CONNECTION_OK) {
        pr_error("cannot connect to PostgreSQL: %.*s\n  say where it is with --db 'host=… dbname=… user=…', "
                 "POSTRIDER_POSTGRES_CONNINFO or the PG* variables",
                 trimmed(PQerrorMessage(db)), PQerrorMessage(db));
        PQfinish(db);
        return NULL;
    }
    if (PQserverVersion(db) < 150000) {
        pr_error("PostgreSQL %d is too old: 15 or later is needed", PQserverVersion(db) / 10000);
        PQfinish(db);
        return NULL;
    }
    if (!set_up(db)) {
        PQfinish(db);
        return NULL;
    }
    return db;
}

int pr_db_schema_need(void) {
    int newest = 0;
    for (const struct pr_sql_file *f = pr_migration_files; f->name; f++) {
        newest = (int)strtol(f->name, NULL, 10);
    }
    return newest;
}

int pr_db_schema(PGconn *db) {
    PGresult *r = pr_db_query(db, "select to_regclass('postrider.migration') is not null", 0, NULL);
    if (!r) {
        return -1;
    }
    bool is_there = pr_db_bool(r, 0, 0);
    PQclear(r);
    if (!is_there) {
        return 0;
    }
    r = pr_db_query(db, "select coalesce(max(number), 0) from postrider.migration", 0, NULL);
    if (!r) {
        return -1;
    }
    int number = (int)pr_db_int(r, 0, 0);
    PQclear(r);
    return number;
}

PGconn *pr_db_open_ready(const char *conninfo) {
    PGconn *db = pr_db_open(conninfo);
    int number = db ? pr_db_schema(db) : -1;
    if (db && number >= 0 && number < pr_db_schema_need()) {
        if (number == 0) {
            pr_error("database %s has no schema postrider: run: postrider migrate", PQdb(db));
        } else {
            pr_error("the schema in database %s is at migration %d, this program needs %d: run: postrider migrate",
                     PQdb(db), number, pr_db_schema_need());
        }
        number = -1;
    }
    if (db && number < 0) {
        PQfinish(db);
        return NULL;
    }
    return db;
}

static PGresult *checked(PGconn *db, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        return result;
    }
    report(db, result);
    PQclear(result);
    return NULL;
}

bool pr_db_run(PGconn *db, const char *sql) {
    PGresult *result = checked(db, PQexec(db, sql));
    if (!result) {
        return false;
    }
    PQclear(result);
    return true;
}

PGresult *pr_db_query(PGconn *db, const char *sql, int n, const char *const *values) {
    return checked(db, PQexecParams(db, sql, n, NULL, values, NULL, NULL, 0));
}

PGresult *pr_db_query_params(PGconn *db, const char *sql, struct pr_params *params) {
    struct pr_params_view view;
    if (!pr_params_finish(params, &view)) {
        pr_error("out of memory for the parameters of a statement");
        return NULL;
    }
    return checked(db, PQexecParams(db, sql, view.n, view.types, view.values, view.lengths, view.formats, 0));
}

const char *pr_db_text(const PGresult *r, int row, int col) {
    return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

int64_t pr_db_int(const PGresult *r, int row, int col) {
    return (int64_t)strtoll(PQgetvalue(r, row, col), NULL, 10);
}

bool pr_db_bool(const PGresult *r, int row, int col) {
    return PQgetvalue(r, row, col)[0] == 't';
}

/* "aurora, boreal, …" for the message. */
static void tenant_names(const PGresult *r, char *out, size_t room) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < PQntuples(r) && n < room; i++) {
        int more = snprintf(out + n, room - n, "%s%s", i ? ", " : "", PQgetvalue(r, i, 1));
        n += more > 0 ? (size_t)more : 0;
    }
}

int32_t pr_db_tenant(PGconn *db, const char *name, char label[PR_TENANT_NAME]) {
    PGresult *r = pr_db_query(db, "select id, name from postrider.tenant order by name limit 20", 0, NULL);
    PGresult *one =
        r && name ? pr_db_query(db, "select id, name from postrider.tenant where name = $1", 1, &name) : NULL;
    int32_t id = 0;
    if (r && (one || !name)) {
        const PGresult *from = name ? one : r;
        char names[512];
        tenant_names(r, names, sizeof(names));
        if (PQntuples(from) == 1) {
            id = (int32_t)pr_db_int(from, 0, 0);
            if (label) {
                snprintf(label, PR_TENANT_NAME, "%s", PQgetvalue(from, 0, 1));
            }
        } else if (PQntuples(r) == 0) {
            pr_error("there is no tenant yet: apply a business.json first (postrider apply)");
        } else if (name) {
            pr_error("--tenant %s: no such tenant; there is: %s", name, names);
        } else {
            pr_error("there are several tenants: say which with --tenant (%s)", names);
        }
    }
    PQclear(one);
    PQclear(r);
    return id;
}
