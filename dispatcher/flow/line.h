/*
 * A line of jobs in which some go ahead of others: transactional before marketing; within each first tries before retries, and of these the ones
 * that have their place on the wire before those that need one.
 */
#ifndef PR_FLOW_LINE_H
#define PR_FLOW_LINE_H

#include "core/fair.h"
#include "flow/job.h"

/* What goes ahead of what. */
enum pr_class { PR_CLASS_TRANSACTIONAL, PR_CLASS_MARKETING };
enum { PR_CLASSES = 2 };

static inline enum pr_class pr_class_of(enum pr_category category) {
    return category == PR_CATEGORY_MARKETING ? PR_CLASS_MARKETING : PR_CLASS_TRANSACTIONAL;
}

/* Jobs stand in it by their `queue` link. */
struct pr_line {
    struct pr_job_list list[PR_RANKS];
    uint32_t n[PR_RANKS];
    uint32_t all;
    int64_t cost[PR_RANKS]; /* what the jobs are counted with against the lane's memory */
    struct pr_floor floor;
};

void pr_line_init(struct pr_line *line);

/* Takes the place behind all of its rank, which stays the job's until it leaves. */
void pr_line_push(struct pr_line *line, struct pr_job *job);

/* Who is next; NULL when it is empty. Asking changes nothing. */
struct pr_job *pr_line_next(const struct pr_line *line);

/* Who is next of those that have a place on the wire; NULL when none has. Only such a one can go while all places are taken. */
struct pr_job *pr_line_next_with_place(const struct pr_line *line);

/* The next one goes: the floor counts it. */
void pr_line_take(struct pr_line *line, struct pr_job *job);

/* A job leaves without going. */
void pr_line_remove(struct pr_line *line, struct pr_job *job);

/* Those of its class or a better one: what a new one of this class would wait for. */
struct pr_line_ahead {
    uint32_t n;
    int64_t cost;
};
struct pr_line_ahead pr_line_ahead(const struct pr_line *line, enum pr_class class);

#endif
