/* Byte loops over UTF-8; each first looks whether anything has to change, because mostly nothing has. */
#include "core/text.h"

#include "core/utf8.h"

#include <stdbool.h>
#include <stdint.h>

static bool is_continuation(char c) {
    return ((unsigned char)c & 0xc0U) == 0x80U;
}

/* The code point that starts at `at`; `s` is valid UTF-8, so its length follows from the first byte. */
static uint32_t char_at(struct pr_span s, size_t at) {
    unsigned char first = (unsigned char)s.p[at];
    uint32_t code = first < 0x80 ? first : first < 0xe0 ? first & 0x1fU : first < 0xf0 ? first & 0x0fU : first & 0x07U;
    for (size_t i = at + 1; i < s.n && is_continuation(s.p[i]); i++) {
        code = code << 6 | ((unsigned char)s.p[i] & 0x3fU);
    }
    return code;
}

static size_t char_before(struct pr_span s, size_t at) {
    do {
        at--;
    } while (at > 0 && is_continuation(s.p[at]));
    return at;
}

enum { ZERO_WIDTH_JOINER = 0x200d };

/* Characters that change the one before them. Source: Unicode blocks of combining marks, variation selectors, emoji
 * modifiers and tags. */
static bool is_extender(uint32_t c) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x0300, 0x036f},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {ZERO_WIDTH_JOINER, ZERO_WIDTH_JOINER},
        {0x20d0, 0x20ff},   {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0x1f3fb, 0x1f3ff},
        {0xe0020, 0xe007f},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static bool splits_character(struct pr_span s, size_t at) {
    return is_extender(char_at(s, at)) || char_at(s, char_before(s, at)) == ZERO_WIDTH_JOINER;
}

struct pr_span pr_text_cut(struct pr_span s, size_t max) {
    size_t end = pr_utf8_cut(s, max).n;
    if (end == s.n) {
        return s;
    }
    size_t whole = end;
    while (whole > 0 && splits_character(s, whole)) {
        whole = char_before(s, whole);
    }
    end = whole > 0 ? whole : end;
    while (end > 0 && s.p[end - 1] == ' ') {
        end--;
    }
    return (struct pr_span){s.p, end};
}

/* Bytes of the white space or control character at `i`, 0 when there is none. U+00A0 and its kind are text. */
static size_t white_at(struct pr_span s, size_t i) {
    unsigned char c = (unsigned char)s.p[i];
    if (c > 0x20 && c != 0x7f && c != 0xc2 && c != 0xe2) {
        return 0;
    }
    if (c <= 0x20 || c == 0x7f) {
        return 1;
    }
    unsigned char second = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
    if (c == 0xc2) {
        return second >= 0x80 && second <= 0x9f ? 2 : 0; /* C1 controls, with U+0085 next line */
    }
    unsigned char third = i + 2 < s.n ? (unsigned char)s.p[i + 2] : 0;
    return second == 0x80 && (third == 0xa8 || third == 0xa9) ? 3 : 0; /* line and paragraph separators */
}

/* Whether `s`, trimmed, has only single plain spaces between its words. */
static bool is_line(struct pr_span s) {
    bool after_space = false;
    for (size_t i = 0; i < s.n; i++) {
        bool is_white = white_at(s, i) > 0;
        if (is_white && (after_space || s.p[i] != ' ')) {
            return false;
        }
        after_space = is_white;
    }
    return true;
}

struct pr_span pr_text_line(struct pr_span s, struct pr_arena *arena) {
    while (s.n > 0 && white_at(s, 0) > 0) {
        s = pr_span_skip(s, white_at(s, 0));
    }
    while (s.n > 0 && white_at(s, char_before(s, s.n)) > 0) {
        s.n = char_before(s, s.n);
    }
    if (is_line(s)) {
        return s;
    }
    char *p = pr_arena_alloc(arena, s.n);
    if (!p) {
        return (struct pr_span){NULL, 0};
    }
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        size_t white = white_at(s, i);
        if (white == 0) {
            p[n++] = s.p[i++];
            continue;
        }
        i += white;
        if (p[n - 1] != ' ') {
            p[n++] = ' ';
        }
    }
    return (struct pr_span){p, n};
}

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Unreserved, or reserved and allowed in path, query or fragment (RFC 3986 sections 2.2, 2.3 and 3.3 to 3.5). */
static bool is_url_char(struct pr_span s, size_t i) {
    char c = s.p[i];
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        return true;
    }
    if (c == '%') {
        return i + 2 < s.n && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2]);
    }
    return c != '\0' && strchr("-._~:/?#@!$&'()*+,;=", c) != NULL;
}

struct pr_span pr_text_url(struct pr_span s, struct pr_arena *arena) {
    static const char hex[] = "0123456789ABCDEF";
    size_t escapes = 0;
    for (size_t i = 0; i < s.n; i++) {
        escapes += !is_url_char(s, i);
    }
    if (escapes == 0) {
        return s;
    }
    char *p = pr_arena_alloc(arena, s.n + 2 * escapes);
    if (!p) {
        return (struct pr_span){NULL, 0};
    }
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (is_url_char(s, i)) {
            p[n++] = s.p[i];
            continue;
        }
        unsigned char c = (unsigned char)s.p[i];
        p[n++] = '%';
        p[n++] = hex[c >> 4];
        p[n++] = hex[c & 15];
    }
    return (struct pr_span){p, n};
}

void pr_text_scrub(char *text) {
    size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        unsigned char lead = (unsigned char)text[at];
        size_t len = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (len <= n - at && pr_utf8_valid(pr_span_make(text + at, len))) {
            at += len;
        } else {
            text[at++] = '?';
        }
    }
}
