/* Tests MessagePack records: every format, lengths that lie, keys, timestamps. */
#include "record_fixture.h"

static void each_messagepack_form_of_a_value_is_read(void **state) {
    (void)state;
    expect(decode(MP_DATA("\xde\x00\x0f"
                          "\xa1"
                          "a\xc0"
                          "\xa1"
                          "b\xc3"
                          "\xa1"
                          "c\x7f"
                          "\xa1"
                          "d\xe0"
                          "\xa1"
                          "e\xcd\xff\xff"
                          "\xa1"
                          "f\xd3\x80\0\0\0\0\0\0\0"
                          "\xa1"
                          "g\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"
                          "\xa1"
                          "h\xcf\x80\0\0\0\0\0\0\0"
                          "\xa1"
                          "i\xca\x3f\x80\0\0"
                          "\xa1"
                          "j\xcb\x3f\xe0\0\0\0\0\0\0"
                          "\xa1"
                          "k\xd9\x01x"
                          "\xa1"
                          "l\xc4\x01y"
                          "\xa1"
                          "m\xdc\x00\x01\x01"
                          "\xd9\x01"
                          "n\xdb\0\0\0\0"
                          "\xc4\x01"
                          "o\xdf\0\0\0\x01\xda\x00\x01q\x07")),
           PR_RECORD_OK);
    const struct pr_value *d = record.data;
    assert_int_equal(pr_value_get(d, PR_SPAN("a"))->kind, PR_VALUE_NULL);
    assert_true(pr_value_get(d, PR_SPAN("b"))->u.b);
    assert_int_equal(pr_value_get(d, PR_SPAN("c"))->u.i, 127);
    assert_int_equal(pr_value_get(d, PR_SPAN("d"))->u.i, -32);
    assert_int_equal(pr_value_get(d, PR_SPAN("e"))->u.i, 65535);
    assert_true(pr_value_get(d, PR_SPAN("f"))->u.i == INT64_MIN);
    assert_true(pr_value_get(d, PR_SPAN("g"))->u.i == INT64_MAX);
    assert_int_equal(pr_value_get(d, PR_SPAN("h"))->kind, PR_VALUE_DOUBLE);
    assert_true(pr_value_get(d, PR_SPAN("h"))->u.d == 9223372036854775808.0);
    assert_true(pr_value_get(d, PR_SPAN("i"))->u.d == 1.0);
    assert_true(pr_value_get(d, PR_SPAN("j"))->u.d == 0.5);
    assert_true(pr_span_is(pr_value_get(d, PR_SPAN("k"))->u.s, "x"));
    assert_true(pr_span_is(pr_value_get(d, PR_SPAN("l"))->u.s, "y"));
    assert_int_equal(pr_value_path(d, PR_SPAN("m.0"))->u.i, 1);
    assert_int_equal(pr_value_get(d, PR_SPAN("n"))->u.s.n, 0);
    assert_int_equal(pr_value_path(d, PR_SPAN("o.q"))->u.i, 7);
}

static void a_timestamp_is_read_in_its_three_forms(void **state) {
    (void)state;
    expect(decode(MP_WITH("\xa4time\xd6\xff\x00\x00\x00\x02")), PR_RECORD_OK);
    assert_true(record.time_us == 2000000);
    /* 64: 999,999,999 ns and 2^33 s; what is behind the microsecond is dropped */
    expect(decode(MP_WITH("\xa4time\xd7\xff\xee\x6b\x27\xfe\x00\x00\x00\x00")), PR_RECORD_OK);
    assert_true(record.time_us == 8589934592000000 + 999999);
    expect(decode(MP_WITH("\xa4time\xc7\x0c\xff\x00\x00\x03\xe8\x00\x00\x00\x3a\xff\xf4\x41\x7f")), PR_RECORD_OK);
    assert_true(record.time_us == 253402300799000001);
    expect(decode(MP_DATA("\x81\xa1t\xd6\xff\x00\x00\x00\x02")), PR_RECORD_OK);
    assert_int_equal(pr_value_get(record.data, PR_SPAN("t"))->kind, PR_VALUE_TIME);
    assert_true(pr_value_get(record.data, PR_SPAN("t"))->u.i == 2000000);
}

