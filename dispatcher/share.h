/* Shares: a thread that asks the database once a second how much of each sender's rate is this process's. */
#ifndef PR_DISPATCHER_SHARE_H
#define PR_DISPATCHER_SHARE_H

#include "flow/process.h"

struct pr_share;

/* Starts the thread, on a connection of its own. NULL without memory or threads. */
struct pr_share *pr_share_start(struct pr_process *process);

/* Ends it and gives all shares back: when nothing is sent any more. NULL is accepted. */
void pr_share_stop(struct pr_share *share);

#endif
