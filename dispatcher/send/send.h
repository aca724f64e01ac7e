/* Send: ready jobs to curl as tokens and connections allow, and what the answers make of them. */
#ifndef PR_SEND_SEND_H
#define PR_SEND_SEND_H

#include "flow/lane.h"

/* The room as the lane's loop calls it. */
bool pr_send_open(struct pr_lane *lane);
void pr_send_turn(struct pr_lane *lane);
void pr_send_close(struct pr_lane *lane);

#endif
