/* Tests that a decoded record comes back the same from both encodings. */
#include "record_fixture.h"

static void a_record_survives_messagepack_and_back(void **state) {
    (void)state;
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
    struct pr_buf once = encoded(pr_record_encode_msgpack);
    expect(decode(pr_buf_span(&once)), PR_RECORD_OK);
    check_order();
    struct pr_buf twice = encoded(pr_record_encode_msgpack);
    assert_true(pr_span_eq(pr_buf_span(&once), pr_buf_span(&twice)));
    pr_buf_free(&once);
    pr_buf_free(&twice);
}

static void a_record_survives_json_and_back(void **state) {
    (void)state;
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
    struct pr_buf once = encoded(pr_record_encode_json);
    assert_null(memchr(once.p, '\n', once.n));
    expect(decode(pr_buf_span(&once)), PR_RECORD_OK);
    check_order();
    struct pr_buf twice = encoded(pr_record_encode_json);
    assert_string_equal(pr_buf_text(&once), pr_buf_text(&twice));
    pr_buf_free(&once);
    pr_buf_free(&twice);
}

static void attributes_come_before_data_when_encoded(void **state) {
    (void)state;
    expect_json("{\"data\":{},\"x\":1," BASE "}", PR_RECORD_OK);
    struct pr_buf out = encoded(pr_record_encode_json);
    assert_string_equal(pr_buf_text(&out),
                        "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\",\"x\":1,\"data\":{}}");
    pr_buf_free(&out);
}

/* "0.1," is 4 bytes, its double 9: what we store may be larger than what we take, and must be readable again. */
static void a_stored_record_may_be_larger_than_a_published_one(void **state) {
    (void)state;
    struct pr_buf json;
    pr_buf_init(&json, PR_RECORD_BYTES_MAX);
    pr_buf_put_text(&json, "{" BASE ",\"data\":{\"a\":[0.1");
    while (json.n + 4 + 3 <= PR_RECORD_BYTES_MAX) {
        pr_buf_put_text(&json, ",0.1");
    }
    pr_buf_put_text(&json, "]}}");
    expect(decode(pr_buf_span(&json)), PR_RECORD_OK);
    struct pr_buf packed = encoded(pr_record_encode_msgpack);
    assert_in_range(packed.n, 2 * PR_RECORD_BYTES_MAX, PR_RECORD_STORED_MAX);
    expect(decode(pr_buf_span(&packed)), PR_RECORD_TOO_LARGE);
    const struct pr_record_input in = {.value = pr_buf_span(&packed), .bytes_max = PR_RECORD_STORED_MAX};
    pr_arena_reset(&arena);
    expect(pr_record_decode(&in, &arena, &record, &fault), PR_RECORD_OK);
    pr_buf_free(&json);
    pr_buf_free(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_record_survives_messagepack_and_back),
        TEST(a_record_survives_json_and_back),
        TEST(attributes_come_before_data_when_encoded),
        TEST(a_stored_record_may_be_larger_than_a_published_one),
    };
    return cmocka_run_group_tests_name("core/record_encode", tests, NULL, NULL);
}
