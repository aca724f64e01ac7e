/* Builds a line on the stack and writes it in one piece: no lock, no allocation, so it works where others have just failed. */
#include "base/log.h"

#include "base/clock.h"
#include "base/span.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic int log_level = PR_LOG_INFO;
static _Atomic int log_style = PR_LOG_LOGFMT;
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic uint64_t log_dropped;

/* Kept free at the end of a line for what must still follow: a closing quote, the mark that it was cut, the newline. */
enum { TAIL = sizeof "\",\"cut\":true}\n" };

struct line {
    char p[PR_LOG_LINE_MAX];
    size_t n;
    enum pr_log_style style;
    bool is_full; /* something did not fit: nothing more is added, or the line would have a hole */
    bool is_cut;  /* something was left out */
};

/* One value before it is quoted. */
struct value {
    char p[PR_LOG_VALUE_MAX];
    size_t n;
    int conversions;
    bool is_number; /* the last conversion was a decimal number */
    bool has_text;  /* there are letters beside it */
    bool is_cut;
};

/* A va_list that functions can pass on and move forward in turn. */
struct args {
    va_list list;
};

struct spec {
    int precision; /* -1: none */
    char length;   /* 0, 'l', 'q' for ll, 'z', 'j' */
    char conversion;
};

void pr_log_init(enum pr_log_level level, enum pr_log_style style, int fd) {
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(SIGPIPE, &ignore, NULL);
    atomic_store(&log_level, level);
    atomic_store(&log_style, style);
    atomic_store(&log_fd, fd);
}

bool pr_log_enabled(enum pr_log_level level) {
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

uint64_t pr_log_dropped(void) {
    return atomic_load(&log_dropped);
}

/* All or nothing, and never into the tail. */
static bool put(struct line *line, const char *p, size_t n) {
    if (line->is_full || line->n + n > sizeof line->p - TAIL) {
        line->is_full = line->is_cut = true;
        return false;
    }
    memcpy(line->p + line->n, p, n);
    line->n += n;
    return true;
}

static void put_tail(struct line *line, const char *text) {
    size_t n = strlen(text);
    memcpy(line->p + line->n, text, n);
    line->n += n;
}

/* Overlong forms, surrogates, and what lies beyond U+10FFFF show in the second byte. */
static bool second_is_ok(unsigned char lead, unsigned char second) {
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high;
}

/* Bytes of the UTF-8 character at the front (RFC 3629), 0 when there is no whole valid one. */
static size_t utf8_len(const unsigned char *p, size_t n) {
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len || !second_is_ok(p[0], p[1]))
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

/* The character at the front of `p` as it stands between quotes: the same rules for JSON and logfmt. Returns the bytes used up. */
static size_t put_escaped(struct line *line, const char *p, size_t n) {
    static const char plain[] = "\"\\\n\r\t", letter[] = "\"\\nrt";
    size_t len = utf8_len((const unsigned char *)p, n);
    const char *found = p[0] ? strchr(plain, p[0]) : NULL;
    if (len == 0) {
        put(line, "\xef\xbf\xbd", 3);
    } else if (found) {
        put(line, (const char[]){'\\', letter[found - plain]}, 2);
    } else if ((unsigned char)p[0] < 0x20 || p[0] == 0x7f) {
        char hex[8];
        snprintf(hex, sizeof hex, "\\u%04x", (unsigned)(unsigned char)p[0]);
        put(line, hex, 6);
    } else {
        put(line, p, len);
    }
    return len ? len : 1;
}

/* A value is cut where the line is full; its closing quote goes into the tail, so that the line can be read by a machine all the same. */
static void put_quoted(struct line *line, struct pr_span s) {
    if (!put(line, "\"", 1))
        return;
    while (s.n > 0 && !line->is_full)
        s = pr_span_skip(s, put_escaped(line, s.p, s.n));
    put_tail(line, "\"");
}

static bool is_bare(struct pr_span s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\')
            return false;
    }
    return s.n > 0;
}

/* A key that does not fit with at least the opening quote of its value is left out whole. */
static void put_pair(struct line *line, struct pr_span key, struct pr_span value, bool is_number) {
    size_t start = line->n;
    bool is_json = line->style == PR_LOG_JSON;
    put(line, is_json ? ",\"" : " ", is_json ? 2 : 1);
    put(line, key.p, key.n);
    put(line, is_json ? "\":" : "=", is_json ? 2 : 1);
    size_t value_start = line->n;
    bool is_whole = !line->is_full;
    if (is_whole && (is_json ? is_number : is_bare(value)))
        is_whole = put(line, value.p, value.n);
    else if (is_whole)
        put_quoted(line, value);
    if (!is_whole || line->n == value_start)
        line->n = start;
}

