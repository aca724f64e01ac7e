/* The table of senders' buckets behind one lock. */
#include "flow/shape.h"

#include <string.h>

void pr_shapes_init(struct pr_shapes *shapes) {
    memset(shapes, 0, sizeof(*shapes));
    pthread_mutex_init(&shapes->lock, NULL);
}

/* The caller holds the lock. */
static struct pr_shape *find(struct pr_shapes *shapes, int32_t sender) {
    for (uint32_t i = 0; i < shapes->n; i++) {
        if (shapes->shape[i].sender == sender) {
            return &shapes->shape[i];
        }
    }
    return NULL;
}

bool pr_shapes_set(struct pr_shapes *shapes, int32_t sender, double per_s, int64_t now_ns) {
    bool is_known = true;
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    if (shape && shape->per_s <= 0) { /* stopped before its rate was known */
        shape->per_s = per_s;
        pr_rate_init(&shape->rate, per_s, now_ns);
    } else if (shape && shape->per_s != per_s) {
        shape->per_s = per_s;
        pr_rate_set(&shape->rate, per_s, now_ns);
    } else if (!shape && shapes->n < PR_SHAPES_MAX) {
        shape = &shapes->shape[shapes->n++];
        *shape = (struct pr_shape){.sender = sender, .per_s = per_s};
        pr_rate_init(&shape->rate, per_s, now_ns);
    } else if (!shape) {
        is_known = false;
    }
    pthread_mutex_unlock(&shapes->lock);
    return is_known;
}

bool pr_shapes_take(struct pr_shapes *shapes, int32_t sender, int64_t now_ns, int64_t *wait_ns) {
    bool is_taken = false;
    *wait_ns = INT64_C(1000000000);
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    if (shape && now_ns < shape->stopped_until_ns) {
        *wait_ns = shape->stopped_until_ns - now_ns;
    } else if (shape && shape->per_s > 0) {
        is_taken = pr_rate_take(&shape->rate, now_ns);
        *wait_ns = pr_rate_wait(&shape->rate, now_ns);
    }
    pthread_mutex_unlock(&shapes->lock);
    return is_taken;
}

static bool stop_until(struct pr_shapes *shapes, int32_t sender, int64_t until_ns, bool is_pause) {
    bool is_news = false;
    pthread_mutex_lock(&shapes->lock);
    struct pr_shape *shape = find(shapes, sender);
    if (!shape && shapes->n < PR_SHAPES_MAX) {
        shape = &shapes->shape[shapes->n++];
        *shape = (struct pr_shape){.sender = sender};
    }
    if (shape && !is_pause) {
        is_news = shape->is_stopped != (until_ns != 0);
        shape->is_stopped = until_ns != 0;
    }
    if (shape && (!is_pause || until_ns > shape->stopped_until_ns)) {
        shape->stopped_until_ns = until_ns;
    }
    pthread_mutex_unlock(&shapes->lock);
    return is_news;
}

void pr_shapes_pause(struct pr_shapes *shapes, int32_t sender, int64_t now_ns, int64_t pause_ns) {
    (void)stop_until(shapes, sender, now_ns + pause_ns, true);
}

bool pr_shapes_stop(struct pr_shapes *shapes, int32_t sender, int64_t until_ns) {
    return stop_until(shapes, sender, until_ns, false);
}

bool pr_shapes_is_up(struct pr_shapes *shapes, int32_t sender, int64_t now_ns) {
    pthread_mutex_lock(&shapes->lock);
    const struct pr_shape *shape = find(shapes, sender);
    bool is_up = !shape || now_ns >= shape->stopped_until_ns;
    pthread_mutex_unlock(&shapes->lock);
    return is_up;
}
