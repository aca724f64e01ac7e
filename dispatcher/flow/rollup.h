/* Roll-ups: what dashboards read, written from a lane's own counts. */
#ifndef PR_FLOW_ROLLUP_H
#define PR_FLOW_ROLLUP_H

#include "flow/lane.h"

/* Adds the counts since the last call to the lane's rows of stat_minute; meant for once a second. */
void pr_rollup(struct pr_lane *lane);

#endif
