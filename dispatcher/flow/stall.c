/* From how a lane looks to why it stands still. */
#include "flow/stall.h"

static const int64_t tell_every_ns = INT64_C(60) * 1000000000;

static const struct {
    const char *name, *text;
} causes[PR_STALL_CAUSES] = {
    [PR_STALL_LEASE] = {"lease", "no lease: PostgreSQL does not answer the heartbeat, or another dispatcher has this "
                                 "name"},
    [PR_STALL_DATABASE] = {"database", "PostgreSQL is away: claims and fates wait for a connection"},
    [PR_STALL_BOOK] = {"book", "tenants, senders and rules are not read yet: the log says what PostgreSQL refuses"},
    [PR_STALL_PLATFORM] = {"platform", "the platform does not answer: compare sending with dispatch.in_flight, look "
                                       "at its status page and the network"},
    [PR_STALL_SENDER] = {"sender", "its sender is stopped or paused: token, account, or throttled by the platform"},
    [PR_STALL_RATE] = {"rate", "its sender's rate lets nothing go: is the rate above 0, has this dispatcher a share?"},
    [PR_STALL_CLAIM] = {"claim", "a claim gets no answer: look for who locks its pool in pg_stat_activity and "
                                 "pg_locks"},
    [PR_STALL_HELD] = {"held", "another dispatcher has claimed it and is alive: it is asked again until that one "
                               "settles it or its lease is over"},
    [PR_STALL_WRITE] = {"write", "its fate cannot be written: look for cannot_record in the log, and at locks in "
                                 "PostgreSQL"},
    [PR_STALL_RETRY] = {"retry", "it waits to be tried again after an answer of the platform"},
    [PR_STALL_ROOM] = {"room", "it waits for room among its sender's claimed messages: see what those wait for"},
    [PR_STALL_PERSON] = {"person", "it waits for an earlier message to the same person"},
    [PR_STALL_DEAD_LETTERS] = {"dead_letters", "intake is stopped by dead letters until the next minute: postrider "
                                               "deadletter list"},
    [PR_STALL_CONSUMER] = {"consumer", "records are fetched and not taken: a rebalance that does not end?"},
    [PR_STALL_KAFKA] = {"kafka", "Kafka has records and gives none: is the partition's leader there, is a producer's "
                                 "transaction still open, does the log say kafka_error?"},
};

const char *pr_stall_name(enum pr_stall_cause cause) {
    return causes[cause].name;
}

const char *pr_stall_text(enum pr_stall_cause cause) {
    return causes[cause].text;
}

enum pr_stall_news pr_stall_look(struct pr_stall *stall, bool has_lag, uint64_t settled, int64_t after_ns,
                                 int64_t now_ns) {
    if (!has_lag || settled != stall->settled || stall->since_ns == 0) {
        bool was_told = stall->told_ns != 0;
        *stall = (struct pr_stall){.settled = settled, .since_ns = has_lag ? now_ns : 0};
        return was_told ? PR_STALL_OVER : PR_STALL_NONE;
    }
    bool is_due = stall->told_ns == 0 || now_ns - stall->told_ns >= tell_every_ns;
    if (now_ns - stall->since_ns < after_ns || !is_due) {
        return PR_STALL_NONE;
    }
    stall->told_ns = now_ns;
    return PR_STALL_TELL;
}

int64_t pr_stall_lag(int64_t front, int64_t read, int64_t end, int64_t low, int64_t high) {
    int64_t from = front < 0 ? low : front;
    if (from >= read && end > from) {
        from = end;
    }
    return from >= 0 && high > from ? high - from : 0;
}

static enum pr_stall_cause gated_cause(const struct pr_stall_view *view) {
    if (view->is_held) {
        return PR_STALL_HELD;
    }
    if (view->waits_for_person) {
        return PR_STALL_PERSON;
    }
    return view->has_sender && !view->is_sender_up ? PR_STALL_SENDER : PR_STALL_ROOM;
}

static enum pr_stall_cause ready_cause(const struct pr_stall_view *view) {
    if (!view->is_sender_up) {
        return PR_STALL_SENDER;
    }
    return view->is_wire_full ? PR_STALL_PLATFORM : PR_STALL_RATE;
}

static enum pr_stall_cause job_cause(const struct pr_stall_view *view) {
    switch (view->state) {
    case PR_JOB_CLAIMING: return !view->can_claim ? PR_STALL_DATABASE : view->is_held ? PR_STALL_HELD : PR_STALL_CLAIM;
    case PR_JOB_READY: return ready_cause(view);
    case PR_JOB_SENDING: return PR_STALL_PLATFORM;
    case PR_JOB_WAITING: return PR_STALL_RETRY;
    case PR_JOB_SETTLING: return view->can_settle ? PR_STALL_WRITE : PR_STALL_DATABASE;
    case PR_JOB_FETCHED:
    case PR_JOB_GATED:
    case PR_JOB_SETTLED: break;
    }
    return gated_cause(view);
}

enum pr_stall_cause pr_stall_cause(const struct pr_stall_view *view) {
    if (!view->has_book) {
        return view->can_settle ? PR_STALL_BOOK : PR_STALL_DATABASE;
    }
    if (!view->has_lease) {
        return PR_STALL_LEASE;
    }
    if (view->has_job) {
        return job_cause(view);
    }
    if (view->is_stopped_by_dead) {
        return PR_STALL_DEAD_LETTERS;
    }
    return view->has_records ? PR_STALL_CONSUMER : PR_STALL_KAFKA;
}
