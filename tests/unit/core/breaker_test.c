/* Tests of the breaker: when it opens, whose answers count, one probe at a time, how long it rests, and stops by a word. */
#include "core/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static const int64_t start = 1000 * SECOND;
static struct pr_breaker breaker;

static int set_up(void **state) {
    (void)state;
    breaker = (struct pr_breaker){0};
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

/* n answers at once; what the last one changed. */
static enum pr_breaker_change marks(int n, enum pr_mark mark, int64_t at_ns) {
    enum pr_breaker_change change = PR_BREAKER_SAME;
    for (int i = 0; i < n; i++) {
        change = pr_breaker_mark(&breaker, mark, at_ns, at_ns);
    }
    return change;
}

static void open_at(int64_t at_ns) {
    assert_int_equal(marks(PR_BREAKER_LEAST, PR_MARK_BAD, at_ns), PR_BREAKER_OPENED);
}

static void a_new_one_lets_all_pass(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_true(pr_breaker_pass(&breaker, start + i));
    }
}

static void it_opens_at_twenty_answers_and_not_at_nineteen(void **state) {
    (void)state;
    assert_int_equal(marks(PR_BREAKER_LEAST - 1, PR_MARK_BAD, start), PR_BREAKER_SAME);
    assert_true(pr_breaker_may_pass(&breaker, start));
    assert_int_equal(marks(1, PR_MARK_BAD, start), PR_BREAKER_OPENED);
    assert_false(pr_breaker_may_pass(&breaker, start));
    assert_false(pr_breaker_pass(&breaker, start));
}

static void it_opens_at_half_and_not_below(void **state) {
    (void)state;
    marks(51, PR_MARK_GOOD, start);
    assert_int_equal(marks(50, PR_MARK_BAD, start), PR_BREAKER_SAME);
    assert_int_equal(marks(1, PR_MARK_BAD, start), PR_BREAKER_OPENED);
}

static void what_says_nothing_is_not_counted(void **state) {
    uint32_t bad, all;
    (void)state;
    marks(100, PR_MARK_NONE, start);
    marks(PR_BREAKER_LEAST - 1, PR_MARK_BAD, start);
    pr_breaker_counts(&breaker, &bad, &all);
    assert_int_equal(bad, PR_BREAKER_LEAST - 1);
    assert_int_equal(all, PR_BREAKER_LEAST - 1);
    assert_true(pr_breaker_may_pass(&breaker, start));
}

static void a_good_answer_never_opens_it(void **state) {
    (void)state;
    marks(10, PR_MARK_BAD, start);
    assert_int_equal(marks(10, PR_MARK_GOOD, start), PR_BREAKER_SAME);
    assert_int_equal(marks(1, PR_MARK_BAD, start), PR_BREAKER_OPENED); /* 11 of 21 */
}

static void answers_count_for_ten_seconds(void **state) {
    (void)state;
    marks(10, PR_MARK_BAD, start);
    assert_int_equal(marks(9, PR_MARK_BAD, start + 9 * SECOND), PR_BREAKER_SAME);
    assert_int_equal(marks(1, PR_MARK_BAD, start + 9 * SECOND), PR_BREAKER_OPENED);
    set_up(NULL);
    marks(10, PR_MARK_BAD, start);
    marks(1, PR_MARK_GOOD, start + 10 * SECOND); /* no row */
    assert_int_equal(marks(18, PR_MARK_BAD, start + 10 * SECOND), PR_BREAKER_SAME);
    assert_int_equal(marks(1, PR_MARK_BAD, start + 10 * SECOND), PR_BREAKER_OPENED);
}

