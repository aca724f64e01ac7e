/* Text with holes, "Oi {{1}}, seu pedido {{2}}": parsed once, measured and filled many times. */
#ifndef PR_CORE_PATTERN_H
#define PR_CORE_PATTERN_H

#include "base/buf.h"
#include "core/compile.h"
#include "core/template.h"

/* The parameter names that the patterns of one component share. Zero it and set `is_named` before the first pattern. */
struct pr_names {
    bool is_named; /* {{first_name}}; else {{1}} */
    uint16_t n;    /* named: how many so far; positional: the highest number */
    uint64_t seen; /* positional: bit k-1 for {{k}} */
    struct pr_span items[PR_TEMPLATE_PARAMS_MAX];
};

/*
 * Parses `text`, which lives in the compile's arena: literals and names point into it. "{{" always begins a hole; one
 * that is not closed, or holds anything but a name of the kind, is a fault. Positional holes are in `param` by number
 * - 1.
 */
bool pr_pattern_compile(const struct pr_compile *c, const struct pr_place *at, struct pr_span text,
                        struct pr_names *names, struct pr_pattern *out) PR_MUST_CHECK;

/* Positional numbers must be 1 to n without a gap; a fault at `at` otherwise. Always true of named ones. */
bool pr_names_are_whole(const struct pr_compile *c, const struct pr_place *at,
                        const struct pr_names *names) PR_MUST_CHECK;

/* Appends the text with `values[param]` in its holes. */
void pr_pattern_put(const struct pr_pattern *pattern, const struct pr_span *values, struct pr_buf *out);

#endif
