/* Easy handles in a pool, multis of at most 512 of them, and sockets and timers on libevent. */
#include "send/http.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PR_HTTP_MULTIS_MAX = 64 };

struct pr_multi {
    struct pr_http *http;
    CURLM *curl;
    struct event *timer;
    uint32_t active;
};

struct pr_request {
    TAILQ_ENTRY(pr_request) link;
    CURL *curl;
    struct pr_multi *multi;
    void *job;
    struct pr_buf answer;
    int64_t retry_after_us;
    uint32_t let_through; /* times curl was about to send it */
    bool is_refused, is_repeated, is_oversized;
    bool is_head_whole; /* the line that ends the answer's header came: libcurl 7.88.1 calls an answer cut before it complete */
};
TAILQ_HEAD(pr_request_list, pr_request);

struct pr_http {
    struct event_base *base;
    struct pr_http_options opt;
    struct pr_multi multi[PR_HTTP_MULTIS_MAX];
    uint32_t multis;
    struct pr_request_list idle, busy;
    uint32_t in_flight;
};

/* ---- callbacks of one request ---- */

/*
 * libcurl repeats a POST by itself when a reused connection dies before the first byte of the answer. The second call within one transfer is that repeat: it is
 * refused, and nobody knows whether the first was taken.
 */
static int before_send(void *arg, char *primary, char *local, int primary_port, int local_port) {
    struct pr_request *request = arg;
    const struct pr_http *http = request->multi->http;
    (void)primary, (void)local, (void)primary_port, (void)local_port;
    if (request->let_through > 0) {
        request->is_repeated = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (!http->opt.may_send(http->opt.arg, request->job)) {
        request->is_refused = true;
        return CURL_PREREQFUNC_ABORT;
    }
    request->let_through++;
    PR_FAULT("lease.checked");
    return CURL_PREREQFUNC_OK;
}

static size_t take_body(char *p, size_t size, size_t n, void *arg) {
    struct pr_request *request = arg;
    pr_buf_put(&request->answer, p, size * n);
    if (request->answer.failed) {
        request->is_oversized = true;
        return 0;
    }
    return size * n;
}

/* The value of the header `name` (lower case, with its colon); p NULL when the line is another one. */
static struct pr_span value_of(struct pr_span line, const char *name) {
    size_t n = strlen(name);
    bool is_it = line.n > n && strncasecmp(line.p, name, n) == 0;
    return is_it ? pr_span_skip(line, n) : (struct pr_span){NULL, 0};
}

/* When the platform wants to be asked again, by whichever header says the latest. */
static int64_t wait_of(struct pr_span line) {
    struct pr_span value = value_of(line, "retry-after:");
    if (value.p) {
        return pr_retry_after_parse(value, pr_clock_real_us());
    }
    value = value_of(line, "x-business-use-case-usage:");
    if (!value.p) {
        value = value_of(line, "x-app-usage:");
    }
    return value.p ? pr_usage_parse(value) : 0;
}

static size_t take_header(char *p, size_t size, size_t n, void *arg) {
    struct pr_request *request = arg;
    size_t line_n = size * n;
    while (line_n > 0 && (p[line_n - 1] == '\r' || p[line_n - 1] == '\n')) {
        line_n--;
    }
    struct pr_span line = pr_span_make(p, line_n);
    if (line_n == 0) {
        request->is_head_whole = true;
    } else if (pr_span_starts(line, PR_SPAN("HTTP/"))) {
        request->is_head_whole = false; /* after a 1xx comes another header */
    }
    int64_t wait_us = wait_of(line);
    request->retry_after_us = wait_us > request->retry_after_us ? wait_us : request->retry_after_us;
    return size * n;
}

/* ---- handles ---- */

static bool set_up(struct pr_request *request, const struct pr_http_options *opt) {
    CURL *c = request->curl;
    CURLcode r = CURLE_OK;
    r |= curl_easy_setopt(c, CURLOPT_PRIVATE, request);
    r |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    r |= curl_easy_setopt(c, CURLOPT_POST, 1L);
    r |= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    r |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    r |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    r |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)opt->timeout_ms);
    r |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)opt->connect_timeout_ms);
    r |= curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    r |= curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, 60L);
    r |= curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, before_send);
    r |= curl_easy_setopt(c, CURLOPT_PREREQDATA, request);
    r |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    r |= curl_easy_setopt(c, CURLOPT_WRITEDATA, request);
    r |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    r |= curl_easy_setopt(c, CURLOPT_HEADERDATA, request);
    return r == CURLE_OK;
}

