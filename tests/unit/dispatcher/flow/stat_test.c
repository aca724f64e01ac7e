/* Tests of the counts by minute: what makes a row, what a full table does, what is cut. */
#include "flow/stat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t minute_us = 60000000;
static struct pr_stat stat;

static int set_up(void **state) {
    (void)state;
    memset(&stat, 0, sizeof(stat));
    return 0;
}

static void the_same_fate_in_the_same_minute_is_one_row(void **state) {
    (void)state;
    pr_stat_add(&stat, 5 * minute_us, 1, 2, 0, "sent", "");
    pr_stat_add(&stat, 5 * minute_us + minute_us - 1, 1, 2, 0, "sent", "");
    pr_stat_add(&stat, 5 * minute_us, 1, 2, 0, "sent", NULL); /* no reason is the empty one */
    assert_int_equal(stat.n, 1);
    assert_int_equal(stat.row[0].minute, 5);
    assert_int_equal(stat.row[0].tenant, 1);
    assert_int_equal(stat.row[0].sender, 2);
    assert_int_equal(stat.row[0].category, 0);
    assert_string_equal(stat.row[0].fate, "sent");
    assert_string_equal(stat.row[0].reason, "");
    assert_int_equal(stat.row[0].n, 3);
}

static void each_part_of_the_key_makes_another_row(void **state) {
    (void)state;
    pr_stat_add(&stat, 0, 1, 2, 0, "sent", "");
    pr_stat_add(&stat, minute_us, 1, 2, 0, "sent", "");
    pr_stat_add(&stat, 0, 2, 2, 0, "sent", "");
    pr_stat_add(&stat, 0, 1, 3, 0, "sent", "");
    pr_stat_add(&stat, 0, 1, 2, 1, "sent", "");
    pr_stat_add(&stat, 0, 1, 2, 0, "refused", "");
    pr_stat_add(&stat, 0, 1, 2, 0, "sent", "held");
    pr_stat_add(&stat, 0, 1, 2, -1, "sent", "");
    assert_int_equal(stat.n, 8);
    for (size_t i = 0; i < stat.n; i++) {
        assert_int_equal(stat.row[i].n, 1);
    }
    pr_stat_add(&stat, 0, 1, 2, 0, "sent", ""); /* the oldest is still found */
    assert_int_equal(stat.n, 8);
    assert_int_equal(stat.row[0].n, 2);
}

static void words_are_compared_by_content(void **state) {
    char first[] = "quota", second[] = "quota";
    (void)state;
    pr_stat_add(&stat, 0, 1, 1, 0, "deferred", first);
    pr_stat_add(&stat, 0, 1, 1, 0, "deferred", second);
    assert_int_equal(stat.n, 1);
    first[0] = 'Q'; /* the table keeps a copy */
    assert_string_equal(stat.row[0].reason, "quota");
}

static void a_long_reason_is_cut_and_counted_together(void **state) {
    char reason[60];
    (void)state;
    memset(reason, 'r', sizeof(reason));
    reason[59] = '\0';
    pr_stat_add(&stat, 0, 1, 1, 0, "refused", reason);
    reason[50] = 'x';
    pr_stat_add(&stat, 0, 1, 1, 0, "refused", reason);
    assert_int_equal(stat.n, 1);
    assert_int_equal(strlen(stat.row[0].reason), sizeof(stat.row[0].reason) - 1);
}

static int64_t sum_of(const char *fate) {
    int64_t n = 0;
    for (size_t i = 0; i < stat.n; i++) {
        n += strcmp(stat.row[i].fate, fate) == 0 ? stat.row[i].n : 0;
    }
    return n;
}

static void fill(int n) {
    for (int i = 0; i < n; i++) {
        char reason[16];
        (void)snprintf(reason, sizeof(reason), "r%d", i);
        pr_stat_add(&stat, 0, 1, 1, 0, "refused", reason);
    }
}

static void a_full_table_counts_new_reasons_as_other_and_loses_none(void **state) {
    (void)state;
    fill(5000);
    assert_true(stat.n <= PR_STATS);
    assert_int_equal(sum_of("refused"), 5000);
    assert_string_equal(stat.row[stat.n - 1].reason, "other");
    pr_stat_add(&stat, 0, 1, 1, 0, "sent", "held");
    assert_int_equal(sum_of("sent"), 1);
    assert_string_equal(stat.row[stat.n - 1].reason, "other");
}

static void a_row_that_is_there_keeps_counting_when_the_table_is_full(void **state) {
    (void)state;
    fill(5000);
    pr_stat_add(&stat, 0, 1, 1, 0, "refused", "r0");
    assert_string_equal(stat.row[0].reason, "r0");
    assert_int_equal(stat.row[0].n, 2);
}

static void no_room_even_for_other_drops_the_count_and_writes_nowhere(void **state) {
    (void)state;
    for (int32_t tenant = 0; tenant < 3 * PR_STATS; tenant++) {
        pr_stat_add(&stat, 0, tenant, 1, 0, "sent", "");
    }
    assert_int_equal(stat.n, PR_STATS);
    for (size_t i = 0; i < stat.n; i++) {
        assert_int_equal(stat.row[i].n, 1);
    }
}

static void a_reset_table_starts_anew(void **state) {
    (void)state;
    fill(100);
    pr_stat_reset(&stat);
    assert_int_equal(stat.n, 0);
    pr_stat_add(&stat, 0, 1, 1, 0, "refused", "r5");
    assert_int_equal(stat.n, 1);
    assert_int_equal(stat.row[0].n, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_same_fate_in_the_same_minute_is_one_row, set_up),
        cmocka_unit_test_setup(each_part_of_the_key_makes_another_row, set_up),
        cmocka_unit_test_setup(words_are_compared_by_content, set_up),
        cmocka_unit_test_setup(a_long_reason_is_cut_and_counted_together, set_up),
        cmocka_unit_test_setup(a_full_table_counts_new_reasons_as_other_and_loses_none, set_up),
        cmocka_unit_test_setup(a_row_that_is_there_keeps_counting_when_the_table_is_full, set_up),
        cmocka_unit_test_setup(no_room_even_for_other_drops_the_count_and_writes_nowhere, set_up),
        cmocka_unit_test_setup(a_reset_table_starts_anew, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
