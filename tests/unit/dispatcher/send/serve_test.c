/* Tests of handing over and of what answers become, with a fake in curl's place: turns, places on the wire, tokens of sender and pair, and retries. */
#include "send/private.h"

#include "base/clock.h"
#include "core/verdict.h"
#include "metrics.h"
#include "send/secret.h"
#include "unit/dispatcher/lane_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { IN_FLIGHT = 64, STARTED_MAX = 512 };

/* ---- in curl's place: notes what it was given and never answers by itself ---- */

static struct {
    struct pr_job *job[STARTED_MAX];
    char url[STARTED_MAX][64];
    int n;
    bool refuses;
} curl;

struct pr_http *pr_http_new(struct event_base *base, const struct pr_http_options *opt) {
    (void)base, (void)opt;
    return (struct pr_http *)&curl;
}

void pr_http_free(struct pr_http *http) {
    (void)http;
}

uint32_t pr_http_in_flight(const struct pr_http *http) {
    (void)http;
    return 0;
}

bool pr_http_has_room(const struct pr_http *http) {
    (void)http;
    return curl.n < STARTED_MAX;
}

bool pr_http_start(struct pr_http *http, const char *url, struct curl_slist *headers, struct pr_span body, void *job) {
    (void)http, (void)headers, (void)body;
    if (curl.refuses) {
        return false;
    }
    (void)snprintf(curl.url[curl.n], sizeof(curl.url[0]), "%s", url);
    curl.job[curl.n++] = job;
    return true;
}

void pr_http_abort(struct pr_http *http) {
    (void)http;
}

/* ---- a lane ---- */

static char dir[32], token[64];

static int set_up(void **state) {
    (void)state;
    memset(&curl, 0, sizeof(curl));
    (void)snprintf(dir, sizeof(dir), "/tmp/pr-serve.XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    (void)snprintf(token, sizeof(token), "%s/token", dir);
    FILE *file = fopen(token, "w");
    if (!file || fputs("secret\n", file) < 0 || fclose(file) != 0) {
        return -1;
    }
    lane_open();
    options.dispatch.in_flight = IN_FLIGHT;
    options.dispatch.sender_in_flight = 75;
    options.dispatch.secrets_dir = dir;
    options.dispatch.reconcile_window_ms = 120000;
    options.provider.cloud_api_url = "http://platform";
    process.metrics = pr_metrics_new(pr_metric_defs, PR_METRICS, 1);
    lane.metric = pr_metrics_lane(process.metrics, 0);
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", "pt_BR");
    put_tenant(rows, 2, "bakery", "es");
    put_sender(rows, 1, 11, 5, "main");
    put_sender(rows, 1, 12, 6, "second");
    put_sender(rows, 2, 21, 7, "baker");
    put_template(rows, 1, 31, "order", "pt_BR", "UTILITY", "APPROVED");
    lane_read(rows);
    lane_rate(1, 11, 100000);
    lane_rate(1, 12, 100000);
    lane_rate(2, 21, 100000);
    lane.now_ns += INT64_C(1000000000);
    assert_true(pr_send_open(&lane));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pr_send_close(&lane);
    pr_metrics_free(process.metrics);
    lane_end_jobs();
    lane_close();
    (void)unlink(token);
    (void)rmdir(dir);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct pr_job *ready(uint32_t tenant, uint32_t sender, int n, enum pr_category category) {
    struct pr_job *job = lane_job(tenant, sender, n, category);
    job->choice.tpl = &lane.book->tenants[0].templates[0];
    pr_job_move(&lane.jobs, job, PR_JOB_CLAIMING);
    pr_job_move(&lane.jobs, job, PR_JOB_READY);
    pr_sender_push(pr_sender_of(&lane.senders, job), PR_LINE_READY, job);
    return job;
}

static int started_of(int32_t sender) {
    int n = 0;
    for (int i = 0; i < curl.n; i++) {
        n += curl.job[i]->sender->id == sender;
    }
    return n;
}

static void answer(struct pr_job *job, int status, const char *body) {
    struct pr_answer got = {.transport = PR_TRANSPORT_ANSWERED, .http_status = status, .body = pr_span_of(body)};
    pr_send_answered(&lane, job, &got);
}

static const char too_many_to_one[] = "{\"error\":{\"code\":131056,\"message\":\"pair\"}}";

/* What settling does when the retry's outcome is durable. */
static void wait_as_said(struct pr_job *job) {
    TAILQ_REMOVE(&lane.to_settle, job, queue);
    job->is_queued = false;
    pr_job_move(&lane.jobs, job, PR_JOB_WAITING);
    assert_true(pr_heap_push(&lane.timers, &job->timer, lane.now_ns + job->parking.wait_ms * 1000000));
}

/* ---- handing over ---- */

static void a_ready_job_goes_to_the_account_of_its_sender(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    assert_int_equal(curl.n, 1);
    assert_string_equal(curl.url[0], "http://platform/1055/messages");
    assert_int_equal(job->state, PR_JOB_SENDING);
    assert_int_equal(job->attempt, 1);
    assert_true(job->is_on_wire);
    assert_int_equal(lane.senders.held[PR_ROOM_WIRE], 1);
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 0);
}

/* A crash before that would leave it unknown like the others. */
static void what_is_taken_back_keeps_its_place_among_the_claimed_until_that_is_written(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_lane_take_back(&lane, job, PR_NEXT_GATE);
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 1);
    assert_int_equal(job->lane_sender->held[PR_ROOM_AHEAD], 1);
    pr_sender_leave(job); /* as settling does then */
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 0);
    assert_null(job->lane_sender);
}

