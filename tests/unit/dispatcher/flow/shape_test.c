/* Tests of shaping: who may go, who waits how long, and what a stop, a pause and a new rate do to that. */
#include "flow/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t second = 1000000000;
static const int64_t start = 5000000000;
static struct pr_shapes shapes;

static int set_up(void **state) {
    (void)state;
    pr_shapes_init(&shapes);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pthread_mutex_destroy(&shapes.lock);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int taken_until(int32_t sender, int64_t from_ns, int64_t to_ns) {
    int n = 0;
    int64_t wait_ns = 0;
    for (int64_t now_ns = from_ns; now_ns<to_ns; now_ns += wait_ns> 0 ? wait_ns : 1) {
        n += pr_shapes_take(&shapes, sender, now_ns, &wait_ns);
    }
    return n;
}

static void a_sender_without_a_rate_waits_though_nothing_is_against_it(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    assert_true(pr_shapes_is_up(&shapes, 7, start));
    assert_false(pr_shapes_take(&shapes, 7, start, &wait_ns));
    assert_true(wait_ns > 0);
}

static void what_has_no_rate_can_be_stopped_too(void **state) {
    (void)state;
    assert_true(pr_shapes_stop(&shapes, 7, start + second));
    assert_false(pr_shapes_is_up(&shapes, 7, start));
    assert_true(pr_shapes_is_up(&shapes, 7, start + second));
    assert_true(pr_shapes_stop(&shapes, 7, 0));
    assert_true(pr_shapes_is_up(&shapes, 7, start));
}

static void a_rate_is_never_exceeded_in_any_second(void **state) {
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 80, start));
    for (int i = 0; i < 5; i++) {
        int n = taken_until(1, start + i * second, start + (i + 1) * second);
        assert_in_range(n, 70, 81); /* 98 % of 80, and the first burst */
    }
}

static void waiting_as_long_as_told_is_enough(void **state) {
    int64_t wait_ns = 0, now_ns = start;
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 3, start));
    assert_true(pr_shapes_take(&shapes, 1, now_ns, &wait_ns));
    for (int i = 0; i < 20; i++) {
        assert_true(wait_ns > 0 && wait_ns < second);
        assert_false(pr_shapes_take(&shapes, 1, now_ns + wait_ns - 1000, &wait_ns));
        now_ns += second;
        assert_true(pr_shapes_take(&shapes, 1, now_ns, &wait_ns));
    }
}

static void senders_do_not_share_their_buckets(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 1, start));
    assert_true(pr_shapes_set(&shapes, 2, 1, start));
    assert_true(pr_shapes_take(&shapes, 1, start, &wait_ns));
    assert_false(pr_shapes_take(&shapes, 1, start, &wait_ns));
    assert_true(pr_shapes_take(&shapes, 2, start, &wait_ns));
}

static void a_new_rate_is_in_force_at_once_and_the_same_rate_gives_no_new_burst(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 1, start));
    assert_true(pr_shapes_take(&shapes, 1, start, &wait_ns));
    for (int i = 0; i < 10; i++) {
        assert_true(pr_shapes_set(&shapes, 1, 1, start));
        assert_false(pr_shapes_take(&shapes, 1, start, &wait_ns));
    }
    assert_true(pr_shapes_set(&shapes, 1, 1000, start));
    assert_in_range(taken_until(1, start, start + second), 950, 1000);
    assert_int_equal(shapes.n, 1);
}

static void a_stopped_sender_is_down_until_its_moment(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 80, start));
    assert_true(pr_shapes_is_up(&shapes, 1, start));
    assert_true(pr_shapes_stop(&shapes, 1, start + 60 * second));
    assert_false(pr_shapes_is_up(&shapes, 1, start));
    assert_false(pr_shapes_take(&shapes, 1, start, &wait_ns));
    assert_int_equal(wait_ns, 60 * second);
    assert_false(pr_shapes_is_up(&shapes, 1, start + 60 * second - 1));
    assert_true(pr_shapes_is_up(&shapes, 1, start + 60 * second));
    assert_true(pr_shapes_take(&shapes, 1, start + 60 * second, &wait_ns));
}

