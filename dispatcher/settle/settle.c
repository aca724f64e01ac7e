/* Jobs whose fate is known: written in batches on the lane's second connection, then let go. */
#include "settle/settle.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "claim/claim.h"
#include "gate/gate.h"
#include "journal.h"
#include "metrics.h"
#include "settle/write.h"

#include <stdlib.h>

enum { PR_SETTLE_PARAMS_BYTES = 256 * 1024 * 1024, PR_SETTLE_OPEN_MAX = 4, PR_STUCK_WAIT_NS = 1000 * 1000 * 1000 };

static struct pr_log_limit failures = PR_LOG_LIMIT(5);

struct pr_settler {
    struct pr_params params;
    uint32_t open;
    int64_t singles_until_ns; /* after a statement that failed for good: one job each, to find which */
};

/* Jobs of one statement. */
struct pr_settling {
    struct pr_lane *lane;
    const struct pr_write *write;
    size_t n;
    struct pr_job *job[];
};

bool pr_settle_open(struct pr_lane *lane) {
    lane->settler = calloc(1, sizeof(*lane->settler));
    if (!lane->settler) {
        return false;
    }
    pr_params_init(&lane->settler->params, PR_SETTLE_PARAMS_BYTES);
    return true;
}

void pr_settle_close(struct pr_lane *lane) {
    if (lane->settler) {
        pr_params_free(&lane->settler->params);
        free(lane->settler);
        lane->settler = NULL;
    }
}

/* ---- what comes after ---- */

static void leave_part(struct pr_lane *lane, struct pr_job *job, bool is_settled) {
    if (!job->part) {
        lane->returned_n--;
        return;
    }
    if (is_settled) {
        (void)pr_tracker_settle(&job->part->tracker, job->slot);
        PR_FAULT("offset.marked");
    }
    job->part->open--;
}

/* Sent or perhaps sent, and not accepted as far as we know: the slot it took may stand for nobody whom the platform counts. */
static bool leaves_doubt(const struct pr_job *job) {
    return job->parking.reason && job->contact > 0 && (job->parking.is_orphan || job->attempt > 0);
}

static void let_go(struct pr_lane *lane, struct pr_job *job, bool is_settled) {
    pr_sender_leave(job);
    leave_part(lane, job, is_settled);
    if (job->sender && (job->gives_back || leaves_doubt(job))) { /* its rule's last sender may be gone by now */
        pr_claim_give_back(lane, job);
    }
    if (job->is_entered) {
        pr_gate_leave(lane->gate, job, &lane->passed);
    }
    lane->cost -= job->cost;
    pr_metric_add(lane->metric, PR_METRIC_SETTLED, 0, 1);
    pr_job_move(&lane->jobs, job, PR_JOB_SETTLED);
    pr_job_free(&lane->jobs, job);
}

static void to_the_gate(struct pr_lane *lane, struct pr_job *job) {
    pr_sender_leave(job);
    job->claim_no = 0;
    job->has_row = true;
    job->is_regated = false;
    pr_job_move(&lane->jobs, job, PR_JOB_GATED);
    TAILQ_INSERT_TAIL(&lane->to_prepare, job, queue);
    job->is_queued = true;
}

static void wait_in_lane(struct pr_lane *lane, struct pr_job *job) {
    pr_job_move(&lane->jobs, job, PR_JOB_WAITING);
    int64_t at_ns = lane->now_ns + job->parking.wait_ms * 1000000;
    if (job->is_regated || !pr_heap_push(&lane->timers, &job->timer, at_ns)) {
        pr_lane_take_back(lane, job, PR_NEXT_GATE);
    }
}

/* Nothing is left to write: how its last request ended is durable, whatever comes next. */
static void done(struct pr_lane *lane, struct pr_job *job) {
    pr_journal_clear(lane->process->journal, (uint32_t)lane->index, &job->journal_place);
    if (job->is_dropped && job->next != PR_NEXT_SETTLED) {
        bool is_claimed = job->next == PR_NEXT_WAIT;
        job->next = PR_NEXT_DROP;
        if (is_claimed) {
            job->writes = PR_WRITE_UNCLAIM;
            TAILQ_INSERT_TAIL(&lane->to_settle, job, queue);
            job->is_queued = true;
            return;
        }
    }
    switch (job->next) {
    case PR_NEXT_SETTLED: let_go(lane, job, true); break;
    case PR_NEXT_WAIT: wait_in_lane(lane, job); break;
    case PR_NEXT_GATE: to_the_gate(lane, job); break;
    case PR_NEXT_DROP: let_go(lane, job, false); break;
    }
}

/* ---- statements ---- */

static void back_in_line(struct pr_settling *work) {
    for (size_t i = work->n; i > 0; i--) {
        struct pr_job *job = work->job[i - 1];
        TAILQ_INSERT_HEAD(&work->lane->to_settle, job, queue);
        job->is_queued = true;
    }
}

