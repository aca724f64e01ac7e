/* Tests of the pace at which bulk is put off: portions, the rest after each, its bound. */
#include "flow/portion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t ms = 1000000;

static void before_anything_is_put_off_all_may_be_taken(void **state) {
    (void)state;
    struct pr_portion portion = {0};
    assert_true(pr_portion_may_take(&portion, 0));
}

static void a_portion_is_full_until_its_last_is_written_down(void **state) {
    (void)state;
    struct pr_portion portion = {0};
    for (int i = 0; i < PR_PORTION_JOBS; i++) {
        assert_true(pr_portion_may_take(&portion, 0));
        pr_portion_begin(&portion, 0);
    }
    for (int i = 0; i < PR_PORTION_JOBS; i++) {
        assert_false(pr_portion_may_take(&portion, 0));
        pr_portion_end(&portion, 0);
    }
    assert_true(pr_portion_may_take(&portion, 0));
}

static void it_rests_in_proportion_to_what_the_portion_took(void **state) {
    (void)state;
    struct pr_portion portion = {0};
    pr_portion_begin(&portion, 100 * ms);
    pr_portion_begin(&portion, 105 * ms);
    pr_portion_end(&portion, 108 * ms);
    assert_true(pr_portion_may_take(&portion, 108 * ms)); /* one is still open: no rest yet */
    pr_portion_end(&portion, 110 * ms);
    int64_t over_ns = (110 + 10 * PR_PORTION_REST) * ms;
    assert_false(pr_portion_may_take(&portion, over_ns - 1));
    assert_true(pr_portion_may_take(&portion, over_ns));
}

static void a_portion_begins_with_its_first_and_not_with_the_one_before(void **state) {
    (void)state;
    struct pr_portion portion = {0};
    pr_portion_begin(&portion, 0);
    pr_portion_end(&portion, 10 * ms);
    pr_portion_begin(&portion, 500 * ms);
    pr_portion_end(&portion, 501 * ms);
    assert_true(pr_portion_may_take(&portion, (501 + PR_PORTION_REST) * ms));
}

static void however_slow_the_database_bulk_is_looked_at_again(void **state) {
    (void)state;
    struct pr_portion portion = {0};
    pr_portion_begin(&portion, 0);
    pr_portion_end(&portion, 60000 * ms);
    assert_false(pr_portion_may_take(&portion, 60000 * ms + PR_PORTION_REST_MAX_NS - 1));
    assert_true(pr_portion_may_take(&portion, 60000 * ms + PR_PORTION_REST_MAX_NS));
}

static void one_that_is_stuck_holds_up_the_others_for_two_seconds(void **state) {
    (void)state;
    struct pr_portion portion = {0};
    for (int i = 0; i < PR_PORTION_JOBS; i++) {
        pr_portion_begin(&portion, 5 * ms);
    }
    assert_false(pr_portion_may_take(&portion, 5 * ms + PR_PORTION_STUCK_NS - 1));
    assert_true(pr_portion_may_take(&portion, 5 * ms + PR_PORTION_STUCK_NS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_anything_is_put_off_all_may_be_taken),
        cmocka_unit_test(a_portion_is_full_until_its_last_is_written_down),
        cmocka_unit_test(it_rests_in_proportion_to_what_the_portion_took),
        cmocka_unit_test(a_portion_begins_with_its_first_and_not_with_the_one_before),
        cmocka_unit_test(one_that_is_stuck_holds_up_the_others_for_two_seconds),
        cmocka_unit_test(however_slow_the_database_bulk_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
