/* Tests the rules of each attribute. */
#include "record_fixture.h"

#include "base/clock.h"

static void absent_attributes_are_null_spans_and_no_time(void **state) {
    (void)state;
    expect_json("{" BASE "}", PR_RECORD_OK);
    assert_null(record.subject.p);
    assert_null(record.to.p);
    assert_null(record.tenant.p);
    assert_null(record.locale.p);
    assert_true(record.time_us == PR_TIME_NONE && record.notbefore_us == PR_TIME_NONE &&
                record.expiry_us == PR_TIME_NONE);
    assert_null(record.data);
    assert_null(record.extra);
}

static void specversion_must_be_the_string_1_0(void **state) {
    (void)state;
    expect_field("{\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"}", "specversion");
    expect_field("{\"specversion\":\"0.3\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"}", "specversion");
    expect_field("{\"specversion\":1.0,\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"}", "specversion");
    expect_field("{\"specversion\":\"\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"}", "specversion");
    expect_field("{\"specversion\":null,\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"}", "specversion");
}

static void id_source_and_type_must_be_there(void **state) {
    (void)state;
    expect_field("{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\"}", "id");
    expect_field("{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"s\",\"type\":\"t\"}", "id");
    expect_field("{\"specversion\":\"1.0\",\"id\":null,\"source\":\"s\",\"type\":\"t\"}", "id");
    expect_field("{\"specversion\":\"1.0\",\"id\":1,\"source\":\"s\",\"type\":\"t\"}", "id");
    expect_field("{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\"}", "source");
    expect_field("{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\"}", "type");
    expect_field("{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":[]}", "type");
}

/* A minimal record in which `name` is `n` letters long. */
static struct pr_buf with_length(const char *name, size_t n) {
    static const char *const required[] = {"id", "source", "type"};
    struct pr_buf buf;
    bool is_written = false;
    pr_buf_init(&buf, PR_RECORD_BYTES_MAX);
    pr_buf_put_text(&buf, "{\"specversion\":\"1.0\"");
    for (size_t i = 0; i < 4 && !(i == 3 && is_written); i++) {
        const bool is_it = i == 3 || strcmp(required[i], name) == 0;
        pr_buf_printf(&buf, ",\"%s\":\"%0*d\"", i == 3 ? name : required[i], is_it ? (int)n : 1, 0);
        is_written = is_written || is_it;
    }
    pr_buf_put_char(&buf, '}');
    return buf;
}

static void check_length(const char *name, size_t bytes_max) {
    for (size_t n = bytes_max; n <= bytes_max + 1; n++) {
        struct pr_buf buf = with_length(name, n);
        expect(decode(pr_buf_span(&buf)), n <= bytes_max ? PR_RECORD_OK : PR_RECORD_BAD_ATTRIBUTE);
        assert_string_equal(fault.field, n <= bytes_max ? "" : name);
        pr_buf_free(&buf);
    }
}

static void attributes_have_a_longest_length(void **state) {
    (void)state;
    check_length("id", PR_RECORD_TEXT_MAX);
    check_length("source", PR_RECORD_TEXT_MAX);
    check_length("type", PR_RECORD_TEXT_MAX);
    check_length("subject", PR_RECORD_TEXT_MAX);
    check_length("to", PR_RECORD_NAME_MAX);
    check_length("tenant", PR_RECORD_NAME_MAX);
    check_length("locale", PR_RECORD_NAME_MAX);
}

static void empty_and_null_optional_attributes_are_absent(void **state) {
    (void)state;
    expect_json(WITH("\"to\":\"\",\"subject\":null,\"time\":\"\",\"notbefore\":null,\"x\":null,\"data\":null"),
                PR_RECORD_OK);
    assert_null(record.to.p);
    assert_null(record.subject.p);
    assert_true(record.time_us == PR_TIME_NONE && record.notbefore_us == PR_TIME_NONE);
    assert_null(record.extra);
    assert_null(record.data);
}

