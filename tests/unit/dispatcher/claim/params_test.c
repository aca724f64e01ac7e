/* Tests of a batch as parameters: one entry a job in each array, in the order that claim_v1 declares, fences one after another. */
#include "claim/private.h"

#include "base/clock.h"
#include "unit/dispatcher/lane_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Places of claim_v1's parameters, as in schema/functions/claim.sql. */
enum {
    P_TENANT,
    P_DAY,
    P_OTHER,
    P_POOL,
    P_OWNER,
    P_EPOCH,
    P_ID,
    P_GEN,
    P_CLAIM_NO,
    P_ADDRESS,
    P_CATEGORY,
    P_RULE,
    P_TYPE,
    P_SUBJECT,
    P_RANK,
    P_EVENT_AT,
    P_NOT_BEFORE,
    P_EXPIRY,
    P_SENDER,
    P_REFUSAL,
    P_HOLD,
    P_HOLD_REASON,
    P_TOPIC,
    P_PART,
    P_OFF,
    P_FENCE_KIND,
    P_FENCE_ADDRESS,
    P_FENCE_KEY,
    P_FENCE_GRP,
    P_FENCE_AT,
    P_FENCE_RANK,
    P_FENCE_ID,
    P_BACK_CONTACT,
    P_BACK_ID,
    PARAMS
};

static const Oid types[PARAMS] = {
    PR_OID_INT4,
    PR_OID_DATE,
    PR_OID_DATE,
    PR_OID_INT4,
    PR_OID_INT4,
    PR_OID_INT4,
    PR_OID_UUID_ARRAY,
    PR_OID_INT4_ARRAY,
    PR_OID_INT8_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_INT2_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_INT4_ARRAY,
    PR_OID_TIMESTAMPTZ_ARRAY,
    PR_OID_TIMESTAMPTZ_ARRAY,
    PR_OID_TIMESTAMPTZ_ARRAY,
    PR_OID_INT4_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_TIMESTAMPTZ_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_INT2_ARRAY,
    PR_OID_INT4_ARRAY,
    PR_OID_INT8_ARRAY,
    PR_OID_INT2_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_TEXT_ARRAY,
    PR_OID_TIMESTAMPTZ_ARRAY,
    PR_OID_INT4_ARRAY,
    PR_OID_UUID_ARRAY,
    PR_OID_INT8_ARRAY,
    PR_OID_UUID_ARRAY,
};

enum { JOBS = 3 };

static struct pr_claimer claimer;
static struct pr_batch *batch;
static struct pr_params_view view;
static struct pr_job job[JOBS];
static struct pr_fence fences[3];
static const struct pr_tenant tenant = {.id = 4};
static const struct pr_sender sender = {.id = 11, .pool = 6};
static const struct pr_rule order = {.name = {"order", 5}}, ship = {.name = {"ship", 4}, .is_superseding = true};

/* The first has all there is, the second almost nothing, the third what the others have not. */
static void fill_jobs(void) {
    memset(job, 0, sizeof(job));
    for (int i = 0; i < JOBS; i++) {
        memset(job[i].identity.id.b, 0x10 + i, sizeof(job[i].identity.id.b));
        job[i].tenant = &tenant;
        job[i].record.type = PR_SPAN("t");
        job[i].event_us = job[i].not_before_us = job[i].expiry_us = job[i].hold_us = PR_TIME_NONE;
        job[i].rank = -1;
    }
    job[0].gen = 2;
    job[0].claim_no = INT64_C(0x100000001);
    job[0].to.n = (uint8_t)snprintf(job[0].to.text, sizeof(job[0].to.text), "+5511999990000");
    job[0].category = PR_CATEGORY_MARKETING;
    job[0].rule = &ship;
    job[0].rank = 3;
    job[0].record.type = PR_SPAN("ship.sent");
    job[0].record.subject = PR_SPAN("o1");
    job[0].sender = &sender;
    job[0].event_us = NOW_US;
    job[0].not_before_us = NOW_US + 1;
    job[0].expiry_us = NOW_US + 2;
    job[0].hold_us = NOW_US + 3;
    job[0].hold_reason = "sender_busy";
    job[0].origin = (struct pr_origin){.topic = 7, .part = 8, .off = INT64_C(0x900000009)};
    job[2].rule = &order; /* supersedes nothing: its rank means nothing to the claim */
    job[2].rank = 1;
    job[2].refusal = "no_template";
    job[2].hold_reason = "left from before";
    fences[0] = (struct pr_fence){.kind = PR_FENCE_CANCEL_RECIPIENT, .group = PR_SPAN("cart")};
    fences[1] = (struct pr_fence){
        .kind = PR_FENCE_SUPERSEDE_SUBJECT, .subject = PR_SPAN("o1"), .group = PR_SPAN("ship"), .rank = 3};
    fences[2] = (struct pr_fence){.kind = PR_FENCE_CANCEL_SUBJECT, .subject = PR_SPAN("c9"), .group = PR_SPAN("cart")};
    job[0].fences = fences;
    job[0].fences_n = 2;
    job[2].fences = &fences[2];
    job[2].fences_n = 1;
}

