/* The table of breakers behind one lock; while all are closed only answers take it. */
#include "flow/breaker.h"

#include <stdio.h>
#include <string.h>

void pr_breakers_init(struct pr_breakers *breakers) {
    memset(breakers, 0, sizeof(*breakers));
    pthread_mutex_init(&breakers->lock, NULL);
}

/* The caller holds the lock. */
static struct pr_breaker_entry *find(struct pr_breakers *breakers, int32_t id) {
    uint32_t place = pr_ids_find(&breakers->ids, id);
    return place != PR_IDS_NONE ? &breakers->entry[place] : NULL;
}

static struct pr_breaker_entry *find_or_add(struct pr_breakers *breakers, int32_t id) {
    uint32_t place = pr_ids_add(&breakers->ids, id, PR_BREAKERS_MAX);
    return place != PR_IDS_NONE ? &breakers->entry[place] : NULL;
}

static bool all_are_closed(const struct pr_breakers *breakers) {
    return atomic_load_explicit(&breakers->shut_n, memory_order_relaxed) == 0;
}

/* After each change: counts those that are not closed. */
static void note(struct pr_breakers *breakers, struct pr_breaker_entry *entry, int64_t now_ns) {
    bool is_shut = entry->breaker.state != PR_BREAKER_CLOSED;
    if (is_shut && entry->shut_ns == 0) {
        entry->shut_ns = now_ns;
        entry->held = 0;
        atomic_fetch_add(&breakers->shut_n, 1);
    } else if (!is_shut && entry->shut_ns != 0) {
        entry->shut_ns = 0;
        memset(entry->reasons, 0, sizeof(entry->reasons));
        atomic_fetch_sub(&breakers->shut_n, 1);
    }
}

bool pr_breakers_is_up(struct pr_breakers *breakers, int32_t id, int64_t now_ns) {
    if (all_are_closed(breakers)) {
        return true;
    }
    pthread_mutex_lock(&breakers->lock);
    const struct pr_breaker_entry *entry = find(breakers, id);
    bool is_up = !entry || pr_breaker_may_pass(&entry->breaker, now_ns);
    pthread_mutex_unlock(&breakers->lock);
    return is_up;
}

bool pr_breakers_pass(struct pr_breakers *breakers, int32_t id, int64_t now_ns) {
    if (all_are_closed(breakers)) {
        return true;
    }
    pthread_mutex_lock(&breakers->lock);
    struct pr_breaker_entry *entry = find(breakers, id);
    bool has_passed = !entry || pr_breaker_pass(&entry->breaker, now_ns);
    pthread_mutex_unlock(&breakers->lock);
    return has_passed;
}

void pr_breakers_unpass(struct pr_breakers *breakers, int32_t id, int64_t started_ns, int64_t now_ns) {
    if (all_are_closed(breakers)) {
        return;
    }
    pthread_mutex_lock(&breakers->lock);
    struct pr_breaker_entry *entry = find(breakers, id);
    if (entry) {
        pr_breaker_unpass(&entry->breaker, started_ns, now_ns);
    }
    pthread_mutex_unlock(&breakers->lock);
}

/* Reasons are of one time of trouble: those of an earlier one are forgotten. */
static void count_reason(struct pr_breaker_entry *entry, const char *reason, int64_t now_ns) {
    if (entry->breaker.row == 0 && now_ns - entry->bad_ns > PR_BREAKER_WINDOW_S * INT64_C(1000000000)) {
        memset(entry->reasons, 0, sizeof(entry->reasons));
    }
    entry->bad_ns = now_ns;
    size_t i = 0;
    while (i < PR_BREAKER_REASONS - 1 && entry->reasons[i].reason && strcmp(entry->reasons[i].reason, reason) != 0) {
        i++;
    }
    entry->reasons[i].reason = i < PR_BREAKER_REASONS - 1 ? reason : "other";
    entry->reasons[i].n++;
}

