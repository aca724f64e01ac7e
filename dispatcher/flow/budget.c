/* The shares of dispatch.memory.max: pure arithmetic, so that the ceiling can be printed before anything is started. */
#include "flow/budget.h"

static int64_t between(int64_t n, int64_t least, int64_t most) {
    return n < least ? least : n > most ? most : n;
}

/*
 * Of the half for records, a quarter lies between consumer and lanes and three quarters are fetched ahead: a fetch that found all queues full is
 * tried again only after a second (librdkafka 2.0.2), so the queues must last that long. In a queue, half is values and half is what
 * a record costs beside them. The broker's answers are small, because a single record pins the whole answer that it came in, and because one comes on top of a
 * queue that is nearly full.
 */
struct pr_budget pr_budget_of(int64_t memory_max, int64_t lanes, int64_t parts) {
    int64_t records = memory_max / 2;
    int64_t ahead = records / 4 * 3 / parts;
    struct pr_budget b = {.lane_jobs = memory_max / 2 / lanes};
    b.fetch = between(ahead / 4 / PR_FETCH_GROWS, PR_FETCH_LEAST, PR_FETCH_MOST);
    b.part_held = between(records / 4 / parts, PR_HELD_LEAST, PR_HELD_MOST);
    int64_t queue = ahead / 4 * 3; /* the last quarter is for the answer that comes on top */
    b.part_ahead = between(queue / 2, 1024, INT32_MAX / 2);
    b.part_ahead_records = between(queue / 2 / PR_RECORD_COST, 1, 100000);
    b.total = b.lane_jobs * lanes +
              parts * (b.part_held + b.part_ahead + b.part_ahead_records * PR_RECORD_COST + b.fetch * PR_FETCH_GROWS);
    return b;
}
