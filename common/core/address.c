/* Phone numbers and user ids in one canonical spelling; what spreadsheets do to numbers is undone or named. */
#include "core/address.h"

#include <string.h>

/* ITU-T E.164 has 15 digits at most; fewer than 8 are taken for a slip. */
enum { E164_MIN = 8, E164_MAX = 15, USER_ID_MAX = 40 };

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_separator(char c) {
    return c == ' ' || c == '.' || c == '-' || c == '(' || c == ')';
}

/*
 * The digits of a number as people write it; room for "00" before 15 digits and some more, so that "too long" can be
 * said.
 */
enum { DIGITS_MAX = 24 };
struct digits {
    char text[DIGITS_MAX + 1];
    size_t n;
    bool has_plus;
};

/* False when there is anything but one leading plus, digits and separators, or too many digits for any number. */
static bool read_digits(struct pr_span text, struct digits *out) {
    *out = (struct digits){.n = 0};
    for (size_t i = 0; i < text.n; i++) {
        const char c = text.p[i];
        if (is_digit(c) && out->n < DIGITS_MAX) {
            out->text[out->n++] = c;
        } else if (c == '+' && !out->has_plus && out->n == 0) {
            out->has_plus = true;
        } else if (!is_separator(c)) {
            return false;
        }
    }
    return true;
}

static void drop_front(struct digits *d, size_t n) {
    memmove(d->text, d->text + n, d->n - n + 1);
    d->n -= n;
}

/*
 * Brazil added a ninth digit, 9, to mobile numbers until 2016; WhatsApp still knows many people without it. Old mobiles
 * start with 6 to 9, landlines with 2 to 5 (Anatel, Resolução 749). Mexico dropped the 1 behind 52 in 2019; WhatsApp
 * still shows it.
 */
static void canonical(struct digits *d) {
    if (d->n == 12 && memcmp(d->text, "55", 2) == 0 && d->text[4] >= '6') {
        memmove(d->text + 5, d->text + 4, d->n - 4 + 1);
        d->text[4] = '9';
        d->n++;
    } else if (d->n == 13 && memcmp(d->text, "521", 3) == 0) {
        memmove(d->text + 2, d->text + 3, d->n - 3 + 1);
        d->n--;
    }
}

/* International digits to an address; false when no E.164 number is like that. No calling code starts with 0. */
static bool finish(struct digits *d, struct pr_address *out) {
    canonical(d);
    if (d->n < E164_MIN || d->n > E164_MAX || d->text[0] == '0') {
        return false;
    }
    *out = (struct pr_address){.n = (uint8_t)(d->n + 1), .is_user_id = false};
    out->text[0] = '+';
    memcpy(out->text + 1, d->text, d->n);
    return true;
}

static struct pr_span trim(struct pr_span s) {
    while (s.n > 0 && s.p[0] == ' ') {
        s = pr_span_skip(s, 1);
    }
    while (s.n > 0 && s.p[s.n - 1] == ' ') {
        s.n--;
    }
    return s;
}

/* Meta's business-scoped user id: country, point, id. */
static bool read_user_id(struct pr_span s, struct pr_address *out) {
    if (s.n < 4 || s.n > 3 + USER_ID_MAX || !is_upper(s.p[0]) || !is_upper(s.p[1]) || s.p[2] != '.') {
        return false;
    }
    for (size_t i = 3; i < s.n; i++) {
        if (!is_alnum(s.p[i])) {
            return false;
        }
    }
    *out = (struct pr_address){.n = (uint8_t)s.n, .is_user_id = true};
    memcpy(out->text, s.p, s.n);
    return true;
}

bool pr_address_parse(struct pr_span text, struct pr_address *out) {
    struct digits d;
    if (read_user_id(trim(text), out)) {
        return true;
    }
    return read_digits(text, &d) && d.has_plus && finish(&d, out);
}

/* National numbers of a country: calling code, digits of the national number without the trunk prefix, and that prefix.
 */
