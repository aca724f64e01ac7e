/* Intake: records from Kafka and rows from `deferred` become jobs in front of the gate, as far as their windows allow. */
#ifndef PR_INTAKE_INTAKE_H
#define PR_INTAKE_INTAKE_H

#include "flow/lane.h"

/* The room as the lane's loop calls it. */
bool pr_intake_open(struct pr_lane *lane);
void pr_intake_turn(struct pr_lane *lane);
void pr_intake_close(struct pr_lane *lane);

/* In front of the gate: where the prepared job goes from here, by its kind. */
void pr_intake_admit(struct pr_lane *lane, struct pr_job *job);

/* Jobs of a partition number (of every topic), or all for -1: dropped, written back, or left on the wire to be answered. */
void pr_intake_drop(struct pr_lane *lane, const struct pr_part *part, int32_t number);

/* Once a second: whether the lane stands still with records waiting, and then why, for the log and the metric. */
void pr_intake_look_for_stall(struct pr_lane *lane);

/* The watcher: what changed (control), what is due (deferred), once a second the roll-ups. */
bool pr_watch_open(struct pr_lane *lane);
void pr_watch_turn(struct pr_lane *lane);
void pr_watch_close(struct pr_lane *lane);

#endif
