/* Tests of spans, above all of the empty one, whose pointer may be NULL. */
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct pr_span null_span = {NULL, 0};

static void a_literal_knows_its_length_even_with_a_nul_inside(void **state) {
    (void)state;
    assert_int_equal(PR_SPAN("").n, 0);
    assert_int_equal(PR_SPAN("a\0b").n, 3);
}

static void the_null_string_is_the_empty_span(void **state) {
    (void)state;
    assert_int_equal(pr_span_of(NULL).n, 0);
    assert_null(pr_span_of(NULL).p);
}

static void equal_means_same_length_and_bytes(void **state) {
    (void)state;
    assert_true(pr_span_eq(PR_SPAN("abc"), PR_SPAN("abc")));
    assert_false(pr_span_eq(PR_SPAN("abc"), PR_SPAN("ab")));
    assert_false(pr_span_eq(PR_SPAN("abc"), PR_SPAN("abd")));
    assert_true(pr_span_eq(null_span, PR_SPAN("")));
    assert_true(pr_span_is(PR_SPAN("abc"), "abc"));
    assert_false(pr_span_is(PR_SPAN("a\0c"), "a"));
}

static void every_span_starts_with_the_empty_one(void **state) {
    (void)state;
    assert_true(pr_span_starts(PR_SPAN("abc"), PR_SPAN("ab")));
    assert_true(pr_span_starts(PR_SPAN("abc"), PR_SPAN("abc")));
    assert_false(pr_span_starts(PR_SPAN("ab"), PR_SPAN("abc")));
    assert_false(pr_span_starts(PR_SPAN("abc"), PR_SPAN("b")));
    assert_true(pr_span_starts(null_span, null_span));
    assert_true(pr_span_starts(PR_SPAN("a"), null_span));
}

static void skipping_past_the_end_leaves_nothing(void **state) {
    (void)state;
    assert_true(pr_span_is(pr_span_skip(PR_SPAN("abc"), 1), "bc"));
    assert_int_equal(pr_span_skip(PR_SPAN("abc"), 3).n, 0);
    assert_int_equal(pr_span_skip(PR_SPAN("abc"), 4).n, 0);
    assert_int_equal(pr_span_skip(null_span, 4).n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_knows_its_length_even_with_a_nul_inside),
        cmocka_unit_test(the_null_string_is_the_empty_span),
        cmocka_unit_test(equal_means_same_length_and_bytes),
        cmocka_unit_test(every_span_starts_with_the_empty_one),
        cmocka_unit_test(skipping_past_the_end_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
