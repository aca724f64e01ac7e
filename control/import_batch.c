/* Takes the rows of a file in batches, each stored by one statement in a transaction of its own. */
#include "import_batch.h"
#include "output.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 5000, BATCH_BYTES_MAX = 64 * 1024 * 1024 };

bool pr_batch_address(struct pr_batch *batch, const struct pr_csv_row *row, int column, struct pr_address *to) {
    const char *why = "is empty";
    struct pr_span text = pr_import_field(row, column);
    if (!text.p || !pr_address_import(text, batch->country, to, &why)) {
        pr_import_reject(&batch->import, row, "to: %.*s%s%s", PR_SPAN_ARG(text), text.p ? ": " : "", why);
        return false;
    }
    return true;
}

static const void *field(const struct pr_batch *batch, size_t item, size_t offset) {
    return batch->items + item * batch->kind->item_bytes + offset;
}

void pr_batch_put_addresses(const struct pr_batch *batch, struct pr_params *params, size_t offset) {
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < batch->n; i++) {
        const struct pr_address *to = field(batch, i, offset);
        pr_item_text(params, pr_span_make(to->text, to->n));
    }
}

void pr_batch_put_texts(const struct pr_batch *batch, struct pr_params *params, size_t offset) {
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < batch->n; i++) {
        const struct pr_span *text = field(batch, i, offset);
        pr_item_text(params, *text);
    }
}

static bool flush(struct pr_batch *batch) {
    if (batch->n == 0) {
        return true;
    }
    struct pr_params params;
    pr_params_init(&params, 2 * BATCH_BYTES_MAX);
    pr_params_int4(&params, batch->tenant);
    batch->kind->put(batch, &params);
    PGresult *r = pr_db_run(batch->db, "begin") ? pr_db_query_params(batch->db, batch->kind->sql, &params) : NULL;
    bool ok = r && pr_db_run(batch->db, batch->is_dry ? "rollback" : "commit");
    for (int i = 0; ok && i < batch->kind->counts_n; i++) {
        batch->counts[i] += pr_db_int(r, 0, i);
    }
    PQclear(r);
    pr_params_free(&params);
    batch->n = 0;
    pr_arena_reset(&batch->arena);
    return ok;
}

static bool import_rows(struct pr_batch *batch) {
    struct pr_csv_row row;
    while (pr_import_next(&batch->import, &row)) {
        if (batch->kind->take(batch, &row, batch->items + batch->n * batch->kind->item_bytes)) {
            batch->n++;
        }
        if (batch->arena.failed || batch->import.failed) {
            pr_error("stopped on line %lld", (long long)row.line);
            return false;
        }
        if (batch->n == BATCH && !flush(batch)) {
            return false;
        }
    }
    return flush(batch);
}

static void print_counts(struct pr_batch *batch) {
    batch->kind->print(batch);
    if (batch->import.rejects_path && batch->import.rejected > 0) {
        printf(" (%s)", batch->import.rejects_path);
    }
    puts(batch->is_dry ? ". Nothing was changed: --dry-run" : "");
}

static enum pr_exit import_file(struct pr_batch *batch) {
    if (!pr_import_open(&batch->import)) {
        return PR_EXIT_FAILED;
    }
    batch->items = calloc(BATCH, batch->kind->item_bytes);
    pr_arena_init(&batch->arena, BATCH_BYTES_MAX);
    bool ok = batch->items && batch->kind->begin(batch) && import_rows(batch);
    ok = pr_import_close(&batch->import) && ok;
    free(batch->items);
    pr_arena_free(&batch->arena);
    if (ok || batch->counts[0] + batch->counts[1] + batch->counts[2] > 0) {
        print_counts(batch);
    }
    if (!ok) {
        return PR_EXIT_FAILED;
    }
    return batch->import.rejected > 0 ? PR_EXIT_REJECTS : PR_EXIT_DONE;
}

enum pr_exit pr_batch_run(struct pr_batch *batch, struct pr_call *call) {
    const char *tenant = NULL, *country = "", *at = NULL;
    const struct pr_option options[] = {{"tenant", PR_OPTION_TEXT, &tenant, 0, 0},
                                        {"default-country", PR_OPTION_TEXT, &country, 0, 0},
                                        {"rejects", PR_OPTION_TEXT, &batch->import.rejects_path, 0, 0},
                                        {"at", PR_OPTION_TEXT, &at, 0, 0},
                                        {"dry-run", PR_OPTION_FLAG, &batch->is_dry, 0, 0},
                                        {0}};
    if (!pr_call_options(call, options, 1, 1)) {
        return PR_EXIT_USAGE;
    }
    batch->at_us = PR_TIME_NONE;
    if (at && !batch->kind->at(pr_span_of(at), &batch->at_us)) {
        return pr_usage_error(call, "--at %s: %s", at, batch->kind->at_hint);
    }
    batch->country = pr_span_of(country);
    if (batch->country.n != 0 && batch->country.n != 2) {
        return pr_usage_error(call, "--default-country %s: two letters of ISO 3166 are needed, like BR", country);
    }
    batch->import.path = call->argv[0];
    batch->db = pr_db_open_ready(call->db);
    batch->tenant = batch->db ? pr_db_tenant(batch->db, tenant, batch->label) : 0;
    enum pr_exit code = batch->tenant > 0 ? import_file(batch) : PR_EXIT_FAILED;
    PQfinish(batch->db);
    return code;
}
