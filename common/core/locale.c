/* The tables of locales, currencies and months, and the two writers that read them. Source of the data: CLDR 48. */
#include "core/locale.h"

#include "base/clock.h"

#include <string.h>

#define NBSP "\xc2\xa0"
#define NARROW_NBSP "\xe2\x80\xaf"

/* What a currency is called; lists end with an empty code. */
struct currency_sign {
    char code[4];
    char sign[8];
};

enum money_place { MONEY_BEFORE, MONEY_BEFORE_SPACED, MONEY_AFTER };
enum short_date {
    DATE_ISO,
    DATE_DMY_SLASH,
    DATE_DMY_SLASH_BARE,
    DATE_DMY_DASH,
    DATE_DMY_DOT,
    DATE_MDY_SLASH,
    DATE_MDY_SLASH_BARE
};
enum long_date { LONG_ISO, LONG_PLAIN, LONG_DE, LONG_DOT, LONG_FIRST, LONG_MONTH_FIRST };

/* All that belongs to a language. `months` NULL: ISO dates only. */
struct language {
    const struct currency_sign *signs;
    const char *const *months;
    enum long_date long_date;
};

struct pr_locale {
    char name[8];
    const struct language *language;
    struct currency_sign home; /* the sign of the country's own currency; code "" for none */
    const char *dollar;        /* what USD is called; NULL: as the language's signs say */
    char decimal;
    char group[4];
    uint8_t group_from; /* digits before the decimal sign from which groups are formed */
    enum money_place place;
    enum short_date short_date;
};

/* Signs that Portuguese, English and German share; the rest go by their code. */
static const struct currency_sign common_signs[] = {
    {"BRL", "R$"},  {"USD", "US$"}, {"EUR", "€"},   {"GBP", "£"},   {"MXN", "MX$"}, {"JPY", "JP¥"},
    {"CAD", "CA$"}, {"INR", "₹"},   {"CNY", "CN¥"}, {"AUD", "AU$"}, {"", ""},
};
static const struct currency_sign spanish_signs[] = {{"", ""}};
static const struct currency_sign french_signs[] = {
    {"BRL", "R$"},  {"USD", "$US"}, {"EUR", "€"},   {"GBP", "£GB"}, {"MXN", "$MX"}, {"ARS", "$AR"}, {"COP", "$CO"},
    {"CLP", "$CL"}, {"UYU", "$UY"}, {"CAD", "$CA"}, {"INR", "₹"},   {"AUD", "$AU"}, {"", ""},
};
static const struct currency_sign italian_signs[] = {
    {"EUR", "€"}, {"GBP", "£"}, {"CAD", "CA$"}, {"CNY", "CN¥"}, {"AUD", "A$"}, {"", ""},
};

static const char *const months_pt[] = {"janeiro", "fevereiro", "março",    "abril",   "maio",     "junho",
                                        "julho",   "agosto",    "setembro", "outubro", "novembro", "dezembro"};
static const char *const months_es[] = {"enero", "febrero", "marzo",      "abril",   "mayo",      "junio",
                                        "julio", "agosto",  "septiembre", "octubre", "noviembre", "diciembre"};
