/* Batches of claims: formed, sent, repeated as they are, split down to the one job that fails, answered. */
#include "claim/private.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "metrics.h"
#include "pr_query.h"

#include <stdlib.h>
#include <string.h>

enum {
    PR_CLAIM_OPEN_MAX = 2,
    PR_HOLD_BATCH = 250, /* few at a time, because outcomes wait for the statement in front of them */
    PR_REPEAT_WAIT_NS = 10 * 1000 * 1000,
    PR_BACK_WAIT_NS = 1000 * 1000 * 1000
};

static struct pr_log_limit failures = PR_LOG_LIMIT(5);

bool pr_claim_open(struct pr_lane *lane) {
    struct pr_claimer *claimer = calloc(1, sizeof(*claimer));
    if (!claimer) {
        return false;
    }
    pr_params_init(&claimer->params, PR_CLAIM_PARAMS_BYTES);
    size_t most = (size_t)lane->process->opt->dispatch.batch;
    claimer->way[0] = (struct pr_claim_way){
        .link = &lane->claim_link, .line = &lane->to_claim, .batch_max = most, .open_max = PR_CLAIM_OPEN_MAX};
    claimer->way[1] = (struct pr_claim_way){.link = &lane->settle_link,
                                            .line = &lane->to_hold,
                                            .batch_max = most < PR_HOLD_BATCH ? most : PR_HOLD_BATCH,
                                            .open_max = 1};
    for (int i = 0; i < PR_CLAIM_WAYS; i++) {
        TAILQ_INIT(&claimer->way[i].again);
    }
    claimer->next_no = ((int64_t)lane->index << 48) + 1;
    lane->claimer = claimer;
    return true;
}

static struct pr_batch *pop_again(struct pr_claim_way *way) {
    struct pr_batch *batch = TAILQ_FIRST(&way->again);
    if (batch) {
        TAILQ_REMOVE(&way->again, batch, link);
    }
    return batch;
}

void pr_claim_close(struct pr_lane *lane) {
    struct pr_claimer *claimer = lane->claimer;
    if (!claimer) {
        return;
    }
    for (int i = 0; i < PR_CLAIM_WAYS; i++) {
        struct pr_batch *batch = NULL;
        while ((batch = pop_again(&claimer->way[i])) != NULL) {
            free(batch);
        }
    }
    pr_params_free(&claimer->params);
    free(claimer->backs);
    free(claimer);
    lane->claimer = NULL;
}

/* ---- forming ---- */

static int by_id(const void *a, const void *b) {
    const struct pr_job *const *x = a;
    const struct pr_job *const *y = b;
    return memcmp((*x)->identity.id.b, (*y)->identity.id.b, sizeof((*x)->identity.id.b));
}

static bool is_together(const struct pr_job *a, const struct pr_job *b) {
    int32_t pool_a = a->sender ? a->sender->pool : 0;
    int32_t pool_b = b->sender ? b->sender->pool : 0;
    return a->kind == b->kind && a->tenant == b->tenant && a->identity.day == b->identity.day &&
           a->identity.day_other == b->identity.day_other && pool_a == pool_b;
}

static struct pr_batch *batch_new(struct pr_lane *lane, struct pr_claim_way *way, const struct pr_job *like,
                                  size_t room) {
    struct pr_batch *batch = calloc(1, sizeof(*batch) + room * sizeof(struct pr_job *));
    if (batch) {
        batch->lane = lane;
        batch->way = way;
        batch->tenant = like->tenant->id;
        batch->day = like->identity.day;
        batch->day_other = like->identity.day_other;
        batch->pool = like->sender ? like->sender->pool : 0;
    }
    return batch;
}

void pr_claim_line_up(struct pr_lane *lane, struct pr_job *job) {
    struct pr_job_list *line = job->lane_sender ? &lane->to_claim : &lane->to_hold;
    TAILQ_INSERT_TAIL(line, job, queue);
    job->is_queued = true;
}

