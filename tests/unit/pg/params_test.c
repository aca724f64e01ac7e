/* Parameters byte for byte; that the server understands them is proved by tests/integration/pg_test.c. */
#include "pg/params.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(const struct pr_params_view *view, int i, Oid type, const char *bytes, int n) {
    assert_true(i < view->n);
    assert_int_equal(view->types[i], type);
    assert_int_equal(view->formats[i], 1);
    assert_int_equal(view->lengths[i], n);
    assert_memory_equal(view->values[i], bytes, (size_t)n);
}

static void scalars_are_big_endian_in_the_order_of_adding(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 4096);
    pr_params_int2(&p, -2);
    pr_params_int4(&p, 0x01020304);
    pr_params_int8(&p, INT64_MIN);
    pr_params_bool(&p, true);
    pr_params_bool(&p, false);
    pr_params_text(&p, PR_SPAN("abc"));
    pr_params_bytea(&p, PR_SPAN("\0\xff"));
    assert_true(pr_params_finish(&p, &view));
    assert_int_equal(view.n, 7);
    expect(&view, 0, PR_OID_INT2, "\xff\xfe", 2);
    expect(&view, 1, PR_OID_INT4, "\1\2\3\4", 4);
    expect(&view, 2, PR_OID_INT8, "\x80\0\0\0\0\0\0\0", 8);
    expect(&view, 3, PR_OID_BOOL, "\1", 1);
    expect(&view, 4, PR_OID_BOOL, "\0", 1);
    expect(&view, 5, PR_OID_TEXT, "abc", 3);
    expect(&view, 6, PR_OID_BYTEA, "\0\xff", 2);
    pr_params_free(&p);
}

static void times_and_dates_count_from_2000(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 4096);
    pr_params_time(&p, INT64_C(946684800000000) + 1);
    pr_params_time(&p, INT64_MAX);
    pr_params_time(&p, INT64_MIN + 1);
    pr_params_time(&p, INT64_MIN + 2); /* a shift would wrap */
    pr_params_time(&p, PR_TIME_NONE);
    pr_params_date(&p, 10957 - 1);
    pr_params_date(&p, INT32_MAX);
    pr_params_date(&p, INT32_MIN);
    assert_true(pr_params_finish(&p, &view));
    expect(&view, 0, PR_OID_TIMESTAMPTZ, "\0\0\0\0\0\0\0\1", 8);
    expect(&view, 1, PR_OID_TIMESTAMPTZ, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
    expect(&view, 2, PR_OID_TIMESTAMPTZ, "\x80\0\0\0\0\0\0\0", 8);
    expect(&view, 3, PR_OID_TIMESTAMPTZ, "\x80\0\0\0\0\0\0\0", 8);
    assert_null(view.values[4]);
    assert_int_equal(view.types[4], PR_OID_TIMESTAMPTZ);
    expect(&view, 5, PR_OID_DATE, "\xff\xff\xff\xff", 4);
    expect(&view, 6, PR_OID_DATE, "\x7f\xff\xff\xff", 4);
    expect(&view, 7, PR_OID_DATE, "\x80\0\0\0", 4);
    pr_params_free(&p);
}

static void null_and_empty_are_two_things(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 4096);
    pr_params_text(&p, PR_SPAN(""));
    pr_params_text(&p, (struct pr_span){NULL, 0});
    pr_params_null(&p, PR_OID_INT4);
    assert_true(pr_params_finish(&p, &view));
    assert_non_null(view.values[0]); /* even though nothing was ever written */
    assert_int_equal(view.lengths[0], 0);
    assert_null(view.values[1]);
    assert_int_equal(view.types[1], PR_OID_TEXT);
    assert_null(view.values[2]);
    assert_int_equal(view.types[2], PR_OID_INT4);
    pr_params_free(&p);
}