static void value_text(struct value *value, const char *p, size_t n) {
    size_t room = sizeof value->p - value->n;
    if (n > room) {
        n = room;
        value->is_cut = true;
    }
    if (n > 0)
        memcpy(value->p + value->n, p, n);
    value->n += n;
}

static int64_t take_signed(struct args *args, char length) {
    switch (length) {
    case 'l': return va_arg(args->list, long);
    case 'q': return va_arg(args->list, long long);
    case 'z': return va_arg(args->list, ssize_t);
    case 'j': return va_arg(args->list, intmax_t);
    default: return va_arg(args->list, int);
    }
}

static uint64_t take_unsigned(struct args *args, char length) {
    switch (length) {
    case 'l': return va_arg(args->list, unsigned long);
    case 'q': return va_arg(args->list, unsigned long long);
    case 'z': return va_arg(args->list, size_t);
    case 'j': return va_arg(args->list, uintmax_t);
    default: return va_arg(args->list, unsigned);
    }
}

static void value_string(struct value *value, const char *text, int precision) {
    if (!text) {
        value_text(value, "-", 1);
        return;
    }
    value_text(value, text, precision < 0 ? strlen(text) : strnlen(text, (size_t)precision));
}

static void value_double(struct value *value, double number, const struct spec *spec) {
    char text[400]; /* the largest double has 309 digits before the point */
    int precision = spec->precision < 0 ? 6 : spec->precision > 17 ? 17 : spec->precision;
    int n = spec->conversion == 'f' ? snprintf(text, sizeof text, "%.*f", precision, number)
                                    : snprintf(text, sizeof text, "%.*g", precision, number);
    value_text(value, text, n > 0 ? (size_t)n : 0);
    value->is_number = isfinite(number); /* JSON has no word for the others */
}

static void value_integer(struct value *value, struct args *args, const struct spec *spec) {
    char text[32];
    int n;
    if (spec->conversion == 'x')
        n = snprintf(text, sizeof text, "%" PRIx64, take_unsigned(args, spec->length));
    else if (spec->conversion == 'u')
        n = snprintf(text, sizeof text, "%" PRIu64, take_unsigned(args, spec->length));
    else
        n = snprintf(text, sizeof text, "%" PRId64, take_signed(args, spec->length));
    value_text(value, text, n > 0 ? (size_t)n : 0);
    value->is_number = spec->conversion != 'x';
}

/* False for a conversion we do not know: what follows in the arguments cannot be told then. */
static bool value_convert(struct value *value, struct args *args, const struct spec *spec) {
    char c;
    value->conversions++;
    value->is_number = false;
    switch (spec->conversion) {
    case 'd':
    case 'i':
    case 'u':
    case 'x': value_integer(value, args, spec); return true;
    case 'f':
    case 'g': value_double(value, va_arg(args->list, double), spec); return true;
    case 's': value_string(value, va_arg(args->list, const char *), spec->precision); return true;
    case 'c':
        c = (char)va_arg(args->list, int);
        value_text(value, &c, 1);
        return true;
    case '%': value_text(value, "%", 1); return true;
    default: return false;
    }
}

/* Reads what stands behind a '%'; returns the place after it. */
static const char *read_spec(const char *p, struct args *args, struct spec *spec) {
    *spec = (struct spec){.precision = -1};
    if (*p == '.' && p[1] == '*') {
        spec->precision = va_arg(args->list, int);
        p += 2;
    } else if (*p == '.') {
        spec->precision = 0;
        for (p++; *p >= '0' && *p <= '9' && spec->precision < 10000; p++)
            spec->precision = spec->precision * 10 + (*p - '0');
    }
    if (*p == 'l' && p[1] == 'l') {
        spec->length = 'q';
        p += 2;
    } else if (*p == 'l' || *p == 'z' || *p == 'j') {
        spec->length = *p++;
    }
    spec->conversion = *p;
    return *p ? p + 1 : p;
}

/* Builds the value that starts at `p`, up to the space or the end; NULL when a conversion is not ours. */
static const char *read_value(const char *p, struct args *args, struct value *value) {
    while (*p != '\0' && *p != ' ') {
        if (*p != '%') {
            value->has_text = true;
            value_text(value, p++, 1);
            continue;
        }
        struct spec spec;
        p = read_spec(p + 1, args, &spec);
        if (!value_convert(value, args, &spec))
            return NULL;
    }
    return p;
}

