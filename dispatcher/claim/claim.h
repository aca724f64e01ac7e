/* The claim: jobs in batches of one tenant, day and pool to claim_v1, and what its verdicts make of them. */
#ifndef PR_CLAIM_CLAIM_H
#define PR_CLAIM_CLAIM_H

#include "flow/lane.h"

/* The room as the lane's loop calls it. */
bool pr_claim_open(struct pr_lane *lane);
void pr_claim_turn(struct pr_lane *lane);
void pr_claim_close(struct pr_lane *lane);

/*
 * A slot of quota to give back (job->gives_back), or whose person is in doubt from now on, with the next claim of its pool, or with a statement of its own
 * when none comes within a second.
 */
void pr_claim_give_back(struct pr_lane *lane, const struct pr_job *job);

#endif
