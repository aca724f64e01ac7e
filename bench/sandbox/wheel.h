/* Many timers of one millisecond's grain on one libevent timer: answers that wait, hangs that end, receipts that are due. */
#ifndef PR_SANDBOX_WHEEL_H
#define PR_SANDBOX_WHEEL_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

/* Zeroed before first use. Owned by the caller, who stops it before giving its memory back. */
struct pr_timer {
    LIST_ENTRY(pr_timer) link;
    int64_t due_ms;
    void (*fire)(struct pr_timer *timer); /* called once, with the timer already stopped; may start or stop any timer */
    bool is_set;
};

enum {
    PR_WHEEL_SLOTS = 4096
}; /* about four seconds a turn; a timer further away is passed over until its turn comes */

struct pr_wheel {
    LIST_HEAD(pr_timer_list, pr_timer) slot[PR_WHEEL_SLOTS];
    struct event *tick;
    int64_t done_ms;  /* every slot up to this millisecond has been looked at */
    uint64_t n;       /* timers set */
    int64_t armed_ms; /* the millisecond slept for, while is_armed */
    bool is_armed;
};

/* False when libevent refuses its timer. */
bool pr_wheel_init(struct pr_wheel *wheel, struct event_base *base);
void pr_wheel_free(struct pr_wheel *wheel);

/* Fires `fire` after `delay_us` (at least one millisecond), rounded up to a millisecond. A set timer is moved. */
void pr_wheel_start(struct pr_wheel *wheel, struct pr_timer *timer, int64_t delay_us, void (*fire)(struct pr_timer *));

/* Nothing happens when it is not set. */
void pr_wheel_stop(struct pr_wheel *wheel, struct pr_timer *timer);

#endif
