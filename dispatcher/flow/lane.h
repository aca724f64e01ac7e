/* A lane: one thread that shares nothing, with its partitions, jobs, connections and timers on one event loop. */
#ifndef PR_FLOW_LANE_H
#define PR_FLOW_LANE_H

#include "base/container.h"
#include "base/heap.h"
#include "base/mailbox.h"
#include "core/tracker.h"
#include "flow/budget.h"
#include "flow/job.h"
#include "flow/pairs.h"
#include "flow/process.h"
#include "flow/sender.h"
#include "flow/stall.h"
#include "flow/stat.h"
#include "pg/pg.h"

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>

struct pr_gate;
struct pr_http;
struct pr_secrets;
struct pr_claimer;
struct pr_settler;
struct pr_watcher;
struct pr_lane;

/* A connection on the lane's loop. */
struct pr_link {
    struct pr_lane *lane;
    struct pr_pg *pg;
    struct event *io, *timer;
    int fd;
    uint64_t socket; /* number of the descriptor's opening: libpq reopens the same one */
    short kind;
};

/* What consumer and lane know together of a partition; lives as long as the process. */
struct pr_part_flow {
    _Atomic int64_t held;  /* bytes of records on their way to the backlog or in it, by pr_budget_cost */
    _Atomic int64_t ahead; /* records that librdkafka has fetched and nobody took yet, a moment ago */
    _Atomic int64_t lag;   /* records that Kafka has beyond the last settled one, a moment ago */
};

/* One partition of one topic in this lane, from its assignment to its last open job. */
struct pr_part {
    TAILQ_ENTRY(pr_part) link;
    int topic; /* place in process->topics */
    int32_t part;
    int64_t assignment; /* number of the assignment: offsets of an earlier one are not stored */
    struct pr_tracker tracker;
    rd_kafka_message_t **backlog; /* ring of records taken from Kafka and not yet decoded; owned */
    uint32_t backlog_room, backlog_head, backlog_n;
    struct pr_part_flow *flow; /* shared with the consumer */
    uint32_t open;             /* jobs that point here */
    int64_t reported;          /* offset last told to the consumer */
    int64_t revoke_end_ns;     /* when the consumer is answered at the latest */
    bool is_revoked, is_answered;
};
TAILQ_HEAD(pr_part_list, pr_part);

/* A contact that changed while claims were under way: their answers are looked at again. */
struct pr_touch {
    int64_t contact;
    int64_t at_ns;
};
enum { PR_TOUCHES = 256 };

/*
 * One lane's thread only, except the fields marked shared. Rooms (gate, claim, send, settle, intake) add their own part by pointer; the loop calls
 * them by the table that main.c hands over, so flow knows none of them.
 */
struct pr_lane {
    int index;
    struct pr_process *process;      /* shared */
    struct pr_mailbox box;           /* shared: what the consumer sends */
    struct pr_mailbox *consumer_box; /* shared: what the lane tells the consumer */
    _Atomic int64_t turned_ns;       /* shared: when the loop last turned, for /healthz */
    pthread_t thread;

    struct event_base *base;
    struct event *box_event, *wake_event;
    struct pr_link claim_link, settle_link;
    const struct pr_room *rooms;
    size_t rooms_n;

    int64_t now_ns;   /* CLOCK_MONOTONIC of this turn */
    int64_t now_us;   /* the database's clock, as far as known, of this turn */
    int64_t wake_ns;  /* earliest moment a room wants to be called again; set anew each turn */
    bool is_draining; /* nothing new; what is claimed is finished or written back */
    bool is_fenced;   /* our lease is over: nothing is claimed and nothing sent */
    int64_t drain_end_ns;