static struct pr_batch *batch_form(struct pr_lane *lane, struct pr_claim_way *way) {
    struct pr_job *first = TAILQ_FIRST(way->line);
    struct pr_batch *batch = first ? batch_new(lane, way, first, way->batch_max) : NULL;
    if (!batch) {
        return NULL;
    }
    struct pr_job *next = NULL;
    for (struct pr_job *job = first; job && batch->n < way->batch_max; job = next) {
        next = TAILQ_NEXT(job, queue);
        if (!is_together(first, job)) {
            continue;
        }
        TAILQ_REMOVE(way->line, job, queue);
        job->is_queued = false;
        if (job->claim_no == 0) {
            job->claim_no = lane->claimer->next_no++;
        }
        batch->job[batch->n++] = job;
    }
    qsort(batch->job, batch->n, sizeof(struct pr_job *), by_id);
    return batch;
}

/* ---- answers ---- */

/* Whether it was committed is not known: asked again under its number, or written back when its partition went (sort_out). */
static void to_the_line(struct pr_lane *lane, struct pr_batch *batch) {
    for (size_t i = 0; i < batch->n; i++) {
        pr_claim_line_up(lane, batch->job[i]);
    }
    free(batch);
}

static void kill_job(struct pr_lane *lane, struct pr_job *job, const struct pr_pg_result *result) {
    pr_log_error("claim_refused_by_database", "sqlstate=%s text=%s topic=%d partition=%d offset=%lld", result->sqlstate,
                 result->message, job->origin.topic, job->origin.part, (long long)job->origin.off);
    lane->dead_n++;
    pr_stat_add(&lane->stat, lane->now_us, job->tenant->id, 0, -1, "dead", result->sqlstate);
    struct pr_span reason = pr_arena_copy(&job->arena, pr_span_of(result->sqlstate));
    job->aside_reason = reason.p ? reason.p : "sqlstate";
    pr_lane_settle(lane, job, PR_WRITE_DEAD, PR_NEXT_SETTLED);
}

/* Something in it the database will never take: halves, down to the one job. */
static void split(struct pr_lane *lane, struct pr_batch *batch, const struct pr_pg_result *result) {
    if (batch->n == 1) {
        kill_job(lane, batch->job[0], result);
        free(batch);
        return;
    }
    size_t half = batch->n / 2;
    struct pr_batch *right = batch_new(lane, batch->way, batch->job[0], batch->n - half);
    if (!right) {
        to_the_line(lane, batch);
        return;
    }
    right->n = batch->n - half;
    memcpy(right->job, batch->job + half, right->n * sizeof(struct pr_job *));
    batch->n = half;
    TAILQ_INSERT_TAIL(&batch->way->again, batch, link);
    TAILQ_INSERT_TAIL(&batch->way->again, right, link);
}

/*
 * A missing right, function or partition is no fault of the data: nothing is dead-lettered for it, and nothing goes on until somebody cured it.
 */
static void refused(struct pr_lane *lane, struct pr_batch *batch, const struct pr_pg_result *result) {
    bool is_missing_partition =
        strcmp(result->sqlstate, "23514") == 0 && strstr(result->message, "no partition") != NULL;
    if (pr_pg_blames_data(result->sqlstate) && !is_missing_partition) {
        split(lane, batch, result);
        return;
    }
    batch->way->again_ns = lane->now_ns + PR_BACK_WAIT_NS;
    TAILQ_INSERT_TAIL(&batch->way->again, batch, link);
}

static void fences_done(struct pr_lane *lane, struct pr_batch *batch) {
    for (size_t i = 0; i < batch->n; i++) {
        pr_lane_settle(lane, batch->job[i], PR_WRITE_ASIDE, PR_NEXT_SETTLED);
    }
}

