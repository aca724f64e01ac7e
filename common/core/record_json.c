/* JSON into values: a scan that bounds nesting before the parser recurses, then jansson, then a copy into the arena. */
#include "core/record_private.h"
#include "core/utf8.h"

#include <jansson.h>

static const char int_max[] = "9223372036854775807";
static const char int_min[] = "9223372036854775808"; /* after the minus */

static bool json_is_number_char(char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Where the token that starts at `at` ends: a string, a number, or one byte of anything else. */
static size_t json_token_end(struct pr_span text, size_t at) {
    char c = text.p[at++];
    if (c == '"') {
        while (at < text.n && text.p[at] != '"') {
            at += text.p[at] == '\\' ? 2 : 1;
        }
        return at < text.n ? at + 1 : text.n;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        while (at < text.n && json_is_number_char(text.p[at])) {
            at++;
        }
    }
    return at;
}

/* Whether the token is an integer that int64 cannot hold: jansson would refuse the whole document for it. */
static bool json_is_huge_int(struct pr_span token) {
    bool is_negative = token.n > 0 && token.p[0] == '-';
    struct pr_span digits = pr_span_skip(token, is_negative ? 1 : 0);
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') {
            return false;
        }
    }
    const size_t n = sizeof(int_max) - 1;
    if (digits.n != n) {
        return digits.n > n;
    }
    return memcmp(digits.p, is_negative ? int_min : int_max, n) > 0;
}

/* The whole document, token by token: too deep or not, and how many integers are too large. */
static enum pr_record_status json_scan(struct pr_span text, uint32_t depth_used, size_t *huge,
                                       struct pr_record_fault *fault) {
    uint32_t depth = depth_used;
    *huge = 0;
    for (size_t at = 0, end; at < text.n; at = end) {
        end = json_token_end(text, at);
        char c = text.p[at];
        if (c == '{' || c == '[') {
            if (++depth > PR_RECORD_DEPTH_MAX) {
                return pr_record_fail(fault, PR_RECORD_TOO_DEEP, PR_SPAN(""),
                                      "nested deeper than %d levels: flatten `data`", PR_RECORD_DEPTH_MAX);
            }
        } else if ((c == '}' || c == ']') && depth > depth_used) {
            depth--;
        } else if (end - at > 1) {
            *huge += json_is_huge_int(pr_span_make(text.p + at, end - at));
        }
    }
    return PR_RECORD_OK;
}

/* A copy in which each huge integer is followed by "e0", so that the parser takes it as a double. */
static struct pr_span json_with_doubles(struct pr_span text, size_t huge, struct pr_arena *arena) {
    char *copy = pr_arena_alloc(arena, text.n + 2 * huge);
    size_t n = 0;
    for (size_t at = 0, end; copy && at < text.n; at = end) {
        end = json_token_end(text, at);
        memcpy(copy + n, text.p + at, end - at);
        n += end - at;
        if (json_is_huge_int(pr_span_make(text.p + at, end - at))) {
            memcpy(copy + n, "e0", 2);
            n += 2;
        }
    }
    return pr_span_make(copy, n);
}

/*
 * jansson quotes the input in its message; the input is somebody's phone number, so only what stands before that is
 * kept.
 */
static enum pr_record_status json_refused(const json_error_t *error, struct pr_record_fault *fault) {
    enum pr_record_status status = PR_RECORD_UNDECODABLE;
    const enum json_error_code code = json_error_code(error);
    const char *near = strstr(error->text, " near ");
    const char *quoted = strchr(error->text, '\'');
    size_t n = near ? (size_t)(near - error->text) : strlen(error->text);
    if (code == json_error_out_of_memory) {
        return pr_record_no_memory(fault);
    }
    /* A lone surrogate has no code of its own. JavaScript writes one when a string is cut inside an emoji. */
    bool is_surrogate = code == json_error_invalid_syntax && strncmp(error->text, "invalid Unicode", 15) == 0;
    if (is_surrogate || code == json_error_null_character || code == json_error_null_byte_in_key ||
        code == json_error_invalid_utf8) {
        status = PR_RECORD_BAD_UTF8;
        n = quoted && quoted < error->text + n ? (size_t)(quoted - error->text) : n;
    }
    if (code == json_error_duplicate_key) {
        return pr_record_fail(fault, status, PR_SPAN(""), "the same key twice in one map, at line %d column %d",
                              error->line, error->column);
    }
    return pr_record_fail(fault, status, PR_SPAN(""), "no JSON that can be read: %.*s, at line %d column %d", (int)n,
                          error->text, error->line, error->column);
}

