/* Tests of how memory is shared out: nothing above the whole, and floors below which nothing would move. */
#include "flow/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MIB (INT64_C(1024) * 1024)

static void all_shares_together_are_the_whole_or_less(void **state) {
    (void)state;
    static const int64_t sizes[] = {32, 80, 128, 1024, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int64_t parts = 4; parts <= 64; parts *= 2) {
            struct pr_budget b = pr_budget_of(sizes[i] * MIB, 2, parts);
            assert_true(b.total <= sizes[i] * MIB + parts * PR_FETCH_LEAST * PR_FETCH_GROWS);
            assert_int_equal(
                b.total, 2 * b.lane_jobs + parts * (b.part_held + b.part_ahead + b.part_ahead_records * PR_RECORD_COST +
                                                    b.fetch * PR_FETCH_GROWS));
        }
    }
}

/* Of 80 MiB each of eight partitions may have 3.75 MiB ahead; a quarter of that is for an answer that comes on top, as large as it becomes. */
static void an_answer_is_counted_with_what_becomes_of_it(void **state) {
    (void)state;
    assert_int_equal(pr_budget_of(80 * MIB, 2, 8).fetch, 80 * MIB / 2 / 4 * 3 / 8 / 4 / PR_FETCH_GROWS);
}

static void one_half_is_for_jobs(void **state) {
    (void)state;
    assert_int_equal(pr_budget_of(80 * MIB, 1, 8).lane_jobs, 40 * MIB);
    assert_int_equal(pr_budget_of(80 * MIB, 4, 8).lane_jobs, 10 * MIB);
}

/* A fetch that finds all queues full is repeated a second later: the default lasts that long at 15,000 records a second. */
static void the_default_is_fetched_ahead_for_a_second(void **state) {
    (void)state;
    for (int64_t parts = 1; parts <= 256; parts *= 2) {
        assert_true(pr_budget_of(80 * MIB, 2, parts).part_ahead_records * parts >= 15000);
    }
}

static void more_partitions_get_less_each_and_never_nothing(void **state) {
    (void)state;
    int64_t before = INT64_MAX;
    for (int64_t parts = 1; parts <= 8 * 4096; parts *= 2) {
        struct pr_budget b = pr_budget_of(32 * MIB, 256, parts);
        assert_true(b.part_ahead_records <= before && b.part_ahead_records >= 1);
        assert_true(b.part_ahead >= 1024); /* librdkafka's smallest: 1 KiB */
        assert_true(b.part_held >= PR_HELD_LEAST && b.part_held <= PR_HELD_MOST);
        assert_true(b.fetch >= PR_FETCH_LEAST && b.fetch <= PR_FETCH_MOST);
        before = b.part_ahead_records;
    }
}

static void the_largest_stays_within_what_librdkafka_takes(void **state) {
    (void)state;
    struct pr_budget b = pr_budget_of(65536 * MIB, 1, 1);
    assert_int_equal(b.part_ahead_records, 100000);
    assert_true(b.part_ahead / 1024 <= 2097151);
    assert_int_equal(b.fetch, PR_FETCH_MOST);
}

static void an_empty_record_costs_something_too(void **state) {
    (void)state;
    assert_int_equal(pr_budget_cost(0), PR_RECORD_COST);
    assert_int_equal(pr_budget_cost(300), 300 + PR_RECORD_COST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_shares_together_are_the_whole_or_less),
        cmocka_unit_test(an_answer_is_counted_with_what_becomes_of_it),
        cmocka_unit_test(one_half_is_for_jobs),
        cmocka_unit_test(the_default_is_fetched_ahead_for_a_second),
        cmocka_unit_test(more_partitions_get_less_each_and_never_nothing),
        cmocka_unit_test(the_largest_stays_within_what_librdkafka_takes),
        cmocka_unit_test(an_empty_record_costs_something_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
