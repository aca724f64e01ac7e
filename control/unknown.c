/* `postrider unknown list` and `resolve`: requests that went out and got no definite answer. */
#include "base/clock.h"
#include "command.h"
#include "core/identity.h"
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LIST_MAX = 1000000 };

static const char list_sql[] =
    "select c.address, to_char(f.at, 'YYYY-MM-DD HH24:MI:SS'), (array['utility', 'marketing', 'authentication', "
    "'service'])[f.category + 1], f.rule,\n"
    "  f.subject, s.name, f.reason, f.attempt, f.resends, to_char(s.receipt_at, 'YYYY-MM-DD HH24:MI:SS'), f.id\n"
    "from postrider.fate f\n"
    "left join postrider.contact c on c.tenant = f.tenant and c.id = f.contact\n"
    "left join postrider.sender s on s.tenant = f.tenant and s.id = f.sender\n"
    "where f.tenant = $1::int and f.state = 4 and f.fate = 'unknown' order by f.at limit $2::bigint";

static const struct pr_column list_columns[] = {
    {"to", PR_COLUMN_TEXT},           {"since", PR_COLUMN_TEXT},      {"category", PR_COLUMN_TEXT},
    {"rule", PR_COLUMN_TEXT},         {"subject", PR_COLUMN_TEXT},    {"sender", PR_COLUMN_TEXT},
    {"reason", PR_COLUMN_TEXT},       {"attempts", PR_COLUMN_NUMBER}, {"resent", PR_COLUMN_NUMBER},
    {"last_receipt", PR_COLUMN_TEXT}, {"message", PR_COLUMN_TEXT},
};
enum { LIST_COLUMNS = (int)(sizeof list_columns / sizeof list_columns[0]) };

struct unknown {
    const char *tenant;
    int64_t limit;
    bool is_json, is_shown, is_accepted, is_lost, is_resent, is_dry;
    char tenant_id[24];
};

static bool find_tenant(PGconn *db, struct unknown *u) {
    int32_t id = pr_db_tenant(db, u->tenant, NULL);
    snprintf(u->tenant_id, sizeof u->tenant_id, "%" PRId32, id);
    return id != 0;
}

static enum pr_exit print_list(PGconn *db, struct unknown *u) {
    char limit[24];
    snprintf(limit, sizeof limit, "%" PRId64, u->limit);
    const char *values[] = {u->tenant_id, limit};
    PGresult *r = pr_db_query(db, list_sql, 2, values);
    enum pr_exit code = r ? pr_ledger_print(r, list_columns, LIST_COLUMNS, u->is_json, u->is_shown) : PR_EXIT_FAILED;
    PQclear(r);
    return code;
}