static void claim_done(void *arg, const struct pr_pg_result *result) {
    struct pr_batch *batch = arg;
    struct pr_lane *lane = batch->lane;
    batch->way->open--;
    if (result->class != PR_PG_OK) {
        pr_log_limited(&failures, PR_LOG_WARN, "claim_failed", "lane=%d jobs=%zu sqlstate=%s text=%s", lane->index,
                       batch->n, result->sqlstate, result->message);
    }
    if (result->class == PR_PG_OK) {
        batch->backs_n = 0;
    }
    pr_batch_return_backs(batch);
    switch (result->class) {
    case PR_PG_OK:
        if (batch->job[0]->kind == PR_JOB_FENCES) {
            fences_done(lane, batch);
        } else {
            PR_FAULT("claim.committed");
            pr_batch_answer(batch, result->rows);
        }
        free(batch);
        break;
    case PR_PG_REPEAT:
        batch->way->again_ns = lane->now_ns + PR_REPEAT_WAIT_NS;
        TAILQ_INSERT_TAIL(&batch->way->again, batch, link);
        break;
    case PR_PG_FENCED:
        if (batch->epoch == atomic_load(&lane->process->epoch)) {
            atomic_store(&lane->process->lease_end_ns, 0);
        }
        to_the_line(lane, batch);
        break;
    case PR_PG_RECONNECT: to_the_line(lane, batch); break;
    case PR_PG_BAD: refused(lane, batch, result); break;
    }
}

static void batch_send(struct pr_lane *lane, struct pr_batch *batch) {
    struct pr_claimer *claimer = lane->claimer;
    batch->epoch = atomic_load(&lane->process->epoch);
    batch->sent_ns = lane->now_ns;
    for (size_t i = 0; i < batch->n; i++) {
        batch->job[i]->epoch = batch->epoch;
    }
    if (!pr_batch_params(batch, &claimer->params)) {
        struct pr_pg_result none = {
            .class = PR_PG_BAD, .sqlstate = "54000", .message = "the batch is larger than a statement may be"};
        pr_batch_return_backs(batch);
        split(lane, batch, &none);
        return;
    }
    if (!pr_link_send(batch->way->link, "claim", pr_query_claim, &claimer->params, claim_done, batch)) {
        pr_batch_return_backs(batch);
        to_the_line(lane, batch);
        return;
    }
    batch->way->open++;
    PR_FAULT("claim.sent");
}

/*
 * A claim under an epoch that is over would be met by its repetition as another's: what it came to is written back under its own epoch and it is
 * claimed anew. So is one whose partition went.
 */
static bool is_over(const struct pr_lane *lane, const struct pr_job *job) {
    return job->claim_no != 0 && job->epoch != atomic_load(&lane->process->epoch);
}

static void leave(struct pr_lane *lane, struct pr_job *job) {
    if (job->kind == PR_JOB_CONTROL && !job->is_dropped && !lane->is_draining) {
        pr_lane_settle(lane, job, PR_WRITE_CONTROL, PR_NEXT_SETTLED);
        return;
    }
    bool is_dropped = job->is_dropped || lane->is_draining;
    pr_lane_settle(lane, job, job->claim_no != 0 ? PR_WRITE_UNCLAIM : 0, is_dropped ? PR_NEXT_DROP : PR_NEXT_GATE);
}

/* What waits to be claimed and is not: control events have a statement of their own, dropped jobs leave, claims of an earlier epoch go back to the
 * gate. What was claimed perhaps is written back only by a connection that has ended the session which may still be at it. */
static void sort_out(struct pr_lane *lane, struct pr_claim_way *way) {
    struct pr_job *next = NULL;
    for (struct pr_job *job = TAILQ_FIRST(way->line); job; job = next) {
        next = TAILQ_NEXT(job, queue);
        bool is_leaving = job->is_dropped || lane->is_draining || is_over(lane, job) || job->kind == PR_JOB_CONTROL;
        if (!is_leaving || (job->claim_no != 0 && !pr_pg_is_ready(way->link->pg))) {
            continue;
        }
        TAILQ_REMOVE(way->line, job, queue);
        job->is_queued = false;
        leave(lane, job);
    }
}

/* ---- slots to give back ---- */

