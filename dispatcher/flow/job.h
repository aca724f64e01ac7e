/* A job: one message (or control event) on its way through a lane, on exactly one list, and the list is its state. */
#ifndef PR_FLOW_JOB_H
#define PR_FLOW_JOB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "core/address.h"
#include "core/identity.h"
#include "core/outcome.h"
#include "core/record.h"
#include "core/template.h"
#include "flow/book.h"
#include "flow/portion.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

/* The life of a job, in order; pr_job_may_move says which steps exist. */
enum pr_job_state {
    PR_JOB_FETCHED,  /* decoded, not yet in front of the gate */
    PR_JOB_GATED,    /* waits: for its person, its sender's room, or a moment to ask again */
    PR_JOB_CLAIMING, /* in a claim statement, or about to be again */
    PR_JOB_READY,    /* claimed and committed: may be handed to curl */
    PR_JOB_SENDING,  /* curl has it */
    PR_JOB_WAITING,  /* a short retry */
    PR_JOB_SETTLING, /* its fate is being written */
    PR_JOB_SETTLED,  /* done: about to be freed */
};
enum { PR_JOB_STATES = 8 };

enum pr_job_kind {
    PR_JOB_MESSAGE,
    PR_JOB_FENCES,  /* refused before the claim, but it cancels or supersedes others */
    PR_JOB_CONTROL, /* contact.updated, consent.* */
    PR_JOB_ASIDE,   /* refused before the claim, nothing else to do */
    PR_JOB_DEAD,    /* cannot be decoded */
};

/* What is still to be written for a job in SETTLING; written in this order, one statement each. */
enum pr_job_write {
    PR_WRITE_PARK = 1,    /* to `deferred`, as deferred, unknown or orphan */
    PR_WRITE_OUTCOME = 2, /* how an attempt ended */
    PR_WRITE_REFUSE = 4,  /* refused after the claim (rendering) */
    PR_WRITE_UNCLAIM = 8, /* back to the gate, or dropped */
    PR_WRITE_ASIDE = 16,
    PR_WRITE_DEAD = 32,
    PR_WRITE_CONTROL = 64,
};

/* What a job becomes when nothing is left to write. */
enum pr_job_next { PR_NEXT_SETTLED, PR_NEXT_WAIT, PR_NEXT_GATE, PR_NEXT_DROP };

struct pr_origin {
    int16_t topic; /* number of postrider.topic */
    int32_t part;
    int64_t off;
    int64_t kafka_us; /* PR_TIME_NONE when Kafka gave none */
};

/* The record's bytes as they came, for a dead letter; copies in the job's arena. */
struct pr_raw {
    struct pr_span key, value;
    struct pr_header *headers;
    size_t headers_n;
};

enum pr_fence_kind {
    PR_FENCE_CANCEL_RECIPIENT = 1,
    PR_FENCE_CANCEL_SUBJECT = 2,
    PR_FENCE_SUPERSEDE_SUBJECT = 3,
    PR_FENCE_SUPERSEDE_RECIPIENT = 4,
};

struct pr_fence {
    enum pr_fence_kind kind;
    struct pr_span subject; /* kinds 2 and 3 */
    struct pr_span group;   /* the rule whose messages it ends */
    int32_t rank;
};

/* What is written when the job leaves the lane to come back. */
struct pr_parking {
    int16_t state;      /* enum pr_message_state: deferred or unknown */
    bool is_orphan;     /* the row is a dead epoch's */
    const char *reason; /* static */
    int64_t due_us;     /* PR_TIME_NONE: wait_ms from the database's now, or asleep for quota */
    int64_t wait_ms;
};

struct pr_part;
struct pr_gate_entry;
struct pr_lane_sender;

/* Everything a span points to lives in `arena`. One lane's thread only. */
struct pr_job {
    TAILQ_ENTRY(pr_job) link;  /* the list of its state; pr_job_move only */
    TAILQ_ENTRY(pr_job) queue; /* a queue inside that state: of a sender, of the gate, of a statement */
    enum pr_job_state state;
    int64_t moved_ns; /* when it came into its state: CLOCK_MONOTONIC of that turn */
    enum pr_job_kind kind;
    struct pr_heap_node timer; /* when to look at it again: WAITING, or GATED and asking again */
    struct pr_arena arena;
    int64_t cost; /* bytes it is counted with against the lane's memory */

    struct pr_part *part; /* NULL for what comes from `deferred` */
    uint32_t slot;        /* of the part's tracker */
    struct pr_origin origin;
    struct pr_raw raw;
    struct pr_record record;

