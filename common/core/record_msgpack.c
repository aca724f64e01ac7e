/* MessagePack into values: a scan that believes no length before the bytes are there, then msgpack-c. */
#include "core/record_private.h"

#include "base/check.h"
#include "core/utf8.h"

#include <bsd/stdlib.h>
#include <math.h>
#include <msgpack.h>

/* 9999-12-31T23:59:59Z: what RFC 3339 and our clock can write. */
static const int64_t last_second = 253402300799;

enum scan_class { SCAN_SCALAR, SCAN_STRING, SCAN_ARRAY, SCAN_MAP, SCAN_NEVER };

/* One item's head: for strings and scalars `n` is the payload's bytes, for arrays and maps the number of entries. */
struct scan_item {
    enum scan_class class;
    uint64_t n;
};

struct scan_format {
    uint8_t class;        /* enum scan_class */
    uint8_t length_bytes; /* big-endian length behind the first byte */
    uint8_t fixed;        /* payload besides that length; an ext has its type byte here */
};

/* 0xc0 to 0xdf. https://github.com/msgpack/msgpack/blob/master/spec.md, "Overview" */
static const struct scan_format formats[32] = {
    {SCAN_SCALAR, 0, 0},  /* c0 nil */
    {SCAN_NEVER, 0, 0},   /* c1 */
    {SCAN_SCALAR, 0, 0},  /* c2 false */
    {SCAN_SCALAR, 0, 0},  /* c3 true */
    {SCAN_STRING, 1, 0},  /* c4 bin 8 */
    {SCAN_STRING, 2, 0},  /* c5 bin 16 */
    {SCAN_STRING, 4, 0},  /* c6 bin 32 */
    {SCAN_SCALAR, 1, 1},  /* c7 ext 8 */
    {SCAN_SCALAR, 2, 1},  /* c8 ext 16 */
    {SCAN_SCALAR, 4, 1},  /* c9 ext 32 */
    {SCAN_SCALAR, 0, 4},  /* ca float 32 */
    {SCAN_SCALAR, 0, 8},  /* cb float 64 */
    {SCAN_SCALAR, 0, 1},  /* cc uint 8 */
    {SCAN_SCALAR, 0, 2},  /* cd uint 16 */
    {SCAN_SCALAR, 0, 4},  /* ce uint 32 */
    {SCAN_SCALAR, 0, 8},  /* cf uint 64 */
    {SCAN_SCALAR, 0, 1},  /* d0 int 8 */
    {SCAN_SCALAR, 0, 2},  /* d1 int 16 */
    {SCAN_SCALAR, 0, 4},  /* d2 int 32 */
    {SCAN_SCALAR, 0, 8},  /* d3 int 64 */
    {SCAN_SCALAR, 0, 2},  /* d4 fixext 1 */
    {SCAN_SCALAR, 0, 3},  /* d5 fixext 2 */
    {SCAN_SCALAR, 0, 5},  /* d6 fixext 4 */
    {SCAN_SCALAR, 0, 9},  /* d7 fixext 8 */
    {SCAN_SCALAR, 0, 17}, /* d8 fixext 16 */
    {SCAN_STRING, 1, 0},  /* d9 str 8 */
    {SCAN_STRING, 2, 0},  /* da str 16 */
    {SCAN_STRING, 4, 0},  /* db str 32 */
    {SCAN_ARRAY, 2, 0},   /* dc array 16 */
    {SCAN_ARRAY, 4, 0},   /* dd array 32 */
    {SCAN_MAP, 2, 0},     /* de map 16 */
    {SCAN_MAP, 4, 0},     /* df map 32 */
};

struct scan_level {
    uint64_t left; /* entries to come; a map's key and value count as two */
    bool is_map;
};

struct scan {
    const unsigned char *p;
    size_t n, at;
    size_t nodes; /* bytes of values and members that the tree will take */
    uint32_t levels;
    struct scan_level level[PR_RECORD_DEPTH_MAX];
};

/*
 * The formats whose first byte holds their length: fixmap, fixarray, fixstr; and the small integers, which are only
 * that byte.
 */
