/* Tests of what happens between gate and claim: who is claimed at once, who waits, who is deferred until when, and whose turn it is. */
#include "claim/private.h"

#include "unit/dispatcher/lane_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WINDOW = 400, AHEAD = 40 };
#define SECOND_US INT64_C(1000000)

/* Two tenants: the shop with two numbers at 80 a second, the bakery with one. */
static int set_up(void **state) {
    (void)state;
    lane_open();
    options.dispatch.lanes = 1;
    options.dispatch.window = WINDOW;
    options.dispatch.claim_ahead = AHEAD;
    options.dispatch.sender_in_flight = 75;
    options.dispatch.memory_max = INT64_C(64) * 1024 * 1024;
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", "pt_BR");
    put_tenant(rows, 2, "bakery", "es");
    put_sender(rows, 1, 11, 5, "main");
    put_sender(rows, 1, 12, 6, "second");
    put_sender(rows, 2, 21, 7, "baker");
    lane_read(rows);
    lane_rate(1, 11, 80);
    lane_rate(1, 12, 80);
    lane_rate(2, 21, 80);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    lane_end_jobs();
    lane_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct pr_job *passed_as(struct pr_job *job) {
    TAILQ_INSERT_TAIL(&lane.passed, job, queue);
    job->is_queued = true;
    return job;
}

static struct pr_job *passed(uint32_t tenant, uint32_t sender, int n, enum pr_category category) {
    return passed_as(lane_job(tenant, sender, n, category));
}

static struct pr_lane_sender *entry_of(int32_t id) {
    for (size_t i = 0; i < lane.senders.n; i++) {
        if (lane.senders.sender[i]->id == id) {
            return lane.senders.sender[i];
        }
    }
    abort();
}

static int to_claim_of(int32_t sender) {
    const struct pr_job *job = NULL;
    int n = 0;
    TAILQ_FOREACH (job, &lane.to_claim, queue) {
        n += job->sender->id == sender;
    }
    return n;
}

/* The sender's own limits held it back a moment ago. */
static void make_short(uint32_t tenant, uint32_t sender) {
    struct pr_job *job = lane_job(tenant, sender, 999999, PR_CATEGORY_UTILITY);
    pr_sender_of(&lane.senders, job)->short_ns = lane.now_ns;
}

static void what_needs_no_room_is_claimed_at_once(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 0;
    passed(0, 0, 1, PR_CATEGORY_UTILITY)->refusal = "no_sender";
    passed(0, 0, 2, PR_CATEGORY_UTILITY)->not_before_us = NOW_US + 1;
    passed(0, 0, 3, PR_CATEGORY_UTILITY)->expiry_us = NOW_US;
    passed(0, 0, 4, PR_CATEGORY_UTILITY)->hold_us = NOW_US + HOUR_US;
    passed(0, 0, 5, PR_CATEGORY_UTILITY)->kind = PR_JOB_FENCES;
    passed(0, 0, 6, PR_CATEGORY_UTILITY)->not_before_us = NOW_US; /* its time is now: it needs room */
    pr_claim_shape(&lane);
    assert_int_equal(lane.jobs.n[PR_JOB_CLAIMING], 5);
    assert_int_equal(entry_of(11)->line[PR_LINE_GATED].all, 1);
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 0);
}

static void what_is_claimed_without_room_is_held_whatever_the_time_is_by_then(void **state) {
    (void)state;
    struct pr_job *early = passed(0, 0, 1, PR_CATEGORY_UTILITY), *ended = passed(0, 0, 2, PR_CATEGORY_UTILITY);
    struct pr_job *held = passed(0, 0, 3, PR_CATEGORY_UTILITY), *roomy = passed(0, 0, 4, PR_CATEGORY_UTILITY);
    early->not_before_us = NOW_US + 1;
    ended->expiry_us = NOW_US; /* by the lane's clock, which may be a little ahead of the database's */
    held->hold_us = NOW_US - 1;
    held->hold_reason = "sender_stopped";
    pr_claim_shape(&lane);
    assert_int_equal(early->hold_us, NOW_US + 1);
    assert_string_equal(early->hold_reason, "not_before");
    assert_int_equal(ended->hold_us, NOW_US + SECOND_US);
    assert_int_equal(held->hold_us, NOW_US - 1);
    assert_string_equal(held->hold_reason, "sender_stopped");
    assert_int_equal(roomy->hold_us, PR_TIME_NONE);
    assert_true(roomy->is_ahead && !early->is_ahead && !ended->is_ahead && !held->is_ahead);
}

