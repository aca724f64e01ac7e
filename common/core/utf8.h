/* Strict UTF-8: what PostgreSQL, JSON and the platform all take without complaint. */
#ifndef PR_CORE_UTF8_H
#define PR_CORE_UTF8_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether `s` is well-formed UTF-8 by RFC 3629 (no overlong forms, no surrogates, nothing over U+10FFFF) and free of
 * U+0000, which PostgreSQL's text cannot hold. The empty span is valid. Any thread.
 */
bool pr_utf8_valid(struct pr_span s);

/* Characters (code points) in `s`, which must be valid. */
size_t pr_utf8_count(struct pr_span s);

/* The first `chars` characters of `s`, which must be valid: all of it when it has no more. Borrows from `s`. */
struct pr_span pr_utf8_cut(struct pr_span s, size_t chars);

/* As much of `s`, which must be valid, as fits in `bytes` without splitting a character. Borrows from `s`. */
struct pr_span pr_utf8_cut_bytes(struct pr_span s, size_t bytes);

#endif
