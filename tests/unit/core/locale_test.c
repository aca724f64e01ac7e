/* Tests money and dates against what CLDR 48 gives, and the edges of amounts and days. */
#include "core/locale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NBSP "\xc2\xa0"
#define NARROW "\xe2\x80\xaf"

static const int64_t money_parts = PR_AMOUNT_ONE / 100;

static void check_money(const char *locale, int64_t cents, const char *currency, const char *want) {
    char got[PR_MONEY_TEXT];
    size_t n = pr_locale_money(pr_locale_find(pr_span_of(locale)), cents * money_parts, pr_span_of(currency), got);
    assert_int_equal(n, strlen(got));
    if (strcmp(got, want) != 0) {
        fail_msg("%s %s: got \"%s\", want \"%s\"", locale, currency, got, want);
    }
}

static void money_is_written_as_each_country_does(void **state) {
    (void)state;
    check_money("pt_BR", 10181, "BRL", "R$" NBSP "101,81");
    check_money("pt_BR", 123456780, "BRL", "R$" NBSP "1.234.567,80");
    check_money("pt_PT", 10181, "EUR", "101,81" NBSP "€");
    check_money("es_ES", 10181, "EUR", "101,81" NBSP "€");
    check_money("es_MX", 1234567, "MXN", "$12,345.67");
    check_money("es_AR", 1234567, "ARS", "$" NBSP "12.345,67");
    check_money("es_CL", 1234500, "CLP", "$12.345");
    check_money("es_CO", 1234500, "COP", "$" NBSP "12.345");
    check_money("es_PE", 1234567, "PEN", "S/" NBSP "12,345.67");
    check_money("es_UY", 1234567, "UYU", "$" NBSP "12.345,67");
    check_money("en_US", 1234567, "USD", "$12,345.67");
    check_money("en_GB", 1234567, "GBP", "£12,345.67");
    check_money("de_DE", 1234567, "EUR", "12.345,67" NBSP "€");
    check_money("fr_FR", 1234567, "EUR", "12" NARROW "345,67" NBSP "€");
    check_money("it_IT", 1234567, "EUR", "12.345,67" NBSP "€");
}

static void another_countrys_money_is_not_taken_for_ones_own(void **state) {
    (void)state;
    check_money("pt_BR", 500, "USD", "US$" NBSP "5,00");
    check_money("es_MX", 500, "USD", "USD" NBSP "5.00");
    check_money("es_AR", 500, "USD", "US$" NBSP "5,00");
    check_money("en_US", 500, "MXN", "MX$5.00");
    check_money("en_US", 500, "ARS", "ARS" NBSP "5.00");
    check_money("en_GB", 500, "USD", "US$5.00");
    check_money("fr_FR", 500, "USD", "5,00" NBSP "$US");
    check_money("de_DE", 500, "XYZ", "5,00" NBSP "XYZ");
}

static void an_unknown_locale_gets_codes_and_no_groups(void **state) {
    (void)state;
    check_money("", 123456789, "BRL", "BRL" NBSP "1234567.89");
    check_money("xx_YY", 500, "EUR", "EUR" NBSP "5.00");
}

static void some_languages_group_only_from_five_digits(void **state) {
    (void)state;
    check_money("es_ES", 123450, "EUR", "1234,50" NBSP "€");
    check_money("es_ES", 1234500, "EUR", "12.345,00" NBSP "€");
    check_money("pt_PT", 123450, "EUR", "1234,50" NBSP "€");
    check_money("it_IT", 123450, "EUR", "1234,50" NBSP "€");
    check_money("pt_BR", 123450, "BRL", "R$" NBSP "1.234,50");
    check_money("pt_BR", 99900, "BRL", "R$" NBSP "999,00");
}

static void decimals_follow_the_currency_and_round_half_up(void **state) {
    (void)state;
    check_money("en_US", 150, "JPY", "JP¥2");
    check_money("en_US", 149, "JPY", "JP¥1");
    check_money("en_US", 150, "KWD", "KWD" NBSP "1.500");
    char got[PR_MONEY_TEXT];
    const struct pr_locale *us = pr_locale_find(PR_SPAN("en_US"));
    pr_locale_money(us, 1005000, PR_SPAN("USD"), got);
    assert_string_equal(got, "$1.01");
    pr_locale_money(us, 1004999, PR_SPAN("USD"), got);
    assert_string_equal(got, "$1.00");
    pr_locale_money(us, 999995000, PR_SPAN("USD"), got);
    assert_string_equal(got, "$1,000.00");
}

static void a_minus_comes_first_and_never_before_zero(void **state) {
    (void)state;
    check_money("pt_BR", -10181, "BRL", "-R$" NBSP "101,81");
    check_money("de_DE", -10181, "EUR", "-101,81" NBSP "€");
    check_money("en_US", 0, "USD", "$0.00");
    char got[PR_MONEY_TEXT];
    pr_locale_money(pr_locale_find(PR_SPAN("en_US")), -4999, PR_SPAN("USD"), got);
    assert_string_equal(got, "$0.00");
}

