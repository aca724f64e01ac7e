/* One pass counts the holes, so that the arena is asked once; the second fills. */
#include "core/pattern.h"

#include "core/utf8.h"

static const char *find_pair(struct pr_span text, const char *pair) {
    return text.n ? memmem(text.p, text.n, pair, 2) : NULL;
}

static uint32_t count_holes(struct pr_span text) {
    uint32_t holes = 0;
    for (const char *open; (open = find_pair(text, "{{")) != NULL; holes++) {
        text = pr_span_skip(text, (size_t)(open - text.p) + 2);
    }
    return holes;
}

/* {{1}} to {{64}}, without leading zeros; 0 for anything else. */
static unsigned positional_number(struct pr_span name) {
    unsigned number = 0;
    if (name.n == 0 || name.n > 2 || name.p[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < '0' || name.p[i] > '9') {
            return 0;
        }
        number = number * 10 + (unsigned)(name.p[i] - '0');
    }
    return number <= PR_TEMPLATE_PARAMS_MAX ? number : 0;
}

static bool take_positional(const struct pr_compile *c, const struct pr_place *at, struct pr_span name,
                            struct pr_names *names, uint16_t *param) {
    unsigned number = positional_number(name);
    if (number == 0) {
        return pr_compile_fault(c, at, "{{%.*s}} is no positional parameter: {{1}} to {{%d}}",
                                (int)(name.n < 40 ? name.n : 40), name.p, PR_TEMPLATE_PARAMS_MAX);
    }
    names->items[number - 1] = name;
    names->seen |= UINT64_C(1) << (number - 1);
    names->n = number > names->n ? (uint16_t)number : names->n;
    *param = (uint16_t)(number - 1);
    return true;
}

static bool take_named(const struct pr_compile *c, const struct pr_place *at, struct pr_span name,
                       struct pr_names *names, uint16_t *param) {
    if (!pr_compile_is_name(name, PR_TEMPLATE_BODY_MAX) || positional_number(name) > 0) {
        return pr_compile_fault(
            c, at, "{{%.*s}} is no named parameter: lowercase letters, digits and underscores, not a number alone",
            (int)(name.n < 40 ? name.n : 40), name.p);
    }
    uint16_t i = 0;
    while (i < names->n && !pr_span_eq(names->items[i], name)) {
        i++;
    }
    if (i == PR_TEMPLATE_PARAMS_MAX) {
        return pr_compile_fault(c, at, "has more than %d parameters", PR_TEMPLATE_PARAMS_MAX);
    }
    names->items[i] = name;
    names->n = i == names->n ? (uint16_t)(i + 1) : names->n;
    *param = i;
    return true;
}

bool pr_pattern_compile(const struct pr_compile *c, const struct pr_place *at, struct pr_span text,
                        struct pr_names *names, struct pr_pattern *out) {
    uint32_t holes = count_holes(text);
    *out = (struct pr_pattern){
        .holes = holes,
        .literal = pr_arena_calloc(c->arena, (size_t)holes + 1, sizeof(struct pr_span)),
        .param = pr_arena_calloc(c->arena, (size_t)holes + 1, sizeof(uint16_t)),
    };
    if (!out->literal || !out->param) {
        return pr_compile_no_memory(c);
    }
    for (uint32_t i = 0; i < holes; i++) {
        const char *open = find_pair(text, "{{");
        struct pr_span inner = pr_span_skip(text, (size_t)(open - text.p) + 2);
        const char *close = find_pair(inner, "}}");
        if (!close) {
            return pr_compile_fault(c, at, "has \"{{\" without \"}}\"");
        }
        struct pr_span name = {inner.p, (size_t)(close - inner.p)};
        bool ok = names->is_named ? take_named(c, at, name, names, &out->param[i])
                                  : take_positional(c, at, name, names, &out->param[i]);
        if (!ok) {
            return false;
        }
        out->literal[i] = pr_span_make(text.p, (size_t)(open - text.p));
        out->literal_chars += (uint32_t)pr_utf8_count(out->literal[i]);
        text = pr_span_skip(inner, name.n + 2);
    }
    out->literal[holes] = text;
    out->literal_chars += (uint32_t)pr_utf8_count(text);
    return true;
}

bool pr_names_are_whole(const struct pr_compile *c, const struct pr_place *at, const struct pr_names *names) {
    for (unsigned i = 0; !names->is_named && i < names->n; i++) {
        if (!(names->seen >> i & 1U)) {
            return pr_compile_fault(c, at, "has {{%u}} but no {{%u}}: numbers go from 1 without a gap",
                                    (unsigned)names->n, i + 1);
        }
    }
    return true;
}

void pr_pattern_put(const struct pr_pattern *pattern, const struct pr_span *values, struct pr_buf *out) {
    for (uint32_t i = 0; i < pattern->holes; i++) {
        pr_buf_put_span(out, pattern->literal[i]);
        pr_buf_put_span(out, values[pattern->param[i]]);
    }
    pr_buf_put_span(out, pattern->literal[pattern->holes]);
}