static struct pr_request *request_get(struct pr_http *http) {
    struct pr_request *request = TAILQ_FIRST(&http->idle);
    if (request) {
        TAILQ_REMOVE(&http->idle, request, link);
        return request;
    }
    request = calloc(1, sizeof(*request));
    if (!request) {
        return NULL;
    }
    pr_buf_init(&request->answer, PR_HTTP_ANSWER_MAX);
    request->curl = curl_easy_init();
    if (!request->curl || !set_up(request, &http->opt)) {
        curl_easy_cleanup(request->curl);
        free(request);
        return NULL;
    }
    return request;
}

static void request_put(struct pr_http *http, struct pr_request *request) {
    pr_buf_reset(&request->answer);
    request->job = NULL;
    request->multi = NULL;
    TAILQ_INSERT_HEAD(&http->idle, request, link);
}

/* ---- what became of a request ---- */

static enum pr_transport transport_of(const struct pr_request *request, CURLcode code) {
    if (request->is_repeated) {
        return PR_TRANSPORT_REPEATED;
    }
    if (request->is_refused) {
        return PR_TRANSPORT_NOT_LET;
    }
    if (request->is_oversized) {
        return PR_TRANSPORT_OVERSIZED;
    }
    if (request->let_through == 0 && code != CURLE_OK) {
        return PR_TRANSPORT_NOT_SENT;
    }
    return code == CURLE_OK && request->is_head_whole ? PR_TRANSPORT_ANSWERED : PR_TRANSPORT_CUT;
}

static void finish(struct pr_http *http, struct pr_request *request, CURLcode code) {
    long status = 0;
    (void)curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
    struct pr_answer answer = {.transport = transport_of(request, code), .retry_after_us = request->retry_after_us};
    if (answer.transport == PR_TRANSPORT_ANSWERED) {
        answer.http_status = (int)status;
        answer.body = pr_buf_span(&request->answer);
    }
    void *job = request->job;
    curl_multi_remove_handle(request->multi->curl, request->curl);
    request->multi->active--;
    http->in_flight--;
    TAILQ_REMOVE(&http->busy, request, link);
    http->opt.done(http->opt.arg, job, &answer);
    request_put(http, request);
}

static void reap(struct pr_multi *multi) {
    int left = 0;
    CURLMsg *msg = NULL;
    while ((msg = curl_multi_info_read(multi->curl, &left)) != NULL) {
        if (msg->msg == CURLMSG_DONE) {
            struct pr_request *request = NULL;
            CURLcode code = msg->data.result;
            (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &request);
            finish(multi->http, request, code);
        }
    }
}

/* ---- sockets and timers ---- */

static void socket_ready(evutil_socket_t fd, short what, void *arg) {
    struct pr_multi *multi = arg;
    int running = 0;
    int bits = ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(multi->curl, fd, bits, &running);
    PR_FAULT_IF(bits & CURL_CSELECT_OUT, "wire.written");
    reap(multi);
}

static void timer_due(evutil_socket_t fd, short what, void *arg) {
    struct pr_multi *multi = arg;
    int running = 0;
    (void)fd, (void)what;
    (void)curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    PR_FAULT("wire.written");
    reap(multi);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket) {
    struct pr_multi *multi = arg;
    struct event *ev = per_socket;
    (void)easy;
    if (ev) {
        event_del(ev);
    }
    if (what == CURL_POLL_REMOVE) {
        if (ev) {
            event_free(ev);
        }
        return 0;
    }
    short kind = (short)(EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0));
    if (ev) {
        (void)event_assign(ev, multi->http->base, fd, kind, socket_ready, multi);
    } else {
        ev = event_new(multi->http->base, fd, kind, socket_ready, multi);
        curl_multi_assign(multi->curl, fd, ev);
    }
    return ev && event_add(ev, NULL) == 0 ? 0 : -1;
}