    struct pr_book *book; /* NULL until first read */
    struct pr_jobs jobs;
    int64_t cost;          /* bytes that the jobs are counted with */
    size_t returned_n;     /* jobs that came from `deferred` */
    struct pr_heap timers; /* jobs by the moment to look at them again */
    struct pr_part_list parts;
    struct pr_job_list passed;     /* GATED: passed the gate (queue link) */
    struct pr_job_list to_prepare; /* GATED: prepared anew, because something changed (queue link) */
    struct pr_job_list to_claim;   /* CLAIMING: in no statement yet, and to be sent if the claim says so (queue link) */
    struct pr_job_list to_hold; /* CLAIMING: the same for what the claim will not send now: deferred, refused, fences, control */
    struct pr_job_list to_settle; /* SETTLING: in no statement yet (queue link) */
    struct pr_job_list to_finish; /* SETTLING: nothing left to write (queue link) */
    struct pr_senders senders;
    struct pr_pairs pairs;
    int64_t token_ns;            /* when the senders' token files are looked at next */
    int64_t dead_minute, dead_n; /* dead letters of this minute */
    bool is_stopped_by_dead;     /* more of them than is allowed: intake waits for the next minute */
    struct pr_touch touches[PR_TOUCHES];
    size_t touch_next;
    int64_t touch_lost_ns; /* the newest that had to make room: claims sent until then count as touched */
    struct pr_stat stat;
    struct pr_stall stall;
    struct pr_metric_lane *metric;

    struct pr_gate *gate;
    struct pr_claimer *claimer;
    struct pr_http *http;
    struct pr_secrets *secrets;
    struct pr_settler *settler;
    struct pr_watcher *watcher;
};

/* What a room does in each turn of the loop. Any field may be NULL. */
struct pr_room {
    const char *name;
    bool (*open)(struct pr_lane *lane); /* false: cannot start, said in the log */
    void (*turn)(struct pr_lane *lane);
    void (*close)(struct pr_lane *lane);
};

/* Prepares a lane; no thread yet. False without memory or descriptors. */
bool pr_lane_init(struct pr_lane *lane, int index, struct pr_process *process, struct pr_mailbox *consumer_box,
                  const struct pr_room *rooms, size_t rooms_n) PR_MUST_CHECK;
bool pr_lane_start(struct pr_lane *lane) PR_MUST_CHECK;
void pr_lane_join(struct pr_lane *lane);
void pr_lane_free(struct pr_lane *lane);

/* A room wants to be called again at `at_ns` at the latest. */
void pr_lane_wake_at(struct pr_lane *lane, int64_t at_ns);

/* Sends a statement on a link: pr_pg_send with the loop's bookkeeping. */
bool pr_link_send(struct pr_link *link, const char *name, const char *sql, struct pr_params *params, pr_pg_done *done,
                  void *arg) PR_MUST_CHECK;

/* Puts a job into SETTLING with what is to be written (enum pr_job_write, 0: nothing); what comes after is `next`. The job must be on no queue. */
void pr_lane_settle(struct pr_lane *lane, struct pr_job *job, unsigned writes, enum pr_job_next next);

/* A claimed job that curl does not have is written back and decided again, or dropped with its partition. READY or WAITING only. */
void pr_lane_take_back(struct pr_lane *lane, struct pr_job *job, enum pr_job_next next);

/* A claimed job comes back later: fills `parking`. `reason` is static. */
void pr_job_park(struct pr_job *job, int16_t state, const char *reason, int64_t due_us, int64_t wait_ms);

/* What new jobs are for; each may use the lane's memory up to a quarter beyond the one before it, so that a backlog of bulk leaves room. */
enum pr_memory_use { PR_MEMORY_BULK, PR_MEMORY_EVENTS, PR_MEMORY_RETURNED };

/*
 * Memory: a job is counted with four times its record (bytes, parsed form, body) and 4 KiB. Nothing new is taken while the lane's part of
 * dispatch.memory.max, half of which is for records on their way, is used up: half of it for bulk, three quarters for events.
 */
void pr_lane_charge(struct pr_lane *lane, struct pr_job *job, size_t record_bytes);
bool pr_lane_has_memory(const struct pr_lane *lane, enum pr_memory_use use);
int64_t pr_lane_memory(const struct pr_lane *lane); /* the lane's part */

/* What the partition's records are. */
enum pr_memory_use pr_part_use(const struct pr_lane *lane, const struct pr_part *part);

/* A job that the claim will not let go now, or did not: when it is bulk, the lane takes bulk in more slowly. */
void pr_lane_put_off(struct pr_lane *lane, struct pr_job *job);

/* Whether the next record of the partition's backlog may be taken: there is one, its window and the lane's memory have room, and bulk does
 * not rest. */
bool pr_part_may_take(const struct pr_lane *lane, const struct pr_part *part);

/* All jobs are gone and nothing is left to write. */
bool pr_lane_is_empty(const struct pr_lane *lane);

#endif
