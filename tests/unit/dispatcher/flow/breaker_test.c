/* Tests of the table of breakers: who is touched by whom, what is reported, how long messages stay away, and many threads at one probe. */
#include "flow/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const int64_t second = 1000000000;
static const int64_t start = 5000000000;
static struct pr_breakers breakers;
static struct pr_breaker_report report;

static int set_up(void **state) {
    (void)state;
    pr_breakers_init(&breakers);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pthread_mutex_destroy(&breakers.lock);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void mark(int32_t id, enum pr_mark what, const char *reason, int64_t now_ns) {
    pr_breakers_mark(&breakers, id, what, reason, now_ns, now_ns, &report);
}

static void open_at(int32_t id, int64_t now_ns) {
    for (int i = 0; i < PR_BREAKER_LEAST; i++) {
        mark(id, PR_MARK_BAD, "cut", now_ns);
    }
    assert_int_equal(report.change, PR_BREAKER_OPENED);
}

static void one_touches_no_other(void **state) {
    (void)state;
    mark(2, PR_MARK_GOOD, "accepted", start);
    open_at(1, start);
    assert_false(pr_breakers_is_up(&breakers, 1, start));
    assert_false(pr_breakers_pass(&breakers, 1, start));
    assert_true(pr_breakers_is_up(&breakers, 2, start));
    assert_true(pr_breakers_pass(&breakers, 2, start));
    assert_true(pr_breakers_is_up(&breakers, 3, start)); /* nobody knows it */
    assert_true(pr_breakers_pass(&breakers, 3, start));
    assert_int_equal(atomic_load(&breakers.shut_n), 1);
}

static void opening_is_reported_with_its_counts_and_reasons(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) {
        mark(1, PR_MARK_GOOD, "accepted", start);
        mark(1, PR_MARK_BAD, i < 7 ? "cut" : "not_connected", start);
    }
    assert_int_equal(report.change, PR_BREAKER_OPENED);
    assert_int_equal(report.bad, 10);
    assert_int_equal(report.all, 20);
    assert_int_equal(report.shut_ns, 5 * second);
    assert_string_equal(report.reasons, "cut:7,not_connected:3");
}

static void reasons_of_an_earlier_trouble_are_forgotten(void **state) {
    (void)state;
    mark(1, PR_MARK_BAD, "http_503", start);
    mark(1, PR_MARK_GOOD, "accepted", start);
    open_at(1, start + 11 * second);
    assert_string_equal(report.reasons, "cut:20");
}

static void a_long_row_is_reported_whole(void **state) {
    (void)state;
    for (int i = 0; i < PR_BREAKER_ROW; i++) {
        mark(1, PR_MARK_BAD, i == 0 ? "http_503" : "cut", start + i * 60 * second);
    }
    assert_int_equal(report.change, PR_BREAKER_OPENED);
    assert_int_equal(report.bad, 5);
    assert_int_equal(report.all, 5);
    assert_string_equal(report.reasons, "http_503:1,cut:4");
}

