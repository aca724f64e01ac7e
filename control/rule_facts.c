/* What consent, service window and quota of the database say about a test event, without reserving anything. */
#include "rule_test.h"

#include "db.h"
#include "output.h"

#include "base/clock.h"

#include <stdio.h>

/* Asks a question about (tenant, recipient, …); NULL after a message. */
static PGresult *ask(struct pr_rule_test *t, const char *sql, const char *third, const char *fourth) {
    char tenant[16];
    (void)snprintf(tenant, sizeof(tenant), "%d", (int)t->business->id);
    const char *const values[] = {tenant, t->to.text, third, fourth};
    return pr_db_query(t->db, sql, fourth ? 4 : third ? 3 : 2, values);
}

bool pr_rule_test_locale(struct pr_rule_test *t, struct pr_span *locale) {
    *locale = (struct pr_span){NULL, 0};
    if (!t->db) {
        return true;
    }
    PGresult *r = ask(t, "select locale from postrider.contact where tenant = $1::int and address = $2", NULL, NULL);
    if (r && PQntuples(r) == 1 && !PQgetisnull(r, 0, 0)) {
        *locale = pr_arena_copy(&t->catalog.arena, pr_span_of(PQgetvalue(r, 0, 0)));
    }
    PQclear(r);
    return r != NULL;
}

static bool refuse(const char *reason, const char *text) {
    printf("  would not be sent: %s: %s\n", reason, text);
    return false;
}

/* "consent granted 2026-08-01 by website", or why not. False: refused. */
static bool consent(struct pr_rule_test *t, const PGresult *r, char out[256]) {
    const char *category = pr_category_name(t->choice.category);
    if (t->choice.category == PR_CATEGORY_SERVICE) {
        (void)snprintf(out, 256, "inside the service window");
        return pr_db_bool(r, 0, 2)
                   ? true
                   : refuse("outside_window", "a service message needs a customer's message of the last 24 hours");
    }
    if (!pr_db_bool(r, 0, 1)) {
        char text[192];
        const char *at = pr_db_text(r, 0, 3);
        (void)snprintf(text, sizeof(text), "%s %s%s%s", at ? "consent revoked for" : "nobody recorded consent to",
                       category, at ? " on " : "", at ? at : " (postrider consent grant)");
        return refuse("no_consent", text);
    }
    const char *how = pr_db_text(r, 0, 4);
    (void)snprintf(out, 256, "consent granted %s%s%s", pr_db_text(r, 0, 3) ? pr_db_text(r, 0, 3) : "",
                   how && *how ? " by " : "", how ? how : "");
    return true;
}

/* "quota 812 of 10,000". `*is_full` when this message would have to wait. */
static bool quota(struct pr_rule_test *t, bool in_window, char out[128], bool *is_full) {
    char pool[16], used_text[PR_COUNT_TEXT], max_text[PR_COUNT_TEXT];
    (void)snprintf(pool, sizeof(pool), "%d", (int)t->sender->pool);
    PGresult *r =
        ask(t,
            "select postrider.pool_used_v1($1::int, q.id, m.minute), coalesce(q.people_max, 0), "
            "ceil(q.people_max * q.reserve_pct / 100.0)::int, exists (select from postrider.reach x join "
            "postrider.contact c "
            "on c.tenant = x.tenant and c.id = x.contact where x.tenant = $1::int and x.pool = q.id and c.address = $2 "
            "and x.minute > m.minute - postrider.slot_minutes()) "
            "from postrider.quota_pool q, (select greatest(ceil(extract(epoch from postrider.clock()) / 60), 0)::int "
            "as minute) m "
            "where q.tenant = $1::int and q.id = $3::int",
            pool, NULL);
    if (!r || PQntuples(r) != 1) {
        PQclear(r);
        return false;
    }
    int64_t used = pr_db_int(r, 0, 0), people_max = pr_db_int(r, 0, 1);
    int64_t usable = people_max - (t->choice.category == PR_CATEGORY_MARKETING ? pr_db_int(r, 0, 2) : 0);
    *is_full = people_max > 0 && !in_window && !pr_db_bool(r, 0, 3) && used >= usable;
    (void)snprintf(out, 128, "quota %s of %s%s", pr_count(used, used_text),
                   people_max ? pr_count(people_max, max_text) : "unlimited",
                   in_window ? ", not needed inside the service window" : "");
    PQclear(r);
    return true;
}

