/* Tests of the CSV reader: separators, quotes, encodings, and the rows that cannot be taken. */
#include "csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pr_csv csv;
static struct pr_csv_row row;
static char why[PR_CSV_WHY];

static void must_open(const char *text) {
    why[0] = '\0';
    if (!pr_csv_open(&csv, pr_span_of(text), why)) {
        fail_msg("%s", why);
    }
}

static void must_refuse(const void *bytes, size_t n, const char *word) {
    why[0] = '\0';
    assert_false(pr_csv_open(&csv, pr_span_make(bytes, n), why));
    if (!strstr(why, word)) {
        fail_msg("\"%s\" does not say \"%s\"", why, word);
    }
}

static void check_field(size_t i, const char *want) {
    if (!pr_span_is(row.fields[i], want)) {
        fail_msg("field %zu is \"%.*s\", not \"%s\"", i, PR_SPAN_ARG(row.fields[i]), want);
    }
}

static void must_have(const char *a, const char *b) {
    assert_int_equal(pr_csv_next(&csv, &row, why), PR_CSV_ROW);
    check_field(0, a);
    check_field(1, b);
}

static void must_be_bad(const char *word, int64_t line) {
    assert_int_equal(pr_csv_next(&csv, &row, why), PR_CSV_BAD);
    assert_int_equal(row.line, line);
    if (!strstr(why, word)) {
        fail_msg("\"%s\" does not say \"%s\"", why, word);
    }
}

static void must_end(void) {
    assert_int_equal(pr_csv_next(&csv, &row, why), PR_CSV_END);
    pr_csv_close(&csv);
}

static void each_of_the_four_separators_is_found(void **state) {
    static const char separators[] = {',', ';', '\t', '|'};
    (void)state;
    for (size_t i = 0; i < sizeof(separators); i++) {
        char text[32];
        snprintf(text, sizeof(text), "to%cn\n+55%cAna\n", separators[i], separators[i]);
        must_open(text);
        assert_int_equal(csv.separator, separators[i]);
        must_have("+55", "Ana");
        must_end();
    }
}

static void the_most_frequent_separator_outside_quotes_wins(void **state) {
    (void)state;
    must_open("to;\"a,b,c,d\";n\n1;2;3\n");
    assert_int_equal(csv.separator, ';');
    assert_int_equal(csv.columns, 3);
    must_have("1", "2");
    must_end();
}

static void excels_sep_line_is_obeyed_and_counted(void **state) {
    (void)state;
    must_open("sep=|\r\nto,x|n\r\n1|2\r\n");
    assert_int_equal(csv.columns, 2);
    must_have("1", "2");
    assert_int_equal(row.line, 3);
    must_end();
}

static void a_byte_order_mark_is_no_part_of_the_first_name(void **state) {
    static const char *const names[] = {"to", NULL};
    (void)state;
    must_open("\xef\xbb\xbfto,n\n1,2\n");
    assert_int_equal(pr_csv_column(&csv, names), 0);
    must_have("1", "2");
    must_end();
}

static void one_column_needs_no_separator(void **state) {
    (void)state;
    must_open("to\n+551\n+552");
    assert_int_equal(csv.columns, 1);
    assert_int_equal(pr_csv_next(&csv, &row, why), PR_CSV_ROW);
    check_field(0, "+551");
    assert_int_equal(pr_csv_next(&csv, &row, why), PR_CSV_ROW);
    check_field(0, "+552");
    must_end();
}

static void quotes_hold_separators_lines_and_doubled_quotes(void **state) {
    (void)state;
    must_open("a,b\n\"x,\"\"y\"\"\",\"line 1\r\nline 2\"\n\"\",\" kept \"\nlast,1\n");
    must_have("x,\"y\"", "line 1\r\nline 2");
    assert_int_equal(row.line, 2);
    must_have("", " kept ");
    assert_int_equal(row.line, 4);
    must_have("last", "1");
    assert_int_equal(row.line, 5);
    must_end();
}

