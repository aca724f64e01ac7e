/* From a decoded record to a job that can be claimed: tenant, rule, recipient, identity, sender, fences; or why not. */
#ifndef PR_INTAKE_PREPARE_H
#define PR_INTAKE_PREPARE_H

#include "flow/lane.h"

/*
 * Fills the job from its record and the lane's book and sets its kind. A job of gen 0 gets its identity here; one that comes back keeps the one of its row and is
 * never set aside: what would be is a refusal of the message. May be called again after the book changed. False without memory.
 */
bool pr_prepare(struct pr_lane *lane, struct pr_job *job) PR_MUST_CHECK;

#endif
