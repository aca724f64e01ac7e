/* Tests of shaping: no share no send, shares that shrink, grow and run out, pauses, halving, starts, and what is asked of the database. */
#include "flow/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t second = 1000000000;
static const int64_t start = 5000000000;
static const int64_t never = INT64_MAX;
static struct pr_shapes shapes;
static int64_t boot; /* what CLOCK_BOOTTIME says */

static int64_t fake_boot(void) {
    return boot;
}

static int set_up(void **state) {
    (void)state;
    pr_shapes_init(&shapes);
    shapes.boot_ns = fake_boot;
    boot = 1;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pthread_mutex_destroy(&shapes.lock);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static bool set(int32_t sender, double rate) {
    struct pr_shape_facts facts = {.tenant = 1, .sender = sender, .rate = rate, .name = "t/s"};
    return pr_shapes_set(&shapes, &facts);
}

static void grant(int32_t sender, double share) {
    (void)pr_shapes_grant(&shapes, sender, share, share, never, start);
}

static bool take(int32_t sender, int64_t now_ns) {
    int64_t wait_ns = 0;
    return pr_shapes_take(&shapes, sender, 1, now_ns, &wait_ns);
}

/* A sender that is all ours and is past its first second. */
static void own(int32_t sender, double rate) {
    assert_true(set(sender, rate));
    grant(sender, rate);
    assert_true(take(sender, start - 3 * second));
}

static int taken_until(int32_t sender, int64_t from_ns, int64_t to_ns) {
    int n = 0;
    int64_t wait_ns = 0;
    for (int64_t now_ns = from_ns; now_ns<to_ns; now_ns += wait_ns> 0 ? wait_ns : 1) {
        n += pr_shapes_take(&shapes, sender, 1, now_ns, &wait_ns);
    }
    return n;
}

static struct pr_share_ask asked(int32_t sender, int64_t now_ns) {
    static struct pr_share_ask ask[PR_SHAPES_MAX];
    size_t n = pr_shapes_ask(&shapes, now_ns, ask);
    for (size_t i = 0; i < n; i++) {
        if (ask[i].sender == sender) {
            return ask[i];
        }
    }
    fail_msg("sender %d is not asked for", sender);
    return ask[0];
}

static void assert_near(double got, double wanted) {
    if (got < wanted - 1e-9 || got > wanted + 1e-9) {
        fail_msg("%.12g is not %.12g", got, wanted);
    }
}

/* ---- shares ---- */

static void without_a_share_nothing_goes(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    assert_false(pr_shapes_take(&shapes, 7, 1, start, &wait_ns));
    assert_true(wait_ns > 0 && wait_ns < second / 10); /* an answer may come any moment */
    assert_true(set(7, 80));
    assert_false(pr_shapes_take(&shapes, 7, 1, start, &wait_ns));
    assert_true(wait_ns > 0 && wait_ns < second / 10);
    assert_near(pr_shapes_per_s(&shapes, 7, start), 0);
    grant(7, 0);
    assert_false(take(7, start));
    grant(7, 80);
    assert_near(pr_shapes_per_s(&shapes, 7, start), 80);
    assert_true(take(7, start));
}

static void a_share_ends_at_its_moment_by_the_clock_read_now(void **state) {
    (void)state;
    assert_true(set(1, 80));
    boot = 100;
    (void)pr_shapes_grant(&shapes, 1, 80, 80, 200, start);
    boot = 199;
    assert_true(pr_shapes_has_share(&shapes, 1));
    assert_true(take(1, start));
    boot = 200;
    assert_false(pr_shapes_has_share(&shapes, 1));
    assert_false(take(1, start)); /* the turn's own time has not moved: the process was frozen */
    assert_false(take(1, start + second));
    assert_near(pr_shapes_per_s(&shapes, 1, start), 0);
    assert_near(asked(1, start + second).using, 0);
}

static void a_rate_is_never_exceeded_in_any_second(void **state) {
    (void)state;
    own(1, 80);
    for (int i = 0; i < 5; i++) {
        int n = taken_until(1, start + i * second, start + (i + 1) * second);
        assert_in_range(n, 70, 81); /* 98 % of 80, and the first burst */
    }
}

static void waiting_as_long_as_told_is_enough(void **state) {
    int64_t wait_ns = 0, now_ns = start;
    (void)state;
    own(1, 3);
    assert_true(pr_shapes_take(&shapes, 1, 1, now_ns, &wait_ns));
    for (int i = 0; i < 20; i++) {
        assert_true(wait_ns > 0 && wait_ns < second);
        assert_false(pr_shapes_take(&shapes, 1, 1, now_ns + wait_ns - 1000, &wait_ns));
        now_ns += second;
        assert_true(pr_shapes_take(&shapes, 1, 1, now_ns, &wait_ns));
    }
}

static void senders_do_not_share_their_buckets(void **state) {
    (void)state;
    own(1, 1);
    own(2, 1);
    assert_true(take(1, start));
    assert_false(take(1, start));
    assert_true(take(2, start));
}

static void the_same_share_again_and_growth_give_no_burst(void **state) {
    (void)state;
    own(1, 1000);
    grant(1, 1);
    while (take(1, start)) {
    }
    for (int i = 0; i < 10; i++) {
        grant(1, 1);
        assert_false(take(1, start));
    }
    for (int share = 100; share <= 1000; share += 100) {
        grant(1, share);
        assert_false(take(1, start));
    }
    assert_in_range(taken_until(1, start, start + second), 970, 981);
}

static void a_smaller_share_is_in_force_at_once(void **state) {
    (void)state;
    own(1, 1000);
    (void)take(1, start);
    assert_int_equal(pr_shapes_grant(&shapes, 1, 10, 10, never, start), PR_GRANTED_LESS);
    assert_in_range(taken_until(1, start, start + second), 9, 11);
}

static void a_rate_that_is_lowered_cuts_the_share_at_once_and_is_asked_about(void **state) {
    (void)state;
    own(1, 1000);
    (void)asked(1, start);
    assert_false(atomic_load(&shapes.is_asking));
    assert_true(set(1, 10));
    assert_true(atomic_load(&shapes.is_asking));
    assert_near(asked(1, start).using, 10);
    assert_in_range(taken_until(1, start, start + second), 9, 11);
    assert_true(set(1, 1000)); /* raised again: what we hold does not grow by itself */
    assert_near(asked(1, start).using, 10);
}

static void an_answer_by_an_older_rate_is_cut_to_the_newer(void **state) {
    (void)state;
    assert_true(set(1, 10));
    grant(1, 1000);
    assert_near(pr_shapes_per_s(&shapes, 1, start), 10);
}

static void a_share_that_ran_out_and_came_back_starts_slowly(void **state) {
    (void)state;
    own(1, 800);
    assert_near(pr_shapes_per_s(&shapes, 1, start), 800);
    (void)pr_shapes_grant(&shapes, 1, 800, 800, 50, start);
    boot = 50;
    (void)pr_shapes_grant(&shapes, 1, 800, 800, 100, start + 7 * second);
    assert_near(pr_shapes_per_s(&shapes, 1, start + 7 * second), 100);
    assert_near(pr_shapes_expected(&shapes, 1, start + 7 * second), 800);
    assert_near(pr_shapes_per_s(&shapes, 1, start + 10 * second), 800);
}

/* ---- what is asked ---- */

static void wait_with(uint32_t messages, int64_t now_ns) {
    int64_t wait_ns = 0;
    while (pr_shapes_take(&shapes, 1, messages, now_ns, &wait_ns)) {
    }
}

static void what_waits_should_go_within_half_a_second_and_what_is_idle_counts_a_fiftieth(void **state) {
    (void)state;
    own(1, 100);
    assert_near(asked(1, start).weight, PR_SHARE_IDLE);
    wait_with(10, start);
    assert_near(asked(1, start + 1).weight, 0.2); /* so soon that nothing is measured */
    wait_with(49, start + 2);
    assert_near(asked(1, start + 3).weight, 0.98);
    wait_with(51, start + 4);
    assert_near(asked(1, start + 5).weight, 1);
    double weight = 1;
    for (int i = 3; i < 20; i++) {
        weight = asked(1, start + i * second).weight;
    }
    assert_near(weight, PR_SHARE_IDLE);
}

static void what_waits_counts_beside_what_goes_for_two_seconds(void **state) {
    (void)state;
    own(1, 100);
    (void)asked(1, start);
    for (int i = 0; i < 10; i++) {
        assert_true(take(1, start + i * second / 10));
    }
    wait_with(20, start + second); /* one more goes */
    assert_near(asked(1, start + second).weight, 0.11 + 0.4);
    assert_near(asked(1, start + 3 * second - 1).weight, 0.055 + 0.4);
    assert_near(asked(1, start + 3 * second).weight, 0.11);
}

static void what_went_counts_twice_its_part_and_fades_by_halves(void **state) {
    (void)state;
    own(1, 100);
    (void)asked(1, start);
    for (int i = 0; i < 10; i++) {
        assert_true(take(1, start + i * second / 10));
    }
    assert_near(asked(1, start + second).weight, 0.2);
    assert_near(asked(1, start + 2 * second).weight, 0.1);
    assert_near(asked(1, start + 3 * second).weight, 0.05);
}

static void the_first_message_that_waits_makes_us_ask_at_once(void **state) {
    (void)state;
    own(1, 1);
    (void)asked(1, start);
    assert_true(take(1, start));
    assert_false(atomic_load(&shapes.is_asking));
    assert_false(take(1, start));
    assert_true(atomic_load(&shapes.is_asking));
    (void)asked(1, start);
    assert_false(take(1, start + 1));
    assert_false(atomic_load(&shapes.is_asking)); /* that one waits is known */
}

static void too_little_is_said_while_messages_wait(void **state) {
    (void)state;
    assert_true(set(1, 100));
    assert_int_equal(pr_shapes_grant(&shapes, 1, 2, 50, never, start), PR_GRANTED);
    wait_with(100, start);
    assert_near(asked(1, start).weight, 1);
    assert_int_equal(pr_shapes_grant(&shapes, 1, 2, 50, never, start), PR_GRANTED_TOO_LITTLE);
    assert_int_equal(pr_shapes_grant(&shapes, 1, 50, 50, never, start), PR_GRANTED);
}

static void too_little_is_less_than_our_weight_beside_the_others(void **state) {
    (void)state;
    assert_true(set(1, 100));
    assert_int_equal(pr_shapes_grant(&shapes, 1, 2, 50, never, start), PR_GRANTED);
    wait_with(5, start);
    assert_near(asked(1, start).weight, 0.1); /* beside a weight of 1: 9.09 */
    assert_int_equal(pr_shapes_grant(&shapes, 1, 8.9, 50, never, start), PR_GRANTED_TOO_LITTLE);
    assert_int_equal(pr_shapes_grant(&shapes, 1, 9.1, 50, never, start), PR_GRANTED);
}

static void the_question_is_sorted_by_tenant_and_sender(void **state) {
    static struct pr_share_ask ask[PR_SHAPES_MAX];
    static const int32_t keys[][2] = {{2, 1}, {1, 9}, {1, 3}, {3, 2}, {1, 7}};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct pr_shape_facts facts = {.tenant = keys[i][0], .sender = keys[i][1], .rate = 1};
        assert_true(pr_shapes_set(&shapes, &facts));
    }
    assert_int_equal(pr_shapes_ask(&shapes, start, ask), 5);
    for (size_t i = 1; i < 5; i++) {
        assert_true(ask[i - 1].tenant < ask[i].tenant ||
                    (ask[i - 1].tenant == ask[i].tenant && ask[i - 1].sender < ask[i].sender));
    }
}

