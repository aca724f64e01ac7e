/* `postrider consent import`: statements of consent from a CSV file, each with its time and evidence. */
#include "consent.h"
#include "command.h"
#include "db.h"
#include "import.h"
#include "output.h"

#include "base/clock.h"
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    BATCH = 5000,
    BATCH_BYTES_MAX = 64 * 1024 * 1024,
    TEXT_MAX = 2048, /* bytes of how, evidence, business_name */
};

struct statement {
    struct pr_address to;
    int16_t mask;
    bool is_granted;
    int64_t at_us;
    struct pr_uuid event;
    struct pr_span how, evidence, business; /* in the batch's arena; p NULL: not given */
};

struct job {
    struct pr_import import;
    PGconn *db;
    int32_t tenant;
    char label[PR_TENANT_NAME];
    struct pr_span country;
    int64_t at_us; /* for rows without a time of their own; PR_TIME_NONE: they are rejected */
    bool is_dry;
    int to, category, action, how, evidence, business, at; /* columns */
    struct statement *items;
    size_t n;
    struct pr_arena arena;
    int64_t recorded, created, changed;
};

static bool is_word(struct pr_span text, const char *const *words) {
    for (int i = 0; words[i]; i++) {
        if (text.n == strlen(words[i]) && strncasecmp(text.p, words[i], text.n) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_action(struct pr_span text, bool *is_granted) {
    static const char *const grant[] = {"grant", "granted", "opt_in", "opt-in", "optin", NULL};
    static const char *const revoke[] = {"revoke", "revoked", "opt_out", "opt-out", "optout", NULL};
    *is_granted = is_word(text, grant);
    return *is_granted || is_word(text, revoke);
}

/* Why the row cannot be taken, with its field first; NULL when it can. `detail` is for what cannot be static. */
static const char *take_what(const struct job *job, const struct pr_csv_row *row, struct statement *s) {
    struct pr_span at = pr_import_field(row, job->at);
    if (!pr_consent_categories(pr_import_field(row, job->category), &s->mask)) {
        return "category: must be utility, marketing, authentication, service (several parted by spaces or |) or all";
    }
    if (!take_action(pr_import_field(row, job->action), &s->is_granted)) {
        return "action: must be grant or revoke";
    }
    s->at_us = job->at_us;
    if (at.p && !pr_consent_time(at, &s->at_us)) {
        return "at: must be a time like 2026-08-01T12:00:00Z, or a day";
    }
    if (s->at_us == PR_TIME_NONE) {
        return "at: is missing: when was it said? Fill it in, or give --at for all such rows";
    }
    if (s->is_granted && !pr_import_field(row, job->how).p) {
        return "how: is missing: a grant needs it (website, SMS, chat, IVR, in person, on paper)";
    }
    return NULL;
}

static bool take_text(struct job *job, const struct pr_csv_row *row, int column, const char *name, struct pr_span *out) {
    *out = pr_import_field(row, column);
    if (out->n > TEXT_MAX) {
        pr_import_reject(&job->import, row, "%s: longer than %d bytes", name, TEXT_MAX);
        return false;
    }
    if (out->p) {
        *out = pr_arena_copy(&job->arena, *out);
    }
    return true;
}

/* False: the row was rejected. */
static bool take_statement(struct job *job, const struct pr_csv_row *row, struct statement *s) {
    const char *why = "is empty";
    struct pr_span to = pr_import_field(row, job->to);
    if (!to.p || !pr_address_import(to, job->country, &s->to, &why)) {
        pr_import_reject(&job->import, row, "to: %.*s%s%s", PR_SPAN_ARG(to), to.p ? ": " : "", why);
        return false;
    }
    why = take_what(job, row, s);
    if (why) {
        pr_import_reject(&job->import, row, "%s", why);
        return false;
    }
    s->event = pr_consent_event(pr_span_of(job->label), &s->to, s->mask, s->is_granted, s->at_us);
    return take_text(job, row, job->how, "how", &s->how) &&
           take_text(job, row, job->evidence, "evidence", &s->evidence) &&
           take_text(job, row, job->business, "business_name", &s->business);
}

static void put_texts(const struct job *job, struct pr_params *params, size_t offset) {
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < job->n; i++) {
        const struct pr_span *text = (const struct pr_span *)(const void *)((const char *)&job->items[i] + offset);
        pr_item_text(params, *text);
    }
}

static void put_arrays(const struct job *job, struct pr_params *params) {
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < job->n; i++) {
        pr_item_text(params, pr_span_make(job->items[i].to.text, job->items[i].to.n));
    }
    pr_params_array(params, PR_OID_UUID);
    for (size_t i = 0; i < job->n; i++) {
        pr_item_uuid(params, &job->items[i].event);
    }
    pr_params_array(params, PR_OID_INT2);
    for (size_t i = 0; i < job->n; i++) {
        pr_item_int2(params, job->items[i].mask);
    }
    pr_params_array(params, PR_OID_BOOL);
    for (size_t i = 0; i < job->n; i++) {
        pr_item_bool(params, job->items[i].is_granted);
    }
    pr_params_array(params, PR_OID_TIMESTAMPTZ);
    for (size_t i = 0; i < job->n; i++) {
        pr_item_time(params, job->items[i].at_us);
    }
    put_texts(job, params, offsetof(struct statement, how));
    put_texts(job, params, offsetof(struct statement, evidence));
    put_texts(job, params, offsetof(struct statement, business));
}

static bool flush(struct job *job) {
    if (job->n == 0) {
        return true;
    }
    struct pr_params params;
    pr_params_init(&params, 2 * BATCH_BYTES_MAX);
    pr_params_int4(&params, job->tenant);
    put_arrays(job, &params);
    bool ok = pr_db_run(job->db, "begin");
    PGresult *r =
        ok ? pr_db_query_params(
                 job->db, "select * from postrider.consent_import_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)", &params)
           : NULL;
    ok = r && pr_db_run(job->db, job->is_dry ? "rollback" : "commit");
    if (ok) {
        job->recorded += pr_db_int(r, 0, 0);
        job->created += pr_db_int(r, 0, 1);
        job->changed += pr_db_int(r, 0, 2);
    }
    PQclear(r);
    pr_params_free(&params);
    job->n = 0;
    pr_arena_reset(&job->arena);
    return ok;
}

static bool import_rows(struct job *job) {
    struct pr_csv_row row;
    while (pr_import_next(&job->import, &row)) {
        if (take_statement(job, &row, &job->items[job->n])) {
            job->n++;
        }
        if (job->arena.failed || job->import.failed) {
            pr_error("stopped on line %lld", (long long)row.line);
            return false;
        }
        if (job->n == BATCH && !flush(job)) {
            return false;
        }
    }
    return flush(job);
}

static bool find_columns(struct job *job) {
    static const char *const category[] = {"category", "categories", NULL}, *const action[] = {"action", NULL},
                             *const how[] = {"how", NULL};
    static const char *const evidence[] = {"evidence", NULL}, *const business[] = {"business_name", NULL},
                             *const at[] = {"at", "time", NULL};
    const struct {
        const char *const *names;
        bool is_required;
        int *column;
    } wanted[] = {{pr_import_to_names, true, &job->to},
                  {category, true, &job->category},
                  {action, true, &job->action},
                  {how, false, &job->how},
                  {evidence, false, &job->evidence},
                  {business, false, &job->business},
                  {at, false, &job->at}};
    enum { COLUMNS = sizeof(wanted) / sizeof(wanted[0]) };
    int known[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        if (!pr_import_column(&job->import, wanted[i].names, wanted[i].is_required, wanted[i].column)) {
            return false;
        }
        known[i] = *wanted[i].column;
    }
    pr_import_note_unknown(&job->import, known, COLUMNS);
    return true;
}

static void print_counts(const struct job *job) {
    char n[5][PR_COUNT_TEXT];
    printf("%s rows: %s statements recorded, %s contacts changed, %s of them new, %s rejected",
           pr_count(job->import.rows, n[0]), pr_count(job->recorded, n[1]), pr_count(job->changed, n[2]),
           pr_count(job->created, n[3]), pr_count(job->import.rejected, n[4]));
    if (job->import.rejects_path && job->import.rejected > 0) {
        printf(" (%s)", job->import.rejects_path);
    }
    puts(job->is_dry ? ". Nothing was changed: --dry-run" : "");
}

static enum pr_exit import_file(struct job *job) {
    if (!pr_import_open(&job->import)) {
        return PR_EXIT_FAILED;
    }
    job->items = calloc(BATCH, sizeof(*job->items));
    pr_arena_init(&job->arena, BATCH_BYTES_MAX);
    bool ok = job->items && find_columns(job) && import_rows(job);
    ok = pr_import_close(&job->import) && ok;
    free(job->items);
    pr_arena_free(&job->arena);
    if (ok || job->recorded > 0) {
        print_counts(job);
    }
    if (!ok) {
        return PR_EXIT_FAILED;
    }
    return job->import.rejected > 0 ? PR_EXIT_REJECTS : PR_EXIT_DONE;
}

static enum pr_exit run(struct pr_call *call) {
    struct job job = {.at_us = PR_TIME_NONE};
    const char *tenant = NULL, *country = "", *at = NULL;
    const struct pr_option options[] = {{"tenant", PR_OPTION_TEXT, &tenant, 0, 0},
                                        {"default-country", PR_OPTION_TEXT, &country, 0, 0},
                                        {"rejects", PR_OPTION_TEXT, &job.import.rejects_path, 0, 0},
                                        {"at", PR_OPTION_TEXT, &at, 0, 0},
                                        {"dry-run", PR_OPTION_FLAG, &job.is_dry, 0, 0},
                                        {0}};
    if (!pr_call_options(call, options, 1, 1)) {
        return PR_EXIT_USAGE;
    }
    if (at && !pr_consent_time(pr_span_of(at), &job.at_us)) {
        return pr_usage_error(call, "--at %s: a time like 2026-08-01T12:00:00Z, or a day, is needed", at);
    }
    job.country = pr_span_of(country);
    if (job.country.n != 0 && job.country.n != 2) {
        return pr_usage_error(call, "--default-country %s: two letters of ISO 3166 are needed, like BR", country);
    }
    job.import.path = call->argv[0];
    job.db = pr_db_open_ready(call->db);
    job.tenant = job.db ? pr_db_tenant(job.db, tenant, job.label) : 0;
    enum pr_exit code = job.tenant > 0 ? import_file(&job) : PR_EXIT_FAILED;
    PQfinish(job.db);
    return code;
}

const struct pr_command pr_command_consent_import = {
    .noun = "consent",
    .verb = "import",
    .summary = "Read statements of consent from a CSV file",
    .usage = "postrider consent import FILE.csv [--tenant NAME] [--default-country BR] [--rejects BAD.csv] [--at TIME] "
             "[--dry-run]\n\n"
             "Columns, by name in the first line: to (or phone, phone_number, whatsapp), category, action (grant or "
             "revoke), how, evidence,\n"
             "business_name, at. A grant needs how and at. The newest statement holds, a revocation on a tie; "
             "importing a file again changes nothing.\n\n"
             "  --tenant NAME          whose contacts; not needed when there is one tenant\n"
             "  --default-country CC   completes national numbers, with the calling code of that country\n"
             "  --rejects FILE         writes the rows that were turned down there, each with its line and why\n"
             "  --at TIME              for rows without a time of their own (RFC 3339, or a day)\n"
             "  --dry-run              check and count, change nothing\n",
    .run = run,
};
