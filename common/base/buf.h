/* A growing run of bytes with a ceiling; the one way to build text whose length is not known beforehand. */
#ifndef PR_BASE_BUF_H
#define PR_BASE_BUF_H

#include "base/attr.h"
#include "base/span.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * One thread at a time. `failed` is sticky: after the ceiling or malloc said no, nothing more is added, so a caller may
 * write a whole document and look once. The bytes are always followed by a NUL that `n` does not count.
 */
struct pr_buf {
    char *p; /* NULL while empty */
    size_t n;
    size_t room;
    size_t bytes_max;
    bool failed;
};

void pr_buf_init(struct pr_buf *buf, size_t bytes_max);
void pr_buf_put(struct pr_buf *buf, const void *p, size_t n);
void pr_buf_put_span(struct pr_buf *buf, struct pr_span s);
void pr_buf_put_text(struct pr_buf *buf, const char *text);
void pr_buf_put_char(struct pr_buf *buf, char c);
void pr_buf_printf(struct pr_buf *buf, const char *fmt, ...) PR_PRINTF(2, 3);
void pr_buf_vprintf(struct pr_buf *buf, const char *fmt, va_list args) PR_PRINTF(2, 0);

/* `s` as a JSON string with its quotes. `s` must be valid UTF-8; control characters, quote and backslash are escaped. */
void pr_buf_put_json(struct pr_buf *buf, struct pr_span s);

/* The bytes so far; valid until the next change of the buffer. */
struct pr_span pr_buf_span(const struct pr_buf *buf);

/* The bytes so far as a C string ("" while empty); valid until the next change of the buffer. */
const char *pr_buf_text(const struct pr_buf *buf);

/* Empties the buffer and clears `failed`, keeps its memory. */
void pr_buf_reset(struct pr_buf *buf);
void pr_buf_free(struct pr_buf *buf);

#endif
