/* Fuzzes the record decoder: what it takes must come back the same from both encodings, whatever the bytes were. */
#include "base/check.h"
#include "core/record.h"

#include <stdint.h>
#include <string.h>

/*
 * Input: the first byte chooses the headers (see `enum mode`, modulo its size). In the two binary modes the next byte,
 * modulo 4, is a number of further headers, each two bytes (lengths of name and value) and the bytes themselves. The
 * rest is the value.
 */
enum mode { MODE_BARE, MODE_JSON, MODE_MSGPACK, MODE_BINARY_JSON, MODE_BINARY_MSGPACK, MODE_BATCH, MODES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const content_types[MODES] = {
    [MODE_BARE] = NULL,
    [MODE_JSON] = "application/cloudevents+json; charset=utf-8",
    [MODE_MSGPACK] = "application/cloudevents+msgpack",
    [MODE_BINARY_JSON] = NULL,
    [MODE_BINARY_MSGPACK] = "application/msgpack",
    [MODE_BATCH] = "application/cloudevents-batch+json",
};

enum { HEADERS_MAX = 5 + 3 };
struct input {
    struct pr_header headers[HEADERS_MAX];
    size_t headers_n;
    struct pr_span rest;
};

static void add_header(struct input *in, struct pr_span name, struct pr_span value) {
    in->headers[in->headers_n++] = (struct pr_header){name, value};
}

static struct pr_span take(struct input *in, size_t n) {
    n = n < in->rest.n ? n : in->rest.n;
    const struct pr_span s = pr_span_make(in->rest.p, n);
    in->rest = pr_span_skip(in->rest, n);
    return s;
}

static size_t take_byte(struct input *in) {
    const struct pr_span s = take(in, 1);
    return s.n ? (unsigned char)s.p[0] : 0;
}

static void read_input(struct input *in) {
    const enum mode mode = (enum mode)(take_byte(in) % MODES);
    if (content_types[mode]) {
        add_header(in, PR_SPAN("content-type"), pr_span_of(content_types[mode]));
    }
    if (mode != MODE_BINARY_JSON && mode != MODE_BINARY_MSGPACK) {
        return;
    }
    add_header(in, PR_SPAN("ce_specversion"), PR_SPAN("1.0"));
    add_header(in, PR_SPAN("ce_id"), PR_SPAN("1"));
    add_header(in, PR_SPAN("ce_source"), PR_SPAN("/s"));
    add_header(in, PR_SPAN("ce_type"), PR_SPAN("t"));
    for (size_t n = take_byte(in) % 4; n > 0; n--) {
        const size_t name = take_byte(in), value = take_byte(in);
        const struct pr_span name_span = take(in, name);
        add_header(in, name_span, take(in, value));
    }
}

static bool same_value(const struct pr_value *a, const struct pr_value *b);

static bool same_array(const struct pr_value *a, const struct pr_value *b) {
    bool is_same = a->u.array.n == b->u.array.n;
    for (uint32_t i = 0; is_same && i < a->u.array.n; i++) {
        is_same = same_value(&a->u.array.items[i], &b->u.array.items[i]);
    }
    return is_same;
}

static bool same_map(const struct pr_value *a, const struct pr_value *b) {
    bool is_same = a->u.map.n == b->u.map.n;
    for (uint32_t i = 0; is_same && i < a->u.map.n; i++) {
        is_same = pr_span_eq(a->u.map.members[i].key, b->u.map.members[i].key) &&
                  same_value(&a->u.map.members[i].value, &b->u.map.members[i].value);
    }
    return is_same;
}

static bool same_value(const struct pr_value *a, const struct pr_value *b) {
    if (!a || !b || a->kind != b->kind) {
        return a == b;
    }
    switch (a->kind) {
    case PR_VALUE_NULL: return true;
    case PR_VALUE_BOOL: return a->u.b == b->u.b;
    case PR_VALUE_INT:
    case PR_VALUE_TIME: return a->u.i == b->u.i;
    case PR_VALUE_DOUBLE: return memcmp(&a->u.d, &b->u.d, sizeof(a->u.d)) == 0;
    case PR_VALUE_STRING: return pr_span_eq(a->u.s, b->u.s);
    case PR_VALUE_ARRAY: return same_array(a, b);
    case PR_VALUE_MAP: return same_map(a, b);
    }
    return false;
}

static bool same_attributes(const struct pr_record *a, const struct pr_record *b) {
    return pr_span_eq(a->id, b->id) && pr_span_eq(a->source, b->source) && pr_span_eq(a->type, b->type) &&
           pr_span_eq(a->subject, b->subject) && pr_span_eq(a->to, b->to) && pr_span_eq(a->tenant, b->tenant) &&
           pr_span_eq(a->locale, b->locale) && a->time_us == b->time_us && a->notbefore_us == b->notbefore_us &&
           a->expiry_us == b->expiry_us;
}

static void decode_again(struct pr_span text, size_t bytes_max, struct pr_arena *arena, struct pr_record *out) {
    struct pr_record_fault fault;
    const struct pr_record_input in = {.value = text, .bytes_max = bytes_max};
    pr_assert(pr_record_decode(&in, arena, out, &fault) == PR_RECORD_OK);
}

/* MessagePack keeps every kind, so the second record is the first; and the arena that is promised to be enough is. */
static void check_msgpack(const struct pr_record *record) {
    struct pr_arena arena;
    struct pr_buf packed;
    struct pr_record again;
    pr_arena_init(&arena, PR_RECORD_ARENA_MAX);
    pr_buf_init(&packed, PR_RECORD_STORED_MAX);
    pr_record_encode_msgpack(record, &packed);
    pr_assert(!packed.failed);
    decode_again(pr_buf_span(&packed), PR_RECORD_STORED_MAX, &arena, &again);
    pr_assert(same_attributes(record, &again));
    pr_assert(same_value(record->data, again.data) && same_value(record->extra, again.extra));
    pr_buf_free(&packed);
    pr_arena_free(&arena);
}

/* JSON has no time, so a timestamp in `data` comes back as its text; what is written of that record is the same text.
 */
static void check_json(const struct pr_record *record) {
    const size_t json_max = (size_t)8 * PR_RECORD_BYTES_MAX;
    struct pr_arena arena;
    struct pr_buf once, twice;
    struct pr_record again;
    pr_arena_init(&arena, 2 * (size_t)PR_RECORD_ARENA_MAX);
    pr_buf_init(&once, json_max);
    pr_buf_init(&twice, json_max);
    pr_record_encode_json(record, &once);
    pr_assert(!once.failed && !memchr(once.p, '\n', once.n));
    decode_again(pr_buf_span(&once), json_max, &arena, &again);
    pr_assert(same_attributes(record, &again));
    pr_record_encode_json(&again, &twice);
    pr_assert(pr_span_eq(pr_buf_span(&once), pr_buf_span(&twice)));
    pr_buf_free(&once);
    pr_buf_free(&twice);
    pr_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {.rest = pr_span_make(data, size)};
    struct pr_record record;
    struct pr_record_fault fault;
    struct pr_arena arena;
    read_input(&in);
    const struct pr_record_input input = {.value = in.rest, .headers = in.headers, .headers_n = in.headers_n};
    pr_arena_init(&arena, PR_RECORD_ARENA_MAX);
    const enum pr_record_status status = pr_record_decode(&input, &arena, &record, &fault);
    pr_assert(status != PR_RECORD_NO_MEMORY);
    if (status == PR_RECORD_OK) {
        check_msgpack(&record);
        check_json(&record);
    } else if (status != PR_RECORD_TOMBSTONE) {
        pr_assert(fault.text[0] != '\0' && memchr(fault.text, '\0', sizeof(fault.text)));
    }
    pr_arena_free(&arena);
    return 0;
}