static void what_was_dropped_or_met_another_book_is_not_claimed(void **state) {
    (void)state;
    struct pr_job *dropped = passed(0, 0, 1, PR_CATEGORY_UTILITY);
    struct pr_job *written = passed(0, 0, 2, PR_CATEGORY_UTILITY);
    struct pr_job *old = passed(0, 0, 3, PR_CATEGORY_UTILITY);
    dropped->is_dropped = written->is_dropped = true;
    written->claim_no = 7;
    pr_book_unref(old->book);
    old->book = NULL;
    pr_claim_shape(&lane);
    assert_int_equal(dropped->state, PR_JOB_SETTLING);
    assert_int_equal(dropped->writes, 0);
    assert_int_equal(written->writes, PR_WRITE_UNCLAIM);
    assert_int_equal(written->next, PR_NEXT_DROP);
    assert_ptr_equal(TAILQ_FIRST(&lane.to_prepare), old);
}

static void a_sender_is_claimed_for_a_second_ahead_and_no_more(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 1000;
    for (int i = 0; i < 200; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), 80);
    assert_int_equal(entry_of(11)->held[PR_ROOM_AHEAD], 80);
    pr_sender_leave(TAILQ_FIRST(&lane.to_claim)); /* answered: neither claiming nor ready */
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), 81);
    assert_int_equal(entry_of(11)->held[PR_ROOM_AHEAD], 80);
}

/* Claimed, it would be taken back and claimed again all the while; for a longer pause it is deferred, which takes a claim. */
static void a_sender_that_pauses_for_seconds_is_not_claimed_for_until_the_last_two(void **state) {
    (void)state;
    const int64_t second = INT64_C(1000000000);
    passed(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_shapes_pause(&process.shapes, 11, lane.now_ns, 10 * second);
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), 0);
    lane.now_ns += 8 * second - 1;
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), 0);
    lane.now_ns += 1;
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), 1);
    passed(0, 0, 2, PR_CATEGORY_UTILITY);
    pr_shapes_pause(&process.shapes, 11, lane.now_ns, 30 * second + 1);
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), 2);
}

/* Turns are the tenant's first: two numbers of the shop get together what the bakery's one gets. */
static void tenants_take_turns_and_their_senders_within(void **state) {
    (void)state;
    options.dispatch.sender_in_flight = 100;
    for (int i = 0; i < 100; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    for (int i = 0; i < 100; i++) {
        passed(0, 1, i, PR_CATEGORY_UTILITY);
        passed(1, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(21), to_claim_of(11) + to_claim_of(12));
    assert_int_equal(to_claim_of(11), to_claim_of(12));
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], AHEAD);
}

static void one_sender_leaves_a_quarter_of_the_claims_to_who_comes_later(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(11), AHEAD * 3 / 4);
    passed(1, 0, 1, PR_CATEGORY_UTILITY);
    pr_claim_shape(&lane);
    assert_int_equal(to_claim_of(21), 1);
}