static void tell_reasons(const struct pr_breaker_entry *entry, char out[PR_BREAKER_TEXT]) {
    int n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < PR_BREAKER_REASONS && entry->reasons[i].reason && n < PR_BREAKER_TEXT; i++) {
        n += snprintf(out + n, (size_t)(PR_BREAKER_TEXT - n), "%s%s:%u", n > 0 ? "," : "", entry->reasons[i].reason,
                      entry->reasons[i].n);
    }
}

void pr_breakers_mark(struct pr_breakers *breakers, int32_t id, enum pr_mark mark, const char *reason,
                      int64_t started_ns, int64_t now_ns, struct pr_breaker_report *report) {
    report->change = PR_BREAKER_SAME;
    pthread_mutex_lock(&breakers->lock);
    struct pr_breaker_entry *entry = find_or_add(breakers, id);
    if (entry) {
        struct pr_breaker *breaker = &entry->breaker;
        report->was_stopped = breaker->is_stopped;
        if (mark == PR_MARK_BAD) {
            count_reason(entry, reason, now_ns);
        }
        report->change = pr_breaker_mark(breaker, mark, started_ns, now_ns);
    }
    if (report->change == PR_BREAKER_OPENED) {
        pr_breaker_counts(&entry->breaker, &report->bad, &report->all);
    }
    if (report->change != PR_BREAKER_SAME) {
        report->shut_ns = report->change == PR_BREAKER_RECOVERED ? now_ns - entry->shut_ns : entry->breaker.rest_ns;
        tell_reasons(entry, report->reasons);
        entry->held = 0;
        note(breakers, entry, now_ns);
    }
    pthread_mutex_unlock(&breakers->lock);
}

bool pr_breakers_stop(struct pr_breakers *breakers, int32_t id, int64_t started_ns, int64_t now_ns, int64_t rest_ns) {
    pthread_mutex_lock(&breakers->lock);
    struct pr_breaker_entry *entry = find_or_add(breakers, id);
    bool is_news = entry && pr_breaker_stop(&entry->breaker, started_ns, now_ns, rest_ns);
    if (entry) {
        note(breakers, entry, now_ns);
    }
    pthread_mutex_unlock(&breakers->lock);
    return is_news;
}

bool pr_breakers_clear(struct pr_breakers *breakers, int32_t id, int64_t now_ns) {
    pthread_mutex_lock(&breakers->lock);
    struct pr_breaker_entry *entry = find(breakers, id);
    bool was_shut = entry && pr_breaker_clear(&entry->breaker, now_ns);
    if (entry) {
        note(breakers, entry, now_ns);
    }
    pthread_mutex_unlock(&breakers->lock);
    return was_shut;
}

enum { PR_HOLD_STEPS = 100 };

static int64_t hold_of(struct pr_breaker_entry *entry, int64_t now_ns) {
    const struct pr_breaker *breaker = &entry->breaker;
    if (pr_breaker_may_pass(breaker, now_ns)) {
        return 0;
    }
    bool is_probing = breaker->state == PR_BREAKER_PROBING; /* its answer is near */
    int64_t least_ns = is_probing ? PR_BREAKER_REST_NS : breaker->until_ns - now_ns;
    return least_ns + entry->held++ % PR_HOLD_STEPS * (breaker->rest_ns / PR_HOLD_STEPS);
}

int64_t pr_breakers_hold(struct pr_breakers *breakers, int32_t id, int64_t now_ns, bool *is_stopped) {
    int64_t hold_ns = 0;
    *is_stopped = false;
    if (all_are_closed(breakers)) {
        return 0;
    }
    pthread_mutex_lock(&breakers->lock);
    struct pr_breaker_entry *entry = find(breakers, id);
    if (entry) {
        hold_ns = hold_of(entry, now_ns);
        *is_stopped = entry->breaker.is_stopped;
    }
    pthread_mutex_unlock(&breakers->lock);
    return hold_ns;
}