static void it_opens_at_five_in_a_row_over_ten_seconds_however_few_they_are(void **state) {
    (void)state;
    assert_int_equal(marks(1, PR_MARK_BAD, start), PR_BREAKER_SAME);
    assert_int_equal(marks(10, PR_MARK_BAD, start + 10 * SECOND - 1), PR_BREAKER_SAME);
    assert_int_equal(marks(1, PR_MARK_BAD, start + 10 * SECOND), PR_BREAKER_OPENED);
    set_up(NULL);
    for (int i = 0; i < PR_BREAKER_ROW - 1; i++) {
        assert_int_equal(marks(1, PR_MARK_BAD, start + i * 60 * SECOND), PR_BREAKER_SAME);
    }
    assert_int_equal(marks(1, PR_MARK_BAD, start + 1000 * SECOND), PR_BREAKER_OPENED);
}

static void a_good_answer_ends_a_row_and_one_that_says_nothing_does_not(void **state) {
    (void)state;
    marks(4, PR_MARK_BAD, start);
    marks(1, PR_MARK_GOOD, start + SECOND);
    assert_int_equal(marks(4, PR_MARK_BAD, start + 20 * SECOND), PR_BREAKER_SAME);
    assert_int_equal(marks(1, PR_MARK_BAD, start + 29 * SECOND), PR_BREAKER_SAME); /* five, but nine seconds */
    marks(1, PR_MARK_NONE, start + 29 * SECOND);
    assert_int_equal(marks(1, PR_MARK_BAD, start + 30 * SECOND), PR_BREAKER_OPENED);
}

static void a_row_begins_anew_when_it_closed(void **state) {
    (void)state;
    open_at(start);
    assert_true(pr_breaker_pass(&breaker, start + 5 * SECOND));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, start + 5 * SECOND, start + 5 * SECOND),
                     PR_BREAKER_RECOVERED);
    assert_int_equal(marks(1, PR_MARK_BAD, start + 20 * SECOND), PR_BREAKER_SAME);
    assert_int_equal(marks(4, PR_MARK_BAD, start + 29 * SECOND), PR_BREAKER_SAME);
}

static void the_window_slides_by_seconds(void **state) {
    uint32_t bad, all;
    (void)state;
    for (int i = 0; i < 30; i++) {
        marks(1, PR_MARK_BAD, start + i * SECOND);
        marks(2, PR_MARK_GOOD, start + i * SECOND);
        pr_breaker_counts(&breaker, &bad, &all);
        assert_int_equal(bad, i < 10 ? i + 1 : 10);
        assert_int_equal(all, 3 * bad);
    }
    marks(1, PR_MARK_BAD, start + 1000 * SECOND);
    pr_breaker_counts(&breaker, &bad, &all);
    assert_int_equal(all, 1);
}

static void a_clock_a_little_behind_counts_in_the_newest_second(void **state) {
    uint32_t bad, all;
    (void)state;
    marks(1, PR_MARK_BAD, start);
    marks(1, PR_MARK_BAD, start - 2 * SECOND);
    pr_breaker_counts(&breaker, &bad, &all);
    assert_int_equal(all, 2);
}

static void after_five_seconds_one_probe_passes_and_no_other(void **state) {
    (void)state;
    open_at(start);
    assert_false(pr_breaker_pass(&breaker, start + 5 * SECOND - 1));
    assert_true(pr_breaker_may_pass(&breaker, start + 5 * SECOND));
    assert_true(pr_breaker_pass(&breaker, start + 5 * SECOND));
    assert_int_equal(breaker.state, PR_BREAKER_PROBING);
    assert_false(pr_breaker_may_pass(&breaker, start + 5 * SECOND));
    assert_false(pr_breaker_pass(&breaker, start + 60 * SECOND));
}

static void a_good_probe_closes_it_with_an_empty_window(void **state) {
    uint32_t bad, all;
    (void)state;
    open_at(start);
    assert_true(pr_breaker_pass(&breaker, start + 5 * SECOND));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, start + 5 * SECOND, start + 6 * SECOND),
                     PR_BREAKER_RECOVERED);
    pr_breaker_counts(&breaker, &bad, &all);
    assert_int_equal(all, 0);
    assert_true(pr_breaker_pass(&breaker, start + 6 * SECOND));
    assert_int_equal(marks(PR_BREAKER_LEAST - 1, PR_MARK_BAD, start + 6 * SECOND), PR_BREAKER_SAME);
}

