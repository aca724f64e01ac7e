/* The janitor: once an hour the ledger's partitions of the days ahead are made, old ones dropped, small tables tidied. */
#ifndef PR_DISPATCHER_JANITOR_H
#define PR_DISPATCHER_JANITOR_H

#include "flow/process.h"

struct pr_janitor;

/* Starts its thread, with a connection of its own, so that a slow DROP costs nobody's lease. NULL without memory or thread. */
struct pr_janitor *pr_janitor_start(struct pr_process *process);

/* Ends the thread, waiting for its statement if one is under way. NULL is accepted. */
void pr_janitor_stop(struct pr_janitor *janitor);

#endif
