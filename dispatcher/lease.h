/* The lease: the process's life as PostgreSQL sees it, kept by a heartbeat on a connection of its own. */
#ifndef PR_DISPATCHER_LEASE_H
#define PR_DISPATCHER_LEASE_H

#include "flow/process.h"

struct pr_lease;

/* Connects, registers the process under its name and takes the first lease. NULL with a sentence and its cure in `why`. */
struct pr_lease *pr_lease_new(struct pr_process *process, char *why, size_t why_size);

/* Starts the thread: heartbeats, and a new epoch when the lease was lost. */
bool pr_lease_start(struct pr_lease *lease) PR_MUST_CHECK;

/* Ends the thread and gives the lease back. */
void pr_lease_stop(struct pr_lease *lease);
void pr_lease_free(struct pr_lease *lease);

#endif
