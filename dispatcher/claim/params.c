/* A batch of jobs as the arrays of claim_v1, in the order of its parameters. */
#include "claim/private.h"

#include "base/clock.h"

#include <stdlib.h>

static struct pr_span span_of(const char *text) {
    return text ? pr_span_of(text) : (struct pr_span){NULL, 0};
}

/* One array parameter: a value of each job. The name of the loop variable is `j`. */
#define COLUMN(element, statement)                  \
    do {                                            \
        pr_params_array(params, element);           \
        for (size_t i = 0; i < batch->n; i++) {     \
            const struct pr_job *j = batch->job[i]; \
            statement;                              \
        }                                           \
    } while (0)

static void identity_params(const struct pr_batch *batch, struct pr_params *params) {
    COLUMN(PR_OID_UUID, pr_item_uuid(params, &j->identity.id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->gen));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->claim_no));
    COLUMN(PR_OID_TEXT, pr_item_text(params, pr_span_make(j->to.text, j->to.n)));
    COLUMN(PR_OID_INT2, pr_item_int2(params, (int16_t)j->category));
    COLUMN(PR_OID_TEXT, pr_item_text(params, j->rule ? j->rule->name : PR_SPAN("")));
    COLUMN(PR_OID_TEXT, pr_item_text(params, j->record.type));
    COLUMN(PR_OID_TEXT, pr_item_text(params, j->record.subject));
}

static void decision_params(const struct pr_batch *batch, struct pr_params *params) {
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->rule && j->rule->is_superseding ? j->rank : -1));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->event_us));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->not_before_us));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->expiry_us));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->sender ? j->sender->id : 0));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->refusal)));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->hold_us));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->hold_us == PR_TIME_NONE ? NULL : j->hold_reason)));
    COLUMN(PR_OID_INT2, pr_item_int2(params, j->origin.topic));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->origin.part));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->origin.off));
}

/* Fences of all jobs one after another. */
#define FENCES(element, statement)                           \
    do {                                                     \
        pr_params_array(params, element);                    \
        for (size_t i = 0; i < n; i++) {                     \
            for (size_t k = 0; k < jobs[i]->fences_n; k++) { \
                const struct pr_job *j = jobs[i];            \
                const struct pr_fence *f = &j->fences[k];    \
                (void)f;                                     \
                statement;                                   \
            }                                                \
        }                                                    \
    } while (0)

static void fence_params(struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    FENCES(PR_OID_INT2, pr_item_int2(params, (int16_t)f->kind));
    FENCES(PR_OID_TEXT, pr_item_text(params, pr_span_make(j->to.n ? j->to.text : NULL, j->to.n)));
    FENCES(PR_OID_TEXT, pr_item_text(params, f->subject));
    FENCES(PR_OID_TEXT, pr_item_text(params, f->group));
    FENCES(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->event_us));
    FENCES(PR_OID_INT4, pr_item_int4(params, f->rank));
    FENCES(PR_OID_UUID, pr_item_uuid(params, &j->identity.id));
}

/* Slots of the batch's pool leave the list for the batch; without memory they stay in it. */
static void take_backs(struct pr_batch *batch) {
    struct pr_claimer *claimer = batch->lane->claimer;
    batch->backs = claimer->backs_n > 0 ? calloc(claimer->backs_n, sizeof(*batch->backs)) : NULL;
    batch->backs_n = 0;
    size_t kept = 0;
    for (size_t i = 0; i < claimer->backs_n; i++) {
        const struct pr_back *back = &claimer->backs[i];
        if (batch->backs && back->tenant == batch->tenant && back->pool == batch->pool) {
            batch->backs[batch->backs_n++] = *back;
        } else {
            claimer->backs[kept++] = *back;
        }
    }
    claimer->backs_n = kept;
}

void pr_batch_return_backs(struct pr_batch *batch) {
    for (size_t i = 0; i < batch->backs_n; i++) {
        pr_claim_keep_back(batch->lane->claimer, &batch->backs[i]);
    }
    free(batch->backs);
    batch->backs = NULL;
    batch->backs_n = 0;
}

static void back_params(struct pr_batch *batch, struct pr_params *params) {
    take_backs(batch);
    pr_params_array(params, PR_OID_INT8);
    for (size_t i = 0; i < batch->backs_n; i++) {
        pr_item_int8(params, batch->backs[i].contact);
    }
    pr_params_array(params, PR_OID_UUID);
    for (size_t i = 0; i < batch->backs_n; i++) {
        pr_item_uuid(params, &batch->backs[i].id);
    }
}

/* Fence-only jobs have no message: their fences go with a claim of no jobs. */
bool pr_batch_params(struct pr_batch *batch, struct pr_params *params) {
    struct pr_job *const *jobs = batch->job;
    size_t n = batch->n;
    if (n > 0 && jobs[0]->kind == PR_JOB_FENCES) {
        batch->n = 0;
    }
    pr_params_reset(params);
    pr_params_int4(params, batch->tenant);
    pr_params_date(params, batch->day);
    pr_params_date(params, batch->day_other);
    pr_params_int4(params, batch->pool);
    pr_params_int4(params, atomic_load(&batch->lane->process->owner));
    pr_params_int4(params, batch->epoch);
    identity_params(batch, params);
    decision_params(batch, params);
    fence_params(jobs, n, params);
    back_params(batch, params);
    batch->n = n;
    return !params->failed;
}