struct country {
    char name[3];
    char code[4];
    char trunk[3];
    uint8_t min, max;
};

/* From the numbering plans that the ITU publishes (E.164, National Numbering Plans); in the order of their names. */
static const struct country countries[] = {
    {"AE", "971", "0", 8, 9},   {"AR", "54", "0", 10, 11}, {"AT", "43", "0", 7, 13},  {"AU", "61", "0", 9, 9},
    {"BD", "880", "0", 10, 10}, {"BE", "32", "0", 8, 9},   {"BG", "359", "0", 8, 9},  {"BO", "591", "0", 8, 8},
    {"BR", "55", "0", 10, 11},  {"CA", "1", "1", 10, 10},  {"CH", "41", "0", 9, 9},   {"CL", "56", "0", 9, 9},
    {"CN", "86", "0", 10, 11},  {"CO", "57", "0", 10, 10}, {"CR", "506", "", 8, 8},   {"CZ", "420", "", 9, 9},
    {"DE", "49", "0", 7, 11},   {"DK", "45", "", 8, 8},    {"DO", "1", "1", 10, 10},  {"EC", "593", "0", 8, 9},
    {"EG", "20", "0", 9, 10},   {"ES", "34", "", 9, 9},    {"FI", "358", "0", 6, 11}, {"FR", "33", "0", 9, 9},
    {"GB", "44", "0", 9, 10},   {"GH", "233", "0", 9, 9},  {"GR", "30", "", 10, 10},  {"GT", "502", "", 8, 8},
    {"HK", "852", "", 8, 8},    {"HN", "504", "", 8, 8},   {"HU", "36", "06", 8, 9},  {"ID", "62", "0", 8, 12},
    {"IE", "353", "0", 8, 9},   {"IL", "972", "0", 8, 9},  {"IN", "91", "0", 10, 10}, {"IT", "39", "", 8, 11},
    {"JP", "81", "0", 9, 10},   {"KE", "254", "0", 9, 9},  {"KR", "82", "0", 8, 10},  {"LK", "94", "0", 9, 9},
    {"MA", "212", "0", 9, 9},   {"MX", "52", "", 10, 10},  {"MY", "60", "0", 8, 10},  {"NG", "234", "0", 8, 10},
    {"NI", "505", "", 8, 8},    {"NL", "31", "0", 9, 9},   {"NO", "47", "", 8, 8},    {"NZ", "64", "0", 8, 10},
    {"PA", "507", "", 7, 8},    {"PE", "51", "0", 8, 9},   {"PH", "63", "0", 8, 10},  {"PK", "92", "0", 9, 10},
    {"PL", "48", "", 9, 9},     {"PR", "1", "1", 10, 10},  {"PT", "351", "", 9, 9},   {"PY", "595", "0", 9, 9},
    {"RO", "40", "0", 9, 9},    {"RU", "7", "8", 10, 10},  {"SA", "966", "0", 8, 9},  {"SE", "46", "0", 7, 9},
    {"SG", "65", "", 8, 8},     {"SV", "503", "", 8, 8},   {"TH", "66", "0", 8, 9},   {"TR", "90", "0", 10, 10},
    {"TW", "886", "0", 8, 9},   {"UA", "380", "0", 9, 9},  {"US", "1", "1", 10, 10},  {"UY", "598", "0", 8, 8},
    {"VE", "58", "0", 10, 10},  {"VN", "84", "0", 9, 10},  {"ZA", "27", "0", 9, 9},
};

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static const struct country *find_country(struct pr_span name) {
    for (size_t i = 0; i < sizeof(countries) / sizeof(countries[0]); i++) {
        const char *known = countries[i].name;
        if (name.n == 2 && upper(name.p[0]) == known[0] && upper(name.p[1]) == known[1]) {
            return &countries[i];
        }
    }
    return NULL;
}

static bool starts_with(const struct digits *d, const char *prefix) {
    return pr_span_starts(pr_span_make(d->text, d->n), pr_span_of(prefix));
}

