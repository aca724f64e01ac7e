/* Tests JSON records: numbers, keys, Unicode, depth, and what a fault may say. */
#include "record_fixture.h"

static void json_numbers_keep_their_kind(void **state) {
    (void)state;
    expect_json(
        DATA("{\"max\":9223372036854775807,\"min\":-9223372036854775808,\"over\":9223372036854775808,"
             "\"under\":-9223372036854775809,\"huge\":12345678901234567890123,\"real\":5.0,\"exp\":1e2,\"zero\":0,"
             "\"text\":\"99999999999999999999\"}"),
        PR_RECORD_OK);
    assert_int_equal(pr_value_get(record.data, PR_SPAN("max"))->kind, PR_VALUE_INT);
    assert_true(pr_value_get(record.data, PR_SPAN("max"))->u.i == INT64_MAX);
    assert_true(pr_value_get(record.data, PR_SPAN("min"))->u.i == INT64_MIN);
    assert_int_equal(pr_value_get(record.data, PR_SPAN("over"))->kind, PR_VALUE_DOUBLE);
    assert_true(pr_value_get(record.data, PR_SPAN("over"))->u.d == 9223372036854775808.0);
    assert_true(pr_value_get(record.data, PR_SPAN("under"))->u.d == -9223372036854775808.0);
    assert_true(pr_value_get(record.data, PR_SPAN("huge"))->u.d == 12345678901234567890123.0);
    assert_int_equal(pr_value_get(record.data, PR_SPAN("real"))->kind, PR_VALUE_DOUBLE);
    assert_true(pr_value_get(record.data, PR_SPAN("exp"))->u.d == 100.0);
    assert_int_equal(pr_value_get(record.data, PR_SPAN("zero"))->kind, PR_VALUE_INT);
    assert_true(pr_span_is(pr_value_get(record.data, PR_SPAN("text"))->u.s, "99999999999999999999"));
}

static void numbers_that_are_none_are_undecodable(void **state) {
    (void)state;
    expect_json(DATA("{\"a\":01}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":00000000000000000000001}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":1e999}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":NaN}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":-}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":+1}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":1.}"), PR_RECORD_UNDECODABLE);
}

static void duplicate_keys_are_undecodable_in_json(void **state) {
    (void)state;
    expect_json(WITH("\"id\":\"j\""), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":{\"b\":1,\"b\":1}}"), PR_RECORD_UNDECODABLE);
    expect_json(DATA("{\"a\":{\"b\":1},\"b\":1}"), PR_RECORD_OK);
}

static void json_that_is_not_unicode_is_bad_utf8(void **state) {
    (void)state;
    expect_json(DATA("{\"a\":\"\xff\"}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\xc0\x80\"}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\xed\xa0\x80\"}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"\xf4\x90\x80\x80\":1}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\\u0000\"}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\\u0000\":1}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\\ud83d\"}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\\ud83d\\u0041\"}"), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\\ude00\"}"), PR_RECORD_BAD_UTF8);
    const char zero[] = DATA("{\"a\":\"\0\"}");
    expect(decode(pr_span_make(zero, sizeof(zero) - 1)), PR_RECORD_BAD_UTF8);
    expect_json(DATA("{\"a\":\"\\ud83d\\ude00\"}"), PR_RECORD_OK);
    assert_true(pr_span_is(pr_value_get(record.data, PR_SPAN("a"))->u.s, "\xf0\x9f\x98\x80"));
}

static void a_fault_never_shows_what_the_record_says(void **state) {
    (void)state;
    expect_json("{" BASE ",\"to\":\"+5511999990000\"x}", PR_RECORD_UNDECODABLE);
    assert_null(strstr(fault.text, "5511"));
    expect_json("{" BASE ",\"to\":\"+5511999990000", PR_RECORD_UNDECODABLE);
    assert_null(strstr(fault.text, "5511"));
    expect_json("{" BASE ",\"to\":+5511999990000}", PR_RECORD_UNDECODABLE);
    assert_null(strstr(fault.text, "5511"));
    expect_json("{" BASE ",\"+5511999990000\":1,\"+5511999990000\":1}", PR_RECORD_UNDECODABLE);
    assert_null(strstr(fault.text, "5511"));
}

/* A record whose data nests so that the deepest container is on `level`; data itself is on level 2. */
static void nested_json(char *out, size_t room, int level, char open, char close) {
    struct pr_buf buf;
    pr_buf_init(&buf, room - 1);
    pr_buf_put_text(&buf, "{" BASE ",\"data\":{\"a\":");
    for (int i = 3; i <= level; i++) {
        pr_buf_put_text(&buf, open == '[' ? "[" : i < level ? "{\"a\":" : "{");
    }
    for (int i = 3; i <= level; i++) {
        pr_buf_put_char(&buf, close);
    }
    pr_buf_put_text(&buf, "}}");
    memcpy(out, pr_buf_text(&buf), buf.n + 1);
    pr_buf_free(&buf);
}

static void eight_levels_are_taken_and_nine_are_too_deep(void **state) {
    (void)state;
    char json[512];
    for (int i = 0; i < 2; i++) {
        nested_json(json, sizeof(json), 8, i ? '[' : '{', i ? ']' : '}');
        expect_json(json, PR_RECORD_OK);
        struct pr_buf packed = encoded(pr_record_encode_msgpack);
        expect(decode(pr_buf_span(&packed)), PR_RECORD_OK);
        nested_json(json, sizeof(json), 9, i ? '[' : '{', i ? ']' : '}');
        expect_json(json, PR_RECORD_TOO_DEEP);
        pr_buf_free(&packed);
    }
    expect_json(DATA("{\"a\":\"[[[[[[[[[[{{{{{{{{{{\\\"[[[[[[[[[[[\"}"), PR_RECORD_OK);
    expect_json(DATA("{\"a\":[[],[],[],[],[],[],[],[],[],[]]}"), PR_RECORD_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(json_numbers_keep_their_kind),
        TEST(numbers_that_are_none_are_undecodable),
        TEST(duplicate_keys_are_undecodable_in_json),
        TEST(json_that_is_not_unicode_is_bad_utf8),
        TEST(a_fault_never_shows_what_the_record_says),
        TEST(eight_levels_are_taken_and_nine_are_too_deep),
    };
    return cmocka_run_group_tests_name("core/record_json", tests, NULL, NULL);
}