static void a_currency_is_three_letters_of_any_case(void **state) {
    (void)state;
    char got[PR_MONEY_TEXT];
    const struct pr_locale *br = pr_locale_find(PR_SPAN("pt_BR"));
    check_money("pt_BR", 500, "brl", "R$" NBSP "5,00");
    assert_int_equal(pr_locale_money(br, 1, PR_SPAN(""), got), 0);
    assert_int_equal(pr_locale_money(br, 1, PR_SPAN("BR"), got), 0);
    assert_int_equal(pr_locale_money(br, 1, PR_SPAN("BRLX"), got), 0);
    assert_int_equal(pr_locale_money(br, 1, PR_SPAN("R$1"), got), 0);
}

static void the_largest_amount_fits_its_text(void **state) {
    (void)state;
    check_money("fr_FR", -99999999999999, "XYZ", "-999" NARROW "999" NARROW "999" NARROW "999,99" NBSP "XYZ");
    check_money("es_CR", -99999999999999, "XYZ", "-XYZ" NBSP "999" NBSP "999" NBSP "999" NBSP "999,99");
}

static void check_find(const char *name, const char *want) {
    assert_string_equal(pr_locale_name(pr_locale_find(pr_span_of(name))), want);
}

static void a_locale_is_found_in_any_spelling(void **state) {
    (void)state;
    check_find("pt_BR", "pt_BR");
    check_find("pt-br", "pt_BR");
    check_find("PT_br", "pt_BR");
    check_find("es-Latn-MX", "es_MX");
    check_find("es_419", "es_419");
}

static void a_missing_region_falls_back_to_its_language(void **state) {
    (void)state;
    check_find("pt", "pt_BR");
    check_find("pt_AO", "pt_PT");
    check_find("es", "es_ES");
    check_find("es_ZZ", "es_419");
    check_find("es_LONG", "es_ES"); /* four letters are a script */
    check_find("es_TOOLONG", "es_419");
    check_find("en", "en_US");
    check_find("en_AU", "en_GB");
    check_find("de_AT", "de_DE");
    check_find("fr_CA", "fr_FR");
    check_find("it", "it_IT");
    check_find("", "");
    check_find("ja", "");
    check_find("por", "");
    check_find("_", "");
}

static void check_date(const char *locale, int month, int day, enum pr_date_style style, const char *want) {
    char got[PR_DATE_TEXT];
    struct pr_date date = {2026, month, day};
    size_t n = pr_locale_date(pr_locale_find(pr_span_of(locale)), &date, style, got);
    assert_int_equal(n, strlen(got));
    if (strcmp(got, want) != 0) {
        fail_msg("%s: got \"%s\", want \"%s\"", locale, got, want);
    }
}

static void dates_are_written_as_each_country_does(void **state) {
    (void)state;
    check_date("pt_BR", 1, 5, PR_DATE_SHORT, "05/01/2026");
    check_date("es_ES", 1, 5, PR_DATE_SHORT, "5/1/2026");
    check_date("es_MX", 1, 5, PR_DATE_SHORT, "05/01/2026");
    check_date("es_CL", 1, 5, PR_DATE_SHORT, "05-01-2026");
    check_date("es_PR", 1, 5, PR_DATE_SHORT, "01/05/2026");
    check_date("en_US", 1, 5, PR_DATE_SHORT, "1/5/2026");
    check_date("en_GB", 1, 5, PR_DATE_SHORT, "05/01/2026");
    check_date("de_DE", 1, 5, PR_DATE_SHORT, "05.01.2026");
    check_date("", 1, 5, PR_DATE_SHORT, "2026-01-05");
    check_date("pt_BR", 11, 30, PR_DATE_LONG, "30 de novembro de 2026");
    check_date("pt_BR", 11, 30, PR_DATE_LONG_NO_YEAR, "30 de novembro");
    check_date("es_ES", 9, 1, PR_DATE_LONG, "1 de septiembre de 2026");
    check_date("en_US", 11, 30, PR_DATE_LONG, "November 30, 2026");
    check_date("en_US", 11, 30, PR_DATE_LONG_NO_YEAR, "November 30");
    check_date("en_GB", 11, 30, PR_DATE_LONG, "30 November 2026");
    check_date("de_DE", 3, 2, PR_DATE_LONG, "2. März 2026");
    check_date("fr_FR", 8, 1, PR_DATE_LONG, "1er août 2026");
    check_date("fr_FR", 8, 2, PR_DATE_LONG_NO_YEAR, "2 août");
    check_date("it_IT", 12, 1, PR_DATE_LONG, "1 dicembre 2026");
    check_date("xx", 11, 30, PR_DATE_LONG, "2026-11-30");
    check_date("xx", 11, 30, PR_DATE_LONG_NO_YEAR, "2026-11-30");
}

static void check_amount(const char *text, bool ok, int64_t want) {
    int64_t got = -1;
    if (pr_amount_parse(pr_span_of(text), &got) != ok || (ok && got != want)) {
        fail_msg("\"%s\" gave %lld", text, (long long)got);
    }
}

