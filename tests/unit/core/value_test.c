/* Tests look-ups by key and path, and how values become text and JSON. */
#include "core/value.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct pr_value text_value(const char *text) {
    return (struct pr_value){.kind = PR_VALUE_STRING, .u.s = pr_span_of(text)};
}

static struct pr_value int_value(int64_t i) {
    return (struct pr_value){.kind = PR_VALUE_INT, .u.i = i};
}

static struct pr_value double_value(double d) {
    return (struct pr_value){.kind = PR_VALUE_DOUBLE, .u.d = d};
}

static const struct pr_value null_value = {.kind = PR_VALUE_NULL};

/* {"customer":{"name":"Ana","":1,"none":null},"items":[{"n":1},null,"x"],"0":true} */
static struct pr_value tree(void) {
    static struct pr_member customer[3], first[1], root[3];
    static struct pr_value items[3];
    customer[0] = (struct pr_member){PR_SPAN("name"), text_value("Ana")};
    customer[1] = (struct pr_member){PR_SPAN(""), int_value(1)};
    customer[2] = (struct pr_member){PR_SPAN("none"), null_value};
    first[0] = (struct pr_member){PR_SPAN("n"), int_value(1)};
    items[0] = (struct pr_value){.kind = PR_VALUE_MAP, .u.map = {1, first}};
    items[1] = null_value;
    items[2] = text_value("x");
    root[0] = (struct pr_member){PR_SPAN("customer"), {.kind = PR_VALUE_MAP, .u.map = {3, customer}}};
    root[1] = (struct pr_member){PR_SPAN("items"), {.kind = PR_VALUE_ARRAY, .u.array = {3, items}}};
    root[2] = (struct pr_member){PR_SPAN("0"), {.kind = PR_VALUE_BOOL, .u.b = true}};
    return (struct pr_value){.kind = PR_VALUE_MAP, .u.map = {3, root}};
}

static void a_member_is_found_by_its_whole_key(void **state) {
    (void)state;
    const struct pr_value v = tree();
    assert_non_null(pr_value_get(&v, PR_SPAN("items")));
    assert_null(pr_value_get(&v, PR_SPAN("item")));
    assert_null(pr_value_get(&v, PR_SPAN("itemss")));
    assert_null(pr_value_get(NULL, PR_SPAN("items")));
    assert_null(pr_value_get(&null_value, PR_SPAN("items")));
}

static void a_path_goes_through_maps_and_arrays(void **state) {
    (void)state;
    const struct pr_value v = tree();
    assert_true(pr_span_is(pr_value_path(&v, PR_SPAN("customer.name"))->u.s, "Ana"));
    assert_int_equal(pr_value_path(&v, PR_SPAN("items.0.n"))->u.i, 1);
    assert_true(pr_span_is(pr_value_path(&v, PR_SPAN("items.2"))->u.s, "x"));
    assert_int_equal(pr_value_path(&v, PR_SPAN("0"))->kind, PR_VALUE_BOOL);
    assert_int_equal(pr_value_path(&v, PR_SPAN("customer."))->u.i, 1);
    assert_int_equal(pr_value_path(&v, PR_SPAN("items"))->kind, PR_VALUE_ARRAY);
}

static void a_path_that_misses_or_ends_in_null_gives_nothing(void **state) {
    (void)state;
    static const char *const paths[] = {
        "",         "customer.none", "customer.name.x",  "items.1",     "items.3",   "items.00", "items.-1",
        "items.0x", "items.",        "items.4294967296", "items.0.n.z", ".customer", "nobody",   "."};
    const struct pr_value v = tree();
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (pr_value_path(&v, pr_span_of(paths[i]))) {
            fail_msg("path \"%s\"", paths[i]);
        }
    }
    assert_null(pr_value_path(NULL, PR_SPAN("a")));
    assert_null(pr_value_path(&v, (struct pr_span){NULL, 0}));
}

static void check_text(struct pr_value v, const char *want) {
    struct pr_arena arena;
    struct pr_span text;
    pr_arena_init(&arena, 4096);
    assert_true(pr_value_text(&v, &arena, &text));
    if (!pr_span_is(text, want)) {
        fail_msg("\"%.*s\" instead of \"%s\"", PR_SPAN_ARG(text), want);
    }
    pr_arena_free(&arena);
}

