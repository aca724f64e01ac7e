/* A business as its messages need it: which rule takes an event, which template is sent in a language, which sender has a recipient. */
#ifndef PR_CORE_BUSINESS_H
#define PR_CORE_BUSINESS_H

#include "core/rule.h"
#include "core/template.h"

#include <stdbool.h>
#include <stdint.h>

enum pr_provider { PR_PROVIDER_CLOUD_API, PR_PROVIDER_360DIALOG };

struct pr_sender {
    int32_t id;
    int32_t pool;
    enum pr_provider provider;
    struct pr_span name;
    struct pr_span address; /* the business's own number */
    struct pr_span account; /* phone_number_id */
    struct pr_span secret;  /* name of its token: a file */
    double rate;            /* messages a second, all dispatchers together */
    bool is_connected;
};

/* Arrays are the owner's; one business. */
struct pr_tenant {
    int32_t id;
    struct pr_span name, locale;
    uint32_t senders_n, templates_n, rules_n;
    struct pr_sender *senders;
    struct pr_template *templates;
    struct pr_rule *rules;
};

/* The rule that takes events of `type`, and the type's rank in it; NULL when there is none. */
const struct pr_rule *pr_tenant_rule(const struct pr_tenant *tenant, struct pr_span type, int *rank);

/* A template by name: what is sendable in a locale, or why nothing is. */
struct pr_template_choice {
    const struct pr_template *tpl; /* NULL: none */
    const char *refusal;           /* static, when tpl is NULL: "no_template", "template_paused", … */
    enum pr_category category;     /* the strictest among the name's languages: the one that consent and quota count */
    bool has_name;                 /* any language of the name exists */
    bool has_approved;             /* any language of the name may be sent */
};

/*
 * Only APPROVED ones. Locale falls back pt_BR, pt, the business's, its language. `locale` may be empty.
 */
struct pr_template_choice pr_tenant_template(const struct pr_tenant *tenant, struct pr_span name, struct pr_span locale);

/*
 * The sender of a recipient by rendezvous hash over the rule's senders, so that a conversation keeps its number. `skip` has a bit for each place in
 * the tenant's list that is not wanted; `is_up` says whether a sender is healthy now. NULL when none is left.
 */
typedef bool pr_sender_is_up(void *arg, const struct pr_sender *sender);
const struct pr_sender *pr_tenant_sender(const struct pr_tenant *tenant, const struct pr_rule *rule,
                                         struct pr_span recipient, uint32_t skip, pr_sender_is_up *is_up, void *arg);

#endif
