/* What a committed verdict makes of a job: ready to send, settled, held, parked, or back to the gate. */
#include "claim/private.h"

#include "base/check.h"
#include "base/fault.h"
#include "base/log.h"
#include "core/render.h"
#include "core/verdict.h"
#include "metrics.h"

enum {
    COL_ORD,
    COL_VERDICT,
    COL_REASON,
    COL_UNTIL,
    COL_CONTACT,
    COL_LOCALE,
    COL_ATTEMPT,
    COL_TRIES,
    COL_RESENDS,
    COL_EXPIRES,
    COL_TOPIC,
    COL_PART,
    COL_OFF
};
enum { PR_ASK_FIRST_MS = 250, PR_ASK_MAX_MS = 2000 };

static void count(struct pr_lane *lane, const struct pr_job *job, const char *fate, const char *reason) {
    pr_stat_add(&lane->stat, lane->now_us, job->tenant ? job->tenant->id : 0, job->sender ? job->sender->id : 0,
                (int16_t)job->category, fate, reason);
}

static const char *text_in(struct pr_job *job, const PGresult *rows, int row, int col) {
    if (pr_pg_is_null(rows, row, col)) {
        return "";
    }
    struct pr_span text = pr_arena_copy(&job->arena, pr_pg_bytes(rows, row, col));
    return text.p ? text.p : "";
}

static void read_facts(struct pr_lane *lane, struct pr_job *job, const PGresult *rows, int row) {
    job->contact = pr_pg_int8(rows, row, COL_CONTACT);
    job->attempt = pr_pg_int4(rows, row, COL_ATTEMPT);
    job->tries = pr_pg_int4(rows, row, COL_TRIES);
    job->locale = pr_pg_is_null(rows, row, COL_LOCALE) ? (struct pr_span){NULL, 0}
                                                       : pr_arena_copy(&job->arena, pr_pg_bytes(rows, row, COL_LOCALE));
    int64_t left_ms = pr_pg_is_null(rows, row, COL_EXPIRES) ? INT64_MAX : pr_pg_int8(rows, row, COL_EXPIRES);
    bool is_endless = left_ms > (INT64_MAX - lane->now_ns) / 1000000;
    job->expires_ns = is_endless ? INT64_MAX : lane->now_ns + left_ms * 1000000;
    job->resends = pr_pg_int2(rows, row, COL_RESENDS);
    job->has_row = true;
}

/* A change that came while the claim was under way may have missed it. */
static bool is_touched(const struct pr_lane *lane, int64_t contact, int64_t sent_ns) {
    if (lane->touch_lost_ns >= sent_ns) {
        return true;
    }
    for (size_t i = 0; i < PR_TOUCHES; i++) {
        if (lane->touches[i].contact == contact && lane->touches[i].at_ns >= sent_ns) {
            return true;
        }
    }
    return false;
}

static bool render(const struct pr_lane *lane, struct pr_job *job) {
    struct pr_span locale = job->record.locale.n > 0 ? job->record.locale
                            : job->locale.n > 0      ? job->locale
                                                     : job->tenant->locale;
    job->choice = pr_tenant_template(job->tenant, job->rule->on[job->rank].template_name, locale);
    if (!job->choice.tpl) {
        job->aside_reason = job->choice.refusal;
        return false;
    }
    struct pr_filled filled;
    struct pr_render_fault fault;
    enum pr_render_status status =
        pr_render_fill(job->choice.tpl, job->rule, &job->record, locale, &job->arena, &filled, &fault);
    if (status != PR_RENDER_OK) {
        job->aside_reason = pr_render_status_name(status);
        char to[PR_ADDRESS_MAX + 1];
        pr_process_address(lane->process, pr_span_make(job->to.text, job->to.n), to);
        pr_log_info("refused", "message_type=%.*s to=%s reason=%s param=%s text=%s", PR_SPAN_ARG(job->record.type), to,
                    job->aside_reason, fault.param, fault.text);
        return false;
    }
    char text[PR_CALLBACK_TEXT];
    struct pr_callback callback = {.tenant = job->tenant->id,
                                   .day = job->identity.day,
                                   .id = job->identity.id,
                                   .attempt = (uint32_t)job->attempt + 1,
                                   .partition = (uint16_t)job->origin.part};
    int n = pr_callback_format(&callback, text);
    pr_buf_reset(&job->body);
    pr_render_body(job->choice.tpl, &filled, &job->to, pr_span_make(text, (size_t)n), &job->body);
    job->aside_reason = "too_long";
    return !job->body.failed;
}