static void a_timestamp_outside_1970_to_9999_is_bad(void **state) {
    (void)state;
    expect(decode(MP_WITH("\xa4time\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80")),
           PR_RECORD_BAD_ATTRIBUTE);
    assert_string_equal(fault.field, "time");
    expect(decode(MP_WITH("\xa4time\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")),
           PR_RECORD_BAD_ATTRIBUTE);
    expect(decode(MP_WITH("\xa4time\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff")),
           PR_RECORD_BAD_ATTRIBUTE);
    expect(decode(MP_DATA("\x81\xa1t\xc7\x0c\xff\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00")),
           PR_RECORD_BAD_ATTRIBUTE);
    assert_string_equal(fault.field, "data.t");
}

static void other_extensions_and_broken_timestamps_are_undecodable(void **state) {
    (void)state;
    expect(decode(MP_DATA("\x81\xa1t\xd6\x01\x00\x00\x00\x02")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xd4\xff\x00")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xc7\x00\xff")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xd8\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xd7\xff\xee\x6b\x28\x00\x00\x00\x00\x00")), PR_RECORD_UNDECODABLE); /* 10^9 ns */
    assert_string_equal(fault.field, "data.t");
}

static void numbers_that_json_has_not_are_undecodable(void **state) {
    (void)state;
    expect(decode(MP_DATA("\x81\xa1t\xcb\x7f\xf8\0\0\0\0\0\0")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xcb\x7f\xf0\0\0\0\0\0\0")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xca\xff\x80\0\0")), PR_RECORD_UNDECODABLE);
}

static void keys_that_are_no_strings_are_undecodable(void **state) {
    (void)state;
    expect(decode(MP_DATA("\x81\x01\x01")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xc0\x01")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\x90\x01")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\x80\x01")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x82\xa1"
                          "a\x80\x01\x01")),
           PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x82\xa1"
                          "a\x81\xa1"
                          "b\x90\x01\x01")),
           PR_RECORD_UNDECODABLE);
    expect(decode(PR_SPAN("\x81\x01\x01")), PR_RECORD_UNDECODABLE);
}

static void duplicate_keys_are_undecodable_in_messagepack(void **state) {
    (void)state;
    expect(decode(MP_WITH("\xa2id\xa1j")), PR_RECORD_UNDECODABLE);
    assert_string_equal(fault.field, "id");
    expect(decode(MP_DATA("\x82\xa1"
                          "a\x01\xa1"
                          "a\x01")),
           PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x82\xa1"
                          "a\x01\xc4\x01"
                          "a\x01")),
           PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x82\xa0\x01\xa0\x01")), PR_RECORD_UNDECODABLE);
    assert_string_equal(fault.field, "data");
}

static void duplicate_keys_are_found_in_maps_of_any_size(void **state) {
    (void)state;
    static const uint32_t sizes[] = {2, 15, 16, 17, 18, 100, 9000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint32_t n = sizes[i], twins[] = {n - 1, 0, n / 2, n - 2};
        for (size_t j = 0; j < 4; j++) {
            struct pr_buf buf = wide_map(n, twins[j]);
            expect(decode(pr_buf_span(&buf)), twins[j] == n - 1 ? PR_RECORD_OK : PR_RECORD_UNDECODABLE);
            pr_buf_free(&buf);
        }
    }
}

static void members_stay_in_the_order_of_the_input(void **state) {
    (void)state;
    struct pr_buf buf = wide_map(40, 39);
    expect(decode(pr_buf_span(&buf)), PR_RECORD_OK);
    for (uint32_t i = 0; i < 40; i++) {
        char want[8];
        (void)snprintf(want, sizeof(want), "%05u", i * 7919 % 65536);
        assert_true(pr_span_is(record.data->u.map.members[i].key, want));
    }
    pr_buf_free(&buf);
    expect_json(DATA("{\"z\":1,\"a\":2,\"m\":3}"), PR_RECORD_OK);
    assert_true(pr_span_is(record.data->u.map.members[0].key, "z") && pr_span_is(record.data->u.map.members[2].key, "m"));
}

