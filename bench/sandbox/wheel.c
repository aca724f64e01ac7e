/* A hashed timing wheel: start and stop cost a list operation, whatever the number of timers. */
#include "wheel.h"

#include "base/clock.h"

#include <event2/event.h>
#include <sys/time.h>

static int64_t now_ms(void) {
    return pr_clock_mono_ns() / 1000000;
}

static struct pr_timer_list *wheel_slot(struct pr_wheel *wheel, int64_t ms) {
    return &wheel->slot[(uint64_t)ms % PR_WHEEL_SLOTS];
}

/* Sleeps until the next slot that holds anything; it may hold only timers of a later turn, which costs one look. */
static void wheel_arm(struct pr_wheel *wheel) {
    if (wheel->n == 0) {
        wheel->is_armed = false;
        return;
    }
    int64_t next = wheel->done_ms + 1;
    while (LIST_EMPTY(wheel_slot(wheel, next)) && next < wheel->done_ms + PR_WHEEL_SLOTS) {
        next++;
    }
    int64_t wait = next - now_ms();
    wait = wait < 0 ? 0 : wait;
    struct timeval tv = {.tv_sec = wait / 1000, .tv_usec = (wait % 1000) * 1000};
    wheel->armed_ms = next;
    wheel->is_armed = event_add(wheel->tick, &tv) == 0;
}

/* What is due moves to a list of its own first, because a timer that fires may start or stop any other. */
static void wheel_run_slot(struct pr_wheel *wheel, int64_t ms) {
    struct pr_timer_list due = LIST_HEAD_INITIALIZER(due);
    struct pr_timer *timer;
    struct pr_timer *next;
    LIST_FOREACH_SAFE (timer, wheel_slot(wheel, ms), link, next) {
        if (timer->due_ms <= ms) {
            LIST_REMOVE(timer, link);
            LIST_INSERT_HEAD(&due, timer, link);
        }
    }
    while ((timer = LIST_FIRST(&due)) != NULL) {
        pr_wheel_stop(wheel, timer);
        timer->fire(timer);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct pr_wheel *wheel = arg;
    wheel->is_armed = false;
    int64_t now = now_ms();
    int64_t from = wheel->done_ms + 1;
    if (now - from >= PR_WHEEL_SLOTS) {
        from = now - PR_WHEEL_SLOTS + 1;
    }
    for (int64_t ms = from; ms <= now; ms++) {
        wheel->done_ms = ms;
        wheel_run_slot(wheel, ms);
    }
    wheel_arm(wheel);
}

bool pr_wheel_init(struct pr_wheel *wheel, struct event_base *base) {
    for (int i = 0; i < PR_WHEEL_SLOTS; i++) {
        LIST_INIT(&wheel->slot[i]);
    }
    wheel->done_ms = now_ms();
    wheel->n = 0;
    wheel->is_armed = false;
    wheel->tick = event_new(base, -1, 0, on_tick, wheel);
    return wheel->tick != NULL;
}

void pr_wheel_free(struct pr_wheel *wheel) {
    if (wheel->tick) {
        event_free(wheel->tick);
        wheel->tick = NULL;
    }
}

void pr_wheel_start(struct pr_wheel *wheel, struct pr_timer *timer, int64_t delay_us, void (*fire)(struct pr_timer *)) {
    pr_wheel_stop(wheel, timer);
    int64_t now_us = pr_clock_mono_ns() / 1000;
    if (wheel->n == 0) {
        wheel->done_ms = now_us / 1000;
    }
    int64_t due = (now_us + delay_us + 999) / 1000;
    timer->due_ms = due <= wheel->done_ms ? wheel->done_ms + 1 : due;
    timer->fire = fire;
    timer->is_set = true;
    LIST_INSERT_HEAD(wheel_slot(wheel, timer->due_ms), timer, link);
    wheel->n++;
    if (!wheel->is_armed || timer->due_ms < wheel->armed_ms) {
        struct timeval tv = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
        wheel->armed_ms = timer->due_ms;
        wheel->is_armed = event_add(wheel->tick, &tv) == 0;
    }
}

void pr_wheel_stop(struct pr_wheel *wheel, struct pr_timer *timer) {
    if (timer->is_set) {
        LIST_REMOVE(timer, link);
        timer->is_set = false;
        wheel->n--;
    }
}
