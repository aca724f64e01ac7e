/* Tests of rates as people write them. */
#include "pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const char *text, double per_second) {
    double got = -1;
    if (!pr_pace_parse(text, &got) || got * 3600 < per_second * 3600 - 1e-6 || got * 3600 > per_second * 3600 + 1e-6) {
        fail_msg("%s is %f a second, not %f", text, got, per_second);
    }
}

static void a_rate_is_a_number_and_a_unit(void **state) {
    (void)state;
    check("500", 500);
    check("500/s", 500);
    check("30/min", 0.5);
    check("1/h", 1.0 / 3600);
    check("1", 1);
    check("10000000/s", 10000000);
    check("007/s", 7);
}

static void anything_else_is_none(void **state) {
    static const char *const wrong[] = {"",      "/s",    "fast",       "0",      "0/h",   "-1/s",
                                        "+1/s",  " 1/s",  "1 /s",       "1/S",    "1/sec", "1/s ",
                                        "1.5/s", "1e3/s", "10000001/s", "0x10/s", "1/d",   "99999999999999999999/s"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        double got = 0;
        if (pr_pace_parse(wrong[i], &got)) {
            fail_msg("\"%s\" was taken for %f a second", wrong[i], got);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_a_number_and_a_unit),
        cmocka_unit_test(anything_else_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
