/* Rows of the business tables made into compiled rules and templates, and the look-ups that jobs ask. */
#include "flow/book.h"

#include "base/check.h"
#include "base/log.h"
#include "pg/pg.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

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

const struct pr_rule *pr_tenant_rule(const struct pr_tenant *tenant, struct pr_span type, int *rank) {
    for (uint32_t i = 0; i < tenant->rules_n; i++) {
        *rank = pr_rule_rank(&tenant->rules[i], type);
        if (*rank >= 0) {
            return &tenant->rules[i];
        }
    }
    return NULL;
}

/* "pt-BR" and "pt_BR" are the same; `n` cuts to the language. */
static bool same_locale(struct pr_span a, struct pr_span b) {
    if (a.n != b.n || a.n == 0) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        char x = a.p[i] == '-' ? '_' : a.p[i];
        char y = b.p[i] == '-' ? '_' : b.p[i];
        if (x != y) {
            return false;
        }
    }
    return true;
}

static struct pr_span language_of(struct pr_span locale) {
    size_t n = 0;
    while (n < locale.n && locale.p[n] != '_' && locale.p[n] != '-') {
        n++;
    }
    return (struct pr_span){locale.p, n};
}

static const struct pr_template *approved_in(const struct pr_tenant *tenant, struct pr_span name,
                                             struct pr_span language) {
    for (uint32_t i = 0; i < tenant->templates_n; i++) {
        const struct pr_template *tpl = &tenant->templates[i];
        if (tpl->status == PR_TEMPLATE_APPROVED && pr_span_eq(tpl->name, name) && same_locale(tpl->language, language)) {
            return tpl;
        }
    }
    return NULL;
}

static const char *refusal_of(enum pr_template_status status) {
    switch (status) {
    case PR_TEMPLATE_PAUSED: return "template_paused";
    case PR_TEMPLATE_DISABLED: return "template_disabled";
    case PR_TEMPLATE_REJECTED: return "template_rejected";
    case PR_TEMPLATE_PENDING: return "template_pending";
    case PR_TEMPLATE_APPROVED: /* in another language only */ return "no_template_language";
    case PR_TEMPLATE_OTHER: break;
    }
    return "template_not_approved";
}

/* Marketing counts most: it may use the least of the pool and needs a consent of its own. */
static int strictness(enum pr_category category) {
    return category == PR_CATEGORY_MARKETING ? 2 : category == PR_CATEGORY_AUTHENTICATION ? 1 : 0;
}

struct pr_template_choice pr_tenant_template(const struct pr_tenant *tenant, struct pr_span name, struct pr_span locale) {
    struct pr_template_choice choice = {.refusal = "no_template", .category = PR_CATEGORY_UTILITY};
    for (uint32_t i = 0; i < tenant->templates_n; i++) {
        const struct pr_template *tpl = &tenant->templates[i];
        if (!pr_span_eq(tpl->name, name)) {
            continue;
        }
        if (!choice.has_name || strictness(tpl->category) > strictness(choice.category)) {
            choice.category = tpl->category;
        }
        if (!choice.has_name || tpl->status == PR_TEMPLATE_PAUSED) {
            choice.refusal = refusal_of(tpl->status);
        }
        choice.has_name = true;
        choice.has_approved = choice.has_approved || tpl->status == PR_TEMPLATE_APPROVED;
    }
    const struct pr_span order[] = {locale, language_of(locale), tenant->locale, language_of(tenant->locale)};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !choice.tpl; i++) {
        choice.tpl = approved_in(tenant, name, order[i]);
    }
    return choice;
}

static bool rule_wants(const struct pr_rule *rule, const struct pr_sender *sender) {
    for (uint16_t i = 0; i < rule->senders_n; i++) {
        if (pr_span_eq(rule->senders[i], sender->name)) {
            return true;
        }
    }
    return rule->senders_n == 0;
}

const struct pr_sender *pr_tenant_sender(const struct pr_tenant *tenant, const struct pr_rule *rule,
                                         struct pr_span recipient, uint32_t skip, pr_sender_is_up *is_up, void *arg) {
    const struct pr_sender *best = NULL;
    uint64_t best_weight = 0;
    for (uint32_t i = 0; i < tenant->senders_n; i++) {
        const struct pr_sender *sender = &tenant->senders[i];
        bool is_skipped = i < 32 && ((skip >> i) & 1U);
        if (is_skipped || !sender->is_connected || !rule_wants(rule, sender) || !is_up(arg, sender)) {
            continue;
        }
        uint64_t weight = XXH3_64bits_withSeed(recipient.p, recipient.n, (uint64_t)sender->id);
        if (!best || weight > best_weight) {
            best = sender;
            best_weight = weight;
        }
    }
    return best;
}