static void ready(struct pr_lane *lane, struct pr_job *job, int64_t sent_ns) {
    if (job->is_dropped || job->is_regated || !job->is_ahead || is_touched(lane, job->contact, sent_ns)) {
        pr_lane_settle(lane, job, PR_WRITE_UNCLAIM, job->is_dropped ? PR_NEXT_DROP : PR_NEXT_GATE);
    } else if (!render(lane, job)) {
        job->gives_back = job->resends == 0;
        count(lane, job, "refused", job->aside_reason);
        pr_lane_settle(lane, job, PR_WRITE_REFUSE, PR_NEXT_SETTLED);
    } else {
        pr_job_move(&lane->jobs, job, PR_JOB_READY);
        pr_sender_push(job->lane_sender, PR_LINE_READY, job);
        PR_FAULT("message.rendered");
    }
}

/* A redelivery of the record that made the row is not counted; another record is. */
static void duplicate(struct pr_lane *lane, struct pr_job *job, const PGresult *rows, int row) {
    bool is_redelivery =
        job->gen > 0 ||
        (!pr_pg_is_null(rows, row, COL_OFF) && pr_pg_int2(rows, row, COL_TOPIC) == job->origin.topic &&
         pr_pg_int4(rows, row, COL_PART) == job->origin.part && pr_pg_int8(rows, row, COL_OFF) == job->origin.off);
    if (!is_redelivery) {
        count(lane, job, "duplicate", "");
        job->aside_kind = "duplicate";
        job->aside_reason = "same_message";
    }
    pr_lane_settle(lane, job, is_redelivery ? 0 : PR_WRITE_ASIDE, PR_NEXT_SETTLED);
}

static bool is_up(void *arg, const struct pr_sender *sender) {
    struct pr_lane *lane = arg;
    return pr_process_sender_is_up(lane->process, sender->id, lane->now_ns, 0);
}

/* A full pool: the rule's other senders are tried first, each with its own pool. */
static bool try_other_sender(struct pr_lane *lane, struct pr_job *job) {
    for (uint32_t i = 0; i < job->tenant->senders_n && i < 32; i++) {
        if (job->tenant->senders[i].pool == job->sender->pool) {
            job->senders_tried |= 1U << i;
        }
    }
    struct pr_span to = pr_span_make(job->to.text, job->to.n);
    const struct pr_sender *other = pr_tenant_sender(job->tenant, job->rule, to, job->senders_tried, is_up, lane);
    if (!other || other - job->tenant->senders >= 32) { /* a place behind the mask could be tried for ever */
        return false;
    }
    job->sender = other;
    job->has_row = true; /* the claim wrote it as deferred: from here on it is never set aside */
    pr_job_move(&lane->jobs, job, PR_JOB_GATED);
    TAILQ_INSERT_TAIL(&lane->passed, job, queue);
    job->is_queued = true;
    return true;
}

static void defer(struct pr_lane *lane, struct pr_job *job, const PGresult *rows, int row) {
    const char *reason = text_in(job, rows, row, COL_REASON);
    bool is_quota = pr_span_is(pr_span_of(reason), "quota");
    if (is_quota && !job->is_dropped && try_other_sender(lane, job)) {
        return;
    }
    count(lane, job, "deferred", reason);
    pr_lane_put_off(lane, job);
    if (job->gen > 0) {
        pr_lane_settle(lane, job, 0, PR_NEXT_SETTLED); /* its row in `deferred` was kept by the claim */
        return;
    }
    int64_t due_us = pr_pg_is_null(rows, row, COL_UNTIL) ? PR_TIME_NONE : pr_pg_time_us(rows, row, COL_UNTIL);
    pr_job_park(job, PR_STATE_DEFERRED, reason, due_us, 0);
    pr_lane_settle(lane, job, PR_WRITE_PARK, PR_NEXT_SETTLED);
}

