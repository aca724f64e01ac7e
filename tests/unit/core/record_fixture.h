/* What the tests of the record's parts share: one arena, one decoded record, and sample records. */
#ifndef PR_TESTS_RECORD_FIXTURE_H
#define PR_TESTS_RECORD_FIXTURE_H

#include "core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* With the ceiling that is promised to be enough; reset before each decode. */
static struct pr_arena arena;
static struct pr_record record;
static struct pr_record_fault fault;

static inline int set_up(void **state) {
    (void)state;
    pr_arena_init(&arena, PR_RECORD_ARENA_MAX);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    pr_arena_free(&arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Decodes a copy of exactly the input's size and frees it, so that reading past it or pointing into it shows. */
static inline enum pr_record_status decode_with(struct pr_span value, const struct pr_header *headers, size_t headers_n) {
    char *copy = malloc(value.n ? value.n : 1);
    assert_non_null(copy);
    if (value.n) {
        memcpy(copy, value.p, value.n);
    }
    const struct pr_record_input in = {
        .value = value.p ? pr_span_make(copy, value.n) : value, .headers = headers, .headers_n = headers_n};
    pr_arena_reset(&arena);
    memset(&fault, 'x', sizeof(fault));
    enum pr_record_status status = pr_record_decode(&in, &arena, &record, &fault);
    free(copy);
    assert_true(memchr(fault.field, '\0', sizeof(fault.field)) && memchr(fault.text, '\0', sizeof(fault.text)));
    if (status != PR_RECORD_OK && status != PR_RECORD_TOMBSTONE) {
        assert_true(fault.text[0] != '\0');
    }
    return status;
}

static inline enum pr_record_status decode(struct pr_span value) {
    return decode_with(value, NULL, 0);
}

static inline void expect(enum pr_record_status got, enum pr_record_status want) {
    if (got != want) {
        fail_msg("%s instead of %s: %s: %s", pr_record_status_name(got), pr_record_status_name(want), fault.field,
                 fault.text);
    }
}

static inline void expect_json(const char *json, enum pr_record_status want) {
    enum pr_record_status got = decode(pr_span_of(json));
    if (got != want) {
        fail_msg("%s instead of %s for %s", pr_record_status_name(got), pr_record_status_name(want), json);
    }
}

static inline void expect_field(const char *json, const char *field) {
    expect_json(json, PR_RECORD_BAD_ATTRIBUTE);
    assert_string_equal(fault.field, field);
}

/* JSON: the required attributes; a record of them and more; one with `data`. */
#define BASE "\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\""
#define WITH(more) "{" BASE "," more "}"
#define DATA(value) WITH("\"data\":" value)

/* MessagePack: the same. */
#define MP_BASE           \
    "\xabspecversion\xa3" \
    "1.0\xa2id\xa1i\xa6source\xa1s\xa4type\xa1t"
/* A map of the four required attributes and `data` with what follows. */
#define MP_DATA(value)            \
    PR_SPAN("\x85" MP_BASE "\xa4" \
            "data" value)
/* The same with one more attribute: the key and the value follow. */
#define MP_WITH(more) PR_SPAN("\x85" MP_BASE more)

PR_UNUSED static const char order[] =
    "{\"specversion\":\"1.0\",\"id\":\"order-1001\",\"source\":\"/shop/orders\",\"type\":\"order.confirmed\","
    "\"subject\":\"1001\",\"time\":\"2026-11-20T16:32:00.5-03:00\",\"to\":\"+5511999990000\",\"tenant\":\"aurora\","
    "\"locale\":\"pt_BR\",\"notbefore\":\"2026-11-20T20:00:00Z\",\"expirytime\":\"2026-11-21T00:00:00Z\","
    "\"traceparent\":\"00-ab-cd-01\",\"count\":3,\"data\":{\"customer\":{\"first_name\":\"Jo\\u00e3o\"},"
    "\"order\":{\"number\":\"1001\",\"total\":101.81,\"paid\":true,\"note\":null,\"items\":[1,-2,\"x\"]}}}";

PR_UNUSED static const int64_t order_time = 1795203120500000; /* 2026-11-20T19:32:00.5Z */

static inline void check_order(void) {
    assert_true(pr_span_is(record.id, "order-1001"));
    assert_true(pr_span_is(record.source, "/shop/orders"));
    assert_true(pr_span_is(record.type, "order.confirmed"));
    assert_true(pr_span_is(record.subject, "1001"));
    assert_true(pr_span_is(record.to, "+5511999990000"));
    assert_true(pr_span_is(record.tenant, "aurora"));
    assert_true(pr_span_is(record.locale, "pt_BR"));
    assert_true(record.time_us == order_time);
    assert_true(record.notbefore_us == order_time + 27 * 60000000LL + 59500000);
    assert_true(record.expiry_us == record.notbefore_us + 4 * 3600000000LL);
    assert_int_equal(record.extra->u.map.n, 2);
    assert_true(pr_span_is(pr_value_get(record.extra, PR_SPAN("traceparent"))->u.s, "00-ab-cd-01"));
    assert_int_equal(pr_value_get(record.extra, PR_SPAN("count"))->u.i, 3);
    assert_true(pr_span_is(pr_value_path(record.data, PR_SPAN("customer.first_name"))->u.s, "Jo\xc3\xa3o"));
    assert_true(pr_value_path(record.data, PR_SPAN("order.total"))->u.d == 101.81);
    assert_true(pr_value_path(record.data, PR_SPAN("order.paid"))->u.b);
    assert_int_equal(pr_value_get(pr_value_get(record.data, PR_SPAN("order")), PR_SPAN("note"))->kind, PR_VALUE_NULL);
    assert_int_equal(pr_value_path(record.data, PR_SPAN("order.items.1"))->u.i, -2);
}

static inline struct pr_buf encoded(void (*encode)(const struct pr_record *, struct pr_buf *)) {
    struct pr_buf out;
    pr_buf_init(&out, 8 * PR_RECORD_BYTES_MAX);
    encode(&record, &out);
    assert_false(out.failed);
    return out;
}

/* `n` members "k000…" with the last one called like the one at `twin`, or by its own name. */
static inline struct pr_buf wide_map(uint32_t n, uint32_t twin) {
    struct pr_buf buf;
    pr_buf_init(&buf, PR_RECORD_BYTES_MAX);
    pr_buf_put_span(&buf, PR_SPAN("\x85" MP_BASE "\xa4"
                                  "data\xde"));
    pr_buf_put_char(&buf, (char)(n >> 8));
    pr_buf_put_char(&buf, (char)n);
    for (uint32_t i = 0; i < n; i++) {
        pr_buf_printf(&buf, "\xa5%05u", (i == n - 1 ? twin : i) * 7919 % 65536);
        pr_buf_put_char(&buf, '\x01');
    }
    assert_false(buf.failed);
    return buf;
}

#endif