static struct scan_item scan_fix(unsigned char b) {
    if (b < 0x80 || b >= 0xE0) {
        return (struct scan_item){SCAN_SCALAR, 0};
    }
    if (b >= 0xA0) {
        return (struct scan_item){SCAN_STRING, b & 0x1Fu};
    }
    return (struct scan_item){b >= 0x90 ? SCAN_ARRAY : SCAN_MAP, b & 0x0Fu};
}

/*
 * Reads a head and, for scalars and strings, passes the payload. False: the bytes end before it does, or no such
 * format.
 */
static bool scan_next(struct scan *s, struct scan_item *item) {
    if (s->at >= s->n) {
        return false;
    }
    const unsigned char b = s->p[s->at++];
    struct scan_format format = {SCAN_SCALAR, 0, 0};
    if (b >= 0xC0 && b <= 0xDF) {
        format = formats[b - 0xC0];
        *item = (struct scan_item){(enum scan_class)format.class, 0};
    } else {
        *item = scan_fix(b);
    }
    if (item->class == SCAN_NEVER || format.length_bytes > s->n - s->at) {
        return false;
    }
    for (unsigned i = 0; i < format.length_bytes; i++) {
        item->n = item->n << 8 | s->p[s->at++];
    }
    item->n += format.fixed;
    /* An entry takes at least a byte, so a count above the bytes that are left is a lie and reserves nothing. */
    if (item->n * (item->class == SCAN_MAP ? 2 : 1) > s->n - s->at) {
        return false;
    }
    if (item->class == SCAN_SCALAR || item->class == SCAN_STRING) {
        s->at += (size_t)item->n;
    }
    return true;
}

/* Enters a map or array; an empty one is left again at once. */
static void scan_enter(struct scan *s, const struct scan_item *item) {
    bool is_map = item->class == SCAN_MAP;
    s->nodes += (size_t)item->n * (is_map ? sizeof(struct pr_member) : sizeof(struct pr_value));
    s->level[s->levels++] = (struct scan_level){item->n * (is_map ? 2 : 1), is_map};
}

static enum pr_record_status scan_one(struct scan *s, uint32_t depth_used, struct pr_record_fault *fault) {
    struct scan_item item;
    struct scan_level *outer = s->levels ? &s->level[s->levels - 1] : NULL;
    const bool is_key = outer && outer->is_map && outer->left % 2 == 0;
    if (!scan_next(s, &item)) {
        return pr_record_fail(fault, PR_RECORD_UNDECODABLE, PR_SPAN(""),
                              "the MessagePack is cut short or broken at byte %zu", s->at);
    }
    if (is_key && item.class != SCAN_STRING) {
        return pr_record_fail(fault, PR_RECORD_UNDECODABLE, PR_SPAN(""), "a map key that is no string, before byte %zu",
                              s->at);
    }
    if (outer) {
        outer->left--;
    }
    if (item.class == SCAN_ARRAY || item.class == SCAN_MAP) {
        if (depth_used + s->levels + 1 > PR_RECORD_DEPTH_MAX) {
            return pr_record_fail(fault, PR_RECORD_TOO_DEEP, PR_SPAN(""),
                                  "nested deeper than %d levels: flatten `data`", PR_RECORD_DEPTH_MAX);
        }
        scan_enter(s, &item);
    }
    while (s->levels && s->level[s->levels - 1].left == 0) {
        s->levels--;
    }
    return PR_RECORD_OK;
}

/* One complete item and nothing behind it; `nodes` is the memory its tree takes. */
static enum pr_record_status scan_all(struct pr_span text, uint32_t depth_used, size_t *nodes,
                                      struct pr_record_fault *fault) {
    struct scan s = {.p = (const unsigned char *)text.p, .n = text.n};
    do {
        enum pr_record_status status = scan_one(&s, depth_used, fault);
        if (status != PR_RECORD_OK) {
            return status;
        }
    } while (s.levels);
    if (s.at != s.n) {
        return pr_record_fail(fault, PR_RECORD_UNDECODABLE, PR_SPAN(""), "%zu bytes behind the end of the MessagePack",
                              s.n - s.at);
    }
    *nodes = s.nodes;
    return PR_RECORD_OK;
}

struct convert {
    struct pr_pool nodes;
    struct pr_arena *arena; /* scratch for sorting keys */
    struct pr_record_fault *fault;
};

