/* Tenants, pools, senders, templates and rules as rows: made, changed, left as they are, or removed. */
#include "apply_store.h"
#include "command.h"
#include "db.h"
#include "locate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store {
    const struct pr_catalog *catalog;
    PGconn *db;
    struct pr_table *table;
    struct pr_apply_counts *counts;
    char tenant[16]; /* id of the current tenant as text */
    int32_t reload;  /* tenant whose lanes must read anew; 0: none, -1: several */
};

enum became { BECAME_UNCHANGED, BECAME_CREATED, BECAME_CHANGED, BECAME_REMOVED };

static void count(struct store *s, enum became became) {
    switch (became) {
    case BECAME_UNCHANGED: s->counts->unchanged++; return;
    case BECAME_CREATED: s->counts->created++; break;
    case BECAME_CHANGED: s->counts->changed++; break;
    case BECAME_REMOVED: s->counts->removed++; break;
    }
}

static void note(struct store *s, struct pr_span tenant, const char *kind, struct pr_span name, enum became became) {
    static const char *const words[] = {"unchanged", "created", "changed", "removed"};
    pr_table_span(s->table, tenant);
    pr_table_text(s->table, kind);
    pr_table_span(s->table, name);
    pr_table_text(s->table, words[became]);
    count(s, became);
}

/*
 * An upsert that returns no row when nothing changes, else one whose first column says whether the row is new.
 * (xmax is 0 only in a row version that no transaction has locked or replaced: one that was just inserted.)
 */
static bool upsert(struct store *s, const char *sql, int n, const char *const *values, enum became *became) {
    PGresult *r = pr_db_query(s->db, sql, n, values);
    if (!r) {
        return false;
    }
    *became = PQntuples(r) == 0 ? BECAME_UNCHANGED : pr_db_bool(r, 0, 0) ? BECAME_CREATED : BECAME_CHANGED;
    PQclear(r);
    return true;
}

/* The same, for an object that is told by `kind` and `name`. */
static bool store(struct store *s, struct pr_span tenant, const char *kind, struct pr_span name, const char *sql, int n,
                  const char *const *values) {
    enum became became;
    if (!upsert(s, sql, n, values, &became)) {
        return false;
    }
    note(s, tenant, kind, name, became);
    return true;
}

/* Spans of the catalog end with a NUL (pr_arena_copy) or are literals; an absent one is "". */
static const char *text(struct pr_span s) {
    return s.p ? s.p : "";
}

static bool check_zone(struct store *s, const struct pr_catalog_business *b) {
    const char *zone = text(b->time_zone);
    PGresult *r = pr_db_query(s->db, "select exists (select from pg_timezone_names where name = $1)", 1, &zone);
    bool ok = r && pr_db_bool(r, 0, 0);
    if (r && !ok) {
        pr_error("%s:%d: time_zone: %s is no time zone that the database knows; write it like America/Sao_Paulo",
                 b->file->path, pr_locate(b->file->text, "time_zone"), zone);
    }
    PQclear(r);
    return ok;
}

/* Sets the current tenant; every object of it follows. */
static bool enter(struct store *s, struct pr_span tenant) {
    const char *name = text(tenant);
    PGresult *r = pr_db_query(s->db, "select id from postrider.tenant where name = $1", 1, &name);
    bool ok = r && PQntuples(r) == 1;
    if (ok) {
        (void)snprintf(s->tenant, sizeof(s->tenant), "%s", PQgetvalue(r, 0, 0));
    } else if (r) {
        pr_error("tenant %s was removed meanwhile: try again", name);
    }
    PQclear(r);
    return ok;
}

static bool store_pool(struct store *s, const struct pr_catalog_business *b) {
    char people[16], reserve[16];
    (void)snprintf(people, sizeof(people), "%d", (int)b->people_max);
    (void)snprintf(reserve, sizeof(reserve), "%d", (int)b->reserve_pct);
    const char *const values[] = {s->tenant, text(b->pool), text(b->tier), people, reserve};
    return store(s, b->tenant, "portfolio", b->pool,
                 "insert into postrider.quota_pool as p (tenant, name, tier, people_max, reserve_pct) "
                 "values ($1::int, $2, $3, nullif($4::int, 0), $5::int) "
                 "on conflict (tenant, name) do update set tier = excluded.tier, people_max = excluded.people_max, "
                 "reserve_pct = excluded.reserve_pct "
                 "where (p.tier, p.people_max, p.reserve_pct) is distinct from (excluded.tier, excluded.people_max, "
                 "excluded.reserve_pct) "
                 "returning xmax = 0",
                 5, values);
}