static void attributes_of_another_type_are_bad(void **state) {
    (void)state;
    expect_field(WITH("\"to\":5511999990000"), "to");
    expect_field(WITH("\"subject\":1001"), "subject");
    expect_field(WITH("\"tenant\":{}"), "tenant");
    expect_field(WITH("\"locale\":true"), "locale");
    expect_field(WITH("\"time\":1795203120"), "time");
    expect_field(WITH("\"expirytime\":{}"), "expirytime");
}

static void a_time_is_rfc_3339_from_1970_to_9999(void **state) {
    (void)state;
    expect_json(WITH("\"time\":\"1970-01-01T00:00:00Z\""), PR_RECORD_OK);
    assert_true(record.time_us == 0);
    expect_json(WITH("\"time\":\"9999-12-31T23:59:59.999999Z\""), PR_RECORD_OK);
    assert_true(record.time_us == 253402300799999999);
    expect_field(WITH("\"time\":\"1969-12-31T23:59:59Z\""), "time");
    expect_field(WITH("\"time\":\"1970-01-01T00:00:00+00:01\""), "time");
    expect_field(WITH("\"time\":\"9999-12-31T23:59:59-00:01\""), "time");
    expect_field(WITH("\"time\":\"2026-11-20T16:32:00\""), "time");
    expect_field(WITH("\"time\":\"2026-02-30T16:32:00Z\""), "time");
    expect_field(WITH("\"time\":\"yesterday\""), "time");
    expect_field(WITH("\"notbefore\":\"x\""), "notbefore");
    expect_field(WITH("\"expirytime\":\"x\""), "expirytime");
}

static void data_is_a_map_and_phps_empty_list_is_an_empty_one(void **state) {
    (void)state;
    expect_json(DATA("{}"), PR_RECORD_OK);
    assert_int_equal(record.data->kind, PR_VALUE_MAP);
    assert_int_equal(record.data->u.map.n, 0);
    expect_json(DATA("[]"), PR_RECORD_OK);
    assert_int_equal(record.data->kind, PR_VALUE_MAP);
    assert_int_equal(record.data->u.map.n, 0);
    expect_field(DATA("[1]"), "data");
    expect_field(DATA("\"{}\""), "data");
    expect_field(DATA("1"), "data");
    expect_field(DATA("false"), "data");
    expect_field(WITH("\"data_base64\":\"e30=\""), "data_base64");
}

static void unknown_attributes_are_kept_whatever_their_name(void **state) {
    (void)state;
    expect_json(WITH("\"partitionkey\":\"k\",\"Odd_Name that is long enough to be "
                     "illegal\":[1,{\"a\":2}],\"data\":{\"z\":9},\"\":0"),
                PR_RECORD_OK);
    assert_int_equal(record.extra->u.map.n, 3);
    assert_true(pr_span_is(pr_value_get(record.extra, PR_SPAN("partitionkey"))->u.s, "k"));
    assert_int_equal(pr_value_path(record.extra, PR_SPAN("Odd_Name that is long enough to be illegal.1.a"))->u.i, 2);
    assert_int_equal(pr_value_get(record.data, PR_SPAN("z"))->u.i, 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(absent_attributes_are_null_spans_and_no_time),
        TEST(specversion_must_be_the_string_1_0),
        TEST(id_source_and_type_must_be_there),
        TEST(attributes_have_a_longest_length),
        TEST(empty_and_null_optional_attributes_are_absent),
        TEST(attributes_of_another_type_are_bad),
        TEST(a_time_is_rfc_3339_from_1970_to_9999),
        TEST(data_is_a_map_and_phps_empty_list_is_an_empty_one),
        TEST(unknown_attributes_are_kept_whatever_their_name),
    };
    return cmocka_run_group_tests_name("core/record_attr", tests, NULL, NULL);
}
