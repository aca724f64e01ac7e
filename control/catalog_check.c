/* Rules, templates, senders and tenants checked against each other, over all files and the database. */
#include "catalog.h"

#include <stdio.h>

struct pr_catalog_business *pr_catalog_find(const struct pr_catalog *catalog, struct pr_span tenant) {
    struct pr_catalog_business *b;
    STAILQ_FOREACH (b, &catalog->businesses, next) {
        if (pr_span_eq(b->tenant, tenant)) {
            return b;
        }
    }
    return NULL;
}

bool pr_catalog_has_template(const struct pr_catalog *catalog, struct pr_span tenant, struct pr_span name,
                             struct pr_span language) {
    const struct pr_catalog_template *t;
    STAILQ_FOREACH (t, &catalog->templates, next) {
        if (t->file && pr_span_eq(t->tenant, tenant) && pr_span_eq(t->tpl.name, name) &&
            pr_span_eq(t->tpl.language, language)) {
            return true;
        }
    }
    return false;
}

bool pr_catalog_has_rules(const struct pr_catalog *catalog, struct pr_span tenant) {
    const struct pr_catalog_ruled *r;
    STAILQ_FOREACH (r, &catalog->ruled, next) {
        if (pr_span_eq(r->tenant, tenant)) {
            return true;
        }
    }
    return false;
}

/*
 * The only tenant among the businesses that are of files (or of the database); p NULL when there is none or
 * several.
 */
static struct pr_span only_business(const struct pr_catalog *catalog, bool is_of_file) {
    struct pr_span only = {NULL, 0};
    const struct pr_catalog_business *b;
    STAILQ_FOREACH (b, &catalog->businesses, next) {
        if ((b->file != NULL) != is_of_file) {
            continue;
        }
        if (only.p) {
            return (struct pr_span){NULL, 0};
        }
        only = b->tenant;
    }
    return only;
}

static struct pr_span only_ruled(const struct pr_catalog *catalog) {
    struct pr_span only = {NULL, 0};
    const struct pr_catalog_ruled *r;
    STAILQ_FOREACH (r, &catalog->ruled, next) {
        if (only.p && !pr_span_eq(only, r->tenant)) {
            return (struct pr_span){NULL, 0};
        }
        only = r->tenant;
    }
    return only;
}

static void mark_named(struct pr_catalog *catalog, struct pr_span tenant, const struct pr_catalog_file *file) {
    struct pr_catalog_business *b = pr_catalog_find(catalog, tenant);
    if (b) {
        b->is_named = true;
    } else if (catalog->is_complete && tenant.n > 0) {
        pr_catalog_fault(catalog, file, "tenant", "there is no tenant %.*s: apply its business.json in the same call",
                         PR_SPAN_ARG(tenant));
    }
}

void pr_catalog_assign(struct pr_catalog *catalog, const char *option) {
    struct pr_span tenant = option ? pr_span_of(option) : only_business(catalog, true);
    tenant = tenant.p ? tenant : only_ruled(catalog);
    tenant = tenant.p ? tenant : only_business(catalog, false);
    const struct pr_catalog_file *last = NULL;
    struct pr_catalog_template *t;
    STAILQ_FOREACH (t, &catalog->templates, next) {
        bool is_first = t->file != last;
        last = t->file;
        if (!t->tenant.p) {
            t->tenant = tenant;
            if (!tenant.p && is_first) {
                pr_catalog_fault(catalog, t->file, "",
                                 "whose templates are these? Say --tenant, or put \"tenant\" beside \"data\"");
            }
        }
        if (is_first) {
            mark_named(catalog, t->tenant, t->file);
        }
    }
    const struct pr_catalog_ruled *r;
    STAILQ_FOREACH (r, &catalog->ruled, next) {
        mark_named(catalog, r->tenant, r->file);
    }
    struct pr_catalog_business *b;
    STAILQ_FOREACH (b, &catalog->businesses, next) {
        b->is_named = b->is_named || b->file;
    }
}

static void rule_path(char out[192], const struct pr_catalog_rule *r, const char *path) {
    if (r->file) {
        (void)snprintf(out, 192, "%s%s%s", r->prefix, *path && *path != '[' ? "." : "", path);
    } else {
        (void)snprintf(out, 192, "rule %.*s%s%s", PR_SPAN_ARG(r->rule.name), *path ? ": " : "", path);
    }
}

