/* Tests of the requests: what each end of a transfer is called, and that no body ever goes out twice. */
#include "send/http.h"

#include "base/clock.h"
#include "unit/dispatcher/send/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { JOBS = 1000 };

/* What the callback was told of one request. */
struct end {
    int times;
    enum pr_transport transport;
    int http_status;
    int64_t retry_after_us;
    size_t body_n;
    char body[256];
};

static struct script_server server;
static struct event_base *base;
static struct pr_http *http;
static struct curl_slist *headers;
static struct end ends[JOBS];
static int64_t timeout_ms;
static int asked;       /* times the guard was asked */
static bool may;        /* what it says */
static int started_n;   /* requests started */
static int follow_up_n; /* requests to start from inside the callback */

static bool guard(void *arg, void *job) {
    assert_ptr_equal(arg, &server);
    assert_true((struct end *)job >= ends && (struct end *)job < ends + JOBS);
    asked++;
    return may;
}

static void start(const char *body);

static void note_end(void *arg, void *job, const struct pr_answer *answer) {
    struct end *end = job;
    assert_ptr_equal(arg, &server);
    end->times++;
    end->transport = answer->transport;
    end->http_status = answer->http_status;
    end->retry_after_us = answer->retry_after_us;
    end->body_n = answer->body.n;
    if (answer->body.n > 0) {
        memcpy(end->body, answer->body.p,
               answer->body.n < sizeof(end->body) - 1 ? answer->body.n : sizeof(end->body) - 1);
    }
    if (follow_up_n > 0) {
        follow_up_n--;
        start("{\"follow\":1}");
    }
}

static void begin(script_serve *serve) {
    const struct pr_http_options options = {.timeout_ms = timeout_ms,
                                            .connect_timeout_ms = 20000,
                                            .in_flight_max = JOBS,
                                            .may_send = guard,
                                            .done = note_end,
                                            .arg = &server};
    assert_true(script_start(&server, serve));
    http = pr_http_new(base, &options);
    assert_non_null(http);
}

