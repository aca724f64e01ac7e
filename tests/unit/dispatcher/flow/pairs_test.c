/* Tests of the table of pairs: the right bucket, forgetting, its ceiling, and a million people. */
#include "flow/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
static const int64_t now = INT64_C(1768478400) * SECOND;
static struct pr_pairs pairs;

static int set_up(void **state) {
    (void)state;
    pairs = (struct pr_pairs){.most = 0};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pr_pairs_free(&pairs);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Spread as hashes are. */
static uint64_t key_of(uint64_t i) {
    uint64_t key = (i + 1) * 0x9e3779b97f4a7c15ULL;
    key ^= key >> 29;
    return key * 0xbf58476d1ce4e5b9ULL | 1;
}

static int take_all(uint64_t key, int64_t now_us) {
    int n = 0;
    while (pr_pairs_wait(&pairs, key, now_us) == 0) {
        pr_pairs_take(&pairs, key, now_us);
        n++;
    }
    return n;
}

static void each_pair_has_a_bucket_of_its_own(void **state) {
    (void)state;
    assert_int_equal(take_all(key_of(1), now), PR_PAIR_BURST);
    assert_int_equal(take_all(key_of(2), now), PR_PAIR_BURST);
    assert_int_equal(pr_pairs_wait(&pairs, key_of(1), now), PR_PAIR_STEP_US);
    assert_int_equal(pairs.n, 2);
}

static void the_key_is_of_sender_and_person(void **state) {
    (void)state;
    struct pr_sender senders[2] = {{.id = 1}, {.id = 2}};
    struct pr_job job = {.sender = &senders[0], .to = {.text = "+5511999990000", .n = 14}};
    uint64_t first = pr_pairs_key(&job);
    assert_int_equal(pr_pairs_key(&job), first);
    job.sender = &senders[1];
    assert_int_not_equal(pr_pairs_key(&job), first);
    job.sender = &senders[0];
    job.to.text[13] = '1';
    assert_int_not_equal(pr_pairs_key(&job), first);
}

static void asking_of_a_pair_that_is_not_known_makes_no_entry(void **state) {
    (void)state;
    int64_t until = 0;
    assert_int_equal(pr_pairs_ask(&pairs, key_of(1), true, now, &until), PR_PAIR_GO);
    assert_int_equal(pairs.n, 0);
    pr_pairs_empty(&pairs, key_of(1), now);
    assert_int_equal(pr_pairs_ask(&pairs, key_of(1), true, now, &until), PR_PAIR_WAIT);
    assert_int_equal(until, now + PR_PAIR_STEP_US);
}

/* 20,000 a second, nobody twice: what is kept is what the buckets need, and the table is no larger than its ceiling. */
static void a_million_people_at_twenty_thousand_a_second_keep_it_bounded(void **state) {
    (void)state;
    size_t most = 0;
    for (uint64_t i = 0; i < 1000000; i++) {
        int64_t at = now + (int64_t)i * 50;
        assert_int_equal(pr_pairs_wait(&pairs, key_of(i), at), 0);
        pr_pairs_take(&pairs, key_of(i), at);
        most = pairs.n > most ? pairs.n : most;
    }
    assert_true(pairs.room <= PR_PAIRS_MAX);
    assert_in_range(most, 122400, PR_PAIRS_MAX / 8 * 7);
}

static void at_the_ceiling_new_pairs_wait_and_known_ones_go_on(void **state) {
    (void)state;
    int64_t until = 0;
    pairs.most = 16;
    for (uint64_t i = 0; i < 14; i++) {
        assert_int_equal(pr_pairs_wait(&pairs, key_of(i), now), 0);
        pr_pairs_take(&pairs, key_of(i), now);
    }
    assert_int_equal(pr_pairs_wait(&pairs, key_of(14), now), PR_PAIR_STEP_US);
    assert_int_equal(pr_pairs_ask(&pairs, key_of(14), true, now, &until), PR_PAIR_WAIT);
    assert_int_equal(pr_pairs_ask(&pairs, key_of(14), false, now, &until), PR_PAIR_DEFER);
    assert_int_equal(pr_pairs_wait(&pairs, key_of(3), now), 0);
    pr_pairs_empty(&pairs, key_of(14), now); /* no place to note it: nothing happens */
    assert_int_equal(pr_pairs_wait(&pairs, key_of(15), now + 7 * SECOND), 0);
    assert_true(pairs.room == 16);
}

/* Keys that all want the same slot, forgotten one by one: the others are still found. */
static void forgetting_one_of_those_that_collide_loses_none_of_the_others(void **state) {
    (void)state;
    for (uint64_t i = 1; i <= 100; i++) {
        int64_t at = now + (int64_t)i * SECOND / 10;
        uint64_t key = i * 1024; /* slot 0 of 1,024 */
        assert_int_equal(pr_pairs_wait(&pairs, key, at), 0);
        pr_pairs_take(&pairs, key, at);
        for (int k = 0; k < 7; k++) {
            pr_pairs_take(&pairs, key, at);
        }
    }
    int64_t later = now + 8 * PR_PAIR_STEP_US + 5 * SECOND;
    for (uint64_t i = 0; i < 2000; i++) {
        assert_int_equal(pr_pairs_wait(&pairs, 1 + 1024 * 1000 + i * 2048, later), 0); /* moves the hand */
    }
    assert_int_equal(pairs.n, 50);
    for (uint64_t i = 51; i <= 100; i++) {
        for (int k = 0; k < PR_PAIR_BURST - 1; k++) {
            pr_pairs_take(&pairs, i * 1024, later);
        }
        assert_true(pr_pairs_wait(&pairs, i * 1024, later) > 0); /* its bucket remembers that it was not full */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_pair_has_a_bucket_of_its_own),
        TEST(the_key_is_of_sender_and_person),
        TEST(asking_of_a_pair_that_is_not_known_makes_no_entry),
        TEST(a_million_people_at_twenty_thousand_a_second_keep_it_bounded),
        TEST(at_the_ceiling_new_pairs_wait_and_known_ones_go_on),
        TEST(forgetting_one_of_those_that_collide_loses_none_of_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
