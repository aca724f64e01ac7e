/* Tests of the token bucket: its depth, its waits, changes of rate, clocks that jump, and rates at both ends. */
#include "core/rate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static int take_all(struct pr_rate *rate, int64_t now_ns) {
    int n = 0;
    while (pr_rate_take(rate, now_ns))
        n++;
    return n;
}

static void it_starts_with_twenty_milliseconds_of_its_rate(void **state) {
    (void)state;
    struct pr_rate rate;
    pr_rate_init(&rate, 1000, 0);
    assert_int_equal(take_all(&rate, 0), 19); /* 98 % of 20 */
    pr_rate_init(&rate, 80, 0);
    assert_int_equal(take_all(&rate, 0), 1);
    pr_rate_init(&rate, 0.1, 0);
    assert_int_equal(take_all(&rate, 0), 1);
}

static void over_a_second_it_gives_98_percent(void **state) {
    (void)state;
    static const double rates[] = {1, 20, 80, 1000, 12345};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pr_rate rate;
        int64_t given = 0;
        pr_rate_init(&rate, rates[i], 5);
        take_all(&rate, 5);
        for (int64_t now = 5; now <= 100 * SECOND + 5; now += 100000)
            given += take_all(&rate, now);
        double due = rates[i] * 98;
        assert_true((double)given <= due + 1 &&
                    (double)given >=
                        due - 1 - due / 400); /* + 1: a part was left over; the 400th: polled late, a full bucket spills */
    }
}

static void after_the_wait_and_not_before_it_gives_one(void **state) {
    (void)state;
    static const double rates[] = {0.01, 0.5, 3, 80, 999, 1000000, 1e9};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pr_rate rate;
        int64_t now = 1000;
        pr_rate_init(&rate, rates[i], now);
        take_all(&rate, now);
        for (int n = 0; n < 100; n++) {
            int64_t wait = pr_rate_wait(&rate, now);
            assert_true(wait > 0);
            assert_false(pr_rate_take(&rate, now + wait - 1));
            assert_int_equal(pr_rate_wait(&rate, now + wait - 1), 1);
            now += wait;
            assert_int_equal(pr_rate_wait(&rate, now), 0);
            assert_true(pr_rate_take(&rate, now));
            take_all(&rate, now);
        }
    }
}

static void a_long_rest_fills_one_burst_and_no_more(void **state) {
    (void)state;
    struct pr_rate rate;
    pr_rate_init(&rate, 1000, 0);
    take_all(&rate, 0);
    assert_int_equal(take_all(&rate, INT64_MAX), 19);
}

static void a_clock_that_goes_back_refills_nothing(void **state) {
    (void)state;
    struct pr_rate rate;
    pr_rate_init(&rate, 10, 10 * SECOND);
    take_all(&rate, 10 * SECOND);
    assert_false(pr_rate_take(&rate, 9 * SECOND));
    assert_int_equal(pr_rate_wait(&rate, 9 * SECOND), SECOND + pr_rate_wait(&rate, 10 * SECOND));
    assert_false(pr_rate_take(&rate, 10 * SECOND + 92040000));
    assert_true(pr_rate_take(&rate, 10 * SECOND + 92050000));
}

static void whoever_comes_a_little_late_each_time_loses_nothing(void **state) {
    (void)state;
    static const double rates[] = {1, 27, 80, 99, 101, 1000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pr_rate rate;
        int64_t now = 0, taken = 0;
        pr_rate_init(&rate, rates[i], now);
        take_all(&rate, now);
        while (now < 100 * SECOND) {
            now += pr_rate_wait(&rate, now) + 9000000;
            taken += take_all(&rate, now);
        }
        assert_true((double)taken >= 98 * rates[i] - 1);
    }
}

static void asking_often_does_not_lose_what_trickles_in(void **state) {
    (void)state;
    struct pr_rate rate;
    pr_rate_init(&rate, 0.001, 0);
    assert_true(pr_rate_take(&rate, 0));
    int64_t full = pr_rate_wait(&rate, 0);
    for (int64_t now = 0; now < full; now += full / 100000)
        assert_false(pr_rate_take(&rate, now));
    assert_true(pr_rate_take(&rate, full));
}

static void a_lower_rate_cuts_what_is_left_to_its_burst(void **state) {
    (void)state;
    struct pr_rate rate;
    pr_rate_init(&rate, 10000, 0);
    pr_rate_set(&rate, 500, 0);
    assert_int_equal(take_all(&rate, 0), 9);
    pr_rate_set(&rate, 10000, 0);
    assert_int_equal(take_all(&rate, 0), 0);
}

static void a_new_rate_counts_from_its_own_moment(void **state) {
    (void)state;
    struct pr_rate rate;
    pr_rate_init(&rate, 1, 0);
    take_all(&rate, 0);
    pr_rate_set(&rate, 1000, SECOND / 2); /* 0.4998 of a message are there: 0.0098 were left */
    assert_true(pr_rate_wait(&rate, SECOND / 2) <= 511000);
    assert_true(pr_rate_wait(&rate, SECOND / 2) >= 510000);
}

static void senseless_rates_are_slow_and_not_undefined(void **state) {
    (void)state;
    static const double rates[] = {0, -1, 1e-300};
    struct pr_rate rate;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        pr_rate_init(&rate, rates[i], 0);
        assert_true(pr_rate_take(&rate, 0));
        assert_false(pr_rate_take(&rate, 1000 * SECOND));
        assert_true(pr_rate_wait(&rate, 0) > 0);
    }
    pr_rate_init(&rate, (double)NAN, 0);
    assert_true(pr_rate_take(&rate, 0));
    assert_false(pr_rate_take(&rate, 1000 * SECOND));
    pr_rate_init(&rate, (double)INFINITY, 0);
    assert_true(pr_rate_take(&rate, 0));
    assert_true(pr_rate_wait(&rate, 0) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_with_twenty_milliseconds_of_its_rate),
        cmocka_unit_test(over_a_second_it_gives_98_percent),
        cmocka_unit_test(after_the_wait_and_not_before_it_gives_one),
        cmocka_unit_test(a_long_rest_fills_one_burst_and_no_more),
        cmocka_unit_test(a_clock_that_goes_back_refills_nothing),
        cmocka_unit_test(whoever_comes_a_little_late_each_time_loses_nothing),
        cmocka_unit_test(asking_often_does_not_lose_what_trickles_in),
        cmocka_unit_test(a_lower_rate_cuts_what_is_left_to_its_burst),
        cmocka_unit_test(a_new_rate_counts_from_its_own_moment),
        cmocka_unit_test(senseless_rates_are_slow_and_not_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
