/* Tests how a record is recognised: three encodings by header and first byte, sizes, memory, and broken bytes. */
#include "record_fixture.h"

static void a_bare_json_record_is_decoded(void **state) {
    (void)state;
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
    check_order();
}

static void a_record_cut_at_any_byte_is_undecodable(void **state) {
    (void)state;
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
    struct pr_buf packed = encoded(pr_record_encode_msgpack);
    const struct pr_span whole[] = {pr_span_of(order), pr_buf_span(&packed)};
    for (size_t i = 0; i < 2; i++) {
        for (size_t n = 0; n < whole[i].n; n++) {
            enum pr_record_status status = decode(pr_span_make(whole[i].p, n));
            if (status != PR_RECORD_UNDECODABLE) {
                fail_msg("%s when cut to %zu bytes", pr_record_status_name(status), n);
            }
        }
    }
    pr_buf_free(&packed);
}

static void a_record_with_any_byte_changed_never_breaks_the_decoder(void **state) {
    (void)state;
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
    struct pr_buf packed = encoded(pr_record_encode_msgpack);
    for (size_t i = 0; i < packed.n; i++) {
        const char was = packed.p[i];
        for (int c = 0; c < 256; c += 3) {
            packed.p[i] = (char)c;
            (void)decode(pr_buf_span(&packed));
        }
        packed.p[i] = was;
    }
    pr_buf_free(&packed);
}

static void bytes_behind_the_record_are_undecodable(void **state) {
    (void)state;
    expect_json("{" BASE "} \r\n\t", PR_RECORD_OK);
    expect_json("{" BASE "} x", PR_RECORD_UNDECODABLE);
    expect_json("{" BASE "}{" BASE "}", PR_RECORD_UNDECODABLE);
    struct pr_buf packed = encoded(pr_record_encode_msgpack);
    pr_buf_put_char(&packed, '\xc0');
    expect(decode(pr_buf_span(&packed)), PR_RECORD_UNDECODABLE);
    pr_buf_free(&packed);
}

static void white_space_and_a_byte_order_mark_are_skipped(void **state) {
    (void)state;
    expect_json(" \t\r\n{" BASE "}", PR_RECORD_OK);
    expect_json("\xef\xbb\xbf{" BASE "}", PR_RECORD_OK);
    expect_json(" \xef\xbb\xbf\n{" BASE "}", PR_RECORD_OK);
    expect_json("\xef\xbb{" BASE "}", PR_RECORD_UNDECODABLE);
}

static void other_first_bytes_are_undecodable(void **state) {
    (void)state;
    for (int c = 1; c < 256; c++) {
        const bool is_known = c == '{' || (c & 0xf0) == 0x80 || c == 0xde || c == 0xdf;
        const char text[] = {(char)c};
        expect(decode(pr_span_make(text, 1)), c == 0x80 ? PR_RECORD_BAD_ATTRIBUTE : PR_RECORD_UNDECODABLE);
        assert_true(is_known || strstr(fault.text, "publish a CloudEvent") != NULL);
    }
    expect_json("", PR_RECORD_UNDECODABLE);
    expect_json("  ", PR_RECORD_UNDECODABLE);
    expect_json("[{" BASE "}]", PR_RECORD_UNDECODABLE);
    expect_json("\"x\"", PR_RECORD_UNDECODABLE);
}

static void a_schema_registrys_framing_is_named(void **state) {
    (void)state;
    const char framed[] = "\0\0\0\0\x01{" BASE "}";
    const struct pr_header type = {PR_SPAN("content-type"), PR_SPAN("application/cloudevents+json")};
    expect(decode(pr_span_make(framed, sizeof(framed) - 1)), PR_RECORD_SCHEMA_REGISTRY);
    expect(decode_with(pr_span_make(framed, sizeof(framed) - 1), &type, 1), PR_RECORD_SCHEMA_REGISTRY);
    assert_true(strstr(fault.text, "0x00") != NULL);
}

static void a_null_value_without_attribute_headers_is_a_tombstone(void **state) {
    (void)state;
    const struct pr_span none = {NULL, 0};
    const struct pr_header other = {PR_SPAN("trace"), PR_SPAN("x")}, attribute = {PR_SPAN("ce_id"), PR_SPAN("x")};
    expect(decode(none), PR_RECORD_TOMBSTONE);
    expect(decode_with(none, &other, 1), PR_RECORD_TOMBSTONE);
    expect(decode_with(none, &attribute, 1), PR_RECORD_UNDECODABLE);
}

