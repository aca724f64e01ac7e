/* Tests message ids, the day they fall on, and the callback data that receipts bring back. */
#include "core/identity.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const int64_t hour = INT64_C(3600) * 1000000, day = INT64_C(86400) * 1000000;

static struct pr_identity make(const char *tenant, const char *source, const char *id, const char *rule, uint32_t step) {
    struct pr_identity identity;
    pr_identity_make(pr_span_of(tenant), pr_span_of(source), pr_span_of(id), pr_span_of(rule), step,
                     20000 * day + 12 * hour, PR_TIME_NONE, &identity);
    return identity;
}

static bool same_id(const struct pr_identity *a, const struct pr_identity *b) {
    return memcmp(a->id.b, b->id.b, sizeof(a->id.b)) == 0;
}

static void the_id_of_a_known_message_never_changes(void **state) {
    (void)state;
    char text[PR_UUID_TEXT];
    const struct pr_identity identity = make("aurora", "/shop/orders", "order-1001-confirmed", "order-confirmed", 0);
    pr_uuid_format(&identity.id, text);
    /*
     * From python: sha256 over four fields, each behind its length as 4 bytes big-endian, then the step as 4 bytes;
     * version and variant set.
     */
    assert_string_equal(text, "858383dc-6869-85ca-9d03-41d0fb9e23bf");
}

static void each_part_of_the_identity_counts(void **state) {
    (void)state;
    const struct pr_identity base = make("t", "s", "i", "r", 0), again = make("t", "s", "i", "r", 0);
    const struct pr_identity others[] = {make("T", "s", "i", "r", 0), make("t", "S", "i", "r", 0),
                                         make("t", "s", "I", "r", 0), make("t", "s", "i", "R", 0),
                                         make("t", "s", "i", "r", 1)};
    assert_true(same_id(&base, &again));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(same_id(&base, &others[i]));
    }
}

static void a_byte_cannot_move_from_one_part_to_the_next(void **state) {
    (void)state;
    const struct pr_identity a = make("ab", "c", "i", "r", 0), b = make("a", "bc", "i", "r", 0),
                             c = make("", "abc", "i", "r", 0);
    assert_false(same_id(&a, &b));
    assert_false(same_id(&a, &c));
    assert_false(same_id(&b, &c));
}

static void every_id_is_a_uuid_of_version_8(void **state) {
    (void)state;
    static const char *const ids[] = {"1", "01918b7e-5d3a-7abc-8def-0123456789ab", "01J5JQWQ9T0000000000000000", "x y"};
    for (uint32_t step = 0; step < 100; step++) {
        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
            const struct pr_identity identity = make("t", "s", ids[i], "r", step);
            assert_int_equal(identity.id.b[6] >> 4, 8);
            assert_int_equal(identity.id.b[8] >> 6, 2);
        }
    }
}

static void check_leading_time(const char *id, int64_t ms) {
    const struct pr_identity identity = make("t", "s", id, "r", 0);
    int64_t lead = 0;
    for (size_t i = 0; i < 6; i++) {
        lead = lead << 8 | identity.id.b[i];
    }
    assert_int_equal(identity.from, PR_DAY_FROM_ID);
    assert_true(lead == ms);
    assert_true(identity.us == ms * 1000);
    assert_int_equal(identity.day, ms / 86400000);
    assert_int_equal(identity.day_other, identity.day);
}

