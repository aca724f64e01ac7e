/* The way into a record: which of the three encodings it has, the limits on its size, and the faults people read. */
#include "core/record.h"

#include "base/check.h"
#include "core/record_private.h"
#include "core/utf8.h"

#include <stdarg.h>
#include <stdio.h>

bool pr_pool_init(struct pr_pool *pool, struct pr_arena *arena, size_t n) {
    pool->p = pr_arena_alloc(arena, n);
    pool->left = pool->p ? n : 0;
    return pool->p != NULL;
}

void *pr_pool_take(struct pr_pool *pool, size_t n) {
    pr_assert(n <= pool->left);
    char *p = pool->p;
    pool->p += n;
    pool->left -= n;
    return p;
}

/*
 * Stores as much as fits, cut at a character. `s` may come from a broken record: anything but UTF-8 is not shown at
 * all.
 */
static void fault_store(char *out, size_t room, struct pr_span s) {
    s = pr_utf8_cut_bytes(s, room - 1);
    s = pr_utf8_valid(s) ? s : PR_SPAN("");
    memmove(out, s.p, s.n);
    out[s.n] = '\0';
}

enum pr_record_status pr_record_fail(struct pr_record_fault *fault, enum pr_record_status status, struct pr_span field,
                                     const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fault_store(fault->text, sizeof(fault->text), pr_span_of(text));
    fault_store(fault->field, sizeof(fault->field), field);
    return status;
}

enum pr_record_status pr_record_no_memory(struct pr_record_fault *fault) {
    return pr_record_fail(fault, PR_RECORD_NO_MEMORY, PR_SPAN(""), "no memory to decode the record");
}

