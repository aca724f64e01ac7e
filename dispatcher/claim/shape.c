/* Between gate and claim: a job waits here until its sender has room, or is deferred when that would take too long. */
#include "claim/private.h"

#include "base/log.h"

#include <math.h>

enum { PR_SENDER_WAIT_MAX_US = 30 * 1000000, PR_MARKETING_FLOOR = 10 };

/* Jobs of a sender that may be claimed and not yet handed over: what our share lets go within a second, spread over the lanes. */
static uint32_t allowance(const struct pr_lane *lane, const struct pr_lane_sender *entry) {
    double per_s = pr_shapes_per_s(&lane->process->shapes, entry->id, lane->now_ns);
    double lanes = (double)lane->process->opt->dispatch.lanes;
    double n = ceil(per_s / lanes);
    return n < 1 ? 1 : n > 1e6 ? 1000000 : (uint32_t)n;
}

static void to_claim(struct pr_lane *lane, struct pr_job *job) {
    pr_job_move(&lane->jobs, job, PR_JOB_CLAIMING);
    TAILQ_INSERT_TAIL(&lane->to_claim, job, queue);
    job->is_queued = true;
}

/* Claims that cost no room: refused, too early, expired, fences, control. */
static bool needs_no_room(const struct pr_lane *lane, const struct pr_job *job) {
    return job->kind != PR_JOB_MESSAGE || job->refusal || job->hold_us != PR_TIME_NONE ||
           (job->not_before_us != PR_TIME_NONE && job->not_before_us > lane->now_us) ||
           (job->expiry_us != PR_TIME_NONE && job->expiry_us <= lane->now_us);
}

/*
 * What the sender's queue could not take within 30 s is deferred, each a little later than the one before. Only what stands ahead counts: marketing
 * never makes a transactional message wait. What came back once is not put off again: it waits in the lane.
 */
static bool is_too_long(struct pr_lane *lane, struct pr_lane_sender *entry, struct pr_job *job) {
    enum pr_class class = pr_class_of(job->category);
    double per_s = pr_shapes_expected(&lane->process->shapes, entry->id, lane->now_ns) /
                   (double)lane->process->opt->dispatch.lanes;
    uint32_t ahead =
        entry->gated_n[PR_CLASS_TRANSACTIONAL] + (class == PR_CLASS_MARKETING ? entry->gated_n[PR_CLASS_MARKETING] : 0);
    double wait_us = (double)ahead / per_s * 1e6;
    if (job->gen > 0 || wait_us <= PR_SENDER_WAIT_MAX_US) {
        return false;
    }
    int64_t from_us = lane->now_us + PR_SENDER_WAIT_MAX_US;
    int64_t *held_us = &entry->held_us[class];
    *held_us = (*held_us > from_us ? *held_us : from_us) + (int64_t)(1e6 / per_s);
    job->hold_us = *held_us;
    job->hold_reason = "sender_busy";
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
        to_claim(lane, job);
        return;
    }
    struct pr_lane_sender *entry = pr_lane_sender_of(lane, job->sender);
    if (!entry || is_too_long(lane, entry, job)) {
        to_claim(lane, job);
        return;
    }
    job->lane_sender = entry;
    enum pr_class class = pr_class_of(job->category);
    TAILQ_INSERT_TAIL(&entry->gated[class], job, queue);
    job->is_queued = true;
    entry->gated_n[class]++;
}

/* Transactional first, but every tenth is marketing's when both wait: a floor, so that it never starves. */
static enum pr_class next_class(struct pr_lane_sender *entry) {
    bool is_floor = entry->served++ % PR_MARKETING_FLOOR == 0;
    if (entry->gated_n[PR_CLASS_TRANSACTIONAL] == 0) {
        return PR_CLASS_MARKETING;
    }
    return is_floor && entry->gated_n[PR_CLASS_MARKETING] > 0 ? PR_CLASS_MARKETING : PR_CLASS_TRANSACTIONAL;
}

static void admit(struct pr_lane *lane, struct pr_lane_sender *entry, size_t *room) {
    uint32_t limit = allowance(lane, entry);
    while (*room > 0 && entry->gated_n[PR_CLASS_TRANSACTIONAL] + entry->gated_n[PR_CLASS_MARKETING] > 0 &&
           entry->claiming_n + entry->ready_n < limit) {
        enum pr_class class = next_class(entry);
        struct pr_job *job = TAILQ_FIRST(&entry->gated[class]);
        TAILQ_REMOVE(&entry->gated[class], job, queue);
        job->is_queued = false;
        entry->gated_n[class]--;
        entry->claiming_n++;
        to_claim(lane, job);
        (*room)--;
    }
}

void pr_claim_shape(struct pr_lane *lane) {
    struct pr_job *job = NULL;
    while ((job = TAILQ_FIRST(&lane->passed)) != NULL) {
        TAILQ_REMOVE(&lane->passed, job, queue);
        job->is_queued = false;
        place(lane, job);
    }
    size_t ahead = 0;
    for (size_t i = 0; i < lane->senders_n; i++) {
        ahead += lane->senders[i]->claiming_n + lane->senders[i]->ready_n;
    }
    size_t most = (size_t)lane->process->opt->dispatch.claim_ahead;
    size_t room = ahead < most ? most - ahead : 0;
    for (size_t i = 0; i < lane->senders_n; i++) {
        admit(lane, lane->senders[i], &room);
    }
}
