/* Tests of fairness: the floor of lower ranks, and shares of a room that leave some of it free. */
#include "core/fair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* `picks` of ranks that always wait; how many each got, and the longest time that each had to watch. */
static void run(unsigned waiting, int picks, int got[PR_RANKS], int longest[PR_RANKS]) {
    struct pr_floor floor = {{0}};
    int since[PR_RANKS] = {0};
    for (int r = 0; r < PR_RANKS; r++) {
        got[r] = longest[r] = 0;
    }
    for (int i = 0; i < picks; i++) {
        int rank = pr_floor_pick(&floor, waiting);
        pr_floor_took(&floor, waiting, rank);
        got[rank]++;
        for (int r = 0; r < PR_RANKS; r++) {
            since[r] = r == rank ? 0 : since[r] + 1;
            longest[r] = since[r] > longest[r] ? since[r] : longest[r];
        }
    }
}

static void the_first_rank_gets_all_but_one_in_ten_for_each_that_waits_below(void **state) {
    (void)state;
    int got[PR_RANKS], longest[PR_RANKS];
    run(0x1, 1000, got, longest);
    assert_int_equal(got[0], 1000);
    run(0x5, 1000, got, longest);
    assert_int_equal(got[0], 900);
    assert_int_equal(got[2], 100);
    run(0xf, 10000, got, longest);
    for (int r = 1; r < 4; r++) {
        assert_in_range(got[r], 980, 1000);
        assert_true(longest[r] <= 11);
    }
    assert_in_range(got[0], 7000, 7060);
    run((1U << PR_RANKS) - 1, 10000, got, longest);
    for (int r = 1; r < PR_RANKS; r++) {
        assert_in_range(got[r], 950, 1000);
        assert_true(longest[r] <= 15);
    }
}

static void the_first_pick_is_the_first_rank_that_waits(void **state) {
    (void)state;
    struct pr_floor floor = {{0}};
    assert_int_equal(pr_floor_pick(&floor, 0xf), 0);
    assert_int_equal(pr_floor_pick(&floor, 0xc), 2);
    assert_int_equal(pr_floor_pick(&floor, 0x8), 3);
}

/* Who stops waiting and comes again has no claim from before. */
static void what_was_passed_over_is_forgotten_when_nobody_waits(void **state) {
    (void)state;
    struct pr_floor floor = {{0}};
    for (int i = 0; i < 9; i++) {
        pr_floor_took(&floor, 0x3, 0);
    }
    assert_int_equal(pr_floor_pick(&floor, 0x3), 1);
    pr_floor_took(&floor, 0x1, 0);
    assert_int_equal(pr_floor_pick(&floor, 0x3), 0);
}

static int fill(uint64_t used, uint64_t all, uint64_t part) {
    uint64_t held = 0;
    while (pr_share_has_room(held, used, all, part)) {
        held++;
        used++;
    }
    return (int)held;
}

static void one_alone_ends_at_its_part_and_others_always_find_some_room(void **state) {
    (void)state;
    assert_int_equal(fill(0, 512, 7500), 384);
    assert_int_equal(fill(384, 512, 7500), 96); /* a second that hangs too: three quarters of what the first left */
    assert_int_equal(fill(480, 512, 7500), 24);
    assert_int_equal(fill(0, 512, 10000), 512);
    assert_int_equal(fill(0, 512, 5000), 256);
}

static void the_smallest_rooms_still_let_one_go(void **state) {
    (void)state;
    assert_int_equal(fill(0, 1, 7500), 1);
    assert_int_equal(fill(0, 1, 100), 1);
    assert_int_equal(fill(1, 1, 7500), 0);
    assert_int_equal(fill(0, 4, 7500), 3);
    assert_int_equal(fill(0, 0, 7500), 0);
    assert_false(pr_share_has_room(0, 5, 4, 7500)); /* a room that was made smaller */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rank_gets_all_but_one_in_ten_for_each_that_waits_below),
        cmocka_unit_test(the_first_pick_is_the_first_rank_that_waits),
        cmocka_unit_test(what_was_passed_over_is_forgotten_when_nobody_waits),
        cmocka_unit_test(one_alone_ends_at_its_part_and_others_always_find_some_room),
        cmocka_unit_test(the_smallest_rooms_still_let_one_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