static int set_up(void **state) {
    (void)state;
    lane_open();
    memset(&claimer, 0, sizeof(claimer));
    lane.claimer = &claimer;
    fill_jobs();
    pr_params_init(&claimer.params, 1024 * 1024);
    batch = calloc(1, sizeof(*batch) + JOBS * sizeof(struct pr_job *));
    if (!batch) {
        return -1;
    }
    batch->lane = &lane;
    batch->tenant = 4;
    batch->day = 20468;
    batch->day_other = 20469;
    batch->pool = 6;
    batch->epoch = 9;
    for (batch->n = 0; batch->n < JOBS; batch->n++) {
        batch->job[batch->n] = &job[batch->n];
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pr_params_free(&claimer.params);
    free(claimer.backs);
    free(batch->backs);
    free(batch);
    lane_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void make(void) {
    assert_true(pr_batch_params(batch, &claimer.params));
    assert_true(pr_params_finish(&claimer.params, &view));
    assert_int_equal(view.n, PARAMS);
}

/* ---- reading PostgreSQL's binary arrays: dimensions, has-null, element type, count, first index, then length and bytes each ---- */

static int32_t int4_at(const char *p) {
    uint32_t be;
    memcpy(&be, p, sizeof(be));
    return (int32_t)be32toh(be);
}

static int32_t count_in(int param) {
    const char *p = view.values[param];
    int32_t dimensions = int4_at(p);
    assert_in_range(dimensions, 0, 1);
    return dimensions == 0 ? 0 : int4_at(p + 12);
}

/* Element `i` from 0; a span with p NULL for NULL. The array is walked to its end, which must be that of the parameter. */
static struct pr_span item(int param, int32_t i) {
    const char *p = view.values[param] + 20;
    struct pr_span found = {NULL, 0};
    assert_true(i < count_in(param));
    for (int32_t k = 0; k < count_in(param); k++) {
        int32_t n = int4_at(p);
        p += 4;
        if (k == i && n >= 0) {
            found = pr_span_make(p, (size_t)n);
        }
        p += n > 0 ? n : 0;
    }
    assert_ptr_equal(p, view.values[param] + view.lengths[param]);
    return found;
}

static int64_t number(int param, int32_t i) {
    struct pr_span bytes = item(param, i);
    int64_t v = 0;
    assert_non_null(bytes.p);
    for (size_t k = 0; k < bytes.n; k++) {
        v = (int64_t)((uint64_t)v << 8 | (uint8_t)bytes.p[k]);
    }
    return bytes.n == 2 ? (int16_t)v : bytes.n == 4 ? (int32_t)v : v;
}

static int64_t time_us(int param, int32_t i) {
    return number(param, i) + INT64_C(946684800000000);
}

static bool is_null(int param, int32_t i) {
    return item(param, i).p == NULL;
}

static bool is_text(int param, int32_t i, const char *text) {
    return !is_null(param, i) && pr_span_is(item(param, i), text);
}

static bool is_id(int param, int32_t i, char byte) {
    char id[16];
    memset(id, byte, sizeof(id));
    return pr_span_eq(item(param, i), pr_span_make(id, sizeof(id)));
}

/* ---- tests ---- */

static void the_parameters_have_the_types_that_the_function_declares(void **state) {
    (void)state;
    make();
    for (int i = 0; i < PARAMS; i++) {
        assert_int_equal(view.types[i], types[i]);
        assert_int_equal(view.formats[i], 1);
    }
}

static void the_scalars_are_those_of_the_batch_and_the_lease(void **state) {
    (void)state;
    make();
    assert_int_equal(int4_at(view.values[P_TENANT]), 4);
    assert_int_equal(int4_at(view.values[P_DAY]), 20468 - 10957); /* PostgreSQL counts from 2000 */
    assert_int_equal(int4_at(view.values[P_OTHER]), 20469 - 10957);
    assert_int_equal(int4_at(view.values[P_POOL]), 6);
    assert_int_equal(int4_at(view.values[P_OWNER]), 3);
    assert_int_equal(int4_at(view.values[P_EPOCH]), 9);
    atomic_store(&process.epoch, 10); /* a repeat under a new lease may not pass for the old claim */
    make();
    assert_int_equal(int4_at(view.values[P_EPOCH]), 9);
}

static void every_array_has_one_entry_a_job(void **state) {
    (void)state;
    make();
    for (int i = P_ID; i <= P_OFF; i++) {
        assert_int_equal(count_in(i), JOBS);
    }
}

static void the_first_job_stands_first_in_each_array(void **state) {
    (void)state;
    make();
    assert_true(is_id(P_ID, 0, 0x10));
    assert_int_equal(number(P_GEN, 0), 2);
    assert_int_equal(number(P_CLAIM_NO, 0), INT64_C(0x100000001));
    assert_true(is_text(P_ADDRESS, 0, "+5511999990000"));
    assert_int_equal(number(P_CATEGORY, 0), PR_CATEGORY_MARKETING);
    assert_true(is_text(P_RULE, 0, "ship"));
    assert_true(is_text(P_TYPE, 0, "ship.sent"));
    assert_true(is_text(P_SUBJECT, 0, "o1"));
    assert_int_equal(number(P_RANK, 0), 3);
    assert_int_equal(time_us(P_EVENT_AT, 0), NOW_US);
    assert_int_equal(time_us(P_NOT_BEFORE, 0), NOW_US + 1);
    assert_int_equal(time_us(P_EXPIRY, 0), NOW_US + 2);
    assert_int_equal(number(P_SENDER, 0), 11);
    assert_true(is_null(P_REFUSAL, 0));
    assert_int_equal(time_us(P_HOLD, 0), NOW_US + 3);
    assert_true(is_text(P_HOLD_REASON, 0, "sender_busy"));
    assert_int_equal(number(P_TOPIC, 0), 7);
    assert_int_equal(number(P_PART, 0), 8);
    assert_int_equal(number(P_OFF, 0), INT64_C(0x900000009));
}

static void what_a_job_has_not_is_null_or_the_functions_word_for_none(void **state) {
    (void)state;
    make();
    static const int nulls[] = {P_SUBJECT, P_EVENT_AT, P_NOT_BEFORE, P_EXPIRY, P_REFUSAL, P_HOLD, P_HOLD_REASON};
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++) {
        if (!is_null(nulls[i], 1)) {
            fail_msg("parameter %d", nulls[i] + 1);
        }
    }
    assert_true(is_text(P_ADDRESS, 1, ""));
    assert_true(is_text(P_RULE, 1, ""));
    assert_int_equal(number(P_RANK, 1), -1);
    assert_int_equal(number(P_SENDER, 1), 0);
    assert_int_equal(number(P_GEN, 1), 0);
}

static void a_rank_counts_only_where_the_rule_supersedes(void **state) {
    (void)state;
    make();
    assert_true(is_text(P_RULE, 2, "order"));
    assert_int_equal(number(P_RANK, 2), -1);
}

static void a_reason_to_hold_goes_only_with_its_time(void **state) {
    (void)state;
    make();
    assert_true(is_null(P_HOLD, 2));
    assert_true(is_null(P_HOLD_REASON, 2));
    assert_true(is_text(P_REFUSAL, 2, "no_template"));
}

static void the_fences_of_all_jobs_stand_one_after_another(void **state) {
    (void)state;
    make();
    for (int i = P_FENCE_KIND; i <= P_FENCE_ID; i++) {
        assert_int_equal(count_in(i), 3);
    }
    static const enum pr_fence_kind kinds[] = {PR_FENCE_CANCEL_RECIPIENT, PR_FENCE_SUPERSEDE_SUBJECT,
                                               PR_FENCE_CANCEL_SUBJECT};
    static const char *const groups[] = {"cart", "ship", "cart"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(number(P_FENCE_KIND, i), kinds[i]);
        assert_true(is_text(P_FENCE_GRP, i, groups[i]));
        assert_true(is_id(P_FENCE_ID, i, i < 2 ? 0x10 : 0x12));
    }
    assert_true(is_text(P_FENCE_ADDRESS, 0, "+5511999990000"));
    assert_true(is_text(P_FENCE_ADDRESS, 1, "+5511999990000"));
    assert_true(is_null(P_FENCE_ADDRESS, 2)); /* its job has no recipient */
    assert_true(is_null(P_FENCE_KEY, 0));
    assert_true(is_text(P_FENCE_KEY, 1, "o1"));
    assert_true(is_text(P_FENCE_KEY, 2, "c9"));
    assert_int_equal(time_us(P_FENCE_AT, 0), NOW_US);
    assert_int_equal(time_us(P_FENCE_AT, 1), NOW_US);
    assert_true(is_null(P_FENCE_AT, 2));
    assert_int_equal(number(P_FENCE_RANK, 0), 0);
    assert_int_equal(number(P_FENCE_RANK, 1), 3);
}

static void fence_only_jobs_bring_their_fences_and_no_job(void **state) {
    (void)state;
    for (int i = 0; i < JOBS; i++) {
        job[i].kind = PR_JOB_FENCES;
    }
    make();
    for (int i = P_ID; i <= P_OFF; i++) {
        assert_int_equal(count_in(i), 0);
    }
    for (int i = P_FENCE_KIND; i <= P_FENCE_ID; i++) {
        assert_int_equal(count_in(i), 3);
    }
    assert_int_equal(batch->n, JOBS); /* they are still the batch's, to be settled with its answer */
}

static void make_room_for_backs(size_t n) {
    claimer.backs_room = n;
    claimer.backs = calloc(n, sizeof(*claimer.backs));
    assert_non_null(claimer.backs);
}

static void put_back(int32_t tenant_id, int32_t pool, int64_t contact) {
    claimer.backs[claimer.backs_n] = (struct pr_back){.tenant = tenant_id, .pool = pool, .contact = contact};
    memset(claimer.backs[claimer.backs_n++].id.b, (int)contact, 16);
}

static void the_batch_takes_along_the_slots_of_its_own_pool(void **state) {
    (void)state;
    make_room_for_backs(8);
    put_back(4, 6, 31);
    put_back(4, 5, 32);
    put_back(3, 6, 33);
    put_back(4, 6, 34);
    put_back(4, 7, 35);
    make();
    assert_int_equal(count_in(P_BACK_CONTACT), 2);
    assert_int_equal(count_in(P_BACK_ID), 2);
    assert_int_equal(number(P_BACK_CONTACT, 0), 31);
    assert_int_equal(number(P_BACK_CONTACT, 1), 34);
    assert_true(is_id(P_BACK_ID, 0, 31));
    assert_true(is_id(P_BACK_ID, 1, 34));
    assert_int_equal(claimer.backs_n, 3);
    assert_int_equal(claimer.backs[0].contact, 32);
    assert_int_equal(claimer.backs[1].contact, 33);
    assert_int_equal(claimer.backs[2].contact, 35);
    assert_int_equal(batch->backs_n, 2);
}

static void the_slots_of_a_statement_that_failed_go_with_another(void **state) {
    (void)state;
    make_room_for_backs(2);
    put_back(4, 6, 31);
    put_back(4, 5, 32);
    make();
    assert_int_equal(claimer.backs_n, 1);
    put_back(4, 6, 33);
    pr_batch_return_backs(batch); /* beyond the room that there was */
    assert_int_equal(claimer.backs_n, 3);
    assert_null(batch->backs);
    make();
    assert_int_equal(count_in(P_BACK_CONTACT), 2);
    assert_int_equal(number(P_BACK_CONTACT, 0), 33);
    assert_int_equal(number(P_BACK_CONTACT, 1), 31);
    batch->backs_n = 0; /* committed */
    pr_batch_return_backs(batch);
    assert_int_equal(claimer.backs_n, 1);
}

static void a_batch_that_does_not_fit_says_so(void **state) {
    (void)state;
    pr_params_free(&claimer.params);
    pr_params_init(&claimer.params, 256);
    assert_false(pr_batch_params(batch, &claimer.params));
    assert_int_equal(batch->n, JOBS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_parameters_have_the_types_that_the_function_declares),
        TEST(the_scalars_are_those_of_the_batch_and_the_lease),
        TEST(every_array_has_one_entry_a_job),
        TEST(the_first_job_stands_first_in_each_array),
        TEST(what_a_job_has_not_is_null_or_the_functions_word_for_none),
        TEST(a_rank_counts_only_where_the_rule_supersedes),
        TEST(a_reason_to_hold_goes_only_with_its_time),
        TEST(the_fences_of_all_jobs_stand_one_after_another),
        TEST(fence_only_jobs_bring_their_fences_and_no_job),
        TEST(the_batch_takes_along_the_slots_of_its_own_pool),
        TEST(the_slots_of_a_statement_that_failed_go_with_another),
        TEST(a_batch_that_does_not_fit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