static void what_can_be_counted_on_is_the_fair_part_and_the_rate_before_it_is_known(void **state) {
    (void)state;
    assert_true(set(1, 100));
    assert_near(pr_shapes_expected(&shapes, 1, start), 100);
    (void)pr_shapes_grant(&shapes, 1, 2, 50, never, start);
    assert_near(pr_shapes_expected(&shapes, 1, start), 50);
    assert_near(pr_shapes_per_s(&shapes, 1, start), 2);
    (void)pr_shapes_grant(&shapes, 1, 98, 50, never, start);
    assert_near(pr_shapes_expected(&shapes, 1, start), 98);
    assert_near(pr_shapes_expected(&shapes, 9, start), 0);
}

/* ---- pauses, halving, starts ---- */

static void a_pause_holds_the_sender_and_is_never_shortened(void **state) {
    int64_t wait_ns = 0;
    (void)state;
    own(1, 80);
    pr_shapes_pause(&shapes, 1, start, second);
    assert_false(pr_shapes_is_up(&shapes, 1, start + second - 1));
    assert_true(pr_shapes_is_up(&shapes, 1, start + second));
    assert_false(pr_shapes_take(&shapes, 1, 1, start, &wait_ns));
    assert_int_equal(wait_ns, second);
    pr_shapes_pause(&shapes, 1, start, second / 2);
    assert_false(take(1, start + second - 1));
    assert_true(take(1, start + second));
    assert_true(pr_shapes_is_up(&shapes, 7, start)); /* nobody knows it */
}