static int set_up(void **state) {
    (void)state;
    memset(ends, 0, sizeof(ends));
    asked = started_n = follow_up_n = 0;
    timeout_ms = 20000; /* long, so that a busy machine changes nothing */
    may = true;
    http = NULL;
    server.fd = -1;
    base = event_base_new();
    headers = curl_slist_append(NULL, "Authorization: Bearer EAA1");
    return base && headers && curl_slist_append(headers, "Expect:") ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    if (http) {
        pr_http_abort(http);
        pr_http_free(http);
        script_stop(&server);
    }
    curl_slist_free_all(headers);
    event_base_free(base);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void start_at(int port, const char *body) {
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1/messages", port);
    assert_true(started_n < JOBS);
    assert_true(pr_http_start(http, url, headers, pr_span_of(body), &ends[started_n++]));
}

static void start(const char *body) {
    start_at(server.port, body);
}

/* Turns the loop until nothing is in flight, half a minute at the most. */
static void finish(void) {
    int64_t end_ns = pr_clock_mono_ns() + INT64_C(30000000000);
    while (pr_http_in_flight(http) > 0) {
        struct timeval tick = {.tv_usec = 50000};
        assert_true(pr_clock_mono_ns() < end_ns);
        (void)event_base_loopexit(base, &tick);
        (void)event_base_dispatch(base);
    }
}

/* Sends one and waits for its end. */
static const struct end *post(const char *body) {
    start(body);
    const struct end *end = &ends[started_n - 1];
    finish();
    assert_int_equal(end->times, 1);
    return end;
}

static void rest(int64_t ms) {
    struct timespec pause = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* ---- answers ---- */

static void answers_all(struct script_server *s, int fd, int number) {
    (void)number;
    while (script_read(s, fd)) {
        script_answer(fd, 200, "", "{\"ok\":1}", 8);
    }
}

static void an_answer_is_handed_over_whole(void **state) {
    (void)state;
    begin(answers_all);
    const struct end *end = post("{\"to\":\"x\"}");
    assert_int_equal(end->transport, PR_TRANSPORT_ANSWERED);
    assert_int_equal(end->http_status, 200);
    assert_string_equal(end->body, "{\"ok\":1}");
    assert_int_equal(end->retry_after_us, 0);
    assert_int_equal(asked, 1);
    assert_int_equal(server.bodies, 1);
    assert_memory_equal(script_last(&server), "POST /v1/messages HTTP/1.1\r\n", 28);
    assert_non_null(strstr(script_last(&server), "\r\nAuthorization: Bearer EAA1\r\n"));
    assert_null(strstr(script_last(&server), "Expect"));
    assert_string_equal(strstr(script_last(&server), "\r\n\r\n") + 4, "{\"to\":\"x\"}");
}

static void requests_follow_each_other_on_one_connection(void **state) {
    (void)state;
    begin(answers_all);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(post("{}")->transport, PR_TRANSPORT_ANSWERED);
    }
    assert_int_equal(server.connections, 1);
    assert_int_equal(server.bodies, 10);
    assert_int_equal(asked, 10);
}

static void answers_in_kind(struct script_server *s, int fd, int number) {
    static const int status[] = {429, 503, 400, 302, 204};
    (void)number;
    for (size_t i = 0; i < 5 && script_read(s, fd); i++) {
        script_answer(fd, status[i], i == 3 ? "Location: /elsewhere\r\n" : "", "{}", i == 4 ? 0 : 2);
    }
}

static void every_status_is_an_answer_and_no_redirect_is_followed(void **state) {
    static const int status[] = {429, 503, 400, 302, 204};
    (void)state;
    begin(answers_in_kind);
    for (size_t i = 0; i < 5; i++) {
        const struct end *end = post("{}");
        assert_int_equal(end->transport, PR_TRANSPORT_ANSWERED);
        assert_int_equal(end->http_status, status[i]);
        assert_int_equal(end->body_n, i == 4 ? 0 : 2);
    }
    assert_int_equal(server.bodies, 5);
}

static void answers_late(struct script_server *s, int fd, int number) {
    static const char *const more[] = {"Retry-After: 7\r\n", "", "retry-after:\t3\r\n", "Retry-After: soon\r\n"};
    (void)number;
    for (size_t i = 0; i < 4 && script_read(s, fd); i++) {
        script_answer(fd, 429, more[i], "{}", 2);
    }
}

static void the_retry_after_of_this_answer_is_told(void **state) {
    (void)state;
    begin(answers_late);
    assert_int_equal(post("{}")->retry_after_us, 7000000);
    assert_int_equal(post("{}")->retry_after_us, 0); /* the one before does not stay */
    assert_int_equal(post("{}")->retry_after_us, 3000000);
    assert_int_equal(post("{}")->retry_after_us, 0);
}

static void answers_with_usage(struct script_server *s, int fd, int number) {
    static const char *const more[] = {
        "X-Business-Use-Case-Usage: {\"1\":[{\"type\":\"whatsapp\",\"estimated_time_to_regain_access\":2}]}\r\n",
        "Retry-After: 300\r\nx-app-usage: {\"estimated_time_to_regain_access\": 3}\r\n",
        "X-App-Usage: {\"estimated_time_to_regain_access\": 3}\r\nRetry-After: 7\r\n",
        "X-Ad-Account-Usage: {\"estimated_time_to_regain_access\": 3}\r\n"};
    (void)number;
    for (size_t i = 0; i < 4 && script_read(s, fd); i++) {
        script_answer(fd, 429, more[i], "{}", 2);
    }
}

static void the_latest_of_what_the_headers_say_is_told(void **state) {
    (void)state;
    begin(answers_with_usage);
    assert_int_equal(post("{}")->retry_after_us, 120000000);
    assert_int_equal(post("{}")->retry_after_us, 300000000);
    assert_int_equal(post("{}")->retry_after_us, 180000000);
    assert_int_equal(post("{}")->retry_after_us, 0);
}

/* ---- never twice ---- */

static void closes_after_the_second(struct script_server *s, int fd, int number) {
    if (number == 0) {
        (void)script_read(s, fd);
        script_answer(fd, 200, "", "{}", 2);
        (void)script_read(s, fd);
        return;
    }
    answers_all(s, fd, number);
}

static void resets_after_the_second(struct script_server *s, int fd, int number) {
    if (number == 0) {
        script_reset(fd);
    }
    closes_after_the_second(s, fd, number);
}

/* libcurl takes a dead connection for one that had timed out, and would send the body again on a new one. */
static void expect_taken_once(script_serve *serve) {
    begin(serve);
    assert_int_equal(post("{\"n\":1}")->transport, PR_TRANSPORT_ANSWERED);
    const struct end *end = post("{\"n\":2}");
    assert_true(end->transport == PR_TRANSPORT_REPEATED || end->transport == PR_TRANSPORT_CUT);
    assert_int_equal(end->http_status, 0);
    assert_int_equal(end->body_n, 0);
    rest(100);
    assert_int_equal(server.bodies, 2);
    assert_non_null(strstr(script_last(&server), "{\"n\":2}"));
    end = post("{\"n\":3}"); /* the same handle starts clean */
    assert_int_equal(end->transport, PR_TRANSPORT_ANSWERED);
    assert_int_equal(server.bodies, 3);
}

static void a_body_taken_by_a_connection_that_then_closes_is_not_sent_again(void **state) {
    (void)state;
    expect_taken_once(closes_after_the_second);
}

static void a_body_taken_by_a_connection_that_then_resets_is_not_sent_again(void **state) {
    (void)state;
    expect_taken_once(resets_after_the_second);
}

static void closes_inside_the_answer(struct script_server *s, int fd, int number) {
    (void)number;
    (void)script_read(s, fd);
    script_answer(fd, 200, "", "{}", 2);
    (void)script_read(s, fd);
    script_say(fd, "HTTP/1.1 200 OK\r\nContent-Le");
}

static void a_kept_connection_cut_inside_the_answer_is_cut(void **state) {
    (void)state;
    begin(closes_inside_the_answer);
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_ANSWERED);
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_CUT);
    assert_int_equal(server.bodies, 2);
}

