/* What answers tell about senders and templates: breakers and rates follow, operators hear of it, what waited is woken. */
#ifndef PR_SEND_HEALTH_H
#define PR_SEND_HEALTH_H

#include "flow/lane.h"

/* Whether a ready job's sender and template let it go now. */
bool pr_health_is_up(const struct pr_lane *lane, const struct pr_job *job);

/* It goes now, as their probe when one is due. False: it may not. */
bool pr_health_pass(struct pr_lane *lane, const struct pr_job *job);

/* It did not leave after all. */
void pr_health_unpass(struct pr_lane *lane, const struct pr_job *job);

/* Its outcome, before anything else is done about it. */
void pr_health_answer(struct pr_lane *lane, const struct pr_job *job);

/* Why a retry has no use now, and how long to stay away; NULL when it may wait in the lane. */
const char *pr_health_hold(const struct pr_lane *lane, const struct pr_job *job, int64_t *hold_us);

/* The sender has no token to send with. */
void pr_health_no_token(struct pr_lane *lane, const struct pr_lane_sender *entry, const char *why);

/* Its token file changed: a stopped sender may go on. */
void pr_health_new_token(struct pr_lane *lane, const struct pr_lane_sender *entry);

#endif
