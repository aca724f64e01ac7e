/* `postrider message list` and `show`: what became of messages, and every attempt at one. */
#include "command.h"
#include "core/address.h"
#include "core/identity.h"
#include "base/buf.h"
#include "base/clock.h"
#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 1000000, IDS_TEXT_MAX = 1024 * 1024 };

struct list {
    const char *tenant, *to, *state, *since, *rule;
    int64_t limit;
    bool is_json, is_shown;
    char interval[PR_LEDGER_TEXT];
    char fate[PR_LEDGER_TEXT]; /* "" for any */
    const char *reason;        /* NULL for any */
    struct pr_address address;
};

/* Fates without a message row stand in aside; they have neither recipient nor rule. */
static const char list_sql[] =
    "with since as (select postrider.clock() - $5::interval as at, ((postrider.clock() - $5::interval) at time zone "
    "'UTC')::date - 1 as day)\n"
    "select x.address, to_char(x.at, 'YYYY-MM-DD HH24:MI:SS'), x.fate, x.reason, x.category, x.rule, x.type, "
    "x.subject, x.id,\n"
    "       t.name || '/' || x.part || '/' || x.off\n"
    "from (\n"
    "  select c.address, f.at, f.fate, f.reason, (array['utility', 'marketing', 'authentication', "
    "'service'])[f.category + 1] as category, f.rule,\n"
    "         f.type, f.subject, f.id, f.topic, f.part, f.off\n"
    "  from postrider.fate f left join postrider.contact c on c.tenant = f.tenant and c.id = f.contact\n"
    "  where f.tenant = $1::int and f.day >= (select day from since) and f.at >= (select at from since)\n"
    "    and ($2::text is null or f.contact = (select k.id from postrider.contact k where k.tenant = $1::int and "
    "k.address = $2))\n"
    "    and ($3::text is null or f.fate = $3) and ($4::text is null or f.reason = $4) and ($6::text is null or f.rule "
    "= $6)\n"
    "  union all\n"
    "  select null, a.at, a.kind, a.reason, null, null, a.type, null, a.id, a.topic, a.part, a.off\n"
    "  from postrider.aside a\n"
    "  where $2::text is null and $6::text is null and a.tenant in ($1::int, 0) and a.at >= (select at from since)\n"
    "    and ($3::text is null or a.kind = $3) and ($4::text is null or a.reason = $4)) x\n"
    "left join postrider.topic t on t.id = x.topic\n"
    "order by x.at desc, x.id limit $7::bigint";

static const struct pr_column list_columns[] = {
    {"to", PR_COLUMN_TEXT},       {"at", PR_COLUMN_TEXT},     {"fate", PR_COLUMN_TEXT}, {"reason", PR_COLUMN_TEXT},
    {"category", PR_COLUMN_TEXT}, {"rule", PR_COLUMN_TEXT},   {"type", PR_COLUMN_TEXT}, {"subject", PR_COLUMN_TEXT},
    {"message", PR_COLUMN_TEXT},  {"origin", PR_COLUMN_TEXT},
};
enum { LIST_COLUMNS = (int)(sizeof list_columns / sizeof list_columns[0]) };

/* "refused" or "refused:no_consent"; the words of the report are taken too. */
static enum pr_exit read_state(struct list *l, const struct pr_call *call) {
    static const char *const fates[] = {"sent",    "refused", "deferred", "cancelled", "superseded",
                                        "unknown", "claimed", "dead",     "applied",   "duplicate"};
    const char *colon = strchr(l->state, ':');
    snprintf(l->fate, sizeof l->fate, "%.*s", colon ? (int)(colon - l->state) : (int)strlen(l->state), l->state);
    l->reason = colon ? colon + 1 : NULL;
    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        if (strcmp(fates[i], l->fate) == 0) {
            return PR_EXIT_DONE;
        }
    }
    return pr_usage_error(call,
                          "--state %s: one of sent, refused, deferred, cancelled, superseded, unknown, claimed, dead, "
                          "applied, duplicate is "
                          "needed, and :REASON behind it if you like",
                          l->state);
}

