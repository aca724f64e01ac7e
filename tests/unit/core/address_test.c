/* Tests the one spelling of a recipient: what is taken, what is completed, what is refused and why. */
#include "core/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_parse(const char *text, const char *want) {
    struct pr_address address;
    const bool is_taken = pr_address_parse(pr_span_of(text), &address);
    if (is_taken != (want != NULL) || (want && strcmp(address.text, want) != 0)) {
        fail_msg("\"%s\" gives \"%s\" instead of \"%s\"", text, is_taken ? address.text : "nothing",
                 want ? want : "nothing");
    }
    if (is_taken) {
        assert_int_equal(address.n, strlen(address.text));
        assert_int_equal(address.is_user_id, address.text[0] != '+');
    }
}

static void a_number_needs_its_plus_and_8_to_15_digits(void **state) {
    (void)state;
    check_parse("+12345678", "+12345678");
    check_parse("+1234567", NULL);
    check_parse("+123456789012345", "+123456789012345");
    check_parse("+1234567890123456", NULL);
    check_parse("12025550123", NULL);
    check_parse("0012025550123", NULL);
    check_parse("+02025550123", NULL);
    check_parse("", NULL);
    check_parse("+", NULL);
    check_parse("++12025550123", NULL);
    check_parse("+1+2025550123", NULL);
    check_parse("+1202555012a", NULL);
    check_parse("+12025550123;ext=1", NULL);
}

static void separators_are_dropped(void **state) {
    (void)state;
    check_parse("+1 (202) 555-0123", "+12025550123");
    check_parse(" +49.30.1234.5678 ", "+493012345678");
    check_parse("(+1) 202 555 0123", "+12025550123");
    check_parse("+1\t2025550123", NULL);
    check_parse("+1/2025550123", NULL);
}

static void a_brazilian_mobile_gets_its_ninth_digit(void **state) {
    (void)state;
    check_parse("+551199990000", "+5511999990000");
    check_parse("+5511999990000", "+5511999990000");
    check_parse("+551160000000", "+5511960000000");
    check_parse("+551189998888", "+5511989998888");
    check_parse("+551159990000", "+551159990000");
    check_parse("+551120000000", "+551120000000");
    check_parse("+55119999000", "+55119999000");
}

static void a_mexican_mobile_loses_its_one(void **state) {
    (void)state;
    check_parse("+5215512345678", "+525512345678");
    check_parse("+525512345678", "+525512345678");
    check_parse("+52155123456789", "+52155123456789");
    check_parse("+521551234567", "+521551234567");
}

static void a_user_id_is_two_capitals_a_point_and_up_to_40_letters_or_digits(void **state) {
    (void)state;
    check_parse("US.13491208655302741918", "US.13491208655302741918");
    check_parse("BR.a", "BR.a");
    check_parse("BR.0123456789012345678901234567890123456789", "BR.0123456789012345678901234567890123456789");
    check_parse("BR.01234567890123456789012345678901234567890", NULL);
    check_parse("BR.", NULL);
    check_parse("br.123", NULL);
    check_parse("B1.123", NULL);
    check_parse("BRA.123", NULL);
    check_parse("BR-123", NULL);
    check_parse("BR.12 3", NULL);
    check_parse("BR.\xc3\xa1", NULL);
}

static void any_bytes_are_refused_without_harm(void **state) {
    (void)state;
    struct pr_address address;
    char text[300];
    for (int c = 0; c < 256; c++) {
        memset(text, c, sizeof(text));
        assert_false(pr_address_parse(pr_span_make(text, sizeof(text)), &address));
    }
    assert_false(pr_address_parse((struct pr_span){NULL, 0}, &address));
}

/* `want` is the address, or what `why` must contain when it starts with '!'. */
static void check_import(const char *text, const char *country, const char *want) {
    struct pr_address address;
    const char *why = NULL;
    const bool is_taken = pr_address_import(pr_span_of(text), pr_span_of(country), &address, &why);
    const bool is_right = is_taken ? strcmp(address.text, want) == 0 : want[0] == '!' && why && strstr(why, want + 1);
    if (!is_right) {
        fail_msg("\"%s\" in \"%s\" gives \"%s\" instead of \"%s\"", text, country,
                 is_taken ? address.text
                 : why    ? why
                          : "?",
                 want);
    }
}

static void an_import_takes_international_numbers_as_they_are(void **state) {
    (void)state;
    check_import("+5511999990000", "", "+5511999990000");
    check_import("005511999990000", "", "+5511999990000");
    check_import("00 55 (11) 9999-0000", "US", "+5511999990000");
    check_import("US.13491208655302741918", "BR", "US.13491208655302741918");
}

