/* A shop with rules, senders and templates, and jobs prepared for it. */
#ifndef PR_TESTS_PREPARE_FIXTURE_H
#define PR_TESTS_PREPARE_FIXTURE_H

#include "intake/prepare.h"
#include "unit/dispatcher/lane_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t minute_ns = INT64_C(60) * 1000000000;

static inline void put_rules(PGresult *rows) {
    put_rule(rows, 1, 0, "{\"name\": \"order\", \"on\": \"order.confirmed\", \"template\": \"order\"}");
    put_rule(
        rows, 1, 1,
        "{\"name\": \"cart\", \"on\": \"cart.abandoned\", \"template\": \"cart\", \"delay\": \"1h\", \"max_age\": "
        "\"24h\", \"to\": \"data.customer.phone\", \"cancel_on\": [{\"type\": \"order.*\"}, {\"type\": "
        "\"cart.emptied\", \"match\": \"subject\"}, {\"type\": \"order.confirmed\", \"match\": \"data.cart_id\"}]}");
    put_rule(
        rows, 1, 2,
        "{\"name\": \"ship\", \"on\": {\"ship.sent\": \"order\", \"ship.there\": \"order\"}, \"supersede\": true}");
    put_rule(rows, 1, 3, "{\"name\": \"promo\", \"on\": \"promo\", \"template\": \"promo\"}");
    put_rule(rows, 1, 4, "{\"name\": \"gone\", \"on\": \"gone\", \"template\": \"gone\"}");
    put_rule(rows, 1, 6, "{\"name\": \"tip\", \"on\": \"tip\", \"template\": \"cart\", \"delay\": \"1h\"}");
    put_rule(rows, 1, 5, "{\"name\": \"pin\", \"on\": \"pin\", \"template\": \"order\", \"senders\": [\"unheard\"]}");
}

static inline PGresult *shop_rows(void) {
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", "pt_BR");
    put_tenant(rows, 2, "bakery", "es");
    put_sender(rows, 1, 11, 5, "main");
    put_sender(rows, 1, 12, 6, "second");
    put_template(rows, 1, 21, "order", "pt_BR", "UTILITY", "APPROVED");
    put_template(rows, 1, 22, "order", "en", "UTILITY", "APPROVED");
    put_template(rows, 1, 23, "cart", "pt_BR", "MARKETING", "APPROVED");
    put_template(rows, 1, 24, "promo", "pt_BR", "MARKETING", "PAUSED");
    return rows;
}

static inline int set_up(void **state) {
    PGresult *rows = shop_rows();
    (void)state;
    lane_open();
    put_rules(rows);
    lane_read(rows);
    options.dispatch.tenant = "shop";
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    lane_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A job of a record with these attributes behind the required ones; not prepared yet. */
static inline struct pr_job *fetched(const char *type, const char *more) {
    char json[2048];
    struct pr_record_fault fault;
    struct pr_job *job = pr_job_new(&lane.jobs);
    assert_non_null(job);
    int n = snprintf(json, sizeof(json),
                     "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/shop\",\"type\":\"%s\"%s}", type, more);
    const struct pr_record_input in = {.value = pr_span_make(json, (size_t)n)};
    if (pr_record_decode(&in, &job->arena, &job->record, &fault) != PR_RECORD_OK) {
        fail_msg("%s: %s in %s", fault.field, fault.text, json);
    }
    job->origin = (struct pr_origin){.topic = 1, .part = 2, .off = 3, .kafka_us = NOW_US};
    job->since_us = PR_TIME_NONE;
    return job;
}

static inline struct pr_job *prepared(const char *type, const char *more) {
    struct pr_job *job = fetched(type, more);
    assert_true(pr_prepare(&lane, job));
    assert_ptr_equal(job->book, lane.book);
    return job;
}

#define TO ",\"to\":\"+5511999990000\""

static inline void expect_aside(const struct pr_job *job, const char *reason) {
    assert_int_equal(job->kind, PR_JOB_ASIDE);
    assert_string_equal(job->aside_kind, "refused");
    assert_string_equal(job->aside_reason, reason);
    assert_int_equal(job->fences_n, 0);
}

static inline void expect_message(const struct pr_job *job) {
    assert_int_equal(job->kind, PR_JOB_MESSAGE);
    if (job->refusal) {
        fail_msg("refused: %s", job->refusal);
    }
}

#endif
