/* The pair limit: how soon the next message may go from one number to one person, as arithmetic on one bucket. */
#ifndef PR_CORE_PAIR_H
#define PR_CORE_PAIR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The platform lets one message in 6 s go, and 45 at once. Ours is 20 at once and one in 6.12 s: a second process that knows nothing of the
 * first (after a rebalance or a crash) may start with a burst of its own, and 5 are left for clocks that differ.
 */
enum { PR_PAIR_BURST = 20, PR_PAIR_STEP_US = 6120000, PR_PAIR_LANE_US = 10000000 };

/* All zero is a full bucket. Times are microseconds of the database's clock, which is the platform's in tests. */
struct pr_pair {
    int64_t full_us; /* when the bucket is full again */
    int64_t dry_us;  /* since when messages had to wait without a pause; 0: they need not */
    int64_t line_us; /* the turn of the last one that was deferred */
};

/* Microseconds until one may go; 0: now. A clock that went back lets the bucket be empty, never worse. */
int64_t pr_pair_wait(const struct pr_pair *pair, int64_t now_us);

/* One goes; pr_pair_wait was 0. */
void pr_pair_take(struct pr_pair *pair, int64_t now_us);

/* The platform counted more than we did (131056). */
void pr_pair_empty(struct pr_pair *pair, int64_t now_us);

/* Nothing would be lost by forgetting it. */
bool pr_pair_is_full(const struct pr_pair *pair, int64_t now_us);

enum pr_pair_answer { PR_PAIR_GO, PR_PAIR_WAIT, PR_PAIR_DEFER };

/*
 * What a message does that has not been claimed: goes, waits in its lane until `*until_us` (if it may), or is deferred until then. While it waits,
 * those behind it wait too; so from 10 s without a pause on they are deferred, each by one step more than the one before.
 */
enum pr_pair_answer pr_pair_ask(struct pr_pair *pair, bool may_wait, int64_t now_us, int64_t *until_us);

#endif
