/* Tests of the turns: tables first, then their seats, and who cannot go on keeps its place. */
#include "flow/round.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct pr_round rounds;
static struct pr_round_table big, small;
static struct pr_round_seat seats[20], other;

static int set_up(void **state) {
    (void)state;
    pr_round_init(&rounds);
    pr_round_table_init(&big);
    pr_round_table_init(&small);
    for (int i = 0; i < 20; i++) {
        seats[i] = (struct pr_round_seat){.is_taken = false};
    }
    other = (struct pr_round_seat){.is_taken = false};
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static void a_table_with_twenty_seats_gets_no_more_than_one_with_one(void **state) {
    (void)state;
    int got_big[20] = {0}, got_other = 0;
    for (int i = 0; i < 20; i++) {
        pr_round_join(&rounds, &big, &seats[i]);
    }
    pr_round_join(&rounds, &small, &other);
    for (int i = 0; i < 400; i++) {
        struct pr_round_seat *seat = pr_round_next(&rounds);
        if (seat == &other) {
            got_other++;
        } else {
            got_big[seat - seats]++;
        }
    }
    assert_int_equal(got_other, 200);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(got_big[i], 10);
    }
}

static void nobody_has_a_turn_when_nobody_is_there(void **state) {
    (void)state;
    assert_null(pr_round_next(&rounds));
    pr_round_join(&rounds, &big, &seats[0]);
    pr_round_join(&rounds, &big, &seats[0]); /* a second time changes nothing */
    assert_ptr_equal(pr_round_next(&rounds), &seats[0]);
    pr_round_leave(&rounds, &seats[0]);
    pr_round_leave(&rounds, &seats[0]);
    assert_null(pr_round_next(&rounds));
}

static void who_sits_out_comes_back_in_the_same_order(void **state) {
    (void)state;
    struct pr_round_seats aside = TAILQ_HEAD_INITIALIZER(aside);
    for (int i = 0; i < 3; i++) {
        pr_round_join(&rounds, &big, &seats[i]);
    }
    struct pr_round_seat *seat = NULL;
    while ((seat = pr_round_next(&rounds)) != NULL) {
        pr_round_sit_out(&rounds, &aside, seat);
    }
    pr_round_return(&rounds, &aside);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(pr_round_next(&rounds), &seats[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_table_with_twenty_seats_gets_no_more_than_one_with_one),
        TEST(nobody_has_a_turn_when_nobody_is_there),
        TEST(who_sits_out_comes_back_in_the_same_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
