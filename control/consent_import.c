/* `postrider consent import`: statements of consent from a CSV file, each with its time and evidence. */
#include "consent.h"
#include "import_batch.h"
#include "output.h"

#include "base/clock.h"
#include "base/container.h"

#include <stdio.h>
#include <strings.h>

enum { TEXT_MAX = 2048 }; /* bytes of how, evidence, business_name */

struct statement {
    struct pr_address to;
    int16_t mask;
    bool is_granted;
    int64_t at_us;
    struct pr_uuid event;
    struct pr_span how, evidence, business; /* in the batch's arena; p NULL: not given */
};

/* Rows without a time of their own have the batch's; when there is none they are rejected. */
struct job {
    struct pr_batch batch;
    int to, category, action, how, evidence, business, at; /* columns */
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
    s->at_us = job->batch.at_us;
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
        pr_import_reject(&job->batch.import, row, "%s: longer than %d bytes", name, TEXT_MAX);
        return false;
    }
    if (out->p) {
        *out = pr_arena_copy(&job->batch.arena, *out);
    }
    return true;
}

static bool take_statement(struct pr_batch *batch, const struct pr_csv_row *row, void *item) {
    struct job *job = PR_CONTAINER_OF(batch, struct job, batch);
    struct statement *s = item;
    if (!pr_batch_address(batch, row, job->to, &s->to)) {
        return false;
    }
    const char *why = take_what(job, row, s);
    if (why) {
        pr_import_reject(&batch->import, row, "%s", why);
        return false;
    }
    s->event = pr_consent_event(pr_span_of(batch->label), &s->to, s->mask, s->is_granted, s->at_us);
    return take_text(job, row, job->how, "how", &s->how) &&
           take_text(job, row, job->evidence, "evidence", &s->evidence) &&
           take_text(job, row, job->business, "business_name", &s->business);
}

static void put_statements(struct pr_batch *batch, struct pr_params *params) {
    const struct statement *items = (const void *)batch->items;
    pr_batch_put_addresses(batch, params, offsetof(struct statement, to));
    pr_params_array(params, PR_OID_UUID);
    for (size_t i = 0; i < batch->n; i++) {
        pr_item_uuid(params, &items[i].event);
    }
    pr_params_array(params, PR_OID_INT2);
    for (size_t i = 0; i < batch->n; i++) {
        pr_item_int2(params, items[i].mask);
    }
    pr_params_array(params, PR_OID_BOOL);
    for (size_t i = 0; i < batch->n; i++) {
        pr_item_bool(params, items[i].is_granted);
    }
    pr_params_array(params, PR_OID_TIMESTAMPTZ);
    for (size_t i = 0; i < batch->n; i++) {
        pr_item_time(params, items[i].at_us);
    }
    pr_batch_put_texts(batch, params, offsetof(struct statement, how));
    pr_batch_put_texts(batch, params, offsetof(struct statement, evidence));
    pr_batch_put_texts(batch, params, offsetof(struct statement, business));
}

static bool begin(struct pr_batch *batch) {
    static const char *const category[] = {"category", "categories", NULL}, *const action[] = {"action", NULL},
                             *const how[] = {"how", NULL};
    static const char *const evidence[] = {"evidence", NULL}, *const business[] = {"business_name", NULL},
                             *const at[] = {"at", "time", NULL};
    struct job *job = PR_CONTAINER_OF(batch, struct job, batch);
    const struct pr_import_column wanted[] = {{pr_import_to_names, true, &job->to},
                                              {category, true, &job->category},
                                              {action, true, &job->action},
                                              {how, false, &job->how},
                                              {evidence, false, &job->evidence},
                                              {business, false, &job->business},
                                              {at, false, &job->at}};
    return pr_import_columns(&batch->import, wanted, sizeof(wanted) / sizeof(wanted[0]));
}

enum { RECORDED, CREATED, CHANGED, COUNTS };

static void print_counts(struct pr_batch *batch) {
    char n[5][PR_COUNT_TEXT];
    printf("%s rows: %s statements recorded, %s contacts changed, %s of them new, %s rejected",
           pr_count(batch->import.rows, n[0]), pr_count(batch->counts[RECORDED], n[1]),
           pr_count(batch->counts[CHANGED], n[2]), pr_count(batch->counts[CREATED], n[3]),
           pr_count(batch->import.rejected, n[4]));
}

static enum pr_exit run(struct pr_call *call) {
    static const struct pr_batch_kind statements = {
        .item_bytes = sizeof(struct statement),
        .sql = "select * from postrider.consent_import_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        .counts_n = COUNTS,
        .at_hint = "a time like 2026-08-01T12:00:00Z, or a day, is needed",
        .at = pr_consent_time,
        .begin = begin,
        .take = take_statement,
        .put = put_statements,
        .print = print_counts,
    };
    struct job job = {.batch.kind = &statements};
    return pr_batch_run(&job.batch, call);
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
