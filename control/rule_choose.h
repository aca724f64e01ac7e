/* What the dispatcher would choose for an event out of a catalog: rule, template in a language, sender. Pure. */
#ifndef PR_CONTROL_RULE_CHOOSE_H
#define PR_CONTROL_RULE_CHOOSE_H

#include "catalog.h"

/* The rule of the tenant that takes events of `type`; NULL: none. */
const struct pr_catalog_rule *pr_choose_rule(const struct pr_catalog *catalog, struct pr_span tenant,
                                             struct pr_span type, int *rank);

struct pr_choice {
    const struct pr_catalog_template *tpl; /* NULL: none can be sent */
    const char *refusal;                   /* static, when tpl is NULL: "no_template", "template_paused", … */
    enum pr_category category;             /* the strictest among the name's languages */
};

/* Among the approved languages: `locale`, its language alone, the tenant's own locale, its language. */
struct pr_choice pr_choose_template(const struct pr_catalog *catalog, struct pr_span tenant, struct pr_span name,
                                    struct pr_span locale, struct pr_span tenant_locale);

/*
 * The connected sender of a recipient among those that the rule may use, by rendezvous hash as the dispatcher does
 * it; NULL: none.
 */
const struct pr_catalog_sender *pr_choose_sender(const struct pr_catalog_business *business, const struct pr_rule *rule,
                                                 struct pr_span recipient);

#endif
