/* Tests of the pair limit's bucket: its burst, its steps, clocks that jump, and what a message that finds it empty does. */
#include "core/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
static const int64_t now = INT64_C(1768478400) * SECOND;

static int take_all(struct pr_pair *pair, int64_t now_us) {
    int n = 0;
    while (pr_pair_wait(pair, now_us) == 0) {
        pr_pair_take(pair, now_us);
        n++;
    }
    return n;
}

static void twenty_go_at_once_and_then_one_each_step(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    assert_int_equal(take_all(&pair, now), 20);
    assert_int_equal(pr_pair_wait(&pair, now), PR_PAIR_STEP_US);
    assert_int_equal(pr_pair_wait(&pair, now + PR_PAIR_STEP_US - 1), 1);
    assert_int_equal(pr_pair_wait(&pair, now + PR_PAIR_STEP_US), 0);
    assert_int_equal(take_all(&pair, now + PR_PAIR_STEP_US), 1);
    assert_int_equal(take_all(&pair, now + 6 * (int64_t)PR_PAIR_STEP_US), 5);
    assert_int_equal(take_all(&pair, now + 3600 * SECOND), 20);
}

static void it_is_full_when_every_step_is_paid_back_and_not_before(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    assert_true(pr_pair_is_full(&pair, now));
    pr_pair_take(&pair, now);
    pr_pair_take(&pair, now);
    assert_false(pr_pair_is_full(&pair, now + 2 * (int64_t)PR_PAIR_STEP_US - 1));
    assert_true(pr_pair_is_full(&pair, now + 2 * (int64_t)PR_PAIR_STEP_US));
}

/* A rebalance: the one who had the pair sent a burst, the next one knows nothing of it. The platform lets 45 go and one in 6 s. */
static void two_bursts_of_processes_that_know_nothing_of_each_other_stay_below_the_platforms(void **state) {
    (void)state;
    struct pr_pair first = {0}, second = {0};
    assert_true(take_all(&first, now) + take_all(&second, now) <= 45 - 5);
    assert_true(PR_PAIR_STEP_US > 6 * SECOND);
}

static void a_clock_that_goes_back_empties_it_at_worst(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    pr_pair_take(&pair, now);
    assert_int_equal(pr_pair_wait(&pair, now - 86400 * SECOND), PR_PAIR_STEP_US);
    assert_int_equal(pr_pair_wait(&pair, now), 0);
    assert_int_equal(take_all(&pair, now + 120 * SECOND), 20);
}

static void what_the_platform_refused_empties_it(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    pr_pair_take(&pair, now);
    pr_pair_empty(&pair, now);
    assert_int_equal(pr_pair_wait(&pair, now), PR_PAIR_STEP_US);
    assert_int_equal(take_all(&pair, now + 2 * (int64_t)PR_PAIR_STEP_US), 2);
}

/* Each asks when the one before it has gone, as at the gate. */
static void up_to_ten_seconds_wait_in_the_lane_and_those_behind_are_deferred_a_step_apart(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    int64_t at = now, until = 0;
    take_all(&pair, at);
    int waited = 0;
    while (pr_pair_ask(&pair, true, at, &until) == PR_PAIR_WAIT) {
        assert_true(until - at <= PR_PAIR_STEP_US);
        at = until;
        assert_int_equal(pr_pair_ask(&pair, true, at, &until), PR_PAIR_GO);
        pr_pair_take(&pair, at);
        assert_true(++waited < 10);
    }
    assert_int_equal(waited, 1); /* 6.12 s; a second would be 12.24 */
    int64_t first = until;
    assert_true(first > at);
    assert_int_equal(pr_pair_ask(&pair, true, at, &until), PR_PAIR_DEFER);
    assert_int_equal(until, first + PR_PAIR_STEP_US);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pr_pair_ask(&pair, true, at, &until), PR_PAIR_DEFER);
    }
    assert_false(pr_pair_is_full(&pair, until - 1)); /* the line is not forgotten before its last turn */
    assert_true(pr_pair_is_full(&pair, until));
}

static void what_comes_back_from_the_line_finds_its_token_and_after_a_pause_waiting_starts_anew(void **state) {
    (void)state;
    struct pr_pair pair = {0};
    int64_t until = 0, again = 0;
    take_all(&pair, now);
    assert_int_equal(pr_pair_ask(&pair, false, now, &until), PR_PAIR_DEFER);
    assert_int_equal(pr_pair_ask(&pair, true, until, &again), PR_PAIR_GO);
    take_all(&pair, until);
    assert_int_equal(pr_pair_ask(&pair, true, until + 100 * SECOND, &again), PR_PAIR_GO);
    take_all(&pair, until + 100 * SECOND);
    assert_int_equal(pr_pair_ask(&pair, true, until + 100 * SECOND, &again), PR_PAIR_WAIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_go_at_once_and_then_one_each_step),
        cmocka_unit_test(it_is_full_when_every_step_is_paid_back_and_not_before),
        cmocka_unit_test(two_bursts_of_processes_that_know_nothing_of_each_other_stay_below_the_platforms),
        cmocka_unit_test(a_clock_that_goes_back_empties_it_at_worst),
        cmocka_unit_test(what_the_platform_refused_empties_it),
        cmocka_unit_test(up_to_ten_seconds_wait_in_the_lane_and_those_behind_are_deferred_a_step_apart),
        cmocka_unit_test(what_comes_back_from_the_line_finds_its_token_and_after_a_pause_waiting_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