static enum pr_record_status convert(struct convert *c, const msgpack_object *v, struct pr_value *out);

static enum pr_record_status convert_text(struct convert *c, const char *p, size_t n, struct pr_span *out) {
    *out = pr_span_make(p, n);
    if (!pr_utf8_valid(*out)) {
        return pr_record_fail(c->fault, PR_RECORD_BAD_UTF8, PR_SPAN(""),
                              "a string that is not valid UTF-8, or has a zero byte: publish UTF-8 without U+0000");
    }
    return PR_RECORD_OK;
}

static enum pr_record_status convert_double(struct convert *c, double d, struct pr_value *out) {
    out->kind = PR_VALUE_DOUBLE;
    out->u.d = d;
    if (!isfinite(d)) {
        return pr_record_fail(c->fault, PR_RECORD_UNDECODABLE, PR_SPAN(""),
                              "a number that is NaN or infinite: JSON has none either");
    }
    return PR_RECORD_OK;
}

/* Ext -1 is a point in time; what stands behind the microseconds is dropped. */
static enum pr_record_status convert_time(struct convert *c, const msgpack_object *v, struct pr_value *out) {
    msgpack_timestamp t;
    if (!msgpack_object_to_timestamp(v, &t) || t.tv_nsec > 999999999) {
        return pr_record_fail(c->fault, PR_RECORD_UNDECODABLE, PR_SPAN(""),
                              "a MessagePack extension other than a timestamp (type -1, 4, 8 or 12 bytes)");
    }
    if (t.tv_sec < 0 || t.tv_sec > last_second) {
        return pr_record_fail(c->fault, PR_RECORD_BAD_ATTRIBUTE, PR_SPAN(""),
                              "a timestamp outside the years 1970 to 9999");
    }
    out->kind = PR_VALUE_TIME;
    out->u.i = t.tv_sec * 1000000 + t.tv_nsec / 1000;
    return PR_RECORD_OK;
}

static enum pr_record_status convert_array(struct convert *c, const msgpack_object_array *v, struct pr_value *out) {
    out->kind = PR_VALUE_ARRAY;
    out->u.array.n = v->size;
    out->u.array.items = pr_pool_take(&c->nodes, v->size * sizeof(struct pr_value));
    for (uint32_t i = 0; i < v->size; i++) {
        enum pr_record_status status = convert(c, &v->ptr[i], &out->u.array.items[i]);
        if (status != PR_RECORD_OK) {
            return status;
        }
    }
    return PR_RECORD_OK;
}

static int key_order(const struct pr_span *a, const struct pr_span *b) {
    if (a->n != b->n) {
        return a->n < b->n ? -1 : 1;
    }
    return a->n ? memcmp(a->p, b->p, a->n) : 0;
}

static int key_pointer_order(const void *a, const void *b) {
    return key_order(&(*(const struct pr_member *const *)a)->key, &(*(const struct pr_member *const *)b)->key);
}

/* Sorts pointers: no hash that a hostile record could collide, and heapsort needs no memory of its own. */
static const struct pr_member *twin_by_sorting(const struct pr_member *members, uint32_t n, struct pr_arena *arena) {
    const struct pr_arena_mark mark = pr_arena_mark(arena);
    const struct pr_member **order = pr_arena_calloc(arena, n, sizeof(*order));
    const struct pr_member *twin = NULL;
    if (!order) {
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        order[i] = &members[i];
    }
    (void)heapsort(order, n, sizeof(*order), key_pointer_order); /* fails only for elements of size 0 */
    for (uint32_t i = 1; i < n && !twin; i++) {
        twin = key_order(&order[i - 1]->key, &order[i]->key) == 0 ? order[i] : NULL;
    }
    pr_arena_rewind(arena, mark);
    return twin;
}

/*
 * A member whose key another one has too, or NULL. Up to 16 members, which is nearly every map, comparing all pairs is
 * faster.
 */
static const struct pr_member *key_twin(const struct pr_member *members, uint32_t n, struct pr_arena *arena) {
    if (n > 16) {
        return twin_by_sorting(members, n, arena);
    }
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (key_order(&members[i].key, &members[j].key) == 0) {
                return &members[i];
            }
        }
    }
    return NULL;
}

