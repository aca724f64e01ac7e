/* The table of senders' shares and buckets behind one lock. */
#include "flow/shape.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static const int64_t second_ns = 1000000000;
static const int64_t refresh_ns = 100 * 1000 * 1000;    /* while a ramp changes what may go */
static const int64_t no_share_ns = 20 * 1000 * 1000;    /* to look again: a share may come any moment */
static const int64_t waiting_ns = 2 * second_ns;        /* a message that waited so long ago counts as waiting */
static const int64_t least_measured_ns = second_ns / 2; /* one message in a moment is no rate */
static const int64_t long_pause_ns = 2 * second_ns;
static const int64_t cold_ns = 60 * second_ns; /* after so long without a message, connections may have been closed */

/* Seconds of a start: after an outage the platform may be weak; connections that are opened take less than one. */
enum { START_COLD = 1, START_SLOW = 3 };

void pr_shapes_init(struct pr_shapes *shapes) {
    memset(shapes, 0, sizeof(*shapes));
    pthread_mutex_init(&shapes->lock, NULL);
    shapes->boot_ns = pr_clock_boot_ns;
}

/* The caller holds the lock. */
static struct pr_shape *find(struct pr_shapes *shapes, int32_t sender) {
    uint32_t place = pr_ids_find(&shapes->ids, sender);
    return place != PR_IDS_NONE ? &shapes->shape[place] : NULL;
}

/* What is ours now. */
static double share_of(const struct pr_shapes *shapes, const struct pr_shape *shape) {
    return shape->share_end_ns != 0 && shapes->boot_ns() < shape->share_end_ns ? shape->share : 0;
}

bool pr_shapes_set(struct pr_shapes *shapes, const struct pr_shape_facts *facts) {
    pthread_mutex_lock(&shapes->lock);
    uint32_t before = shapes->ids.n;
    uint32_t place = pr_ids_add(&shapes->ids, facts->sender, PR_SHAPES_MAX);
    if (place != PR_IDS_NONE) {
        struct pr_shape *shape = &shapes->shape[place];
        bool is_new = shapes->ids.n > before;
        if (is_new) {
            pr_ramp_init(&shape->ramp);
            shape->weight = PR_SHARE_IDLE;
        }
        if (is_new || shape->facts.rate != facts->rate) {
            atomic_store(&shapes->is_asking, true);
        }
        shape->facts = *facts;
        shape->share = shape->share > facts->rate ? facts->rate : shape->share;
        shape->fair = shape->fair > facts->rate ? facts->rate : shape->fair;
    }
    pthread_mutex_unlock(&shapes->lock);
    return place != PR_IDS_NONE;
}

/* Growing keeps what is in the bucket, so that no growth is a burst. */
static void set_bucket(struct pr_shape *shape, double share, int64_t now_ns) {
    if (shape->bucket.per_s_nano != 0 && shape->set_ns != 0 && now_ns - shape->set_ns < refresh_ns &&
        shape->per_s <= share) {
        return;
    }
    double per_s = pr_ramp_per_s(&shape->ramp, share, now_ns);
    if (shape->bucket.per_s_nano == 0) {
        pr_rate_init(&shape->bucket, per_s, now_ns);
    } else if (per_s != shape->per_s) {
        pr_rate_set(&shape->bucket, per_s, now_ns);
    }
    shape->per_s = per_s;
    shape->set_ns = now_ns;
}

/* A message waits for us: whoever has not asked as one with messages asks now. */
static void deny(struct pr_shapes *shapes, struct pr_shape *shape, uint32_t waiting, int64_t now_ns) {
    if (shape->denied_ns == 0 || now_ns - shape->denied_ns >= waiting_ns) {
        atomic_store(&shapes->is_asking, true);
    }
    shape->denied_ns = now_ns;
    shape->waiting = waiting;
}

/* The next take looks at the ramp again. */
static void start_at(struct pr_shape *shape, int64_t from_ns, int steps) {
    pr_ramp_start(&shape->ramp, from_ns, steps);
    shape->set_ns = 0;
}