static void closes_each_after_reading(struct script_server *s, int fd, int number) {
    (void)number;
    (void)script_read(s, fd);
}

static void a_new_connection_that_closes_without_a_word_is_cut(void **state) {
    (void)state;
    begin(closes_each_after_reading);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(post("{}")->transport, PR_TRANSPORT_CUT);
        assert_int_equal(server.bodies, i);
    }
    assert_int_equal(server.connections, 3);
}

static void closes_each_after_answering(struct script_server *s, int fd, int number) {
    (void)number;
    if (script_read(s, fd)) {
        script_answer(fd, 200, "", "{}", 2);
    }
}

static void a_connection_closed_while_it_was_idle_is_replaced_before_anything_is_sent(void **state) {
    (void)state;
    begin(closes_each_after_answering);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(post("{}")->transport, PR_TRANSPORT_ANSWERED);
        assert_int_equal(server.bodies, i);
        while (server.closed < i) {
            rest(1);
        }
    }
    assert_int_equal(asked, 5);
}

/* ---- what was not sent ---- */

static void a_refused_connection_is_not_sent_and_the_guard_is_not_asked(void **state) {
    (void)state;
    begin(answers_all);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_n = sizeof(at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0); /* bound and not listening: ours, and refused */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &at_n), 0);
    start_at(ntohs(at.sin_port), "{}");
    finish();
    close(fd);
    assert_int_equal(ends[0].times, 1);
    assert_int_equal(ends[0].transport, PR_TRANSPORT_NOT_SENT);
    assert_int_equal(asked, 0);
}