static bool store_sender(struct store *s, const struct pr_catalog_business *b, const struct pr_catalog_sender *x) {
    char rate[32];
    (void)snprintf(rate, sizeof(rate), "%.17g", x->rate);
    const char *const values[] = {s->tenant,        text(x->name), text(b->pool), text(x->provider), text(x->address),
                                  text(x->account), text(x->waba), rate,          text(x->secret)};
    return store(
        s, b->tenant, "sender", x->name,
        "insert into postrider.sender as x (tenant, name, pool, provider, address, account, waba, rate, secret) "
        "select $1::int, $2, q.id, $4, $5, $6, $7, $8::double precision, $9 from postrider.quota_pool q where "
        "q.tenant = $1::int and q.name = $3 "
        "on conflict (tenant, name) do update set pool = excluded.pool, provider = excluded.provider, address = "
        "excluded.address, "
        "account = excluded.account, waba = excluded.waba, rate = excluded.rate, secret = excluded.secret "
        "where (x.pool, x.provider, x.address, x.account, x.waba, x.rate, x.secret) is distinct from "
        "(excluded.pool, excluded.provider, excluded.address, excluded.account, excluded.waba, excluded.rate, "
        "excluded.secret) "
        "returning xmax = 0",
        9, values);
}

/* "marketing: 1 in 24h, 3 in 7d; quiet 21:00-08:00", as the file has it but for the unit, and the columns. */
static void name_policy(const struct pr_catalog_policy *p, struct pr_buf *name, char n[64], char seconds[64],
                        char quiet[2][8]) {
    static const struct {
        const char *name;
        int32_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    int at_n = 0, at_s = 0;
    for (size_t i = 0; i < p->caps_n; i++) {
        size_t u = p->caps[i].seconds == 86400 ? 1 : 0; /* a day is said "24h" */
        while (p->caps[i].seconds % units[u].seconds != 0) {
            u++;
        }
        pr_buf_printf(name, "%s%d in %d%s", i ? ", " : ": ", (int)p->caps[i].n,
                      (int)(p->caps[i].seconds / units[u].seconds), units[u].name);
        at_n += snprintf(n + at_n, 64 - (size_t)at_n, "%s%d", i ? "," : "{", (int)p->caps[i].n);
        at_s += snprintf(seconds + at_s, 64 - (size_t)at_s, "%s%d", i ? "," : "{", (int)p->caps[i].seconds);
    }
    (void)snprintf(n + at_n, 64 - (size_t)at_n, p->caps_n ? "}" : "{}");
    (void)snprintf(seconds + at_s, 64 - (size_t)at_s, p->caps_n ? "}" : "{}");
    const int32_t minutes[2] = {p->quiet_from, p->quiet_to};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(quiet[i], 8, "%02d:%02d", (int)(minutes[i] / 60 % 24), (int)(minutes[i] % 60));
    }
    if (p->quiet_from >= 0) {
        pr_buf_printf(name, "%s quiet %s-%s", p->caps_n ? ";" : ":", quiet[0], quiet[1]);
    }
}

static bool store_policy(struct store *s, const struct pr_catalog_business *b, enum pr_category category) {
    const struct pr_catalog_policy *p = &b->policy[category];
    char n[64], seconds[64], quiet[2][8], number[12];
    struct pr_buf name;
    pr_buf_init(&name, 256);
    pr_buf_put_span(&name, pr_span_of(pr_category_name(category)));
    name_policy(p, &name, n, seconds, quiet);
    (void)snprintf(number, sizeof(number), "%d", (int)category);
    const char *const values[] = {
        s->tenant, number, n, seconds, p->quiet_from >= 0 ? quiet[0] : NULL, p->quiet_from >= 0 ? quiet[1] : NULL};
    bool ok = store(s, b->tenant, "policy", pr_buf_span(&name),
                    "insert into postrider.policy as p (tenant, category, cap_n, cap_s, quiet_from, quiet_to) values "
                    "($1::int, $2::smallint, $3::int[], $4::int[], $5::time, $6::time) "
                    "on conflict (tenant, category) do update set cap_n = excluded.cap_n, cap_s = excluded.cap_s, "
                    "quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to "
                    "where (p.cap_n, p.cap_s, p.quiet_from, p.quiet_to) is distinct from (excluded.cap_n, "
                    "excluded.cap_s, excluded.quiet_from, excluded.quiet_to) returning xmax = 0",
                    6, values);
    pr_buf_free(&name);
    return ok;
}

