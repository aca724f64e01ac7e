/* A token bucket: how many messages a sender may still hand over now, exact over any window up to one burst. */
#ifndef PR_CORE_RATE_H
#define PR_CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Tokens are counted in nano-messages, so that slow rates do not lose fractions. One thread at a time. */
struct pr_rate {
    int64_t per_s_nano;  /* refill a second: rate * 1e9 * 98 / 100 */
    int64_t burst_nano;  /* depth: 20 ms of the rate, at least one message and 10 ms */
    int64_t tokens_nano; /* may not exceed burst */
    int64_t at_ns;       /* monotonic time of the last refill */
};

/* `per_s` in messages a second, over 0 (0.5 is one in two seconds). Starts with one burst. */
void pr_rate_init(struct pr_rate *rate, double per_s, int64_t now_ns);

/* Changes the rate and keeps what is left, cut to the new burst. */
void pr_rate_set(struct pr_rate *rate, double per_s, int64_t now_ns);

/* Takes one message's worth if it is there. A clock that went back refills nothing. */
bool pr_rate_take(struct pr_rate *rate, int64_t now_ns);

/* Nanoseconds until one message's worth is there; 0 when it is. */
int64_t pr_rate_wait(const struct pr_rate *rate, int64_t now_ns);

#endif
