/* The guard that curl asks right before it sends, and what answers become by the table of outcomes. */
#include "send/private.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "core/retry.h"
#include "core/verdict.h"
#include "journal.h"
#include "metrics.h"
#include "send/health.h"
#include "send/http.h"
#include "send/secret.h"

#include <bsd/stdlib.h>
#include <stdlib.h>

static const int64_t second_ns = 1000000000;
static const int64_t minute_ns = INT64_C(60) * 1000000000;

/* ---- the guard ---- */

/*
 * Reads the clocks anew: between the turn and this moment the process may have been frozen. The journal has the id before that, so that nothing slow
 * stands between the look at the lease and the bytes.
 */
static bool may_send(void *arg, void *job_arg) {
    struct pr_lane *lane = arg;
    struct pr_job *job = job_arg;
    struct pr_journal *journal = lane->process->journal;
    job->journal_place = pr_journal_mark(journal, (uint32_t)lane->index, &job->identity.id);
    bool is_allowed = pr_process_has_lease(lane->process) && job->epoch == atomic_load(&lane->process->epoch) &&
                      pr_clock_mono_ns() < job->expires_ns &&
                      pr_shapes_has_share(&lane->process->shapes, job->sender->id) &&
                      !atomic_load_explicit(&lane->process->is_stopping, memory_order_relaxed);
    if (!is_allowed) {
        pr_journal_clear(journal, (uint32_t)lane->index, &job->journal_place);
    }
    return is_allowed;
}

/* ---- answers ---- */

static void count(struct pr_lane *lane, const struct pr_job *job, const char *fate, const char *reason) {
    pr_stat_add(&lane->stat, lane->now_us, job->tenant->id, job->sender->id, (int16_t)job->category, fate, reason);
}

static void park(struct pr_lane *lane, struct pr_job *job, int16_t state, int64_t wait_us) {
    bool is_unknown = state == PR_STATE_UNKNOWN;
    count(lane, job, is_unknown ? "unknown" : "deferred", job->outcome.reason);
    pr_job_park(job, state, is_unknown ? "unknown" : job->outcome.reason, PR_TIME_NONE, wait_us / 1000);
    pr_lane_settle(lane, job, PR_WRITE_PARK | PR_WRITE_OUTCOME, PR_NEXT_SETTLED);
}

static void reject(struct pr_lane *lane, struct pr_job *job, const char *reason) {
    job->outcome.kind = PR_OUTCOME_REJECT;
    job->outcome.reason = reason;
    job->gives_back = job->resends == 0;
    count(lane, job, "refused", reason);
    pr_lane_settle(lane, job, PR_WRITE_OUTCOME, PR_NEXT_SETTLED);
}

/* Senders of one token share the platform's app and account, and with them the limits on these. */
static bool is_of_account(const struct pr_sender *a, const struct pr_sender *b) {
    return a->provider == b->provider && pr_span_eq(a->secret, b->secret);
}

/*
 * What was refused for its sender's sake would be refused to the next one too, and what was for its account's to the account's other senders. One
 * answer without a provider's code is no more than a hiccup. No hint stops a sender for longer than a message would wait for it.
 */
static void pause(struct pr_lane *lane, const struct pr_job *job) {
    int64_t least_us = job->outcome.code == 0 ? second_ns / 10000 : second_ns / 1000;
    int64_t most_us = pr_backoff_default.cap_us;
    int64_t wait_us = job->outcome.wait_us > least_us ? job->outcome.wait_us : least_us;
    int64_t wait_ns = (wait_us < most_us ? wait_us : most_us) * 1000;
    for (uint32_t i = 0; i < job->tenant->senders_n; i++) {
        const struct pr_sender *sender = &job->tenant->senders[i];
        bool is_meant = sender->id == job->sender->id ||
                        (job->outcome.scope == PR_SCOPE_ACCOUNT && is_of_account(sender, job->sender));
        if (is_meant) {
            pr_shapes_pause(&lane->process->shapes, sender->id, lane->now_ns, wait_ns);
        }
    }
}

/* Charges the message with what was its own fault. False when its category allows no more of that. */
static bool may_try_again(const struct pr_lane *lane, struct pr_job *job) {
    job->tries += job->outcome.charges_try;
    return !job->outcome.charges_try || job->tries < lane->process->opt->retry.max_tries[job->category];
}

