/* A circuit breaker: opened by a share of failures or by a word of the platform, closed again by one probe that succeeds. */
#ifndef PR_CORE_BREAKER_H
#define PR_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum pr_breaker_state {
    PR_BREAKER_CLOSED,  /* all may pass */
    PR_BREAKER_OPEN,    /* nothing may, until it has rested */
    PR_BREAKER_PROBING, /* one request is out; the rest waits for its answer */
};

/* What an answer says about whom the breaker stands for. */
enum pr_mark { PR_MARK_GOOD, PR_MARK_BAD, PR_MARK_NONE };

enum pr_breaker_change { PR_BREAKER_SAME, PR_BREAKER_OPENED, PR_BREAKER_REOPENED, PR_BREAKER_RECOVERED };

/*
 * It opens when at least LEAST answers of the last WINDOW seconds said something and half of them or more were bad; or, where so many never come (a slow
 * sender, few places on the wire, requests that hang), when the last ROW of them or more were all bad over at least WINDOW seconds.
 */
enum { PR_BREAKER_WINDOW_S = 10, PR_BREAKER_LEAST = 20, PR_BREAKER_ROW = 5 };

/* It rests 5 s, then twice as long after each probe that failed, at most a minute. */
#define PR_BREAKER_REST_NS (INT64_C(5) * 1000000000)
#define PR_BREAKER_REST_MAX_NS (INT64_C(60) * 1000000000)

/* A probe without an answer is given up after this: longer than any request may take (provider.timeout is at most two minutes). */
#define PR_BREAKER_PROBE_NS (INT64_C(150) * 1000000000)

/* One thread at a time. Times are monotonic. All zero is a closed one. */
struct pr_breaker {
    enum pr_breaker_state state;
    bool is_stopped;  /* opened by pr_breaker_stop */
    int64_t since_ns; /* answers to requests that left before say nothing any more */
    int64_t until_ns; /* OPEN: when a probe may go; PROBING: when it counts as lost */
    int64_t rest_ns;
    int64_t second; /* the newest of the window */
    uint32_t good[PR_BREAKER_WINDOW_S], bad[PR_BREAKER_WINDOW_S];
    uint32_t row;   /* bad answers since the last good one */
    int64_t row_ns; /* the first of them */
};

/* Whether a request could pass now. */
bool pr_breaker_may_pass(const struct pr_breaker *breaker, int64_t now_ns);

/* A request passes; when the breaker has rested it is the probe. False: not this one. */
bool pr_breaker_pass(struct pr_breaker *breaker, int64_t now_ns);

/* The request that passed at `started_ns` did not leave after all: if it was the probe, another may be. */
void pr_breaker_unpass(struct pr_breaker *breaker, int64_t started_ns, int64_t now_ns);

/*
 * An answer to a request that left at `started_ns`. While it probes, a good one closes, a bad one opens again, and one that says nothing lets
 * another probe go at once.
 */
enum pr_breaker_change pr_breaker_mark(struct pr_breaker *breaker, enum pr_mark mark, int64_t started_ns,
                                       int64_t now_ns);

/* Opens it at once and for `rest_ns`, probe after probe. False when that is no news: it was stopped, or the answer is older than what we know. */
bool pr_breaker_stop(struct pr_breaker *breaker, int64_t started_ns, int64_t now_ns, int64_t rest_ns);

/* Closes it: whoever knows that it is cured. True when it was not closed. */
bool pr_breaker_clear(struct pr_breaker *breaker, int64_t now_ns);

/* Of the window as it stands, or of a row of bad ones that began before it. */
void pr_breaker_counts(const struct pr_breaker *breaker, uint32_t *bad, uint32_t *all);

#endif