static enum pr_exit list(struct pr_call *call) {
    struct unknown u = {.limit = 50};
    const struct pr_option options[] = {
        {"tenant", PR_OPTION_TEXT, &u.tenant, 0, 0}, {"limit", PR_OPTION_INT, &u.limit, 1, LIST_MAX},
        {"json", PR_OPTION_FLAG, &u.is_json, 0, 0},  {"show-addresses", PR_OPTION_FLAG, &u.is_shown, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    PGconn *db = pr_db_open_ready(call->db);
    enum pr_exit code = db && find_tenant(db, &u) ? print_list(db, &u) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

const struct pr_command pr_command_unknown_list = {
    .noun = "unknown",
    .verb = "list",
    .summary = "Messages whose request got no definite answer, oldest first",
    .usage = "postrider unknown list [OPTION]…\n"
             "  --tenant TENANT        needed when there are several\n"
             "  --limit N              at most so many (50)\n"
             "  --show-addresses       addresses whole instead of masked\n"
             "  --json                 an object a line\n"
             "A receipt settles them by itself. Without one, utility and authentication messages are resent once while "
             "receipts of their sender\n"
             "arrive; marketing never is.\n",
    .run = list,
};

/* ---- resolve ---- */

static const char find_sql[] = "select f.day, f.fate, f.rule, f.attempt, exists (select from postrider.deferred x "
                               "where x.tenant = f.tenant and x.day = f.day and x.id = f.id)\n"
                               "from " PR_LEDGER_DAYS "\n"
                               "cross join lateral (select * from postrider.fate y where y.tenant = $1::int and y.day "
                               "= d.day and y.id = $2::uuid) f\n"
                               "order by f.fate = 'unknown' desc limit 1";

static const char *what_of(const struct unknown *u) {
    if (u->is_accepted + u->is_lost + u->is_resent != 1) {
        return NULL;
    }
    return u->is_accepted ? "accepted" : u->is_lost ? "lost" : "resend";
}

static const char *consequence_of(const struct unknown *u) {
    return u->is_accepted ? "counts as sent"
           : u->is_lost   ? "counts as refused, reason resolved_lost"
                          : "will be sent again";
}

static enum pr_exit resolve_found(PGconn *db, const struct unknown *u, const char *id, const PGresult *found) {
    if (PQntuples(found) == 0) {
        pr_error("%s: no such message", id);
        return PR_EXIT_NOTHING;
    }
    if (strcmp(pr_db_text(found, 0, 1), "unknown") != 0) {
        pr_error("%s: is not unknown but %s", id, pr_db_text(found, 0, 1));
        return PR_EXIT_NOTHING;
    }
    if (u->is_resent && !pr_db_bool(found, 0, 4)) {
        pr_error("%s: its record is no longer kept, so it cannot be sent again", id);
        return PR_EXIT_FAILED;
    }
    if (u->is_dry) {
        printf("%s: %s; nothing was changed\n", id, consequence_of(u));
        return PR_EXIT_DONE;
    }
    const char *values[] = {u->tenant_id, pr_db_text(found, 0, 0), id, what_of(u)};
    PGresult *r = pr_db_query(db, "select postrider.resolve_unknown_v1($1::int, $2::date, $3::uuid, $4)", 4, values);
    bool is_done = r && pr_db_bool(r, 0, 0);
    if (is_done) {
        printf("%s: %s\n", id, consequence_of(u));
    } else if (r) {
        pr_error("%s: was settled by somebody else meanwhile", id);
    }
    PQclear(r);
    return is_done ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

static enum pr_exit find_and_resolve(PGconn *db, struct unknown *u, const char *id) {
    if (!find_tenant(db, u)) {
        return PR_EXIT_FAILED;
    }
    const char *values[] = {u->tenant_id, id};
    PGresult *found = pr_db_query(db, find_sql, 2, values);
    enum pr_exit code = found ? resolve_found(db, u, id, found) : PR_EXIT_FAILED;
    PQclear(found);
    return code;
}

static enum pr_exit resolve(struct pr_call *call) {
    struct unknown u = {.limit = 0};
    struct pr_uuid uuid;
    const struct pr_option options[] = {
        {"tenant", PR_OPTION_TEXT, &u.tenant, 0, 0},  {"accepted", PR_OPTION_FLAG, &u.is_accepted, 0, 0},
        {"lost", PR_OPTION_FLAG, &u.is_lost, 0, 0},   {"resend", PR_OPTION_FLAG, &u.is_resent, 0, 0},
        {"dry-run", PR_OPTION_FLAG, &u.is_dry, 0, 0}, {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_call_options(call, options, 1, 1)) {
        return PR_EXIT_USAGE;
    }
    const char *id = call->argv[0];
    if (!pr_uuid_parse(pr_span_of(id), &uuid)) {
        return pr_usage_error(call, "%s: an id as `postrider unknown list` shows it is needed", id);
    }
    if (!what_of(&u)) {
        return pr_usage_error(call, "exactly one of --accepted, --lost and --resend is needed");
    }
    PGconn *db = pr_db_open_ready(call->db);
    enum pr_exit code = db ? find_and_resolve(db, &u, id) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

const struct pr_command pr_command_unknown_resolve = {
    .noun = "unknown",
    .verb = "resolve",
    .summary = "Say what became of an unknown message",
    .usage = "postrider unknown resolve MESSAGE --accepted|--lost|--resend [OPTION]…\n"
             "  --accepted             the platform took it: it counts as sent\n"
             "  --lost                 it did not, and it shall not be sent again: it counts as refused\n"
             "  --resend               it goes out again; the person may get it twice if the platform did take it\n"
             "  --tenant TENANT        needed when there are several\n"
             "  --dry-run              say what would happen\n",
    .run = resolve,
};
