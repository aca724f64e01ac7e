/* `postrider consent grant`, `revoke` and `show`: the consent of one person, with its evidence and history. */
#include "consent.h"
#include "command.h"
#include "db.h"
#include "output.h"
#include "person.h"

#include "base/buf.h"
#include "base/clock.h"
#include "core/template.h"

#include <stdio.h>
#include <string.h>

bool pr_consent_categories(struct pr_span text, int16_t *mask) {
    *mask = 0;
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && !strchr(" ,|;", text.p[n])) {
            n++;
        }
        struct pr_span word = {text.p, n};
        enum pr_category category;
        if (n == 3 && strncasecmp(word.p, "all", 3) == 0) {
            *mask = PR_CONSENT_ALL;
        } else if (n > 0) {
            if (!pr_category_parse(word, &category)) {
                return false;
            }
            *mask = (int16_t)(*mask | 1 << category);
        }
        text = pr_span_skip(text, n + 1);
    }
    return *mask != 0;
}

bool pr_consent_time(struct pr_span text, int64_t *us) {
    char whole[32];
    if (text.n != 10) {
        return pr_time_parse(text, us);
    }
    (void)snprintf(whole, sizeof(whole), "%.10sT00:00:00Z", text.p);
    return pr_time_parse(pr_span_of(whole), us);
}

struct pr_uuid pr_consent_event(struct pr_span tenant, const struct pr_address *to, int16_t mask, bool is_granted,
                                int64_t at_us) {
    char at[PR_TIME_TEXT], text[PR_ADDRESS_MAX + PR_TIME_TEXT + 64];
    struct pr_identity identity;
    pr_time_format(at_us, at);
    int n = snprintf(text, sizeof(text), "%s|", to->text);
    const char *comma = "";
    for (int i = 0; i < PR_CATEGORIES; i++) {
        if ((mask >> i) & 1) {
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", comma, pr_category_name((enum pr_category)i));
            comma = ",";
        }
    }
    (void)snprintf(text + n, sizeof(text) - (size_t)n, "|%s|%s", is_granted ? "grant" : "revoke", at);
    pr_identity_make(tenant, PR_SPAN("cli"), pr_span_of(text), PR_SPAN("consent"), 0, at_us, at_us, &identity);
    return identity.id;
}

/* One statement from the command line. */
struct statement {
    const char *tenant, *to, *category, *how, *evidence, *business, *at;
    bool is_granted, is_dry;
    struct pr_address address;
    int16_t mask;
    int64_t at_us;
};

static bool read_statement(struct pr_call *call, struct statement *s) {
    const struct pr_option options[] = {{"to", PR_OPTION_TEXT, &s->to, 0, 0},
                                        {"category", PR_OPTION_TEXT, &s->category, 0, 0},
                                        {"how", PR_OPTION_TEXT, &s->how, 0, 0},
                                        {"evidence", PR_OPTION_TEXT, &s->evidence, 0, 0},
                                        {"business-name", PR_OPTION_TEXT, &s->business, 0, 0},
                                        {"at", PR_OPTION_TEXT, &s->at, 0, 0},
                                        {"tenant", PR_OPTION_TEXT, &s->tenant, 0, 0},
                                        {"dry-run", PR_OPTION_FLAG, &s->is_dry, 0, 0},
                                        {0}};
    if (!pr_call_options(call, options, 0, 0)) {
        return false;
    }
    s->at_us = pr_clock_real_us();
    const char *fault = NULL;
    if (!s->to || !pr_address_parse(pr_span_of(s->to), &s->address)) {
        fault = PR_PERSON_TO_HINT;
    } else if (!s->category || !pr_consent_categories(pr_span_of(s->category), &s->mask)) {
        fault = "--category: utility, marketing, authentication, service (several with commas) or all is needed";
    } else if (s->is_granted && (!s->how || !*s->how)) {
        fault = "--how: say how it was granted (website, SMS, chat, IVR, in person, on paper): it is the evidence you "
                "may be asked for";
    } else if (s->at && !pr_consent_time(pr_span_of(s->at), &s->at_us)) {
        fault = "--at: a time like 2026-08-01T12:00:00Z, or a day, is needed";
    }
    if (fault) {
        pr_usage_error(call, "%s", fault);
    }
    return !fault;
}

