/* Tests of the stall watchdog: when it tells, how often, and what it says of each way to stand still. */
#include "flow/stall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static struct pr_stall stall;
static struct pr_stall_view view;

static int set_up(void **state) {
    (void)state;
    memset(&stall, 0, sizeof(stall));
    view = (struct pr_stall_view){
        .has_lease = true, .has_book = true, .can_claim = true, .can_settle = true, .has_job = true, .is_sender_up = true};
    return 0;
}

static enum pr_stall_news look(bool has_lag, uint64_t settled, int64_t at_s) {
    return pr_stall_look(&stall, has_lag, settled, 30 * S, at_s * S);
}

static void it_tells_when_nothing_was_settled_for_the_whole_time_and_not_before(void **state) {
    (void)state;
    assert_int_equal(look(true, 5, 100), PR_STALL_NONE); /* the first look knows no earlier one */
    assert_int_equal(look(true, 5, 129), PR_STALL_NONE);
    assert_int_equal(look(true, 5, 130), PR_STALL_TELL);
}

static void it_tells_once_a_minute_while_it_lasts(void **state) {
    (void)state;
    int told = 0;
    for (int64_t s = 1; s <= 1 + 30 + 120; s++) {
        told += look(true, 0, s) == PR_STALL_TELL;
    }
    assert_int_equal(told, 3);
}

static void one_settled_job_is_enough(void **state) {
    (void)state;
    uint64_t settled = 0;
    for (int64_t s = 1; s < 1000; s++) {
        settled += s % 29 == 0;
        assert_int_equal(look(true, settled, s), PR_STALL_NONE);
    }
}

static void without_lag_there_is_nothing_to_do_however_long_it_is_quiet(void **state) {
    (void)state;
    for (int64_t s = 1; s < 1000; s++) {
        assert_int_equal(look(false, 7, s), PR_STALL_NONE);
    }
    assert_int_equal(look(true, 7, 1000), PR_STALL_NONE); /* the time counts from when records came */
    assert_int_equal(look(true, 7, 1029), PR_STALL_NONE);
    assert_int_equal(look(true, 7, 1030), PR_STALL_TELL);
}

static void its_end_is_told_once_by_a_settled_job_or_by_lag_that_is_gone(void **state) {
    (void)state;
    (void)look(true, 0, 1);
    assert_int_equal(look(true, 0, 31), PR_STALL_TELL);
    assert_int_equal(look(true, 1, 32), PR_STALL_OVER);
    assert_int_equal(look(true, 1, 33), PR_STALL_NONE);
    assert_int_equal(look(true, 1, 62), PR_STALL_TELL);
    assert_int_equal(look(false, 1, 63), PR_STALL_OVER);
    assert_int_equal(look(false, 1, 64), PR_STALL_NONE);
}

static void lag_is_what_kafka_has_beyond_the_settled_front(void **state) {
    (void)state;
    assert_int_equal(pr_stall_lag(10, 10, -1, 0, 25), 15);
    assert_int_equal(pr_stall_lag(10, 20, 25, 0, 25), 15); /* taken is not settled */
    assert_int_equal(pr_stall_lag(25, 25, 25, 0, 25), 0);
    assert_int_equal(pr_stall_lag(30, 30, -1, 0, 25), 0); /* Kafka's word is older than ours */
}

static void a_marker_behind_the_last_record_is_no_lag(void **state) {
    (void)state;
    assert_int_equal(pr_stall_lag(24, 24, -1, 0, 25), 1);
    assert_int_equal(pr_stall_lag(24, 24, 25, 0, 25), 0);
    assert_int_equal(pr_stall_lag(23, 24, 25, 0, 25), 2); /* the last record is not settled yet */
    assert_int_equal(pr_stall_lag(24, 24, 25, 0, 26), 1); /* and more came since */
    assert_int_equal(pr_stall_lag(25, -1, 30, 0, 30), 0); /* nothing but markers since the assignment */
}

static void what_is_not_known_is_no_lag(void **state) {
    (void)state;
    assert_int_equal(pr_stall_lag(-2, -1, -1, 0, 9), 9); /* from the beginning, nothing taken */
    assert_int_equal(pr_stall_lag(-2, -1, -1, 4, 9), 5);
    assert_int_equal(pr_stall_lag(-2, -1, -1, -1001, -1001), 0);
    assert_int_equal(pr_stall_lag(5, -1, -1, -1001, -1001), 0);
}

static void expect(enum pr_stall_cause cause) {
    assert_string_equal(pr_stall_name(pr_stall_cause(&view)), pr_stall_name(cause));
}