/* The scan let only strings be keys; `bin` is one as well. */
static enum pr_record_status convert_key(struct convert *c, const msgpack_object *v, struct pr_span *out) {
    bool is_bin = v->type == MSGPACK_OBJECT_BIN;
    return is_bin ? convert_text(c, v->via.bin.ptr, v->via.bin.size, out)
                  : convert_text(c, v->via.str.ptr, v->via.str.size, out);
}

static enum pr_record_status convert_map(struct convert *c, const msgpack_object_map *v, struct pr_value *out) {
    struct pr_member *members = pr_pool_take(&c->nodes, v->size * sizeof(*members));
    out->kind = PR_VALUE_MAP;
    out->u.map.n = v->size;
    out->u.map.members = members;
    for (uint32_t i = 0; i < v->size; i++) {
        enum pr_record_status status = convert_key(c, &v->ptr[i].key, &members[i].key);
        if (status != PR_RECORD_OK) {
            return status;
        }
        status = convert(c, &v->ptr[i].val, &members[i].value);
        if (status != PR_RECORD_OK) {
            pr_record_fault_prepend(c->fault, members[i].key);
            return status;
        }
    }
    const struct pr_member *twin = key_twin(members, v->size, c->arena);
    if (twin) {
        return pr_record_fail(c->fault, PR_RECORD_UNDECODABLE, twin->key, "the same key twice in one map");
    }
    return c->arena->failed ? pr_record_no_memory(c->fault) : PR_RECORD_OK;
}

static enum pr_record_status convert(struct convert *c, const msgpack_object *v, struct pr_value *out) {
    *out = (struct pr_value){.kind = PR_VALUE_NULL};
    switch (v->type) {
    case MSGPACK_OBJECT_NIL: return PR_RECORD_OK;
    case MSGPACK_OBJECT_BOOLEAN:
        *out = (struct pr_value){.kind = PR_VALUE_BOOL, .u.b = v->via.boolean};
        return PR_RECORD_OK;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (v->via.u64 > INT64_MAX) {
            return convert_double(c, (double)v->via.u64, out);
        }
        *out = (struct pr_value){.kind = PR_VALUE_INT, .u.i = (int64_t)v->via.u64};
        return PR_RECORD_OK;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *out = (struct pr_value){.kind = PR_VALUE_INT, .u.i = v->via.i64};
        return PR_RECORD_OK;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return convert_double(c, v->via.f64, out);
    case MSGPACK_OBJECT_STR:
        out->kind = PR_VALUE_STRING;
        return convert_text(c, v->via.str.ptr, v->via.str.size, &out->u.s);
    case MSGPACK_OBJECT_BIN:
        out->kind = PR_VALUE_STRING;
        return convert_text(c, v->via.bin.ptr, v->via.bin.size, &out->u.s);
    case MSGPACK_OBJECT_ARRAY: return convert_array(c, &v->via.array, out);
    case MSGPACK_OBJECT_MAP: return convert_map(c, &v->via.map, out);
    case MSGPACK_OBJECT_EXT: return convert_time(c, v, out);
    }
    return PR_RECORD_UNDECODABLE;
}

enum pr_record_status pr_record_parse_msgpack(struct pr_span text, uint32_t depth_used, struct pr_arena *arena,
                                              struct pr_value *out, struct pr_record_fault *fault) {
    size_t nodes = 0;
    enum pr_record_status status = scan_all(text, depth_used, &nodes, fault);
    if (status != PR_RECORD_OK) {
        return status;
    }
    struct convert c = {.arena = arena, .fault = fault};
    /* msgpack-c leaves strings where they are, so the tree points into this copy and not into Kafka's memory. */
    const struct pr_span copy = pr_arena_copy(arena, text);
    if (!copy.p || !pr_pool_init(&c.nodes, arena, nodes)) {
        return pr_record_no_memory(fault);
    }
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 0;
    msgpack_unpack_return result = msgpack_unpack_next(&unpacked, copy.p, copy.n, &at);
    if (result == MSGPACK_UNPACK_SUCCESS) {
        status = convert(&c, &unpacked.data, out);
    } else {
        /* The scan took the same bytes, so only malloc can have said no. */
        status = pr_record_no_memory(fault);
    }
    msgpack_unpacked_destroy(&unpacked);
    return status;
}