static const char *const months_en[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
static const char *const months_de[] = {"Januar", "Februar", "März",      "April",   "Mai",      "Juni",
                                        "Juli",   "August",  "September", "Oktober", "November", "Dezember"};
static const char *const months_fr[] = {"janvier", "février", "mars",      "avril",   "mai",      "juin",
                                        "juillet", "août",    "septembre", "octobre", "novembre", "décembre"};
static const char *const months_it[] = {"gennaio", "febbraio", "marzo",     "aprile",  "maggio",   "giugno",
                                        "luglio",  "agosto",   "settembre", "ottobre", "novembre", "dicembre"};

static const struct language none = {spanish_signs, NULL, LONG_ISO};
static const struct language portuguese = {common_signs, months_pt, LONG_DE};
static const struct language spanish = {spanish_signs, months_es, LONG_DE};
static const struct language american = {common_signs, months_en, LONG_MONTH_FIRST};
static const struct language british = {common_signs, months_en, LONG_PLAIN};
static const struct language german = {common_signs, months_de, LONG_DOT};
static const struct language french = {french_signs, months_fr, LONG_FIRST};
static const struct language italian = {italian_signs, months_it, LONG_PLAIN};

enum { ALWAYS = 4, FROM_FIVE = 5, NEVER = UINT8_MAX };

/* "xx" and "xx_" rows: a language alone, and any other region of it. The first row is the plain default. */
static const struct pr_locale locales[] = {
    {"", &none, {"", ""}, NULL, '.', "", NEVER, MONEY_BEFORE_SPACED, DATE_ISO},
    {"pt_BR", &portuguese, {"BRL", "R$"}, NULL, ',', ".", ALWAYS, MONEY_BEFORE_SPACED, DATE_DMY_SLASH},
    {"pt_PT", &portuguese, {"EUR", "€"}, NULL, ',', NBSP, FROM_FIVE, MONEY_AFTER, DATE_DMY_SLASH},
    {"es_ES", &spanish, {"EUR", "€"}, "US$", ',', ".", FROM_FIVE, MONEY_AFTER, DATE_DMY_SLASH_BARE},
    {"es_419", &spanish, {"", ""}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_AR", &spanish, {"ARS", "$"}, "US$", ',', ".", ALWAYS, MONEY_BEFORE_SPACED, DATE_DMY_SLASH_BARE},
    {"es_BO", &spanish, {"BOB", "Bs"}, NULL, ',', ".", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_CL", &spanish, {"CLP", "$"}, "US$", ',', ".", ALWAYS, MONEY_BEFORE, DATE_DMY_DASH},
    {"es_CO", &spanish, {"COP", "$"}, "US$", ',', ".", ALWAYS, MONEY_BEFORE_SPACED, DATE_DMY_SLASH_BARE},
    {"es_CR", &spanish, {"CRC", "₡"}, NULL, ',', NBSP, ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_DO", &spanish, {"DOP", "RD$"}, "US$", '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_EC", &spanish, {"USD", "$"}, NULL, ',', ".", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_GT", &spanish, {"GTQ", "Q"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_HN", &spanish, {"HNL", "L"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_MX", &spanish, {"MXN", "$"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH},
    {"es_NI", &spanish, {"NIO", "C$"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_PA", &spanish, {"PAB", "B/."}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_MDY_SLASH},
    {"es_PE", &spanish, {"PEN", "S/"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_PR", &spanish, {"USD", "$"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_MDY_SLASH},
    {"es_PY", &spanish, {"PYG", "Gs."}, NULL, ',', ".", ALWAYS, MONEY_BEFORE_SPACED, DATE_DMY_SLASH_BARE},
    {"es_SV", &spanish, {"USD", "$"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_US", &spanish, {"USD", "$"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"es_UY", &spanish, {"UYU", "$"}, "US$", ',', ".", ALWAYS, MONEY_BEFORE_SPACED, DATE_DMY_SLASH_BARE},
    {"es_VE", &spanish, {"VES", "Bs.S"}, NULL, ',', ".", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH_BARE},
    {"en_US", &american, {"USD", "$"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_MDY_SLASH_BARE},
    {"en_GB", &british, {"GBP", "£"}, NULL, '.', ",", ALWAYS, MONEY_BEFORE, DATE_DMY_SLASH},
    {"de_DE", &german, {"EUR", "€"}, "$", ',', ".", ALWAYS, MONEY_AFTER, DATE_DMY_DOT},
    {"fr_FR", &french, {"EUR", "€"}, NULL, ',', NARROW_NBSP, ALWAYS, MONEY_AFTER, DATE_DMY_SLASH},
    {"it_IT", &italian, {"EUR", "€"}, NULL, ',', ".", FROM_FIVE, MONEY_AFTER, DATE_DMY_SLASH},
};
enum { LOCALES = sizeof(locales) / sizeof(locales[0]) };

/* Who stands in for a language alone, and for its regions without an entry. */
static const struct {
    char language[3];
    char alone[8], other[8];
} stand_ins[] = {
    {"pt", "pt_BR", "pt_PT"}, {"es", "es_ES", "es_419"}, {"en", "en_US", "en_GB"},
    {"de", "de_DE", "de_DE"}, {"fr", "fr_FR", "fr_FR"},  {"it", "it_IT", "it_IT"},
};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static const struct pr_locale *locale_named(const char *name) {
    for (size_t i = 1; i < LOCALES; i++) {
        if (strcmp(locales[i].name, name) == 0) {
            return &locales[i];
        }
    }
    return NULL;
}

/* The next run of bytes up to '_' or '-'; takes it and the separator off `rest`. */
static struct pr_span take_subtag(struct pr_span *rest) {
    struct pr_span tag = {rest->p, 0};
    while (tag.n < rest->n && rest->p[tag.n] != '_' && rest->p[tag.n] != '-') {
        tag.n++;
    }
    *rest = pr_span_skip(*rest, tag.n + 1);
    return tag;
}

const struct pr_locale *pr_locale_find(struct pr_span name) {
    struct pr_span language = take_subtag(&name);
    struct pr_span region = take_subtag(&name);
    if (region.n == 4) { /* a script: "es-Latn-MX" */
        region = take_subtag(&name);
    }
    for (size_t i = 0; language.n == 2 && i < sizeof(stand_ins) / sizeof(stand_ins[0]); i++) {
        if (lower(language.p[0]) != stand_ins[i].language[0] || lower(language.p[1]) != stand_ins[i].language[1]) {
            continue;
        }
        if (region.n == 0) {
            return locale_named(stand_ins[i].alone);
        }
        char full[8] = {stand_ins[i].language[0], stand_ins[i].language[1], '_'};
        for (size_t k = 0; k < region.n && k < 3; k++) {
            full[3 + k] = upper(region.p[k]);
        }
        const struct pr_locale *exact = region.n <= 3 ? locale_named(full) : NULL;
        return exact ? exact : locale_named(stand_ins[i].other);
    }
    return &locales[0];
}

const char *pr_locale_name(const struct pr_locale *locale) {
    return locale->name;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const int64_t amount_units_max = 1000000000000; /* 10^12, exclusive */

bool pr_amount_of_int(int64_t units, int64_t *amount) {
    if (units <= -amount_units_max || units >= amount_units_max) {
        return false;
    }
    *amount = units * PR_AMOUNT_ONE;
    return true;
}

bool pr_amount_of_double(double units, int64_t *amount) {
    if (!(units > -(double)amount_units_max && units < (double)amount_units_max)) { /* NaN too */
        return false;
    }
    double scaled = units * PR_AMOUNT_ONE;
    *amount = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    return true;
}

bool pr_amount_parse(struct pr_span text, int64_t *amount) {
    bool is_negative = text.n > 0 && text.p[0] == '-';
    text = is_negative ? pr_span_skip(text, 1) : text;
    int64_t units = 0;
    size_t i = 0;
    for (; i < text.n && is_digit(text.p[i]); i++) {
        units = units * 10 + (text.p[i] - '0');
        if (units >= amount_units_max) {
            return false;
        }
    }
    int64_t sum = units * PR_AMOUNT_ONE;
    bool ok = i > 0;
    if (ok && i < text.n && text.p[i] == '.') {
        size_t point = i++;
        for (int64_t worth = PR_AMOUNT_ONE / 10; i < text.n && is_digit(text.p[i]); i++, worth /= 10) {
            sum += (text.p[i] - '0') * worth;
        }
        ok = i > point + 1;
    }
    if (!ok || i != text.n) {
        return false;
    }
    *amount = is_negative ? -sum : sum;
    return true;
}

/* Where a writer is in its output; what does not fit is left out, and the sizes in the header are such that all fits.
 */
struct pen {
    char *p;
    size_t n, room;
};

static void pen_char(struct pen *pen, char c) {
    if (pen->n + 1 < pen->room) {
        pen->p[pen->n++] = c;
    }
}

static void pen_text(struct pen *pen, const char *text) {
    for (; *text; text++) {
        pen_char(pen, *text);
    }
}

static void pen_number(struct pen *pen, int64_t value, int digits_min) {
    char digits[20];
    int n = 0;
    for (; value > 0 || n < digits_min; value /= 10) {
        digits[n++] = (char)('0' + value % 10);
    }
    while (n > 0) {
        pen_char(pen, digits[--n]);
    }
}

static size_t pen_end(struct pen *pen) {
    pen->p[pen->n] = '\0';
    return pen->n;
}

/* Decimals of a currency where they are not two. */
static int currency_decimals(const char *code) {
    static const char no_decimals[][4] = {"BIF", "CLP", "COP", "DJF", "GNF", "HUF", "IDR", "IQD", "ISK", "JPY", "KMF",
                                          "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"};
    static const char three_decimals[][4] = {"BHD", "JOD", "KWD", "LYD", "OMR", "TND"};
    for (size_t i = 0; i < sizeof(no_decimals) / sizeof(no_decimals[0]); i++) {
        if (strcmp(no_decimals[i], code) == 0) {
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof(three_decimals) / sizeof(three_decimals[0]); i++) {
        if (strcmp(three_decimals[i], code) == 0) {
            return 3;
        }
    }
    return 2;
}

static const char *currency_name(const struct pr_locale *locale, const char *code) {
    if (strcmp(locale->home.code, code) == 0) {
        return locale->home.sign;
    }
    if (locale->dollar && strcmp(code, "USD") == 0) {
        return locale->dollar;
    }
    for (const struct currency_sign *sign = locale->language->signs; sign->code[0]; sign++) {
        if (strcmp(sign->code, code) == 0) {
            return sign->sign;
        }
    }
    return code;
}

/* CLDR puts a space after names that end in no currency sign: "ARS 5" and "S/ 5" beside "US$5" and "€5". */
static bool needs_space(const struct pr_locale *locale, const char *name) {
    char last = name[strlen(name) - 1];
    return locale->place == MONEY_BEFORE_SPACED || (last != '$' && (unsigned char)last < 0x80);
}

static void pen_grouped(struct pen *pen, const struct pr_locale *locale, int64_t units) {
    char digits[20];
    struct pen plain = {digits, 0, sizeof(digits)};
    pen_number(&plain, units, 1);
    bool is_grouped = plain.n >= locale->group_from;
    for (size_t i = 0; i < plain.n; i++) {
        if (is_grouped && i > 0 && (plain.n - i) % 3 == 0) {
            pen_text(pen, locale->group);
        }
        pen_char(pen, digits[i]);
    }
}

static int64_t power_of_ten(int n) {
    int64_t power = 1;
    while (n-- > 0) {
        power *= 10;
    }
    return power;
}

/* `minor` is in the currency's smallest units: cents where there are two decimals. */
static void pen_amount(struct pen *pen, const struct pr_locale *locale, int64_t minor, int decimals) {
    int64_t unit = power_of_ten(decimals);
    pen_grouped(pen, locale, minor / unit);
    if (decimals > 0) {
        pen_char(pen, locale->decimal);
        pen_number(pen, minor % unit, decimals);
    }
}

size_t pr_locale_money(const struct pr_locale *locale, int64_t amount, struct pr_span currency, char out[PR_MONEY_TEXT]) {
    char code[4] = "";
    for (size_t i = 0; i < currency.n && i < 3; i++) {
        code[i] = upper(currency.p[i]);
        if (code[i] < 'A' || code[i] > 'Z') {
            return 0;
        }
    }
    if (currency.n != 3) {
        return 0;
    }
    const char *name = currency_name(locale, code);
    int decimals = currency_decimals(code);
    int64_t step = PR_AMOUNT_ONE / power_of_ten(decimals);
    int64_t minor = ((amount < 0 ? -amount : amount) + step / 2) / step;
    struct pen pen = {out, 0, PR_MONEY_TEXT};
    if (amount < 0 && minor > 0) {
        pen_char(&pen, '-');
    }
    if (locale->place == MONEY_AFTER) {
        pen_amount(&pen, locale, minor, decimals);
        pen_text(&pen, NBSP);
        pen_text(&pen, name);
        return pen_end(&pen);
    }
    pen_text(&pen, name);
    pen_text(&pen, needs_space(locale, name) ? NBSP : "");
    pen_amount(&pen, locale, minor, decimals);
    return pen_end(&pen);
}

static int month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

static bool take_digits(struct pr_span text, size_t at, size_t n, int *value) {
    *value = 0;
    for (size_t i = at; i < at + n; i++) {
        if (!is_digit(text.p[i])) {
            return false;
        }
        *value = *value * 10 + (text.p[i] - '0');
    }
    return true;
}

bool pr_date_parse(struct pr_span text, struct pr_date *date) {
    struct pr_date d;
    int64_t us;
    if (text.n < 10 || text.p[4] != '-' || text.p[7] != '-' || !take_digits(text, 0, 4, &d.year) ||
        !take_digits(text, 5, 2, &d.month) || !take_digits(text, 8, 2, &d.day)) {
        return false;
    }
    if (d.year < 1970 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > month_days(d.year, d.month)) {
        return false;
    }
    if (text.n > 10 && !pr_time_parse(text, &us)) {
        return false;
    }
    *date = d;
    return true;
}

static const int64_t day_us = (int64_t)86400 * 1000000;

bool pr_date_of_time(int64_t us, struct pr_date *date) {
    struct pr_date d;
    if (us < 0) {
        return false;
    }
    pr_civil_from_days(us / day_us, &d.year, &d.month, &d.day);
    if (d.year > 9999) {
        return false;
    }
    *date = d;
    return true;
}

int64_t pr_date_days(const struct pr_date *date) {
    return pr_days_from_civil(date->year, date->month, date->day);
}

static void pen_three(struct pen *pen, const int number[3], const int digits[3], char between) {
    for (size_t i = 0; i < 3; i++) {
        pen_number(pen, number[i], digits[i]);
        if (i < 2) {
            pen_char(pen, between);
        }
    }
}

static void pen_short_date(struct pen *pen, enum short_date form, const struct pr_date *d) {
    bool is_bare = form == DATE_DMY_SLASH_BARE || form == DATE_MDY_SLASH_BARE;
    int day_digits = is_bare ? 1 : 2;
    char between = form == DATE_DMY_DOT ? '.' : form == DATE_DMY_DASH || form == DATE_ISO ? '-' : '/';
    if (form == DATE_ISO) {
        pen_three(pen, (const int[]){d->year, d->month, d->day}, (const int[]){4, 2, 2}, between);
    } else if (form == DATE_MDY_SLASH || form == DATE_MDY_SLASH_BARE) {
        pen_three(pen, (const int[]){d->month, d->day, d->year}, (const int[]){day_digits, day_digits, 4}, between);
    } else {
        pen_three(pen, (const int[]){d->day, d->month, d->year}, (const int[]){day_digits, day_digits, 4}, between);
    }
}

static void pen_long_date(struct pen *pen, const struct language *language, const struct pr_date *d, bool with_year) {
    const char *month = language->months[d->month - 1];
    enum long_date form = language->long_date;
    if (form == LONG_MONTH_FIRST) {
        pen_text(pen, month);
        pen_char(pen, ' ');
        pen_number(pen, d->day, 1);
    } else {
        pen_number(pen, d->day, 1);
        /* CLDR has "1 janvier", which French schools mark as wrong. */
        pen_text(pen, form == LONG_DOT                    ? ". "
                      : form == LONG_DE                   ? " de "
                      : form == LONG_FIRST && d->day == 1 ? "er "
                                                          : " ");
        pen_text(pen, month);
    }
    if (with_year) {
        pen_text(pen, form == LONG_MONTH_FIRST ? ", " : form == LONG_DE ? " de " : " ");
        pen_number(pen, d->year, 4);
    }
}

size_t pr_locale_date(const struct pr_locale *locale, const struct pr_date *date, enum pr_date_style style,
                      char out[PR_DATE_TEXT]) {
    struct pen pen = {out, 0, PR_DATE_TEXT};
    if (style == PR_DATE_SHORT || !locale->language->months) {
        pen_short_date(&pen, locale->short_date, date);
    } else {
        pen_long_date(&pen, locale->language, date, style == PR_DATE_LONG);
    }
    return pen_end(&pen);
}
