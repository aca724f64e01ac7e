/* Backoff as arithmetic: no clock and no random source, so a test can name every case. */
#include "core/retry.h"

enum { WAIT_US_MIN = 1000 };

const struct pr_backoff pr_backoff_default = {
    .base_us = 250000,
    .cap_us = INT64_C(3600) * 1000000,
    .lane_us = INT64_C(30) * 1000000,
};

/* base * 2^tries, not above the cap, without ever computing what would overflow. */
static int64_t window_us(const struct pr_backoff *backoff, uint32_t tries) {
    if (tries >= 62 || backoff->base_us > (backoff->cap_us >> tries))
        return backoff->cap_us;
    return backoff->base_us << tries;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The remainder favours small values by window / 2^64, under 2^-32 for an hour: far below what anyone can see. */
int64_t pr_backoff_wait(const struct pr_backoff *backoff, uint32_t tries, int64_t hint_us, uint64_t random) {
    int64_t window = larger(window_us(backoff, tries), 0);
    int64_t wait = (int64_t)(random % ((uint64_t)window + 1));
    return larger(larger(wait, smaller(hint_us, backoff->cap_us)), WAIT_US_MIN);
}

int64_t pr_backoff_pair(uint32_t tries, int64_t hint_us) {
    const int64_t hour_us = INT64_C(3600) * 1000000; /* 4^6 is 4,096 s */
    int64_t own_us = tries >= 6 ? hour_us : (INT64_C(1) << (2 * tries)) * 1000000;
    return larger(own_us, smaller(hint_us, hour_us));
}