/* When the rule or the event lets it go first; `now` when at once. */
static int64_t not_before(const struct pr_rule_test *t) {
    int64_t at = t->now_us;
    int64_t delayed = t->identity.us + t->rule->delay_us;
    at = t->rule->delay_us > 0 && delayed > at ? delayed : at;
    return t->record.notbefore_us != PR_TIME_NONE && t->record.notbefore_us > at ? t->record.notbefore_us : at;
}

/* Moves `*at` behind quiet hours that it falls into and behind a cap that is reached; `*what` says which. */
static bool policy(struct pr_rule_test *t, int64_t *at, const char **what) {
    char category[8], when[PR_TIME_TEXT];
    (void)snprintf(category, sizeof(category), "%d", (int)t->choice.category);
    pr_time_format(*at, when);
    PGresult *r =
        ask(t,
            "select (extract(epoch from q.until) * 1000000)::bigint, (extract(epoch from p.until) * "
            "1000000)::bigint from postrider.contact c "
            "left join lateral postrider.quiet_v1($1::int, $4::timestamptz, array[c.id], array[$3::smallint], "
            "array[1::smallint], array[gen_random_uuid()]) q on true "
            "left join lateral postrider.cap_until_v1($1::int, array[c.id], array[$3::smallint], "
            "array[gen_random_uuid()]) p on true "
            "where c.tenant = $1::int and c.address = $2",
            category, when);
    if (!r || PQntuples(r) != 1) {
        PQclear(r);
        return false;
    }
    static const char *const words[] = {" (quiet hours)", " (frequency cap)"};
    for (int i = 0; i < 2; i++) {
        if (!PQgetisnull(r, 0, i) && pr_db_int(r, 0, i) > *at) {
            *at = pr_db_int(r, 0, i);
            *what = words[i];
        }
    }
    PQclear(r);
    return true;
}

static bool print_verdict(struct pr_rule_test *t, const PGresult *r, const char *why) {
    char room[128], when[PR_TIME_TEXT];
    const char *what = "";
    bool is_full = false;
    int64_t at = not_before(t);
    if (!quota(t, pr_db_bool(r, 0, 2), room, &is_full) || !policy(t, &at, &what)) {
        return false;
    }
    pr_time_format(at / 1000000 * 1000000, when);
    if (is_full) {
        printf("  would wait for room and then go from %.*s: %s; %s\n", PR_SPAN_ARG(t->sender->name), why, room);
    } else if (at > t->now_us) {
        printf("  would wait until %s%s and then go from %.*s: %s; %s\n", when, what, PR_SPAN_ARG(t->sender->name), why,
               room);
    } else {
        printf("  would send from %.*s: %s; %s\n", PR_SPAN_ARG(t->sender->name), why, room);
    }
    return true;
}

bool pr_rule_test_facts(struct pr_rule_test *t) {
    char category[8], why[256];
    (void)snprintf(category, sizeof(category), "%d", (int)t->choice.category);
    PGresult *r = ask(t,
                      "select c.is_suppressed, (c.consent::int >> $3::int) & 1 = 1, coalesce(c.window_until > "
                      "postrider.clock(), false), "
                      "to_char(h.at, 'YYYY-MM-DD'), h.how from postrider.contact c left join lateral (select x.at, "
                      "x.how from postrider.consent x "
                      "where x.tenant = c.tenant and x.contact = c.id and x.category = $3::int order by x.at desc, "
                      "x.is_granted limit 1) h on true "
                      "where c.tenant = $1::int and c.address = $2",
                      category, NULL);
    bool ok = false;
    if (r && PQntuples(r) == 0) {
        ok = refuse("no_contact", "nobody by that number: postrider contact import, or consent grant");
    } else if (r && pr_db_bool(r, 0, 0)) {
        ok = refuse("suppressed", "the contact is suppressed");
    } else if (r) {
        ok = consent(t, r, why) && print_verdict(t, r, why);
    }
    PQclear(r);
    return ok;
}