static void only_a_long_pause_is_followed_by_a_slow_start(void **state) {
    (void)state;
    own(1, 800);
    pr_shapes_pause(&shapes, 1, start, 2 * second - 1);
    assert_near(pr_shapes_per_s(&shapes, 1, start + 2 * second), 800);
    pr_shapes_pause(&shapes, 1, start, 4 * second);
    assert_near(pr_shapes_per_s(&shapes, 1, start + 4 * second), 100);
    assert_near(pr_shapes_per_s(&shapes, 1, start + 5 * second), 200);
    assert_in_range(taken_until(1, start + 4 * second, start + 5 * second), 90, 116);
    assert_in_range(taken_until(1, start + 7 * second, start + 8 * second), 700, 800);
}

static void too_fast_halves_what_goes_once_and_it_comes_back(void **state) {
    (void)state;
    own(1, 1000);
    (void)take(1, start);
    assert_true(pr_shapes_too_fast(&shapes, 1, start, start + second));
    for (int i = 0; i < 50; i++) {
        assert_false(pr_shapes_too_fast(&shapes, 1, start, start + second + i));
    }
    assert_near(pr_shapes_per_s(&shapes, 1, start + second), 500);
    assert_in_range(taken_until(1, start + second, start + 2 * second), 480, 525);
    assert_near(asked(1, start + second).using, 1000); /* the share stays ours: it is not the others' fault */
    assert_near(pr_shapes_per_s(&shapes, 1, start + 31 * second), 1000);
    assert_false(pr_shapes_too_fast(&shapes, 9, start, start));
}

