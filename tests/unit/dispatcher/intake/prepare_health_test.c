/* Tests of whom a message waits for: senders and templates that are stopped, paused, or whose breaker is open. */
#include "unit/dispatcher/intake/prepare_fixture.h"

static void a_stopped_sender_is_passed_over(void **state) {
    (void)state;
    for (int32_t stopped = 11; stopped <= 12; stopped++) {
        (void)pr_breakers_stop(&process.senders, stopped, lane.now_ns, lane.now_ns, minute_ns);
        const struct pr_job *job = prepared("order.confirmed", TO);
        assert_int_equal(job->sender->id, 11 + 12 - stopped);
        assert_int_equal(job->hold_us, PR_TIME_NONE);
        (void)pr_breakers_clear(&process.senders, stopped, lane.now_ns);
    }
}

static void a_sender_that_only_pauses_keeps_its_messages(void **state) {
    (void)state;
    int32_t usual = prepared("order.confirmed", TO)->sender->id;
    pr_shapes_pause(&process.shapes, usual, lane.now_ns, minute_ns / 2);
    const struct pr_job *job = prepared("order.confirmed", TO);
    assert_int_equal(job->sender->id, usual);
    assert_int_equal(job->hold_us, PR_TIME_NONE);
    pr_shapes_pause(&process.shapes, usual, lane.now_ns, minute_ns / 2 + 1);
    assert_int_not_equal(prepared("order.confirmed", TO)->sender->id, usual);
}

static void a_template_that_the_platform_just_refused_is_waited_for(void **state) {
    (void)state;
    (void)pr_breakers_stop(&process.templates, 21, lane.now_ns, lane.now_ns, 10 * minute_ns);
    const struct pr_job *job = prepared("order.confirmed", TO);
    expect_message(job);
    assert_int_equal(job->hold_us, NOW_US + 10 * INT64_C(60000000));
    assert_string_equal(job->hold_reason, "template_stopped");
    assert_int_equal(prepared("order.confirmed", TO ",\"locale\":\"en\"")->hold_us, PR_TIME_NONE); /* another language */
    lane.now_ns += 10 * minute_ns;
    assert_int_equal(prepared("order.confirmed", TO)->hold_us, PR_TIME_NONE);
}

static void trouble(struct pr_breakers *breakers, int32_t id) {
    struct pr_breaker_report report;
    for (int i = 0; i < PR_BREAKER_LEAST; i++) {
        pr_breakers_mark(breakers, id, PR_MARK_BAD, "cut", lane.now_ns, lane.now_ns, &report);
    }
    assert_int_equal(report.change, PR_BREAKER_OPENED);
}

static void a_sender_whose_breaker_is_open_is_passed_over_and_waited_for_when_it_is_the_only_one(void **state) {
    (void)state;
    int32_t usual = prepared("order.confirmed", TO)->sender->id;
    trouble(&process.senders, usual);
    assert_int_not_equal(prepared("order.confirmed", TO)->sender->id, usual);
    assert_int_equal(prepared("order.confirmed", TO)->hold_us, PR_TIME_NONE);
    trouble(&process.senders, 11 + 12 - usual);
    const struct pr_job *job = prepared("order.confirmed", TO);
    expect_message(job);
    assert_int_equal(job->sender->id, usual);
    assert_int_equal(job->hold_us, NOW_US + PR_BREAKER_REST_NS / 1000);
    assert_string_equal(job->hold_reason, "sender_breaker");
    lane.now_ns += PR_BREAKER_REST_NS;
    assert_int_equal(prepared("order.confirmed", TO)->hold_us, PR_TIME_NONE);
}

/* Once the claim told it, the contact's own language decides which template's breaker counts: otherwise it would go round and round. */
static void a_template_breaker_is_asked_in_the_language_of_the_contact(void **state) {
    (void)state;
    trouble(&process.templates, 21);
    struct pr_job *job = prepared("order.confirmed", TO);
    assert_string_equal(job->hold_reason, "template_breaker");
    assert_int_equal(job->hold_us, NOW_US + PR_BREAKER_REST_NS / 1000);
    job->locale = pr_span_of("en");
    assert_true(pr_prepare(&lane, job));
    assert_int_equal(job->hold_us, PR_TIME_NONE);
}

static void with_all_senders_stopped_a_message_waits_a_minute(void **state) {
    (void)state;
    int32_t usual = prepared("order.confirmed", TO)->sender->id;
    (void)pr_breakers_stop(&process.senders, 11, lane.now_ns, lane.now_ns, minute_ns);
    (void)pr_breakers_stop(&process.senders, 12, lane.now_ns, lane.now_ns, minute_ns);
    const struct pr_job *job = prepared("order.confirmed", TO);
    expect_message(job);
    assert_int_equal(job->sender->id, usual);
    assert_int_equal(job->hold_us, NOW_US + 60 * INT64_C(1000000));
    assert_string_equal(job->hold_reason, "sender_stopped");
}

static void a_rule_whose_senders_nobody_has_is_refused(void **state) {
    (void)state;
    const struct pr_job *job = prepared("pin", TO);
    assert_int_equal(job->kind, PR_JOB_MESSAGE);
    assert_null(job->sender);
    assert_string_equal(job->refusal, "no_sender");
}

/* The pools that were full when the job was claimed say nothing about now; without this the last sender would be refused for good. */
static void full_pools_of_an_earlier_claim_are_forgotten(void **state) {
    struct pr_job *job = fetched("order.confirmed", TO);
    (void)state;
    job->senders_tried = 3;
    job->has_row = true;
    assert_true(pr_prepare(&lane, job));
    expect_message(job);
    assert_non_null(job->sender);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_stopped_sender_is_passed_over),
        TEST(a_sender_that_only_pauses_keeps_its_messages),
        TEST(a_template_that_the_platform_just_refused_is_waited_for),
        TEST(a_sender_whose_breaker_is_open_is_passed_over_and_waited_for_when_it_is_the_only_one),
        TEST(a_template_breaker_is_asked_in_the_language_of_the_contact),
        TEST(with_all_senders_stopped_a_message_waits_a_minute),
        TEST(a_rule_whose_senders_nobody_has_is_refused),
        TEST(full_pools_of_an_earlier_claim_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
