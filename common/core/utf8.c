/* Validation by lead byte, with a fast path over eight ASCII bytes at a time, which is nearly all of most events. */
#include "core/utf8.h"

#include <stdint.h>

static bool utf8_is_tail(unsigned char c) {
    return (c & 0xC0u) == 0x80u;
}

/* True when the eight bytes are all 0x01 to 0x7f: no high bit, and no byte is zero (the borrow trick finds those). */
static bool utf8_plain8(const char *p) {
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    uint64_t zero = (w - 0x0101010101010101u) & ~w & 0x8080808080808080u;
    return ((w & 0x8080808080808080u) | zero) == 0;
}

/* Length of the character that starts with `c`, 0 when none does. C0, C1 could only be overlong, F5 and up too large.
 */
static size_t utf8_lead(unsigned char c) {
    if (c < 0x80) {
        return c == 0 ? 0 : 1;
    }
    if (c < 0xC2 || c > 0xF4) {
        return 0;
    }
    return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/*
 * The second byte carries what the lead leaves open: overlong forms, surrogates, the end of Unicode (RFC 3629, section
 * 4).
 */
static bool utf8_second_ok(unsigned char lead, unsigned char c) {
    switch (lead) {
    case 0xE0: return c >= 0xA0 && c <= 0xBF;
    case 0xED: return c >= 0x80 && c <= 0x9F;
    case 0xF0: return c >= 0x90 && c <= 0xBF;
    case 0xF4: return c >= 0x80 && c <= 0x8F;
    default: return utf8_is_tail(c);
    }
}

/* Length of the valid character at the start of `p`, 0 when there is none within `n` bytes. */
static size_t utf8_char(const char *p, size_t n) {
    unsigned char lead = (unsigned char)p[0];
    size_t len = utf8_lead(lead);
    if (len < 2 || len > n) {
        return len > n ? 0 : len;
    }
    if (!utf8_second_ok(lead, (unsigned char)p[1])) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if (!utf8_is_tail((unsigned char)p[i])) {
            return 0;
        }
    }
    return len;
}

bool pr_utf8_valid(struct pr_span s) {
    size_t at = 0;
    while (at < s.n) {
        if (s.n - at >= 8 && utf8_plain8(s.p + at)) {
            at += 8;
            continue;
        }
        size_t len = utf8_char(s.p + at, s.n - at);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

size_t pr_utf8_count(struct pr_span s) {
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++) {
        count += !utf8_is_tail((unsigned char)s.p[i]);
    }
    return count;
}

struct pr_span pr_utf8_cut(struct pr_span s, size_t chars) {
    size_t seen = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!utf8_is_tail((unsigned char)s.p[i]) && seen++ == chars) {
            return pr_span_make(s.p, i);
        }
    }
    return s;
}

struct pr_span pr_utf8_cut_bytes(struct pr_span s, size_t bytes) {
    if (s.n <= bytes) {
        return s;
    }
    while (bytes > 0 && utf8_is_tail((unsigned char)s.p[bytes])) {
        bytes--;
    }
    return pr_span_make(s.p, bytes);
}
