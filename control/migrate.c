/* `postrider migrate`: brings the schema to what this program needs, in order, once, under a lock. */
#include "command.h"
#include "db.h"
#include "output.h"

#include "pr_function.h"
#include "pr_migration.h"
#include "pr_view.h"

#include <stdlib.h>
#include <string.h>

/* The same number as in schema/functions/partition.sql, another second one: whoever migrates is alone. */
static const char lock_sql[] = "select pg_advisory_xact_lock(7236832, 0)";

static const char *const roles[] = {"postrider_dispatcher", "postrider_webhook", "postrider_dashboard"};
enum { ROLES = 3, PARTITIONS_AHEAD = 7 };

struct migrate {
    PGconn *db;
    int at; /* newest migration applied */
    int64_t retention_days;
    bool is_dry;
};

static int number_of(const struct pr_sql_file *file) {
    return (int)strtol(file->name, NULL, 10);
}

/* One value as text, or NULL when there is no row or it is null; `*ok` false after an error. The caller frees it. */
static char *one_text(PGconn *db, const char *sql, int n, const char *const *values, bool *ok) {
    PGresult *r = pr_db_query(db, sql, n, values);
    *ok = r != NULL;
    char *text = NULL;
    if (r && PQntuples(r) > 0 && !PQgetisnull(r, 0, 0)) {
        text = strdup(PQgetvalue(r, 0, 0));
    }
    PQclear(r);
    return text;
}

/* Whether the answer of `sql` is true. */
static bool is_true(PGconn *db, const char *sql, int n, const char *const *values, bool *ok) {
    char *text = one_text(db, sql, n, values, ok);
    bool is = text && text[0] == 't';
    free(text);
    return is;
}

/* Runs `sql` between begin and commit, after the lock. On failure the transaction is rolled back. */
static bool in_transaction(PGconn *db, const char *before, const char *sql) {
    if (pr_db_run(db, "begin") && pr_db_run(db, lock_sql) && (!before || pr_db_run(db, before)) && pr_db_run(db, sql) &&
        pr_db_run(db, "commit")) {
        return true;
    }
    PQclear(PQexec(db, "rollback"));
    return false;
}

static bool make_schema(struct migrate *m) {
    bool ok = false;
    /* "if not exists" alone would ask for the right to create schemas even when there is nothing to create. */
    bool is_there = is_true(m->db, "select to_regnamespace('postrider') is not null", 0, NULL, &ok);
    return ok && in_transaction(m->db, is_there ? NULL : "create schema if not exists postrider",
                                "create table if not exists postrider.migration ("
                                "number int primary key, name text not null, sha256 text not null, "
                                "applied_at timestamptz not null default clock_timestamp())");
}

static char *checksum(PGconn *db, const struct pr_sql_file *file, bool *ok) {
    return one_text(db, "select encode(sha256(convert_to($1, 'UTF8')), 'hex')", 1, &file->text, ok);
}

/* The checksum under which a migration was applied; NULL when it was not. */
static char *applied_checksum(PGconn *db, const struct pr_sql_file *file, bool *ok) {
    char number[16];
    snprintf(number, sizeof(number), "%d", number_of(file));
    const char *value = number;
    return one_text(db, "select sha256 from postrider.migration where number = $1::int", 1, &value, ok);
}

enum found { FOUND_ERROR, FOUND_PENDING, FOUND_APPLIED, FOUND_CHANGED };

static enum found look(struct migrate *m, const struct pr_sql_file *file) {
    if (m->at == 0) {
        return FOUND_PENDING;
    }
    bool ok_mine = false, ok_theirs = false;
    char *mine = checksum(m->db, file, &ok_mine);
    char *theirs = applied_checksum(m->db, file, &ok_theirs);
    enum found found = FOUND_ERROR;
    if (ok_mine && ok_theirs && mine) {
        found = !theirs ? FOUND_PENDING : strcmp(mine, theirs) == 0 ? FOUND_APPLIED : FOUND_CHANGED;
    }
    free(mine);
    free(theirs);
    return found;
}

/* True when every applied migration is the one that this program has. */
static bool check_applied(struct migrate *m) {
    for (const struct pr_sql_file *f = pr_migration_files; f->name; f++) {
        switch (look(m, f)) {
        case FOUND_ERROR: return false;
        case FOUND_CHANGED:
            pr_error("migration %s was applied with other content than this program has: it came from another build.\n"
                     "  Nothing was changed. Use the build that made this schema, or a release that follows it.",
                     f->name);
            return false;
        case FOUND_PENDING:
            if (number_of(f) < m->at) {
                pr_error("migration %s is missing although later ones were applied; nothing was changed", f->name);
                return false;
            }
            break;
        case FOUND_APPLIED: break;
        }
    }
    return true;
}

