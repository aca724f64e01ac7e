/* In front of the gate: prepared jobs by their kind, and jobs that must leave with their partition. */
#include "intake/intake.h"

#include "base/fault.h"
#include "base/memory.h"
#include "gate/gate.h"

void pr_intake_admit(struct pr_lane *lane, struct pr_job *job) {
    switch (job->kind) {
    case PR_JOB_DEAD:
        lane->dead_n++;
        pr_stat_add(&lane->stat, lane->now_us, 0, 0, -1, "dead", job->aside_reason);
        pr_lane_settle(lane, job, PR_WRITE_DEAD, PR_NEXT_SETTLED);
        return;
    case PR_JOB_ASIDE:
        pr_stat_add(&lane->stat, lane->now_us, job->tenant ? job->tenant->id : 0, 0, -1, job->aside_kind,
                    job->aside_reason);
        pr_lane_settle(lane, job, PR_WRITE_ASIDE, PR_NEXT_SETTLED);
        return;
    case PR_JOB_MESSAGE:
    case PR_JOB_FENCES:
    case PR_JOB_CONTROL: break;
    }
    pr_job_move(&lane->jobs, job, PR_JOB_GATED);
    switch (pr_gate_enter(lane->gate, job)) {
    case PR_GATE_PASSED:
        TAILQ_INSERT_TAIL(&lane->passed, job, queue);
        job->is_queued = true;
        PR_FAULT("gate.passed");
        break;
    case PR_GATE_WAITS: break;
    case PR_GATE_NO_MEMORY:
        pr_out_of_memory("gate"); /* dropped, its offset would hold the partition back until the next assignment */
    }
}

/* ---- leaving ---- */

static bool is_meant(const struct pr_job *job, const struct pr_part *part, int32_t number) {
    return number < 0 || (part && job->part == part) || (!job->part && job->origin.part == number);
}

static void drop_gated(struct pr_lane *lane, struct pr_job *job) {
    pr_heap_remove(&lane->timers, &job->timer);
    if (job->gate_wait) {
        pr_gate_leave(lane->gate, job, &lane->passed);
    } else if (job->is_queued && job->lane_sender) {
        pr_sender_leave_gated(job);
    } else if (job->is_queued) {
        return; /* on `passed` or `to_prepare`: dropped where it is taken from there */
    }
    pr_lane_settle(lane, job, job->claim_no != 0 ? PR_WRITE_UNCLAIM : 0, PR_NEXT_DROP);
}

static void drop_list(struct pr_lane *lane, enum pr_job_state state, const struct pr_part *part, int32_t number) {
    struct pr_job *next = NULL;
    for (struct pr_job *job = TAILQ_FIRST(&lane->jobs.list[state]); job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (!is_meant(job, part, number)) {
            continue;
        }
        job->is_dropped = true;
        if (state == PR_JOB_GATED) {
            drop_gated(lane, job);
        } else if (state == PR_JOB_READY || state == PR_JOB_WAITING) {
            pr_lane_take_back(lane, job, PR_NEXT_DROP);
        }
    }
}

/* SENDING ends by its answer; CLAIMING by its verdict; SETTLING is written and then let go without the partition. */
void pr_intake_drop(struct pr_lane *lane, const struct pr_part *part, int32_t number) {
    static const enum pr_job_state states[] = {PR_JOB_GATED,   PR_JOB_CLAIMING, PR_JOB_READY,
                                               PR_JOB_WAITING, PR_JOB_SENDING,  PR_JOB_SETTLING};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        drop_list(lane, states[i], part, number);
    }
}
