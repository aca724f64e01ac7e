/* HTTP: requests of one lane on libcurl multis driven by its event loop; says what became of each, and never sends one twice. */
#ifndef PR_SEND_HTTP_H
#define PR_SEND_HTTP_H

#include "core/outcome.h"
#include "base/attr.h"
#include "base/span.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* Connections a multi handles well on libcurl 7.88.1: 22-29 us a request at 500, 67 at 2,000 (measured; docs/architecture.md). */
enum { PR_HTTP_MULTI_MAX = 512, PR_HTTP_ANSWER_MAX = 64 * 1024 };

/* Asked by curl right before it sends: false refuses the request while nothing has been let through. */
typedef bool pr_http_may_send(void *arg, void *job);

/* The end of a request; called from inside the event loop's callbacks. `answer` is borrowed. */
typedef void pr_http_done(void *arg, void *job, const struct pr_answer *answer);

struct pr_http_options {
    int64_t timeout_ms, connect_timeout_ms;
    uint32_t in_flight_max;
    pr_http_may_send *may_send;
    pr_http_done *done;
    void *arg;
};

struct pr_http;

/* NULL without memory. `base` is borrowed, `options` copied. One thread. */
struct pr_http *pr_http_new(struct event_base *base, const struct pr_http_options *options) PR_MUST_CHECK;

/* After pr_http_abort or when nothing is in flight. NULL is accepted. */
void pr_http_free(struct pr_http *http);

uint32_t pr_http_in_flight(const struct pr_http *http);
bool pr_http_has_room(const struct pr_http *http);

/*
 * Starts a POST of `body` (borrowed until done) to `url` (copied) with `headers` (borrowed until done). False without memory: `done` is not called.
 */
bool pr_http_start(struct pr_http *http, const char *url, struct curl_slist *headers, struct pr_span body,
                   void *job) PR_MUST_CHECK;

/* Ends all requests in flight: each gets its `done` as cut. */
void pr_http_abort(struct pr_http *http);

#endif
