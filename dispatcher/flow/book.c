/* Rows of the business tables made into compiled rules and templates, and the look-ups that jobs ask. */
#include "flow/book.h"

#include "base/check.h"
#include "base/log.h"
#include "pg/pg.h"

#include <stdlib.h>

enum { PR_BOOK_BYTES_MAX = 256 * 1024 * 1024 };
enum { COL_KIND, COL_TENANT, COL_ID, COL_POOL, COL_RATE, COL_A, COL_B, COL_C, COL_D, COL_E, COL_F };
enum { KIND_TENANT = 1, KIND_SENDER = 2, KIND_TEMPLATE = 3, KIND_RULE = 4 };

static struct pr_span copy(struct pr_book *book, const PGresult *rows, int row, int col) {
    return pr_arena_copy(&book->arena, pr_pg_bytes(rows, row, col));
}

static uint32_t count_of(const PGresult *rows, int kind, int32_t tenant) {
    uint32_t n = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        n += pr_pg_int4(rows, i, COL_KIND) == kind && (tenant == 0 || pr_pg_int4(rows, i, COL_TENANT) == tenant);
    }
    return n;
}

static void fault_of(struct pr_book *book, const char *what, struct pr_span name, const struct pr_template_fault *fault) {
    book->faults++;
    pr_log_error("book_fault", "what=%s name=%.*s field=%s text=%s", what, PR_SPAN_ARG(name), fault->path, fault->text);
}

static void add_sender(struct pr_book *book, struct pr_tenant *tenant, const PGresult *rows, int row) {
    tenant->senders[tenant->senders_n++] = (struct pr_sender){
        .id = pr_pg_int4(rows, row, COL_ID),
        .pool = pr_pg_int4(rows, row, COL_POOL),
        .rate = pr_pg_float8(rows, row, COL_RATE),
        .name = copy(book, rows, row, COL_A),
        .provider =
            pr_span_is(pr_pg_bytes(rows, row, COL_B), "360dialog") ? PR_PROVIDER_360DIALOG : PR_PROVIDER_CLOUD_API,
        .address = copy(book, rows, row, COL_C),
        .account = copy(book, rows, row, COL_D),
        .secret = copy(book, rows, row, COL_E),
        .is_connected = pr_span_is(pr_pg_bytes(rows, row, COL_F), "connected"),
    };
}

static void add_template(struct pr_book *book, struct pr_tenant *tenant, const PGresult *rows, int row) {
    struct pr_template_fault fault;
    struct pr_template *tpl = &tenant->templates[tenant->templates_n];
    if (!pr_template_compile(pr_pg_bytes(rows, row, COL_D), &book->arena, tpl, &fault)) {
        fault_of(book, "template", pr_pg_bytes(rows, row, COL_A), &fault);
        return;
    }
    tpl->id = pr_pg_int4(rows, row, COL_ID);
    tpl->status =
        pr_template_status_parse(pr_pg_bytes(rows, row, COL_C)); /* what the platform said last, not the file */
    tenant->templates_n++;
}

static void add_rule(struct pr_book *book, struct pr_tenant *tenant, const PGresult *rows, int row) {
    struct pr_template_fault fault;
    struct pr_rule *rule = &tenant->rules[tenant->rules_n];
    if (!pr_rule_compile(pr_pg_bytes(rows, row, COL_B), &book->arena, rule, &fault)) {
        fault_of(book, "rule", pr_pg_bytes(rows, row, COL_A), &fault);
        return;
    }
    tenant->rules_n++;
}

static bool fill_tenant(struct pr_book *book, struct pr_tenant *tenant, const PGresult *rows) {
    tenant->senders = pr_arena_calloc(&book->arena, count_of(rows, KIND_SENDER, tenant->id), sizeof(struct pr_sender));
    tenant->templates =
        pr_arena_calloc(&book->arena, count_of(rows, KIND_TEMPLATE, tenant->id), sizeof(struct pr_template));
    tenant->rules = pr_arena_calloc(&book->arena, count_of(rows, KIND_RULE, tenant->id), sizeof(struct pr_rule));
    for (int i = 0; !book->arena.failed && i < PQntuples(rows); i++) {
        if (pr_pg_int4(rows, i, COL_TENANT) != tenant->id) {
            continue;
        }
        switch (pr_pg_int4(rows, i, COL_KIND)) {
        case KIND_SENDER: add_sender(book, tenant, rows, i); break;
        case KIND_TEMPLATE: add_template(book, tenant, rows, i); break;
        case KIND_RULE: add_rule(book, tenant, rows, i); break;
        default: break;
        }
    }
    return !book->arena.failed;
}

struct pr_book *pr_book_new(const PGresult *rows) {
    struct pr_book *book = calloc(1, sizeof(*book));
    if (!book) {
        return NULL;
    }
    book->refs = 1;
    pr_arena_init(&book->arena, PR_BOOK_BYTES_MAX);
    book->tenants = pr_arena_calloc(&book->arena, count_of(rows, KIND_TENANT, 0), sizeof(struct pr_tenant));
    for (int i = 0; !book->arena.failed && i < PQntuples(rows); i++) {
        if (pr_pg_int4(rows, i, COL_KIND) != KIND_TENANT) {
            continue;
        }
        struct pr_tenant *tenant = &book->tenants[book->tenants_n++];
        tenant->id = pr_pg_int4(rows, i, COL_TENANT);
        tenant->name = copy(book, rows, i, COL_A);
        tenant->locale = copy(book, rows, i, COL_B);
        if (!fill_tenant(book, tenant, rows)) {
            break;
        }
    }
    if (book->arena.failed) {
        pr_book_unref(book);
        return NULL;
    }
    return book;
}

struct pr_book *pr_book_ref(struct pr_book *book) {
    book->refs++;
    return book;
}

void pr_book_unref(struct pr_book *book) {
    if (book && --book->refs == 0) {
        pr_arena_free(&book->arena);
        free(book);
    }
}

const struct pr_tenant *pr_book_tenant(const struct pr_book *book, struct pr_span name) {
    for (uint32_t i = 0; i < book->tenants_n; i++) {
        if (pr_span_eq(book->tenants[i].name, name)) {
            return &book->tenants[i];
        }
    }
    return NULL;
}

const struct pr_tenant *pr_book_tenant_of(const struct pr_book *book, int32_t id) {
    for (uint32_t i = 0; i < book->tenants_n; i++) {
        if (book->tenants[i].id == id) {
            return &book->tenants[i];
        }
    }
    return NULL;
}