/* Deferred for a reason of our own beside the one that the outcome records. */
static void put_off(struct pr_lane *lane, struct pr_job *job, const char *reason, int64_t wait_us) {
    count(lane, job, "deferred", reason);
    pr_job_park(job, PR_STATE_DEFERRED, reason, PR_TIME_NONE, wait_us / 1000);
    pr_lane_settle(lane, job, PR_WRITE_PARK | PR_WRITE_OUTCOME, PR_NEXT_SETTLED);
}

/* A retry that its sender's or template's breaker would not let go waits outside, without its place on the wire. */
static bool stay_away(struct pr_lane *lane, struct pr_job *job, int64_t wait_us) {
    int64_t hold_us = 0;
    const char *reason = pr_health_hold(lane, job, &hold_us);
    if (reason) {
        put_off(lane, job, reason, hold_us > wait_us ? hold_us : wait_us);
    }
    return reason != NULL;
}

/* The platform counted more messages to this person than we did: our bucket is as empty as its own. */
static int64_t wait_for_pair(struct pr_lane *lane, const struct pr_job *job, uint32_t tries) {
    uint64_t key = pr_pairs_key(job);
    pr_pairs_empty(&lane->pairs, key, lane->now_us);
    int64_t bucket_us = pr_pairs_wait(&lane->pairs, key, lane->now_us),
            backoff_us = pr_backoff_pair(tries, job->outcome.wait_us);
    return backoff_us > bucket_us ? backoff_us : bucket_us;
}

/* A short retry waits in the lane; its outcome is durable before the next request, so that a crash leaves one attempt unrecorded at most. */
static void retry(struct pr_lane *lane, struct pr_job *job) {
    const struct pr_backoff *backoff = &pr_backoff_default;
    uint64_t random = ((uint64_t)arc4random() << 32) | arc4random();
    uint32_t tries = job->lane_tries++; /* the wait grows with every retry, whoever's fault it was */
    if (!may_try_again(lane, job)) {
        reject(lane, job, job->outcome.reason);
        return;
    }
    int64_t wait_us = job->outcome.scope == PR_SCOPE_PAIR
                          ? wait_for_pair(lane, job, tries)
                          : pr_backoff_wait(backoff, tries, job->outcome.wait_us, random);
    if (job->outcome.scope == PR_SCOPE_SENDER || job->outcome.scope == PR_SCOPE_ACCOUNT) {
        pause(lane, job);
    }
    if (stay_away(lane, job, wait_us)) {
        return;
    }
    size_t waiting_max =
        (size_t)lane->process->opt->dispatch.in_flight / 4; /* they keep their place on the wire: others need it too */
    if (job->lane_wait_us + wait_us > backoff->lane_us || lane->jobs.retrying >= waiting_max) {
        park(lane, job, PR_STATE_DEFERRED, wait_us);
        return;
    }
    job->lane_wait_us += wait_us;
    job->parking.wait_ms = wait_us / 1000;
    pr_lane_settle(lane, job, PR_WRITE_OUTCOME, PR_NEXT_WAIT);
    pr_job_retries(&lane->jobs, job);
}

/* It waits with the others of its stopped sender, and is woken with them; what the platform said stands in the outcome. */
static void wait_for_sender(struct pr_lane *lane, struct pr_job *job) {
    int64_t minute_us = minute_ns / 1000;
    int64_t wait_us = job->outcome.wait_us > minute_us ? job->outcome.wait_us : minute_us;
    put_off(lane, job, "sender_stopped", wait_us);
}

/* Refused by our own guard before a byte left: no attempt at all. Written back when the lease or a stop was why, refused when it expired. */
static void not_let(struct pr_lane *lane, struct pr_job *job) {
    job->attempt--;
    pr_health_unpass(lane, job);
    if (pr_clock_mono_ns() >= job->expires_ns) {
        job->gives_back = job->resends == 0;
        job->aside_reason = "expired";
        count(lane, job, "refused", "expired");
        pr_lane_settle(lane, job, PR_WRITE_REFUSE, PR_NEXT_SETTLED);
    } else {
        pr_lane_settle(lane, job, PR_WRITE_UNCLAIM, job->is_dropped ? PR_NEXT_DROP : PR_NEXT_GATE);
    }
}

