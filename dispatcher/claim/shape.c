/* Between gate and claim: a job waits here until its sender and its person have room, or is deferred when that would take too long. */
#include "claim/private.h"

#include <math.h>

/* A sender that its own limits hold back, and one person whose messages wait, may each keep a quarter of a window waiting. */
enum { PR_SENDER_WAIT_MAX_US = 30 * 1000000, PR_WAITING_PART = 4 };
static const int64_t short_ns = 1000 * 1000 * 1000;
static const int64_t no_room_us = 1000 * 1000; /* until one that nothing else holds is looked at again */

/* What our share, once it has followed the messages, lets this lane send in a second: for estimates of a wait. */
static double rate_of(const struct pr_lane *lane, const struct pr_lane_sender *entry) {
    return pr_shapes_expected(&lane->process->shapes, entry->id, lane->now_ns) /
           (double)lane->process->opt->dispatch.lanes;
}

/* Jobs of a sender that may be claimed and not yet handed over: what our share lets go within a second, spread over the lanes. */
static uint32_t allowance(const struct pr_lane *lane, const struct pr_lane_sender *entry) {
    double lanes = (double)lane->process->opt->dispatch.lanes;
    double n = ceil(pr_shapes_per_s(&lane->process->shapes, entry->id, lane->now_ns) / lanes);
    return n < 1 ? 1 : n > 1e6 ? 1000000 : (uint32_t)n;
}

/* For reasons of its own, or of those it waits for. */
static bool is_too_early(const struct pr_lane *lane, const struct pr_job *job) {
    return job->hold_us != PR_TIME_NONE || (job->not_before_us != PR_TIME_NONE && job->not_before_us > lane->now_us);
}

static void to_claim(struct pr_lane *lane, struct pr_job *job) {
    pr_job_move(&lane->jobs, job, PR_JOB_CLAIMING);
    pr_claim_line_up(lane, job);
}

/* Its claim must not let it go, whatever the database's clock says by then: claimed beside the room for it, a crash would leave it unknown too. */
static void to_claim_without_room(struct pr_lane *lane, struct pr_job *job) {
    bool is_early = is_too_early(lane, job);
    if (is_early) {
        pr_lane_put_off(lane, job);
    }
    if (job->hold_us == PR_TIME_NONE) {
        job->hold_us = is_early ? job->not_before_us : lane->now_us + no_room_us;
        job->hold_reason = is_early ? "not_before" : "sender_busy";
    }
    to_claim(lane, job);
}

/* Claims that cost no room: refused, too early, expired, fences, control. */
static bool needs_no_room(const struct pr_lane *lane, const struct pr_job *job) {
    return job->kind != PR_JOB_MESSAGE || job->refusal || is_too_early(lane, job) ||
           (job->expiry_us != PR_TIME_NONE && job->expiry_us <= lane->now_us);
}

static uint32_t waiting_max(const struct pr_lane *lane) {
    return (uint32_t)lane->process->opt->dispatch.window / PR_WAITING_PART;
}

/*
 * More waits than its part, for a sender that its own limits hold back: others stand in the same windows behind it. A sender that goes as fast
 * as the lane can is not stopped so, however much of it waits.
 */
static bool is_full(const struct pr_lane *lane, const struct pr_lane_sender *entry, struct pr_line_ahead ahead) {
    bool is_short = entry->short_ns != 0 && lane->now_ns - entry->short_ns < short_ns;
    return is_short && (ahead.n >= waiting_max(lane) || ahead.cost >= pr_lane_memory(lane) / PR_WAITING_PART);
}

/*
 * What the sender's line could not take within 30 s, or has no place for, is deferred until the line has moved on, each a little later than the one
 * before. Only what stands ahead counts: marketing never makes a transactional message wait. What came back once waits in the lane while there is
 * a place for it.
 */
static bool is_too_long(struct pr_lane *lane, struct pr_lane_sender *entry, struct pr_job *job) {
    enum pr_class class = pr_class_of(job->category);
    struct pr_line_ahead ahead = pr_line_ahead(&entry->line[PR_LINE_GATED], class);
    double per_s = rate_of(lane, entry);
    double wait_us = (double)ahead.n / per_s * 1e6;
    bool is_long = wait_us > PR_SENDER_WAIT_MAX_US;
    if (!(is_long && job->gen == 0) && !is_full(lane, entry, ahead)) {
        return false;
    }
    int64_t from_us = lane->now_us + (is_long ? PR_SENDER_WAIT_MAX_US : (int64_t)wait_us);
    int64_t *held_us = &entry->held_us[class];
    *held_us = (*held_us > from_us ? *held_us : from_us) + (int64_t)(1e6 / per_s);
    job->hold_us = *held_us;
    job->hold_reason = "sender_busy";
    return true;
}