static void put_fields(struct line *line, const char *fmt, struct args *args) {
    while (fmt && *fmt != '\0') {
        struct value value;
        value.n = 0;
        value.conversions = 0;
        value.is_number = value.has_text = value.is_cut = false;
        size_t key_n = strcspn(fmt, "= ");
        struct pr_span key = pr_span_make(fmt, key_n);
        fmt += key_n;
        fmt = *fmt == '=' ? read_value(fmt + 1, args, &value) : fmt;
        if (!fmt)
            value_text(&value, "(format)", 8);
        put_pair(line, key, pr_span_make(value.p, value.n),
                 value.is_number && value.conversions == 1 && !value.has_text);
        line->is_cut = line->is_cut || value.is_cut;
        while (fmt && *fmt == ' ')
            fmt++;
    }
}

static void start_line(struct line *line, enum pr_log_level level, const char *event) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char ts[PR_TIME_TEXT];
    int n = pr_time_format(pr_clock_real_us(), ts);
    line->n = 0;
    line->is_full = line->is_cut = false;
    line->style = (enum pr_log_style)atomic_load_explicit(&log_style, memory_order_relaxed);
    const char *head = line->style == PR_LOG_JSON ? "{\"ts\":\"" : "ts=";
    put(line, head, strlen(head));
    put(line, ts, (size_t)n);
    if (line->style == PR_LOG_JSON)
        put(line, "\"", 1);
    put_pair(line, PR_SPAN("level"), pr_span_of(names[level]), false);
    put_pair(line, PR_SPAN("event"), pr_span_of(event), false);
}

/* A line that the descriptor takes only in part is finished as well as it goes; one it does not take is counted and given up. */
static void end_line(struct line *line) {
    if (line->is_cut)
        put_tail(line, line->style == PR_LOG_JSON ? ",\"cut\":true" : " cut=true");
    put_tail(line, line->style == PR_LOG_JSON ? "}\n" : "\n");
    for (size_t at = 0; at < line->n;) {
        ssize_t n = write(atomic_load_explicit(&log_fd, memory_order_relaxed), line->p + at, line->n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            atomic_fetch_add(&log_dropped, 1);
            return;
        }
        at += (size_t)n;
    }
}

static void log_line(enum pr_log_level level, const char *event, const char *fmt, struct args *args, uint64_t repeated) {
    struct line line;
    start_line(&line, level, event);
    if (repeated > 0) {
        char text[24];
        int n = snprintf(text, sizeof text, "%" PRIu64, repeated);
        put_pair(&line, PR_SPAN("repeated"), pr_span_make(text, (size_t)n), true);
    }
    put_fields(&line, fmt, args);
    end_line(&line);
}

void pr_log(enum pr_log_level level, const char *event, const char *fmt, ...) {
    struct args args;
    int saved_errno = errno;
    if (!pr_log_enabled(level))
        return;
    va_start(args.list, fmt);
    log_line(level, event, fmt, &args, 0);
    va_end(args.list);
    errno = saved_errno;
}

/* Of the threads that come when the interval is over, one wins the exchange and speaks for all. */
static bool pass(struct pr_log_limit *limit, uint64_t *repeated) {
    int64_t now = pr_clock_mono_ns();
    int64_t next = atomic_load_explicit(&limit->next_ns, memory_order_relaxed);
    if (now < next || !atomic_compare_exchange_strong(&limit->next_ns, &next, now + limit->interval_ns))
        return false;
    *repeated = atomic_exchange(&limit->held, 0);
    return true;
}

void pr_log_limited(struct pr_log_limit *limit, enum pr_log_level level, const char *event, const char *fmt, ...) {
    struct args args;
    int saved_errno = errno;
    uint64_t repeated = 0;
    if (!pr_log_enabled(level))
        return;
    if (!pass(limit, &repeated)) {
        atomic_fetch_add(&limit->held, 1);
        return;
    }
    va_start(args.list, fmt);
    log_line(level, event, fmt, &args, repeated);
    va_end(args.list);
    errno = saved_errno;
}

void pr_log_limit_flush(struct pr_log_limit *limit, enum pr_log_level level, const char *event) {
    uint64_t repeated = 0;
    if (!pr_log_enabled(level) || atomic_load(&limit->held) == 0 || !pass(limit, &repeated) || repeated == 0)
        return;
    pr_log(level, event, "repeated=%" PRIu64, repeated);
}
