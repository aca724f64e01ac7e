/* Ready jobs to curl: by turns of tenants and senders, one token of the sender and one of the pair each, within the sender's places on the wire. */
#include "send/private.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "metrics.h"
#include "send/health.h"
#include "send/secret.h"

enum { PR_URL_MAX = 1024, PR_QUANTUM = 8 };
static const int64_t token_look_ns = 100 * 1000 * 1000;

/* ---- one job ---- */

static void url_of(const struct pr_lane *lane, const struct pr_sender *sender, struct pr_buf *url) {
    const struct pr_options *opt = lane->process->opt;
    switch (sender->provider) {
    case PR_PROVIDER_CLOUD_API:
        pr_buf_printf(url, "%s/%.*s/messages", opt->provider.cloud_api_url, PR_SPAN_ARG(sender->account));
        break;
    case PR_PROVIDER_360DIALOG: pr_buf_printf(url, "%s/messages", opt->provider.d360_url); break;
    }
}

static void observe_start(struct pr_lane *lane, const struct pr_job *job) {
    pr_metric_add(lane->metric, PR_METRIC_REQUESTS, 0, 1);
    if (job->attempt == 1 && job->gen == 0 && job->origin.kafka_us != PR_TIME_NONE) {
        pr_metric_observe(lane->metric, PR_METRIC_EVENT_TO_POST, 0, pr_clock_real_us() - job->origin.kafka_us);
    }
}

/* A re-tried job's callback data must name its new attempt: the number stands in the body, so that is written again. */
static bool renumber(struct pr_job *job) {
    char old[PR_CALLBACK_TEXT], new[PR_CALLBACK_TEXT];
    struct pr_callback callback = {.tenant = job->tenant->id,
                                   .day = job->identity.day,
                                   .id = job->identity.id,
                                   .attempt = (uint32_t)job->attempt,
                                   .partition = (uint16_t)job->origin.part};
    int old_n = pr_callback_format(&callback, old);
    callback.attempt++;
    int new_n = pr_callback_format(&callback, new);
    char *at = old_n == new_n ? memmem(job->body.p, job->body.n, old, (size_t)old_n) : NULL;
    if (at) {
        memcpy(at, new, (size_t)new_n);
    }
    return at != NULL;
}

static void hand_over(struct pr_lane *lane, struct pr_lane_sender *entry, struct pr_job *job,
                      struct curl_slist *headers) {
    struct pr_buf url;
    pr_buf_init(&url, PR_URL_MAX);
    url_of(lane, job->sender, &url);
    pr_sender_take(entry, PR_LINE_READY, job);
    pr_job_move(&lane->jobs, job, PR_JOB_SENDING);
    job->started_ns = pr_clock_mono_ns();
    job->attempt++;
    pr_sender_on_wire(job);
    atomic_fetch_add(&lane->process->on_wire, 1);
    observe_start(lane, job);
    if (url.failed || !pr_http_start(lane->http, pr_buf_text(&url), headers, pr_buf_span(&job->body), job)) {
        struct pr_answer none = {.transport = PR_TRANSPORT_NOT_SENT};
        pr_send_answered(lane, job, &none);
    }
    PR_FAULT("curl.handed");
    pr_buf_free(&url);
}

/* ---- a sender ---- */

/* What was claimed for a sender that stopped goes back and is decided again: another sender may take it. */
static void take_back_all(struct pr_lane *lane, struct pr_lane_sender *entry) {
    struct pr_job *job = NULL;
    while ((job = pr_line_next(&entry->line[PR_LINE_READY])) != NULL) {
        pr_lane_take_back(lane, job, PR_NEXT_GATE);
    }
}

static void look_at_token(struct pr_lane *lane, struct pr_lane_sender *entry) {
    uint64_t version = pr_secrets_version(lane->secrets, entry->sender, lane->now_ns) + 1; /* 0: never looked */
    bool is_change = entry->secret_version != 0 && version != entry->secret_version;
    entry->secret_version = version;
    if (is_change) {
        pr_health_new_token(lane, entry);
    }
}

/*
 * A place on the wire is free again when the fate of who had it is durable, not when it was answered: otherwise a slow database would let more
 * become unknown in a crash than dispatch.in_flight says. A retry has its place.
 */
static bool has_place(const struct pr_lane *lane, const struct pr_lane_sender *entry, const struct pr_job *job) {
    const struct pr_options *opt = lane->process->opt;
    return pr_http_has_room(lane->http) &&
           (job->is_on_wire ||
            pr_sender_has_room(entry, PR_ROOM_WIRE, opt->dispatch.in_flight, opt->dispatch.sender_in_flight));
}

/* Not claimed under a lease that was lost since; no breaker opened since; and one more to this person allowed, which only a clock that went
 * back or a full table of pairs can have changed since the claim. */
static bool may_go(struct pr_lane *lane, const struct pr_job *job) {
    return job->epoch == atomic_load(&lane->process->epoch) && pr_health_is_up(lane, job) &&
           pr_pairs_wait(&lane->pairs, pr_pairs_key(job), lane->now_us) == 0;
}

enum step { STEP_WENT, STEP_TAKEN_BACK, STEP_BLOCKED };

/*
 * The next one for which there is a place. Where none is left a retry goes that has its own: it stands behind first tries, and they wait for
 * nothing but the places that retries hold.
 */
