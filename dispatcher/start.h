/* What must be known before the lanes start: the topics' numbers and partitions, and that the schema is there. */
#ifndef PR_DISPATCHER_START_H
#define PR_DISPATCHER_START_H

#include "flow/process.h"

#include <stdio.h>

/* Fills the process's topics and partitions from Kafka and PostgreSQL; waiting rows are given to new partitions when their number changed. */
bool pr_start_topics(struct pr_process *process, char *why, size_t why_size) PR_MUST_CHECK;

/* Opens the journal of dispatch.state_dir, if there is to be one. What it holds of the process before is read by the lease. */
bool pr_start_journal(struct pr_process *process, char *why, size_t why_size) PR_MUST_CHECK;

/* --check-config: connects to everything, prints a line each and every fault with its cure. The number of faults. */
int pr_check_config(struct pr_process *process, FILE *out);

#endif