static void hold(struct pr_lane *lane, struct pr_job *job) {
    int64_t wait_ms = job->asked < 3 ? (int64_t)PR_ASK_FIRST_MS << job->asked : PR_ASK_MAX_MS;
    job->asked++;
    pr_job_move(&lane->jobs, job, PR_JOB_GATED);
    if (job->is_dropped || !pr_heap_push(&lane->timers, &job->timer, lane->now_ns + wait_ms * 1000000)) {
        TAILQ_INSERT_TAIL(&lane->passed, job, queue);
        job->is_queued = true;
    }
}

static void orphan(struct pr_lane *lane, struct pr_job *job) {
    count(lane, job, "unknown", "orphan");
    pr_log_warn("orphan", "message_type=%.*s topic=%d partition=%d offset=%lld", PR_SPAN_ARG(job->record.type),
                job->origin.topic, job->origin.part, (long long)job->origin.off);
    pr_job_park(job, PR_STATE_UNKNOWN, "unknown", PR_TIME_NONE, lane->process->opt->dispatch.reconcile_window_ms);
    job->parking.is_orphan = true;
    pr_lane_settle(lane, job, PR_WRITE_PARK, PR_NEXT_SETTLED);
}

static void decided(struct pr_lane *lane, struct pr_job *job, const char *fate, const char *reason) {
    count(lane, job, fate, reason);
    pr_lane_settle(lane, job, 0, PR_NEXT_SETTLED);
}

static void act(struct pr_lane *lane, struct pr_job *job, enum pr_verdict verdict, const PGresult *rows, int row,
                int64_t sent_ns) {
    switch (verdict) {
    case PR_VERDICT_SEND: ready(lane, job, sent_ns); break;
    case PR_VERDICT_DUPLICATE: duplicate(lane, job, rows, row); break;
    case PR_VERDICT_REFUSED: decided(lane, job, "refused", text_in(job, rows, row, COL_REASON)); break;
    case PR_VERDICT_CANCELLED: decided(lane, job, "cancelled", ""); break;
    case PR_VERDICT_SUPERSEDED: decided(lane, job, "superseded", ""); break;
    case PR_VERDICT_DEFER: defer(lane, job, rows, row); break;
    case PR_VERDICT_HELD: hold(lane, job); break;
    case PR_VERDICT_ORPHAN: orphan(lane, job); break;
    case PR_VERDICT_WAITING: pr_lane_settle(lane, job, 0, PR_NEXT_SETTLED); break;
    case PR_VERDICT_NO_ROW:
        job->aside_reason = "no ledger row";
        pr_lane_settle(lane, job, PR_WRITE_DEAD, PR_NEXT_SETTLED);
        break;
    case PR_VERDICT_EVALUATE:
    case PR_VERDICT_STORED: pr_assert(!"the claim answers with a final verdict");
    }
}

void pr_batch_answer(struct pr_batch *batch, const PGresult *rows) {
    struct pr_lane *lane = batch->lane;
    for (int row = 0; row < PQntuples(rows); row++) {
        int32_t ord = pr_pg_int4(rows, row, COL_ORD);
        pr_assert(ord >= 1 && (size_t)ord <= batch->n);
        struct pr_job *job = batch->job[ord - 1];
        enum pr_verdict verdict = (enum pr_verdict)pr_pg_int2(rows, row, COL_VERDICT);
        if (verdict != PR_VERDICT_SEND) {
            pr_sender_leave(job);
        }
        read_facts(lane, job, rows, row);
        act(lane, job, verdict, rows, row, batch->sent_ns);
    }
    pr_metric_add(lane->metric, PR_METRIC_CLAIMED, 0, (int64_t)batch->n);
}