    struct pr_book *book; /* a reference: rule, tenant and sender point into it */
    const struct pr_tenant *tenant;
    const struct pr_rule *rule;
    int rank;
    const struct pr_sender *sender;
    uint32_t senders_tried; /* by place in the tenant's list: pools found full */
    enum pr_category category;
    struct pr_address to;
    struct pr_identity identity;
    int64_t event_us, not_before_us, expiry_us; /* PR_TIME_NONE: none */
    const char *refusal;                        /* decided before the claim; static, or NULL */
    int64_t hold_us;         /* cannot go before, through no fault of its own; PR_TIME_NONE: it can */
    const char *hold_reason; /* static */
    struct pr_fence *fences;
    size_t fences_n;

    int32_t gen;
    int64_t claim_no; /* 0: not claimed yet; kept while its batch is repeated */
    int32_t epoch;    /* of the claim */
    int32_t attempt, tries;
    int16_t resends; /* over 0: an earlier attempt may have been accepted, so its quota slot is never given back */
    int64_t waited_ms, since_us; /* of earlier deferrals */
    int64_t contact;             /* 0 until the claim said */
    struct pr_span locale;       /* of the contact; p NULL: none */
    int64_t expires_ns;          /* monotonic; INT64_MAX: never */
    uint32_t asked;              /* times it was held, for the backoff of asking */

    struct pr_template_choice choice;
    struct pr_buf body;
    struct pr_outcome outcome;
    int16_t http_status;
    int32_t latency_ms;
    int64_t started_ns;
    int64_t lane_wait_us;   /* in-lane waits so far */
    uint32_t lane_tries;    /* in-lane retries so far */
    uint32_t journal_place; /* from right before its bytes may leave until its outcome is durable; 0: none */

    unsigned writes; /* enum pr_job_write, what is left */
    enum pr_job_next next;
    struct pr_parking parking;
    const char *aside_kind;     /* "refused", "applied", "duplicate" */
    const char *aside_reason;   /* static, or in the arena */
    struct pr_span dead_detail; /* DEAD: a sentence for a person */
    bool gives_back;            /* quota slot to release */
    bool is_dropped;            /* its partition went: written back, never settled by us */
    bool has_row;               /* a row of the ledger is known to be there: it is never set aside any more */
    bool is_regated;            /* something changed: written back and decided again */
    bool is_retrying; /* its next try waits in the lane: counted in pr_jobs.retrying from the decision until it is ready */
    bool is_put_off; /* bulk that is put off: counted in pr_jobs.portion until it is settled */
    bool is_ahead;   /* holds a place of those claimed and not handed over, until it is on the wire or written back */
    bool is_on_wire; /* holds a place on the wire: from the first request until nothing is left to write */
    bool is_entered; /* holds, or waits for, its keys at the gate */
    bool is_queued;  /* on `queue` */
    struct pr_gate_entry *gate_keys[2];
    struct pr_gate_entry *gate_wait;
    struct pr_lane_sender *lane_sender;
    int rank_in_line; /* of its sender's line, while it stands there */
};

TAILQ_HEAD(pr_job_list, pr_job);

/* All jobs of a lane by state. */
struct pr_jobs {
    struct pr_job_list list[PR_JOB_STATES]; /* each in order of moved_ns */
    size_t n[PR_JOB_STATES];
    uint64_t settled; /* that ever came to SETTLED */
    int64_t now_ns;   /* CLOCK_MONOTONIC of this turn; the lane sets it */
    size_t retrying;  /* WAITING, or SETTLING and WAITING next */
    struct pr_portion portion;
};

void pr_jobs_init(struct pr_jobs *jobs);

/* A job in FETCHED, cleared; NULL without memory. */
struct pr_job *pr_job_new(struct pr_jobs *jobs);

/* Only from SETTLED. Gives back everything, the book's reference included. */
void pr_job_free(struct pr_jobs *jobs, struct pr_job *job);

/* The only writer of `state`; a step that the table does not know ends the process. */
void pr_job_move(struct pr_jobs *jobs, struct pr_job *job, enum pr_job_state to);

/* The job, in SETTLING, will wait in the lane for its next try. */
void pr_job_retries(struct pr_jobs *jobs, struct pr_job *job);

/* The job is bulk and is put off; may be said more than once. */
void pr_job_put_off(struct pr_jobs *jobs, struct pr_job *job);

/* The table of legal steps. */
bool pr_job_may_move(enum pr_job_state from, enum pr_job_state to);

const char *pr_job_state_name(enum pr_job_state state);

#endif