static void act(struct pr_lane *lane, struct pr_job *job) {
    switch (job->outcome.kind) {
    case PR_OUTCOME_ACCEPTED:
        count(lane, job, "sent", job->outcome.is_held ? "held" : "");
        pr_lane_settle(lane, job, PR_WRITE_OUTCOME, PR_NEXT_SETTLED);
        break;
    case PR_OUTCOME_RETRY: retry(lane, job); break;
    case PR_OUTCOME_DEFER:
        if (!may_try_again(lane, job)) {
            reject(lane, job, job->outcome.reason);
            break;
        }
        if (job->outcome.scope == PR_SCOPE_SENDER || job->outcome.scope == PR_SCOPE_ACCOUNT) {
            pause(lane, job);
        }
        park(lane, job, PR_STATE_DEFERRED, job->outcome.wait_us);
        break;
    case PR_OUTCOME_REJECT: reject(lane, job, job->outcome.reason); break;
    case PR_OUTCOME_STOP_TEMPLATE:
        if (job->outcome.wait_us > 0) {
            park(lane, job, PR_STATE_DEFERRED, job->outcome.wait_us);
        } else {
            reject(lane, job, job->outcome.reason);
        }
        break;
    case PR_OUTCOME_STOP_SENDER: wait_for_sender(lane, job); break;
    case PR_OUTCOME_UNKNOWN:
        park(lane, job, PR_STATE_UNKNOWN, lane->process->opt->dispatch.reconcile_window_ms * INT64_C(1000));
        break;
    }
}

/* One line an attempt; those that were simply accepted only with log.level = debug. */
static void log_attempt(const struct pr_lane *lane, const struct pr_job *job) {
    enum pr_log_level level = job->outcome.kind == PR_OUTCOME_ACCEPTED ? PR_LOG_DEBUG : PR_LOG_INFO;
    if (!pr_log_enabled(level)) {
        return;
    }
    char id[PR_UUID_TEXT], to[PR_ADDRESS_MAX + 1];
    pr_uuid_format(&job->identity.id, id);
    pr_process_address(lane->process, pr_span_make(job->to.text, job->to.n), to);
    pr_log(level, "attempt",
           "message=%s to=%s sender=%.*s attempt=%d outcome=%s reason=%s code=%d http=%d latency_ms=%d", id, to,
           PR_SPAN_ARG(job->sender->name), job->attempt, pr_outcome_kind_name(job->outcome.kind), job->outcome.reason,
           job->outcome.code, job->http_status, job->latency_ms);
}

void pr_send_answered(void *arg, void *job_arg, const struct pr_answer *answer) {
    struct pr_lane *lane = arg;
    struct pr_job *job = job_arg;
    atomic_fetch_sub(&lane->process->on_wire, 1);
    int64_t took_us = (pr_clock_mono_ns() - job->started_ns) / 1000;
    job->latency_ms = (int32_t)(took_us / 1000);
    job->http_status = (int16_t)answer->http_status;
    if (answer->transport == PR_TRANSPORT_NOT_LET) {
        not_let(lane, job);
        return;
    }
    PR_FAULT("wire.answered");
    pr_outcome_classify(answer, &job->outcome);
    log_attempt(lane, job);
    pr_metric_observe(lane->metric, PR_METRIC_LATENCY, 0, took_us);
    pr_metric_add(lane->metric, PR_METRIC_OUTCOMES, (uint32_t)job->outcome.kind, 1);
    pr_health_answer(lane, job);
    act(lane, job);
}

/* ---- the room ---- */

bool pr_send_open(struct pr_lane *lane) {
    const struct pr_options *opt = lane->process->opt;
    lane->secrets = calloc(1, sizeof(*lane->secrets));
    if (!lane->secrets) {
        return false;
    }
    struct pr_http_options http = {
        .timeout_ms = opt->provider.timeout_ms,
        .connect_timeout_ms = opt->provider.connect_timeout_ms,
        .in_flight_max = (uint32_t)opt->dispatch.in_flight,
        .may_send = may_send,
        .done = pr_send_answered,
        .arg = lane,
    };
    pr_secrets_init(lane->secrets, opt->dispatch.secrets_dir);
    lane->http = pr_http_new(lane->base, &http);
    return lane->http != NULL;
}

void pr_send_turn(struct pr_lane *lane) {
    pr_send_wake(lane);
    if (!lane->is_fenced && !lane->is_draining) {
        pr_send_serve(lane);
    }
    if (lane->is_draining && lane->now_ns >= lane->drain_end_ns - second_ns && pr_http_in_flight(lane->http) > 0) {
        pr_http_abort(lane->http); /* a second is left to write down that their fate is unknown */
    }
}

void pr_send_close(struct pr_lane *lane) {
    if (lane->http) {
        pr_http_abort(lane->http);
    }
    pr_http_free(lane->http);
    pr_secrets_free(lane->secrets);
    free(lane->secrets);
}
