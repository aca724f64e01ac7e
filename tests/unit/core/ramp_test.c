/* Tests of the ramp: halving once for what was on the wire together, winning back, starting small, and the floors of both. */
#include "core/ramp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static struct pr_ramp ramp;

static int set_up(void **state) {
    (void)state;
    pr_ramp_init(&ramp);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static void assert_near(double got, double wanted) {
    if (got < wanted - 1e-6 || got > wanted + 1e-6) {
        fail_msg("%g is not %g", got, wanted);
    }
}

static void nothing_is_held_back_at_first(void **state) {
    (void)state;
    assert_near(pr_ramp_per_s(&ramp, 80, 0), 80);
    assert_near(pr_ramp_per_s(&ramp, 80, 1000 * SECOND), 80);
    assert_near(pr_ramp_per_s(&ramp, 0, 0), 0);
}

static void it_is_halved_once_for_all_that_were_on_the_wire_together(void **state) {
    (void)state;
    assert_true(pr_ramp_halve(&ramp, 9 * SECOND, 10 * SECOND));
    assert_near(pr_ramp_per_s(&ramp, 80, 10 * SECOND), 40);
    assert_false(pr_ramp_halve(&ramp, 9 * SECOND, 10 * SECOND));
    assert_false(pr_ramp_halve(&ramp, 9 * SECOND + 1, 15 * SECOND));
    assert_false(pr_ramp_halve(&ramp, 10 * SECOND, 15 * SECOND)); /* it left at that very moment */
    assert_true(pr_ramp_halve(&ramp, 10 * SECOND + 1, 15 * SECOND));
}

static void it_is_halved_at_most_once_a_second(void **state) {
    (void)state;
    assert_true(pr_ramp_halve(&ramp, 0, 10 * SECOND));
    assert_false(pr_ramp_halve(&ramp, 10 * SECOND + 1, 11 * SECOND - 1));
    assert_true(pr_ramp_halve(&ramp, 10 * SECOND + 1, 11 * SECOND));
}

static void the_first_answer_of_all_halves_whenever_its_request_left(void **state) {
    (void)state;
    assert_true(pr_ramp_halve(&ramp, -5, 0));
}

static void half_is_won_back_in_thirty_seconds_evenly(void **state) {
    (void)state;
    assert_true(pr_ramp_halve(&ramp, 0, 0));
    assert_near(pr_ramp_per_s(&ramp, 80, 15 * SECOND), 60);
    assert_true(pr_ramp_per_s(&ramp, 80, 30 * SECOND - SECOND / 10) < 80);
    assert_near(pr_ramp_per_s(&ramp, 80, 30 * SECOND), 80);
    assert_near(pr_ramp_per_s(&ramp, 80, 300 * SECOND), 80);
}

static void it_never_falls_below_a_60th_and_all_is_back_after_a_minute(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        assert_true(pr_ramp_halve(&ramp, i * SECOND + 2, (i + 1) * SECOND + 1));
        assert_true(pr_ramp_per_s(&ramp, 6000, (i + 1) * SECOND + 1) > 100);
    }
    int64_t now = 60 * SECOND + 1;
    assert_near(pr_ramp_per_s(&ramp, 6000, now), 100);
    assert_true(pr_ramp_per_s(&ramp, 6000, now + 58 * SECOND) < 6000);
    assert_near(pr_ramp_per_s(&ramp, 6000, now + 59 * SECOND), 6000);
}

static void one_a_second_stays_unless_the_rate_is_less(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        (void)pr_ramp_halve(&ramp, i * SECOND + 2, (i + 1) * SECOND + 1);
    }
    int64_t now = 60 * SECOND + 1;
    assert_near(pr_ramp_per_s(&ramp, 59, now), 1);
    assert_near(pr_ramp_per_s(&ramp, 66, now), 1.1);
    assert_near(pr_ramp_per_s(&ramp, 0.5, now), 0.5);
    assert_near(pr_ramp_per_s(&ramp, 0, now), 0);
}

static void a_start_doubles_every_second_from_an_eighth(void **state) {
    (void)state;
    pr_ramp_start(&ramp, 10 * SECOND, 3);
    static const struct {
        int64_t at_ns;
        double per_s;
    } cases[] = {{0, 100},           {10 * SECOND, 100},     {11 * SECOND - 1, 100}, {11 * SECOND, 200},
                 {12 * SECOND, 400}, {13 * SECOND - 1, 400}, {13 * SECOND, 800}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_near(pr_ramp_per_s(&ramp, 800, cases[i].at_ns), cases[i].per_s);
        assert_near(pr_ramp_lasting(&ramp, 800, cases[i].at_ns), 800);
    }
}

static void a_start_of_one_second_is_a_half(void **state) {
    (void)state;
    pr_ramp_start(&ramp, 10 * SECOND, 1);
    assert_true(pr_ramp_is_starting(&ramp, 0));
    assert_true(pr_ramp_is_starting(&ramp, 11 * SECOND - 1));
    assert_near(pr_ramp_per_s(&ramp, 800, 11 * SECOND - 1), 400);
    assert_false(pr_ramp_is_starting(&ramp, 11 * SECOND));
    assert_near(pr_ramp_per_s(&ramp, 800, 11 * SECOND), 800);
}

static void a_slow_sender_starts_as_it_is(void **state) {
    (void)state;
    pr_ramp_start(&ramp, 0, 3);
    assert_near(pr_ramp_per_s(&ramp, 10, 0), 10);
    assert_near(pr_ramp_per_s(&ramp, 0.2, 0), 0.2);
    assert_near(pr_ramp_per_s(&ramp, 79, 0), 10);
    assert_near(pr_ramp_per_s(&ramp, 81, 0), 81.0 / 8);
}

static void the_smaller_of_start_and_halving_counts(void **state) {
    (void)state;
    assert_true(pr_ramp_halve(&ramp, 0, 1));
    pr_ramp_start(&ramp, 1, 3);
    assert_near(pr_ramp_per_s(&ramp, 800, 1), 100);
    double late = pr_ramp_per_s(&ramp, 800, 2 * SECOND + 1 + SECOND / 2);
    assert_near(late, 400); /* the start's half, under what was won back */
}

static void a_clock_a_little_behind_gives_nothing_more(void **state) {
    (void)state;
    assert_true(pr_ramp_halve(&ramp, 0, 10 * SECOND));
    assert_near(pr_ramp_per_s(&ramp, 80, 9 * SECOND), 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_held_back_at_first),
        TEST(it_is_halved_once_for_all_that_were_on_the_wire_together),
        TEST(it_is_halved_at_most_once_a_second),
        TEST(the_first_answer_of_all_halves_whenever_its_request_left),
        TEST(half_is_won_back_in_thirty_seconds_evenly),
        TEST(it_never_falls_below_a_60th_and_all_is_back_after_a_minute),
        TEST(one_a_second_stays_unless_the_rate_is_less),
        TEST(a_start_doubles_every_second_from_an_eighth),
        TEST(a_start_of_one_second_is_a_half),
        TEST(a_slow_sender_starts_as_it_is),
        TEST(the_smaller_of_start_and_halving_counts),
        TEST(a_clock_a_little_behind_gives_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
