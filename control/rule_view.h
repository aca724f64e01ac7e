/* A tenant of a catalog as the dispatcher sees it, so that a test of rules chooses with the dispatcher's own look-ups. */
#ifndef PR_CONTROL_RULE_VIEW_H
#define PR_CONTROL_RULE_VIEW_H

#include "catalog.h"

#include "core/business.h"

/* One tenant. Its rows are copies that point into the catalog; everything lives in the catalog's arena. */
struct pr_rule_view {
    struct pr_tenant tenant;
    struct pr_span *where; /* of each of tenant.rules, "rules.json:5" */
};

/*
 * The tenant called `name` out of a catalog that was checked (pr_catalog_check), in the catalog's order. `business`
 * is its own entry, NULL when the catalog has none: then there are no senders and no locale. False when memory ran
 * out.
 */
bool pr_rule_view_make(struct pr_catalog *catalog, struct pr_span name, const struct pr_catalog_business *business,
                       struct pr_rule_view *out) PR_MUST_CHECK;

#endif