/* A category of which the file says nothing has no caps and no quiet hours, whatever an earlier file said. */
static bool remove_policy(struct store *s, const struct pr_catalog_business *b, enum pr_category category) {
    char number[12];
    (void)snprintf(number, sizeof(number), "%d", (int)category);
    const char *const values[] = {s->tenant, number};
    PGresult *r = pr_db_query(
        s->db, "delete from postrider.policy where tenant = $1::int and category = $2::smallint returning true", 2,
        values);
    if (r && PQntuples(r) > 0) {
        note(s, b->tenant, "policy", pr_span_of(pr_category_name(category)), BECAME_REMOVED);
    }
    PQclear(r);
    return r != NULL;
}

static bool store_policies(struct store *s, const struct pr_catalog_business *b) {
    bool ok = true;
    for (int i = 0; ok && i < PR_CATEGORIES; i++) {
        bool is_set = b->policy[i].caps_n > 0 || b->policy[i].quiet_from >= 0;
        ok = is_set ? store_policy(s, b, (enum pr_category)i) : remove_policy(s, b, (enum pr_category)i);
    }
    return ok;
}

static bool store_business(struct store *s, const struct pr_catalog_business *b) {
    const char *const values[] = {text(b->tenant), text(b->name), text(b->locale), text(b->time_zone), text(b->country)};
    if (!check_zone(s, b) ||
        !store(s, b->tenant, "tenant", b->tenant,
               "insert into postrider.tenant as t (name, display_name, locale, time_zone, country) values ($1, $2, "
               "$3, $4, $5) "
               "on conflict (name) do update set display_name = excluded.display_name, locale = excluded.locale, "
               "time_zone = excluded.time_zone, country = excluded.country "
               "where (t.display_name, t.locale, t.time_zone, t.country) is distinct from "
               "(excluded.display_name, excluded.locale, excluded.time_zone, excluded.country) returning xmax = 0",
               5, values)) {
        return false;
    }
    bool ok = enter(s, b->tenant) && store_pool(s, b);
    for (size_t i = 0; ok && i < b->senders_n; i++) {
        ok = !b->senders[i].is_of_file || store_sender(s, b, &b->senders[i]);
    }
    return ok && store_policies(s, b);
}

/*
 * Only a changed definition changes the status: the platform may have paused the template since the file was
 * written, and applying the same file again must not hide that.
 */
static bool store_template(struct store *s, const struct pr_catalog_template *t) {
    char category[8], name[PR_TEMPLATE_NAME_MAX + 64];
    (void)snprintf(category, sizeof(category), "%d", (int)t->tpl.category);
    (void)snprintf(name, sizeof(name), "%.*s %.*s, %s", PR_SPAN_ARG(t->tpl.name), PR_SPAN_ARG(t->tpl.language),
                   pr_category_name(t->tpl.category));
    const char *const values[] = {
        s->tenant,          text(t->tpl.name), text(t->tpl.language), category, pr_template_status_name(t->tpl.status),
        text(t->definition)};
    return store(s, t->tenant, "template", pr_span_of(name),
                 "insert into postrider.template as t (tenant, name, language, category, status, definition) "
                 "values ($1::int, $2, $3, $4::smallint, $5, $6) "
                 "on conflict (tenant, name, language) do update set category = excluded.category, status = "
                 "excluded.status, "
                 "definition = excluded.definition where t.definition is distinct from excluded.definition returning "
                 "xmax = 0",
                 6, values);
}

static bool store_rule(struct store *s, const struct pr_catalog_rule *r) {
    char position[16], line[16];
    (void)snprintf(position, sizeof(position), "%d", (int)r->position);
    (void)snprintf(line, sizeof(line), "%u", r->rule.line);
    const char *const values[] = {s->tenant, text(r->rule.name), position, text(r->file_name),
                                  line,      text(r->definition)};
    enum became became;
    if (!upsert(s,
                "insert into postrider.rule as r (tenant, name, position, file, line, definition) "
                "values ($1::int, $2, $3::int, $4, $5::int, $6) "
                "on conflict (tenant, name) do update set position = excluded.position, file = excluded.file, line = "
                "excluded.line, "
                "definition = excluded.definition where r.definition is distinct from excluded.definition returning "
                "xmax = 0",
                6, values, &became)) {
        return false;
    }
    PGresult *moved = NULL;
    if (became == BECAME_UNCHANGED) {
        /* Another place in the file is no change of the rule, but messages should name the place where it is now. */
        moved = pr_db_query(s->db,
                            "update postrider.rule set position = $3::int, file = $4, line = $5::int where tenant = "
                            "$1::int and name = $2 "
                            "and (position, file, line) is distinct from ($3::int, $4, $5::int) and definition = $6",
                            6, values);
        if (!moved) {
            return false;
        }
    }
    PQclear(moved);
    note(s, r->tenant, "rule", r->rule.name, became);
    return true;
}

