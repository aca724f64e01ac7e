/* Recursive descent with a depth limit; strings are checked for UTF-8 and escapes while their end is looked for. */
#include "scan.h"

struct scanner {
    struct pr_doc *doc;
    const unsigned char *p;
    uint32_t at;
    uint32_t end;
    uint32_t depth;
};

static bool scan_value(struct scanner *s);

static bool scan_fault(struct scanner *s, const char *fault) {
    s->doc->fault = fault;
    s->doc->fault_at = s->at;
    return false;
}

static void scan_space(struct scanner *s) {
    uint32_t at = s->at;
    while (at < s->end && (s->p[at] == ' ' || s->p[at] == '\n' || s->p[at] == '\r' || s->p[at] == '\t')) {
        at++;
    }
    s->at = at;
}

/* Whether any of eight bytes ends a run of plain text: quote, backslash, control character or above 0x7f. */
static bool has_special(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ (ones * '"');
    uint64_t slash = word ^ (ones * '\\');
    return (((word - ones * 0x20) | (quote - ones) | (slash - ones) | word) & high) != 0;
}

/* Over the bytes of a string that need no look of their own, eight at a time while there are eight. */
static void scan_plain(struct scanner *s) {
    uint32_t at = s->at;
    uint64_t word;
    while (s->end - at >= sizeof word) {
        memcpy(&word, s->p + at, sizeof word);
        if (has_special(word)) {
            break;
        }
        at += (uint32_t)sizeof word;
    }
    while (at < s->end && s->p[at] != '"' && s->p[at] != '\\' && s->p[at] >= 0x20 && s->p[at] < 0x80) {
        at++;
    }
    s->at = at;
}

static bool scan_token(struct scanner *s, enum pr_token_kind kind, uint32_t *token) {
    if (s->doc->n == PR_SCAN_TOKENS) {
        return scan_fault(s, "too many values");
    }
    *token = s->doc->n++;
    s->doc->token[*token] = (struct pr_token){.at = s->at, .kind = kind};
    return true;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const unsigned char *p) {
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int lower = p[i] | 0x20;
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (digit < 0) {
            return -1;
        }
        v = v << 4 | digit;
    }
    return v;
}

/* At a backslash that should start \uXXXX; steps over it. -1 when it is not one. */
static int32_t scan_unicode(struct scanner *s) {
    if (s->end - s->at < 6 || s->p[s->at] != '\\' || s->p[s->at + 1] != 'u') {
        return -1;
    }
    int32_t c = hex4(s->p + s->at + 2);
    s->at += 6;
    return c;
}

/* At a backslash; a lone surrogate is no character and refused. */
static bool scan_escape(struct scanner *s) {
    unsigned char c = s->end - s->at >= 2 ? s->p[s->at + 1] : 0;
    if (c != 'u') {
        s->at += 2;
        return c && strchr("\"\\/bfnrt", c) ? true : scan_fault(s, "unknown escape");
    }
    int32_t high = scan_unicode(s);
    if (high < 0) {
        return scan_fault(s, "bad \\u escape");
    }
    if (high < 0xd800 || high > 0xdfff) {
        return true;
    }
    int32_t low = high < 0xdc00 ? scan_unicode(s) : -1;
    return low >= 0xdc00 && low <= 0xdfff ? true : scan_fault(s, "lone surrogate");
}

/* Overlong forms, surrogates and what lies beyond U+10FFFF show in the first two bytes. */
static bool is_bad_pair(unsigned char first, unsigned char second) {
    return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
           (first == 0xf4 && second > 0x8f);
}

/* At a byte of 0x80 or above. */
static bool scan_utf8(struct scanner *s) {
    const unsigned char *p = s->p + s->at;
    uint32_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    bool is_bad = p[0] < 0xc2 || p[0] > 0xf4 || s->end - s->at < n || is_bad_pair(p[0], p[1]);
    for (uint32_t i = 1; i < n && !is_bad; i++) {
        is_bad = (p[i] & 0xc0) != 0x80;
    }
    s->at += n;
    return is_bad ? scan_fault(s, "not UTF-8") : true;
}