static void scalars_become_plain_text(void **state) {
    (void)state;
    check_text(text_value("Ana"), "Ana");
    check_text((struct pr_value){.kind = PR_VALUE_BOOL, .u.b = true}, "true");
    check_text((struct pr_value){.kind = PR_VALUE_BOOL, .u.b = false}, "false");
    check_text(int_value(INT64_MIN), "-9223372036854775808");
    check_text(int_value(INT64_MAX), "9223372036854775807");
    check_text((struct pr_value){.kind = PR_VALUE_TIME, .u.i = 1500000}, "1970-01-01T00:00:01.500000Z");
}

static void a_double_becomes_its_shortest_text(void **state) {
    (void)state;
    check_text(double_value(101.81), "101.81");
    check_text(double_value(0.1), "0.1");
    check_text(double_value(0.1 + 0.2), "0.30000000000000004");
    check_text(double_value(5.0), "5");
    check_text(double_value(-5.5), "-5.5");
    check_text(double_value(1e20), "100000000000000000000");
    check_text(double_value(12345678901234567890.0), "12345678901234567168");
    check_text(double_value(1e21), "1e+21");
    check_text(double_value(1e-7), "1e-07");
    check_text(double_value(1.7976931348623157e308), "1.7976931348623157e+308");
    check_text(double_value(5e-324), "4.94065645841247e-324");
}

static void maps_arrays_and_null_have_no_text(void **state) {
    (void)state;
    struct pr_arena arena;
    struct pr_span text;
    pr_arena_init(&arena, 4096);
    const struct pr_value map = {.kind = PR_VALUE_MAP}, array = {.kind = PR_VALUE_ARRAY};
    assert_false(pr_value_text(&map, &arena, &text));
    assert_false(pr_value_text(&array, &arena, &text));
    assert_false(pr_value_text(&null_value, &arena, &text));
    assert_false(pr_value_text(NULL, &arena, &text));
    pr_arena_free(&arena);
}

static void a_full_arena_gives_no_text(void **state) {
    (void)state;
    struct pr_arena arena;
    struct pr_span text;
    pr_arena_init(&arena, 1);
    const struct pr_value v = int_value(12345);
    assert_false(pr_value_text(&v, &arena, &text));
    assert_true(arena.failed);
    pr_arena_free(&arena);
}

static void check_json(const struct pr_value *v, const char *want) {
    struct pr_buf out;
    pr_buf_init(&out, 4096);
    pr_value_json(v, &out);
    assert_string_equal(pr_buf_text(&out), want);
    pr_buf_free(&out);
}

static void a_tree_becomes_json(void **state) {
    (void)state;
    const struct pr_value v = tree();
    check_json(&v,
               "{\"customer\":{\"name\":\"Ana\",\"\":1,\"none\":null},\"items\":[{\"n\":1},null,\"x\"],\"0\":true}");
    check_json(NULL, "null");
}

static void a_double_stays_one_in_json(void **state) {
    (void)state;
    const struct pr_value whole = double_value(5), large = double_value(1e300), part = double_value(0.25);
    check_json(&whole, "5.0");
    check_json(&large, "1e+300");
    check_json(&part, "0.25");
}

static void strings_and_times_are_quoted_in_json(void **state) {
    (void)state;
    const struct pr_value text = text_value("a\"\\\n\x01"), time = {.kind = PR_VALUE_TIME, .u.i = 0};
    check_json(&text, "\"a\\\"\\\\\\n\\u0001\"");
    check_json(&time, "\"1970-01-01T00:00:00Z\"");
}

/* Any installed locale with a comma does; without one the test has nothing to say. */
static void the_decimal_point_does_not_follow_the_locale(void **state) {
    (void)state;
    static const char *const names[] = {"pt_BR.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8", "pt_BR.utf8", "de_DE.utf8"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !set; i++) {
        set = setlocale(LC_NUMERIC, names[i]);
    }
    if (!set) {
        skip();
    }
    check_text(double_value(101.81), "101.81");
    setlocale(LC_NUMERIC, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_is_found_by_its_whole_key),
        cmocka_unit_test(a_path_goes_through_maps_and_arrays),
        cmocka_unit_test(a_path_that_misses_or_ends_in_null_gives_nothing),
        cmocka_unit_test(scalars_become_plain_text),
        cmocka_unit_test(a_double_becomes_its_shortest_text),
        cmocka_unit_test(maps_arrays_and_null_have_no_text),
        cmocka_unit_test(a_full_arena_gives_no_text),
        cmocka_unit_test(a_tree_becomes_json),
        cmocka_unit_test(a_double_stays_one_in_json),
        cmocka_unit_test(strings_and_times_are_quoted_in_json),
        cmocka_unit_test(the_decimal_point_does_not_follow_the_locale),
    };
    return cmocka_run_group_tests_name("core/value", tests, NULL, NULL);
}