static void a_hundred_thousand_brackets_are_too_deep_not_a_crash(void **state) {
    (void)state;
    static char text[PR_RECORD_BYTES_MAX];
    memset(text, '[', sizeof(text));
    text[0] = '{';
    expect(decode(pr_span_make(text, sizeof(text))), PR_RECORD_TOO_DEEP);
    memset(text, '\x91', sizeof(text));
    memcpy(text, "\x81\xa1x", 3);
    expect(decode(pr_span_make(text, sizeof(text))), PR_RECORD_TOO_DEEP);
}

/* A record whose value has exactly `n` bytes, filled with one long string. */
static struct pr_buf sized_json(size_t n) {
    struct pr_buf buf;
    pr_buf_init(&buf, 2 * PR_RECORD_BYTES_MAX);
    pr_buf_put_text(&buf, "{" BASE ",\"data\":{\"a\":\"");
    while (buf.n < n - 3) {
        pr_buf_put_char(&buf, 'x');
    }
    pr_buf_put_text(&buf, "\"}}");
    assert_int_equal(buf.n, n);
    return buf;
}

static void a_value_of_64_kib_is_taken_and_one_byte_more_is_too_large(void **state) {
    (void)state;
    struct pr_buf buf = sized_json(PR_RECORD_BYTES_MAX);
    expect(decode(pr_buf_span(&buf)), PR_RECORD_OK);
    pr_buf_free(&buf);
    buf = sized_json(PR_RECORD_BYTES_MAX + 1);
    expect(decode(pr_buf_span(&buf)), PR_RECORD_TOO_LARGE);
    pr_buf_free(&buf);
}

static void headers_count_towards_the_size(void **state) {
    (void)state;
    struct pr_buf buf = sized_json(PR_RECORD_BYTES_MAX - 10);
    const struct pr_header fits = {PR_SPAN("abc"), PR_SPAN("1234567")}, over = {PR_SPAN("abcd"), PR_SPAN("1234567")};
    expect(decode_with(pr_buf_span(&buf), &fits, 1), PR_RECORD_OK);
    expect(decode_with(pr_buf_span(&buf), &over, 1), PR_RECORD_TOO_LARGE);
    pr_buf_free(&buf);
}

static void sixty_four_headers_are_taken_and_one_more_is_too_large(void **state) {
    (void)state;
    struct pr_header headers[PR_RECORD_HEADERS_MAX + 1];
    for (size_t i = 0; i <= PR_RECORD_HEADERS_MAX; i++) {
        headers[i] = (struct pr_header){PR_SPAN("x"), PR_SPAN("y")};
    }
    expect(decode_with(PR_SPAN("{" BASE "}"), headers, PR_RECORD_HEADERS_MAX), PR_RECORD_OK);
    expect(decode_with(PR_SPAN("{" BASE "}"), headers, PR_RECORD_HEADERS_MAX + 1), PR_RECORD_TOO_LARGE);
}

/* 64 KiB of the cheapest values there are: nil after nil, each of which becomes a pr_value. */
static void the_promised_arena_is_enough_for_the_worst_record(void **state) {
    (void)state;
    static const char head[] = "\x85" MP_BASE "\xa4"
                               "data\x81\xa1"
                               "a\xdc";
    static char text[PR_RECORD_BYTES_MAX];
    const size_t at = sizeof(head) - 1, n = sizeof(text) - at - 2;
    memset(text, '\xc0', sizeof(text));
    memcpy(text, head, at);
    text[at] = (char)(n >> 8);
    text[at + 1] = (char)n;
    expect(decode(pr_span_make(text, sizeof(text))), PR_RECORD_OK);
    assert_int_equal(pr_value_path(record.data, PR_SPAN("a"))->u.array.n, n);
    pr_arena_free(&arena);
    pr_arena_init(&arena, 512 * 1024);
    expect(decode(pr_span_make(text, sizeof(text))), PR_RECORD_NO_MEMORY);
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
}

