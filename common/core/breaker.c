/* The states and the sliding window of a circuit breaker: a slot a second, no clock. */
#include "core/breaker.h"

#include <string.h>

static const int64_t second_ns = 1000000000;

static void forget(struct pr_breaker *breaker) {
    memset(breaker->good, 0, sizeof breaker->good);
    memset(breaker->bad, 0, sizeof breaker->bad);
}

/* Moves the window so that it ends with this second; another thread's clock may be a little behind and moves nothing. */
static void slide(struct pr_breaker *breaker, int64_t second) {
    if (second - breaker->second >= PR_BREAKER_WINDOW_S) {
        forget(breaker);
        breaker->second = second;
    }
    while (breaker->second < second) {
        breaker->second++;
        breaker->good[breaker->second % PR_BREAKER_WINDOW_S] = 0;
        breaker->bad[breaker->second % PR_BREAKER_WINDOW_S] = 0;
    }
}

void pr_breaker_counts(const struct pr_breaker *breaker, uint32_t *bad, uint32_t *all) {
    *bad = *all = 0;
    for (int i = 0; i < PR_BREAKER_WINDOW_S; i++) {
        *bad += breaker->bad[i];
        *all += breaker->good[i] + breaker->bad[i];
    }
    if (breaker->row > *bad)
        *bad = *all = breaker->row;
}

static void open_for(struct pr_breaker *breaker, int64_t rest_ns, int64_t now_ns) {
    breaker->state = PR_BREAKER_OPEN;
    breaker->rest_ns = rest_ns;
    breaker->since_ns = now_ns;
    breaker->until_ns = now_ns + rest_ns;
}

static void close_at(struct pr_breaker *breaker, int64_t since_ns) {
    breaker->state = PR_BREAKER_CLOSED;
    breaker->is_stopped = false;
    breaker->since_ns = since_ns;
    breaker->row = 0;
    forget(breaker);
}

bool pr_breaker_may_pass(const struct pr_breaker *breaker, int64_t now_ns) {
    return breaker->state == PR_BREAKER_CLOSED || now_ns >= breaker->until_ns;
}

bool pr_breaker_pass(struct pr_breaker *breaker, int64_t now_ns) {
    if (!pr_breaker_may_pass(breaker, now_ns))
        return false;
    if (breaker->state != PR_BREAKER_CLOSED) {
        breaker->state = PR_BREAKER_PROBING;
        breaker->since_ns = now_ns;
        breaker->until_ns = now_ns + PR_BREAKER_PROBE_NS;
    }
    return true;
}

void pr_breaker_unpass(struct pr_breaker *breaker, int64_t started_ns, int64_t now_ns) {
    if (breaker->state == PR_BREAKER_PROBING && started_ns >= breaker->since_ns) {
        breaker->state = PR_BREAKER_OPEN;
        breaker->until_ns = now_ns;
    }
}

static enum pr_breaker_change probed(struct pr_breaker *breaker, enum pr_mark mark, int64_t started_ns, int64_t now_ns) {
    int64_t longer_ns = breaker->rest_ns * 2 < PR_BREAKER_REST_MAX_NS ? breaker->rest_ns * 2 : PR_BREAKER_REST_MAX_NS;
    switch (mark) {
    case PR_MARK_GOOD: close_at(breaker, breaker->since_ns); return PR_BREAKER_RECOVERED;
    case PR_MARK_BAD:
        open_for(breaker, breaker->is_stopped ? breaker->rest_ns : longer_ns, now_ns);
        return PR_BREAKER_REOPENED;
    case PR_MARK_NONE: pr_breaker_unpass(breaker, started_ns, now_ns); break;
    }
    return PR_BREAKER_SAME;
}

static void count(struct pr_breaker *breaker, enum pr_mark mark, int64_t now_ns) {
    slide(breaker, now_ns / second_ns);
    uint32_t *n = mark == PR_MARK_BAD ? breaker->bad : breaker->good;
    n[breaker->second % PR_BREAKER_WINDOW_S]++;
    if (mark == PR_MARK_GOOD) {
        breaker->row = 0;
    } else if (breaker->row++ == 0) {
        breaker->row_ns = now_ns;
    }
}

static bool is_broken(const struct pr_breaker *breaker, int64_t now_ns) {
    uint32_t bad, all;
    pr_breaker_counts(breaker, &bad, &all);
    bool is_long = breaker->row >= PR_BREAKER_ROW && now_ns - breaker->row_ns >= PR_BREAKER_WINDOW_S * second_ns;
    return is_long || (all >= PR_BREAKER_LEAST && bad >= all - bad);
}

enum pr_breaker_change pr_breaker_mark(struct pr_breaker *breaker, enum pr_mark mark, int64_t started_ns,
                                       int64_t now_ns) {
    if (started_ns < breaker->since_ns || breaker->state == PR_BREAKER_OPEN)
        return PR_BREAKER_SAME;
    if (breaker->state == PR_BREAKER_PROBING)
        return probed(breaker, mark, started_ns, now_ns);
    if (mark == PR_MARK_NONE)
        return PR_BREAKER_SAME;
    count(breaker, mark, now_ns);
    if (mark == PR_MARK_GOOD || !is_broken(breaker, now_ns))
        return PR_BREAKER_SAME;
    open_for(breaker, PR_BREAKER_REST_NS, now_ns);
    return PR_BREAKER_OPENED;
}

bool pr_breaker_stop(struct pr_breaker *breaker, int64_t started_ns, int64_t now_ns, int64_t rest_ns) {
    bool is_old = started_ns < breaker->since_ns;
    bool is_news = !is_old && !breaker->is_stopped;
    if (!is_old) {
        open_for(breaker, rest_ns, now_ns);
        breaker->is_stopped = true;
    }
    return is_news;
}

bool pr_breaker_clear(struct pr_breaker *breaker, int64_t now_ns) {
    bool was_shut = breaker->state != PR_BREAKER_CLOSED;
    close_at(breaker, now_ns);
    return was_shut;
}