static void what_the_whole_lane_lacks_goes_first(void **state) {
    (void)state;
    view.state = PR_JOB_SENDING;
    view.has_lease = false;
    expect(PR_STALL_LEASE);
    view.has_book = false;
    expect(PR_STALL_BOOK);
    view.can_settle = false; /* the book is read over that connection */
    expect(PR_STALL_DATABASE);
}

static void a_job_with_curl_waits_for_the_platform(void **state) {
    (void)state;
    view.state = PR_JOB_SENDING;
    expect(PR_STALL_PLATFORM);
}

static void a_ready_job_waits_for_sender_place_or_rate(void **state) {
    (void)state;
    view.state = PR_JOB_READY;
    expect(PR_STALL_RATE);
    view.is_wire_full = true;
    expect(PR_STALL_PLATFORM);
    view.is_sender_up = false;
    expect(PR_STALL_SENDER);
}

static void a_claim_waits_for_the_connection_another_dispatcher_or_a_lock(void **state) {
    (void)state;
    view.state = PR_JOB_CLAIMING;
    expect(PR_STALL_CLAIM);
    view.is_held = true;
    expect(PR_STALL_HELD);
    view.can_claim = false;
    expect(PR_STALL_DATABASE);
}

static void a_job_at_the_gate_says_what_it_waits_for(void **state) {
    (void)state;
    view.state = PR_JOB_GATED;
    expect(PR_STALL_ROOM);
    view.has_sender = true;
    expect(PR_STALL_ROOM);
    view.is_sender_up = false;
    expect(PR_STALL_SENDER);
    view.waits_for_person = true;
    expect(PR_STALL_PERSON);
    view.is_held = true;
    expect(PR_STALL_HELD);
}

static void a_fate_waits_for_the_connection_or_is_refused(void **state) {
    (void)state;
    view.state = PR_JOB_SETTLING;
    expect(PR_STALL_WRITE);
    view.can_settle = false;
    expect(PR_STALL_DATABASE);
    view.state = PR_JOB_WAITING;
    expect(PR_STALL_RETRY);
}

static void without_a_job_it_is_intake_consumer_or_kafka(void **state) {
    (void)state;
    view.has_job = false;
    expect(PR_STALL_KAFKA);
    view.has_records = true;
    expect(PR_STALL_CONSUMER);
    view.is_stopped_by_dead = true;
    expect(PR_STALL_DEAD_LETTERS);
}

static void every_cause_has_a_word_of_its_own_and_a_sentence(void **state) {
    (void)state;
    for (int a = 0; a < PR_STALL_CAUSES; a++) {
        assert_true(strlen(pr_stall_text((enum pr_stall_cause)a)) > 20);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(pr_stall_name((enum pr_stall_cause)a), pr_stall_name((enum pr_stall_cause)b));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_tells_when_nothing_was_settled_for_the_whole_time_and_not_before, set_up),
        cmocka_unit_test_setup(it_tells_once_a_minute_while_it_lasts, set_up),
        cmocka_unit_test_setup(one_settled_job_is_enough, set_up),
        cmocka_unit_test_setup(without_lag_there_is_nothing_to_do_however_long_it_is_quiet, set_up),
        cmocka_unit_test_setup(its_end_is_told_once_by_a_settled_job_or_by_lag_that_is_gone, set_up),
        cmocka_unit_test_setup(lag_is_what_kafka_has_beyond_the_settled_front, set_up),
        cmocka_unit_test_setup(a_marker_behind_the_last_record_is_no_lag, set_up),
        cmocka_unit_test_setup(what_is_not_known_is_no_lag, set_up),
        cmocka_unit_test_setup(what_the_whole_lane_lacks_goes_first, set_up),
        cmocka_unit_test_setup(a_job_with_curl_waits_for_the_platform, set_up),
        cmocka_unit_test_setup(a_ready_job_waits_for_sender_place_or_rate, set_up),
        cmocka_unit_test_setup(a_claim_waits_for_the_connection_another_dispatcher_or_a_lock, set_up),
        cmocka_unit_test_setup(a_job_at_the_gate_says_what_it_waits_for, set_up),
        cmocka_unit_test_setup(a_fate_waits_for_the_connection_or_is_refused, set_up),
        cmocka_unit_test_setup(without_a_job_it_is_intake_consumer_or_kafka, set_up),
        cmocka_unit_test_setup(every_cause_has_a_word_of_its_own_and_a_sentence, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
