/* Money and dates as people of a locale write them, for the parameters of messages. */
#ifndef PR_CORE_LOCALE_H
#define PR_CORE_LOCALE_H

#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Why not ICU: this runs for each parameter in a lane's hot path, in `core`, which takes no memory of its own. ICU's
 * formatters allocate, must be cached per thread, locale and currency, bring 30 MB of data, and change their output
 * from one version to the next. What follows is the part of CLDR 48 that shops of the supported locales need, as
 * constant tables. Everything here is pure and may be called on any thread.
 */

/* One locale of a constant table; never freed. */
struct pr_locale;

/*
 * The locale for "pt_BR", "pt-br" or "es-419" (any case, '_' or '-'; a script as in "es-Latn-MX" is passed over). A
 * region that has no entry gets the one of its language: pt_* is pt_PT, es_* is Latin American Spanish, en_* is en_GB,
 * de_*, fr_* and it_* are those of de_DE, fr_FR and it_IT; a language alone is pt_BR, es_ES, en_US, de_DE, fr_FR,
 * it_IT. Anything else gets the plain default: currency codes, no grouping, ISO 8601 dates. Never NULL.
 */
const struct pr_locale *pr_locale_find(struct pr_span name);

/* Its name ("pt_BR"), or "" for the plain default. */
const char *pr_locale_name(const struct pr_locale *locale);

/*
 * Amounts are int64 millionths of the currency's main unit ("101.81" is 101810000), and less than 10^12 units on either
 * side of zero: no order of a shop is larger, and every such amount comes out of a double right to its third decimal.
 */
enum { PR_AMOUNT_ONE = 1000000 };

/* "1234", "-5.5", "101.8150": digits with at most one '.', nothing else. Digits after the sixth decimal are cut off. */
bool pr_amount_parse(struct pr_span text, int64_t *amount) PR_MUST_CHECK;
bool pr_amount_of_int(int64_t units, int64_t *amount) PR_MUST_CHECK;
bool pr_amount_of_double(double units, int64_t *amount) PR_MUST_CHECK;

/*
 * Writes an amount of `currency` (three letters, any case; ISO 4217 is not checked) with the currency's own number of
 * decimals, rounded half away from zero: "R$ 101,81" in pt_BR, "101,81 €" in de_DE, "ARS 101.81" in en_US. The space
 * between sign and number is U+00A0, so that no line ends between them; a minus sign always comes first. Returns the
 * length without the NUL that follows, or 0 when `currency` is not three letters.
 */
enum { PR_MONEY_TEXT = 64 };
size_t pr_locale_money(const struct pr_locale *locale, int64_t amount, struct pr_span currency, char out[PR_MONEY_TEXT]);

/* A day of the calendar: year 1970 to 9999, month 1 to 12, day 1 to 31. */
struct pr_date {
    int year, month, day;
};

/*
 * "2026-11-30" or an RFC 3339 date-time, of which the date is taken as written: in "2026-11-30T22:00:00-03:00" it is
 * the 30th, because that is what the shop's customer saw. False for days that do not exist.
 */
bool pr_date_parse(struct pr_span text, struct pr_date *date) PR_MUST_CHECK;

/* The day in UTC of a time in microseconds since 1970; false before 1970 and after 9999. */
bool pr_date_of_time(int64_t us, struct pr_date *date) PR_MUST_CHECK;

/* Days since 1970-01-01. */
int64_t pr_date_days(const struct pr_date *date) PR_MUST_CHECK;

/*
 * SHORT "30/11/2026" (always with the year in full), LONG "30 de novembro de 2026", LONG_NO_YEAR "30 de novembro".
 * Returns the length without the NUL that follows.
 */
enum pr_date_style { PR_DATE_SHORT, PR_DATE_LONG, PR_DATE_LONG_NO_YEAR };
enum { PR_DATE_TEXT = 64 };
size_t pr_locale_date(const struct pr_locale *locale, const struct pr_date *date, enum pr_date_style style,
                      char out[PR_DATE_TEXT]);

#endif