static void blanks_around_fields_are_dropped(void **state) {
    (void)state;
    must_open("a,b\n  1 ,\t2\t\n \"q\" , 3\n");
    must_have("1", "2");
    must_have("q", "3");
    must_end();
}

static void a_tab_that_separates_is_no_blank(void **state) {
    (void)state;
    must_open("a\tb\n\tx\nx\t\n");
    must_have("", "x");
    must_have("x", "");
    must_end();
}

static void all_three_line_ends_count_as_one(void **state) {
    (void)state;
    must_open("a,b\r1,2\r\n3,4\n5,6");
    must_have("1", "2");
    assert_int_equal(row.line, 2);
    must_have("3", "4");
    must_have("5", "6");
    assert_int_equal(row.line, 4);
    must_end();
}

static void blank_lines_are_passed_over_and_counted(void **state) {
    (void)state;
    must_open("\n\na,b\n\n   \n1,2\n\n");
    must_have("1", "2");
    assert_int_equal(row.line, 6);
    must_end();
}

static void a_row_of_another_length_is_bad_and_the_next_is_read(void **state) {
    (void)state;
    must_open("a,b\n1\n1,2,3\n3,4\n");
    must_be_bad("1 fields, the header has 2", 2);
    assert_true(pr_span_is(row.raw, "1"));
    must_be_bad("3 fields, the header has 2", 3);
    must_have("3", "4");
    must_end();
}

static void empty_fields_too_many_do_no_harm(void **state) {
    (void)state;
    must_open("a,b\n1,2,,,\n");
    must_have("1", "2");
    must_end();
}

static void text_behind_a_closing_quote_is_bad(void **state) {
    (void)state;
    must_open("a,b\n\"x\"y,2\n3,4\n");
    must_be_bad("behind a closing quote", 2);
    must_have("3", "4");
    must_end();
}

static void a_quote_that_is_never_closed_takes_the_rest(void **state) {
    (void)state;
    must_open("a,b\n1,2\n\"x,3\n4,5\n");
    must_have("1", "2");
    must_be_bad("never closed", 3);
    must_end();
}

static void a_quote_at_the_very_end_is_never_closed(void **state) {
    (void)state;
    must_open("a,b\n1,\"");
    must_be_bad("never closed", 2);
    must_end();
}

static void a_quote_inside_a_field_is_text(void **state) {
    (void)state;
    must_open("a,b\n5\" pipe,2\n");
    must_have("5\" pipe", "2");
    must_end();
}

static void a_row_over_the_limit_is_bad(void **state) {
    size_t n = PR_CSV_ROW_MAX + 64;
    char *text = malloc(n);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text, "a,b\n1,", 6);
    text[n - 1] = '\0';
    must_open(text);
    must_be_bad("longer than 1 MiB", 2);
    must_end();
    free(text);
}

static void a_row_at_the_limit_is_taken(void **state) {
    size_t n = 4 + PR_CSV_ROW_MAX + 1;
    char *text = malloc(n);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text, "a,b\n1,", 6);
    text[n - 1] = '\0';
    must_open(text);
    assert_int_equal(pr_csv_next(&csv, &row, why), PR_CSV_ROW);
    assert_int_equal(row.raw.n, PR_CSV_ROW_MAX);
    must_end();
    free(text);
}

static void the_number_of_columns_is_bounded(void **state) {
    char text[PR_CSV_COLUMNS_MAX * 2 + 4];
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 2 ? ',' : 'c';
    }
    text[PR_CSV_COLUMNS_MAX * 2 - 1] = '\0';
    must_open(text);
    assert_int_equal(csv.columns, PR_CSV_COLUMNS_MAX);
    must_end();
    text[PR_CSV_COLUMNS_MAX * 2 - 1] = ',';
    text[PR_CSV_COLUMNS_MAX * 2 + 1] = '\0';
    must_refuse(text, strlen(text), "more than 256 columns");
}