/* Removes the tenant's rules that no file of this call names. */
static bool remove_rules(struct store *s, struct pr_span tenant) {
    struct pr_params params;
    pr_params_init(&params, 1024 * 1024);
    pr_params_text(&params, tenant);
    pr_params_array(&params, PR_OID_TEXT);
    const struct pr_catalog_rule *r;
    STAILQ_FOREACH (r, &s->catalog->rules, next) {
        if (r->file && pr_span_eq(r->tenant, tenant)) {
            pr_item_text(&params, r->rule.name);
        }
    }
    PGresult *gone = pr_db_query_params(
        s->db,
        "delete from postrider.rule r using postrider.tenant t where t.name = $1 and r.tenant = t.id "
        "and r.name <> all ($2) returning r.name",
        &params);
    pr_params_free(&params);
    for (int i = 0; gone && i < PQntuples(gone); i++) {
        note(s, tenant, "rule", pr_span_of(PQgetvalue(gone, i, 0)), BECAME_REMOVED);
    }
    PQclear(gone);
    return gone != NULL;
}

static unsigned touched(const struct store *s) {
    return s->counts->created + s->counts->changed + s->counts->removed;
}

/* Remembers whose lanes have to read anew when something was touched since `before`. */
static void mark(struct store *s, unsigned before) {
    int32_t id = (int32_t)strtol(s->tenant, NULL, 10);
    if (touched(s) != before) {
        s->reload = s->reload == 0 || s->reload == id ? id : -1;
    }
}

static bool store_businesses(struct store *s) {
    const struct pr_catalog_business *b;
    STAILQ_FOREACH (b, &s->catalog->businesses, next) {
        unsigned before = touched(s);
        if (b->file && !store_business(s, b)) {
            return false;
        }
        mark(s, before);
    }
    return true;
}

static bool store_templates(struct store *s) {
    const struct pr_catalog_template *t;
    STAILQ_FOREACH (t, &s->catalog->templates, next) {
        unsigned before = touched(s);
        if (t->file && (!enter(s, t->tenant) || !store_template(s, t))) {
            return false;
        }
        mark(s, before);
    }
    return true;
}

static bool store_rules(struct store *s) {
    const struct pr_catalog_rule *r;
    const struct pr_catalog_ruled *ruled;
    STAILQ_FOREACH (r, &s->catalog->rules, next) {
        unsigned before = touched(s);
        if (r->file && (!enter(s, r->tenant) || !store_rule(s, r))) {
            return false;
        }
        mark(s, before);
    }
    STAILQ_FOREACH (ruled, &s->catalog->ruled, next) {
        unsigned before = touched(s);
        if (!enter(s, ruled->tenant) || !remove_rules(s, ruled->tenant)) {
            return false;
        }
        mark(s, before);
    }
    return true;
}

static bool tell_lanes(struct store *s) {
    if (s->reload == 0) {
        return true;
    }
    char tenant[16];
    (void)snprintf(tenant, sizeof(tenant), "%d", s->reload > 0 ? (int)s->reload : 0);
    const char *value = tenant;
    PGresult *r = pr_db_query(
        s->db, "insert into postrider.control (tenant, kind, target) values ($1::int, 'reload', '')", 1, &value);
    PQclear(r);
    return r != NULL;
}

bool pr_apply_store(const struct pr_catalog *catalog, PGconn *db, bool is_dry, struct pr_table *table,
                    struct pr_apply_counts *counts) {
    struct store s = {.catalog = catalog, .db = db, .table = table, .counts = counts};
    /* The lock: two people who apply at once would each remove the other's rules. */
    bool ok = pr_db_run(db, "begin; select pg_advisory_xact_lock(7236832, 2)") && store_businesses(&s) &&
              store_templates(&s) && store_rules(&s) && tell_lanes(&s) && pr_db_run(db, is_dry ? "rollback" : "commit");
    if (!ok) {
        PQclear(PQexec(db, "rollback"));
    }
    return ok;
}