static void messagepack_strings_that_are_not_unicode_are_bad_utf8(void **state) {
    (void)state;
    expect(decode(MP_DATA("\x81\xa1t\xa1\xff")), PR_RECORD_BAD_UTF8);
    assert_string_equal(fault.field, "data.t");
    expect(decode(MP_DATA("\x81\xa1t\xa1\x00")), PR_RECORD_BAD_UTF8);
    expect(decode(MP_DATA("\x81\xa1t\xc4\x02\xc3\x28")), PR_RECORD_BAD_UTF8);
    expect(decode(MP_DATA("\x81\xa2\xc0\x80\x01")), PR_RECORD_BAD_UTF8);
    expect(decode(MP_DATA("\x81\xa1t\xa3\xed\xa0\x80")), PR_RECORD_BAD_UTF8);
    expect(decode(MP_DATA("\x81\xa1t\xc4\x02\xc3\xa3")), PR_RECORD_OK);
}

static void lengths_that_lie_reserve_nothing(void **state) {
    (void)state;
    expect(decode(MP_DATA("\x81\xa1t\xdd\xff\xff\xff\xff")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xdf\xff\xff\xff\xff")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xdf\x80\x00\x00\x00")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xdb\xff\xff\xff\xff")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xc6\xff\xff\xff\xff")), PR_RECORD_UNDECODABLE);
    expect(decode(MP_DATA("\x81\xa1t\xc9\xff\xff\xff\xff\xff")), PR_RECORD_UNDECODABLE);
    expect(decode(PR_SPAN("\xdf\xff\xff\xff\xff")), PR_RECORD_UNDECODABLE);
    assert_int_equal(arena.used, 0);
    expect(decode(MP_DATA("\x81\xa1t\xc1")), PR_RECORD_UNDECODABLE);
}

static void a_long_path_in_a_fault_is_cut_at_a_character(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 4096);
    pr_buf_put_span(&buf, PR_SPAN("\x85" MP_BASE "\xa4"
                                  "data\x81\xd9\x78"));
    for (int i = 0; i < 60; i++) {
        pr_buf_put_text(&buf, "\xc3\xa3");
    }
    pr_buf_put_span(&buf, PR_SPAN("\x81\xa1"
                                  "b\xa1\xff"));
    expect(decode(pr_buf_span(&buf)), PR_RECORD_BAD_UTF8);
    assert_int_equal(strncmp(fault.field, "data.\xc3\xa3", 7), 0);
    assert_in_range(strlen(fault.field), 62, 63);
    assert_int_equal((unsigned char)fault.field[strlen(fault.field) - 1], 0xa3);
    pr_buf_free(&buf);
}

static void eight_levels_of_messagepack_are_taken_and_nine_are_too_deep(void **state) {
    (void)state;
    expect(decode(MP_DATA("\x81\xa1"
                          "a\x91\x91\x91\x91\x91\x90")),
           PR_RECORD_OK);
    expect(decode(MP_DATA("\x81\xa1"
                          "a\x91\x91\x91\x91\x91\x91\x90")),
           PR_RECORD_TOO_DEEP);
    expect(decode(MP_DATA("\x81\xa1"
                          "a\x91\x91\x91\x91\x91\x80")),
           PR_RECORD_OK);
    expect(decode(MP_DATA("\x81\xa1"
                          "a\x91\x91\x91\x91\x91\x91\x80")),
           PR_RECORD_TOO_DEEP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_messagepack_form_of_a_value_is_read),
        TEST(a_timestamp_is_read_in_its_three_forms),
        TEST(a_timestamp_outside_1970_to_9999_is_bad),
        TEST(other_extensions_and_broken_timestamps_are_undecodable),
        TEST(numbers_that_json_has_not_are_undecodable),
        TEST(keys_that_are_no_strings_are_undecodable),
        TEST(duplicate_keys_are_undecodable_in_messagepack),
        TEST(duplicate_keys_are_found_in_maps_of_any_size),
        TEST(members_stay_in_the_order_of_the_input),
        TEST(messagepack_strings_that_are_not_unicode_are_bad_utf8),
        TEST(eight_levels_of_messagepack_are_taken_and_nine_are_too_deep),
        TEST(lengths_that_lie_reserve_nothing),
        TEST(a_long_path_in_a_fault_is_cut_at_a_character),
    };
    return cmocka_run_group_tests_name("core/record_msgpack", tests, NULL, NULL);
}