static bool same_template(const struct pr_catalog_template *a, const struct pr_catalog_template *b) {
    return pr_span_eq(a->tenant, b->tenant) && pr_span_eq(a->tpl.name, b->tpl.name);
}

static bool is_named_by_rule(const struct pr_catalog *catalog, const struct pr_catalog_template *t) {
    const struct pr_catalog_rule *r;
    STAILQ_FOREACH (r, &catalog->rules, next) {
        for (uint16_t i = 0; i < r->rule.on_n; i++) {
            if (pr_span_eq(r->tenant, t->tenant) && pr_span_eq(r->rule.on[i].template_name, t->tpl.name)) {
                return true;
            }
        }
    }
    return false;
}

/*
 * A list of the platform's may hold kinds that are not sent (carousels, flows): in the way only when a rule wants
 * them.
 */
static void check_compiled(struct pr_catalog *catalog, const struct pr_catalog_template *t) {
    char path[192];
    (void)snprintf(path, sizeof(path), "%s%s%s", t->prefix, *t->fault.path && *t->fault.path != '[' ? "." : "",
                   t->fault.path);
    if (t->tpl.name.n > 0 && !is_named_by_rule(catalog, t)) {
        pr_catalog_note(catalog, t->file, path, "%s; template %.*s is left out: no rule names it", t->fault.text,
                        PR_SPAN_ARG(t->tpl.name));
        catalog->left_out++;
    } else {
        pr_catalog_fault(catalog, t->file, path, "%s", t->fault.text);
    }
}

/* Against the templates before it in the list. */
static void check_twins(struct pr_catalog *catalog, const struct pr_catalog_template *t) {
    const struct pr_catalog_template *other;
    STAILQ_FOREACH (other, &catalog->templates, next) {
        if (other == t) {
            return;
        }
        if (!same_template(other, t)) {
            continue;
        }
        if (t->file && pr_span_eq(other->tpl.language, t->tpl.language)) {
            pr_catalog_fault(catalog, t->file, t->prefix, "%.*s in %.*s is there twice", PR_SPAN_ARG(t->tpl.name),
                             PR_SPAN_ARG(t->tpl.language));
        } else if (t->is_compiled && other->is_compiled && other->tpl.category != t->tpl.category) {
            pr_catalog_note(catalog, t->file ? t->file : other->file, t->file ? t->prefix : other->prefix,
                            "%.*s is %s in %.*s and %s in %.*s: the stricter one counts for consent, caps and quota",
                            PR_SPAN_ARG(t->tpl.name), pr_category_name(other->tpl.category),
                            PR_SPAN_ARG(other->tpl.language), pr_category_name(t->tpl.category),
                            PR_SPAN_ARG(t->tpl.language));
            return;
        }
    }
}

static void check_templates(struct pr_catalog *catalog) {
    struct pr_catalog_template *t, *following;
    for (t = STAILQ_FIRST(&catalog->templates); t; t = following) {
        following = STAILQ_NEXT(t, next);
        check_twins(catalog, t);
        if (!t->is_compiled) {
            check_compiled(catalog, t);
            STAILQ_REMOVE(&catalog->templates, t, pr_catalog_template, next);
        } else if (t->file && t->tpl.status != PR_TEMPLATE_APPROVED) {
            pr_catalog_note(catalog, t->file, t->prefix, "%.*s in %.*s is %s, not approved: nothing is sent with it",
                            PR_SPAN_ARG(t->tpl.name), PR_SPAN_ARG(t->tpl.language),
                            pr_template_status_name(t->tpl.status));
        }
    }
}

