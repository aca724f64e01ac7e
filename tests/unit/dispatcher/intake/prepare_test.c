/* Tests of what is decided before the claim: refusals in their order, fences, times, and jobs that come back. */
#include "unit/dispatcher/intake/prepare_fixture.h"

/* ---- what is sendable ---- */

static void an_event_that_a_rule_takes_is_a_message(void **state) {
    (void)state;
    const struct pr_job *job = prepared("order.confirmed", TO ",\"subject\":\"o1\"");
    expect_message(job);
    assert_int_equal(job->tenant->id, 1);
    assert_true(pr_span_is(job->rule->name, "order"));
    assert_int_equal(job->rank, 0);
    assert_string_equal(job->to.text, "+5511999990000");
    assert_non_null(job->sender);
    assert_int_equal(job->category, PR_CATEGORY_UTILITY);
    assert_int_equal(job->choice.tpl->id, 21);
    assert_int_equal(job->hold_us, PR_TIME_NONE);
    assert_int_equal(job->not_before_us, PR_TIME_NONE);
    assert_int_equal(job->expiry_us, NOW_US + 72 * HOUR_US);
    assert_int_equal(job->identity.day, NOW_US / (24 * HOUR_US));
}

static void the_locale_of_the_record_chooses_the_template(void **state) {
    (void)state;
    assert_int_equal(prepared("order.confirmed", TO ",\"locale\":\"en_US\"")->choice.tpl->id, 22);
    assert_int_equal(prepared("order.confirmed", TO ",\"locale\":\"de\"")->choice.tpl->id, 21);
}

static void the_recipient_may_stand_where_the_rule_says(void **state) {
    (void)state;
    const struct pr_job *job = prepared("cart.abandoned", ",\"data\":{\"customer\":{\"phone\":\"+55 11 98888-0000\"}}");
    expect_message(job);
    assert_string_equal(job->to.text, "+5511988880000");
    job = prepared("cart.abandoned", TO ",\"data\":{\"customer\":{\"phone\":\"+5511988880000\"}}");
    assert_string_equal(job->to.text, "+5511999990000"); /* `to` comes first */
    expect_aside(prepared("ship.none", ",\"data\":{\"customer\":{\"phone\":\"+5511988880000\"}}"), "no_rule");
}

/* ---- refusals before the claim ---- */

static void a_type_that_no_rule_takes_is_set_aside(void **state) {
    (void)state;
    expect_aside(prepared("nobody.asks", TO), "no_rule");
    expect_aside(prepared("nobody.asks", ""), "no_rule"); /* asked before the recipient */
}

static void without_a_recipient_or_with_a_bad_one_it_is_set_aside(void **state) {
    (void)state;
    expect_aside(prepared("promo", ""), "no_recipient");
    expect_aside(prepared("promo", ",\"to\":\"ana@shop.example\""), "bad_address");
    expect_aside(prepared("cart.abandoned", ",\"data\":{\"customer\":{\"phone\":null}}"), "no_recipient");
    expect_aside(prepared("cart.abandoned", ",\"data\":{\"customer\":{\"phone\":\"none\"}}"), "bad_address");
}

static void an_ignored_type_is_set_aside_before_anything_else(void **state) {
    static const char *const types[] = {"page.viewed", "promo"};
    (void)state;
    options.intake.ignore = (struct pr_conf_list){.v = types, .n = 2};
    expect_aside(prepared("page.viewed", TO), "ignored");
    expect_aside(prepared("promo", ",\"tenant\":\"unheard\""), "ignored");
    expect_message(prepared("order.confirmed", TO));
}

static void a_wild_time_is_set_aside_and_moves_no_fence(void **state) {
    (void)state;
    expect_aside(prepared("order.confirmed", TO ",\"time\":\"2027-01-15T12:00:00Z\""), "bad_time");
    expect_aside(prepared("order.confirmed", TO ",\"time\":\"2025-06-15T12:00:00Z\""), "bad_time");
    expect_aside(prepared("cart.emptied", TO ",\"subject\":\"c\",\"time\":\"2027-01-15T12:00:00Z\""), "bad_time");
    expect_aside(prepared("consent.revoked", TO ",\"time\":\"2027-01-15T12:00:00Z\""), "bad_time");
    expect_message(prepared("order.confirmed", TO ",\"time\":\"2026-01-15T12:59:59Z\""));
    expect_message(prepared("order.confirmed", TO ",\"time\":\"2025-12-17T12:00:00Z\""));
}