static void a_stop_is_news_once_and_so_is_its_end(void **state) {
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 80, start));
    assert_false(pr_shapes_stop(&shapes, 1, 0));
    assert_true(pr_shapes_stop(&shapes, 1, start + second));
    assert_false(pr_shapes_stop(&shapes, 1, start + 2 * second));
    assert_true(pr_shapes_stop(&shapes, 1, 0));
    assert_true(pr_shapes_is_up(&shapes, 1, start));
    assert_false(pr_shapes_stop(&shapes, 1, 0));
}

static void a_pause_holds_the_sender_and_never_shortens_a_stop(void **state) {
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 80, start));
    pr_shapes_pause(&shapes, 1, start, second);
    assert_false(pr_shapes_is_up(&shapes, 1, start + second - 1));
    assert_true(pr_shapes_is_up(&shapes, 1, start + second));
    (void)pr_shapes_stop(&shapes, 1, start + 60 * second);
    pr_shapes_pause(&shapes, 1, start, second);
    assert_false(pr_shapes_is_up(&shapes, 1, start + 59 * second));
}

/* A throttled sender is paused all the time; when its token then expires, somebody must hear of it. */
static void a_stop_after_a_pause_is_news(void **state) {
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 80, start));
    pr_shapes_pause(&shapes, 1, start, second);
    assert_true(pr_shapes_stop(&shapes, 1, start + 60 * second));
}

static void a_stop_may_come_before_the_rate(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    (void)pr_shapes_stop(&shapes, 7, start + second);
    assert_false(pr_shapes_take(&shapes, 7, start + second, &wait_ns)); /* over, and still no rate */
    assert_true(wait_ns > 0);
    assert_true(pr_shapes_set(&shapes, 7, 80, start));
    assert_int_equal(shapes.n, 1);
    assert_false(pr_shapes_take(&shapes, 7, start, &wait_ns));
    assert_in_range(taken_until(7, start + second, start + 2 * second), 70, 81);
}

static void there_is_room_for_so_many_senders_and_no_more(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    for (int32_t i = 0; i < PR_SHAPES_MAX; i++) {
        assert_true(pr_shapes_set(&shapes, i + 1, 80, start));
    }
    assert_false(pr_shapes_set(&shapes, PR_SHAPES_MAX + 1, 80, start));
    assert_false(pr_shapes_take(&shapes, PR_SHAPES_MAX + 1, start, &wait_ns));
    assert_true(pr_shapes_set(&shapes, PR_SHAPES_MAX, 40, start)); /* one that is known may still change */
    assert_true(pr_shapes_take(&shapes, PR_SHAPES_MAX, start, &wait_ns));
}

struct taker {
    pthread_t thread;
    int taken;
};

static void *take_all(void *arg) {
    struct taker *taker = arg;
    int64_t wait_ns = 0;
    for (int i = 0; i < 50000; i++) {
        taker->taken += pr_shapes_take(&shapes, 1, start + i * INT64_C(20000), &wait_ns); /* one second in all */
    }
    return NULL;
}

static void threads_together_get_no_more_than_one_alone(void **state) {
    struct taker taker[4] = {0};
    int taken = 0;
    (void)state;
    assert_true(pr_shapes_set(&shapes, 1, 1000, start));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&taker[i].thread, NULL, take_all, &taker[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(taker[i].thread, NULL), 0);
        taken += taker[i].taken;
    }
    assert_in_range(taken, 900, 1001);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_sender_without_a_rate_waits_though_nothing_is_against_it),
        TEST(what_has_no_rate_can_be_stopped_too),
        TEST(a_rate_is_never_exceeded_in_any_second),
        TEST(waiting_as_long_as_told_is_enough),
        TEST(senders_do_not_share_their_buckets),
        TEST(a_new_rate_is_in_force_at_once_and_the_same_rate_gives_no_new_burst),
        TEST(a_stopped_sender_is_down_until_its_moment),
        TEST(a_stop_is_news_once_and_so_is_its_end),
        TEST(a_pause_holds_the_sender_and_never_shortens_a_stop),
        TEST(a_stop_after_a_pause_is_news),
        TEST(there_is_room_for_so_many_senders_and_no_more),
        TEST(threads_together_get_no_more_than_one_alone),
        TEST(a_stop_may_come_before_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