void pr_claim_keep_back(struct pr_claimer *claimer, const struct pr_back *back) {
    if (claimer->backs_n == claimer->backs_room) {
        size_t room = claimer->backs_room ? claimer->backs_room * 2 : 64;
        struct pr_back *grown = realloc(claimer->backs, room * sizeof(*grown));
        if (!grown) {
            return;
        }
        claimer->backs = grown;
        claimer->backs_room = room;
    }
    claimer->backs[claimer->backs_n++] = *back;
}

void pr_claim_give_back(struct pr_lane *lane, const struct pr_job *job) {
    static const struct pr_uuid nobodys = {{0}};
    struct pr_back back = {.tenant = job->tenant->id,
                           .pool = job->sender->pool,
                           .contact = job->contact,
                           .at_ns = lane->now_ns,
                           .id = job->gives_back ? job->identity.id : nobodys};
    pr_claim_keep_back(lane->claimer, &back);
}

static void back_done(void *arg, const struct pr_pg_result *result) {
    (void)arg, (void)result;
}

/* A pool that nobody claims from gives its slots back after a second. */
static void give_back_idle(struct pr_lane *lane) {
    struct pr_claimer *claimer = lane->claimer;
    if (claimer->backs_n == 0 || lane->now_ns - claimer->backs[0].at_ns < PR_BACK_WAIT_NS ||
        !pr_pg_has_room(lane->claim_link.pg)) {
        return;
    }
    struct pr_back first = claimer->backs[0];
    size_t kept = 0;
    pr_params_reset(&claimer->params);
    pr_params_int4(&claimer->params, first.tenant);
    pr_params_int4(&claimer->params, first.pool);
    pr_params_array(&claimer->params, PR_OID_INT8);
    for (size_t i = 0; i < claimer->backs_n; i++) {
        if (claimer->backs[i].pool == first.pool) {
            pr_item_int8(&claimer->params, claimer->backs[i].contact);
        }
    }
    pr_params_array(&claimer->params, PR_OID_UUID);
    for (size_t i = 0; i < claimer->backs_n; i++) {
        if (claimer->backs[i].pool == first.pool) {
            pr_item_uuid(&claimer->params, &claimer->backs[i].id);
        } else {
            claimer->backs[kept++] = claimer->backs[i];
        }
    }
    claimer->backs_n = kept;
    if (!pr_link_send(&lane->claim_link, "release", "select postrider.release_v1($1, $2, $3, $4)", &claimer->params,
                      back_done, lane)) {
        pr_log_warn("release_failed", "pool=%d", first.pool); /* the slots stay taken: wrong only towards sending less */
    }
}

/* ---- the turn ---- */

/* Nothing is claimed any more: batches that wait to be repeated are written back with the rest. */
static void dissolve(struct pr_lane *lane, struct pr_claim_way *way) {
    struct pr_batch *batch = NULL;
    while ((batch = pop_again(way)) != NULL) {
        to_the_line(lane, batch);
    }
}

static bool may_send(const struct pr_lane *lane, const struct pr_claim_way *way) {
    return !lane->is_fenced && !lane->is_draining && way->open < way->open_max && pr_pg_has_room(way->link->pg);
}

static void go(struct pr_lane *lane, struct pr_claim_way *way) {
    struct pr_batch *batch = NULL;
    if (lane->is_draining) {
        dissolve(lane, way);
    }
    sort_out(lane, way);
    while (may_send(lane, way) && lane->now_ns >= way->again_ns && (batch = pop_again(way)) != NULL) {
        batch_send(lane, batch);
    }
    while (may_send(lane, way) && (batch = batch_form(lane, way)) != NULL) {
        batch_send(lane, batch);
    }
    if (!TAILQ_EMPTY(&way->again) && may_send(lane, way)) {
        pr_lane_wake_at(lane, way->again_ns);
    }
}

void pr_claim_turn(struct pr_lane *lane) {
    struct pr_claimer *claimer = lane->claimer;
    if (!lane->book) {
        return;
    }
    pr_claim_shape(lane);
    for (int i = 0; i < PR_CLAIM_WAYS; i++) {
        go(lane, &claimer->way[i]);
    }
    give_back_idle(lane);
}