static int watch_timer(CURLM *curl, long ms, void *arg) {
    struct pr_multi *multi = arg;
    (void)curl;
    if (ms < 0) {
        return event_del(multi->timer);
    }
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    return event_add(multi->timer, &tv);
}

/* ---- multis ---- */

static struct pr_multi *multi_with_room(struct pr_http *http) {
    for (uint32_t i = 0; i < http->multis; i++) {
        if (http->multi[i].active < PR_HTTP_MULTI_MAX) {
            return &http->multi[i];
        }
    }
    if (http->multis == PR_HTTP_MULTIS_MAX) {
        return NULL;
    }
    struct pr_multi *multi = &http->multi[http->multis];
    *multi = (struct pr_multi){.http = http, .curl = curl_multi_init()};
    multi->timer = evtimer_new(http->base, timer_due, multi);
    if (!multi->curl || !multi->timer) {
        curl_multi_cleanup(multi->curl);
        return NULL;
    }
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, watch_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, (long)PR_HTTP_MULTI_MAX);
    http->multis++;
    return multi;
}

struct pr_http *pr_http_new(struct event_base *base, const struct pr_http_options *options) {
    struct pr_http *http = calloc(1, sizeof(*http));
    if (!http) {
        return NULL;
    }
    http->base = base;
    http->opt = *options;
    TAILQ_INIT(&http->idle);
    TAILQ_INIT(&http->busy);
    return http;
}

void pr_http_free(struct pr_http *http) {
    if (!http) {
        return;
    }
    pr_assert(http->in_flight == 0);
    struct pr_request *request = NULL;
    while ((request = TAILQ_FIRST(&http->idle)) != NULL) {
        TAILQ_REMOVE(&http->idle, request, link);
        curl_easy_cleanup(request->curl);
        pr_buf_free(&request->answer);
        free(request);
    }
    for (uint32_t i = 0; i < http->multis; i++) {
        curl_multi_cleanup(http->multi[i].curl);
        event_free(http->multi[i].timer);
    }
    free(http);
}

uint32_t pr_http_in_flight(const struct pr_http *http) {
    return http->in_flight;
}

bool pr_http_has_room(const struct pr_http *http) {
    return http->in_flight < http->opt.in_flight_max;
}

bool pr_http_start(struct pr_http *http, const char *url, struct curl_slist *headers, struct pr_span body, void *job) {
    struct pr_multi *multi = multi_with_room(http);
    struct pr_request *request = multi ? request_get(http) : NULL;
    if (!request) {
        return false;
    }
    request->multi = multi;
    request->job = job;
    request->retry_after_us = 0;
    request->let_through = 0;
    request->is_refused = request->is_repeated = request->is_oversized = request->is_head_whole = false;
    CURLcode r = curl_easy_setopt(request->curl, CURLOPT_URL, url);
    r |= curl_easy_setopt(request->curl, CURLOPT_HTTPHEADER, headers);
    r |= curl_easy_setopt(request->curl, CURLOPT_POSTFIELDS, body.p);
    r |= curl_easy_setopt(request->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    if (r != CURLE_OK || curl_multi_add_handle(multi->curl, request->curl) != CURLM_OK) {
        request_put(http, request);
        return false;
    }
    multi->active++;
    http->in_flight++;
    TAILQ_INSERT_TAIL(&http->busy, request, link);
    return true;
}

void pr_http_abort(struct pr_http *http) {
    struct pr_request *request = NULL;
    while ((request = TAILQ_FIRST(&http->busy)) != NULL) {
        finish(http, request, CURLE_ABORTED_BY_CALLBACK);
    }
}