static bool scan_string(struct scanner *s) {
    uint32_t token;
    s->at++;
    if (!scan_token(s, PR_TOKEN_STRING, &token)) {
        return false;
    }
    for (scan_plain(s); s->at < s->end; scan_plain(s)) {
        unsigned char c = s->p[s->at];
        if (c == '"') {
            struct pr_token *t = &s->doc->token[token];
            t->n = s->at - t->at;
            t->next = s->doc->n;
            s->at++;
            return true;
        }
        s->doc->token[token].is_escaped |= c == '\\';
        if (c < 0x20) {
            return scan_fault(s, "control character in a string");
        }
        if (!(c == '\\' ? scan_escape(s) : scan_utf8(s))) {
            return false;
        }
    }
    return scan_fault(s, "string without an end");
}

static uint32_t scan_digits(struct scanner *s) {
    uint32_t from = s->at;
    while (s->at < s->end && s->p[s->at] >= '0' && s->p[s->at] <= '9') {
        s->at++;
    }
    return s->at - from;
}

static bool scan_number(struct scanner *s) {
    uint32_t token;
    if (!scan_token(s, PR_TOKEN_NUMBER, &token)) {
        return false;
    }
    uint32_t from = s->at;
    s->at += s->p[s->at] == '-';
    uint32_t first = s->at;
    uint32_t digits = scan_digits(s);
    bool is_good = digits == 1 || (digits > 1 && s->p[first] != '0');
    if (s->at < s->end && s->p[s->at] == '.') {
        s->at++;
        is_good = scan_digits(s) > 0 && is_good;
    }
    if (s->at < s->end && (s->p[s->at] | 0x20) == 'e') {
        s->at++;
        s->at += s->at < s->end && (s->p[s->at] == '+' || s->p[s->at] == '-');
        is_good = scan_digits(s) > 0 && is_good;
    }
    s->doc->token[token].n = s->at - from;
    s->doc->token[token].next = s->doc->n;
    return is_good ? true : scan_fault(s, "not a number");
}

static bool scan_word(struct scanner *s, struct pr_span word, enum pr_token_kind kind) {
    uint32_t token;
    if (s->end - s->at < word.n || memcmp(s->p + s->at, word.p, word.n) != 0) {
        return scan_fault(s, "unexpected character");
    }
    if (!scan_token(s, kind, &token)) {
        return false;
    }
    s->at += (uint32_t)word.n;
    s->doc->token[token].n = (uint32_t)word.n;
    s->doc->token[token].next = s->doc->n;
    return true;
}

static bool scan_member(struct scanner *s) {
    if (s->at >= s->end || s->p[s->at] != '"') {
        return scan_fault(s, "a member needs a name");
    }
    if (!scan_string(s)) {
        return false;
    }
    scan_space(s);
    if (s->at >= s->end || s->p[s->at] != ':') {
        return scan_fault(s, "colon missing");
    }
    s->at++;
    return scan_value(s);
}

/* At '{' or '['. */
static bool scan_container(struct scanner *s, bool is_object) {
    uint32_t token;
    char close = is_object ? '}' : ']';
    if (s->depth == PR_SCAN_DEPTH) {
        return scan_fault(s, "nested too deep");
    }
    if (!scan_token(s, is_object ? PR_TOKEN_OBJECT : PR_TOKEN_ARRAY, &token)) {
        return false;
    }
    s->depth++;
    s->at++;
    scan_space(s);
    uint32_t size = 0;
    while (s->at < s->end && (s->p[s->at] != close || size > 0)) {
        if (!(is_object ? scan_member(s) : scan_value(s))) {
            return false;
        }
        size++;
        scan_space(s);
        if (s->at >= s->end || s->p[s->at] != ',') {
            break;
        }
        s->at++;
        scan_space(s);
    }
    if (s->at >= s->end || s->p[s->at] != close) {
        return scan_fault(s, is_object ? "comma or } missing" : "comma or ] missing");
    }
    s->at++;
    s->depth--;
    struct pr_token *t = &s->doc->token[token];
    t->n = s->at - t->at;
    t->size = size;
    t->next = s->doc->n;
    return true;
}

