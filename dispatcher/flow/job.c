/* The table of a job's legal steps, and the one function that takes them. */
#include "flow/job.h"

#include "base/check.h"

#include <stdlib.h>

enum { PR_JOB_ARENA_MAX = 4 * 1024 * 1024 };

#define TO(state) (1U << (state))

/* From CLAIMING straight to SETTLING goes what the claim itself decided; to GATED what must be asked again. */
static const unsigned legal[PR_JOB_STATES] = {
    [PR_JOB_FETCHED] = TO(PR_JOB_GATED) | TO(PR_JOB_SETTLING) | TO(PR_JOB_SETTLED),
    [PR_JOB_GATED] = TO(PR_JOB_CLAIMING) | TO(PR_JOB_SETTLING) | TO(PR_JOB_SETTLED),
    [PR_JOB_CLAIMING] = TO(PR_JOB_READY) | TO(PR_JOB_GATED) | TO(PR_JOB_SETTLING) | TO(PR_JOB_SETTLED),
    [PR_JOB_READY] = TO(PR_JOB_SENDING) | TO(PR_JOB_SETTLING),
    [PR_JOB_SENDING] = TO(PR_JOB_SETTLING),
    [PR_JOB_WAITING] = TO(PR_JOB_READY) | TO(PR_JOB_SETTLING),
    [PR_JOB_SETTLING] = TO(PR_JOB_SETTLED) | TO(PR_JOB_WAITING) | TO(PR_JOB_GATED),
    [PR_JOB_SETTLED] = 0,
};

static const char *const names[PR_JOB_STATES] = {"fetched", "gated",   "claiming", "ready",
                                                 "sending", "waiting", "settling", "settled"};

const char *pr_job_state_name(enum pr_job_state state) {
    return names[state];
}

bool pr_job_may_move(enum pr_job_state from, enum pr_job_state to) {
    return (legal[from] & TO(to)) != 0;
}

void pr_jobs_init(struct pr_jobs *jobs) {
    for (int i = 0; i < PR_JOB_STATES; i++) {
        TAILQ_INIT(&jobs->list[i]);
        jobs->n[i] = 0;
    }
    jobs->settled = 0;
    jobs->now_ns = 0;
    jobs->retrying = 0;
    jobs->portion = (struct pr_portion){0};
}

struct pr_job *pr_job_new(struct pr_jobs *jobs) {
    struct pr_job *job = calloc(1, sizeof(*job));
    if (!job) {
        return NULL;
    }
    pr_arena_init(&job->arena, PR_JOB_ARENA_MAX);
    pr_buf_init(&job->body, PR_RECORD_BYTES_MAX * 2);
    job->state = PR_JOB_FETCHED;
    job->moved_ns = jobs->now_ns;
    TAILQ_INSERT_TAIL(&jobs->list[PR_JOB_FETCHED], job, link);
    jobs->n[PR_JOB_FETCHED]++;
    return job;
}

void pr_job_move(struct pr_jobs *jobs, struct pr_job *job, enum pr_job_state to) {
    pr_assert(pr_job_may_move(job->state, to));
    TAILQ_REMOVE(&jobs->list[job->state], job, link);
    jobs->n[job->state]--;
    job->state = to;
    job->moved_ns = jobs->now_ns;
    jobs->settled += to == PR_JOB_SETTLED;
    if (job->is_retrying && to != PR_JOB_WAITING) {
        job->is_retrying = false;
        jobs->retrying--;
    }
    if (to == PR_JOB_SETTLED && job->is_put_off) {
        job->is_put_off = false;
        pr_portion_end(&jobs->portion, jobs->now_ns);
    }
    TAILQ_INSERT_TAIL(&jobs->list[to], job, link);
    jobs->n[to]++;
}

void pr_job_retries(struct pr_jobs *jobs, struct pr_job *job) {
    pr_assert(job->state == PR_JOB_SETTLING && !job->is_retrying);
    job->is_retrying = true;
    jobs->retrying++;
}

void pr_job_put_off(struct pr_jobs *jobs, struct pr_job *job) {
    if (!job->is_put_off) {
        job->is_put_off = true;
        pr_portion_begin(&jobs->portion, jobs->now_ns);
    }
}

void pr_job_free(struct pr_jobs *jobs, struct pr_job *job) {
    pr_assert(job->state == PR_JOB_SETTLED && !job->is_entered && !job->is_queued && !pr_heap_has(&job->timer));
    TAILQ_REMOVE(&jobs->list[PR_JOB_SETTLED], job, link);
    jobs->n[PR_JOB_SETTLED]--;
    pr_book_unref(job->book);
    pr_buf_free(&job->body);
    pr_arena_free(&job->arena);
    free(job);
}
