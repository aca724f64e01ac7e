/* Backoff: how long a message waits before it is tried again, a pure function of its tries, a hint and a random number. */
#ifndef PR_CORE_RETRY_H
#define PR_CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct pr_backoff {
    int64_t base_us; /* first window */
    int64_t cap_us;  /* largest window and largest hint honoured */
    int64_t lane_us; /* waits up to this stay in the lane, all of a message's waits added up; longer ones are deferred */
};

/* 250 ms doubling to 1 h, 30 s in the lane. */
extern const struct pr_backoff pr_backoff_default;

/*
 * Full jitter: uniform in [0, min(cap, base * 2^tries)], at least `hint_us` (itself capped), never under 1 ms. `tries` counts those
 * charged before this one; `random` is any 64 random bits.
 */
int64_t pr_backoff_wait(const struct pr_backoff *backoff, uint32_t tries, int64_t hint_us, uint64_t random);

/* Pair limit (131056): 4^tries seconds, at least `hint_us`, both capped at an hour. Meta, "Pair rate limits". */
int64_t pr_backoff_pair(uint32_t tries, int64_t hint_us);

#endif