static enum pr_exit read_list(struct list *l, struct pr_call *call) {
    const struct pr_option options[] = {
        {"tenant", PR_OPTION_TEXT, &l->tenant, 0, 0}, {"to", PR_OPTION_TEXT, &l->to, 0, 0},
        {"state", PR_OPTION_TEXT, &l->state, 0, 0},   {"since", PR_OPTION_TEXT, &l->since, 0, 0},
        {"rule", PR_OPTION_TEXT, &l->rule, 0, 0},     {"limit", PR_OPTION_INT, &l->limit, 1, LIST_MAX},
        {"json", PR_OPTION_FLAG, &l->is_json, 0, 0},  {"show-addresses", PR_OPTION_FLAG, &l->is_shown, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_call_options(call, options, 0, 0) || !pr_ledger_since(call, l->since, l->interval)) {
        return PR_EXIT_USAGE;
    }
    if (l->to && !pr_address_parse(pr_span_of(l->to), &l->address)) {
        return pr_usage_error(call, "--to %s: a number like +5511999990000, or a user id, is needed", l->to);
    }
    return l->state ? read_state(l, call) : PR_EXIT_DONE;
}

static enum pr_exit query_list(PGconn *db, struct list *l) {
    char tenant[24], limit[24];
    int32_t id = pr_db_tenant(db, l->tenant, NULL);
    if (id == 0) {
        return PR_EXIT_FAILED;
    }
    snprintf(tenant, sizeof tenant, "%" PRId32, id);
    snprintf(limit, sizeof limit, "%" PRId64, l->limit);
    const char *values[] = {
        tenant, l->to ? l->address.text : NULL, *l->fate ? l->fate : NULL, l->reason, l->interval, l->rule, limit};
    PGresult *r = pr_db_query(db, list_sql, 7, values);
    if (!r) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = pr_ledger_print(r, list_columns, LIST_COLUMNS, l->is_json, l->is_shown);
    if (PQntuples(r) == l->limit && !l->is_json) {
        fprintf(stderr, "the newest %" PRId64 "; --limit shows more\n", l->limit);
    }
    PQclear(r);
    return code;
}

static enum pr_exit list(struct pr_call *call) {
    struct list l = {.since = "24h", .limit = 50};
    enum pr_exit code = read_list(&l, call);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    PGconn *db = pr_db_open_ready(call->db);
    code = db ? query_list(db, &l) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

const struct pr_command pr_command_message_list = {
    .noun = "message",
    .verb = "list",
    .summary = "What became of messages, newest first",
    .usage = "postrider message list [OPTION]…\n"
             "  --to ADDRESS           of one recipient: +5511999990000\n"
             "  --state FATE[:REASON]  sent, refused, deferred, cancelled, superseded, unknown, claimed, dead, "
             "applied, duplicate;\n"
             "                         refused:no_consent\n"
             "  --since 24h            decided in that time (24h), of events at most a day older\n"
             "  --rule RULE            made by this rule\n"
             "  --tenant TENANT        needed when there are several\n"
             "  --limit N              at most so many (50)\n"
             "  --show-addresses       addresses whole instead of masked\n"
             "  --json                 an object a line\n",
    .run = list,
};

/* ---- show ---- */

struct show {
    const char *tenant, *source, *id, *message;
    bool is_json, is_shown;
    struct pr_buf ids; /* an array of uuids as PostgreSQL reads it */
};

#define OF_MESSAGE "x.tenant = f.tenant and x.day = f.day and x.id = f.id"

static const char show_sql[] =
    "select c.address, f.id, f.day, f.fate, f.reason, (array['utility', 'marketing', 'authentication', "
    "'service'])[f.category + 1], f.rule, f.type,\n"
    "  f.subject, f.event_at, f.at, f.answered_at, f.wamid, s.name, t.name || '/' || f.part || '/' || f.off, f.gen,\n"
    "  (select case when x.is_asleep then 'room in the messaging limit' else x.due::text end from postrider.deferred x "
    "where " OF_MESSAGE "\n"
    "   order by x.gen desc limit 1),\n"
    "  (select t.name || '/' || l.part || '/' || l.off from postrider.dead_letter l\n"
    "   where f.state = 10 and l.topic = f.topic and l.part = f.part and l.off = f.off limit 1),\n"
    "  (select json_agg(json_build_object('attempt', x.attempt, 'at', x.at, 'outcome',\n"
    "     (array['accepted', 'retry', 'defer', 'reject', 'stop template', 'stop sender', 'unknown'])[x.kind],\n"
    "     'reason', x.reason, 'code', x.code, 'http', x.http, 'latency_ms', x.latency_ms, 'wamid', x.wamid) order by "
    "x.attempt)\n"
    "   from postrider.outcome x where " OF_MESSAGE ")\n"
    "from " PR_LEDGER_DAYS "\n"
    "cross join lateral (select * from postrider.fate y where y.tenant = $1::int and y.day = d.day and y.id = any "
    "($2::uuid[])) f\n"
    "left join postrider.contact c on c.tenant = f.tenant and c.id = f.contact\n"
    "left join postrider.sender s on s.tenant = f.tenant and s.id = f.sender\n"
    "left join postrider.topic t on t.id = f.topic\n"
    "order by f.at";

static const char attempts_sql[] =
    "select x.attempt, to_char(x.at, 'YYYY-MM-DD HH24:MI:SS.MS'),\n"
    "  (array['accepted', 'retry', 'defer', 'reject', 'stop template', 'stop sender', 'unknown'])[x.kind], x.reason, "
    "nullif(x.code, 0),\n"
    "  nullif(x.http, 0), x.latency_ms, x.wamid\n"
    "from postrider.outcome x where x.tenant = $1::int and x.id = $2::uuid and x.day = $3::date order by x.attempt";

static const struct pr_column show_columns[] = {
    {"to", PR_COLUMN_TEXT},        {"message", PR_COLUMN_TEXT},     {"day", PR_COLUMN_TEXT},
    {"fate", PR_COLUMN_TEXT},      {"reason", PR_COLUMN_TEXT},      {"category", PR_COLUMN_TEXT},
    {"rule", PR_COLUMN_TEXT},      {"type", PR_COLUMN_TEXT},        {"subject", PR_COLUMN_TEXT},
    {"event_at", PR_COLUMN_TEXT},  {"decided_at", PR_COLUMN_TEXT},  {"answered_at", PR_COLUMN_TEXT},
    {"wamid", PR_COLUMN_TEXT},     {"sender", PR_COLUMN_TEXT},      {"origin", PR_COLUMN_TEXT},
    {"returns", PR_COLUMN_NUMBER}, {"waits_until", PR_COLUMN_TEXT}, {"dead_letter", PR_COLUMN_TEXT},
    {"attempts", PR_COLUMN_JSON},
};
enum { SHOW_COLUMNS = (int)(sizeof show_columns / sizeof show_columns[0]), SHOW_ATTEMPTS = SHOW_COLUMNS - 1 };

static const struct pr_column attempt_columns[] = {
    {"attempt", PR_COLUMN_NUMBER},    {"at", PR_COLUMN_TEXT},     {"outcome", PR_COLUMN_TEXT},
    {"reason", PR_COLUMN_TEXT},       {"code", PR_COLUMN_NUMBER}, {"http", PR_COLUMN_NUMBER},
    {"latency_ms", PR_COLUMN_NUMBER}, {"wamid", PR_COLUMN_TEXT},
};
enum { ATTEMPT_COLUMNS = (int)(sizeof attempt_columns / sizeof attempt_columns[0]) };

static enum pr_exit read_show(struct show *s, struct pr_call *call) {
    const struct pr_option options[] = {
        {"source", PR_OPTION_TEXT, &s->source, 0, 0},
        {"id", PR_OPTION_TEXT, &s->id, 0, 0},
        {"message", PR_OPTION_TEXT, &s->message, 0, 0},
        {"tenant", PR_OPTION_TEXT, &s->tenant, 0, 0},
        {"json", PR_OPTION_FLAG, &s->is_json, 0, 0},
        {"show-addresses", PR_OPTION_FLAG, &s->is_shown, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    struct pr_uuid uuid;
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (s->message ? (s->source || s->id) : !(s->source && s->id)) {
        return pr_usage_error(call, "either --source and --id of the event, or --message");
    }
    if (s->message && !pr_uuid_parse(pr_span_of(s->message), &uuid)) {
        return pr_usage_error(call, "--message %s: an id as `postrider message list` shows it is needed", s->message);
    }
    return PR_EXIT_DONE;
}

/* The message id hangs on the rule, and which rule took the event is not known: every one is tried. */
static bool ids_of_rules(PGconn *db, struct show *s, const char *tenant, const char *tenant_name) {
    const char *values[] = {tenant};
    PGresult *r = pr_db_query(db, "select name from postrider.rule where tenant = $1::int union select ''", 1, values);
    for (int row = 0; r && row < PQntuples(r); row++) {
        struct pr_identity identity;
        char text[PR_UUID_TEXT];
        pr_identity_make(pr_span_of(tenant_name), pr_span_of(s->source), pr_span_of(s->id),
                         pr_span_of(pr_db_text(r, row, 0)), 0, PR_TIME_NONE, 0, &identity);
        pr_uuid_format(&identity.id, text);
        pr_buf_printf(&s->ids, "%s%s", row > 0 ? "," : "{", text);
    }
    PQclear(r);
    pr_buf_put_char(&s->ids, '}');
    return r && !s->ids.failed;
}

static bool print_attempts(PGconn *db, const char *tenant, const char *id, const char *day) {
    const char *values[] = {tenant, id, day};
    struct pr_table table;
    PGresult *r = pr_db_query(db, attempts_sql, 3, values);
    if (!r) {
        return false;
    }
    pr_table_init(&table, attempt_columns, ATTEMPT_COLUMNS);
    for (int row = 0; row < PQntuples(r); row++) {
        pr_ledger_cells(&table, r, row, 0, ATTEMPT_COLUMNS - 1);
    }
    fputs(PQntuples(r) > 0 ? "\n" : "", stdout);
    bool is_printed = pr_table_print(&table, stdout, false);
    pr_table_free(&table);
    PQclear(r);
    return is_printed;
}

static bool print_message(PGconn *db, const struct show *s, const char *tenant, const PGresult *r, int row) {
    struct pr_table table;
    pr_table_init(&table, show_columns, SHOW_COLUMNS);
    pr_ledger_address(&table, pr_db_text(r, row, 0), s->is_shown);
    pr_ledger_cells(&table, r, row, 1, SHOW_ATTEMPTS - 1);
    pr_table_text(&table, s->is_json ? pr_db_text(r, row, SHOW_ATTEMPTS) : NULL);
    bool is_printed = pr_table_print_long(&table, stdout, s->is_json);
    pr_table_free(&table);
    return is_printed && (s->is_json || print_attempts(db, tenant, pr_db_text(r, row, 1), pr_db_text(r, row, 2)));
}

static enum pr_exit print_messages(PGconn *db, struct show *s, const char *tenant) {
    const char *values[] = {tenant, pr_buf_text(&s->ids)};
    PGresult *r = pr_db_query(db, show_sql, 2, values);
    if (!r) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = PR_EXIT_DONE;
    for (int row = 0; row < PQntuples(r) && code == PR_EXIT_DONE; row++) {
        code = print_message(db, s, tenant, r, row) ? PR_EXIT_DONE : PR_EXIT_FAILED;
    }
    if (PQntuples(r) == 0) {
        pr_error("no message of it: not read yet, refused before a message was made of it (postrider message list "
                 "--state refused), a dead letter\n"
                 "  (postrider deadletter list), or older than the ledger keeps");
        code = PR_EXIT_NOTHING;
    }
    PQclear(r);
    return code;
}

static enum pr_exit find_and_print(PGconn *db, struct show *s) {
    char tenant_name[PR_TENANT_NAME], tenant[24];
    int32_t id = pr_db_tenant(db, s->tenant, tenant_name);
    if (id == 0) {
        return PR_EXIT_FAILED;
    }
    snprintf(tenant, sizeof tenant, "%" PRId32, id);
    if (s->message) {
        pr_buf_printf(&s->ids, "{%s}", s->message);
    } else if (!ids_of_rules(db, s, tenant, tenant_name)) {
        return PR_EXIT_FAILED;
    }
    return print_messages(db, s, tenant);
}

static enum pr_exit show(struct pr_call *call) {
    struct show s = {.source = NULL};
    enum pr_exit code = read_show(&s, call);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    pr_buf_init(&s.ids, IDS_TEXT_MAX);
    PGconn *db = pr_db_open_ready(call->db);
    code = db ? find_and_print(db, &s) : PR_EXIT_FAILED;
    PQfinish(db);
    pr_buf_free(&s.ids);
    return code;
}

const struct pr_command pr_command_message_show = {
    .noun = "message",
    .verb = "show",
    .summary = "One message: its fate, why, and every attempt",
    .usage = "postrider message show --source SOURCE --id ID | --message UUID [OPTION]…\n"
             "  --source, --id         of the event, as its publisher wrote them; finds messages of the rules that are "
             "there now\n"
             "  --message UUID         as `postrider message list` shows it\n"
             "  --tenant TENANT        needed when there are several\n"
             "  --show-addresses       the address whole instead of masked\n"
             "  --json                 one object, with an array of attempts\n",
    .run = show,
};