/* What the tree will take: values and members, and the bytes of keys and strings. Depth is bounded by the scan. */
static void json_measure(json_t *v, size_t *nodes, size_t *chars) {
    if (json_is_string(v)) {
        *chars += json_string_length(v);
    } else if (json_is_array(v)) {
        *nodes += json_array_size(v) * sizeof(struct pr_value);
        for (size_t i = 0; i < json_array_size(v); i++) {
            json_measure(json_array_get(v, i), nodes, chars);
        }
    } else if (json_is_object(v)) {
        *nodes += json_object_size(v) * sizeof(struct pr_member);
        for (void *it = json_object_iter(v); it; it = json_object_iter_next(v, it)) {
            *chars += json_object_iter_key_len(it);
            json_measure(json_object_iter_value(it), nodes, chars);
        }
    }
}

struct tree_memory {
    struct pr_pool nodes, chars;
};

static struct pr_span copy_text(struct tree_memory *memory, const char *p, size_t n) {
    char *copy = pr_pool_take(&memory->chars, n);
    memcpy(copy, p, n);
    return pr_span_make(copy, n);
}

static void convert(json_t *v, struct tree_memory *memory, struct pr_value *out);

static void convert_array(json_t *v, struct tree_memory *memory, struct pr_value *out) {
    const size_t n = json_array_size(v);
    out->kind = PR_VALUE_ARRAY;
    out->u.array.n = (uint32_t)n;
    out->u.array.items = pr_pool_take(&memory->nodes, n * sizeof(struct pr_value));
    for (size_t i = 0; i < n; i++) {
        convert(json_array_get(v, i), memory, &out->u.array.items[i]);
    }
}

static void convert_map(json_t *v, struct tree_memory *memory, struct pr_value *out) {
    const size_t n = json_object_size(v);
    struct pr_member *member = pr_pool_take(&memory->nodes, n * sizeof(*member));
    out->kind = PR_VALUE_MAP;
    out->u.map.n = (uint32_t)n;
    out->u.map.members = member;
    for (void *it = json_object_iter(v); it; it = json_object_iter_next(v, it), member++) {
        member->key = copy_text(memory, json_object_iter_key(it), json_object_iter_key_len(it));
        convert(json_object_iter_value(it), memory, &member->value);
    }
}

static void convert(json_t *v, struct tree_memory *memory, struct pr_value *out) {
    *out = (struct pr_value){.kind = PR_VALUE_NULL};
    switch (json_typeof(v)) {
    case JSON_OBJECT: convert_map(v, memory, out); break;
    case JSON_ARRAY: convert_array(v, memory, out); break;
    case JSON_STRING:
        out->kind = PR_VALUE_STRING;
        out->u.s = copy_text(memory, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        out->kind = PR_VALUE_INT;
        out->u.i = json_integer_value(v);
        break;
    case JSON_REAL:
        out->kind = PR_VALUE_DOUBLE;
        out->u.d = json_real_value(v);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        out->kind = PR_VALUE_BOOL;
        out->u.b = json_is_true(v);
        break;
    case JSON_NULL: break;
    }
}

static enum pr_record_status json_take(json_t *root, struct pr_arena *arena, struct pr_value *out,
                                       struct pr_record_fault *fault) {
    struct tree_memory memory;
    size_t nodes = 0, chars = 0;
    json_measure(root, &nodes, &chars);
    if (!pr_pool_init(&memory.nodes, arena, nodes) || !pr_pool_init(&memory.chars, arena, chars)) {
        return pr_record_no_memory(fault);
    }
    convert(root, &memory, out);
    return PR_RECORD_OK;
}

enum pr_record_status pr_record_parse_json(struct pr_span text, uint32_t depth_used, struct pr_arena *arena,
                                           struct pr_value *out, struct pr_record_fault *fault) {
    if (!pr_utf8_valid(text)) {
        return pr_record_fail(fault, PR_RECORD_BAD_UTF8, PR_SPAN(""),
                              "the JSON is not valid UTF-8, or has a zero byte: publish UTF-8 without U+0000");
    }
    size_t huge = 0;
    enum pr_record_status status = json_scan(text, depth_used, &huge, fault);
    if (status != PR_RECORD_OK) {
        return status;
    }
    const struct pr_arena_mark mark = pr_arena_mark(arena);
    if (huge > 0) {
        text = json_with_doubles(text, huge, arena);
        if (!text.p) {
            return pr_record_no_memory(fault);
        }
    }
    json_error_t error;
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (huge > 0) {
        pr_arena_rewind(arena, mark);
    }
    status = root ? json_take(root, arena, out, fault) : json_refused(&error, fault);
    json_decref(root);
    return status;
}