static void rests_double_while_probes_fail_up_to_a_minute(void **state) {
    static const int64_t rests[] = {5, 10, 20, 40, 60, 60};
    int64_t now = start;
    (void)state;
    open_at(now);
    for (size_t i = 0; i < sizeof rests / sizeof rests[0]; i++) {
        assert_int_equal(breaker.rest_ns, rests[i] * SECOND);
        assert_false(pr_breaker_pass(&breaker, now + rests[i] * SECOND - 1));
        now += rests[i] * SECOND;
        assert_true(pr_breaker_pass(&breaker, now));
        assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_BAD, now, now), PR_BREAKER_REOPENED);
    }
    now += 60 * SECOND; /* one that closed in between begins anew */
    assert_true(pr_breaker_pass(&breaker, now));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, now, now), PR_BREAKER_RECOVERED);
    open_at(now);
    assert_int_equal(breaker.rest_ns, 5 * SECOND);
}

static void answers_to_what_left_before_it_opened_neither_close_nor_reopen_it(void **state) {
    (void)state;
    open_at(start);
    int64_t probe = start + 5 * SECOND;
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, start - 1, start + SECOND), PR_BREAKER_SAME);
    assert_true(pr_breaker_pass(&breaker, probe));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, start - 1, probe), PR_BREAKER_SAME);
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_BAD, probe - 1, probe), PR_BREAKER_SAME);
    assert_int_equal(breaker.state, PR_BREAKER_PROBING);
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, probe, probe + 1), PR_BREAKER_RECOVERED);
    for (int i = 0; i < 100; i++) { /* time-outs of the bad days come in late */
        assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_BAD, start, probe + 2), PR_BREAKER_SAME);
    }
    assert_true(pr_breaker_may_pass(&breaker, probe + 2));
}

static void a_probe_that_says_nothing_makes_room_for_the_next_at_once(void **state) {
    (void)state;
    open_at(start);
    int64_t probe = start + 5 * SECOND;
    assert_true(pr_breaker_pass(&breaker, probe));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_NONE, probe, probe + 1), PR_BREAKER_SAME);
    assert_true(pr_breaker_pass(&breaker, probe + 1));
    assert_false(pr_breaker_pass(&breaker, probe + 1));
    assert_int_equal(breaker.rest_ns, 5 * SECOND);
}

static void a_probe_that_did_not_leave_makes_room_for_the_next(void **state) {
    (void)state;
    open_at(start);
    int64_t probe = start + 5 * SECOND;
    assert_true(pr_breaker_pass(&breaker, probe));
    pr_breaker_unpass(&breaker, probe - 1, probe); /* another's */
    assert_false(pr_breaker_may_pass(&breaker, probe));
    pr_breaker_unpass(&breaker, probe, probe);
    assert_true(pr_breaker_pass(&breaker, probe));
}

static void a_probe_without_an_answer_is_given_up(void **state) {
    (void)state;
    open_at(start);
    int64_t probe = start + 5 * SECOND;
    assert_true(pr_breaker_pass(&breaker, probe));
    assert_false(pr_breaker_pass(&breaker, probe + PR_BREAKER_PROBE_NS - 1));
    assert_true(pr_breaker_pass(&breaker, probe + PR_BREAKER_PROBE_NS));
    assert_false(pr_breaker_pass(&breaker, probe + PR_BREAKER_PROBE_NS));
}

