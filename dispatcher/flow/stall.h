/* The stall watchdog's decisions: whether a lane with work stands still, and what its oldest job waits for; no I/O and no clock. */
#ifndef PR_FLOW_STALL_H
#define PR_FLOW_STALL_H

#include "flow/job.h"

/* One lane's watch. All zero is a watch that begins with its first look. */
struct pr_stall {
    uint64_t settled; /* at the last look */
    int64_t since_ns; /* there was lag at each look and nothing was settled since; 0: there was none */
    int64_t told_ns;  /* when it was last told; 0: not standing still */
};

enum pr_stall_news {
    PR_STALL_NONE,
    PR_STALL_TELL, /* stands still: for the first time, and then once a minute */
    PR_STALL_OVER, /* goes on, and it was told that it stood */
};

/* Looked at about once a second. `has_lag`: Kafka has records for this lane that are not settled. */
enum pr_stall_news pr_stall_look(struct pr_stall *stall, bool has_lag, uint64_t settled, int64_t after_ns,
                                 int64_t now_ns);

/*
 * Records of a partition that Kafka has and that are not settled. `front`: everything below is settled; `read`: one beyond the last record taken;
 * `end`: where Kafka said there is no more, behind all that was taken; each negative while not known. `low` and `high` are Kafka's first
 * offset and the one after its last. Markers of transactions are no records: behind the last record, what Kafka calls the end counts.
 */
int64_t pr_stall_lag(int64_t front, int64_t read, int64_t end, int64_t low, int64_t high);

enum pr_stall_cause {
    PR_STALL_LEASE,
    PR_STALL_DATABASE,
    PR_STALL_BOOK,
    PR_STALL_PLATFORM,
    PR_STALL_SENDER,
    PR_STALL_RATE,
    PR_STALL_CLAIM,
    PR_STALL_HELD,
    PR_STALL_WRITE,
    PR_STALL_RETRY,
    PR_STALL_ROOM,
    PR_STALL_PERSON,
    PR_STALL_DEAD_LETTERS,
    PR_STALL_CONSUMER,
    PR_STALL_KAFKA,
};
enum { PR_STALL_CAUSES = 15 };

/* What the lane looks like. */
struct pr_stall_view {
    bool has_lease, has_book;
    bool can_claim, can_settle; /* their connections stand */
    bool is_stopped_by_dead;
    bool has_job; /* some job is open; the rest is of the one that keeps the others waiting */
    enum pr_job_state state;
    bool is_held;    /* another claim of it was met, and it is asked again */
    bool has_sender; /* waits in its sender's queue */
    bool is_sender_up;
    bool is_wire_full; /* every place on the wire is taken */
    bool waits_for_person;
    bool has_records; /* taken from Kafka or fetched ahead, and no job yet */
};

enum pr_stall_cause pr_stall_cause(const struct pr_stall_view *view);

/* A word for the log, and a sentence for the operator. */
const char *pr_stall_name(enum pr_stall_cause cause);
const char *pr_stall_text(enum pr_stall_cause cause);

#endif