static void the_time_of_a_uuid7_leads(void **state) {
    (void)state;
    check_leading_time("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 0x017f22e279b0); /* RFC 9562, appendix A.6 */
    check_leading_time("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", 0x017f22e279b0);
    check_leading_time("ffffffff-ffff-7fff-bfff-ffffffffffff", 0xffffffffffff);
    check_leading_time("00000000-0000-7000-8000-000000000000", 0);
}

static void the_time_of_a_ulid_leads(void **state) {
    (void)state;
    check_leading_time("01ARYZ6S41TSV4RRFFQ69G5FAV", 1469918176385); /* the example of github.com/ulid/spec */
    check_leading_time("01aryz6s41tsv4rrffq69g5fav", 1469918176385);
    check_leading_time("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 0xffffffffffff);
}

static void other_ids_have_no_time_of_their_own(void **state) {
    (void)state;
    static const char *const ids[] = {
        "order-1001",
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",  /* version 4 */
        "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",  /* another variant */
        "017f22e279b07cc398c4dc0c0c07398f",      /* no dashes */
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",   /* short */
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", /* long */
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",  /* no hex */
        "017f22e2x79b0-7cc3-98c4-dc0c0c07398f",  /* no dash */
        "81ARYZ6S41TSV4RRFFQ69G5FAV",            /* over 128 bits */
        "01ARYZ6S41TSV4RRFFQ69G5FAU",            /* U */
        "01ARYZ6S41TSV4RRFFQ69G5FAI",            /* I */
        "01ARYZ6S41TSV4RRFFQ69G5FA",             /* short */
        "01ARYZ6S41TSV4RRFFQ69G5FAVX",           /* long */
    };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct pr_identity identity = make("t", "s", ids[i], "r", 0);
        assert_int_equal(identity.from, PR_DAY_FROM_TIME);
        assert_int_equal(identity.day, 20000);
    }
}

static struct pr_identity at(int64_t time_us, int64_t kafka_us) {
    struct pr_identity identity;
    pr_identity_make(PR_SPAN("t"), PR_SPAN("s"), PR_SPAN("i"), PR_SPAN("r"), 0, time_us, kafka_us, &identity);
    return identity;
}

static void kafkas_clock_is_the_last_resort(void **state) {
    (void)state;
    const struct pr_identity own = at(5 * day + 12 * hour, 9 * day), kafka = at(PR_TIME_NONE, 9 * day + 12 * hour);
    assert_int_equal(own.from, PR_DAY_FROM_TIME);
    assert_int_equal(own.day, 5);
    assert_int_equal(kafka.from, PR_DAY_FROM_KAFKA);
    assert_int_equal(kafka.day, 9);
    assert_true(kafka.us == 9 * day + 12 * hour);
    assert_true(same_id(&own, &kafka));
}

static void check_days(int64_t us, int32_t want, int32_t other) {
    const struct pr_identity identity = at(us, PR_TIME_NONE);
    assert_int_equal(identity.day, want);
    assert_int_equal(identity.day_other, other);
}

static void less_than_an_hour_from_midnight_is_also_the_other_day(void **state) {
    (void)state;
    check_days(100 * day, 100, 99);
    check_days(100 * day + hour - 1, 100, 99);
    check_days(100 * day + hour, 100, 100);
    check_days(100 * day + 23 * hour, 100, 100);
    check_days(100 * day + 23 * hour + 1, 100, 101);
    check_days(101 * day - 1, 100, 101);
    check_days(-1, -1, 0);
    check_days(-12 * hour, -1, -1);
}

static bool time_ok(int64_t us, int64_t now, int retention) {
    const struct pr_identity identity = at(us, PR_TIME_NONE);
    return pr_identity_time_ok(&identity, now, retention);
}

static void a_time_over_an_hour_ahead_is_bad(void **state) {
    (void)state;
    const int64_t now = 20000 * day + 12 * hour;
    assert_true(time_ok(now, now, 30));
    assert_true(time_ok(now + hour, now, 30));
    assert_false(time_ok(now + hour + 1, now, 30));
}

static void a_time_behind_the_retention_is_bad(void **state) {
    (void)state;
    const int64_t now = 20000 * day + 12 * hour;
    assert_true(time_ok(now - 30 * day, now, 30));
    assert_false(time_ok(now - 30 * day - 1, now, 30));
    assert_false(time_ok(PR_TIME_NONE, now, 30));
    assert_false(time_ok(INT64_MAX, now, 30));
}

static void a_day_whose_partition_may_be_gone_is_bad(void **state) {
    (void)state;
    const int64_t now = 20000 * day + 10 * 60000000; /* ten past midnight */
    assert_false(time_ok(19970 * day + 20 * 60000000, now, 30));
    assert_true(time_ok(19970 * day + hour, now, 30));
    assert_true(time_ok(19971 * day, now, 30));
}

static void a_uuid_survives_text_and_back(void **state) {
    (void)state;
    struct pr_uuid uuid;
    char text[PR_UUID_TEXT];
    assert_true(pr_uuid_parse(PR_SPAN("00112233-4455-6677-8899-AABBCCddeeff"), &uuid));
    assert_int_equal(uuid.b[0], 0x00);
    assert_int_equal(uuid.b[15], 0xff);
    pr_uuid_format(&uuid, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_false(pr_uuid_parse(PR_SPAN("00112233-4455-6677-8899-aabbccddeef"), &uuid));
    assert_false(pr_uuid_parse(PR_SPAN("001122334-455-6677-8899-aabbccddeeff"), &uuid));
    assert_false(pr_uuid_parse((struct pr_span){NULL, 0}, &uuid));
}

static struct pr_callback sample(void) {
    struct pr_callback callback = {.tenant = 7, .day = 20777, .attempt = 1, .partition = 65535};
    for (size_t i = 0; i < sizeof(callback.id.b); i++) {
        callback.id.b[i] = (uint8_t)(0xff - i * 16);
    }
    return callback;
}

static void check_callback(const struct pr_callback *callback) {
    char text[PR_CALLBACK_TEXT];
    struct pr_callback back;
    const int n = pr_callback_format(callback, text);
    assert_int_equal(n, 43);
    assert_int_equal(strlen(text), 43);
    assert_int_equal(strncmp(text, "p1.", 3), 0);
    assert_int_equal(strspn(text + 3, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 40);
    assert_true(pr_callback_parse(pr_span_make(text, (size_t)n), &back));
    assert_int_equal(back.tenant, callback->tenant);
    assert_int_equal(back.day, callback->day);
    assert_memory_equal(back.id.b, callback->id.b, sizeof(back.id.b));
    assert_int_equal(back.attempt, callback->attempt);
    assert_int_equal(back.partition, callback->partition);
}

static void a_callback_comes_back_as_it_went(void **state) {
    (void)state;
    struct pr_callback callback = sample();
    check_callback(&callback);
    callback.tenant = INT32_MIN;
    callback.day = -1;
    callback.attempt = UINT32_MAX;
    callback.partition = 0;
    memset(callback.id.b, 0xff, sizeof(callback.id.b));
    check_callback(&callback);
    memset(callback.id.b, 0xfb, sizeof(callback.id.b));
    check_callback(&callback);
}

static void the_form_of_a_callback_never_changes(void **state) {
    (void)state;
    const struct pr_callback callback = sample();
    char text[PR_CALLBACK_TEXT];
    (void)pr_callback_format(&callback, text);
    assert_string_equal(text, "p1.AAAABwAAUSn_79_Pv6-fj39vX08_Lx8PAAAAAf__");
}

static void a_callback_is_refused_when_a_byte_is_wrong(void **state) {
    (void)state;
    const struct pr_callback callback = sample();
    struct pr_callback back;
    char text[PR_CALLBACK_TEXT + 8];
    const size_t n = (size_t)pr_callback_format(&callback, text);
    for (size_t cut = 0; cut < n; cut++) {
        assert_false(pr_callback_parse(pr_span_make(text, cut), &back));
    }
    static const char bad[] = {'=', '+', '/', ' ', '\n', '\0', '.', '\x80'};
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sizeof(bad); j++) {
            const char was = text[i];
            text[i] = bad[j];
            assert_true(was == bad[j] || !pr_callback_parse(pr_span_make(text, n), &back));
            text[i] = was;
        }
    }
    text[n] = '=';
    assert_false(pr_callback_parse(pr_span_make(text, n + 1), &back));
    text[1] = '2';
    assert_false(pr_callback_parse(pr_span_make(text, n), &back));
}

static void a_callback_without_an_attempt_is_refused(void **state) {
    (void)state;
    struct pr_callback callback = sample(), back;
    char text[PR_CALLBACK_TEXT];
    callback.attempt = 0;
    const int n = pr_callback_format(&callback, text);
    assert_false(pr_callback_parse(pr_span_make(text, (size_t)n), &back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_of_a_known_message_never_changes),
        cmocka_unit_test(each_part_of_the_identity_counts),
        cmocka_unit_test(a_byte_cannot_move_from_one_part_to_the_next),
        cmocka_unit_test(every_id_is_a_uuid_of_version_8),
        cmocka_unit_test(the_time_of_a_uuid7_leads),
        cmocka_unit_test(the_time_of_a_ulid_leads),
        cmocka_unit_test(other_ids_have_no_time_of_their_own),
        cmocka_unit_test(kafkas_clock_is_the_last_resort),
        cmocka_unit_test(less_than_an_hour_from_midnight_is_also_the_other_day),
        cmocka_unit_test(a_time_over_an_hour_ahead_is_bad),
        cmocka_unit_test(a_time_behind_the_retention_is_bad),
        cmocka_unit_test(a_day_whose_partition_may_be_gone_is_bad),
        cmocka_unit_test(a_uuid_survives_text_and_back),
        cmocka_unit_test(a_callback_comes_back_as_it_went),
        cmocka_unit_test(the_form_of_a_callback_never_changes),
        cmocka_unit_test(a_callback_is_refused_when_a_byte_is_wrong),
        cmocka_unit_test(a_callback_without_an_attempt_is_refused),
    };
    return cmocka_run_group_tests_name("core/identity", tests, NULL, NULL);
}
