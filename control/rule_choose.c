/* The dispatcher's look-ups, over a catalog: a test of rules is worth nothing when it chooses otherwise. */
#include "rule_choose.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

const struct pr_catalog_rule *pr_choose_rule(const struct pr_catalog *catalog, struct pr_span tenant,
                                             struct pr_span type, int *rank) {
    const struct pr_catalog_rule *r;
    STAILQ_FOREACH (r, &catalog->rules, next) {
        *rank = pr_span_eq(r->tenant, tenant) ? pr_rule_rank(&r->rule, type) : -1;
        if (*rank >= 0) {
            return r;
        }
    }
    return NULL;
}

/* "pt-BR" and "pt_BR" are the same. */
static bool same_locale(struct pr_span a, struct pr_span b) {
    if (a.n != b.n || a.n == 0) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if ((a.p[i] == '-' ? '_' : a.p[i]) != (b.p[i] == '-' ? '_' : b.p[i])) {
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
    return pr_span_make(locale.p, n);
}

static bool is_called(const struct pr_catalog_template *t, struct pr_span tenant, struct pr_span name) {
    return pr_span_eq(t->tenant, tenant) && pr_span_eq(t->tpl.name, name);
}

static const struct pr_catalog_template *approved_in(const struct pr_catalog *catalog, struct pr_span tenant,
                                                     struct pr_span name, struct pr_span language) {
    const struct pr_catalog_template *t;
    STAILQ_FOREACH (t, &catalog->templates, next) {
        if (t->tpl.status == PR_TEMPLATE_APPROVED && is_called(t, tenant, name) &&
            same_locale(t->tpl.language, language)) {
            return t;
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
    case PR_TEMPLATE_APPROVED: return "no_template_language";
    case PR_TEMPLATE_OTHER: break;
    }
    return "template_not_approved";
}

static int strictness(enum pr_category category) {
    return category == PR_CATEGORY_MARKETING ? 2 : category == PR_CATEGORY_AUTHENTICATION ? 1 : 0;
}

struct pr_choice pr_choose_template(const struct pr_catalog *catalog, struct pr_span tenant, struct pr_span name,
                                    struct pr_span locale, struct pr_span tenant_locale) {
    struct pr_choice choice = {NULL, "no_template", PR_CATEGORY_UTILITY};
    bool is_first = true;
    const struct pr_catalog_template *t;
    STAILQ_FOREACH (t, &catalog->templates, next) {
        if (!is_called(t, tenant, name)) {
            continue;
        }
        choice.category =
            is_first || strictness(t->tpl.category) > strictness(choice.category) ? t->tpl.category : choice.category;
        choice.refusal = is_first || t->tpl.status == PR_TEMPLATE_PAUSED ? refusal_of(t->tpl.status) : choice.refusal;
        is_first = false;
    }
    const struct pr_span order[] = {locale, language_of(locale), tenant_locale, language_of(tenant_locale)};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !choice.tpl; i++) {
        choice.tpl = approved_in(catalog, tenant, name, order[i]);
    }
    return choice;
}

static bool rule_wants(const struct pr_rule *rule, struct pr_span sender) {
    for (uint16_t i = 0; i < rule->senders_n; i++) {
        if (pr_span_eq(rule->senders[i], sender)) {
            return true;
        }
    }
    return rule->senders_n == 0;
}

const struct pr_catalog_sender *pr_choose_sender(const struct pr_catalog_business *business, const struct pr_rule *rule,
                                                 struct pr_span recipient) {
    const struct pr_catalog_sender *best = NULL;
    uint64_t best_weight = 0;
    for (size_t i = 0; i < business->senders_n; i++) {
        const struct pr_catalog_sender *sender = &business->senders[i];
        uint64_t weight = XXH3_64bits_withSeed(recipient.p, recipient.n, (uint64_t)sender->id);
        if (sender->is_connected && rule_wants(rule, sender->name) && (!best || weight > best_weight)) {
            best = sender;
            best_weight = weight;
        }
    }
    return best;
}
