/* The platform's own count of rate, pair and people, kept apart from anything the dispatcher counts. */
#ifndef PR_SANDBOX_LIMITS_H
#define PR_SANDBOX_LIMITS_H

#include "map.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PR_PAIR_BURST = 45,     /* messages at once from a number to a person; Meta, "Pair rate limits" */
    PR_RATE_SECOND_PCT = 5, /* what a sliding second may hold above the rate */
    PR_RATE_TEN_PCT = 1,    /* and what ten sliding seconds may */
};
#define PR_PAIR_STEP_US INT64_C(6000000) /* one message in six seconds; the same page */
#define PR_DAY_US INT64_C(86400000000)   /* the moving window of the messaging limit */

/*
 * Times of what one number took in the last ten seconds, on the monotonic clock. Exact: the limit holds for every window of
 * that length, not for fixed ones. Zeroed before first use.
 */
struct pr_rate {
    uint32_t per_second;  /* 0: no limit, counted all the same */
    int64_t *at;          /* ring of microseconds */
    uint64_t room;        /* a power of two */
    uint64_t head;        /* next to write */
    uint64_t second, ten; /* oldest within a second and within ten */
    uint64_t second_max;  /* most ever within one second */
    uint64_t ten_max;     /* most ever within ten */
};

/* Whether one more message fits at `now_us`; does not count it. `now_us` never goes back. */
bool pr_rate_fits(struct pr_rate *rate, int64_t now_us);
void pr_rate_count(struct pr_rate *rate, int64_t now_us);
void pr_rate_clear(struct pr_rate *rate);

/*
 * Pair limit as a bucket of PR_PAIR_BURST that gains one every PR_PAIR_STEP_US: the map holds for (number, person) the
 * moment at which the bucket will be full again. `now_us` is the platform's clock.
 */
bool pr_pair_fits(const struct pr_map *pairs, uint64_t key, int64_t now_us);
void pr_pair_count(struct pr_map *pairs, uint64_t key, int64_t now_us);

/* A person that a portfolio reached, in the list from the one reached longest ago to the latest. */
struct pr_reached {
    uint64_t key;
    int64_t last_us;
    uint32_t older, newer; /* entry numbers; 0: none */
};

/* People reached outside a service window within a moving 24 hours, exactly. Zeroed before first use. */
struct pr_tier {
    int64_t limit;            /* people; negative: no limit */
    struct pr_map index;      /* person to entry number */
    struct pr_reached *entry; /* entry 0 is not used */
    uint32_t room, used, free_head;
    uint32_t oldest, newest;
    uint64_t n;      /* people in the window now */
    uint64_t n_max;  /* most ever */
    int64_t last_us; /* latest time seen: a clock set back does not reopen what has closed */
};

/* Whether `person` may be reached at `now_us` (platform's clock): inside the window already, or room for one more. */
bool pr_tier_fits(struct pr_tier *tier, uint64_t person, int64_t now_us);
void pr_tier_count(struct pr_tier *tier, uint64_t person, int64_t now_us);
void pr_tier_clear(struct pr_tier *tier);

#endif