static void more_reasons_than_there_is_room_for_are_counted_together(void **state) {
    static const char *const reasons[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    (void)state;
    for (int i = 0; i < PR_BREAKER_LEAST; i++) {
        mark(1, PR_MARK_BAD, reasons[i % 8], start);
    }
    assert_string_equal(report.reasons, "a:3,b:3,c:3,d:3,e:2,other:6");
}

static void recovery_is_reported_with_how_long_it_took(void **state) {
    (void)state;
    open_at(1, start);
    assert_true(pr_breakers_pass(&breakers, 1, start + 5 * second));
    mark(1, PR_MARK_GOOD, "accepted", start + 6 * second);
    assert_int_equal(report.change, PR_BREAKER_RECOVERED);
    assert_int_equal(report.shut_ns, 6 * second);
    assert_false(report.was_stopped);
    assert_int_equal(atomic_load(&breakers.shut_n), 0);
    assert_true(pr_breakers_is_up(&breakers, 1, start + 6 * second));
}

static void an_accepted_probe_ends_a_stop_and_says_that_it_was_one(void **state) {
    (void)state;
    assert_true(pr_breakers_stop(&breakers, 1, start, start, 60 * second));
    assert_false(pr_breakers_stop(&breakers, 1, start - 1, start + 1, 60 * second)); /* on the wire with the first */
    assert_false(pr_breakers_pass(&breakers, 1, start + 60 * second - 1));
    assert_true(pr_breakers_pass(&breakers, 1, start + 60 * second));
    mark(1, PR_MARK_GOOD, "accepted", start + 61 * second);
    assert_int_equal(report.change, PR_BREAKER_RECOVERED);
    assert_true(report.was_stopped);
    assert_true(pr_breakers_stop(&breakers, 1, start + 62 * second, start + 62 * second, 60 * second));
}

static void clearing_counts_once(void **state) {
    (void)state;
    assert_false(pr_breakers_clear(&breakers, 1, start));
    open_at(1, start);
    assert_true(pr_breakers_clear(&breakers, 1, start));
    assert_false(pr_breakers_clear(&breakers, 1, start));
    assert_int_equal(atomic_load(&breakers.shut_n), 0);
}

static void the_first_message_comes_back_for_the_probe_and_others_are_spread_behind_it(void **state) {
    bool is_stopped = true;
    (void)state;
    assert_int_equal(pr_breakers_hold(&breakers, 1, start, &is_stopped), 0);
    assert_false(is_stopped);
    open_at(1, start);
    for (int i = 0; i < 250; i++) {
        int64_t hold_ns = pr_breakers_hold(&breakers, 1, start + second, &is_stopped);
        assert_int_equal(hold_ns, 4 * second + i % 100 * (second / 20));
    }
    assert_false(is_stopped);
    assert_int_equal(pr_breakers_hold(&breakers, 1, start + 5 * second, &is_stopped), 0);
    assert_true(pr_breakers_clear(&breakers, 1, start + 5 * second));
    assert_true(pr_breakers_stop(&breakers, 1, start + 5 * second, start + 5 * second, 60 * second));
    assert_int_equal(pr_breakers_hold(&breakers, 1, start + 5 * second, &is_stopped), 60 * second);
}

static void while_a_probe_is_out_messages_stay_away_for_a_short_rest(void **state) {
    bool is_stopped = false;
    (void)state;
    assert_true(pr_breakers_stop(&breakers, 1, start, start, 60 * second));
    assert_int_equal(pr_breakers_hold(&breakers, 1, start, &is_stopped), 60 * second);
    assert_true(is_stopped);
    assert_true(pr_breakers_pass(&breakers, 1, start + 60 * second));
    int64_t hold_ns = pr_breakers_hold(&breakers, 1, start + 60 * second, &is_stopped);
    assert_in_range(hold_ns, 5 * second, 6 * second);
}

static void a_probe_that_did_not_leave_is_given_back(void **state) {
    (void)state;
    open_at(1, start);
    assert_true(pr_breakers_pass(&breakers, 1, start + 5 * second));
    assert_false(pr_breakers_is_up(&breakers, 1, start + 5 * second));
    pr_breakers_unpass(&breakers, 1, start + 5 * second, start + 5 * second);
    assert_true(pr_breakers_is_up(&breakers, 1, start + 5 * second));
}

static void one_that_finds_no_room_stays_closed(void **state) {
    (void)state;
    for (int32_t i = 0; i < PR_BREAKERS_MAX; i++) {
        mark(i + 1, PR_MARK_GOOD, "accepted", start);
    }
    for (int i = 0; i < 2 * PR_BREAKER_LEAST; i++) {
        mark(PR_BREAKERS_MAX + 1, PR_MARK_BAD, "cut", start);
        assert_int_equal(report.change, PR_BREAKER_SAME);
    }
    assert_false(pr_breakers_stop(&breakers, PR_BREAKERS_MAX + 1, start, start, second));
    for (int i = 0; i < PR_BREAKER_LEAST; i++) {
        mark(PR_BREAKERS_MAX, PR_MARK_BAD, "cut", start);
    }
    assert_false(pr_breakers_is_up(&breakers, PR_BREAKERS_MAX, start));
}

struct prober {
    pthread_t thread;
    int passed;
};

static void *probe(void *arg) {
    struct prober *prober = arg;
    for (int i = 0; i < 20000; i++) {
        prober->passed += pr_breakers_pass(&breakers, 1, start + 5 * second + i);
    }
    return NULL;
}

static void of_many_threads_one_gets_the_probe(void **state) {
    struct prober prober[4] = {0};
    int passed = 0;
    (void)state;
    open_at(1, start);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&prober[i].thread, NULL, probe, &prober[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(prober[i].thread, NULL), 0);
        passed += prober[i].passed;
    }
    assert_int_equal(passed, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_touches_no_other),
        TEST(opening_is_reported_with_its_counts_and_reasons),
        TEST(reasons_of_an_earlier_trouble_are_forgotten),
        TEST(a_long_row_is_reported_whole),
        TEST(more_reasons_than_there_is_room_for_are_counted_together),
        TEST(recovery_is_reported_with_how_long_it_took),
        TEST(an_accepted_probe_ends_a_stop_and_says_that_it_was_one),
        TEST(clearing_counts_once),
        TEST(the_first_message_comes_back_for_the_probe_and_others_are_spread_behind_it),
        TEST(while_a_probe_is_out_messages_stay_away_for_a_short_rest),
        TEST(a_probe_that_did_not_leave_is_given_back),
        TEST(one_that_finds_no_room_stays_closed),
        TEST(of_many_threads_one_gets_the_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