static void a_template_that_cannot_go_is_a_refusal_of_a_new_message(void **state) {
    (void)state;
    const struct pr_job *job = prepared("promo", TO);
    assert_int_equal(job->kind, PR_JOB_MESSAGE);
    assert_string_equal(job->refusal, "template_paused");
    assert_int_equal(job->category, PR_CATEGORY_MARKETING);
    job = prepared("gone", TO);
    assert_int_equal(job->kind, PR_JOB_MESSAGE);
    assert_string_equal(job->refusal, "no_template");
}

static void only_to_lets_nobody_else_be_written_to(void **state) {
    static const char *const only[] = {"+5511999990001", "+5511999990002"};
    (void)state;
    options.dispatch.only_to = (struct pr_conf_list){.v = only, .n = 2};
    const struct pr_job *job = prepared("order.confirmed", TO);
    assert_int_equal(job->kind, PR_JOB_MESSAGE);
    assert_string_equal(job->refusal, "only_to");
    expect_message(prepared("order.confirmed", ",\"to\":\"+5511999990002\""));
    expect_message(prepared("order.confirmed", ",\"to\":\"+55 (11) 99999-0002\"")); /* one person, one spelling */
}

/* ---- whose it is ---- */

static void a_record_may_name_its_business_and_the_option_names_it_for_the_rest(void **state) {
    (void)state;
    assert_int_equal(prepared("nobody.asks", TO ",\"tenant\":\"bakery\"")->tenant->id, 2);
    assert_int_equal(prepared("nobody.asks", TO)->tenant->id, 1);
    options.dispatch.tenant = "bakery";
    assert_int_equal(prepared("nobody.asks", TO)->tenant->id, 2);
}

static void a_business_nobody_knows_is_a_refusal(void **state) {
    (void)state;
    expect_aside(prepared("order.confirmed", TO ",\"tenant\":\"unheard\""), "unknown_tenant");
    options.dispatch.tenant = "unheard";
    expect_aside(prepared("order.confirmed", TO), "unknown_tenant");
}

static void without_a_name_a_lone_business_is_meant_and_of_two_none(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    options.dispatch.tenant = "";
    expect_aside(prepared("order.confirmed", TO), "unknown_tenant");
    put_tenant(rows, 7, "alone", "en");
    lane_read(rows);
    assert_int_equal(prepared("nobody.asks", TO)->tenant->id, 7);
    expect_aside(prepared("nobody.asks", TO ",\"tenant\":\"unheard\""), "unknown_tenant");
}

/* ---- control events ---- */

static void consent_and_contact_events_are_control(void **state) {
    static const char *const types[] = {"contact.updated", "consent.granted", "consent.revoked"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct pr_job *job = prepared(types[i], TO);
        assert_int_equal(job->kind, PR_JOB_CONTROL);
        assert_string_equal(job->to.text, "+5511999990000");
        assert_int_equal(job->event_us, NOW_US);
        expect_aside(prepared(types[i], ""), "no_recipient");
        expect_aside(prepared(types[i], ",\"to\":\"x\""), "bad_address");
    }
    expect_aside(prepared("contact.updates", TO), "no_rule");
}

/* ---- fences ---- */

static void expect_fence(const struct pr_job *job, size_t i, enum pr_fence_kind kind, const char *subject,
                         const char *group) {
    assert_true(i < job->fences_n);
    assert_int_equal(job->fences[i].kind, kind);
    assert_true(pr_span_is(job->fences[i].group, group));
    if (kind == PR_FENCE_CANCEL_SUBJECT || kind == PR_FENCE_SUPERSEDE_SUBJECT) {
        assert_true(pr_span_is(job->fences[i].subject, subject));
    }
}

static void an_event_cancels_by_recipient_and_by_what_its_data_names(void **state) {
    (void)state;
    const struct pr_job *job = prepared("order.confirmed", TO ",\"subject\":\"o1\",\"data\":{\"cart_id\":\"c9\"}");
    expect_message(job);
    assert_int_equal(job->fences_n, 2);
    expect_fence(job, 0, PR_FENCE_CANCEL_RECIPIENT, "", "cart");
    expect_fence(job, 1, PR_FENCE_CANCEL_SUBJECT, "c9", "cart");
}

static void a_number_in_the_data_names_a_subject_as_its_text(void **state) {
    (void)state;
    const struct pr_job *job = prepared("order.confirmed", TO ",\"data\":{\"cart_id\":4711}");
    assert_int_equal(job->fences_n, 2);
    expect_fence(job, 1, PR_FENCE_CANCEL_SUBJECT, "4711", "cart");
}

