/* A list a rank, and the floor that says which is next. */
#include "flow/line.h"

#include <assert.h>

/* Of a class. */
enum rank { RANK_FIRST, RANK_HAS_PLACE, RANK_AGAIN, RANKS_OF_CLASS };

static_assert(RANKS_OF_CLASS * PR_CLASSES == PR_RANKS, "a rank for each");

static int rank_of(const struct pr_job *job) {
    enum rank rank = job->is_on_wire ? RANK_HAS_PLACE : job->attempt > 0 ? RANK_AGAIN : RANK_FIRST;
    return RANKS_OF_CLASS * (int)pr_class_of(job->category) + (int)rank;
}

static unsigned waiting(const struct pr_line *line) {
    unsigned bits = 0;
    for (int r = 0; r < PR_RANKS; r++) {
        bits |= (unsigned)(line->n[r] > 0) << r;
    }
    return bits;
}

void pr_line_init(struct pr_line *line) {
    *line = (struct pr_line){.all = 0};
    for (int r = 0; r < PR_RANKS; r++) {
        TAILQ_INIT(&line->list[r]);
    }
}

void pr_line_push(struct pr_line *line, struct pr_job *job) {
    job->rank_in_line = rank_of(job);
    TAILQ_INSERT_TAIL(&line->list[job->rank_in_line], job, queue);
    job->is_queued = true;
    line->n[job->rank_in_line]++;
    line->all++;
    line->cost[job->rank_in_line] += job->cost;
}

struct pr_job *pr_line_next(const struct pr_line *line) {
    return line->all > 0 ? TAILQ_FIRST(&line->list[pr_floor_pick(&line->floor, waiting(line))]) : NULL;
}

struct pr_job *pr_line_next_with_place(const struct pr_line *line) {
    struct pr_job *job = NULL;
    for (int k = 0; k < PR_CLASSES && !job; k++) {
        job = TAILQ_FIRST(&line->list[RANKS_OF_CLASS * k + RANK_HAS_PLACE]);
    }
    return job;
}

void pr_line_take(struct pr_line *line, struct pr_job *job) {
    pr_floor_took(&line->floor, waiting(line), job->rank_in_line);
    pr_line_remove(line, job);
}

void pr_line_remove(struct pr_line *line, struct pr_job *job) {
    TAILQ_REMOVE(&line->list[job->rank_in_line], job, queue);
    job->is_queued = false;
    line->n[job->rank_in_line]--;
    line->all--;
    line->cost[job->rank_in_line] -= job->cost;
}

struct pr_line_ahead pr_line_ahead(const struct pr_line *line, enum pr_class class) {
    struct pr_line_ahead ahead = {.n = 0};
    for (int r = 0; r < RANKS_OF_CLASS * ((int)class + 1); r++) {
        ahead.n += line->n[r];
        ahead.cost += line->cost[r];
    }
    return ahead;
}