static bool scan_value(struct scanner *s) {
    scan_space(s);
    if (s->at >= s->end) {
        return scan_fault(s, "a value is missing");
    }
    switch (s->p[s->at]) {
    case '{': return scan_container(s, true);
    case '[': return scan_container(s, false);
    case '"': return scan_string(s);
    case 't': return scan_word(s, PR_SPAN("true"), PR_TOKEN_BOOL);
    case 'f': return scan_word(s, PR_SPAN("false"), PR_TOKEN_BOOL);
    case 'n': return scan_word(s, PR_SPAN("null"), PR_TOKEN_NULL);
    default: return scan_number(s);
    }
}

bool pr_scan(struct pr_doc *doc, struct pr_span text) {
    doc->text = text;
    doc->n = 0;
    doc->fault = NULL;
    doc->fault_at = 0;
    struct scanner s = {.doc = doc, .p = (const unsigned char *)text.p, .end = (uint32_t)text.n};
    if (!scan_value(&s)) {
        return false;
    }
    scan_space(&s);
    return s.at == s.end ? true : scan_fault(&s, "more text after the value");
}

static size_t put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The character of the checked escape at `p`; returns the bytes it takes there. */
static size_t take_escape(const unsigned char *p, uint32_t *c) {
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    if (p[1] != 'u') {
        const char *known = strchr(from, p[1]);
        *c = known ? (unsigned char)to[known - from] : p[1];
        return 2;
    }
    *c = (uint32_t)hex4(p + 2);
    if (*c < 0xd800 || *c > 0xdfff) {
        return 6;
    }
    *c = 0x10000 + ((*c - 0xd800) << 10) + ((uint32_t)hex4(p + 8) - 0xdc00);
    return 12;
}

bool pr_doc_text(const struct pr_doc *doc, uint32_t token, char *room, size_t room_n, struct pr_span *out) {
    *out = pr_doc_raw(doc, token);
    if (!doc->token[token].is_escaped) {
        return true;
    }
    const unsigned char *p = (const unsigned char *)out->p;
    size_t n = 0;
    for (size_t i = 0; i < out->n;) {
        if (n + 4 > room_n) {
            *out = (struct pr_span){NULL, 0};
            return false;
        }
        if (p[i] != '\\') {
            room[n++] = (char)p[i++];
            continue;
        }
        uint32_t c = 0;
        i += take_escape(p + i, &c);
        n += put_utf8(room + n, c);
    }
    *out = (struct pr_span){room, n};
    return true;
}

uint32_t pr_doc_chars(const struct pr_doc *doc, uint32_t token) {
    struct pr_span raw = pr_doc_raw(doc, token);
    const unsigned char *p = (const unsigned char *)raw.p;
    uint32_t chars = 0;
    if (!doc->token[token].is_escaped) {
        for (size_t i = 0; i < raw.n; i++) {
            chars += (p[i] & 0xc0) != 0x80;
        }
        return chars;
    }
    for (size_t i = 0; i < raw.n;) {
        uint32_t c = 0;
        size_t step = p[i] == '\\' ? take_escape(p + i, &c) : 1;
        chars += (p[i] & 0xc0) != 0x80;
        i += step;
    }
    return chars;
}

bool pr_doc_pick(const struct pr_doc *doc, uint32_t object, const struct pr_span *names, uint32_t names_n,
                 uint32_t *slot, struct pr_span *unknown) {
    for (uint32_t i = 0; i < names_n; i++) {
        slot[i] = 0;
    }
    uint32_t at = object + 1;
    for (uint32_t member = 0; member < doc->token[object].size; member++) {
        struct pr_span key = pr_doc_raw(doc, at);
        uint32_t i = 0;
        while (i < names_n && !pr_span_eq(key, names[i])) {
            i++;
        }
        if (i == names_n) {
            *unknown = key;
            return false;
        }
        slot[i] = at + 1;
        at = doc->token[at + 1].next;
    }
    return true;
}
