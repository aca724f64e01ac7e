/* Counts of fates by minute, for the roll-ups that dashboards read; written to the database once a second. */
#ifndef PR_FLOW_STAT_H
#define PR_FLOW_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PR_STATS = 1024 };

/* `fate` and `reason` are static words or interned ones: compared by content. */
struct pr_stat_row {
    int32_t minute, tenant, sender;
    int16_t category;
    char fate[16];
    char reason[40];
    int64_t n;
};

/* One thread. When full, a row is counted under the reason "other" of its fate, or not at all when even that has no room. */
struct pr_stat {
    size_t n;
    struct pr_stat_row row[PR_STATS];
};

void pr_stat_add(struct pr_stat *stat, int64_t now_us, int32_t tenant, int32_t sender, int16_t category,
                 const char *fate, const char *reason);
void pr_stat_reset(struct pr_stat *stat);

#endif
