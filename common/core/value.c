/* Look-up by key and by dotted path, and the text of a value for people and for JSON. */
#include "core/value.h"

#include "base/check.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* "-1.2345678901234567e+308" is 24 bytes; an integer below 1e21 with its sign is 22. */
enum { DOUBLE_TEXT = 40 };
_Static_assert((int)DOUBLE_TEXT >= (int)PR_TIME_TEXT, "one scratch for numbers and times");

const struct pr_value *pr_value_get(const struct pr_value *v, struct pr_span key) {
    if (!v || v->kind != PR_VALUE_MAP) {
        return NULL;
    }
    for (uint32_t i = 0; i < v->u.map.n; i++) {
        if (pr_span_eq(v->u.map.members[i].key, key)) {
            return &v->u.map.members[i].value;
        }
    }
    return NULL;
}

/* A canonical index ("0", "12", not "012"), so that one item has one path. */
static const struct pr_value *value_item(const struct pr_value *v, struct pr_span step) {
    uint32_t index = 0;
    if (step.n == 0 || step.n > 9 || (step.n > 1 && step.p[0] == '0')) {
        return NULL;
    }
    for (size_t i = 0; i < step.n; i++) {
        if (step.p[i] < '0' || step.p[i] > '9') {
            return NULL;
        }
        index = index * 10 + (uint32_t)(step.p[i] - '0');
    }
    return index < v->u.array.n ? &v->u.array.items[index] : NULL;
}

const struct pr_value *pr_value_path(const struct pr_value *v, struct pr_span path) {
    for (bool is_last = false; v && !is_last;) {
        const char *dot = path.n ? memchr(path.p, '.', path.n) : NULL;
        struct pr_span step = dot ? pr_span_make(path.p, (size_t)(dot - path.p)) : path;
        is_last = !dot;
        path = pr_span_skip(path, step.n + 1);
        v = v->kind == PR_VALUE_ARRAY ? value_item(v, step) : pr_value_get(v, step);
    }
    return v && v->kind != PR_VALUE_NULL ? v : NULL;
}

/*
 * libpostrider runs in other people's programs, where LC_NUMERIC may make the decimal point a comma or something
 * longer.
 */
static size_t double_point(char *text, size_t n) {
    size_t kept = 0;
    bool is_in_point = false;
    for (size_t i = 0; i < n; i++) {
        bool is_plain = (text[i] >= '0' && text[i] <= '9') || text[i] == '-' || text[i] == '+' || text[i] == 'e';
        if (is_plain) {
            text[kept++] = text[i];
        } else if (!is_in_point) {
            text[kept++] = '.';
        }
        is_in_point = !is_plain;
    }
    text[kept] = '\0';
    return kept;
}

/*
 * The shortest of 15 to 17 digits that reads back as the same number, so that 101.81 stays "101.81". Integers below
 * 1e21 are written out (the bound is JavaScript's): an order number must not become "1.2e+19".
 */
static size_t double_text(double d, char out[DOUBLE_TEXT]) {
    pr_assert(isfinite(d));
    int n = 0;
    if (fabs(d) < 1e21 && floor(d) >= d) {
        n = snprintf(out, DOUBLE_TEXT, "%.0f", d);
        return (size_t)n;
    }
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, DOUBLE_TEXT, "%.*g", digits, d);
        double back = strtod(out, NULL);
        if (back >= d && back <= d) {
            break;
        }
    }
    return double_point(out, (size_t)n);
}

bool pr_value_text(const struct pr_value *v, struct pr_arena *arena, struct pr_span *text) {
    char scratch[DOUBLE_TEXT];
    size_t n = 0;
    switch (v ? v->kind : PR_VALUE_NULL) {
    case PR_VALUE_STRING: *text = v->u.s; return true;
    case PR_VALUE_BOOL: *text = v->u.b ? PR_SPAN("true") : PR_SPAN("false"); return true;
    case PR_VALUE_INT: n = (size_t)snprintf(scratch, sizeof(scratch), "%lld", (long long)v->u.i); break;
    case PR_VALUE_DOUBLE: n = double_text(v->u.d, scratch); break;
    case PR_VALUE_TIME: n = (size_t)pr_time_format(v->u.i, scratch); break;
    case PR_VALUE_NULL:
    case PR_VALUE_ARRAY:
    case PR_VALUE_MAP: return false;
    }
    *text = pr_arena_copy(arena, pr_span_make(scratch, n));
    return text->p != NULL;
}

/* A double stays a double when it is read back: 5.0 keeps its point. */
static void json_double(double d, struct pr_buf *out) {
    char text[DOUBLE_TEXT];
    size_t n = double_text(d, text);
    pr_buf_put(out, text, n);
    if (!memchr(text, '.', n) && !memchr(text, 'e', n)) {
        pr_buf_put_text(out, ".0");
    }
}

static void json_time(int64_t us, struct pr_buf *out) {
    char text[PR_TIME_TEXT];
    int n = pr_time_format(us, text);
    pr_buf_put_json(out, pr_span_make(text, (size_t)n));
}

static void json_array(const struct pr_value *v, struct pr_buf *out) {
    pr_buf_put_char(out, '[');
    for (uint32_t i = 0; i < v->u.array.n; i++) {
        if (i > 0) {
            pr_buf_put_char(out, ',');
        }
        pr_value_json(&v->u.array.items[i], out);
    }
    pr_buf_put_char(out, ']');
}

static void json_map(const struct pr_value *v, struct pr_buf *out) {
    pr_buf_put_char(out, '{');
    for (uint32_t i = 0; i < v->u.map.n; i++) {
        if (i > 0) {
            pr_buf_put_char(out, ',');
        }
        pr_buf_put_json(out, v->u.map.members[i].key);
        pr_buf_put_char(out, ':');
        pr_value_json(&v->u.map.members[i].value, out);
    }
    pr_buf_put_char(out, '}');
}

void pr_value_json(const struct pr_value *v, struct pr_buf *out) {
    switch (v ? v->kind : PR_VALUE_NULL) {
    case PR_VALUE_NULL: pr_buf_put_text(out, "null"); break;
    case PR_VALUE_BOOL: pr_buf_put_text(out, v->u.b ? "true" : "false"); break;
    case PR_VALUE_INT: pr_buf_printf(out, "%lld", (long long)v->u.i); break;
    case PR_VALUE_DOUBLE: json_double(v->u.d, out); break;
    case PR_VALUE_STRING: pr_buf_put_json(out, v->u.s); break;
    case PR_VALUE_TIME: json_time(v->u.i, out); break;
    case PR_VALUE_ARRAY: json_array(v, out); break;
    case PR_VALUE_MAP: json_map(v, out); break;
    }
}