static void put_statement(const struct statement *s, int32_t tenant, const char *label, struct pr_params *params) {
    struct pr_uuid event = pr_consent_event(pr_span_of(label), &s->address, s->mask, s->is_granted, s->at_us);
    pr_params_int4(params, tenant);
    pr_params_text(params, pr_span_make(s->address.text, s->address.n));
    pr_params_uuid(params, &event);
    pr_params_int2(params, s->mask);
    pr_params_bool(params, s->is_granted);
    pr_params_time(params, s->at_us);
    pr_params_text(params, pr_span_of(s->how));
    pr_params_text(params, pr_span_of(s->evidence));
    pr_params_text(params, pr_span_of(s->business));
}

static bool print_state(PGconn *db, int32_t tenant, const struct pr_address *to, bool is_json);

static enum pr_exit record(const struct statement *s, PGconn *db, int32_t tenant, const char *label) {
    struct pr_params params;
    pr_params_init(&params, 64 * 1024);
    put_statement(s, tenant, label, &params);
    PGresult *r =
        pr_db_run(db, "begin")
            ? pr_db_query_params(db, "select postrider.consent_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)", &params)
            : NULL;
    bool ok = r && print_state(db, tenant, &s->address, false) && pr_db_run(db, s->is_dry ? "rollback" : "commit");
    if (ok && s->is_dry) {
        puts("Nothing was changed: --dry-run");
    }
    PQclear(r);
    pr_params_free(&params);
    return ok ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

static enum pr_exit change(struct pr_call *call, bool is_granted) {
    struct statement s = {.is_granted = is_granted};
    char label[PR_TENANT_NAME];
    if (!read_statement(call, &s)) {
        return PR_EXIT_USAGE;
    }
    PGconn *db = pr_db_open_ready(call->db);
    int32_t tenant = db ? pr_db_tenant(db, s.tenant, label) : 0;
    enum pr_exit code = tenant > 0 ? record(&s, db, tenant, label) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

static enum pr_exit run_grant(struct pr_call *call) {
    return change(call, true);
}

static enum pr_exit run_revoke(struct pr_call *call) {
    return change(call, false);
}

#define OPTIONS_OF_CHANGE                                                                                     \
    "  --to ADDRESS           number with '+' and country code, or user id\n"                                 \
    "  --category C[,C]       utility, marketing, authentication, service, or all\n"                          \
    "  --how TEXT             website, SMS, chat, IVR, in person, on paper; needed for a grant\n"             \
    "  --evidence TEXT        what proves it: form and version, ticket, file\n"                               \
    "  --business-name TEXT   the name that was shown\n"                                                      \
    "  --at TIME              when it was said (RFC 3339, or a day); default now. What was said later wins\n" \
    "  --tenant NAME          whose contact; not needed when there is one tenant\n"                           \
    "  --dry-run              show what would hold, change nothing\n"

const struct pr_command pr_command_consent_grant = {
    .noun = "consent",
    .verb = "grant",
    .summary = "Record that a person agreed to be messaged",
    .usage = "postrider consent grant --to +5511999990000 --category marketing --how website [--evidence TEXT] [--at "
             "TIME]\n\n" OPTIONS_OF_CHANGE,
    .run = run_grant,
};

const struct pr_command pr_command_consent_revoke = {
    .noun = "consent",
    .verb = "revoke",
    .summary = "Record that a person no longer agrees; what waits for them is not sent",
    .usage = "postrider consent revoke --to +5511999990000 --category all [--how TEXT] [--evidence TEXT] [--at "
             "TIME]\n\n" OPTIONS_OF_CHANGE,
    .run = run_revoke,
};

static const char category_sql[] =
    "case h.category when 0 then 'utility' when 1 then 'marketing' when 2 then 'authentication' else 'service' end";

static bool print_rows(PGresult *r, const struct pr_column *columns, int columns_n, bool is_json) {
    struct pr_table table;
    pr_table_init(&table, columns, (size_t)columns_n);
    for (int i = 0; i < PQntuples(r); i++) {
        for (int k = 0; k < columns_n; k++) {
            pr_table_text(&table, pr_db_text(r, i, k));
        }
    }
    bool ok = pr_table_print(&table, stdout, is_json);
    pr_table_free(&table);
    return ok;
}

/* What holds now, a line a category. */
static bool print_state(PGconn *db, int32_t tenant, const struct pr_address *to, bool is_json) {
    static const struct pr_column columns[] = {
        {"to", PR_COLUMN_TEXT}, {"category", PR_COLUMN_TEXT}, {"holds", PR_COLUMN_TEXT}};
    char id[16];
    (void)snprintf(id, sizeof(id), "%d", (int)tenant);
    const char *const values[] = {id, to->text};
    PGresult *r = pr_db_query(
        db,
        "select c.address, x.name, case when c.consent::int & x.bit <> 0 then 'granted' else 'not granted' end "
        "from postrider.contact c, (values (1, 'utility'), (2, 'marketing'), (4, 'authentication'), (8, 'service')) as "
        "x (bit, name) "
        "where c.tenant = $1::int and c.address = $2 order by x.bit",
        2, values);
    bool ok = r && print_rows(r, columns, 3, is_json);
    PQclear(r);
    return ok;
}

static enum pr_exit show(PGconn *db, int32_t tenant, const struct pr_address *to, bool is_json) {
    static const struct pr_column columns[] = {{"at", PR_COLUMN_TEXT},         {"category", PR_COLUMN_TEXT},
                                               {"action", PR_COLUMN_TEXT},     {"how", PR_COLUMN_TEXT},
                                               {"evidence", PR_COLUMN_TEXT},   {"business_name", PR_COLUMN_TEXT},
                                               {"recorded_at", PR_COLUMN_TEXT}};
    char id[16], sql[1024];
    (void)snprintf(id, sizeof(id), "%d", (int)tenant);
    const char *const values[] = {id, to->text};
    (void)snprintf(
        sql, sizeof(sql),
        "select h.at, %s, case when h.is_granted then 'grant' else 'revoke' end, h.how, h.evidence, h.business_name, "
        "date_trunc('second', h.recorded_at) from postrider.consent h join postrider.contact c on c.tenant = h.tenant "
        "and c.id = h.contact "
        "where c.tenant = $1::int and c.address = $2 order by h.at desc, h.is_granted, h.category",
        category_sql);
    PGresult *r = pr_db_query(db, sql, 2, values);
    if (!r) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = PR_EXIT_NOTHING;
    if (PQntuples(r) == 0) {
        pr_error("nothing was ever recorded about the consent of %s", to->text);
    } else {
        bool ok = is_json || (print_state(db, tenant, to, false) && puts("") >= 0);
        ok = ok && print_rows(r, columns, 7, is_json);
        code = ok ? PR_EXIT_DONE : PR_EXIT_FAILED;
    }
    PQclear(r);
    return code;
}

static enum pr_exit run_show(struct pr_call *call) {
    return pr_person_run(call, show);
}

const struct pr_command pr_command_consent_show = {
    .noun = "consent",
    .verb = "show",
    .summary = "Show what a person agreed to, and when, how and with what evidence",
    .usage = "postrider consent show --to +5511999990000 [--tenant NAME] [--json]\n\n"
             "  --to ADDRESS           number with '+' and country code, or user id\n"
             "  --tenant NAME          whose contact; not needed when there is one tenant\n"
             "  --json                 the history, an object a line\n",
    .run = run_show,
};
