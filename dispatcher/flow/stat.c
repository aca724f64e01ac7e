/* A small table searched from its end: a lane has few kinds of fates in one second. */
#include "flow/stat.h"

#include <stdio.h>
#include <string.h>

static bool is_row(const struct pr_stat_row *row, const struct pr_stat_row *want) {
    return row->minute == want->minute && row->tenant == want->tenant && row->sender == want->sender &&
           row->category == want->category && strcmp(row->fate, want->fate) == 0 &&
           strcmp(row->reason, want->reason) == 0;
}

static struct pr_stat_row *find(struct pr_stat *stat, const struct pr_stat_row *want) {
    for (size_t i = stat->n; i > 0; i--) {
        if (is_row(&stat->row[i - 1], want)) {
            return &stat->row[i - 1];
        }
    }
    return NULL;
}

void pr_stat_add(struct pr_stat *stat, int64_t now_us, int32_t tenant, int32_t sender, int16_t category,
                 const char *fate, const char *reason) {
    struct pr_stat_row want = {
        .minute = (int32_t)(now_us / 60000000), .tenant = tenant, .sender = sender, .category = category, .n = 1};
    (void)snprintf(want.fate, sizeof(want.fate), "%s", fate);
    (void)snprintf(want.reason, sizeof(want.reason), "%s", reason ? reason : "");
    struct pr_stat_row *row = find(stat, &want);
    if (!row && stat->n >= PR_STATS - 64) {
        (void)snprintf(want.reason, sizeof(want.reason), "other");
        row = find(stat, &want);
    }
    if (row) {
        row->n++;
    } else if (stat->n < PR_STATS) {
        stat->row[stat->n++] = want;
    }
}

void pr_stat_reset(struct pr_stat *stat) {
    stat->n = 0;
}