/* Inside the transaction: somebody else may have applied it while we waited for the lock. */
static bool apply_one(struct migrate *m, const struct pr_sql_file *file, bool *did) {
    char number[16];
    snprintf(number, sizeof(number), "%d", number_of(file));
    const char *const values[] = {number, file->name, file->text};
    bool ok = false;
    if (is_true(m->db, "select exists (select from postrider.migration where number = $1::int)", 1, values, &ok) || !ok) {
        return ok;
    }
    if (!pr_db_run(m->db, file->text)) {
        pr_error("migration %s failed and was rolled back", file->name);
        return false;
    }
    PGresult *r = pr_db_query(m->db,
                              "insert into postrider.migration (number, name, sha256) "
                              "values ($1::int, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))",
                              3, values);
    PQclear(r);
    *did = r != NULL;
    return *did;
}

static bool apply_pending(struct migrate *m) {
    for (const struct pr_sql_file *f = pr_migration_files; f->name; f++) {
        if (number_of(f) <= m->at) {
            continue;
        }
        bool did = false;
        if (!pr_db_run(m->db, "begin") || !pr_db_run(m->db, lock_sql) || !apply_one(m, f, &did) ||
            !pr_db_run(m->db, "commit")) {
            PQclear(PQexec(m->db, "rollback"));
            return false;
        }
        printf("%-11s%s\n", did ? "applied" : "there", f->name);
    }
    return true;
}

/* Makes a role when it is missing and we may; else tells what the administrator has to run. */
static bool make_role(PGconn *db, const char *role, bool may_create) {
    bool ok = false;
    if (is_true(db, "select exists (select from pg_roles where rolname = $1)", 1, &role, &ok) || !ok) {
        return ok;
    }
    char sql[96];
    snprintf(sql, sizeof(sql), "create role %s nologin", role);
    if (may_create) {
        /* Roles belong to the whole cluster: another database's migrate may have made it a moment ago. */
        if (!pr_db_run(db, sql) && strcmp(pr_db_sqlstate(), "42710") != 0) {
            return false;
        }
        printf("%-11s%s (no login; grant it to the login role of its program)\n", "role", role);
    } else {
        printf("%-11s%s is missing. The administrator should run: %s; then run postrider migrate again\n", "role", role,
               sql);
    }
    return true;
}

static bool make_roles(PGconn *db) {
    bool ok = false;
    bool may = is_true(db, "select rolsuper or rolcreaterole from pg_roles where rolname = current_user", 0, NULL, &ok);
    for (int i = 0; i < ROLES && ok; i++) {
        ok = make_role(db, roles[i], may);
    }
    return ok;
}

/* All files of a table in one transaction: dispatchers see the old functions or the new ones, never a mixture. */
static bool run_files(PGconn *db, const struct pr_sql_file *files, const char *what) {
    bool ok =
        pr_db_run(db, "begin") && pr_db_run(db, lock_sql) && pr_db_run(db, "set local check_function_bodies = off");
    int n = 0;
    for (const struct pr_sql_file *f = files; ok && f->name; f++, n++) {
        ok = pr_db_run(db, f->text);
        if (!ok) {
            pr_error("%s %s failed; none of them was changed", what, f->name);
        }
    }
    if (!ok || !pr_db_run(db, "commit")) {
        PQclear(PQexec(db, "rollback"));
        return false;
    }
    printf("%-11s%d files\n", what, n);
    return true;
}

static bool make_partitions(struct migrate *m) {
    char days[24];
    snprintf(days, sizeof(days), "%lld", (long long)m->retention_days);
    const char *value = days;
    char sql[96];
    snprintf(sql, sizeof(sql), "select postrider.partition_make_v1($1::int, %d)", PARTITIONS_AHEAD);
    bool ok = false;
    char *made = one_text(m->db, sql, 1, &value, &ok);
    if (ok) {
        printf("%-11s%s made (%s days back, %d ahead)\n", "partitions", made ? made : "0", days, PARTITIONS_AHEAD);
    }
    free(made);
    return ok;
}

