/* Counts of fates by SQL, in one read-only snapshot so that no event is seen twice or between two states. */
#include "status.h"

#include "db.h"

#include <string.h>

/*
 * The first row of `sums` that fits names the key of the answer. 'dead' is left out: each dead letter counts once, in its own table, unless its
 * message was redriven and goes on. Fates from the
 * ledger are messages; those without a message row stand in aside.
 */
static const char fates_sql[] =
    "with since as (select coalesce(postrider.clock() - $1::interval, '-infinity') as at,\n"
    "                      coalesce(((postrider.clock() - $1::interval) at time zone 'UTC')::date - 1, '-infinity') as "
    "day)\n"
    "select f.fate, coalesce(f.reason, case when f.state = 5 then 'redriven' else '' end), count(*) from "
    "postrider.fate f\n"
    "where f.day >= (select day from since) and f.at >= (select at from since) and f.fate <> 'dead' group by 1, 2\n"
    "union all\n"
    "select a.kind, case a.kind when 'refused' then a.reason else '' end, count(*) from postrider.aside a\n"
    "where a.at >= (select at from since) group by 1, 2\n"
    "union all\n"
    "select 'dead_letter', '', count(*) from postrider.letter l where l.at >= (select at from since) and not "
    "l.goes_on\n"
    "order by 1, 3 desc, 2";

static const char pools_sql[] =
    "select tenant, portfolio, tier, people_now, people_max, reserve_pct from capacity.pool order by tenant, portfolio";

static const char dispatchers_sql[] =
    "select name, host, epoch, is_alive, started_at from capacity.dispatcher order by is_alive desc, name";

/* How a fate's name becomes a key; `by_reason` says that it has one number a reason. */
static const struct fate_key {
    const char *fate, *key;
    bool by_reason;
} fate_keys[] = {
    {"sent", "sent", false},
    {"refused", "refused", true},
    {"deferred", "deferred", true},
    {"applied", "applied", false},
    {"duplicate", "duplicates", false},
    {"cancelled", "cancelled", false},
    {"superseded", "superseded", false},
    {"dead_letter", "dead_letters", false},
    {"unknown", "unknown", false},
    {"claimed", "claimed", false},
};
enum { FATE_KEYS = (int)(sizeof fate_keys / sizeof fate_keys[0]) };

static void add(json_t *object, const char *key, json_int_t n) {
    json_object_set_new(object, key, json_integer(json_integer_value(json_object_get(object, key)) + n));
}

static void count_row(json_t *root, const PGresult *r, int row) {
    const char *fate = pr_db_text(r, row, 0);
    const char *reason = pr_db_text(r, row, 1);
    for (int i = 0; fate && i < FATE_KEYS; i++) {
        if (strcmp(fate, fate_keys[i].fate) != 0) {
            continue;
        }
        if (fate_keys[i].by_reason) {
            add(json_object_get(root, fate_keys[i].key), *reason ? reason : "other", pr_db_int(r, row, 2));
        } else {
            add(root, fate_keys[i].key, pr_db_int(r, row, 2));
        }
    }
}

static bool count_fates(PGconn *db, const char *since, json_t *root) {
    const char *values[] = {since};
    for (int i = 0; i < FATE_KEYS; i++) {
        json_object_set_new(root, fate_keys[i].key, fate_keys[i].by_reason ? json_object() : json_integer(0));
    }
    PGresult *r = pr_db_query(db, fates_sql, 1, values);
    if (!r) {
        return false;
    }
    for (int row = 0; row < PQntuples(r); row++) {
        count_row(root, r, row);
    }
    PQclear(r);
    return true;
}

static bool read_pools(PGconn *db, json_t *root) {
    PGresult *r = pr_db_query(db, pools_sql, 0, NULL);
    json_t *pools = json_array();
    for (int row = 0; r && row < PQntuples(r); row++) {
        json_t *max = PQgetisnull(r, row, 4) ? json_null() : json_integer(pr_db_int(r, row, 4));
        json_array_append_new(pools, json_pack("{s:s, s:s, s:s, s:I, s:o, s:I}", "tenant", pr_db_text(r, row, 0),
                                               "portfolio", pr_db_text(r, row, 1), "tier", pr_db_text(r, row, 2),
                                               "used", (json_int_t)pr_db_int(r, row, 3), "limit", max,
                                               "reserve_percent", (json_int_t)pr_db_int(r, row, 5)));
    }
    json_object_set_new(root, "pools", pools);
    PQclear(r);
    return r != NULL;
}

static bool read_dispatchers(PGconn *db, json_t *root) {
    PGresult *r = pr_db_query(db, dispatchers_sql, 0, NULL);
    json_t *dispatchers = json_array();
    for (int row = 0; r && row < PQntuples(r); row++) {
        json_array_append_new(dispatchers,
                              json_pack("{s:s, s:s, s:I, s:b, s:s}", "name", pr_db_text(r, row, 0), "host",
                                        pr_db_text(r, row, 1), "epoch", (json_int_t)pr_db_int(r, row, 2), "alive",
                                        (int)pr_db_bool(r, row, 3), "started_at", pr_db_text(r, row, 4)));
    }
    json_object_set_new(root, "dispatchers", dispatchers);
    PQclear(r);
    return r != NULL;
}

static bool read_ahead(PGconn *db, json_t *root) {
    PGresult *r = pr_db_query(db, "select postrider.partition_ahead_v1()", 0, NULL);
    if (r) {
        json_object_set_new(root, "partition_days_ahead", json_integer(pr_db_int(r, 0, 0)));
    }
    PQclear(r);
    return r != NULL;
}

bool pr_status_fates(PGconn *db, const char *since, json_t *root) {
    if (!pr_db_run(db, "begin isolation level repeatable read read only")) {
        return false;
    }
    bool is_read =
        count_fates(db, since, root) && read_pools(db, root) && read_dispatchers(db, root) && read_ahead(db, root);
    return pr_db_run(db, is_read ? "commit" : "rollback") && is_read;
}

json_int_t pr_status_sum(const json_t *root) {
    json_int_t sum = 0;
    for (int i = 0; i < FATE_KEYS; i++) {
        const json_t *v = json_object_get(root, fate_keys[i].key);
        if (strcmp(fate_keys[i].key, "claimed") == 0) {
            continue;
        }
        sum += json_integer_value(v); /* 0 for an object */
        for (void *at = json_object_iter((json_t *)(uintptr_t)v); at;
             at = json_object_iter_next((json_t *)(uintptr_t)v, at)) {
            sum += json_integer_value(json_object_iter_value(at));
        }
    }
    return sum;
}