static void assert_slow_start_of_800_at(int64_t from_ns) {
    assert_in_range(taken_until(1, from_ns, from_ns + second), 90, 116);
    assert_in_range(taken_until(1, from_ns + second, from_ns + 2 * second), 170, 215);
    assert_in_range(taken_until(1, from_ns + 2 * second, from_ns + 3 * second), 340, 420);
    assert_in_range(taken_until(1, from_ns + 3 * second, from_ns + 4 * second), 690, 810);
}

static void a_restart_is_slow_and_fills_up(void **state) {
    (void)state;
    own(1, 800);
    pr_shapes_restart(&shapes, 1, start);
    assert_slow_start_of_800_at(start);
}

static void assert_a_second_at_half_of_800_from(int64_t from_ns) {
    assert_in_range(taken_until(1, from_ns, from_ns + second), 380, 410);
    assert_in_range(taken_until(1, from_ns + second, from_ns + 2 * second), 770, 800);
}

static void the_very_first_second_goes_at_half_of_the_rate(void **state) {
    (void)state;
    assert_true(set(1, 800));
    grant(1, 800);
    assert_near(pr_shapes_per_s(&shapes, 1, start), 800); /* not before there is a message */
    assert_a_second_at_half_of_800_from(start);
}

static void a_minute_without_a_message_and_no_less_is_followed_by_a_second_at_half_of_the_rate(void **state) {
    (void)state;
    own(1, 800);
    assert_true(take(1, start));
    assert_in_range(taken_until(1, start + 60 * second - 1, start + 61 * second - 1), 780, 800);
    int64_t last = start + 62 * second;
    assert_true(take(1, last));
    assert_a_second_at_half_of_800_from(last + 60 * second);
}