/* What is taken while connections are opened leaves when they are open, all at once: that must not be a whole rate's worth. */
static void start_cold(struct pr_shape *shape, int64_t now_ns) {
    if (shape->taken_ns == 0 || now_ns - shape->taken_ns >= cold_ns) {
        shape->taken_ns = now_ns;
        if (!pr_ramp_is_starting(&shape->ramp, now_ns)) {
            start_at(shape, now_ns, START_COLD);
        }
    }
}

bool pr_shapes_take(struct pr_shapes *shapes, int32_t sender, uint32_t waiting, int64_t now_ns, int64_t *wait_ns) {
    bool is_taken = false;
    *wait_ns = no_share_ns;
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    double share = shape ? share_of(shapes, shape) : 0;
    if (shape && now_ns < shape->paused_until_ns) {
        *wait_ns = shape->paused_until_ns - now_ns;
    } else if (share > 0) {
        start_cold(shape, now_ns);
        set_bucket(shape, share, now_ns);
        is_taken = pr_rate_take(&shape->bucket, now_ns);
        *wait_ns = pr_rate_wait(&shape->bucket, now_ns);
    }
    if (is_taken) {
        shape->taken++;
        shape->taken_ns = now_ns;
    } else if (shape && now_ns >= shape->paused_until_ns) {
        deny(shapes, shape, waiting, now_ns);
    }
    pthread_mutex_unlock(&shapes->lock);
    return is_taken;
}

bool pr_shapes_has_share(struct pr_shapes *shapes, int32_t sender) {
    pthread_mutex_lock(&shapes->lock);
    const struct pr_shape *shape = find(shapes, sender);
    bool has_share = shape && share_of(shapes, shape) > 0;
    pthread_mutex_unlock(&shapes->lock);
    return has_share;
}

double pr_shapes_per_s(struct pr_shapes *shapes, int32_t sender, int64_t now_ns) {
    pthread_mutex_lock(&shapes->lock);
    const struct pr_shape *shape = find(shapes, sender);
    double per_s = shape ? pr_ramp_per_s(&shape->ramp, share_of(shapes, shape), now_ns) : 0;
    pthread_mutex_unlock(&shapes->lock);
    return per_s;
}

/* Before the first answer nobody knows of others; and an idle process holds little, but gets its part as soon as it has messages. */
double pr_shapes_expected(struct pr_shapes *shapes, int32_t sender, int64_t now_ns) {
    double per_s = 0;
    pthread_mutex_lock(&shapes->lock);
    const struct pr_shape *shape = find(shapes, sender);
    if (shape) {
        double share = share_of(shapes, shape);
        double most = share > shape->fair ? share : shape->fair;
        per_s = pr_ramp_lasting(&shape->ramp, most > 0 ? most : shape->facts.rate, now_ns);
    }
    pthread_mutex_unlock(&shapes->lock);
    return per_s;
}

void pr_shapes_pause(struct pr_shapes *shapes, int32_t sender, int64_t now_ns, int64_t pause_ns) {
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    if (shape && now_ns + pause_ns > shape->paused_until_ns) {
        shape->paused_until_ns = now_ns + pause_ns;
        if (pause_ns >= long_pause_ns) {
            start_at(shape, shape->paused_until_ns, START_SLOW);
        }
    }
    pthread_mutex_unlock(&shapes->lock);
}

bool pr_shapes_too_fast(struct pr_shapes *shapes, int32_t sender, int64_t started_ns, int64_t now_ns) {
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    bool is_halved = shape && pr_ramp_halve(&shape->ramp, started_ns, now_ns);
    if (is_halved) {
        shape->set_ns = 0;
    }
    pthread_mutex_unlock(&shapes->lock);
    return is_halved;
}

void pr_shapes_restart(struct pr_shapes *shapes, int32_t sender, int64_t now_ns) {
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    if (shape) {
        start_at(shape, now_ns, START_SLOW);
    }
    pthread_mutex_unlock(&shapes->lock);
}

bool pr_shapes_is_up(struct pr_shapes *shapes, int32_t sender, int64_t at_ns) {
    pthread_mutex_lock(&shapes->lock);
    const struct pr_shape *shape = find(shapes, sender);
    bool is_up = !shape || at_ns >= shape->paused_until_ns;
    pthread_mutex_unlock(&shapes->lock);
    return is_up;
}

/* ---- shares ---- */

static bool is_waiting(const struct pr_shape *shape, int64_t now_ns) {
    return shape->denied_ns != 0 && now_ns - shape->denied_ns < waiting_ns;
}