static void an_array_carries_its_element_type_count_and_nulls(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 4096);
    pr_params_array(&p, PR_OID_INT2);
    pr_item_int2(&p, 7);
    pr_item_null(&p);
    pr_params_array(&p, PR_OID_TEXT);
    pr_item_text(&p, PR_SPAN("ab"));
    pr_item_text(&p, PR_SPAN(""));
    assert_true(pr_params_finish(&p, &view));
    assert_int_equal(view.n, 2);
    expect(&view, 0, PR_OID_INT2_ARRAY,
           "\0\0\0\1"
           "\0\0\0\1"
           "\0\0\0\x15"
           "\0\0\0\2"
           "\0\0\0\1"
           "\0\0\0\2\0\7"
           "\xff\xff\xff\xff",
           30);
    expect(&view, 1, PR_OID_TEXT_ARRAY,
           "\0\0\0\1"
           "\0\0\0\0"
           "\0\0\0\x19"
           "\0\0\0\2"
           "\0\0\0\1"
           "\0\0\0\2ab"
           "\0\0\0\0",
           30);
    pr_params_free(&p);
}

static void an_empty_array_has_no_dimension(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 4096);
    pr_params_array(&p, PR_OID_UUID);
    pr_params_int4(&p, 5); /* closes it, and must not stand in its bytes */
    pr_params_array(&p, PR_OID_BOOL);
    assert_true(pr_params_finish(&p, &view));
    expect(&view, 0, PR_OID_UUID_ARRAY,
           "\0\0\0\0"
           "\0\0\0\0"
           "\0\0\x0b\x86",
           12);
    expect(&view, 1, PR_OID_INT4, "\0\0\0\5", 4);
    expect(&view, 2, PR_OID_BOOL_ARRAY,
           "\0\0\0\0"
           "\0\0\0\0"
           "\0\0\0\x10",
           12);
    pr_params_free(&p);
}

static void finishing_twice_gives_the_same(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view a;
    struct pr_params_view b;
    pr_params_init(&p, 4096);
    pr_params_array(&p, PR_OID_INT4);
    pr_item_int4(&p, 1);
    assert_true(pr_params_finish(&p, &a));
    int n = a.lengths[0];
    assert_true(pr_params_finish(&p, &b));
    assert_int_equal(b.n, 1);
    assert_int_equal(b.lengths[0], n);
    pr_params_free(&p);
}

static void the_last_parameter_that_fits_is_the_64th(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 4096);
    for (int i = 0; i < PR_PARAMS_MAX; i++) {
        pr_params_int4(&p, i);
    }
    assert_true(pr_params_finish(&p, &view));
    expect(&view, 63, PR_OID_INT4, "\0\0\0\x3f", 4);
    pr_params_int4(&p, 64);
    assert_false(pr_params_finish(&p, &view));
    pr_params_reset(&p);
    pr_params_int4(&p, 1);
    assert_true(pr_params_finish(&p, &view));
    assert_int_equal(view.n, 1);
    pr_params_free(&p);
}

static void what_passes_the_ceiling_fails_and_stays_failed(void **state) {
    (void)state;
    struct pr_params p;
    struct pr_params_view view;
    pr_params_init(&p, 44); /* header 20, and two items of 12 */
    pr_params_array(&p, PR_OID_INT8);
    pr_item_int8(&p, 1);
    pr_item_int8(&p, 2);
    assert_true(pr_params_finish(&p, &view));
    pr_params_reset(&p);
    pr_params_array(&p, PR_OID_INT8);
    pr_item_int8(&p, 1);
    pr_item_int8(&p, 2);
    pr_item_int8(&p, 3);
    assert_false(pr_params_finish(&p, &view));
    pr_params_bool(&p, true);
    pr_item_bool(&p, true); /* outside of an array, but nothing counts any more */
    assert_false(pr_params_finish(&p, &view));
    pr_params_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_big_endian_in_the_order_of_adding),
        cmocka_unit_test(times_and_dates_count_from_2000),
        cmocka_unit_test(null_and_empty_are_two_things),
        cmocka_unit_test(an_array_carries_its_element_type_count_and_nulls),
        cmocka_unit_test(an_empty_array_has_no_dimension),
        cmocka_unit_test(finishing_twice_gives_the_same),
        cmocka_unit_test(the_last_parameter_that_fits_is_the_64th),
        cmocka_unit_test(what_passes_the_ceiling_fails_and_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
