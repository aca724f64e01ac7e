/* What the files of the claim share. */
#ifndef PR_CLAIM_PRIVATE_H
#define PR_CLAIM_PRIVATE_H

#include "claim/claim.h"

enum { PR_CLAIM_BATCH_MAX = 4096, PR_CLAIM_PARAMS_BYTES = 64 * 1024 * 1024 };

struct pr_batch;
TAILQ_HEAD(pr_batch_list, pr_batch);

/*
 * One of two: claims of what is to be sent on the claim connection, and on the settling one, beside outcomes, claims of what is not (deferred, refused,
 * fences): otherwise thousands that are deferred would keep one waiting that could go.
 */
struct pr_claim_way {
    struct pr_link *link;
    struct pr_job_list *line;
    size_t batch_max;           /* jobs of a statement */
    uint32_t open, open_max;    /* statements under way */
    struct pr_batch_list again; /* to be sent as they are: repeated, or halves of one that failed */
    int64_t again_ns;           /* not before */
};
enum { PR_CLAIM_WAYS = 2 };

/* A slot of quota to give back, or whose person is in doubt. */
struct pr_back {
    int32_t tenant, pool;
    int64_t contact, at_ns;
    struct pr_uuid id;
};

/* Jobs of one statement, sorted by id. Lives from its first sending to its last answer. */
struct pr_batch {
    TAILQ_ENTRY(pr_batch) link;
    struct pr_lane *lane;
    struct pr_claim_way *way;
    int64_t sent_ns;
    struct pr_back *backs; /* slots that the statement takes along; NULL: none. Back in the claimer's list when it fails */
    size_t backs_n;
    int32_t tenant, day, day_other, pool, epoch;
    size_t n;
    struct pr_job *job[];
};

struct pr_claimer {
    struct pr_params params;
    struct pr_claim_way way[PR_CLAIM_WAYS];
    int64_t next_no; /* of claims */
    struct pr_back *backs;
    size_t backs_n, backs_room;
};

/* A CLAIMING job waits for its statement. */
void pr_claim_line_up(struct pr_lane *lane, struct pr_job *job);

/* Puts it on the list; without memory the slot stays taken for its 24 hours. */
void pr_claim_keep_back(struct pr_claimer *claimer, const struct pr_back *back);

/* The statement failed, or was never sent: what it took along goes with another. To give back twice is to give back once. */
void pr_batch_return_backs(struct pr_batch *batch);

/* Adds the parameters of claim_v1 for the batch and takes along the slots to give back. False when they do not fit. */
bool pr_batch_params(struct pr_batch *batch, struct pr_params *params);

/* What a committed answer makes of the jobs. */
void pr_batch_answer(struct pr_batch *batch, const PGresult *rows);

/* Passed jobs: to their sender's queue, or straight to the claim; and from those queues as far as there is room. */
void pr_claim_shape(struct pr_lane *lane);

#endif