static enum pr_exit show_status(struct migrate *m, bool is_json) {
    static const struct pr_column columns[] = {{"number", PR_COLUMN_NUMBER},
                                               {"name", PR_COLUMN_TEXT},
                                               {"state", PR_COLUMN_TEXT},
                                               {"applied_at", PR_COLUMN_TEXT}};
    struct pr_table table;
    pr_table_init(&table, columns, 4);
    bool ok = true;
    for (const struct pr_sql_file *f = pr_migration_files; ok && f->name; f++) {
        static const char *const words[] = {"error", "pending", "applied", "changed"};
        enum found found = look(m, f);
        const char *name = f->name;
        char *at =
            found == FOUND_ERROR || m->at == 0
                ? NULL
                : one_text(m->db, "select date_trunc('second', applied_at) from postrider.migration where name = $1", 1,
                           &name, &ok);
        ok = ok && found != FOUND_ERROR;
        pr_table_int(&table, number_of(f));
        pr_table_text(&table, f->name);
        pr_table_text(&table, words[found]);
        pr_table_text(&table, at);
        free(at);
    }
    PGresult *newer = NULL;
    if (ok && m->at > pr_db_schema_need()) {
        char number[16];
        snprintf(number, sizeof(number), "%d", pr_db_schema_need());
        const char *value = number;
        newer = pr_db_query(m->db,
                            "select number, name, date_trunc('second', applied_at) from postrider.migration "
                            "where number > $1::int order by 1",
                            1, &value);
        ok = newer != NULL;
    }
    for (int i = 0; ok && newer && i < PQntuples(newer); i++) {
        pr_table_text(&table, pr_db_text(newer, i, 0));
        pr_table_text(&table, pr_db_text(newer, i, 1));
        pr_table_text(&table, "newer than this program");
        pr_table_text(&table, pr_db_text(newer, i, 2));
    }
    PQclear(newer);
    ok = ok && pr_table_print(&table, stdout, is_json);
    pr_table_free(&table);
    return ok ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

static enum pr_exit show_plan(struct migrate *m) {
    int n = 0;
    for (const struct pr_sql_file *f = pr_migration_files; f->name; f++) {
        if (number_of(f) > m->at) {
            printf("%-12s%s\n", "would apply", f->name);
            n++;
        }
    }
    printf("%s, then functions, views, grants and partitions. Nothing was changed.\n",
           n ? "would apply these" : "no migration is pending");
    return PR_EXIT_DONE;
}

static enum pr_exit migrate(struct migrate *m) {
    if (m->at > pr_db_schema_need()) {
        pr_error("the schema is at migration %d, newer than this program (%d): nothing was changed. Migrate with the "
                 "newer program; it never goes back",
                 m->at, pr_db_schema_need());
        return PR_EXIT_FAILED;
    }
    if (!check_applied(m)) {
        return PR_EXIT_FAILED;
    }
    if (m->is_dry) {
        return show_plan(m);
    }
    bool ok = make_schema(m) && apply_pending(m) && make_roles(m->db) &&
              run_files(m->db, pr_function_files, "functions") && run_files(m->db, pr_view_files, "views") &&
              make_partitions(m);
    return ok ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

static enum pr_exit run(struct pr_call *call) {
    struct migrate m = {.retention_days = 30};
    bool is_status = false, is_json = false;
    const struct pr_option options[] = {{"status", PR_OPTION_FLAG, &is_status, 0, 0},
                                        {"dry-run", PR_OPTION_FLAG, &m.is_dry, 0, 0},
                                        {"json", PR_OPTION_FLAG, &is_json, 0, 0},
                                        {"retention-days", PR_OPTION_INT, &m.retention_days, 1, 3650},
                                        {0}};
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (is_json && !is_status) {
        return pr_usage_error(call, "--json goes with --status");
    }
    m.db = pr_db_open(call->db);
    m.at = m.db ? pr_db_schema(m.db) : -1;
    enum pr_exit code = PR_EXIT_FAILED;
    if (m.at >= 0) {
        code = is_status ? show_status(&m, is_json) : migrate(&m);
    }
    PQfinish(m.db);
    return code;
}

const struct pr_command pr_command_migrate = {
    .noun = "migrate",
    .verb = "",
    .summary = "Create or update the schema in PostgreSQL",
    .usage =
        "postrider migrate [--status [--json]] [--dry-run] [--retention-days 30]\n\n"
        "Applies the migrations that are missing, then replaces functions and views, grants rights to the roles and "
        "makes the ledger's\n"
        "partitions. Safe to run again and beside running dispatchers; needs neither superuser nor extensions.\n\n"
        "  --status               only show what was applied and what is pending\n"
        "  --json                 with --status: an object a line\n"
        "  --dry-run              only show what would be applied\n"
        "  --retention-days N     days the ledger is kept (1 to 3650): partitions are made that far back; default 30\n",
    .run = run,
};