static void an_import_completes_national_numbers(void **state) {
    (void)state;
    check_import("(11) 99999-0000", "BR", "+5511999990000");
    check_import("(11) 9999-0000", "BR", "+5511999990000");
    check_import("011 99999-0000", "BR", "+5511999990000");
    check_import("11 3333-0000", "br", "+551133330000");
    check_import("202-555-0123", "US", "+12025550123");
    check_import("1 202 555 0123", "US", "+12025550123");
    check_import("030 12345678", "DE", "+493012345678");
    check_import("55 1234 5678", "MX", "+525512345678");
    check_import("612 345 678", "ES", "+34612345678");
    check_import("06 1234 5678", "IT", "+390612345678");
    check_import("8 912 345-67-89", "RU", "+79123456789");
    check_import("07911 123456", "GB", "+447911123456");
}

static void an_import_sees_a_calling_code_without_its_plus(void **state) {
    (void)state;
    check_import("5511999990000", "BR", "+5511999990000");
    check_import("551133330000", "BR", "+551133330000");
    check_import("5215512345678", "MX", "+525512345678");
    check_import("4915112345678", "DE", "+4915112345678");
}

static void area_code_55_of_brazil_is_no_calling_code(void **state) {
    (void)state;
    check_import("5599990000", "BR", "+5555999990000");
    check_import("55999990000", "BR", "+5555999990000");
}

static void an_import_says_what_is_wrong(void **state) {
    (void)state;
    check_import("", "BR", "!empty");
    check_import("   ", "BR", "!empty");
    check_import("5,51E+12", "BR", "!scientific");
    check_import("5.51199E12", "", "!scientific");
    check_import("55e11", "", "!scientific");
    check_import("99999-0000", "BR", "!area code");
    check_import("999999999999999", "BR", "!too long");
    check_import("11999990000", "", "!--default-country");
    check_import("11999990000", "ZZ", "!not known");
    check_import("11999990000", "BRA", "!not known");
    check_import("n/a", "BR", "!not a phone number");
    check_import("E12", "BR", "!not a phone number");
    check_import("+123", "BR", "!8 to 15");
    check_import("000000000000", "BR", "!8 to 15");
    check_import("1234567890123456789012345", "BR", "!not a phone number");
}

static void check_mask(const char *text, const char *want) {
    char out[PR_ADDRESS_MAX + 1];
    pr_address_mask(pr_span_of(text), out);
    assert_string_equal(out, want);
}

static void a_mask_keeps_both_ends_and_hides_at_least_four(void **state) {
    (void)state;
    check_mask("+5511999990000", "+5511*****0000");
    check_mask("+12025550123", "+120****0123");
    check_mask("+12345678", "+****5678");
    check_mask("12345678", "****5678");
    check_mask("1234567", "****567");
    check_mask("12345", "****5");
    check_mask("1234", "****");
    check_mask("", "");
    check_mask("US.13491208655302741918", "US.13**************1918");
}

static void a_mask_shows_no_strange_bytes_and_has_an_end(void **state) {
    (void)state;
    char text[200], out[PR_ADDRESS_MAX + 1];
    memset(text, '\n', sizeof(text));
    pr_address_mask(pr_span_make(text, sizeof(text)), out);
    assert_int_equal(strlen(out), PR_ADDRESS_MAX);
    assert_int_equal(strspn(out, "*"), PR_ADDRESS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_needs_its_plus_and_8_to_15_digits),
        cmocka_unit_test(separators_are_dropped),
        cmocka_unit_test(a_brazilian_mobile_gets_its_ninth_digit),
        cmocka_unit_test(a_mexican_mobile_loses_its_one),
        cmocka_unit_test(a_user_id_is_two_capitals_a_point_and_up_to_40_letters_or_digits),
        cmocka_unit_test(any_bytes_are_refused_without_harm),
        cmocka_unit_test(an_import_takes_international_numbers_as_they_are),
        cmocka_unit_test(an_import_completes_national_numbers),
        cmocka_unit_test(an_import_sees_a_calling_code_without_its_plus),
        cmocka_unit_test(area_code_55_of_brazil_is_no_calling_code),
        cmocka_unit_test(an_import_says_what_is_wrong),
        cmocka_unit_test(a_mask_keeps_both_ends_and_hides_at_least_four),
        cmocka_unit_test(a_mask_shows_no_strange_bytes_and_has_an_end),
    };
    return cmocka_run_group_tests_name("core/address", tests, NULL, NULL);
}
