/* The gate: at most one job of a person, and one of a message id, between claim and settle; others of other people pass. */
#ifndef PR_GATE_GATE_H
#define PR_GATE_GATE_H

#include "flow/job.h"

struct pr_gate_entry;
struct pr_gate_present;

/* Keys are 64-bit hashes: two people who collide wait for each other, which is harmless. One thread. */
struct pr_gate {
    struct pr_gate_entry *table[2];  /* keys taken; 0: (tenant, recipient), 1: message id */
    struct pr_gate_present *present; /* message ids of all that entered, those who wait for their recipient included */
    size_t waiting;
};

enum pr_gate_answer { PR_GATE_PASSED, PR_GATE_WAITS, PR_GATE_NO_MEMORY };

void pr_gate_init(struct pr_gate *gate);

/* Takes the job's keys in the order recipient, id; a job that must wait keeps what it has and its place. */
enum pr_gate_answer pr_gate_enter(struct pr_gate *gate, struct pr_job *job) PR_MUST_CHECK;

/*
 * Gives back what the job holds and its place in any queue. Jobs that pass because of it are appended to `passed` by their `queue` link
 * (is_queued set), in the order in which they came.
 */
void pr_gate_leave(struct pr_gate *gate, struct pr_job *job, struct pr_job_list *passed);

/* Whether some job holds or waits for this message id: what `deferred` shows again need not be taken twice. */
bool pr_gate_has_id(const struct pr_gate *gate, const struct pr_uuid *id);

/* After the last job left. */
void pr_gate_free(struct pr_gate *gate);

#endif
