/* Tests of the growing buffer: the ceiling, the sticky failure, formats and JSON strings. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void an_empty_buffer_reads_as_an_empty_string(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 100);
    assert_string_equal(pr_buf_text(&buf), "");
    assert_int_equal(pr_buf_span(&buf).n, 0);
    pr_buf_free(&buf);
}

static void pieces_are_joined_in_order(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 100);
    pr_buf_put(&buf, "ab", 2);
    pr_buf_put_span(&buf, PR_SPAN("cd"));
    pr_buf_put_span(&buf, pr_span_make(NULL, 0));
    pr_buf_put_text(&buf, "ef");
    pr_buf_put_char(&buf, 'g');
    pr_buf_printf(&buf, "%d-%s", 42, "x");
    assert_string_equal(pr_buf_text(&buf), "abcdefg42-x");
    pr_buf_free(&buf);
}

static void it_takes_exactly_its_ceiling_and_not_one_byte_more(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 10);
    pr_buf_put(&buf, "0123456789", 10);
    assert_false(buf.failed);
    assert_int_equal(buf.n, 10);
    pr_buf_put_char(&buf, 'x');
    assert_true(buf.failed);
    assert_string_equal(pr_buf_text(&buf), "0123456789");
    pr_buf_free(&buf);
}

static void after_a_failure_nothing_is_added_until_the_reset(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 4);
    pr_buf_put_text(&buf, "12345");
    pr_buf_put_char(&buf, '1');
    pr_buf_printf(&buf, "%d", 1);
    assert_true(buf.failed);
    assert_int_equal(buf.n, 0);
    pr_buf_reset(&buf);
    pr_buf_put_text(&buf, "1234");
    assert_false(buf.failed);
    assert_string_equal(pr_buf_text(&buf), "1234");
    pr_buf_free(&buf);
}

static void a_format_longer_than_the_room_grows_the_buffer(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 100000);
    pr_buf_put_text(&buf, "a");
    pr_buf_printf(&buf, "%05000d", 7);
    assert_false(buf.failed);
    assert_int_equal(buf.n, 5001);
    assert_int_equal(buf.p[5000], '7');
    assert_int_equal(buf.p[5001], '\0');
    pr_buf_free(&buf);
}

static void a_format_over_the_ceiling_fails_and_leaves_no_part(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 20);
    pr_buf_put_text(&buf, "ab");
    pr_buf_printf(&buf, "%030d", 7);
    assert_true(buf.failed);
    assert_string_equal(pr_buf_text(&buf), "ab");
    pr_buf_free(&buf);
}

static void json_strings_escape_what_json_forbids(void **state) {
    (void)state;
    struct pr_buf buf;
    pr_buf_init(&buf, 1000);
    pr_buf_put_json(&buf, PR_SPAN("a\"b\\c\n\x01\x1f/é😀"));
    assert_string_equal(pr_buf_text(&buf), "\"a\\\"b\\\\c\\n\\u0001\\u001f/é😀\"");
    pr_buf_reset(&buf);
    pr_buf_put_json(&buf, pr_span_make(NULL, 0));
    assert_string_equal(pr_buf_text(&buf), "\"\"");
    pr_buf_free(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_reads_as_an_empty_string),
        cmocka_unit_test(pieces_are_joined_in_order),
        cmocka_unit_test(it_takes_exactly_its_ceiling_and_not_one_byte_more),
        cmocka_unit_test(after_a_failure_nothing_is_added_until_the_reset),
        cmocka_unit_test(a_format_longer_than_the_room_grows_the_buffer),
        cmocka_unit_test(a_format_over_the_ceiling_fails_and_leaves_no_part),
        cmocka_unit_test(json_strings_escape_what_json_forbids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