static void an_address_that_is_none_is_not_sent(void **state) {
    (void)state;
    begin(answers_all);
    assert_true(pr_http_start(http, "http://x.invalid./", headers, PR_SPAN("{}"), &ends[started_n++]));
    assert_true(pr_http_start(http, "ftp://127.0.0.1/", headers, PR_SPAN("{}"), &ends[started_n++]));
    finish();
    assert_int_equal(ends[0].transport, PR_TRANSPORT_NOT_SENT);
    assert_int_equal(ends[1].transport, PR_TRANSPORT_NOT_SENT);
    assert_int_equal(ends[0].times + ends[1].times, 2);
}

static void what_the_guard_refuses_leaves_no_byte_at_the_server(void **state) {
    (void)state;
    begin(answers_all);
    may = false;
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_NOT_LET);
    assert_int_equal(asked, 1);
    rest(100);
    assert_int_equal(server.bytes, 0);
}

static void the_guard_is_asked_on_a_kept_connection_too(void **state) {
    (void)state;
    begin(answers_all);
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_ANSWERED);
    long bytes = server.bytes;
    may = false;
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_NOT_LET);
    may = true;
    rest(100);
    assert_int_equal(server.bytes, bytes);
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_ANSWERED);
    assert_int_equal(server.bodies, 2);
}

/* ---- answers that are none ---- */

static char large[PR_HTTP_ANSWER_MAX + 1];

static void answers_largely(struct script_server *s, int fd, int number) {
    (void)number;
    for (size_t i = 0; i < 2 && script_read(s, fd); i++) {
        script_answer(fd, 200, "", large, PR_HTTP_ANSWER_MAX + i);
    }
    script_until_closed(fd);
}

static void an_answer_of_64_kib_is_whole_and_one_byte_more_is_oversized(void **state) {
    (void)state;
    memset(large, 'x', sizeof(large));
    begin(answers_largely);
    const struct end *end = post("{}");
    assert_int_equal(end->transport, PR_TRANSPORT_ANSWERED);
    assert_int_equal(end->body_n, PR_HTTP_ANSWER_MAX);
    end = post("{}");
    assert_int_equal(end->transport, PR_TRANSPORT_OVERSIZED);
    assert_int_equal(end->http_status, 0);
    assert_int_equal(end->body_n, 0);
}

static const char *_Atomic cut_text;

static void answers_in_part(struct script_server *s, int fd, int number) {
    (void)number;
    if (script_read(s, fd)) {
        script_say(fd, cut_text);
    }
}

static void an_answer_cut_short_is_cut(void **state) {
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"messages\"",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200",
        "this is no HTTP at all\r\n\r\n",
    };
    (void)state;
    begin(answers_in_part);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cut_text = texts[i];
        const struct end *end = post("{}");
        if (end->transport != PR_TRANSPORT_CUT || end->body_n != 0 || end->http_status != 0) {
            fail_msg("transport %d for %s", (int)end->transport, texts[i]);
        }
        assert_int_equal(server.bodies, (int)i + 1);
    }
}

static void answers_never(struct script_server *s, int fd, int number) {
    (void)number;
    (void)script_read(s, fd);
    script_until_closed(fd);
}

static void no_answer_in_time_is_cut(void **state) {
    (void)state;
    timeout_ms = 400;
    begin(answers_never);
    int64_t from_ns = pr_clock_mono_ns();
    assert_int_equal(post("{}")->transport, PR_TRANSPORT_CUT);
    assert_in_range((pr_clock_mono_ns() - from_ns) / 1000000, timeout_ms - 50, timeout_ms + 10000);
    rest(50);
    assert_int_equal(server.bodies, 1);
    assert_int_equal(server.connections, 1);
}

/* ---- many, and the end ---- */

static void what_is_aborted_is_told_once_as_cut(void **state) {
    (void)state;
    begin(answers_never);
    start("{}");
    while (server.bodies == 0) {
        struct timeval tick = {.tv_usec = 10000};
        (void)event_base_loopexit(base, &tick);
        (void)event_base_dispatch(base);
    }
    pr_http_abort(http);
    assert_int_equal(ends[0].times, 1);
    assert_int_equal(ends[0].transport, PR_TRANSPORT_CUT);
    assert_int_equal(pr_http_in_flight(http), 0);
    pr_http_abort(http); /* nothing left: nothing happens */
    assert_int_equal(ends[0].times, 1);
}

