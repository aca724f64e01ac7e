/* Tests of the offset tracker: the front, gaps, the ring's edge, and what may never be asked of it. */
#include "core/tracker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void nothing_is_committed_before_something_settled(void **state) {
    (void)state;
    struct pr_tracker tracker;
    assert_true(pr_tracker_init(&tracker, 4));
    assert_int_equal(tracker.next, -1);
    pr_tracker_deliver(&tracker, 100);
    assert_int_equal(tracker.next, -1);
    assert_int_equal(pr_tracker_open(&tracker), 1);
    pr_tracker_free(&tracker);
}

static void the_front_waits_for_the_oldest(void **state) {
    (void)state;
    struct pr_tracker tracker;
    assert_true(pr_tracker_init(&tracker, 4));
    uint32_t a = pr_tracker_deliver(&tracker, 10), b = pr_tracker_deliver(&tracker, 11),
             c = pr_tracker_deliver(&tracker, 12);
    assert_false(pr_tracker_settle(&tracker, b));
    assert_false(pr_tracker_settle(&tracker, c));
    assert_int_equal(tracker.next, -1);
    assert_int_equal(pr_tracker_open(&tracker), 1);
    assert_true(pr_tracker_settle(&tracker, a));
    assert_int_equal(tracker.next, 13);
    assert_int_equal(pr_tracker_open(&tracker), 0);
    pr_tracker_free(&tracker);
}

static void gaps_of_transaction_markers_do_not_hold_the_front(void **state) {
    (void)state;
    struct pr_tracker tracker;
    assert_true(pr_tracker_init(&tracker, 4));
    uint32_t a = pr_tracker_deliver(&tracker, 10), b = pr_tracker_deliver(&tracker, 15);
    assert_true(pr_tracker_settle(&tracker, a));
    assert_int_equal(tracker.next, 15); /* 11 to 14 never come */
    assert_true(pr_tracker_settle(&tracker, b));
    assert_int_equal(tracker.next, 16);
    pr_tracker_free(&tracker);
}

static void the_window_counts_what_is_open(void **state) {
    (void)state;
    struct pr_tracker tracker;
    assert_true(pr_tracker_init(&tracker, 2));
    uint32_t a = pr_tracker_deliver(&tracker, 1), b = pr_tracker_deliver(&tracker, 2);
    assert_false(pr_tracker_has_room(&tracker, 3));
    pr_tracker_settle(&tracker, b);
    assert_true(pr_tracker_has_room(&tracker, 3));
    pr_tracker_deliver(&tracker, 3);
    assert_false(pr_tracker_has_room(&tracker, 4));
    pr_tracker_settle(&tracker, a);
    assert_true(pr_tracker_has_room(&tracker, 4));
    assert_int_equal(tracker.next, 3);
    pr_tracker_free(&tracker);
}

static void one_that_takes_long_holds_back_no_more_than_its_own_offset_for_sixty_four_windows(void **state) {
    (void)state;
    enum { SPAN = 2 * PR_TRACKER_SPAN };
    struct pr_tracker tracker;
    assert_true(pr_tracker_init(&tracker, 2));
    uint32_t slow = pr_tracker_deliver(&tracker, 1000);
    for (int64_t offset = 1001; offset < 1000 + SPAN; offset++) {
        assert_true(pr_tracker_has_room(&tracker, offset));
        assert_false(pr_tracker_settle(&tracker, pr_tracker_deliver(&tracker, offset)));
    }
    assert_false(pr_tracker_has_room(&tracker, 1000 + SPAN));
    assert_int_equal(tracker.next, -1);
    assert_true(pr_tracker_settle(&tracker, slow));
    assert_int_equal(tracker.next, 1000 + SPAN);
    assert_true(pr_tracker_has_room(&tracker, 1000 + SPAN));
    pr_tracker_free(&tracker);
}

static void a_gap_wider_than_the_ring_waits_until_nothing_is_open(void **state) {
    (void)state;
    struct pr_tracker tracker;
    assert_true(pr_tracker_init(&tracker, 1));
    uint32_t a = pr_tracker_deliver(&tracker, 5);
    assert_false(pr_tracker_has_room(&tracker, 1000000));
    assert_true(pr_tracker_settle(&tracker, a));
    assert_int_equal(tracker.next, 6);
    assert_true(pr_tracker_has_room(&tracker, 1000000));
    assert_true(pr_tracker_settle(&tracker, pr_tracker_deliver(&tracker, 1000000)));
    assert_int_equal(tracker.next, 1000001);
    pr_tracker_free(&tracker);
}

