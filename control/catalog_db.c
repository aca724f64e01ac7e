/* What the database has of tenants, senders, templates and rules, beside what the files give. */
#include "catalog.h"
#include "db.h"

#include <stdlib.h>
#include <string.h>

static struct pr_span copy(struct pr_catalog *catalog, const PGresult *r, int row, int col) {
    return pr_arena_copy(&catalog->arena, pr_span_of(pr_db_text(r, row, col)));
}

static struct pr_catalog_business *by_id(const struct pr_catalog *catalog, int32_t id) {
    struct pr_catalog_business *b;
    STAILQ_FOREACH (b, &catalog->businesses, next) {
        if (b->id == id) {
            return b;
        }
    }
    return NULL;
}

static bool load_tenants(struct pr_catalog *catalog, PGconn *db) {
    PGresult *r = pr_db_query(
        db, "select id, name, display_name, locale, time_zone, country from postrider.tenant order by id", 0, NULL);
    for (int i = 0; r && i < PQntuples(r); i++) {
        struct pr_catalog_business *b = pr_catalog_find(catalog, pr_span_of(pr_db_text(r, i, 1)));
        if (!b) {
            b = pr_arena_calloc(&catalog->arena, 1, sizeof(*b));
            if (!b) {
                break;
            }
            b->tenant = copy(catalog, r, i, 1);
            b->name = copy(catalog, r, i, 2);
            b->locale = copy(catalog, r, i, 3);
            b->time_zone = copy(catalog, r, i, 4);
            b->country = copy(catalog, r, i, 5);
            STAILQ_INSERT_TAIL(&catalog->businesses, b, next);
        }
        b->id = (int32_t)pr_db_int(r, i, 0);
    }
    PQclear(r);
    return r != NULL;
}

static struct pr_catalog_sender *named(struct pr_catalog_business *b, const char *name) {
    for (size_t i = 0; i < b->senders_n; i++) {
        if (pr_span_is(b->senders[i].name, name)) {
            return &b->senders[i];
        }
    }
    return NULL;
}

/* A tenant's list of senders with room for one more; NULL without memory. */
static struct pr_catalog_sender *add_sender(struct pr_catalog *catalog, struct pr_catalog_business *b) {
    struct pr_catalog_sender *list = pr_arena_calloc(&catalog->arena, b->senders_n + 1, sizeof(*list));
    if (!list) {
        return NULL;
    }
    if (b->senders_n > 0) {
        memcpy(list, b->senders, b->senders_n * sizeof(*list));
    }
    b->senders = list;
    return &list[b->senders_n++];
}

static bool load_senders(struct pr_catalog *catalog, PGconn *db) {
    PGresult *r =
        pr_db_query(db,
                    "select tenant, id, pool, name, provider, address, account, secret, rate, status = 'connected' "
                    "from postrider.sender order by tenant, id",
                    0, NULL);
    for (int i = 0; r && i < PQntuples(r); i++) {
        struct pr_catalog_business *b = by_id(catalog, (int32_t)pr_db_int(r, i, 0));
        struct pr_catalog_sender *s = b ? named(b, pr_db_text(r, i, 3)) : NULL;
        if (b && !s) {
            s = add_sender(catalog, b);
            if (!s) {
                break;
            }
            s->name = copy(catalog, r, i, 3);
            s->provider = copy(catalog, r, i, 4);
            s->address = copy(catalog, r, i, 5);
            s->account = copy(catalog, r, i, 6);
            s->secret = copy(catalog, r, i, 7);
            s->rate = strtod(pr_db_text(r, i, 8), NULL);
        }
        if (s) {
            s->id = (int32_t)pr_db_int(r, i, 1);
            s->pool = (int32_t)pr_db_int(r, i, 2);
            s->is_connected = pr_db_bool(r, i, 9);
        }
    }
    PQclear(r);
    return r != NULL;
}

bool pr_catalog_load_tenants(struct pr_catalog *catalog, PGconn *db) {
    catalog->is_complete = load_tenants(catalog, db) && load_senders(catalog, db);
    return catalog->is_complete;
}

static void add_template(struct pr_catalog *catalog, const PGresult *r, int row, const struct pr_catalog_business *b) {
    struct pr_catalog_template *t = pr_arena_calloc(&catalog->arena, 1, sizeof(*t));
    if (!t) {
        return;
    }
    t->tenant = b->tenant;
    t->definition = copy(catalog, r, row, 4);
    /*
     * What an older release stored and this one does not take is not in the way here; the dispatcher leaves it
     * out, too.
     */
    if (!t->definition.p || !pr_template_compile(t->definition, &catalog->arena, &t->tpl, &t->fault)) {
        return;
    }
    t->is_compiled = true;
    t->tpl.id = (int32_t)pr_db_int(r, row, 1);
    t->tpl.status = pr_template_status_parse(pr_span_of(pr_db_text(r, row, 5)));
    STAILQ_INSERT_TAIL(&catalog->templates, t, next);
}

static bool load_templates(struct pr_catalog *catalog, PGconn *db, bool is_all) {
    PGresult *r = pr_db_query(
        db, "select tenant, id, name, language, definition, status from postrider.template order by tenant, id", 0,
        NULL);
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct pr_catalog_business *b = by_id(catalog, (int32_t)pr_db_int(r, i, 0));
        if (b && (is_all || b->is_named) &&
            !pr_catalog_has_template(catalog, b->tenant, pr_span_of(pr_db_text(r, i, 2)),
                                     pr_span_of(pr_db_text(r, i, 3)))) {
            add_template(catalog, r, i, b);
        }
    }
    PQclear(r);
    return r != NULL;
}

static void add_rule(struct pr_catalog *catalog, const PGresult *r, int row, const struct pr_catalog_business *b) {
    struct pr_catalog_rule *rule = pr_arena_calloc(&catalog->arena, 1, sizeof(*rule));
    struct pr_template_fault fault;
    if (!rule) {
        return;
    }
    rule->tenant = b->tenant;
    rule->position = (int32_t)pr_db_int(r, row, 1);
    rule->file_name = copy(catalog, r, row, 2);
    rule->definition = copy(catalog, r, row, 4);
    if (!rule->definition.p || !pr_rule_compile(rule->definition, &catalog->arena, &rule->rule, &fault)) {
        return;
    }
    rule->rule.line = (uint32_t)pr_db_int(r, row, 3);
    struct pr_buf where;
    pr_buf_init(&where, 4096);
    pr_buf_printf(&where, "%.*s:%u", PR_SPAN_ARG(rule->file_name), rule->rule.line);
    rule->where = pr_arena_copy(&catalog->arena, pr_buf_span(&where));
    pr_buf_free(&where);
    STAILQ_INSERT_TAIL(&catalog->rules, rule, next);
}

static bool load_rules(struct pr_catalog *catalog, PGconn *db, bool is_all) {
    PGresult *r = pr_db_query(
        db, "select tenant, position, file, line, definition from postrider.rule order by tenant, position", 0, NULL);
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct pr_catalog_business *b = by_id(catalog, (int32_t)pr_db_int(r, i, 0));
        if (b && (is_all || b->is_named) && !pr_catalog_has_rules(catalog, b->tenant)) {
            add_rule(catalog, r, i, b);
        }
    }
    PQclear(r);
    return r != NULL;
}

bool pr_catalog_load_rest(struct pr_catalog *catalog, PGconn *db, bool is_all) {
    return load_templates(catalog, db, is_all) && load_rules(catalog, db, is_all);
}