static void every_small_arena_gives_no_memory_and_nothing_worse(void **state) {
    (void)state;
    expect(decode(pr_span_of(order)), PR_RECORD_OK);
    struct pr_buf packed = encoded(pr_record_encode_msgpack);
    struct pr_buf wide = wide_map(40, 39);
    const struct pr_span values[] = {pr_span_of(order), pr_buf_span(&packed), pr_buf_span(&wide),
                                     PR_SPAN(DATA("{\"a\":12345678901234567890}"))};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        bool is_enough = false;
        for (size_t room = 1; !is_enough; room += 8) {
            pr_arena_free(&arena);
            pr_arena_init(&arena, room);
            enum pr_record_status status = decode(values[i]);
            is_enough = status == PR_RECORD_OK;
            assert_true(is_enough || status == PR_RECORD_NO_MEMORY);
            assert_true(room < 16384);
        }
    }
    pr_buf_free(&packed);
    pr_buf_free(&wide);
}

static enum pr_record_status decode_type(const char *type, struct pr_span value) {
    const struct pr_header header = {PR_SPAN("Content-Type"), pr_span_of(type)};
    return decode_with(value, &header, 1);
}

static void the_content_type_names_a_structured_record(void **state) {
    (void)state;
    const struct pr_span json = PR_SPAN("{" BASE "}"), packed = PR_SPAN("\x84" MP_BASE);
    expect(decode_type("application/cloudevents+json", json), PR_RECORD_OK);
    expect(decode_type("APPLICATION/CloudEvents+JSON; charset=UTF-8", json), PR_RECORD_OK);
    expect(decode_type(" application/cloudevents+json ;charset=utf-8", PR_SPAN("\xef\xbb\xbf {" BASE "}")),
           PR_RECORD_OK);
    expect(decode_type("application/cloudevents+msgpack", packed), PR_RECORD_OK);
    expect(decode_type("application/cloudevents+json", packed), PR_RECORD_BAD_UTF8);
    expect(decode_type("application/cloudevents+msgpack", json), PR_RECORD_UNDECODABLE);
    expect(decode_type("application/cloudevents+msgpack", PR_SPAN("\x91\x01")), PR_RECORD_UNDECODABLE);
    expect(decode_type("application/cloudevents+json", PR_SPAN("[]")), PR_RECORD_UNDECODABLE);
    expect(decode_type("application/cloudevents+json", PR_SPAN("null")), PR_RECORD_UNDECODABLE);
    expect(decode_type("application/cloudevents+json", PR_SPAN("")), PR_RECORD_UNDECODABLE);
    expect(decode_type("application/cloudevents+msgpack", PR_SPAN("")), PR_RECORD_UNDECODABLE);
}

static void batches_and_other_event_formats_are_unsupported(void **state) {
    (void)state;
    const struct pr_span json = PR_SPAN("{" BASE "}");
    expect(decode_type("application/cloudevents-batch+json", json), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_type("application/cloudevents+avro", json), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_type("application/cloudevents+jsonx", json), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_type("application/cloudevents", json), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_type("application/json", json), PR_RECORD_OK);
    expect(decode_type("text/plain", json), PR_RECORD_OK);
    expect(decode_type("", json), PR_RECORD_OK);
}

static const struct pr_header binary_headers[] = {
    {{"ce_specversion", 14}, {"1.0", 3}},
    {{"CE_ID", 5}, {"order-1001", 10}},
    {{"ce_source", 9}, {"/shop", 5}},
    {{"ce_type", 7}, {"order.confirmed", 15}},
    {{"ce_time", 7}, {"2026-11-20T16:32:00Z", 20}},
    {{"ce_to", 5}, {"+5511999990000", 14}},
    {{"ce_PartitionKey", 15}, {"+5511999990000", 14}},
    {{"ce_subject", 10}, {NULL, 0}},
    {{"other", 5}, {"\xff", 1}},
};
enum { BINARY_HEADERS = sizeof(binary_headers) / sizeof(binary_headers[0]) };

static void attributes_of_binary_mode_come_from_headers(void **state) {
    (void)state;
    expect(decode_with(PR_SPAN("{\"a\":1}"), binary_headers, BINARY_HEADERS), PR_RECORD_OK);
    assert_true(pr_span_is(record.id, "order-1001"));
    assert_true(pr_span_is(record.source, "/shop"));
    assert_true(pr_span_is(record.type, "order.confirmed"));
    assert_true(pr_span_is(record.to, "+5511999990000"));
    assert_null(record.subject.p);
    assert_true(record.time_us == 1795192320000000);
    assert_int_equal(record.extra->u.map.n, 1);
    assert_true(pr_span_is(pr_value_get(record.extra, PR_SPAN("partitionkey"))->u.s, "+5511999990000"));
    assert_int_equal(pr_value_get(record.data, PR_SPAN("a"))->u.i, 1);
}