static void a_stop_is_news_once_and_its_probes_come_at_its_own_pace(void **state) {
    int64_t now = start;
    (void)state;
    assert_true(pr_breaker_stop(&breaker, now, now, 60 * SECOND));
    for (int i = 0; i < 5; i++) {
        assert_false(pr_breaker_pass(&breaker, now + 60 * SECOND - 1));
        now += 60 * SECOND;
        assert_true(pr_breaker_pass(&breaker, now));
        assert_false(pr_breaker_pass(&breaker, now));
        assert_false(pr_breaker_stop(&breaker, now, now, 60 * SECOND));
        assert_int_equal(breaker.rest_ns, 60 * SECOND);
    }
    now += 60 * SECOND;
    assert_true(pr_breaker_pass(&breaker, now));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_GOOD, now, now), PR_BREAKER_RECOVERED);
    assert_true(pr_breaker_stop(&breaker, now, now, 60 * SECOND));
}

static void a_stop_keeps_its_pace_when_its_probe_fails_otherwise(void **state) {
    (void)state;
    assert_true(pr_breaker_stop(&breaker, start, start, 600 * SECOND));
    assert_true(pr_breaker_pass(&breaker, start + 600 * SECOND));
    assert_int_equal(pr_breaker_mark(&breaker, PR_MARK_BAD, start + 600 * SECOND, start + 600 * SECOND),
                     PR_BREAKER_REOPENED);
    assert_int_equal(breaker.rest_ns, 600 * SECOND);
    assert_true(breaker.is_stopped);
}

/* The old token's last answers come in when the new one is at work. */
static void a_stop_older_than_the_cure_is_no_news_and_stops_nothing(void **state) {
    (void)state;
    assert_true(pr_breaker_stop(&breaker, start, start, 60 * SECOND));
    assert_true(pr_breaker_clear(&breaker, start + 10));
    assert_false(pr_breaker_stop(&breaker, start + 9, start + 20, 60 * SECOND));
    assert_true(pr_breaker_may_pass(&breaker, start + 20));
    assert_true(pr_breaker_stop(&breaker, start + 10, start + 20, 60 * SECOND));
    assert_false(pr_breaker_may_pass(&breaker, start + 20));
}

static void clearing_is_news_only_when_it_was_not_closed(void **state) {
    (void)state;
    assert_false(pr_breaker_clear(&breaker, start));
    open_at(start);
    assert_true(pr_breaker_clear(&breaker, start + 1));
    assert_false(pr_breaker_clear(&breaker, start + 2));
    assert_true(pr_breaker_may_pass(&breaker, start + 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_one_lets_all_pass),
        TEST(it_opens_at_twenty_answers_and_not_at_nineteen),
        TEST(it_opens_at_half_and_not_below),
        TEST(what_says_nothing_is_not_counted),
        TEST(a_good_answer_never_opens_it),
        TEST(answers_count_for_ten_seconds),
        TEST(it_opens_at_five_in_a_row_over_ten_seconds_however_few_they_are),
        TEST(a_good_answer_ends_a_row_and_one_that_says_nothing_does_not),
        TEST(a_row_begins_anew_when_it_closed),
        TEST(the_window_slides_by_seconds),
        TEST(a_clock_a_little_behind_counts_in_the_newest_second),
        TEST(after_five_seconds_one_probe_passes_and_no_other),
        TEST(a_good_probe_closes_it_with_an_empty_window),
        TEST(rests_double_while_probes_fail_up_to_a_minute),
        TEST(answers_to_what_left_before_it_opened_neither_close_nor_reopen_it),
        TEST(a_probe_that_says_nothing_makes_room_for_the_next_at_once),
        TEST(a_probe_that_did_not_leave_makes_room_for_the_next),
        TEST(a_probe_without_an_answer_is_given_up),
        TEST(a_stop_is_news_once_and_its_probes_come_at_its_own_pace),
        TEST(a_stop_keeps_its_pace_when_its_probe_fails_otherwise),
        TEST(a_stop_older_than_the_cure_is_no_news_and_stops_nothing),
        TEST(clearing_is_news_only_when_it_was_not_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
