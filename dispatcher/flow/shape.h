/* Shaping: one token bucket a sender for the whole process, and whether the sender may send at all. */
#ifndef PR_FLOW_SHAPE_H
#define PR_FLOW_SHAPE_H

#include "core/rate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { PR_SHAPES_MAX = 1024 };

/* One sender as this process sees it. All fields private. */
struct pr_shape {
    int32_t sender;
    double per_s; /* this process's part */
    struct pr_rate rate;
    int64_t stopped_until_ns; /* monotonic; 0: neither stopped nor paused */
    bool is_stopped;          /* by pr_shapes_stop: a pause is no news and does not make a stop none */
};

/* Any thread; a short lock around a few numbers. */
struct pr_shapes {
    pthread_mutex_t lock;
    uint32_t n;
    struct pr_shape shape[PR_SHAPES_MAX];
};

void pr_shapes_init(struct pr_shapes *shapes);

/* Notes a sender and its rate (messages a second for this process), or its new rate. False when there are too many senders. */
bool pr_shapes_set(struct pr_shapes *shapes, int32_t sender, double per_s, int64_t now_ns);

/* One message may go now; otherwise `wait_ns` says when to ask again. Senders that are not known wait. */
bool pr_shapes_take(struct pr_shapes *shapes, int32_t sender, int64_t now_ns, int64_t *wait_ns);

/* Throttled by the platform (130429): nothing goes for `pause_ns`. */
void pr_shapes_pause(struct pr_shapes *shapes, int32_t sender, int64_t now_ns, int64_t pause_ns);

/* The sender cannot send (token, account): nothing goes until then; 0 lets it go again. True when that is news. */
bool pr_shapes_stop(struct pr_shapes *shapes, int32_t sender, int64_t until_ns);

/* Nothing says that it may not send; one that is not known is up. */
bool pr_shapes_is_up(struct pr_shapes *shapes, int32_t sender, int64_t now_ns);

#endif
