/* Look-ups over a business's rules, templates and senders; the same for whoever sends and whoever only asks what would be sent. */
#include "core/business.h"

#include <xxhash.h>

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
