/* A parsed tree of data, as events carry it: what rules point into with dotted paths. */
#ifndef PR_CORE_VALUE_H
#define PR_CORE_VALUE_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum pr_value_kind {
    PR_VALUE_NULL,
    PR_VALUE_BOOL,
    PR_VALUE_INT,    /* fits int64 */
    PR_VALUE_DOUBLE, /* finite, or an integer beyond int64 */
    PR_VALUE_STRING, /* valid UTF-8 without U+0000 */
    PR_VALUE_TIME,   /* MessagePack timestamp: microseconds since 1970 in `i`, years 1970 to 9999 */
    PR_VALUE_ARRAY,
    PR_VALUE_MAP,
};

/* Immutable after decoding; lives as long as the arena it was made in. */
struct pr_value {
    enum pr_value_kind kind;
    union {
        bool b;
        int64_t i;
        double d;
        struct pr_span s;
        struct {
            uint32_t n;
            struct pr_value *items;
        } array;
        struct {
            uint32_t n;
            struct pr_member *members; /* in the order of the input; keys are unique */
        } map;
    } u;
};

struct pr_member {
    struct pr_span key;
    struct pr_value value;
};

/* The member `key` of a map; NULL when there is none or `v` is NULL or no map. */
const struct pr_value *pr_value_get(const struct pr_value *v, struct pr_span key);

/*
 * Follows a dotted path ("customer.first_name", "items.0.name"; a number indexes an array). NULL when a step is missing
 * or its value is null.
 */
const struct pr_value *pr_value_path(const struct pr_value *v, struct pr_span path);

/*
 * The scalar as plain text: the string itself, "true", "101.81" (the shortest form that reads back the same; 5.0 is
 * "5"), time as RFC 3339. Lives as long as `v` and the arena. False for maps, arrays, null and NULL, and when the arena
 * is full (`failed`).
 */
bool pr_value_text(const struct pr_value *v, struct pr_arena *arena, struct pr_span *text) PR_MUST_CHECK;

/*
 * Appends the value as JSON (time as an RFC 3339 string, a double always with point or exponent). `v` may be NULL:
 * null.
 */
void pr_value_json(const struct pr_value *v, struct pr_buf *out);

#endif