static void an_amount_is_read_from_plain_decimals_only(void **state) {
    (void)state;
    check_amount("101.81", true, 101810000);
    check_amount("0", true, 0);
    check_amount("-5.5", true, -5500000);
    check_amount("007", true, 7000000);
    check_amount("1.1234569", true, 1123456);
    check_amount("999999999999.999999", true, 999999999999999999);
    check_amount("1000000000000", false, 0);
    check_amount("99999999999999999999999999", false, 0);
    static const char *const bad[] = {"",   "-",   ".",  ".5", "5.",   "1,5", "1.2.3",
                                      "+1", "1e3", " 1", "1 ", "R$ 1", "--1", "0x1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_amount(bad[i], false, 0);
    }
}

static void an_amount_from_a_double_is_what_people_typed(void **state) {
    (void)state;
    int64_t got = 0;
    assert_true(pr_amount_of_double(101.81, &got));
    assert_int_equal(got, 101810000);
    assert_true(pr_amount_of_double(1.005, &got));
    assert_int_equal(got, 1005000);
    assert_true(pr_amount_of_double(-0.1 - 0.2, &got));
    assert_int_equal(got, -300000);
    assert_false(pr_amount_of_double(1e12, &got));
    assert_false(pr_amount_of_double(-1e12, &got));
    assert_false(pr_amount_of_double(1e300, &got));
    double not_a_number = 0.0;
    not_a_number /= not_a_number;
    assert_false(pr_amount_of_double(not_a_number, &got));
}

static void an_amount_from_an_integer_is_bounded(void **state) {
    (void)state;
    int64_t got = 0;
    assert_true(pr_amount_of_int(-999999999999, &got));
    assert_int_equal(got, -999999999999000000);
    assert_false(pr_amount_of_int(1000000000000, &got));
    assert_false(pr_amount_of_int(INT64_MIN, &got));
}

static void check_day(const char *text, int year, int month, int day) {
    struct pr_date got = {0, 0, 0};
    bool ok = pr_date_parse(pr_span_of(text), &got);
    if (ok != (year > 0) || got.year != year || got.month != month || got.day != day) {
        fail_msg("\"%s\" gave %d: %d-%d-%d", text, ok, got.year, got.month, got.day);
    }
}

static void a_date_is_taken_as_written(void **state) {
    (void)state;
    check_day("2026-11-30", 2026, 11, 30);
    check_day("2026-11-30T22:00:00-03:00", 2026, 11, 30);
    check_day("2026-11-30T01:00:00+09:00", 2026, 11, 30);
    check_day("2028-02-29", 2028, 2, 29);
    check_day("1970-01-01", 1970, 1, 1);
    check_day("9999-12-31", 9999, 12, 31);
}

static void a_day_that_does_not_exist_is_no_date(void **state) {
    (void)state;
    static const char *const bad[] = {"",           "2026-11-3",  "2026-11-31",          "2026-02-29",
                                      "2100-02-29", "2026-13-01", "2026-00-01",          "2026-01-00",
                                      "30/11/2026", "1969-12-31", "2026-11-30T",         "2026-11-30x",
                                      "tomorrow!!", "2026-1a-01", "2026-11-30T25:00:00Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_day(bad[i], 0, 0, 0);
    }
}

static void a_time_gives_its_day_in_utc(void **state) {
    (void)state;
    struct pr_date got;
    assert_true(pr_date_of_time(INT64_C(1796083199999999), &got)); /* 2026-11-30T23:59:59.999999Z */
    assert_int_equal(got.year * 10000 + got.month * 100 + got.day, 20261130);
    assert_true(pr_date_of_time(INT64_C(1796083200000000), &got));
    assert_int_equal(got.day, 1);
    assert_int_equal(pr_date_days(&got), 20788);
    assert_false(pr_date_of_time(-1, &got));
    assert_false(pr_date_of_time(INT64_MAX, &got));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_is_written_as_each_country_does),
        cmocka_unit_test(another_countrys_money_is_not_taken_for_ones_own),
        cmocka_unit_test(an_unknown_locale_gets_codes_and_no_groups),
        cmocka_unit_test(some_languages_group_only_from_five_digits),
        cmocka_unit_test(decimals_follow_the_currency_and_round_half_up),
        cmocka_unit_test(a_minus_comes_first_and_never_before_zero),
        cmocka_unit_test(a_currency_is_three_letters_of_any_case),
        cmocka_unit_test(the_largest_amount_fits_its_text),
        cmocka_unit_test(a_locale_is_found_in_any_spelling),
        cmocka_unit_test(a_missing_region_falls_back_to_its_language),
        cmocka_unit_test(dates_are_written_as_each_country_does),
        cmocka_unit_test(an_amount_is_read_from_plain_decimals_only),
        cmocka_unit_test(an_amount_from_a_double_is_what_people_typed),
        cmocka_unit_test(an_amount_from_an_integer_is_bounded),
        cmocka_unit_test(a_date_is_taken_as_written),
        cmocka_unit_test(a_day_that_does_not_exist_is_no_date),
        cmocka_unit_test(a_time_gives_its_day_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
