/* Tests of what a lane may take in: the next record of a partition by its window, and by the memory that bulk, events and what comes back may use. */
#include "unit/dispatcher/lane_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { EVENTS, BULK };

static rd_kafka_message_t record;
static rd_kafka_message_t *backlog[] = {&record};
static struct pr_part part;

static int set_up(void **state) {
    (void)state;
    lane_open();
    options.dispatch.lanes = 1;
    options.dispatch.memory_max = INT64_C(64) * 1024 * 1024; /* 32 MiB of it for messages in work */
    process.topics[BULK].is_bulk = true;
    record = (rd_kafka_message_t){.offset = 7};
    part = (struct pr_part){.topic = EVENTS, .backlog = backlog, .backlog_room = 1, .backlog_n = 1};
    return pr_tracker_init(&part.tracker, 2) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    pr_tracker_free(&part.tracker);
    lane_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static bool takes(int topic, int64_t cost) {
    part.topic = topic;
    lane.cost = cost;
    return pr_part_may_take(&lane, &part);
}

static void bulk_may_use_half_of_the_memory_events_three_quarters_and_what_comes_back_all(void **state) {
    (void)state;
    const int64_t all = INT64_C(32) * 1024 * 1024;
    assert_int_equal(pr_lane_memory(&lane), all);
    assert_true(takes(BULK, all / 2 - 1));
    assert_false(takes(BULK, all / 2));
    assert_true(takes(EVENTS, all / 4 * 3 - 1));
    assert_false(takes(EVENTS, all / 4 * 3));
    lane.cost = all - 1;
    assert_true(pr_lane_has_memory(&lane, PR_MEMORY_RETURNED));
    lane.cost = all;
    assert_false(pr_lane_has_memory(&lane, PR_MEMORY_RETURNED));
}

static void nothing_is_taken_from_an_empty_backlog_or_a_revoked_partition(void **state) {
    (void)state;
    assert_true(takes(EVENTS, 0));
    part.backlog_n = 0;
    assert_false(takes(EVENTS, 0));
    part.backlog_n = 1;
    part.is_revoked = true;
    assert_false(takes(EVENTS, 0));
}

static void bulk_rests_after_a_portion_that_was_put_off_and_events_do_not(void **state) {
    (void)state;
    struct pr_job *job = pr_job_new(&lane.jobs);
    job->part = &part;
    part.topic = EVENTS;
    lane.now_ns = lane.jobs.now_ns = 1000;
    pr_lane_put_off(&lane, job);
    assert_false(job->is_put_off);
    part.topic = BULK;
    pr_lane_put_off(&lane, job);
    pr_lane_put_off(&lane, job); /* by its claim too */
    assert_int_equal(lane.jobs.portion.open, 1);
    assert_true(takes(BULK, 0));
    lane.now_ns = lane.jobs.now_ns = 1100;
    pr_job_move(&lane.jobs, job, PR_JOB_SETTLED);
    assert_int_equal(lane.jobs.portion.open, 0);
    assert_false(takes(BULK, 0));
    assert_true(takes(EVENTS, 0));
    lane.now_ns = lane.jobs.portion.next_ns;
    assert_true(takes(BULK, 0));
    pr_job_free(&lane.jobs, job);
}

static void a_full_window_takes_nothing_until_one_is_settled(void **state) {
    (void)state;
    uint32_t first = pr_tracker_deliver(&part.tracker, 5);
    assert_true(takes(EVENTS, 0));
    (void)pr_tracker_deliver(&part.tracker, 6);
    assert_false(takes(EVENTS, 0));
    assert_true(pr_tracker_settle(&part.tracker, first));
    assert_true(takes(EVENTS, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(bulk_may_use_half_of_the_memory_events_three_quarters_and_what_comes_back_all),
        TEST(nothing_is_taken_from_an_empty_backlog_or_a_revoked_partition),
        TEST(bulk_rests_after_a_portion_that_was_put_off_and_events_do_not),
        TEST(a_full_window_takes_nothing_until_one_is_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
