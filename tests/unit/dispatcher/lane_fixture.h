/* A lane without threads, connections or a loop: what the pure steps of a job need of one. */
#ifndef PR_TESTS_LANE_FIXTURE_H
#define PR_TESTS_LANE_FIXTURE_H

#include "flow/lane.h"
#include "unit/dispatcher/book_fixture.h"

/* 2026-01-15 12:00:00 UTC. */
#define NOW_US INT64_C(1768478400000000)
#define HOUR_US (INT64_C(3600) * 1000000)

static struct pr_options options;
static struct pr_process process;
static struct pr_lane lane;

static inline void lane_open(void) {
    memset(&options, 0, sizeof(options));
    memset(&lane, 0, sizeof(lane));
    options.dispatch.tenant = "";
    options.dispatch.retention_days = 30;
    for (int i = 0; i < PR_CATEGORIES; i++) {
        options.retry.max_age_ms[i] = (i + 3) * 24 * HOUR_US / 1000; /* utility three days, marketing four, … */
        options.retry.max_tries[i] = 4;
    }
    process.opt = &options;
    atomic_store(&process.owner, 3);
    atomic_store(&process.epoch, 9);
    pr_shapes_init(&process.shapes);
    pr_breakers_init(&process.senders);
    pr_breakers_init(&process.templates);
    lane.process = &process;
    lane.now_us = NOW_US;
    lane.now_ns = INT64_C(5000000000);
    pr_jobs_init(&lane.jobs);
    pr_heap_init(&lane.timers);
    pr_senders_init(&lane.senders);
    TAILQ_INIT(&lane.parts);
    TAILQ_INIT(&lane.passed);
    TAILQ_INIT(&lane.to_prepare);
    TAILQ_INIT(&lane.to_claim);
    TAILQ_INIT(&lane.to_hold);
    TAILQ_INIT(&lane.to_settle);
    TAILQ_INIT(&lane.to_finish);
}

/* Takes the rows; senders are known to the shapes from then on, as when a lane reads its book. */
static inline void lane_read(PGresult *rows) {
    pr_book_unref(lane.book);
    lane.book = book_of(rows);
    for (uint32_t t = 0; t < lane.book->tenants_n; t++) {
        for (uint32_t s = 0; s < lane.book->tenants[t].senders_n; s++) {
            struct pr_shape_facts facts = {
                .tenant = lane.book->tenants[t].id, .sender = lane.book->tenants[t].senders[s].id, .rate = 80};
            if (!pr_shapes_set(&process.shapes, &facts)) {
                abort();
            }
        }
    }
    pr_senders_read(&lane.senders, lane.book);
}

/* What the sender may send a second, all of it ours for good. */
static inline void lane_rate(int32_t tenant, int32_t sender, double per_s) {
    struct pr_shape_facts facts = {.tenant = tenant, .sender = sender, .rate = per_s};
    if (!pr_shapes_set(&process.shapes, &facts)) {
        abort();
    }
    (void)pr_shapes_grant(&process.shapes, sender, per_s, per_s, INT64_MAX, lane.now_ns);
}

/* A message of that sender (by its place in the tenant's list) to person n, GATED and on no queue. */
static inline struct pr_job *lane_job(uint32_t tenant, uint32_t sender, int n, enum pr_category category) {
    struct pr_job *job = pr_job_new(&lane.jobs);
    if (!job) {
        abort();
    }
    job->book = pr_book_ref(lane.book);
    job->tenant = &lane.book->tenants[tenant];
    job->sender = &job->tenant->senders[sender];
    job->category = category;
    job->to.n = (uint8_t)snprintf(job->to.text, sizeof(job->to.text), "+5511%09d", 900000000 + n);
    job->not_before_us = job->expiry_us = job->hold_us = PR_TIME_NONE;
    job->expires_ns = INT64_MAX;
    job->epoch = 9;
    job->cost = 5000;
    pr_job_move(&lane.jobs, job, PR_JOB_GATED);
    return job;
}

/* Ends every job, wherever it is. */
static inline void lane_end_jobs(void) {
    for (int state = 0; state < PR_JOB_STATES; state++) {
        struct pr_job *job = NULL;
        while ((job = TAILQ_FIRST(&lane.jobs.list[state])) != NULL) {
            TAILQ_REMOVE(&lane.jobs.list[state], job, link);
            lane.jobs.n[state]--;
            pr_heap_remove(&lane.timers, &job->timer);
            pr_book_unref(job->book);
            pr_buf_free(&job->body);
            pr_arena_free(&job->arena);
            free(job);
        }
    }
    pr_senders_free(&lane.senders);
    pr_pairs_free(&lane.pairs);
    pr_heap_free(&lane.timers);
}

/* Ends every job that is still FETCHED. */
static inline void lane_close(void) {
    struct pr_job *job = NULL;
    while ((job = TAILQ_FIRST(&lane.jobs.list[PR_JOB_FETCHED])) != NULL) {
        pr_job_move(&lane.jobs, job, PR_JOB_SETTLED);
        pr_job_free(&lane.jobs, job);
    }
    pr_book_unref(lane.book);
    lane.book = NULL;
    pthread_mutex_destroy(&process.shapes.lock);
    pthread_mutex_destroy(&process.senders.lock);
    pthread_mutex_destroy(&process.templates.lock);
}

#endif
