/* Shaping: what this process may send by each sender now: its share of the sender's rate, less what the platform made it give up. */
#ifndef PR_FLOW_SHAPE_H
#define PR_FLOW_SHAPE_H

#include "core/ramp.h"
#include "core/rate.h"
#include "flow/ids.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PR_SHAPES_MAX = 1024, PR_SHAPE_NAME = 64 };

/* A sender as the book has it. */
struct pr_shape_facts {
    int32_t tenant, sender;
    double rate;              /* messages a second, all processes together */
    char name[PR_SHAPE_NAME]; /* for metrics */
};

/* One sender as this process sees it. All fields private. */
struct pr_shape {
    struct pr_shape_facts facts;
    double share;          /* of the rate: what we may use until `share_end_ns` */
    double fair;           /* what we would get with messages waiting; 0: not told yet */
    int64_t share_end_ns;  /* CLOCK_BOOTTIME; 0: never had one */
    struct pr_rate bucket; /* per_s_nano 0: not filled yet */
    double per_s;          /* what the bucket is set to */
    int64_t set_ns;
    struct pr_ramp ramp;
    int64_t taken_ns;        /* monotonic, when a message last went or first asked to; 0: never */
    int64_t paused_until_ns; /* monotonic */
    int64_t denied_ns;       /* when a message last waited for us; 0: never */
    uint32_t waiting;        /* messages that waited then */
    int64_t measured_ns;
    uint32_t taken; /* since measured_ns */
    double recent;  /* messages a second, lately */
    double weight;  /* last asked with */
};

/* Any thread; a short lock around a few numbers. */
struct pr_shapes {
    pthread_mutex_t lock;
    int64_t (*boot_ns)(void); /* CLOCK_BOOTTIME: a share must not outlive a frozen process unnoticed */
    _Atomic bool is_asking;   /* somebody should ask for shares now */
    struct pr_ids ids;
    struct pr_shape shape[PR_SHAPES_MAX];
};

void pr_shapes_init(struct pr_shapes *shapes);

/* Notes a sender, or its new rate, which a share never exceeds from now on. False when there are too many senders. */
bool pr_shapes_set(struct pr_shapes *shapes, const struct pr_shape_facts *facts);

/*
 * One message may go now; otherwise `wait_ns` says when to ask again. Without a valid share, by the clock read now and not by the turn's, it waits;
 * so does a sender that is not known. The first ever, and the first in a minute, begin a second at half of the rate: connections are opened.
 * `waiting`: messages of this sender in the whole process, this one included, about; the share follows them.
 */
bool pr_shapes_take(struct pr_shapes *shapes, int32_t sender, uint32_t waiting, int64_t now_ns, int64_t *wait_ns);

/* Whether the share is valid at this very moment: for what waited between its token and the wire. */
bool pr_shapes_has_share(struct pr_shapes *shapes, int32_t sender);

/* Messages a second that this process may send now; 0 without a valid share. */
double pr_shapes_per_s(struct pr_shapes *shapes, int32_t sender, int64_t now_ns);

/* Messages a second that this process can count on once its share has followed its messages: for estimates of a wait. */
double pr_shapes_expected(struct pr_shapes *shapes, int32_t sender, int64_t now_ns);

/* The platform asked for it: nothing goes for `pause_ns`. A long pause is followed by a slow start. */
void pr_shapes_pause(struct pr_shapes *shapes, int32_t sender, int64_t now_ns, int64_t pause_ns);

/* Too fast for the platform (130429), by a request that left at `started_ns`. True when that halved the rate. */
bool pr_shapes_too_fast(struct pr_shapes *shapes, int32_t sender, int64_t started_ns, int64_t now_ns);

/* It may send again after a stop or an outage: slowly at first. */
void pr_shapes_restart(struct pr_shapes *shapes, int32_t sender, int64_t now_ns);

/* Not paused at `at_ns`; one that is not known is up. */
bool pr_shapes_is_up(struct pr_shapes *shapes, int32_t sender, int64_t at_ns);

/* ---- for whoever asks for shares ---- */

/* One line of the question. */
struct pr_share_ask {
    int32_t tenant, sender;
    double using;  /* at most this from now on, until the answer says more */
    double weight; /* the part of the rate that would do; PR_SHARE_IDLE to 1 */
};
#define PR_SHARE_IDLE 0.02

/* Fills the question, sorted by tenant and sender; returns the number of lines. */
size_t pr_shapes_ask(struct pr_shapes *shapes, int64_t now_ns, struct pr_share_ask ask[PR_SHAPES_MAX]);

/* An answer: `share` is ours until `end_boot_ns`; `fair` is what we would get with messages waiting. */
enum pr_granted { PR_GRANTED, PR_GRANTED_LESS, PR_GRANTED_TOO_LITTLE };
enum pr_granted pr_shapes_grant(struct pr_shapes *shapes, int32_t sender, double share, double fair,
                                int64_t end_boot_ns, int64_t now_ns);

/* What is held of each sender now, for metrics: calls `each` without the lock. */
void pr_shapes_each(struct pr_shapes *shapes, void (*each)(void *arg, const char *name, double share), void *arg);

#endif