static void what_an_event_does_not_name_it_does_not_cancel(void **state) {
    (void)state;
    assert_int_equal(prepared("order.confirmed", TO ",\"data\":{\"cart_id\":null}")->fences_n, 1);
    assert_int_equal(prepared("order.confirmed", TO ",\"data\":{\"cart_id\":\"\"}")->fences_n, 1);
    assert_int_equal(prepared("order.confirmed", TO ",\"data\":{\"cart_id\":[1]}")->fences_n, 1);
    expect_aside(prepared("cart.emptied", TO), "no_rule"); /* matched by a subject that it has not */
    expect_aside(prepared("order.paid", ""), "no_rule");   /* matched by a recipient that it has not */
}

static void an_event_without_a_rule_that_cancels_passes_as_fences_only(void **state) {
    (void)state;
    const struct pr_job *job = prepared("cart.emptied", TO ",\"subject\":\"c9\"");
    assert_int_equal(job->kind, PR_JOB_FENCES);
    assert_string_equal(job->aside_kind, "refused");
    assert_string_equal(job->aside_reason, "no_rule");
    assert_int_equal(job->fences_n, 1);
    expect_fence(job, 0, PR_FENCE_CANCEL_SUBJECT, "c9", "cart");
    job = prepared("order.paid", TO);
    assert_int_equal(job->kind, PR_JOB_FENCES);
    expect_fence(job, 0, PR_FENCE_CANCEL_RECIPIENT, "", "cart");
}

static void an_event_that_cannot_be_sent_still_cancels_by_subject(void **state) {
    (void)state;
    const struct pr_job *job = prepared("order.confirmed", ",\"to\":\"x\",\"data\":{\"cart_id\":\"c9\"}");
    assert_int_equal(job->kind, PR_JOB_FENCES);
    assert_string_equal(job->aside_reason, "bad_address");
    assert_int_equal(job->fences_n, 1);
    expect_fence(job, 0, PR_FENCE_CANCEL_SUBJECT, "c9", "cart");
    assert_int_equal(job->to.n, 0);
}

static void a_superseding_rule_fences_its_subject_with_its_rank(void **state) {
    (void)state;
    const struct pr_job *job = prepared("ship.there", TO ",\"subject\":\"o1\"");
    expect_message(job);
    assert_int_equal(job->fences_n, 1);
    expect_fence(job, 0, PR_FENCE_SUPERSEDE_SUBJECT, "o1", "ship");
    assert_int_equal(job->fences[0].rank, 1);
    assert_int_equal(prepared("ship.sent", TO ",\"subject\":\"o1\"")->fences[0].rank, 0);
}

static void a_superseding_rule_without_a_subject_fences_the_recipient(void **state) {
    (void)state;
    const struct pr_job *job = prepared("ship.there", TO);
    assert_int_equal(job->fences_n, 1);
    expect_fence(job, 0, PR_FENCE_SUPERSEDE_RECIPIENT, "", "ship");
    expect_aside(prepared("ship.there", ""), "no_recipient");
}

/* ---- times ---- */

static void delay_and_age_count_from_the_events_time(void **state) {
    (void)state;
    const struct pr_job *job = prepared("cart.abandoned", TO ",\"time\":\"2026-01-15T10:00:00Z\"");
    assert_int_equal(job->event_us, NOW_US - 2 * HOUR_US);
    assert_int_equal(job->not_before_us, NOW_US - HOUR_US);
    assert_int_equal(job->expiry_us, NOW_US + 22 * HOUR_US);
}

static void without_a_time_kafkas_counts(void **state) {
    (void)state;
    const struct pr_job *job = prepared("cart.abandoned", TO);
    assert_int_equal(job->event_us, NOW_US);
    assert_int_equal(job->not_before_us, NOW_US + HOUR_US);
    assert_int_equal(job->expiry_us, NOW_US + 24 * HOUR_US);
}

static void the_later_start_and_the_earlier_end_count(void **state) {
    (void)state;
    const struct pr_job *job = prepared("cart.abandoned", TO ",\"notbefore\":\"2026-01-15T12:30:00Z\"");
    assert_int_equal(job->not_before_us, NOW_US + HOUR_US);
    assert_int_equal(job->expiry_us, NOW_US + 24 * HOUR_US);
    job = prepared("cart.abandoned",
                   TO ",\"notbefore\":\"2026-01-15T14:00:00Z\",\"expirytime\":\"2026-01-15T15:00:00Z\"");
    assert_int_equal(job->not_before_us, NOW_US + 2 * HOUR_US);
    assert_int_equal(job->expiry_us, NOW_US + 3 * HOUR_US);
}

