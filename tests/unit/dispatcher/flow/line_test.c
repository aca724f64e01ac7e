/* Tests of a sender's line and of what senders and tenants hold: the order of its ranks, and places that others find free. */
#include "flow/sender.h"
#include "unit/dispatcher/lane_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct pr_lane_sender *main_sender, *second, *baker;

static int set_up(void **state) {
    (void)state;
    lane_open();
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", "pt_BR");
    put_tenant(rows, 2, "bakery", "es");
    put_sender(rows, 1, 11, 5, "main");
    put_sender(rows, 1, 12, 6, "second");
    put_sender(rows, 2, 21, 7, "baker");
    lane_read(rows);
    main_sender = pr_sender_of(&lane.senders, lane_job(0, 0, 0, PR_CATEGORY_UTILITY));
    baker = pr_sender_of(&lane.senders, lane_job(1, 0, 0, PR_CATEGORY_UTILITY));
    second = pr_sender_of(&lane.senders, lane_job(0, 1, 0, PR_CATEGORY_UTILITY));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    lane_end_jobs();
    lane_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct pr_job *push(struct pr_lane_sender *entry, enum pr_line_kind kind, enum pr_category category, int attempt) {
    struct pr_job *job = lane_job(0, 0, 1, category);
    job->attempt = attempt;
    pr_sender_push(entry, kind, job);
    return job;
}

static void an_entry_is_made_once_and_knows_its_tenant(void **state) {
    (void)state;
    assert_int_equal(lane.senders.n, 3);
    assert_int_equal(lane.senders.sender[0]->id, 11);
    assert_int_equal(lane.senders.sender[1]->id, 12);
    assert_int_equal(lane.senders.sender[2]->id, 21);
    assert_ptr_equal(pr_sender_of(&lane.senders, lane_job(0, 1, 3, PR_CATEGORY_UTILITY)), second);
    assert_ptr_equal(main_sender->tenant, second->tenant);
    assert_ptr_not_equal(main_sender->tenant, baker->tenant);
}

static void first_tries_go_before_retries_and_transactional_before_marketing(void **state) {
    (void)state;
    struct pr_line *line = &main_sender->line[PR_LINE_GATED];
    struct pr_job *promo_again = push(main_sender, PR_LINE_GATED, PR_CATEGORY_MARKETING, 1);
    struct pr_job *promo = push(main_sender, PR_LINE_GATED, PR_CATEGORY_MARKETING, 0);
    struct pr_job *order_again = push(main_sender, PR_LINE_GATED, PR_CATEGORY_UTILITY, 2);
    struct pr_job *order = push(main_sender, PR_LINE_GATED, PR_CATEGORY_UTILITY, 0);
    struct pr_job *code = push(main_sender, PR_LINE_GATED, PR_CATEGORY_AUTHENTICATION, 0);
    struct pr_job *const expected[] = {order, code, order_again, promo, promo_again};
    assert_int_equal(pr_line_ahead(line, PR_CLASS_TRANSACTIONAL).n, 3);
    assert_int_equal(pr_line_ahead(line, PR_CLASS_TRANSACTIONAL).cost, 3 * 5000);
    assert_int_equal(pr_line_ahead(line, PR_CLASS_MARKETING).n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(pr_line_next(line), expected[i]);
        assert_ptr_equal(pr_line_next(line), expected[i]); /* asking changes nothing */
        pr_sender_take(main_sender, PR_LINE_GATED, expected[i]);
    }
    assert_null(pr_line_next(line));
    assert_null(pr_round_next(&lane.senders.round[PR_LINE_GATED]));
}

/* Otherwise first tries that find no place would stand in front of those that hold all places, for ever. */
static void a_retry_with_its_place_on_the_wire_goes_before_one_without_and_can_be_asked_for(void **state) {
    (void)state;
    struct pr_line *line = &main_sender->line[PR_LINE_READY];
    struct pr_job *job[4];
    assert_null(pr_line_next_with_place(line));
    job[3] = push(main_sender, PR_LINE_READY, PR_CATEGORY_UTILITY, 1); /* came back from `deferred` */
    for (int i = 2; i > 0; i--) {
        job[i] = lane_job(0, 0, i, i == 1 ? PR_CATEGORY_UTILITY : PR_CATEGORY_MARKETING);
        job[i]->attempt = 1;
        job[i]->lane_sender = main_sender;
        pr_sender_on_wire(job[i]);
        pr_sender_push(main_sender, PR_LINE_READY, job[i]);
    }
    job[0] = push(main_sender, PR_LINE_READY, PR_CATEGORY_UTILITY, 0);
    assert_ptr_equal(pr_line_next(line), job[0]);
    assert_ptr_equal(pr_line_next_with_place(line), job[1]);
    pr_sender_take(main_sender, PR_LINE_READY, job[0]);
    assert_ptr_equal(pr_line_next(line), job[1]);
    pr_sender_take(main_sender, PR_LINE_READY, job[1]);
    assert_ptr_equal(pr_line_next(line), job[3]);
    assert_ptr_equal(pr_line_next_with_place(line), job[2]);
}

static void marketing_has_one_in_ten_while_others_wait(void **state) {
    (void)state;
    struct pr_line *line = &main_sender->line[PR_LINE_READY];
    int promos = 0;
    for (int i = 0; i < 100; i++) {
        push(main_sender, PR_LINE_READY, i % 2 ? PR_CATEGORY_UTILITY : PR_CATEGORY_MARKETING, 0);
    }
    for (int i = 0; i < 40; i++) {
        struct pr_job *job = pr_line_next(line);
        promos += job->category == PR_CATEGORY_MARKETING;
        pr_sender_take(main_sender, PR_LINE_READY, job);
    }
    assert_int_equal(promos, 4);
    assert_int_equal(main_sender->held[PR_ROOM_AHEAD], 60);
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 60);
}

