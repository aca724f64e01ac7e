/* The lane under the stall watchdog's eye: its lag, the job that keeps the others waiting, and the line for the log. */
#include "intake/intake.h"

#include "base/log.h"
#include "metrics.h"

/* The first of a state that does not only wait for its person's earlier message; what that one waits for explains both. */
static const struct pr_job *first_of(const struct pr_lane *lane, enum pr_job_state state) {
    enum { LOOK_MAX = 1000 };
    const struct pr_job *job = TAILQ_FIRST(&lane->jobs.list[state]);
    for (int n = 0; job && job->gate_wait && n < LOOK_MAX; n++) {
        job = TAILQ_NEXT(job, link);
    }
    return job ? job : TAILQ_FIRST(&lane->jobs.list[state]);
}

/* What stands furthest down the road keeps those behind it waiting: the first that has not moved for half of the quiet time, else the oldest. */
static const struct pr_job *culprit(const struct pr_lane *lane) {
    static const enum pr_job_state down[] = {PR_JOB_SETTLING, PR_JOB_SENDING, PR_JOB_READY,  PR_JOB_CLAIMING,
                                             PR_JOB_WAITING,  PR_JOB_GATED,   PR_JOB_FETCHED};
    const struct pr_job *oldest = NULL;
    for (size_t i = 0; i < sizeof(down) / sizeof(down[0]); i++) {
        const struct pr_job *job = first_of(lane, down[i]);
        if (job && lane->now_ns - job->moved_ns >= (lane->now_ns - lane->stall.since_ns) / 2) {
            return job;
        }
        oldest = job && (!oldest || job->moved_ns < oldest->moved_ns) ? job : oldest;
    }
    return oldest;
}

/* Of what the lane's partitions wait for, in all, and the one that has most. */
struct waiting {
    int64_t lag, ahead, held;
    const struct pr_part *worst;
};

static int64_t load(const _Atomic int64_t *n) {
    return atomic_load_explicit(n, memory_order_relaxed);
}

static struct waiting waiting_of(const struct pr_lane *lane) {
    struct waiting w = {.worst = NULL};
    const struct pr_part *part = NULL;
    TAILQ_FOREACH (part, &lane->parts, link) {
        if (!part->is_revoked) {
            w.lag += load(&part->flow->lag);
            w.ahead += load(&part->flow->ahead);
            w.held += load(&part->flow->held);
            w.worst = !w.worst || load(&part->flow->lag) > load(&w.worst->flow->lag) ? part : w.worst;
        }
    }
    return w;
}

static struct pr_stall_view view_of(const struct pr_lane *lane, const struct pr_job *job, const struct waiting *w) {
    struct pr_stall_view view = {
        .has_lease = !lane->is_fenced,
        .has_book = lane->book != NULL,
        .can_claim = pr_pg_is_ready(lane->claim_link.pg),
        .can_settle = pr_pg_is_ready(lane->settle_link.pg),
        .is_stopped_by_dead = lane->is_stopped_by_dead,
        .has_job = job != NULL,
        .is_wire_full = lane->senders.held[PR_ROOM_WIRE] >= (size_t)lane->process->opt->dispatch.in_flight,
        .has_records = w->ahead > 0 || w->held > 0};
    if (job) {
        view.state = job->state;
        view.is_held = job->asked > 0;
        view.waits_for_person = job->gate_wait != NULL;
        view.has_sender = job->lane_sender != NULL;
        view.is_sender_up = !job->sender || pr_process_sender_is_up(lane->process, job->sender->id, lane->now_ns, 0);
    }
    return view;
}

static void tell(const struct pr_lane *lane, const struct pr_job *job, const struct waiting *w) {
    struct pr_stall_view view = view_of(lane, job, w);
    enum pr_stall_cause cause = pr_stall_cause(&view);
    const struct pr_part *part = job && job->part ? job->part : w->worst;
    char id[PR_UUID_TEXT] = "-";
    if (job) {
        pr_uuid_format(&job->identity.id, id);
    }
    pr_log_error(
        "stalled",
        "lane=%d topic=%s partition=%d lag=%lld quiet_s=%lld cause=%s message=%s state=%s state_s=%lld sender=%.*s "
        "sending=%zu settling=%zu fetched_ahead=%lld memory=%s text=%s",
        lane->index, lane->process->topics[part->topic].name, part->part, (long long)w->lag,
        (long long)((lane->now_ns - lane->stall.since_ns) / 1000000000), pr_stall_name(cause), id,
        job ? pr_job_state_name(job->state) : "-", job ? (long long)((lane->now_ns - job->moved_ns) / 1000000000) : 0LL,
        job && job->sender ? (int)job->sender->name.n : 1, job && job->sender ? job->sender->name.p : "-",
        lane->jobs.n[PR_JOB_SENDING], lane->jobs.n[PR_JOB_SETTLING], (long long)w->ahead,
        pr_lane_has_memory(lane, pr_part_use(lane, part)) ? "free" : "full", pr_stall_text(cause));
}

/* A sender whose rate lets less than one message go in that time waits on purpose: twice the time that its next one needs. */
static int64_t patience_ns(const struct pr_lane *lane, const struct pr_job *job) {
    const struct pr_options *opt = lane->process->opt;
    int64_t after_ns = opt->dispatch.stall_after_ms * 1000000;
    if (!job || !job->sender || (job->state != PR_JOB_READY && job->state != PR_JOB_GATED)) {
        return after_ns;
    }
    double per_s =
        pr_shapes_expected(&lane->process->shapes, job->sender->id, lane->now_ns) / (double)opt->dispatch.lanes;
    double next_ns = per_s > 0 ? 2e9 / per_s : 0;
    return next_ns > (double)after_ns ? (int64_t)next_ns : after_ns;
}

void pr_intake_look_for_stall(struct pr_lane *lane) {
    struct waiting w = waiting_of(lane);
    bool has_lag = w.lag > 0 && !lane->is_draining;
    const struct pr_job *job = has_lag ? culprit(lane) : NULL;
    switch (pr_stall_look(&lane->stall, has_lag, lane->jobs.settled, patience_ns(lane, job), lane->now_ns)) {
    case PR_STALL_TELL: tell(lane, job, &w); break;
    case PR_STALL_OVER: pr_log_info("stall_over", "lane=%d", lane->index); break;
    case PR_STALL_NONE: break;
    }
    pr_metric_set(lane->metric, PR_METRIC_STALLED, 0, lane->stall.told_ns != 0);
}
