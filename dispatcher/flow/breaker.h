/* Circuit breakers of one kind, senders or templates, by id: who may send, and what is told when that changes. */
#ifndef PR_FLOW_BREAKER_H
#define PR_FLOW_BREAKER_H

#include "core/breaker.h"
#include "flow/ids.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PR_BREAKERS_MAX = PR_IDS_MAX, PR_BREAKER_REASONS = 6, PR_BREAKER_TEXT = 200 };

/* One sender or template. All fields private. */
struct pr_breaker_entry {
    struct pr_breaker breaker;
    int64_t shut_ns; /* since when it is not closed */
    uint32_t held;   /* messages that were told when to come back since then */
    struct pr_breaker_reason {
        const char *reason; /* static */
        uint32_t n;
    } reasons[PR_BREAKER_REASONS]; /* of bad answers; the last one takes what has no room */
    int64_t bad_ns;                /* of the last bad answer */
};

/* Any thread; a short lock. One that is not known is closed, and one that finds no room stays so. */
struct pr_breakers {
    pthread_mutex_t lock;
    _Atomic uint32_t shut_n; /* those that are not closed */
    struct pr_ids ids;
    struct pr_breaker_entry entry[PR_BREAKERS_MAX];
};

void pr_breakers_init(struct pr_breakers *breakers);

/* Whether a message could go now; see pr_breaker_may_pass. */
bool pr_breakers_is_up(struct pr_breakers *breakers, int32_t id, int64_t now_ns);

/* A message goes now: the probe, when one is due. False: not this one. */
bool pr_breakers_pass(struct pr_breakers *breakers, int32_t id, int64_t now_ns);
void pr_breakers_unpass(struct pr_breakers *breakers, int32_t id, int64_t started_ns, int64_t now_ns);

/* What an operator is told of a change. */
struct pr_breaker_report {
    enum pr_breaker_change change;
    bool was_stopped;
    uint32_t bad, all; /* OPENED: answers of the window */
    int64_t shut_ns;   /* RECOVERED: how long it was not closed; OPENED: how long it rests */
    char reasons[PR_BREAKER_TEXT];
};

/* An answer to a request that left at `started_ns`; `reason` is static. */
void pr_breakers_mark(struct pr_breakers *breakers, int32_t id, enum pr_mark mark, const char *reason,
                      int64_t started_ns, int64_t now_ns, struct pr_breaker_report *report);

/* Stopped by a word of the platform; true when that is news. */
bool pr_breakers_stop(struct pr_breakers *breakers, int32_t id, int64_t started_ns, int64_t now_ns, int64_t rest_ns);

/* Cured by somebody's hand; true when it was not closed. */
bool pr_breakers_clear(struct pr_breakers *breakers, int32_t id, int64_t now_ns);

/*
 * How long a message that cannot go should stay away: the first until the next probe, the others spread over as long again as it rests, because one
 * of them is enough to try. 0: it can go. `is_stopped` says by what.
 */
int64_t pr_breakers_hold(struct pr_breakers *breakers, int32_t id, int64_t now_ns, bool *is_stopped);

#endif
