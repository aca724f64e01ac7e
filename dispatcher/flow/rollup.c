/* The lane's counts of fates, added to the minute roll-ups once a second. */
#include "flow/rollup.h"

#include "pr_query.h"

/* A second of counts that cannot be written is lost to the dashboards, never to the ledger. */
static void rollup_done(void *arg, const struct pr_pg_result *result) {
    (void)arg, (void)result;
}

#define COLUMN(element, statement)                            \
    do {                                                      \
        pr_params_array(params, element);                     \
        for (size_t i = 0; i < lane->stat.n; i++) {           \
            const struct pr_stat_row *r = &lane->stat.row[i]; \
            statement;                                        \
        }                                                     \
    } while (0)

static void fill(const struct pr_lane *lane, struct pr_params *params) {
    pr_params_int4(params, atomic_load(&lane->process->owner));
    pr_params_int2(params, (int16_t)lane->index);
    COLUMN(PR_OID_INT4, pr_item_int4(params, r->minute));
    COLUMN(PR_OID_INT4, pr_item_int4(params, r->tenant));
    COLUMN(PR_OID_INT4, pr_item_int4(params, r->sender));
    COLUMN(PR_OID_INT2, pr_item_int2(params, r->category));
    COLUMN(PR_OID_TEXT, pr_item_text(params, pr_span_of(r->fate)));
    COLUMN(PR_OID_TEXT, pr_item_text(params, pr_span_of(r->reason)));
    COLUMN(PR_OID_INT8, pr_item_int8(params, r->n));
}

void pr_rollup(struct pr_lane *lane) {
    if (lane->stat.n == 0 || !pr_pg_has_room(lane->settle_link.pg)) {
        return;
    }
    struct pr_params params;
    pr_params_init(&params, 1024 * 1024);
    fill(lane, &params);
    if (pr_link_send(&lane->settle_link, "rollup", pr_query_rollup, &params, rollup_done, lane)) {
        pr_stat_reset(&lane->stat);
    }
    pr_params_free(&params);
}