static struct pr_job *next_with_place(const struct pr_lane *lane, struct pr_lane_sender *entry) {
    struct pr_job *job = pr_line_next(&entry->line[PR_LINE_READY]);
    if (!job || has_place(lane, entry, job)) {
        return job;
    }
    bool is_own = lane->senders.held[PR_ROOM_WIRE] < (uint64_t)lane->process->opt->dispatch.in_flight;
    entry->short_ns = is_own ? lane->now_ns : entry->short_ns;
    job = pr_line_next_with_place(&entry->line[PR_LINE_READY]);
    return job && has_place(lane, entry, job) ? job : NULL;
}

/* As if the other lanes had as much. */
static uint32_t waiting(const struct pr_lane *lane, const struct pr_lane_sender *entry) {
    return (entry->line[PR_LINE_READY].all + entry->line[PR_LINE_GATED].all) *
           (uint32_t)lane->process->opt->dispatch.lanes;
}

static enum step serve_one(struct pr_lane *lane, struct pr_lane_sender *entry, struct pr_job *job,
                           struct curl_slist *headers) {
    int64_t wait_ns = 0;
    if (!may_go(lane, job)) {
        pr_lane_take_back(lane, job, PR_NEXT_GATE);
        return STEP_TAKEN_BACK;
    }
    if (!pr_shapes_take(&lane->process->shapes, entry->id, waiting(lane, entry), lane->now_ns, &wait_ns)) {
        entry->short_ns = lane->now_ns;
        pr_lane_wake_at(lane, lane->now_ns + wait_ns);
        return STEP_BLOCKED;
    }
    if (!pr_health_pass(lane, job)) { /* another lane's message is the probe */
        pr_lane_take_back(lane, job, PR_NEXT_GATE);
        return STEP_TAKEN_BACK;
    }
    pr_pairs_take(&lane->pairs, pr_pairs_key(job), lane->now_us);
    hand_over(lane, entry, job, headers);
    return STEP_WENT;
}

/* A turn: a few jobs. False when nothing more can go for now. */
static bool serve(struct pr_lane *lane, struct pr_lane_sender *entry) {
    const char *why = "";
    struct curl_slist *headers = pr_secrets_headers(lane->secrets, entry->sender, lane->now_ns, &why);
    if (!headers) {
        pr_health_no_token(lane, entry, why);
    }
    if (!headers || !pr_process_sender_is_up(lane->process, entry->id, lane->now_ns, PR_PATIENCE_CLAIMED_NS)) {
        entry->short_ns = lane->now_ns;
        take_back_all(lane, entry);
        return true;
    }
    for (int i = 0; i < PR_QUANTUM && entry->line[PR_LINE_READY].all > 0; i++) {
        struct pr_job *job = next_with_place(lane, entry);
        if (!job || serve_one(lane, entry, job, headers) == STEP_BLOCKED) {
            return false;
        }
    }
    return true;
}

/* ---- all of them ---- */

static void look_at_tokens(struct pr_lane *lane) {
    if (lane->now_ns < lane->token_ns) {
        return;
    }
    lane->token_ns = lane->now_ns + token_look_ns;
    for (size_t i = 0; i < lane->senders.n; i++) {
        look_at_token(lane, lane->senders.sender[i]);
    }
}

void pr_send_serve(struct pr_lane *lane) {
    struct pr_round *round = &lane->senders.round[PR_LINE_READY];
    struct pr_round_seats aside = TAILQ_HEAD_INITIALIZER(aside);
    struct pr_round_seat *seat = NULL;
    look_at_tokens(lane);
    while ((seat = pr_round_next(round)) != NULL) {
        struct pr_lane_sender *entry = PR_CONTAINER_OF(seat, struct pr_lane_sender, seat[PR_LINE_READY]);
        if (!serve(lane, entry)) {
            pr_round_sit_out(round, &aside, seat);
        }
    }
    pr_round_return(round, &aside);
}

/* A retry whose person has no token yet waits on. */
static bool waits_on(struct pr_lane *lane, struct pr_job *job) {
    int64_t wait_us = pr_pairs_wait(&lane->pairs, pr_pairs_key(job), lane->now_us);
    return wait_us > 0 && pr_heap_push(&lane->timers, &job->timer, lane->now_ns + wait_us * 1000);
}

void pr_send_wake(struct pr_lane *lane) {
    struct pr_heap_node *node = NULL;
    while ((node = pr_heap_first(&lane->timers)) != NULL && node->key <= lane->now_ns) {
        struct pr_job *job = PR_CONTAINER_OF(pr_heap_pop(&lane->timers), struct pr_job, timer);
        if (job->state == PR_JOB_SETTLING) {
            TAILQ_INSERT_TAIL(&lane->to_settle, job, queue); /* could not be written a moment ago */
            job->is_queued = true;
            continue;
        }
        bool is_ours = job->epoch == atomic_load(&lane->process->epoch);
        if (job->state == PR_JOB_WAITING && is_ours && waits_on(lane, job)) {
            continue;
        }
        if (job->state == PR_JOB_WAITING && is_ours && renumber(job)) {
            pr_job_move(&lane->jobs, job, PR_JOB_READY);
            pr_sender_push(job->lane_sender, PR_LINE_READY, job);
        } else if (job->state == PR_JOB_WAITING) {
            pr_lane_take_back(
                lane, job,
                PR_NEXT_GATE); /* claimed under another epoch, or a body without its number: claim and render again */
        } else {
            TAILQ_INSERT_TAIL(&lane->passed, job, queue); /* held: asks again with its gate closed */
            job->is_queued = true;
        }
    }
    if (node) {
        pr_lane_wake_at(lane, node->key);
    }
}
