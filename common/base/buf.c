/* Growth by doubling under a ceiling, and JSON string escaping. */
#include "base/buf.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

void pr_buf_init(struct pr_buf *buf, size_t bytes_max) {
    pr_assert(bytes_max > 0);
    *buf = (struct pr_buf){.bytes_max = bytes_max};
}

/* Room for `n` more bytes and the final NUL. */
static bool buf_reserve(struct pr_buf *buf, size_t n) {
    if (buf->failed || n > buf->bytes_max - buf->n) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->n + n + 1;
    if (need <= buf->room) {
        return true;
    }
    size_t room = buf->room ? buf->room * 2 : 128;
    room = room < need ? need : room;
    char *p = realloc(buf->p, room);
    if (!p) {
        pr_memory_failed("buffer");
        buf->failed = true;
        return false;
    }
    buf->p = p;
    buf->room = room;
    return true;
}

void pr_buf_put(struct pr_buf *buf, const void *p, size_t n) {
    if (n == 0 || !buf_reserve(buf, n)) {
        return;
    }
    memcpy(buf->p + buf->n, p, n);
    buf->n += n;
    buf->p[buf->n] = '\0';
}

void pr_buf_put_span(struct pr_buf *buf, struct pr_span s) {
    pr_buf_put(buf, s.p, s.n);
}

void pr_buf_put_text(struct pr_buf *buf, const char *text) {
    pr_buf_put(buf, text, strlen(text));
}

void pr_buf_put_char(struct pr_buf *buf, char c) {
    pr_buf_put(buf, &c, 1);
}

void pr_buf_vprintf(struct pr_buf *buf, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0) {
        buf->failed = true;
    } else if (buf_reserve(buf, (size_t)n)) {
        (void)vsnprintf(buf->p + buf->n, (size_t)n + 1, fmt, again);
        buf->n += (size_t)n;
    }
    va_end(again);
}

void pr_buf_printf(struct pr_buf *buf, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    pr_buf_vprintf(buf, fmt, args);
    va_end(args);
}

void pr_buf_put_json(struct pr_buf *buf, struct pr_span s) {
    static const char hex[] = "0123456789abcdef";
    pr_buf_put_char(buf, '"');
    size_t start = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        pr_buf_put(buf, s.p + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', (char)c};
            pr_buf_put(buf, pair, 2);
        } else if (c == '\n') {
            pr_buf_put(buf, "\\n", 2);
        } else {
            char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            pr_buf_put(buf, six, 6);
        }
    }
    pr_buf_put(buf, s.p + start, s.n - start);
    pr_buf_put_char(buf, '"');
}

struct pr_span pr_buf_span(const struct pr_buf *buf) {
    return (struct pr_span){buf->p, buf->n};
}

const char *pr_buf_text(const struct pr_buf *buf) {
    return buf->p ? buf->p : "";
}

void pr_buf_reset(struct pr_buf *buf) {
    buf->n = 0;
    buf->failed = false;
    if (buf->p) {
        buf->p[0] = '\0';
    }
}

void pr_buf_free(struct pr_buf *buf) {
    free(buf->p);
    pr_buf_init(buf, buf->bytes_max);
}