/* The binary record with one header more. */
static enum pr_record_status decode_binary(struct pr_header more, struct pr_span value) {
    struct pr_header headers[BINARY_HEADERS + 1];
    memcpy(headers, binary_headers, sizeof(binary_headers));
    headers[BINARY_HEADERS] = more;
    return decode_with(value, headers, BINARY_HEADERS + 1);
}

static struct pr_header content_type(const char *type) {
    return (struct pr_header){PR_SPAN("content-type"), pr_span_of(type)};
}

static void data_of_binary_mode_is_json_or_messagepack(void **state) {
    (void)state;
    static const char *const json[] = {"application/json", "application/json; charset=utf-8",
                                       "Application/Vnd.Shop+JSON", ""};
    static const char *const packed[] = {"application/msgpack", "application/vnd.msgpack", "APPLICATION/X-MSGPACK"};
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        expect(decode_binary(content_type(json[i]), PR_SPAN(" {\"a\":1}")), PR_RECORD_OK);
        assert_int_equal(pr_value_get(record.data, PR_SPAN("a"))->u.i, 1);
    }
    for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
        expect(decode_binary(content_type(packed[i]), PR_SPAN("\x81\xa1"
                                                              "a\x01")),
               PR_RECORD_OK);
        assert_int_equal(pr_value_get(record.data, PR_SPAN("a"))->u.i, 1);
        assert_true(pr_span_is(pr_value_get(record.extra, PR_SPAN("datacontenttype"))->u.s, packed[i]));
    }
    expect(decode_binary(content_type("text/plain"), PR_SPAN("{}")), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_binary(content_type("application/jsonx"), PR_SPAN("{}")), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_binary(content_type("+json"), PR_SPAN("{}")), PR_RECORD_UNSUPPORTED_FORMAT);
    expect(decode_binary(content_type("avro/binary"), PR_SPAN("{}")), PR_RECORD_UNSUPPORTED_FORMAT);
}

static void binary_mode_may_have_no_data(void **state) {
    (void)state;
    expect(decode_with(PR_SPAN(""), binary_headers, BINARY_HEADERS), PR_RECORD_OK);
    assert_null(record.data);
    expect(decode_with((struct pr_span){NULL, 0}, binary_headers, BINARY_HEADERS), PR_RECORD_OK);
    assert_null(record.data);
    expect(decode_with(PR_SPAN("null"), binary_headers, BINARY_HEADERS), PR_RECORD_OK);
    assert_null(record.data);
    expect(decode_with(PR_SPAN("[]"), binary_headers, BINARY_HEADERS), PR_RECORD_OK);
    assert_int_equal(record.data->kind, PR_VALUE_MAP);
    expect(decode_with(PR_SPAN("5"), binary_headers, BINARY_HEADERS), PR_RECORD_BAD_ATTRIBUTE);
    assert_string_equal(fault.field, "data");
    expect(decode_with(PR_SPAN("{"), binary_headers, BINARY_HEADERS), PR_RECORD_UNDECODABLE);
    assert_string_equal(fault.field, "data");
    expect(decode_with(PR_SPAN("\0\0\0\0\1{}"), binary_headers, BINARY_HEADERS), PR_RECORD_SCHEMA_REGISTRY);
}