static bool has_national_length(const struct country *country, size_t n) {
    return n >= country->min && n <= country->max;
}

static void put_code(struct digits *d, const char *code) {
    const size_t n = strlen(code);
    memmove(d->text + n, d->text, d->n + 1);
    memcpy(d->text, code, n);
    d->n += n;
}

/*
 * Digits without a plus to international ones. A number of national length is a national one, even when it starts with
 * the digits of the calling code: Brazil has an area code 55.
 */
static bool complete(struct digits *d, const struct country *country) {
    const size_t trunk = strlen(country->trunk), code = strlen(country->code);
    if (trunk && starts_with(d, country->trunk) && has_national_length(country, d->n - trunk)) {
        drop_front(d, trunk);
    }
    if (has_national_length(country, d->n) && (d->text[0] != '0' || trunk == 0)) {
        put_code(d, country->code);
        return true;
    }
    canonical(d); /* so that Mexico's 521 counts as 52 */
    return starts_with(d, country->code) && has_national_length(country, d->n - code);
}

/* "5,51E+12", "5.51199e12": digits, perhaps a fraction, E, perhaps a sign, digits. */
static bool is_scientific(struct pr_span s) {
    size_t at = 0, before = 0, after = 0;
    for (; at < s.n && (is_digit(s.p[at]) || s.p[at] == '.' || s.p[at] == ','); at++) {
        before += is_digit(s.p[at]);
    }
    if (before == 0 || at >= s.n || upper(s.p[at]) != 'E') {
        return false;
    }
    at++;
    at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
    for (; at < s.n && is_digit(s.p[at]); at++) {
        after++;
    }
    return after > 0 && at == s.n;
}

static bool import_digits(struct digits *d, struct pr_span country, const char **why) {
    if (!d->has_plus && starts_with(d, "00")) {
        drop_front(d, 2);
        d->has_plus = true;
    }
    if (d->has_plus) {
        return true;
    }
    const struct country *known = find_country(country);
    if (!known) {
        *why = country.n == 0
                   ? "no country code: write the number with + and its country code, or give --default-country"
                   : "the default country is not known: write the number with + and its country code";
        return false;
    }
    if (!complete(d, known)) {
        *why =
            "not a national number of the default country: too short (area code missing?) or too long; write it with +";
        return false;
    }
    return true;
}

bool pr_address_import(struct pr_span text, struct pr_span country, struct pr_address *out, const char **why) {
    struct digits d;
    const struct pr_span s = trim(text);
    if (read_user_id(s, out)) {
        return true;
    }
    if (s.n == 0) {
        *why = "empty";
        return false;
    }
    if (is_scientific(s)) {
        *why = "scientific notation: the spreadsheet cut the number; format the column as text and export it again";
        return false;
    }
    if (!read_digits(s, &d)) {
        *why = "not a phone number: only a leading +, digits, spaces, dots, dashes and parentheses";
        return false;
    }
    if (!import_digits(&d, country, why)) {
        return false;
    }
    if (!finish(&d, out)) {
        *why = "not an international number: + and 8 to 15 digits, the first not 0";
        return false;
    }
    return true;
}

void pr_address_mask(struct pr_span address, char out[PR_ADDRESS_MAX + 1]) {
    enum { FIRST = 5, LAST = 4, STARS_MIN = 4 };
    const size_t n = address.n < PR_ADDRESS_MAX ? address.n : PR_ADDRESS_MAX;
    const size_t hidden = LAST + STARS_MIN;
    size_t first = n > hidden ? n - hidden : 0;
    first = first > FIRST ? FIRST : first;
    const size_t last = n >= hidden ? LAST : n > STARS_MIN ? n - STARS_MIN : 0;
    for (size_t i = 0; i < n; i++) {
        const char c = address.p[i];
        bool is_shown = (i < first || i >= n - last) && c > ' ' && c < 0x7f;
        out[i] = is_shown ? c : '*';
    }
    out[n] = '\0';
}