/*
 * The part of the rate that would do. With messages waiting: for as many as went lately, and for those that wait within half a second; so whoever has
 * twice the records has twice the share, and nothing stays unused with those who have fewer. Without: twice what went lately, which beside one other
 * process at full demand is always enough for what goes up to half of the rate.
 */
static double weigh(struct pr_shape *shape, int64_t now_ns) {
    int64_t since_ns = now_ns - shape->measured_ns;
    if (shape->measured_ns == 0 || since_ns >= least_measured_ns) {
        double per_s = shape->measured_ns != 0 ? (double)shape->taken / (double)since_ns * 1e9 : 0;
        shape->recent = per_s > shape->recent / 2 ? per_s : shape->recent / 2;
        shape->measured_ns = now_ns;
        shape->taken = 0;
    }
    double more = is_waiting(shape, now_ns) ? 2.0 * shape->waiting : shape->recent;
    double weight = (shape->recent + more) / shape->facts.rate;
    shape->weight = weight > 1 ? 1 : weight < PR_SHARE_IDLE ? PR_SHARE_IDLE : weight;
    return shape->weight;
}

/* What the weights give us once others have let go of it; `fair` is the same for a weight of 1. */
static double due(const struct pr_shape *shape) {
    double others = shape->fair > 0 ? shape->facts.rate / shape->fair - 1 : 0;
    return shape->facts.rate * shape->weight / (shape->weight + others);
}

static int by_key(const void *a, const void *b) {
    const struct pr_share_ask *x = a, *y = b;
    if (x->tenant != y->tenant) {
        return x->tenant < y->tenant ? -1 : 1;
    }
    return (x->sender > y->sender) - (x->sender < y->sender);
}

size_t pr_shapes_ask(struct pr_shapes *shapes, int64_t now_ns, struct pr_share_ask ask[PR_SHAPES_MAX]) {
    pthread_mutex_lock(&shapes->lock);
    atomic_store(&shapes->is_asking, false);
    size_t n = shapes->ids.n;
    for (size_t i = 0; i < n; i++) {
        struct pr_shape *shape = &shapes->shape[i];
        ask[i] = (struct pr_share_ask){.tenant = shape->facts.tenant,
                                       .sender = shape->facts.sender,
                                       .using = share_of(shapes, shape),
                                       .weight = weigh(shape, now_ns)};
    }
    pthread_mutex_unlock(&shapes->lock);
    qsort(ask, n, sizeof(*ask), by_key);
    return n;
}

enum pr_granted pr_shapes_grant(struct pr_shapes *shapes, int32_t sender, double share, double fair,
                                int64_t end_boot_ns, int64_t now_ns) {
    enum pr_granted granted = PR_GRANTED;
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    if (shape) {
        double was = share_of(shapes, shape);
        bool is_back = shape->share_end_ns != 0 && shapes->boot_ns() >= shape->share_end_ns;
        double most = shape->facts.rate;
        shape->share = share > most ? most : share;
        shape->fair = fair > most ? most : fair;
        shape->share_end_ns = end_boot_ns;
        if (is_back) {
            start_at(shape, now_ns, START_SLOW);
        }
        if (shape->share != was) {
            shape->set_ns = 0;
        }
        if (shape->share < was) {
            granted = PR_GRANTED_LESS;
        } else if (is_waiting(shape, now_ns) && shape->share < due(shape) * 0.99) {
            granted = PR_GRANTED_TOO_LITTLE;
        }
    }
    pthread_mutex_unlock(&shapes->lock);
    return granted;
}

void pr_shapes_each(struct pr_shapes *shapes, void (*each)(void *arg, const char *name, double share), void *arg) {
    pthread_mutex_lock(&shapes->lock);
    uint32_t n = shapes->ids.n;
    pthread_mutex_unlock(&shapes->lock);
    for (uint32_t i = 0; i < n; i++) { /* none is ever removed */
        char name[PR_SHAPE_NAME];
        pthread_mutex_lock(&shapes->lock);
        memcpy(name, shapes->shape[i].facts.name, sizeof(name));
        double share = share_of(shapes, &shapes->shape[i]);
        pthread_mutex_unlock(&shapes->lock);
        each(arg, name, share);
    }
}