/* It stands where it was put, whatever becomes of it meanwhile. */
static void a_job_leaves_the_place_that_it_took(void **state) {
    (void)state;
    struct pr_job *job = push(main_sender, PR_LINE_GATED, PR_CATEGORY_UTILITY, 0);
    job->category = PR_CATEGORY_MARKETING;
    job->attempt = 3;
    pr_sender_leave_gated(job);
    assert_null(job->lane_sender);
    assert_int_equal(main_sender->line[PR_LINE_GATED].all, 0);
    assert_int_equal(pr_line_ahead(&main_sender->line[PR_LINE_GATED], PR_CLASS_MARKETING).cost, 0);
    assert_null(pr_round_next(&lane.senders.round[PR_LINE_GATED]));
}

/* Takes places on the wire as long as there is room. */
static int fill_wire(struct pr_lane_sender *entry, int64_t all) {
    int n = 0;
    for (; pr_sender_has_room(entry, PR_ROOM_WIRE, all, 75); n++) {
        struct pr_job *job = lane_job(0, 0, n, PR_CATEGORY_UTILITY);
        job->lane_sender = entry;
        pr_sender_on_wire(job);
        pr_sender_on_wire(job); /* a retry has its place */
    }
    return n;
}

static void one_sender_leaves_places_for_the_others_on_the_wire(void **state) {
    (void)state;
    assert_int_equal(fill_wire(main_sender, 512), 384);
    assert_int_equal(fill_wire(second, 512), 96);
    assert_true(fill_wire(baker, 512) >= 24);
    assert_true(lane.senders.held[PR_ROOM_WIRE] < 512);
}

static void a_tenant_with_many_senders_leaves_a_sixteenth(void **state) {
    (void)state;
    struct pr_lane_sender more[20];
    for (int i = 0; i < 20; i++) {
        more[i] = (struct pr_lane_sender){.all = &lane.senders, .tenant = main_sender->tenant};
        fill_wire(&more[i], 512);
    }
    assert_int_equal(lane.senders.held[PR_ROOM_WIRE], 480);
    assert_int_equal(fill_wire(baker, 512), 24);
    struct pr_job *job = NULL;
    TAILQ_FOREACH (job, &lane.jobs.list[PR_JOB_GATED], link) {
        pr_sender_leave(job);
        pr_sender_leave(job);
    }
    assert_int_equal(lane.senders.held[PR_ROOM_WIRE], 0);
    assert_int_equal(main_sender->tenant->held[PR_ROOM_WIRE], 0);
}

static void the_only_sender_of_the_book_has_all_of_it(void **state) {
    (void)state;
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", "pt_BR");
    put_sender(rows, 1, 11, 5, "main");
    put_sender_as(rows, 1, 12, 6, "second", "banned");
    lane_read(rows);
    assert_int_equal(fill_wire(main_sender, 512), 512);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_entry_is_made_once_and_knows_its_tenant),
        TEST(first_tries_go_before_retries_and_transactional_before_marketing),
        TEST(a_retry_with_its_place_on_the_wire_goes_before_one_without_and_can_be_asked_for),
        TEST(marketing_has_one_in_ten_while_others_wait),
        TEST(a_job_leaves_the_place_that_it_took),
        TEST(one_sender_leaves_places_for_the_others_on_the_wire),
        TEST(a_tenant_with_many_senders_leaves_a_sixteenth),
        TEST(the_only_sender_of_the_book_has_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
