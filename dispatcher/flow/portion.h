/* Bulk that cannot go now is put off in small portions with rests between them, because each costs the database as much as one that goes. */
#ifndef PR_FLOW_PORTION_H
#define PR_FLOW_PORTION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PR_PORTION_JOBS = 16,
    PR_PORTION_REST = 9, /* times as long as the portion took: at most a tenth of the time goes into putting off */
};

/* A portion that took longer waited for others: no rest lasts longer than this. */
#define PR_PORTION_REST_MAX_NS (INT64_C(100) * 1000000)

/* One that is not written down by then (the database refuses it, or somebody else has it) holds the others up no longer. */
#define PR_PORTION_STUCK_NS (INT64_C(2) * 1000000000)

/* One thread. All zero: nothing was put off yet. */
struct pr_portion {
    uint32_t begun, open; /* of this portion: jobs put off, and those of them that are not written down yet */
    int64_t begun_ns;
    int64_t next_ns; /* the next portion begins no earlier */
};

/* A bulk job is put off: it counts until pr_portion_end, which must follow once. */
void pr_portion_begin(struct pr_portion *portion, int64_t now_ns);

/* It is written down. After the last of a portion the rest begins. */
void pr_portion_end(struct pr_portion *portion, int64_t now_ns);

/* Whether more bulk may be taken in. */
bool pr_portion_may_take(const struct pr_portion *portion, int64_t now_ns);

#endif
