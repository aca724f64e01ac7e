/* Tests the UTF-8 validator at each edge of RFC 3629, and counting and cutting. */
#include "core/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define VALID(literal) assert_true(pr_utf8_valid(PR_SPAN(literal)))
#define INVALID(literal) assert_false(pr_utf8_valid(PR_SPAN(literal)))

static void the_empty_span_is_valid(void **state) {
    (void)state;
    assert_true(pr_utf8_valid((struct pr_span){NULL, 0}));
    VALID("");
}

static void the_first_and_last_character_of_each_length_are_valid(void **state) {
    (void)state;
    VALID("\x01");
    VALID("\x7f");
    VALID("\xc2\x80");
    VALID("\xdf\xbf");
    VALID("\xe0\xa0\x80");
    VALID("\xef\xbf\xbf");
    VALID("\xf0\x90\x80\x80");
    VALID("\xf4\x8f\xbf\xbf");
}

static void overlong_forms_are_refused(void **state) {
    (void)state;
    INVALID("\xc0\x80");
    INVALID("\xc1\xbf");
    INVALID("\xe0\x80\x80");
    INVALID("\xe0\x9f\xbf");
    INVALID("\xf0\x80\x80\x80");
    INVALID("\xf0\x8f\xbf\xbf");
}

static void surrogates_are_refused_and_their_neighbours_are_not(void **state) {
    (void)state;
    VALID("\xed\x9f\xbf");
    INVALID("\xed\xa0\x80");
    INVALID("\xed\xbf\xbf");
    VALID("\xee\x80\x80");
}

static void what_lies_beyond_unicode_is_refused(void **state) {
    (void)state;
    INVALID("\xf4\x90\x80\x80");
    INVALID("\xf5\x80\x80\x80");
    INVALID("\xff");
    INVALID("\xfe");
}

static void stray_tails_and_cut_characters_are_refused(void **state) {
    (void)state;
    INVALID("\x80");
    INVALID("\xbf");
    INVALID("\xc2");
    INVALID("\xe2\x82");
    INVALID("\xf0\x9f\x98");
    INVALID("\xc2\x41");
    INVALID("\xe2\x82\x41");
    INVALID("\xe2\x41\x82");
    INVALID("\xf0\x9f\x98\x41");
    INVALID("\xc2\xc2");
}

static void a_zero_byte_is_refused_wherever_it_stands(void **state) {
    (void)state;
    char text[24];
    for (size_t n = 1; n <= sizeof(text); n++) {
        for (size_t at = 0; at < n; at++) {
            memset(text, 'a', sizeof(text));
            assert_true(pr_utf8_valid(pr_span_make(text, n)));
            text[at] = '\0';
            assert_false(pr_utf8_valid(pr_span_make(text, n)));
        }
    }
}

static void a_bad_byte_is_refused_wherever_it_stands(void **state) {
    (void)state;
    char text[24];
    for (size_t at = 0; at < sizeof(text); at++) {
        memset(text, 0x7f, sizeof(text));
        text[at] = (char)0x80;
        assert_false(pr_utf8_valid(pr_span_make(text, sizeof(text))));
    }
}

/* Encodes by the definition, to compare with the validator over all code points. */
static size_t encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)(lead[n] | c);
    return n;
}

static void every_code_point_but_zero_and_surrogates_is_valid(void **state) {
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF + 16; c++) {
        char text[4];
        size_t n = encode(c, text);
        bool want = c != 0 && !(c >= 0xD800 && c <= 0xDFFF) && c <= 0x10FFFF;
        if (pr_utf8_valid(pr_span_make(text, n)) != want) {
            fail_msg("U+%04X", c);
        }
    }
}

static void characters_are_counted_not_bytes(void **state) {
    (void)state;
    assert_int_equal(pr_utf8_count(PR_SPAN("")), 0);
    assert_int_equal(pr_utf8_count(PR_SPAN("abc")), 3);
    assert_int_equal(pr_utf8_count(PR_SPAN("S\xc3\xa3o \xf0\x9f\x98\x80")), 5);
}

static void a_cut_keeps_whole_characters(void **state) {
    (void)state;
    const struct pr_span s = PR_SPAN("S\xc3\xa3o\xf0\x9f\x98\x80!");
    assert_int_equal(pr_utf8_cut(s, 0).n, 0);
    assert_int_equal(pr_utf8_cut(s, 1).n, 1);
    assert_int_equal(pr_utf8_cut(s, 2).n, 3);
    assert_int_equal(pr_utf8_cut(s, 3).n, 4);
    assert_int_equal(pr_utf8_cut(s, 4).n, 8);
    assert_int_equal(pr_utf8_cut(s, 5).n, 9);
    assert_int_equal(pr_utf8_cut(s, 6).n, 9);
    assert_int_equal(pr_utf8_cut((struct pr_span){NULL, 0}, 3).n, 0);
}

static void a_cut_by_bytes_keeps_whole_characters(void **state) {
    (void)state;
    const struct pr_span s = PR_SPAN("S\xc3\xa3o\xf0\x9f\x98\x80!");
    static const size_t want[] = {0, 1, 1, 3, 4, 4, 4, 4, 8, 9, 9};
    for (size_t bytes = 0; bytes < sizeof(want) / sizeof(want[0]); bytes++) {
        assert_int_equal(pr_utf8_cut_bytes(s, bytes).n, want[bytes]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_span_is_valid),
        cmocka_unit_test(the_first_and_last_character_of_each_length_are_valid),
        cmocka_unit_test(overlong_forms_are_refused),
        cmocka_unit_test(surrogates_are_refused_and_their_neighbours_are_not),
        cmocka_unit_test(what_lies_beyond_unicode_is_refused),
        cmocka_unit_test(stray_tails_and_cut_characters_are_refused),
        cmocka_unit_test(a_zero_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(a_bad_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(every_code_point_but_zero_and_surrogates_is_valid),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(a_cut_keeps_whole_characters),
        cmocka_unit_test(a_cut_by_bytes_keeps_whole_characters),
    };
    return cmocka_run_group_tests_name("core/utf8", tests, NULL, NULL);
}