static void what_curl_does_not_take_was_not_sent(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    curl.refuses = true;
    pr_send_serve(&lane);
    assert_int_equal(job->state, PR_JOB_SETTLING);
    assert_int_equal(job->outcome.kind, PR_OUTCOME_RETRY);
}

/* A hundred of one tenant's two numbers were there before the other's: the places are handed out by turns all the same. */
static void tenants_take_turns_on_the_wire(void **state) {
    (void)state;
    options.dispatch.sender_in_flight = 100;
    for (int i = 0; i < 100; i++) {
        ready(0, 0, i, PR_CATEGORY_UTILITY);
        ready(0, 1, i, PR_CATEGORY_UTILITY);
    }
    for (int i = 0; i < 100; i++) {
        ready(1, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_send_serve(&lane);
    assert_int_equal(curl.n, IN_FLIGHT);
    assert_int_equal(started_of(21), IN_FLIGHT / 2);
    assert_int_equal(started_of(11), IN_FLIGHT / 4);
    assert_int_equal(started_of(12), IN_FLIGHT / 4);
}

/* All places of a sender are held by retries, and first tries wait for one: the retries go. */
static void retries_that_hold_all_places_go_though_first_tries_stand_before_them(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        ready(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_send_serve(&lane);
    int held = curl.n;
    assert_int_equal(held, IN_FLIGHT * 3 / 4);
    for (int i = 0; i < held; i++) {
        struct pr_job *job = curl.job[i];
        pr_job_move(&lane.jobs, job, PR_JOB_SETTLING); /* answered, its outcome durable, and its wait over */
        pr_job_move(&lane.jobs, job, PR_JOB_WAITING);
        pr_job_move(&lane.jobs, job, PR_JOB_READY);
        pr_sender_push(job->lane_sender, PR_LINE_READY, job);
    }
    pr_send_serve(&lane);
    assert_int_equal(curl.n, 2 * held);
    for (int i = held; i < 2 * held; i++) {
        assert_int_equal(curl.job[i]->attempt, 2);
    }
}

static void a_sender_that_hangs_leaves_places_for_another(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        ready(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_send_serve(&lane);
    assert_int_equal(started_of(11), IN_FLIGHT * 3 / 4);
    assert_int_equal(lane.senders.sender[0]->short_ns, lane.now_ns);
    for (int i = 0; i < 5; i++) {
        ready(1, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_send_serve(&lane);
    assert_int_equal(started_of(21), 5);
    assert_int_equal(started_of(11), IN_FLIGHT * 3 / 4);
}

static void first_tries_go_before_retries_and_transactional_before_marketing(void **state) {
    (void)state;
    struct pr_job *promo = ready(0, 0, 1, PR_CATEGORY_MARKETING);
    struct pr_job *again = lane_job(0, 0, 2, PR_CATEGORY_UTILITY);
    again->choice.tpl = promo->choice.tpl;
    again->attempt = 1;
    pr_job_move(&lane.jobs, again, PR_JOB_CLAIMING);
    pr_job_move(&lane.jobs, again, PR_JOB_READY);
    pr_sender_push(lane.senders.sender[0], PR_LINE_READY, again);
    struct pr_job *order = ready(0, 0, 3, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    assert_int_equal(curl.n, 3);
    assert_ptr_equal(curl.job[0], order);
    assert_ptr_equal(curl.job[1], again);
    assert_ptr_equal(curl.job[2], promo);
}

static void without_a_token_of_the_sender_nothing_goes_and_the_lane_is_woken(void **state) {
    (void)state;
    lane_rate(1, 11, 1);
    lane.now_ns += INT64_C(5000000000);
    lane.wake_ns = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        ready(0, 0, i, PR_CATEGORY_UTILITY);
        ready(1, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_send_serve(&lane);
    assert_int_equal(started_of(11), 1);
    assert_int_equal(started_of(21), 3);
    assert_true(lane.wake_ns > lane.now_ns && lane.wake_ns <= lane.now_ns + INT64_C(1100000000));
    assert_int_equal(lane.senders.sender[0]->short_ns, lane.now_ns);
}

static void a_stopped_sender_gives_back_what_was_claimed_and_touches_no_other(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        ready(0, 0, i, PR_CATEGORY_UTILITY);
        ready(1, 0, i, PR_CATEGORY_UTILITY);
    }
    (void)pr_breakers_stop(&process.senders, 11, lane.now_ns, lane.now_ns, INT64_C(60000000000));
    pr_send_serve(&lane);
    assert_int_equal(started_of(11), 0);
    assert_int_equal(started_of(21), 3);
    assert_int_equal(lane.jobs.n[PR_JOB_SETTLING], 3);
    assert_int_equal(lane.senders.held[PR_ROOM_AHEAD], 3); /* until they are written back */
    assert_int_equal(TAILQ_FIRST(&lane.to_settle)->writes, PR_WRITE_UNCLAIM);
    assert_int_equal(TAILQ_FIRST(&lane.to_settle)->next, PR_NEXT_GATE);
}

static void a_sender_whose_token_cannot_be_read_is_stopped(void **state) {
    (void)state;
    assert_int_equal(unlink(token), 0);
    ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    assert_int_equal(curl.n, 0);
    assert_false(pr_breakers_is_up(&process.senders, 11, lane.now_ns));
}

static void what_was_claimed_under_another_epoch_or_for_a_stopped_template_goes_back(void **state) {
    (void)state;
    ready(0, 0, 1, PR_CATEGORY_UTILITY)->epoch = 8;
    pr_send_serve(&lane);
    (void)pr_breakers_stop(&process.templates, 31, lane.now_ns, lane.now_ns, INT64_C(60000000000));
    ready(0, 0, 2, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    assert_int_equal(curl.n, 0);
    assert_int_equal(lane.jobs.n[PR_JOB_SETTLING], 2);
}

/* ---- pairs ---- */

static void every_post_takes_one_of_its_pair(void **state) {
    (void)state;
    for (int i = 0; i < PR_PAIR_BURST; i++) {
        ready(0, 0, 1, PR_CATEGORY_UTILITY); /* as if the gate let them all through */
    }
    pr_send_serve(&lane);
    assert_int_equal(curl.n, PR_PAIR_BURST);
    struct pr_job *one_more = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    ready(0, 0, 2, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    assert_int_equal(curl.n, PR_PAIR_BURST + 1);
    assert_int_equal(one_more->writes, PR_WRITE_UNCLAIM);
    assert_int_equal(one_more->next, PR_NEXT_GATE);
}

static void a_pair_that_the_platform_refused_is_empty_and_its_retry_waits_for_it(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    answer(job, 400, too_many_to_one);
    assert_int_equal(job->outcome.scope, PR_SCOPE_PAIR);
    assert_int_equal(job->next, PR_NEXT_WAIT);
    assert_int_equal(job->parking.wait_ms, PR_PAIR_STEP_US / 1000); /* the first backoff, a second, is shorter */
    assert_true(pr_pairs_wait(&lane.pairs, pr_pairs_key(job), lane.now_us) > 0);
    struct pr_job *other = lane_job(0, 0, 2, PR_CATEGORY_UTILITY);
    assert_int_equal(pr_pairs_wait(&lane.pairs, pr_pairs_key(other), lane.now_us), 0);
    assert_true(pr_shapes_is_up(&process.shapes, 11, lane.now_ns)); /* nobody else is touched */
}

static void a_retry_that_wakes_without_a_token_waits_on_and_keeps_its_place(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    answer(job, 400, too_many_to_one);
    wait_as_said(job);
    lane.now_ns += job->parking.wait_ms * 1000000; /* the database's clock stood still meanwhile */
    lane.wake_ns = INT64_MAX;
    pr_send_wake(&lane);
    assert_int_equal(job->state, PR_JOB_WAITING);
    assert_int_equal(job->timer.key, lane.now_ns + PR_PAIR_STEP_US * INT64_C(1000));
    assert_true(lane.wake_ns <= job->timer.key);
    assert_int_equal(lane.senders.held[PR_ROOM_WIRE], 1);
}

/* ---- answers ---- */

static void an_accepted_message_keeps_its_place_until_its_fate_is_durable(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    answer(job, 200, "{\"messages\":[{\"id\":\"wamid.1\"}]}");
    assert_int_equal(job->outcome.kind, PR_OUTCOME_ACCEPTED);
    assert_int_equal(job->writes, PR_WRITE_OUTCOME);
    assert_int_equal(job->next, PR_NEXT_SETTLED);
    assert_int_equal(lane.senders.held[PR_ROOM_WIRE], 1);
    pr_sender_leave(job);
    assert_int_equal(lane.senders.held[PR_ROOM_WIRE], 0);
}

static void a_throttled_sender_pauses_and_others_do_not(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    answer(job, 400, "{\"error\":{\"code\":130429,\"message\":\"rate\"}}");
    assert_false(pr_shapes_is_up(&process.shapes, 11, lane.now_ns));
    assert_true(pr_shapes_is_up(&process.shapes, 12, lane.now_ns));
    assert_int_equal(job->next, PR_NEXT_WAIT);
}

static void no_more_than_a_quarter_of_the_places_waits_for_retries(void **state) {
    (void)state;
    enum { MOST = IN_FLIGHT / 4 };
    struct pr_job *job[MOST + 1];
    for (int i = 0; i <= MOST; i++) {
        job[i] = ready(0, 0, i, PR_CATEGORY_UTILITY);
    }
    pr_send_serve(&lane);
    for (int i = 0; i <= MOST; i++) { /* all at once: none of their outcomes is written yet */
        answer(job[i], 500, "{\"error\":{\"code\":131016,\"message\":\"down\"}}");
    }
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(job[i]->writes, PR_WRITE_OUTCOME);
        assert_int_equal(job[i]->next, PR_NEXT_WAIT);
    }
    assert_int_equal(job[MOST]->writes, PR_WRITE_PARK | PR_WRITE_OUTCOME);
    assert_int_equal(job[MOST]->parking.state, PR_STATE_DEFERRED);
}

static void a_cut_answer_is_unknown_and_waits_for_its_receipt(void **state) {
    (void)state;
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    struct pr_answer cut = {.transport = PR_TRANSPORT_CUT};
    pr_send_answered(&lane, job, &cut);
    assert_int_equal(job->outcome.kind, PR_OUTCOME_UNKNOWN);
    assert_int_equal(job->parking.state, PR_STATE_UNKNOWN);
    assert_int_equal(job->parking.wait_ms, 120000);
}

static void what_our_guard_refused_was_no_attempt(void **state) {
    (void)state;
    struct pr_answer refused = {.transport = PR_TRANSPORT_NOT_LET};
    struct pr_job *job = ready(0, 0, 1, PR_CATEGORY_UTILITY);
    struct pr_job *late = ready(0, 0, 2, PR_CATEGORY_UTILITY);
    pr_send_serve(&lane);
    late->expires_ns = 1;
    pr_send_answered(&lane, job, &refused);
    pr_send_answered(&lane, late, &refused);
    assert_int_equal(job->attempt, 0);
    assert_int_equal(job->writes, PR_WRITE_UNCLAIM);
    assert_int_equal(job->next, PR_NEXT_GATE);
    assert_int_equal(late->writes, PR_WRITE_REFUSE);
    assert_string_equal(late->aside_reason, "expired");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_ready_job_goes_to_the_account_of_its_sender),
        TEST(what_is_taken_back_keeps_its_place_among_the_claimed_until_that_is_written),
        TEST(what_curl_does_not_take_was_not_sent),
        TEST(tenants_take_turns_on_the_wire),
        TEST(retries_that_hold_all_places_go_though_first_tries_stand_before_them),
        TEST(a_sender_that_hangs_leaves_places_for_another),
        TEST(first_tries_go_before_retries_and_transactional_before_marketing),
        TEST(without_a_token_of_the_sender_nothing_goes_and_the_lane_is_woken),
        TEST(a_stopped_sender_gives_back_what_was_claimed_and_touches_no_other),
        TEST(a_sender_whose_token_cannot_be_read_is_stopped),
        TEST(what_was_claimed_under_another_epoch_or_for_a_stopped_template_goes_back),
        TEST(every_post_takes_one_of_its_pair),
        TEST(a_pair_that_the_platform_refused_is_empty_and_its_retry_waits_for_it),
        TEST(a_retry_that_wakes_without_a_token_waits_on_and_keeps_its_place),
        TEST(an_accepted_message_keeps_its_place_until_its_fate_is_durable),
        TEST(a_throttled_sender_pauses_and_others_do_not),
        TEST(no_more_than_a_quarter_of_the_places_waits_for_retries),
        TEST(a_cut_answer_is_unknown_and_waits_for_its_receipt),
        TEST(what_our_guard_refused_was_no_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
