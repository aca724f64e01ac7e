/* Tests of the backoff: its window, its jitter, its hints and its bounds. */
#include "core/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

static void the_window_doubles_up_to_its_cap(void **state) {
    (void)state;
    const struct pr_backoff *backoff = &pr_backoff_default;
    for (uint32_t tries = 0; tries < 70; tries++) {
        int64_t window = tries < 14 ? 250 * MS << tries : HOUR;
        window = window < HOUR ? window : HOUR;
        assert_int_equal(pr_backoff_wait(backoff, tries, 0, (uint64_t)window), window);
        assert_int_equal(pr_backoff_wait(backoff, tries, 0, (uint64_t)window + 1), MS); /* wraps to 0, raised to 1 ms */
    }
    assert_int_equal(pr_backoff_wait(backoff, UINT32_MAX, 0, (uint64_t)HOUR), HOUR);
}

static void the_jitter_is_full_and_even(void **state) {
    (void)state;
    uint64_t random = 88172645463325252ULL;
    int64_t sum = 0;
    int low = 0, high = 0;
    enum { DRAWS = 100000 };
    for (int i = 0; i < DRAWS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int64_t wait = pr_backoff_wait(&pr_backoff_default, 2, 0, random);
        assert_true(wait >= MS && wait <= SECOND);
        sum += wait;
        low += wait < 100 * MS;
        high += wait > 900 * MS;
    }
    assert_true(sum / DRAWS > 490 * MS && sum / DRAWS < 510 * MS);
    assert_true(low > DRAWS * 9 / 100 && low < DRAWS * 11 / 100);
    assert_true(high > DRAWS * 9 / 100 && high < DRAWS * 11 / 100);
}

static void a_hint_is_a_floor_and_is_itself_capped(void **state) {
    (void)state;
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, 5 * SECOND, 7), 5 * SECOND);
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, 24 * HOUR, 7), HOUR);
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, 10, 200000), 200 * MS);
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, -SECOND, 0), MS);
}

static void it_never_waits_less_than_a_millisecond(void **state) {
    (void)state;
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, 0, 0), MS);
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, 0, 999), MS);
    assert_int_equal(pr_backoff_wait(&pr_backoff_default, 0, 0, 1001), 1001);
}

static void extreme_settings_do_not_overflow(void **state) {
    (void)state;
    const struct pr_backoff extreme = {.base_us = INT64_MAX, .cap_us = INT64_MAX};
    const struct pr_backoff none = {0};
    assert_int_equal(pr_backoff_wait(&extreme, 0, 0, INT64_MAX), INT64_MAX);
    assert_int_equal(pr_backoff_wait(&extreme, 61, 0, UINT64_MAX), INT64_MAX);
    assert_int_equal(pr_backoff_wait(&none, 5, SECOND, 12345), MS);
}

static void the_pair_wait_is_a_power_of_four_up_to_an_hour(void **state) {
    (void)state;
    static const int64_t seconds[] = {1, 4, 16, 64, 256, 1024, 3600, 3600};
    for (uint32_t tries = 0; tries < 8; tries++)
        assert_int_equal(pr_backoff_pair(tries, 0), seconds[tries] * SECOND);
    assert_int_equal(pr_backoff_pair(UINT32_MAX, 0), HOUR);
}

static void a_hint_lengthens_the_pair_wait_up_to_an_hour(void **state) {
    (void)state;
    assert_int_equal(pr_backoff_pair(1, 3 * SECOND), 4 * SECOND);
    assert_int_equal(pr_backoff_pair(1, 90 * SECOND), 90 * SECOND);
    assert_int_equal(pr_backoff_pair(1, 24 * HOUR), HOUR);
}

static void the_default_is_what_the_header_says(void **state) {
    (void)state;
    assert_int_equal(pr_backoff_default.base_us, 250 * MS);
    assert_int_equal(pr_backoff_default.cap_us, HOUR);
    assert_int_equal(pr_backoff_default.lane_us, 30 * SECOND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_doubles_up_to_its_cap),
        cmocka_unit_test(the_jitter_is_full_and_even),
        cmocka_unit_test(a_hint_is_a_floor_and_is_itself_capped),
        cmocka_unit_test(it_never_waits_less_than_a_millisecond),
        cmocka_unit_test(extreme_settings_do_not_overflow),
        cmocka_unit_test(the_pair_wait_is_a_power_of_four_up_to_an_hour),
        cmocka_unit_test(a_hint_lengthens_the_pair_wait_up_to_an_hour),
        cmocka_unit_test(the_default_is_what_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
