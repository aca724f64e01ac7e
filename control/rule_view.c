/* Copies what a catalog says about one tenant into the arrays that the look-ups of core take. */
#include "rule_view.h"

static void add_senders(struct pr_arena *arena, struct pr_tenant *tenant, const struct pr_catalog_business *business) {
    tenant->senders = pr_arena_calloc(arena, business->senders_n, sizeof(*tenant->senders));
    for (size_t i = 0; tenant->senders && i < business->senders_n; i++) {
        const struct pr_catalog_sender *s = &business->senders[i];
        tenant->senders[tenant->senders_n++] = (struct pr_sender){
            .id = s->id,
            .pool = s->pool,
            .provider = pr_span_is(s->provider, "360dialog") ? PR_PROVIDER_360DIALOG : PR_PROVIDER_CLOUD_API,
            .name = s->name,
            .address = s->address,
            .account = s->account,
            .secret = s->secret,
            .rate = s->rate,
            .is_connected = s->is_connected,
        };
    }
}

static void add_templates(struct pr_catalog *catalog, struct pr_tenant *tenant) {
    size_t n = 0;
    const struct pr_catalog_template *t;
    STAILQ_FOREACH (t, &catalog->templates, next) {
        n += pr_span_eq(t->tenant, tenant->name);
    }
    tenant->templates = pr_arena_calloc(&catalog->arena, n, sizeof(*tenant->templates));
    STAILQ_FOREACH (t, &catalog->templates, next) {
        if (tenant->templates && pr_span_eq(t->tenant, tenant->name)) {
            tenant->templates[tenant->templates_n++] = t->tpl;
        }
    }
}

static void add_rules(struct pr_catalog *catalog, struct pr_rule_view *view) {
    struct pr_tenant *tenant = &view->tenant;
    size_t n = 0;
    const struct pr_catalog_rule *r;
    STAILQ_FOREACH (r, &catalog->rules, next) {
        n += pr_span_eq(r->tenant, tenant->name);
    }
    tenant->rules = pr_arena_calloc(&catalog->arena, n, sizeof(*tenant->rules));
    view->where = pr_arena_calloc(&catalog->arena, n, sizeof(*view->where));
    STAILQ_FOREACH (r, &catalog->rules, next) {
        if (view->where && pr_span_eq(r->tenant, tenant->name)) {
            view->where[tenant->rules_n] = r->where;
            tenant->rules[tenant->rules_n++] = r->rule;
        }
    }
}

bool pr_rule_view_make(struct pr_catalog *catalog, struct pr_span name, const struct pr_catalog_business *business,
                       struct pr_rule_view *out) {
    *out = (struct pr_rule_view){.tenant = {.name = name}};
    add_templates(catalog, &out->tenant);
    add_rules(catalog, out);
    if (business) {
        out->tenant.id = business->id;
        out->tenant.locale = business->locale;
        add_senders(&catalog->arena, &out->tenant, business);
    }
    return !catalog->arena.failed;
}