static void names_are_found_in_any_spelling(void **state) {
    static const char *const to[] = {"to", "phone", "phone_number", NULL}, *const name[] = {"first_name", NULL},
                             *const none[] = {"zone", NULL};
    (void)state;
    must_open("Phone Number, FIRST-name \n1,2\n");
    assert_int_equal(pr_csv_column(&csv, to), 0);
    assert_int_equal(pr_csv_column(&csv, name), 1);
    assert_int_equal(pr_csv_column(&csv, none), -1);
    pr_csv_close(&csv);
}

static void two_columns_of_one_meaning_are_told(void **state) {
    static const char *const to[] = {"to", "phone", NULL};
    (void)state;
    must_open("phone,to\n1,2\n");
    assert_int_equal(pr_csv_column(&csv, to), -2);
    pr_csv_close(&csv);
}

static void other_encodings_are_refused_by_name(void **state) {
    (void)state;
    must_refuse("\xff\xfet\0o\0\n\0", 8, "UTF-16");
    must_refuse("\xfe\xff\0t\0o", 6, "UTF-16");
    must_refuse("\xff\xfe\0\0t\0\0\0", 8, "UTF-32");
    must_refuse("to,n\n1,Jo\xe3o\n", 12, "line 2: the file is ISO-8859-1");
    must_refuse("to,n\n1,2\n1,\x80 5\n", 15, "line 3: the file is Windows-1252");
    must_refuse("t\0o\0\n\0", 6, "NUL byte");
    must_refuse("\x1f\x8b\x08\0", 4, "gzip");
    must_refuse("PK\x03\x04....", 8, "Excel");
}

static void an_empty_file_is_refused(void **state) {
    (void)state;
    must_refuse("", 0, "empty");
    must_refuse("\xef\xbb\xbf\n \n", 6, "empty");
}

static void a_header_whose_quotes_do_not_pair_is_refused(void **state) {
    (void)state;
    must_refuse("\"to,n\n1,2\n", 10, "quotes");
}

static void progress_goes_from_none_to_all(void **state) {
    (void)state;
    must_open("a,b\n1,2\n1,2\n1,2\n");
    assert_int_equal(pr_csv_percent(&csv), 25);
    must_have("1", "2");
    assert_int_equal(pr_csv_percent(&csv), 50);
    must_have("1", "2");
    must_have("1", "2");
    assert_int_equal(pr_csv_percent(&csv), 100);
    must_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_the_four_separators_is_found),
        cmocka_unit_test(the_most_frequent_separator_outside_quotes_wins),
        cmocka_unit_test(excels_sep_line_is_obeyed_and_counted),
        cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_first_name),
        cmocka_unit_test(one_column_needs_no_separator),
        cmocka_unit_test(quotes_hold_separators_lines_and_doubled_quotes),
        cmocka_unit_test(blanks_around_fields_are_dropped),
        cmocka_unit_test(a_tab_that_separates_is_no_blank),
        cmocka_unit_test(all_three_line_ends_count_as_one),
        cmocka_unit_test(blank_lines_are_passed_over_and_counted),
        cmocka_unit_test(a_row_of_another_length_is_bad_and_the_next_is_read),
        cmocka_unit_test(empty_fields_too_many_do_no_harm),
        cmocka_unit_test(text_behind_a_closing_quote_is_bad),
        cmocka_unit_test(a_quote_that_is_never_closed_takes_the_rest),
        cmocka_unit_test(a_quote_at_the_very_end_is_never_closed),
        cmocka_unit_test(a_quote_inside_a_field_is_text),
        cmocka_unit_test(a_row_over_the_limit_is_bad),
        cmocka_unit_test(a_row_at_the_limit_is_taken),
        cmocka_unit_test(the_number_of_columns_is_bounded),
        cmocka_unit_test(names_are_found_in_any_spelling),
        cmocka_unit_test(two_columns_of_one_meaning_are_told),
        cmocka_unit_test(other_encodings_are_refused_by_name),
        cmocka_unit_test(an_empty_file_is_refused),
        cmocka_unit_test(a_header_whose_quotes_do_not_pair_is_refused),
        cmocka_unit_test(progress_goes_from_none_to_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