static void transactional_is_claimed_first_and_marketing_has_its_floor(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 20;
    options.dispatch.sender_in_flight = 100;
    for (int i = 0; i < 50; i++) {
        passed(0, 0, i, PR_CATEGORY_MARKETING);
    }
    for (int i = 50; i < 100; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_claim_shape(&lane);
    const struct pr_job *job = NULL;
    int marketing = 0;
    TAILQ_FOREACH (job, &lane.to_claim, queue) {
        marketing += job->category == PR_CATEGORY_MARKETING;
    }
    assert_int_equal(to_claim_of(11), 20);
    assert_int_equal(marketing, 2);
}

/* ---- deferred before the claim ---- */

static void what_would_wait_over_thirty_seconds_is_deferred_each_a_little_later(void **state) {
    (void)state;
    options.dispatch.window = 65536;
    options.dispatch.claim_ahead = 0;
    for (int i = 0; i < 2401; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    struct pr_job *first = passed(0, 0, 3000, PR_CATEGORY_UTILITY);
    struct pr_job *second = passed(0, 0, 3001, PR_CATEGORY_UTILITY);
    struct pr_job *back = passed(0, 0, 3002, PR_CATEGORY_UTILITY);
    back->gen = 1;
    pr_claim_shape(&lane);
    assert_int_equal(entry_of(11)->line[PR_LINE_GATED].all,
                     2402); /* 30 s at 80 a second, one that is just not over it, and what came back */
    assert_ptr_equal(TAILQ_FIRST(&lane.to_hold), first); /* not in front of those that could be sent */
    assert_true(TAILQ_EMPTY(&lane.to_claim));
    assert_string_equal(first->hold_reason, "sender_busy");
    assert_int_equal(first->hold_us, NOW_US + 30 * SECOND_US + SECOND_US / 80);
    assert_int_equal(second->hold_us, first->hold_us + SECOND_US / 80);
    assert_int_equal(back->hold_us, PR_TIME_NONE);
    assert_int_equal(back->state, PR_JOB_GATED);
}

static void marketing_that_waits_defers_no_transactional_message(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 0;
    make_short(0, 0);
    for (int i = 0; i < 300; i++) {
        passed(0, 0, i, PR_CATEGORY_MARKETING);
    }
    struct pr_job *order = passed(0, 0, 400, PR_CATEGORY_UTILITY);
    pr_claim_shape(&lane);
    assert_int_equal(pr_line_ahead(&entry_of(11)->line[PR_LINE_GATED], PR_CLASS_MARKETING).n, WINDOW / 4 + 1);
    assert_int_equal(order->hold_us, PR_TIME_NONE);
}

static void a_sender_held_back_by_its_own_limits_keeps_a_quarter_of_a_window_waiting(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 0;
    make_short(0, 0);
    for (int i = 0; i < WINDOW / 4; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    struct pr_job *one_more = passed(0, 0, 500, PR_CATEGORY_UTILITY);
    struct pr_job *back = passed(0, 0, 501, PR_CATEGORY_UTILITY);
    back->gen = 1;
    pr_claim_shape(&lane);
    assert_int_equal(entry_of(11)->line[PR_LINE_GATED].all, WINDOW / 4);
    /* The line in front of it lasts 1.25 s. */
    assert_int_equal(one_more->hold_us, NOW_US + SECOND_US * 5 / 4 + SECOND_US / 80);
    assert_int_equal(back->hold_us, one_more->hold_us + SECOND_US / 80);
    assert_string_equal(back->hold_reason, "sender_busy");
}

static void a_quarter_of_the_memory_is_a_bound_too(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 0;
    make_short(0, 0);
    passed(0, 0, 1, PR_CATEGORY_UTILITY)->cost = pr_lane_memory(&lane) / 4;
    struct pr_job *next = passed(0, 0, 2, PR_CATEGORY_UTILITY);
    pr_claim_shape(&lane);
    assert_string_equal(next->hold_reason, "sender_busy");
}

static void a_sender_as_fast_as_the_lane_is_not_deferred_however_much_waits(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 0;
    for (int i = 0; i < WINDOW; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_claim_shape(&lane);
    assert_int_equal(entry_of(11)->line[PR_LINE_GATED].all, WINDOW);
    make_short(0, 0);
    lane.now_ns += INT64_C(2000000000); /* that was long ago */
    passed(0, 0, 900, PR_CATEGORY_UTILITY);
    pr_claim_shape(&lane);
    assert_int_equal(entry_of(11)->line[PR_LINE_GATED].all, WINDOW + 1);
}

/* ---- pairs ---- */

static void empty_pair(struct pr_job *job) {
    pr_pairs_empty(&lane.pairs, pr_pairs_key(job), lane.now_us);
}

static void who_had_a_burst_waits_in_the_lane_and_asks_again(void **state) {
    (void)state;
    struct pr_job *job = passed(0, 0, 1, PR_CATEGORY_UTILITY);
    struct pr_job *other = passed(0, 1, 1, PR_CATEGORY_UTILITY); /* the same person, another number */
    empty_pair(job);
    pr_claim_shape(&lane);
    assert_int_equal(job->state, PR_JOB_GATED);
    assert_false(job->is_queued);
    assert_int_equal(job->timer.key, lane.now_ns + PR_PAIR_STEP_US * INT64_C(1000));
    assert_int_equal(other->state, PR_JOB_CLAIMING);
    lane.now_us += PR_PAIR_STEP_US;
    pr_heap_remove(&lane.timers, &job->timer);
    passed_as(job);
    pr_claim_shape(&lane);
    assert_int_equal(job->state, PR_JOB_CLAIMING);
    assert_int_equal(job->hold_us, PR_TIME_NONE);
}

static void from_thirty_seconds_on_they_are_deferred_before_the_claim(void **state) {
    (void)state;
    struct pr_job *job = passed(0, 0, 1, PR_CATEGORY_UTILITY);
    empty_pair(job);
    pr_claim_shape(&lane);
    lane.now_us += 29 * SECOND_US;
    empty_pair(job);
    struct pr_job *next = passed(0, 0, 1, PR_CATEGORY_UTILITY);
    struct pr_job *last = passed(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_claim_shape(&lane);
    assert_int_equal(next->state, PR_JOB_CLAIMING);
    assert_string_equal(next->hold_reason, "pair_rate");
    assert_int_equal(next->hold_us, lane.now_us + 2 * PR_PAIR_STEP_US);
    assert_int_equal(last->hold_us, next->hold_us + PR_PAIR_STEP_US);
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 0);
}

static void in_a_lane_that_is_full_nobody_waits_for_a_person(void **state) {
    (void)state;
    options.dispatch.claim_ahead = 0;
    for (int i = 100; i < 100 + WINDOW / 4; i++) {
        passed(0, 0, i, PR_CATEGORY_UTILITY);
    }
    struct pr_job *job = passed(0, 1, 1, PR_CATEGORY_UTILITY);
    empty_pair(job);
    pr_claim_shape(&lane);
    assert_string_equal(job->hold_reason, "pair_rate");
    assert_int_equal(job->state, PR_JOB_CLAIMING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_needs_no_room_is_claimed_at_once),
        TEST(what_is_claimed_without_room_is_held_whatever_the_time_is_by_then),
        TEST(what_was_dropped_or_met_another_book_is_not_claimed),
        TEST(a_sender_is_claimed_for_a_second_ahead_and_no_more),
        TEST(a_sender_that_pauses_for_seconds_is_not_claimed_for_until_the_last_two),
        TEST(tenants_take_turns_and_their_senders_within),
        TEST(one_sender_leaves_a_quarter_of_the_claims_to_who_comes_later),
        TEST(transactional_is_claimed_first_and_marketing_has_its_floor),
        TEST(what_would_wait_over_thirty_seconds_is_deferred_each_a_little_later),
        TEST(marketing_that_waits_defers_no_transactional_message),
        TEST(a_sender_held_back_by_its_own_limits_keeps_a_quarter_of_a_window_waiting),
        TEST(a_quarter_of_the_memory_is_a_bound_too),
        TEST(a_sender_as_fast_as_the_lane_is_not_deferred_however_much_waits),
        TEST(who_had_a_burst_waits_in_the_lane_and_asks_again),
        TEST(from_thirty_seconds_on_they_are_deferred_before_the_claim),
        TEST(in_a_lane_that_is_full_nobody_waits_for_a_person),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
