/* Values: from what a person wrote to the C type of a row, and what a person may write. */
#include "conf/conf_private.h"

#include "base/check.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#define KIB INT64_C(1024)
#define US_PER_MS 1000

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: the printing side takes the first that divides. */
static const struct unit sizes[] = {{"GiB", KIB *KIB *KIB}, {"MiB", KIB *KIB}, {"KiB", KIB}, {"", 1}};
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit rates[] = {{"/s", 3600}, {"/min", 60}, {"/h", 1}}; /* events an hour */

/* The number and its unit; decimal digits only, so that neither "0x10" nor " 5" nor "-1" slips through. */
static bool with_unit(const char *raw, const struct unit *units, size_t n, int64_t *out) {
    if (raw[0] < '0' || raw[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    long long number = strtoll(raw, &end, 10);
    if (errno != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(end, units[i].name) == 0) {
            return !__builtin_mul_overflow((int64_t)number, units[i].factor, out);
        }
    }
    return false;
}

static void put_with_unit(struct pr_buf *out, int64_t v, const struct unit *units, size_t n) {
    size_t i = 0;
    while (i + 1 < n && (v == 0 || v % units[i].factor != 0)) {
        i++;
    }
    pr_buf_printf(out, "%" PRId64 "%s", v / units[i].factor, units[i].name);
}

static bool number_of(const struct pr_conf_row *row, const char *raw, int64_t *out) {
    static const struct unit plain[] = {{"", 1}};
    int64_t us = 0;
    switch (row->type) {
    case PR_CONF_INT: return with_unit(raw, plain, 1, out);
    case PR_CONF_SIZE: return with_unit(raw, sizes, sizeof sizes / sizeof sizes[0], out);
    case PR_CONF_RATE: return with_unit(raw, rates, sizeof rates / sizeof rates[0], out);
    case PR_CONF_DURATION:
        if (!pr_duration_parse(pr_span_of(raw), &us)) {
            return false;
        }
        *out = us / US_PER_MS;
        return true;
    case PR_CONF_STRING:
    case PR_CONF_BOOL:
    case PR_CONF_ENUM:
    case PR_CONF_LIST:
    case PR_CONF_PAIRS: break;
    }
    return false;
}

static bool store_number(const struct pr_conf_row *row, const char *raw, void *at) {
    int64_t v = 0;
    if (row->zero_word && strcasecmp(raw, row->zero_word) == 0) {
        *(int64_t *)at = 0;
        return true;
    }
    if (!number_of(row, raw, &v) || v < row->min || v > row->max) {
        return false;
    }
    *(int64_t *)at = v;
    return true;
}

static bool store_bool(const char *raw, bool *at) {
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    for (int v = 0; v < 2; v++) {
        for (int i = 0; i < 3; i++) {
            if (strcasecmp(raw, words[v][i]) == 0) {
                *at = v == 1;
                return true;
            }
        }
    }
    return false;
}

static bool store_word(const struct pr_conf_row *row, const char *raw, int *at) {
    for (int i = 0; row->words[i]; i++) {
        if (strcasecmp(raw, row->words[i]) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

static struct pr_span trimmed(struct pr_span s) {
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = pr_span_skip(s, 1);
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

static bool store_list(struct pr_conf *conf, const char *raw, struct pr_conf_list *at) {
    size_t room = 1;
    for (const char *c = raw; *c; c++) {
        room += *c == ',';
    }
    const char **v = pr_arena_calloc(&conf->arena, room, sizeof *v);
    size_t n = 0;
    for (const char *from = raw; v && from;) {
        const char *comma = strchr(from, ',');
        struct pr_span item = trimmed(pr_span_make(from, comma ? (size_t)(comma - from) : strlen(from)));
        if (item.n > 0) {
            v[n++] = pr_arena_copy(&conf->arena, item).p;
        }
        from = comma ? comma + 1 : NULL;
    }
    *at = (struct pr_conf_list){v, conf->arena.failed ? 0 : n};
    return true;
}

bool pr_conf_store(struct pr_conf *conf, const struct pr_conf_row *row, const char *raw) {
    void *at = (char *)conf->target + row->offset;
    switch (row->type) {
    case PR_CONF_STRING: *(const char **)at = raw; return true;
    case PR_CONF_INT:
    case PR_CONF_SIZE:
    case PR_CONF_DURATION:
    case PR_CONF_RATE: return store_number(row, raw, at);
    case PR_CONF_BOOL: return store_bool(raw, at);
    case PR_CONF_ENUM: return store_word(row, raw, at);
    case PR_CONF_LIST: return store_list(conf, raw, at);
    case PR_CONF_PAIRS: break; /* filled from the entries, not from one text */
    }
    pr_check_failed(__FILE__, __LINE__, "a row type that has one value");
}

static void put_number(struct pr_buf *out, const struct pr_conf_row *row, int64_t v) {
    switch (row->type) {
    case PR_CONF_SIZE: put_with_unit(out, v, sizes, sizeof sizes / sizeof sizes[0]); break;
    case PR_CONF_DURATION: put_with_unit(out, v, durations, sizeof durations / sizeof durations[0]); break;
    case PR_CONF_RATE: put_with_unit(out, v, rates, sizeof rates / sizeof rates[0]); break;
    case PR_CONF_INT:
    case PR_CONF_STRING:
    case PR_CONF_BOOL:
    case PR_CONF_ENUM:
    case PR_CONF_LIST:
    case PR_CONF_PAIRS: pr_buf_printf(out, "%" PRId64, v); break;
    }
}

static void describe_number(const struct pr_conf_row *row, const char *what, struct pr_buf *out) {
    pr_buf_printf(out, "%s from ", what);
    put_number(out, row, row->min);
    pr_buf_put_text(out, " to ");
    put_number(out, row, row->max);
    if (row->zero_word) {
        pr_buf_printf(out, ", or %s", row->zero_word);
    }
}

void pr_conf_describe(const struct pr_conf_row *row, struct pr_buf *out) {
    switch (row->type) {
    case PR_CONF_STRING: pr_buf_put_text(out, "text"); break;
    case PR_CONF_INT: describe_number(row, "a whole number", out); break;
    case PR_CONF_SIZE: describe_number(row, "a size (KiB, MiB, GiB)", out); break;
    case PR_CONF_DURATION: describe_number(row, "a duration (ms, s, m, h, d)", out); break;
    case PR_CONF_RATE: describe_number(row, "a rate (/s, /min, /h)", out); break;
    case PR_CONF_BOOL: pr_buf_put_text(out, "true or false"); break;
    case PR_CONF_LIST: pr_buf_put_text(out, "a list, separated by commas"); break;
    case PR_CONF_PAIRS: pr_buf_put_text(out, "any key and value"); break;
    case PR_CONF_ENUM:
        for (int i = 0; row->words[i]; i++) {
            pr_buf_printf(out, "%s%s", i == 0 ? "" : row->words[i + 1] ? ", " : " or ", row->words[i]);
        }
        break;
    }
    if (row->unit) {
        pr_buf_printf(out, "; %s", row->unit);
    }
}