static void a_start_after_an_outage_is_not_cut_short_by_that(void **state) {
    (void)state;
    assert_true(set(1, 800));
    grant(1, 800);
    pr_shapes_restart(&shapes, 1, start);
    assert_slow_start_of_800_at(start);
}

/* ---- the table ---- */

static void there_is_room_for_so_many_senders_and_no_more(void **state) {
    (void)state;
    for (int32_t i = 0; i < PR_SHAPES_MAX; i++) {
        own(i + 1, 80);
    }
    assert_false(set(PR_SHAPES_MAX + 1, 80));
    assert_false(take(PR_SHAPES_MAX + 1, start));
    assert_true(set(PR_SHAPES_MAX, 40)); /* one that is known may still change */
    for (int32_t i = 0; i < PR_SHAPES_MAX; i++) {
        assert_true(take(i + 1, start));
    }
}

struct taker {
    pthread_t thread;
    int taken;
};

static void *take_all(void *arg) {
    struct taker *taker = arg;
    int64_t wait_ns = 0;
    for (int i = 0; i < 50000; i++) {
        taker->taken += pr_shapes_take(&shapes, 1, 1, start + i * INT64_C(20000), &wait_ns); /* one second in all */
    }
    return NULL;
}

static void threads_together_get_no_more_than_one_alone(void **state) {
    struct taker taker[4] = {0};
    int taken = 0;
    (void)state;
    own(1, 1000);
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
        TEST(without_a_share_nothing_goes),
        TEST(a_share_ends_at_its_moment_by_the_clock_read_now),
        TEST(a_rate_is_never_exceeded_in_any_second),
        TEST(waiting_as_long_as_told_is_enough),
        TEST(senders_do_not_share_their_buckets),
        TEST(the_same_share_again_and_growth_give_no_burst),
        TEST(a_smaller_share_is_in_force_at_once),
        TEST(a_rate_that_is_lowered_cuts_the_share_at_once_and_is_asked_about),
        TEST(an_answer_by_an_older_rate_is_cut_to_the_newer),
        TEST(a_share_that_ran_out_and_came_back_starts_slowly),
        TEST(what_waits_should_go_within_half_a_second_and_what_is_idle_counts_a_fiftieth),
        TEST(what_waits_counts_beside_what_goes_for_two_seconds),
        TEST(what_went_counts_twice_its_part_and_fades_by_halves),
        TEST(the_first_message_that_waits_makes_us_ask_at_once),
        TEST(too_little_is_said_while_messages_wait),
        TEST(too_little_is_less_than_our_weight_beside_the_others),
        TEST(the_question_is_sorted_by_tenant_and_sender),
        TEST(what_can_be_counted_on_is_the_fair_part_and_the_rate_before_it_is_known),
        TEST(a_pause_holds_the_sender_and_is_never_shortened),
        TEST(only_a_long_pause_is_followed_by_a_slow_start),
        TEST(too_fast_halves_what_goes_once_and_it_comes_back),
        TEST(a_restart_is_slow_and_fills_up),
        TEST(the_very_first_second_goes_at_half_of_the_rate),
        TEST(a_minute_without_a_message_and_no_less_is_followed_by_a_second_at_half_of_the_rate),
        TEST(a_start_after_an_outage_is_not_cut_short_by_that),
        TEST(there_is_room_for_so_many_senders_and_no_more),
        TEST(threads_together_get_no_more_than_one_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