/* The database will never take this: a control event becomes a dead letter; a fate must be written, so it is tried again and said loudly. */
static void refused(struct pr_settling *work, const struct pr_pg_result *result) {
    struct pr_lane *lane = work->lane;
    struct pr_job *job = work->job[0];
    bool is_data = pr_pg_blames_data(result->sqlstate);
    if (work->n > 1) {
        lane->settler->singles_until_ns = lane->now_ns + PR_STUCK_WAIT_NS;
    } else if (is_data && (work->write->bit == PR_WRITE_CONTROL || work->write->bit == PR_WRITE_ASIDE)) {
        struct pr_span reason = pr_arena_copy(&job->arena, pr_span_of(result->sqlstate));
        job->aside_reason = reason.p ? reason.p : "sqlstate";
        job->writes = PR_WRITE_DEAD;
    } else {
        pr_log_error("cannot_record", "statement=%s sqlstate=%s text=%s", work->write->name, result->sqlstate,
                     result->message);
        if (pr_heap_push(&lane->timers, &job->timer, lane->now_ns + PR_STUCK_WAIT_NS)) {
            return; /* alone and later, so that it holds up nobody else */
        }
    }
    back_in_line(work);
}

static void settle_done(void *arg, const struct pr_pg_result *result) {
    struct pr_settling *work = arg;
    struct pr_lane *lane = work->lane;
    lane->settler->open--;
    switch (result->class) {
    case PR_PG_OK:
        PR_FAULT_IF(work->write->bit == PR_WRITE_OUTCOME, "outcome.committed");
        PR_FAULT_IF(work->write->bit == PR_WRITE_PARK, "park.committed");
        if (work->write->bit == PR_WRITE_PARK) {
            pr_metric_add(lane->metric, PR_METRIC_DEFERRED, 0, (int64_t)work->n);
        }
        for (size_t i = 0; i < work->n; i++) {
            struct pr_job *job = work->job[i];
            job->writes &= ~(unsigned)work->write->bit;
            if (job->writes == 0) {
                done(lane, job);
            } else {
                TAILQ_INSERT_HEAD(&lane->to_settle, job, queue);
                job->is_queued = true;
            }
        }
        break;
    case PR_PG_BAD: refused(work, result); break;
    case PR_PG_REPEAT:
    case PR_PG_RECONNECT:
    case PR_PG_FENCED:
        pr_log_limited(&failures, PR_LOG_WARN, "settle_failed", "statement=%s sqlstate=%s text=%s", work->write->name,
                       result->sqlstate, result->message);
        back_in_line(work);
        break;
    }
    free(work);
}

static bool is_together(const struct pr_write *write, const struct pr_job *a, const struct pr_job *b) {
    return pr_write_of(b->writes) == write &&
           (!write->is_by_day || (a->tenant == b->tenant && a->identity.day == b->identity.day && a->epoch == b->epoch));
}

static void collect(struct pr_lane *lane, struct pr_settling *work, size_t room) {
    struct pr_job *first = TAILQ_FIRST(&lane->to_settle);
    struct pr_job *next = NULL;
    for (struct pr_job *job = first; job && work->n < room; job = next) {
        next = TAILQ_NEXT(job, queue);
        if (is_together(work->write, first, job)) {
            TAILQ_REMOVE(&lane->to_settle, job, queue);
            job->is_queued = false;
            work->job[work->n++] = job;
        }
    }
}

static bool write_next(struct pr_lane *lane) {
    struct pr_settler *settler = lane->settler;
    const struct pr_write *write = pr_write_of(TAILQ_FIRST(&lane->to_settle)->writes);
    bool is_single = write->is_single || lane->now_ns < settler->singles_until_ns;
    size_t room = is_single ? 1 : (size_t)lane->process->opt->dispatch.batch;
    struct pr_settling *work = calloc(1, sizeof(*work) + room * sizeof(struct pr_job *));
    if (!work) {
        return false;
    }
    work->lane = lane;
    work->write = write;
    collect(lane, work, room);
    pr_params_reset(&settler->params);
    write->params(lane, work->job, work->n, &settler->params);
    settler->open++;
    if (!pr_link_send(&lane->settle_link, write->name, write->sql, &settler->params, settle_done, work)) {
        struct pr_pg_result none = {.class = PR_PG_RECONNECT,
                                    .message = "no room on the connection, or the batch is too large"};
        settler->singles_until_ns = lane->now_ns + PR_STUCK_WAIT_NS;
        settle_done(work, &none);
        return false;
    }
    PR_FAULT_IF(write->bit == PR_WRITE_OUTCOME, "outcome.sent");
    PR_FAULT_IF(write->bit == PR_WRITE_PARK, "park.sent");
    return true;
}

static void finish_unwritten(struct pr_lane *lane) {
    struct pr_job *job = NULL;
    while ((job = TAILQ_FIRST(&lane->to_finish)) != NULL) {
        TAILQ_REMOVE(&lane->to_finish, job, queue);
        job->is_queued = false;
        done(lane, job);
    }
}

void pr_settle_turn(struct pr_lane *lane) {
    struct pr_settler *settler = lane->settler;
    finish_unwritten(lane);
    while (!TAILQ_EMPTY(&lane->to_settle) && settler->open < PR_SETTLE_OPEN_MAX && pr_pg_has_room(lane->settle_link.pg)) {
        if (!write_next(lane)) {
            break;
        }
    }
}
