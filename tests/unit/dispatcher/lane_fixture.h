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