static void a_message_ends_at_its_categorys_age_after_it_could_first_go_if_not_sooner(void **state) {
    (void)state;
    static const struct {
        const char *type, *more;
        int64_t hours;
    } cases[] = {
        {"order.confirmed", TO ",\"time\":\"2026-01-14T12:00:00Z\"", 48},
        {"order.confirmed", TO ",\"notbefore\":\"2026-01-15T14:00:00Z\"", 74},
        {"order.confirmed", TO ",\"expirytime\":\"2026-01-18T13:00:00Z\"", 72},
        {"tip", TO, 97}, /* marketing, an hour later by the rule's delay */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(prepared(cases[i].type, cases[i].more)->expiry_us, NOW_US + cases[i].hours * HOUR_US);
    }
}

/* ---- what comes back ---- */

static struct pr_job *returned(const char *type, const char *more) {
    struct pr_job *job = fetched(type, more);
    job->gen = 2;
    memset(job->identity.id.b, 0xab, sizeof(job->identity.id.b));
    job->identity.day = job->identity.day_other = 20000;
    assert_true(pr_prepare(&lane, job));
    return job;
}

static void expect_refused(const struct pr_job *job, const char *reason) {
    assert_int_equal(job->kind, PR_JOB_MESSAGE);
    assert_non_null(job->refusal);
    assert_string_equal(job->refusal, reason);
}

static void a_job_that_came_back_is_refused_and_never_set_aside(void **state) {
    (void)state;
    expect_refused(returned("nobody.asks", TO), "no_rule");
    expect_refused(returned("cart.emptied", TO ",\"subject\":\"c9\""), "no_rule");
    expect_refused(returned("promo", ""), "no_recipient");
    expect_refused(returned("promo", ",\"to\":\"x\""), "bad_address");
    expect_refused(returned("gone", TO), "no_template");
}

static void a_job_with_a_row_is_refused_and_never_set_aside(void **state) {
    struct pr_job *job = fetched("nobody.asks", TO);
    (void)state;
    job->has_row = true;
    assert_true(pr_prepare(&lane, job));
    expect_refused(job, "no_rule");
}

static void a_job_that_came_back_keeps_its_identity_whatever_its_age(void **state) {
    (void)state;
    const struct pr_job *job = returned("order.confirmed", TO ",\"time\":\"2020-01-15T12:00:00Z\"");
    expect_message(job);
    assert_int_equal(job->identity.id.b[0], 0xab);
    assert_int_equal(job->identity.day, 20000);
}

static void a_paused_template_is_waited_for_by_what_came_back(void **state) {
    (void)state;
    const struct pr_job *job = returned("promo", TO);
    expect_message(job);
    assert_int_equal(job->hold_us, NOW_US + HOUR_US);
    assert_string_equal(job->hold_reason, "template_paused");
}

static void the_same_event_is_the_same_message_and_another_rule_makes_another(void **state) {
    (void)state;
    struct pr_uuid id = prepared("order.confirmed", TO)->identity.id;
    assert_memory_equal(prepared("order.confirmed", TO)->identity.id.b, id.b, sizeof(id.b));
    assert_memory_equal(prepared("order.confirmed", ",\"to\":\"+5511999990009\"")->identity.id.b, id.b, sizeof(id.b));
    assert_memory_not_equal(prepared("ship.sent", TO)->identity.id.b, id.b, sizeof(id.b));
    assert_memory_not_equal(prepared("order.confirmed", TO ",\"tenant\":\"bakery\"")->identity.id.b, id.b, sizeof(id.b));
}

/* At the gate a job is known by its id: a rule renamed meanwhile must not leave the old id taken. */
static void a_job_at_the_gate_keeps_its_identity(void **state) {
    PGresult *rows = shop_rows();
    struct pr_job *job = prepared("order.confirmed", TO);
    struct pr_uuid id = job->identity.id;
    (void)state;
    put_rule(rows, 1, 0, "{\"name\": \"renamed\", \"on\": \"order.confirmed\", \"template\": \"order\"}");
    lane_read(rows);
    job->is_entered = true;
    assert_true(pr_prepare(&lane, job));
    job->is_entered = false;
    expect_message(job);
    assert_true(pr_span_is(job->rule->name, "renamed"));
    assert_memory_equal(job->identity.id.b, id.b, sizeof(id.b));
    assert_true(pr_prepare(&lane, job));
    assert_memory_not_equal(job->identity.id.b, id.b, sizeof(id.b));
}