/* Whether the rule fits every language of one of its templates. */
static void check_fits(struct pr_catalog *catalog, const struct pr_catalog_rule *r, const struct pr_rule_on *on) {
    const struct pr_catalog_template *t;
    unsigned n = 0;
    char path[192];
    STAILQ_FOREACH (t, &catalog->templates, next) {
        struct pr_template_fault fault = {{0}, {0}};
        if (!pr_span_eq(t->tenant, r->tenant) || !pr_span_eq(t->tpl.name, on->template_name)) {
            continue;
        }
        n++;
        if ((!r->file && !t->file) || pr_rule_fits(&r->rule, &t->tpl, &fault)) {
            continue;
        }
        rule_path(path, r, fault.path);
        if (r->file) {
            pr_catalog_fault(catalog, r->file, path, "%s (template %.*s, %.*s)", fault.text, PR_SPAN_ARG(t->tpl.name),
                             PR_SPAN_ARG(t->tpl.language));
        } else {
            pr_catalog_fault(catalog, t->file, t->prefix,
                             "%s of the database no longer fits: %s; apply the changed rules.json in the same call",
                             path, fault.text);
        }
        return;
    }
    if (n == 0 && r->file) {
        rule_path(path, r, r->rule.on_n > 1 ? "on" : "template");
        pr_catalog_fault(catalog, r->file, path,
                         "there is no template %.*s in the files%s: apply its templates.json in the same call",
                         PR_SPAN_ARG(on->template_name), catalog->is_complete ? " or in the database" : "");
    }
}

/* The earlier rule of the tenant that takes the type already, or the same rule's earlier mention; NULL: none. */
static const struct pr_catalog_rule *taken_by(const struct pr_catalog *catalog, const struct pr_catalog_rule *r,
                                              uint16_t nth) {
    const struct pr_catalog_rule *other;
    STAILQ_FOREACH (other, &catalog->rules, next) {
        if (!pr_span_eq(other->tenant, r->tenant)) {
            continue;
        }
        uint16_t n = other == r ? nth : other->rule.on_n;
        for (uint16_t i = 0; i < n; i++) {
            if (pr_span_eq(other->rule.on[i].type, r->rule.on[nth].type)) {
                return other;
            }
        }
        if (other == r) {
            return NULL;
        }
    }
    return NULL;
}

static void check_types(struct pr_catalog *catalog, const struct pr_catalog_rule *r) {
    char path[192];
    rule_path(path, r, "on");
    for (uint16_t i = 0; i < r->rule.on_n; i++) {
        struct pr_span type = r->rule.on[i].type;
        const struct pr_catalog_rule *other = taken_by(catalog, r, i);
        if (other) {
            pr_catalog_fault(catalog, r->file, path,
                             "%.*s is taken by rule %.*s (%.*s) already: one event makes one message",
                             PR_SPAN_ARG(type), PR_SPAN_ARG(other->rule.name), PR_SPAN_ARG(other->where));
        }
        if (pr_rule_is_control(type)) {
            pr_catalog_fault(catalog, r->file, path, "%.*s changes contacts and consent; it cannot make a message",
                             PR_SPAN_ARG(type));
        }
    }
}

static void check_name(struct pr_catalog *catalog, const struct pr_catalog_rule *r) {
    char path[192];
    const struct pr_catalog_rule *other;
    rule_path(path, r, "name");
    STAILQ_FOREACH (other, &catalog->rules, next) {
        if (other == r) {
            return;
        }
        if (pr_span_eq(other->tenant, r->tenant) && pr_span_eq(other->rule.name, r->rule.name)) {
            pr_catalog_fault(catalog, r->file, path, "is the name of another rule (%.*s)", PR_SPAN_ARG(other->where));
            return;
        }
    }
}

static bool has_sender(const struct pr_catalog_business *b, struct pr_span name) {
    for (size_t i = 0; i < b->senders_n; i++) {
        if (pr_span_eq(b->senders[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void check_senders(struct pr_catalog *catalog, const struct pr_catalog_rule *r) {
    const struct pr_catalog_business *b = pr_catalog_find(catalog, r->tenant);
    char path[192], item[32];
    for (uint16_t i = 0; b && i < r->rule.senders_n; i++) {
        if (!has_sender(b, r->rule.senders[i])) {
            (void)snprintf(item, sizeof(item), "senders[%u]", i);
            rule_path(path, r, item);
            pr_catalog_fault(catalog, r->file, path, "%.*s has no sender %.*s", PR_SPAN_ARG(b->tenant),
                             PR_SPAN_ARG(r->rule.senders[i]));
        }
    }
}

void pr_catalog_check(struct pr_catalog *catalog) {
    check_templates(catalog);
    const struct pr_catalog_rule *r;
    STAILQ_FOREACH (r, &catalog->rules, next) {
        for (uint16_t i = 0; i < r->rule.on_n; i++) {
            check_fits(catalog, r, &r->rule.on[i]);
        }
        if (r->file) {
            check_name(catalog, r);
            check_types(catalog, r);
            check_senders(catalog, r);
        }
    }
}