/* Nothing waits for its person when that would keep a lane waiting that is full already. */
static bool is_too_soon(struct pr_lane *lane, struct pr_job *job) {
    int64_t until_us = 0;
    bool may_wait = lane->jobs.n[PR_JOB_GATED] <= waiting_max(lane);
    switch (pr_pairs_ask(&lane->pairs, pr_pairs_key(job), may_wait, lane->now_us, &until_us)) {
    case PR_PAIR_GO: return false;
    case PR_PAIR_WAIT:
        if (pr_heap_push(&lane->timers, &job->timer, lane->now_ns + (until_us - lane->now_us) * 1000)) {
            return true; /* asks again then; its gate stays closed, so those behind it keep their order */
        }
        break;
    case PR_PAIR_DEFER: break;
    }
    job->hold_us = until_us;
    job->hold_reason = "pair_rate";
    to_claim_without_room(lane, job);
    return true;
}

static void place(struct pr_lane *lane, struct pr_job *job) {
    job->lane_sender = NULL;
    if (job->is_dropped || lane->is_draining) {
        pr_lane_settle(lane, job, job->claim_no != 0 ? PR_WRITE_UNCLAIM : 0, PR_NEXT_DROP);
        return;
    }
    if (job->book != lane->book) { /* it waited at the gate while the book was replaced */
        TAILQ_INSERT_TAIL(&lane->to_prepare, job, queue);
        job->is_queued = true;
        return;
    }
    if (needs_no_room(lane, job)) {
        to_claim_without_room(lane, job);
        return;
    }
    struct pr_lane_sender *entry = pr_sender_of(&lane->senders, job);
    if (!entry || is_too_long(lane, entry, job)) {
        to_claim_without_room(lane, job);
    } else if (!is_too_soon(lane, job)) {
        pr_sender_push(entry, PR_LINE_GATED, job);
    }
}

static void admit(struct pr_lane *lane, struct pr_lane_sender *entry) {
    struct pr_job *job = pr_line_next(&entry->line[PR_LINE_GATED]);
    pr_sender_take(entry, PR_LINE_GATED, job);
    pr_sender_claims(job);
    to_claim(lane, job);
}

/* It pauses for so long that a claimed message would be taken back, and for so short that it is not worth deferring: claimed now, it would be
 * claimed and taken back all the while. */
static bool is_pausing(const struct pr_lane *lane, struct pr_lane_sender *entry) {
    bool is_pausing = !pr_process_sender_is_up(lane->process, entry->id, lane->now_ns, PR_PATIENCE_CLAIMED_NS) &&
                      pr_process_sender_is_up(lane->process, entry->id, lane->now_ns, PR_PATIENCE_GATED_NS);
    entry->short_ns = is_pausing ? lane->now_ns : entry->short_ns;
    return is_pausing;
}

/* One each turn, as long as there is room for anybody. */
static void admit_by_turns(struct pr_lane *lane) {
    const struct pr_options *opt = lane->process->opt;
    struct pr_round *round = &lane->senders.round[PR_LINE_GATED];
    struct pr_round_seats aside = TAILQ_HEAD_INITIALIZER(aside);
    struct pr_round_seat *seat = NULL;
    while (lane->senders.held[PR_ROOM_AHEAD] < (uint64_t)opt->dispatch.claim_ahead &&
           (seat = pr_round_next(round)) != NULL) {
        struct pr_lane_sender *entry = PR_CONTAINER_OF(seat, struct pr_lane_sender, seat[PR_LINE_GATED]);
        if (!is_pausing(lane, entry) && entry->held[PR_ROOM_AHEAD] < allowance(lane, entry) &&
            pr_sender_has_room(entry, PR_ROOM_AHEAD, opt->dispatch.claim_ahead, opt->dispatch.sender_in_flight)) {
            admit(lane, entry);
        } else {
            pr_round_sit_out(round, &aside, seat);
        }
    }
    pr_round_return(round, &aside);
}

void pr_claim_shape(struct pr_lane *lane) {
    struct pr_job *job = NULL;
    while ((job = TAILQ_FIRST(&lane->passed)) != NULL) {
        TAILQ_REMOVE(&lane->passed, job, queue);
        job->is_queued = false;
        place(lane, job);
    }
    admit_by_turns(lane);
}