static void faults_of_attribute_headers_are_named(void **state) {
    (void)state;
    const struct pr_span none = PR_SPAN("");
    expect(decode_binary((struct pr_header){PR_SPAN("ce_id"), PR_SPAN("x")}, none), PR_RECORD_UNDECODABLE);
    assert_string_equal(fault.field, "id");
    expect(decode_binary((struct pr_header){PR_SPAN("ce_tenant"), PR_SPAN("\xff")}, none), PR_RECORD_BAD_UTF8);
    assert_string_equal(fault.field, "tenant");
    expect(decode_binary((struct pr_header){PR_SPAN("ce_x"), PR_SPAN("a\0b")}, none), PR_RECORD_BAD_UTF8);
    expect(decode_binary((struct pr_header){PR_SPAN("ce_\xff"), PR_SPAN("a")}, none), PR_RECORD_BAD_UTF8);
    expect(decode_binary((struct pr_header){PR_SPAN("ce_data"), PR_SPAN("{}")}, none), PR_RECORD_BAD_ATTRIBUTE);
    expect(decode_binary((struct pr_header){PR_SPAN("ce_"), PR_SPAN("x")}, none), PR_RECORD_BAD_ATTRIBUTE);
    expect(decode_binary((struct pr_header){PR_SPAN("ce_expirytime"), PR_SPAN("soon")}, none), PR_RECORD_BAD_ATTRIBUTE);
    assert_string_equal(fault.field, "expirytime");
    const struct pr_header old = {PR_SPAN("ce_specversion"), PR_SPAN("0.3")};
    expect(decode_with(none, &old, 1), PR_RECORD_BAD_ATTRIBUTE);
    assert_string_equal(fault.field, "specversion");
}

static void a_structured_record_ignores_what_its_headers_say(void **state) {
    (void)state;
    expect(decode_binary(content_type("application/cloudevents+json"), PR_SPAN("{" BASE "}")), PR_RECORD_OK);
    assert_true(pr_span_is(record.id, "i"));
    assert_null(record.to.p);
    assert_null(record.extra);
}

/* Else a record that was taken could not be read back from where it is stored. */
static void data_of_binary_mode_starts_on_the_second_level(void **state) {
    (void)state;
    expect(decode_with(PR_SPAN("{\"a\":[[[[[[]]]]]]}"), binary_headers, BINARY_HEADERS), PR_RECORD_OK);
    struct pr_buf packed = encoded(pr_record_encode_msgpack);
    expect(decode(pr_buf_span(&packed)), PR_RECORD_OK);
    pr_buf_free(&packed);
    expect(decode_with(PR_SPAN("{\"a\":[[[[[[[]]]]]]]}"), binary_headers, BINARY_HEADERS), PR_RECORD_TOO_DEEP);
    expect(decode_binary(content_type("application/msgpack"), PR_SPAN("\x81\xa1"
                                                                      "a\x91\x91\x91\x91\x91\x90")),
           PR_RECORD_OK);
    expect(decode_binary(content_type("application/msgpack"), PR_SPAN("\x81\xa1"
                                                                      "a\x91\x91\x91\x91\x91\x91\x90")),
           PR_RECORD_TOO_DEEP);
}

static void every_status_has_a_name(void **state) {
    (void)state;
    static const char *const names[] = {
        "ok",        "tombstone", "undecodable", "unsupported_format", "schema_registry_format",
        "too_large", "too_deep",  "bad_utf8",    "bad_attribute",      "no_memory"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_string_equal(pr_record_status_name((enum pr_record_status)i), names[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_bare_json_record_is_decoded),
        TEST(a_record_cut_at_any_byte_is_undecodable),
        TEST(a_record_with_any_byte_changed_never_breaks_the_decoder),
        TEST(bytes_behind_the_record_are_undecodable),
        TEST(white_space_and_a_byte_order_mark_are_skipped),
        TEST(other_first_bytes_are_undecodable),
        TEST(a_schema_registrys_framing_is_named),
        TEST(a_null_value_without_attribute_headers_is_a_tombstone),
        TEST(a_hundred_thousand_brackets_are_too_deep_not_a_crash),
        TEST(a_value_of_64_kib_is_taken_and_one_byte_more_is_too_large),
        TEST(headers_count_towards_the_size),
        TEST(sixty_four_headers_are_taken_and_one_more_is_too_large),
        TEST(the_promised_arena_is_enough_for_the_worst_record),
        TEST(every_small_arena_gives_no_memory_and_nothing_worse),
        TEST(the_content_type_names_a_structured_record),
        TEST(batches_and_other_event_formats_are_unsupported),
        TEST(attributes_of_binary_mode_come_from_headers),
        TEST(data_of_binary_mode_is_json_or_messagepack),
        TEST(binary_mode_may_have_no_data),
        TEST(faults_of_attribute_headers_are_named),
        TEST(a_structured_record_ignores_what_its_headers_say),
        TEST(data_of_binary_mode_starts_on_the_second_level),
        TEST(every_status_has_a_name),
    };
    return cmocka_run_group_tests_name("core/record", tests, NULL, NULL);
}
