/* A run of bytes somebody else owns: the string type of the whole project. Never assumed NUL-terminated. */
#ifndef PR_BASE_SPAN_H
#define PR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* `p` may be NULL only when `n` is 0. The owner and the lifetime are stated where a span is handed over. */
struct pr_span {
    const char *p;
    size_t n;
};

/* A span over a string literal; its length is known when compiling. */
#define PR_SPAN(literal) ((struct pr_span){"" literal, sizeof(literal) - 1})

/* printf("%.*s", PR_SPAN_ARG(s)) */
#define PR_SPAN_ARG(s) (int)(s).n, (s).p

static inline struct pr_span pr_span_of(const char *text) {
    return (struct pr_span){text, text ? strlen(text) : 0};
}

static inline struct pr_span pr_span_make(const void *p, size_t n) {
    return (struct pr_span){(const char *)p, n};
}

static inline bool pr_span_eq(struct pr_span a, struct pr_span b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool pr_span_is(struct pr_span a, const char *text) {
    return pr_span_eq(a, pr_span_of(text));
}

static inline bool pr_span_starts(struct pr_span a, struct pr_span prefix) {
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

/* The part of `a` after its first `n` bytes; empty when there are fewer. */
static inline struct pr_span pr_span_skip(struct pr_span a, size_t n) {
    return n >= a.n ? (struct pr_span){a.p + a.n, 0} : (struct pr_span){a.p + n, a.n - n};
}

#endif
