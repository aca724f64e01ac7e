/* Tests of finding the line of a path in JSON text. */
#include "locate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char text[] = "{ \"tenant\": \"aurora\",\n"                  /* 1 */
                           "  \"rules\": [\n"                             /* 2 */
                           "    { \"name\": \"a\\\"]}\", \"body\": [],\n" /* 3 */
                           "      \"on\": { \"x.y\": \"t\",\n"            /* 4 */
                           "              \"x\": 1.5e3,\n"                /* 5 */
                           "              \"x.y.z\": [null] } },\n"       /* 6 */
                           "    [ true,\n"                                /* 7 */
                           "      { \"deep\":\n"                          /* 8 */
                           "          -1 } ] ] }\n";                      /* 9 */

static void check(const char *path, int line) {
    int got = pr_locate(pr_span_of(text), path);
    if (got != line) {
        fail_msg("\"%s\" is on line %d, not %d", path, line, got);
    }
}

static void keys_and_items_are_followed(void **state) {
    (void)state;
    check("tenant", 1);
    check("rules", 2);
    check("rules[0]", 3);
    check("rules[0].name", 3);
    check("rules[0].on", 4);
    check("rules[1]", 7);
    check("rules[1][0]", 7);
    check("rules[1][1]", 8);
    check("rules[1][1].deep", 9);
}

static void a_key_with_dots_is_taken_whole(void **state) {
    (void)state;
    check("rules[0].on.x", 5);
    check("rules[0].on.x.y", 4);
    check("rules[0].on.x.y.z", 6);
    check("rules[0].on.x.y.z[0]", 6);
}

static void a_path_that_leads_nowhere_gives_its_deepest_part(void **state) {
    (void)state;
    check("", 1);
    check("nothing", 1);
    check("rules[0].template", 3);
    check("rules[0].on.q", 4);
    check("rules[7]", 2);
    check("rules[0].body[0]", 3);
    check("rules[1].name", 7);
    check("tenant.x", 1);
    check("rules[x]", 2);
}

static void a_mark_and_blank_lines_in_front_are_counted(void **state) {
    (void)state;
    assert_int_equal(pr_locate(pr_span_of("\xef\xbb\xbf\n\n[ 1,\n 2 ]"), "[1]"), 4);
    assert_int_equal(pr_locate(pr_span_of("\n\n"), "x"), 3);
    assert_int_equal(pr_locate(pr_span_of(""), "x"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_items_are_followed),
        cmocka_unit_test(a_key_with_dots_is_taken_whole),
        cmocka_unit_test(a_path_that_leads_nowhere_gives_its_deepest_part),
        cmocka_unit_test(a_mark_and_blank_lines_in_front_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