static void what_came_back_belongs_to_the_business_of_its_row(void **state) {
    struct pr_job *job = fetched("nobody.asks", TO);
    (void)state;
    job->gen = 1;
    job->book = pr_book_ref(lane.book);
    job->tenant = pr_book_tenant_of(lane.book, 2);
    assert_true(pr_prepare(&lane, job)); /* whatever the option says today */
    assert_int_equal(job->tenant->id, 2);
}

static void what_came_back_is_never_ignored(void **state) {
    static const char *const types[] = {"order.confirmed"};
    (void)state;
    options.intake.ignore = (struct pr_conf_list){.v = types, .n = 1};
    expect_message(returned("order.confirmed", TO));
}

/* ---- again ---- */

static void preparing_again_leaves_nothing_of_the_first_time(void **state) {
    struct pr_job *job = prepared("order.confirmed", TO ",\"data\":{\"cart_id\":\"c9\"}");
    (void)state;
    (void)pr_breakers_stop(&process.senders, 11, lane.now_ns, lane.now_ns, minute_ns);
    (void)pr_breakers_stop(&process.senders, 12, lane.now_ns, lane.now_ns, minute_ns);
    assert_true(pr_prepare(&lane, job));
    assert_int_equal(job->fences_n, 2);
    assert_true(job->hold_us != PR_TIME_NONE);
    (void)pr_breakers_clear(&process.senders, 11, lane.now_ns);
    (void)pr_breakers_clear(&process.senders, 12, lane.now_ns);
    assert_true(pr_prepare(&lane, job));
    assert_int_equal(job->hold_us, PR_TIME_NONE);
    expect_message(job);
}

/* The old book may be freed as soon as the new one is taken: whatever still pointed into it would be read after that. */
static void after_a_new_book_nothing_points_into_the_old_one(void **state) {
    struct pr_job *job = prepared("order.confirmed", TO);
    (void)state;
    assert_non_null(job->sender);
    job->has_row = true;
    lane_read(shop_rows()); /* without rules */
    assert_true(pr_prepare(&lane, job));
    assert_ptr_equal(job->book, lane.book);
    expect_refused(job, "no_rule");
    assert_ptr_equal(job->tenant, &lane.book->tenants[0]);
    assert_null(job->rule);
    assert_null(job->sender);
    assert_null(job->choice.tpl);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_event_that_a_rule_takes_is_a_message),
        TEST(the_locale_of_the_record_chooses_the_template),
        TEST(the_recipient_may_stand_where_the_rule_says),
        TEST(a_type_that_no_rule_takes_is_set_aside),
        TEST(without_a_recipient_or_with_a_bad_one_it_is_set_aside),
        TEST(an_ignored_type_is_set_aside_before_anything_else),
        TEST(a_wild_time_is_set_aside_and_moves_no_fence),
        TEST(a_template_that_cannot_go_is_a_refusal_of_a_new_message),
        TEST(only_to_lets_nobody_else_be_written_to),
        TEST(a_record_may_name_its_business_and_the_option_names_it_for_the_rest),
        TEST(a_business_nobody_knows_is_a_refusal),
        TEST(without_a_name_a_lone_business_is_meant_and_of_two_none),
        TEST(consent_and_contact_events_are_control),
        TEST(an_event_cancels_by_recipient_and_by_what_its_data_names),
        TEST(a_number_in_the_data_names_a_subject_as_its_text),
        TEST(what_an_event_does_not_name_it_does_not_cancel),
        TEST(an_event_without_a_rule_that_cancels_passes_as_fences_only),
        TEST(an_event_that_cannot_be_sent_still_cancels_by_subject),
        TEST(a_superseding_rule_fences_its_subject_with_its_rank),
        TEST(a_superseding_rule_without_a_subject_fences_the_recipient),
        TEST(delay_and_age_count_from_the_events_time),
        TEST(without_a_time_kafkas_counts),
        TEST(the_later_start_and_the_earlier_end_count),
        TEST(a_message_ends_at_its_categorys_age_after_it_could_first_go_if_not_sooner),
        TEST(a_job_that_came_back_is_refused_and_never_set_aside),
        TEST(a_job_with_a_row_is_refused_and_never_set_aside),
        TEST(a_job_that_came_back_keeps_its_identity_whatever_its_age),
        TEST(a_paused_template_is_waited_for_by_what_came_back),
        TEST(the_same_event_is_the_same_message_and_another_rule_makes_another),
        TEST(a_job_at_the_gate_keeps_its_identity),
        TEST(what_came_back_belongs_to_the_business_of_its_row),
        TEST(what_came_back_is_never_ignored),
        TEST(preparing_again_leaves_nothing_of_the_first_time),
        TEST(after_a_new_book_nothing_points_into_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