static void what_is_aborted_before_anything_was_sent_is_known_not_to_be(void **state) {
    (void)state;
    begin(answers_all);
    start("{}");
    start("{}");
    pr_http_abort(http);
    assert_int_equal(ends[0].times, 1);
    assert_int_equal(ends[1].times, 1);
    assert_int_equal(ends[0].transport, PR_TRANSPORT_NOT_SENT);
    assert_int_equal(server.bodies, 0);
}

static void more_than_a_multi_takes_go_out_at_once(void **state) {
    enum { N = PR_HTTP_MULTI_MAX + 100 };
    (void)state;
    begin(closes_each_after_answering);
    for (int i = 0; i < N; i++) {
        start("{}");
    }
    assert_int_equal(pr_http_in_flight(http), N);
    finish();
    for (int i = 0; i < N; i++) {
        assert_int_equal(ends[i].times, 1);
        assert_int_equal(ends[i].transport, PR_TRANSPORT_ANSWERED);
    }
    assert_int_equal(server.bodies, N);
    assert_int_equal(asked, N);
}

static void there_is_room_up_to_the_ceiling(void **state) {
    (void)state;
    begin(answers_never);
    for (int i = 0; i < JOBS; i++) {
        assert_true(pr_http_has_room(http));
        start("{}");
    }
    assert_false(pr_http_has_room(http));
    pr_http_abort(http);
    assert_true(pr_http_has_room(http));
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(ends[i].times, 1);
    }
}

static void the_next_may_be_started_when_one_ends(void **state) {
    (void)state;
    begin(answers_all);
    follow_up_n = 5;
    start("{}");
    finish();
    assert_int_equal(started_n, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ends[i].times, 1);
        assert_int_equal(ends[i].transport, PR_TRANSPORT_ANSWERED);
    }
}

static void nothing_is_freed_without_a_word(void **state) {
    (void)state;
    pr_http_free(NULL);
}

int main(void) {
    static const char *const proxies[] = {"http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"};
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_handed_over_whole),
        TEST(requests_follow_each_other_on_one_connection),
        TEST(every_status_is_an_answer_and_no_redirect_is_followed),
        TEST(the_retry_after_of_this_answer_is_told),
        TEST(the_latest_of_what_the_headers_say_is_told),
        TEST(a_body_taken_by_a_connection_that_then_closes_is_not_sent_again),
        TEST(a_body_taken_by_a_connection_that_then_resets_is_not_sent_again),
        TEST(a_kept_connection_cut_inside_the_answer_is_cut),
        TEST(a_new_connection_that_closes_without_a_word_is_cut),
        TEST(a_connection_closed_while_it_was_idle_is_replaced_before_anything_is_sent),
        TEST(a_refused_connection_is_not_sent_and_the_guard_is_not_asked),
        TEST(an_address_that_is_none_is_not_sent),
        TEST(what_the_guard_refuses_leaves_no_byte_at_the_server),
        TEST(the_guard_is_asked_on_a_kept_connection_too),
        TEST(an_answer_of_64_kib_is_whole_and_one_byte_more_is_oversized),
        TEST(an_answer_cut_short_is_cut),
        TEST(no_answer_in_time_is_cut),
        TEST(what_is_aborted_is_told_once_as_cut),
        TEST(what_is_aborted_before_anything_was_sent_is_known_not_to_be),
        TEST(more_than_a_multi_takes_go_out_at_once),
        TEST(there_is_room_up_to_the_ceiling),
        TEST(the_next_may_be_started_when_one_ends),
        TEST(nothing_is_freed_without_a_word),
    };
    for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        (void)unsetenv(proxies[i]); /* the server is here, whatever this machine's way out */
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