static void the_ring_goes_round_and_round(void **state) {
    (void)state;
    for (uint32_t window = 1; window <= 5; window++) {
        struct pr_tracker tracker;
        assert_true(pr_tracker_init(&tracker, window));
        for (int64_t offset = 0; offset < 10 * (int64_t)tracker.span; offset++) {
            uint32_t slot = pr_tracker_deliver(&tracker, offset);
            assert_true(slot < tracker.span);
            assert_true(pr_tracker_settle(&tracker, slot));
            assert_int_equal(tracker.next, offset + 1);
        }
        pr_tracker_free(&tracker);
    }
}

static void a_window_of_nothing_is_refused(void **state) {
    (void)state;
    struct pr_tracker tracker;
    assert_false(pr_tracker_init(&tracker, 0));
    pr_tracker_free(&tracker);
    assert_false(pr_tracker_init(&tracker, (1 << 24) + 1));
    pr_tracker_free(&tracker);
}

/* Runs `broken` in a child; whether it was stopped by an assertion. */
static bool aborts(void (*broken)(struct pr_tracker *tracker)) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        struct pr_tracker tracker;
        setrlimit(RLIMIT_CORE, &none);
        if (!freopen("/dev/null", "w", stderr) || !pr_tracker_init(&tracker, 2))
            _exit(1);
        broken(&tracker);
        _exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void settle_twice(struct pr_tracker *tracker) {
    pr_tracker_deliver(tracker, 1);
    uint32_t slot = pr_tracker_deliver(tracker, 2);
    pr_tracker_settle(tracker, slot);
    pr_tracker_settle(tracker, slot);
}

static void settle_behind_the_front(struct pr_tracker *tracker) {
    pr_tracker_settle(tracker, pr_tracker_deliver(tracker, 1));
    pr_tracker_deliver(tracker, 2);
    pr_tracker_settle(tracker, 1);
}

static void settle_out_of_range(struct pr_tracker *tracker) {
    pr_tracker_settle(tracker, tracker->span + pr_tracker_deliver(tracker, 1));
}

static void settle_what_was_not_delivered(struct pr_tracker *tracker) {
    pr_tracker_deliver(tracker, 1);
    pr_tracker_settle(tracker, 2);
}

static void settle_a_gap(struct pr_tracker *tracker) {
    pr_tracker_deliver(tracker, 1);
    pr_tracker_deliver(tracker, 3);
    pr_tracker_settle(tracker, 2);
}

static void deliver_backwards(struct pr_tracker *tracker) {
    pr_tracker_settle(tracker, pr_tracker_deliver(tracker, 7));
    pr_tracker_deliver(tracker, 7);
}

static void deliver_into_a_full_window(struct pr_tracker *tracker) {
    for (int64_t offset = 1; offset <= 3; offset++)
        pr_tracker_deliver(tracker, offset);
}

static void misuse_stops_the_program_rather_than_commit_a_wrong_offset(void **state) {
    (void)state;
    assert_true(aborts(settle_twice));
    assert_true(aborts(settle_behind_the_front));
    assert_true(aborts(settle_out_of_range));
    assert_true(aborts(settle_what_was_not_delivered));
    assert_true(aborts(settle_a_gap));
    assert_true(aborts(deliver_backwards));
    assert_true(aborts(deliver_into_a_full_window));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_committed_before_something_settled),
        cmocka_unit_test(the_front_waits_for_the_oldest),
        cmocka_unit_test(gaps_of_transaction_markers_do_not_hold_the_front),
        cmocka_unit_test(the_window_counts_what_is_open),
        cmocka_unit_test(one_that_takes_long_holds_back_no_more_than_its_own_offset_for_sixty_four_windows),
        cmocka_unit_test(a_gap_wider_than_the_ring_waits_until_nothing_is_open),
        cmocka_unit_test(the_ring_goes_round_and_round),
        cmocka_unit_test(a_window_of_nothing_is_refused),
        cmocka_unit_test(misuse_stops_the_program_rather_than_commit_a_wrong_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