void pr_record_fault_prepend(struct pr_record_fault *fault, struct pr_span step) {
    char path[2 * sizeof(fault->field)];
    step = pr_utf8_cut_bytes(step, sizeof(fault->field) - 1);
    int n = snprintf(path, sizeof(path), "%.*s%s%s", PR_SPAN_ARG(step), fault->field[0] ? "." : "", fault->field);
    fault_store(fault->field, sizeof(fault->field), pr_span_make(path, n > 0 ? (size_t)n : 0));
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool starts_any_case(struct pr_span s, const char *prefix) {
    size_t n = strlen(prefix);
    for (size_t i = 0; i < n; i++) {
        if (i >= s.n || lower(s.p[i]) != prefix[i]) {
            return false;
        }
    }
    return true;
}

static bool is_any_case(struct pr_span s, const char *text) {
    return s.n == strlen(text) && starts_any_case(s, text);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct pr_span skip_space(struct pr_span s) {
    while (s.n > 0 && is_space(s.p[0])) {
        s = pr_span_skip(s, 1);
    }
    return s;
}

/* What stands before the JSON in files of some editors: white space, a byte order mark, white space. */
static struct pr_span skip_bom(struct pr_span s) {
    s = skip_space(s);
    return pr_span_starts(s, PR_SPAN("\xEF\xBB\xBF")) ? skip_space(pr_span_skip(s, 3)) : s;
}

/* The last header of that name, as Kafka's own `lastHeader` has it; p NULL when there is none. */
static struct pr_span header_last(const struct pr_record_input *in, const char *name) {
    for (size_t i = in->headers_n; i-- > 0;) {
        if (is_any_case(in->headers[i].name, name)) {
            return in->headers[i].value;
        }
    }
    return (struct pr_span){NULL, 0};
}

/* The media type alone: no parameters, no white space around. */
static struct pr_span media_type(struct pr_span content_type) {
    struct pr_span s = skip_space(content_type);
    const char *end = s.n ? memchr(s.p, ';', s.n) : NULL;
    s.n = end ? (size_t)(end - s.p) : s.n;
    while (s.n > 0 && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

enum form { FORM_JSON, FORM_MSGPACK, FORM_OTHER };

/* What the data of binary mode is written in. No content type means JSON, as the CloudEvents JSON format has it. */
static enum form data_form(struct pr_span type) {
    if (type.n == 0 || is_any_case(type, "application/json")) {
        return FORM_JSON;
    }
    if (is_any_case(type, "application/msgpack") || is_any_case(type, "application/vnd.msgpack") ||
        is_any_case(type, "application/x-msgpack")) {
        return FORM_MSGPACK;
    }
    return type.n > 5 && is_any_case(pr_span_skip(type, type.n - 5), "+json") ? FORM_JSON : FORM_OTHER;
}

static enum pr_record_status parse_json_document(struct pr_span text, uint32_t depth_used, struct pr_arena *arena,
                                                 struct pr_value *out, struct pr_record_fault *fault) {
    if (text.n > 0 && text.p[0] == '\0') {
        return pr_record_fail(fault, PR_RECORD_SCHEMA_REGISTRY, PR_SPAN(""),
                              "starts with byte 0x00, a schema registry's framing: publish with a plain JSON, string "
                              "or bytes serializer");
    }
    return pr_record_parse_json(skip_bom(text), depth_used, arena, out, fault);
}

/* A whole record in one document. */
static enum pr_record_status decode_structured(struct pr_span text, enum form form, struct pr_arena *arena,
                                               struct pr_record *out, struct pr_record_fault *fault) {
    struct pr_value map;
    enum pr_record_status status = form == FORM_JSON ? parse_json_document(text, 0, arena, &map, fault)
                                                     : pr_record_parse_msgpack(text, 0, arena, &map, fault);
    if (status != PR_RECORD_OK) {
        return status;
    }
    if (map.kind != PR_VALUE_MAP) {
        return pr_record_fail(fault, PR_RECORD_UNDECODABLE, PR_SPAN(""),
                              "not one map: publish one event a record, not a list of them");
    }
    return pr_record_from_map(&map, arena, out, fault);
}

static bool first_byte_is_map(unsigned char c) {
    return (c & 0xF0u) == 0x80u || c == 0xDE || c == 0xDF;
}

static enum pr_record_status decode_bare(struct pr_span value, struct pr_arena *arena, struct pr_record *out,
                                         struct pr_record_fault *fault) {
    const struct pr_span text = skip_bom(value);
    const unsigned char first = text.n ? (unsigned char)text.p[0] : (unsigned char)' ';
    if (first == '{' || first == '\0') {
        return decode_structured(text, FORM_JSON, arena, out, fault);
    }
    if (first_byte_is_map(first)) {
        return decode_structured(text, FORM_MSGPACK, arena, out, fault);
    }
    return pr_record_fail(fault, PR_RECORD_UNDECODABLE, PR_SPAN(""),
                          "%s: publish a CloudEvent as a JSON object or a MessagePack map",
                          text.n ? "neither a JSON object nor a MessagePack map" : "an empty value");
}

/* "ce_" and more, in any case. */
static bool is_attribute_header(struct pr_span name) {
    return starts_any_case(name, "ce_");
}

/* The attribute's name in lower case; names compare without case, and producers on HTTP-minded stacks capitalise them.
 */
static struct pr_span attribute_name(struct pr_span header, struct pr_arena *arena) {
    struct pr_span name = pr_span_skip(header, 3);
    char *copy = pr_arena_alloc(arena, name.n);
    for (size_t i = 0; copy && i < name.n; i++) {
        copy[i] = lower(name.p[i]);
    }
    return pr_span_make(copy, name.n);
}

static void add_text(struct pr_value *map, struct pr_span name, struct pr_span text) {
    struct pr_member *member = &map->u.map.members[map->u.map.n++];
    member->key = name;
    member->value = (struct pr_value){.kind = PR_VALUE_STRING, .u.s = text};
}

/* One `ce_` header as a member of `map`; a null value is an absent attribute. */
static enum pr_record_status add_header(const struct pr_header *header, struct pr_arena *arena, struct pr_value *map,
                                        struct pr_record_fault *fault) {
    if (!header->value.p) {
        return PR_RECORD_OK;
    }
    const struct pr_span name = attribute_name(header->name, arena);
    const struct pr_span text = pr_arena_copy(arena, header->value);
    if (arena->failed) {
        return pr_record_no_memory(fault);
    }
    if (!pr_utf8_valid(name) || !pr_utf8_valid(text)) {
        return pr_record_fail(fault, PR_RECORD_BAD_UTF8, name,
                              "a ce_ header that is not valid UTF-8, or has a zero byte");
    }
    if (name.n == 0 || pr_span_is(name, "data") || pr_span_is(name, "data_base64")) {
        return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, name,
                              "ce_%.*s is no attribute: the data is the record's value", PR_SPAN_ARG(name));
    }
    if (pr_value_get(map, name)) {
        return pr_record_fail(fault, PR_RECORD_UNDECODABLE, name, "the header ce_%.*s twice", PR_SPAN_ARG(name));
    }
    add_text(map, name, text);
    return PR_RECORD_OK;
}

static enum pr_record_status add_data(struct pr_span value, enum form form, struct pr_arena *arena,
                                      struct pr_value *map, struct pr_record_fault *fault) {
    if (value.n == 0) {
        return PR_RECORD_OK;
    }
    struct pr_member *member = &map->u.map.members[map->u.map.n];
    member->key = PR_SPAN("data");
    enum pr_record_status status = form == FORM_JSON ? parse_json_document(value, 1, arena, &member->value, fault)
                                                     : pr_record_parse_msgpack(value, 1, arena, &member->value, fault);
    if (status != PR_RECORD_OK) {
        pr_record_fault_prepend(fault, member->key);
        return status;
    }
    map->u.map.n++;
    return PR_RECORD_OK;
}

/* Attributes in headers, data in the value. */
static enum pr_record_status decode_binary(const struct pr_record_input *in, struct pr_arena *arena,
                                           struct pr_record *out, struct pr_record_fault *fault) {
    const struct pr_span content_type = header_last(in, "content-type");
    const enum form form = data_form(media_type(content_type));
    if (form == FORM_OTHER) {
        return pr_record_fail(fault, PR_RECORD_UNSUPPORTED_FORMAT, PR_SPAN("content-type"),
                              "data in a format other than JSON and MessagePack: publish application/json");
    }
    struct pr_value map = {.kind = PR_VALUE_MAP};
    map.u.map.members =
        pr_arena_calloc(arena, in->headers_n + 2, sizeof(struct pr_member)); /* 2: datacontenttype, data */
    if (!map.u.map.members) {
        return pr_record_no_memory(fault);
    }
    enum pr_record_status status = PR_RECORD_OK;
    for (size_t i = 0; i < in->headers_n && status == PR_RECORD_OK; i++) {
        if (is_attribute_header(in->headers[i].name)) {
            status = add_header(&in->headers[i], arena, &map, fault);
        }
    }
    /* The Kafka binding carries `datacontenttype` in content-type, without the prefix. */
    if (status == PR_RECORD_OK && content_type.n > 0 && !pr_value_get(&map, PR_SPAN("datacontenttype"))) {
        const struct pr_header header = {PR_SPAN("ce_datacontenttype"), content_type};
        status = add_header(&header, arena, &map, fault);
    }
    status = status == PR_RECORD_OK ? add_data(in->value, form, arena, &map, fault) : status;
    return status == PR_RECORD_OK ? pr_record_from_map(&map, arena, out, fault) : status;
}

static bool has_attribute_header(const struct pr_record_input *in) {
    for (size_t i = 0; i < in->headers_n; i++) {
        if (is_attribute_header(in->headers[i].name)) {
            return true;
        }
    }
    return false;
}

static enum pr_record_status check_size(const struct pr_record_input *in, struct pr_record_fault *fault) {
    const size_t bytes_max = in->bytes_max ? in->bytes_max : PR_RECORD_BYTES_MAX;
    size_t bytes = in->value.n;
    if (in->headers_n > PR_RECORD_HEADERS_MAX) {
        return pr_record_fail(fault, PR_RECORD_TOO_LARGE, PR_SPAN(""), "%zu headers, at most %d are taken",
                              in->headers_n, PR_RECORD_HEADERS_MAX);
    }
    for (size_t i = 0; i < in->headers_n; i++) {
        bytes += in->headers[i].name.n + in->headers[i].value.n;
    }
    if (bytes > bytes_max) {
        return pr_record_fail(
            fault, PR_RECORD_TOO_LARGE, PR_SPAN(""),
            "%zu bytes with its headers, at most %zu are taken: publish what the message shows, not the whole order",
            bytes, bytes_max);
    }
    return PR_RECORD_OK;
}

enum pr_record_status pr_record_decode(const struct pr_record_input *in, struct pr_arena *arena, struct pr_record *out,
                                       struct pr_record_fault *fault) {
    *fault = (struct pr_record_fault){.text = ""};
    *out = (struct pr_record){.time_us = 0};
    if (!in->value.p && !has_attribute_header(in)) {
        return PR_RECORD_TOMBSTONE;
    }
    enum pr_record_status status = check_size(in, fault);
    if (status != PR_RECORD_OK) {
        return status;
    }
    const struct pr_span type = media_type(header_last(in, "content-type"));
    if (is_any_case(type, "application/cloudevents+json")) {
        return decode_structured(in->value, FORM_JSON, arena, out, fault);
    }
    if (is_any_case(type, "application/cloudevents+msgpack")) {
        return decode_structured(in->value, FORM_MSGPACK, arena, out, fault);
    }
    if (starts_any_case(type, "application/cloudevents")) {
        return pr_record_fail(
            fault, PR_RECORD_UNSUPPORTED_FORMAT, PR_SPAN("content-type"),
            "a CloudEvents batch or another event format: publish application/cloudevents+json, one event a record");
    }
    if (header_last(in, "ce_specversion").p) {
        return decode_binary(in, arena, out, fault);
    }
    return decode_bare(in->value, arena, out, fault);
}

const char *pr_record_status_name(enum pr_record_status status) {
    switch (status) {
    case PR_RECORD_OK: return "ok";
    case PR_RECORD_TOMBSTONE: return "tombstone";
    case PR_RECORD_UNDECODABLE: return "undecodable";
    case PR_RECORD_UNSUPPORTED_FORMAT: return "unsupported_format";
    case PR_RECORD_SCHEMA_REGISTRY: return "schema_registry_format";
    case PR_RECORD_TOO_LARGE: return "too_large";
    case PR_RECORD_TOO_DEEP: return "too_deep";
    case PR_RECORD_BAD_UTF8: return "bad_utf8";
    case PR_RECORD_BAD_ATTRIBUTE: return "bad_attribute";
    case PR_RECORD_NO_MEMORY: return "no_memory";
    }
    return "undecodable";
}
