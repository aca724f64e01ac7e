/* Random senders of one pair against the platform's rule, told as a plain list of what was sent; processes come and go in between. */
#include "core/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
enum { PLATFORM_BURST = 45, MESSAGES = 20000 };

static uint64_t random_state;

/* xorshift64*: a fixed seed makes a failure come again. */
static uint64_t below(uint64_t n) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL % n;
}

/*
 * The rule as a sum over windows: from any message to any later one, no more than 45 and one for each 6 s between them. Messages farther back than a
 * whole bucket cannot matter.
 */
static void assert_rule_holds(const int64_t *sent, size_t n) {
    for (size_t back = 1; back <= n; back++) {
        int64_t between = sent[n - 1] - sent[n - back];
        assert_true((int64_t)back <= PLATFORM_BURST + between / (6 * SECOND));
        if (between > (PLATFORM_BURST + 1) * 6 * SECOND) {
            return;
        }
    }
}

/* Now a burst, now a pause; the clock of sending and the platform's differ by up to half a second, anew with each message. */
static void the_platform_never_refuses_what_our_bucket_lets_go(void **state) {
    static int64_t sent[MESSAGES];
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct pr_pair pair = {0};
        int64_t now = 1000 * SECOND, seen = 0;
        random_state = seed;
        for (size_t n = 0; n < MESSAGES; n++) {
            now += (int64_t)(below(20) == 0 ? below((uint64_t)(200 * SECOND)) : below(SECOND / 10));
            now += pr_pair_wait(&pair, now);
            pr_pair_take(&pair, now);
            int64_t arrives = now + (int64_t)below((uint64_t)SECOND / 2);
            seen = arrives > seen ? arrives : seen;
            sent[n] = seen;
            assert_rule_holds(sent, n + 1);
        }
    }
}

/* Another process takes the pair over and knows nothing: it has one burst of its own. Half an hour later the next. */
static void nor_after_a_rebalance_in_each_half_hour(void **state) {
    static int64_t sent[MESSAGES];
    (void)state;
    struct pr_pair pair = {0};
    int64_t now = 1000 * SECOND, moved = now;
    random_state = 7;
    for (size_t n = 0; n < MESSAGES; n++) {
        if (now - moved > 1800 * SECOND) {
            pair = (struct pr_pair){0};
            moved = now;
        }
        /* Demand without end only around a move: what was borrowed must be paid back before the next. */
        bool is_busy = now - moved < 300 * SECOND;
        now += is_busy ? (int64_t)below(SECOND) : 30 * SECOND;
        now += pr_pair_wait(&pair, now);
        pr_pair_take(&pair, now);
        sent[n] = now;
        assert_rule_holds(sent, n + 1);
    }
}

/* Ours is slower than theirs by the margin that is written down, and not by more. */
static void over_hours_of_full_demand_98_in_100_of_what_the_platform_allows_go(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    int64_t now = 0;
    int n = 0;
    for (; now < 86400 * SECOND; n++) {
        now += pr_pair_wait(&pair, now);
        pr_pair_take(&pair, now);
    }
    assert_in_range(n, 86400 / 6 * 98 / 100, 86400 / 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_platform_never_refuses_what_our_bucket_lets_go),
        cmocka_unit_test(nor_after_a_rebalance_in_each_half_hour),
        cmocka_unit_test(over_hours_of_full_demand_98_in_100_of_what_the_platform_allows_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
