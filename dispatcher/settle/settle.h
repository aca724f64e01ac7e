/* Settle: what became of jobs is written in batches; only then their offsets move on. */
#ifndef PR_SETTLE_SETTLE_H
#define PR_SETTLE_SETTLE_H

#include "flow/lane.h"

/* The room as the lane's loop calls it. */
bool pr_settle_open(struct pr_lane *lane);
void pr_settle_turn(struct pr_lane *lane);
void pr_settle_close(struct pr_lane *lane);

#endif
