/* What a lane looks for in the database: what changed, what is due, who may be woken; each at its own pace. */
#include "intake/intake.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "flow/rollup.h"
#include "flow/wake.h"
#include "gate/gate.h"
#include "intake/prepare.h"
#include "metrics.h"
#include "pr_query.h"

#include <stdlib.h>
#include <string.h>

enum { PR_DUE_LIMIT = 500 };
static const int64_t control_every_ns = 500 * 1000 * 1000;
static const int64_t due_every_ns = 200 * 1000 * 1000;
static const int64_t second_ns = 1000 * 1000 * 1000;
static struct pr_log_limit failures = PR_LOG_LIMIT(5);

struct pr_watcher {
    struct pr_params params;
    int64_t control_ns, book_ns, due_ns, wake_ns, second_ns; /* when each is next */
    bool is_reading_control, is_reading_book, is_reading_due, is_waking;
    bool wants_book;
    int64_t xmin;  /* of the last look at control; 0: none yet */
    int64_t *seen; /* control rows of the last look, by id */
    size_t seen_n;
    int64_t after_due_us; /* the last due row read */
    struct pr_uuid after_id;
};

bool pr_watch_open(struct pr_lane *lane) {
    lane->watcher = calloc(1, sizeof(*lane->watcher));
    if (!lane->watcher) {
        return false;
    }
    pr_params_init(&lane->watcher->params, 1024 * 1024);
    lane->watcher->after_due_us = 0;
    return true;
}

void pr_watch_close(struct pr_lane *lane) {
    if (lane->watcher) {
        pr_params_free(&lane->watcher->params);
        free(lane->watcher->seen);
        free(lane->watcher);
        lane->watcher = NULL;
    }
}

static bool ask(struct pr_lane *lane, const char *name, const char *sql, pr_pg_done *done) {
    return pr_link_send(&lane->settle_link, name, sql, &lane->watcher->params, done, lane);
}

static bool is_ok(const struct pr_pg_result *result, const char *what) {
    if (result->class != PR_PG_OK) {
        pr_log_limited(&failures, PR_LOG_WARN, "read_failed", "what=%s sqlstate=%s text=%s", what, result->sqlstate,
                       result->message);
    }
    return result->class == PR_PG_OK;
}

/* ---- the book ---- */

/* What cannot be taken back now is decided again before it is sent (again): jobs of one contact, or all for 0. */
static void regate(struct pr_lane *lane, enum pr_job_state state, int64_t contact) {
    struct pr_job *job = NULL;
    TAILQ_FOREACH (job, &lane->jobs.list[state], link) {
        job->is_regated = job->is_regated || contact == 0 || job->contact == contact;
    }
}

/* Everything that curl does not have is decided again by the new book. */
static void decide_again(struct pr_lane *lane) {
    struct pr_job *next = NULL;
    for (struct pr_job *job = TAILQ_FIRST(&lane->jobs.list[PR_JOB_GATED]); job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->is_queued && job->lane_sender) {
            pr_sender_leave_gated(job);
            TAILQ_INSERT_TAIL(&lane->to_prepare, job, queue);
            job->is_queued = true;
        }
    }
    regate(lane, PR_JOB_CLAIMING, 0);
    regate(lane, PR_JOB_SENDING, 0);
    regate(lane, PR_JOB_SETTLING, 0);
    while ((next = TAILQ_FIRST(&lane->jobs.list[PR_JOB_READY])) != NULL) {
        pr_lane_take_back(lane, next, PR_NEXT_GATE);
    }
    while ((next = TAILQ_FIRST(&lane->jobs.list[PR_JOB_WAITING])) != NULL) {
        pr_lane_take_back(lane, next, PR_NEXT_GATE);
    }
}

static void set_rates(struct pr_lane *lane) {
    for (uint32_t t = 0; t < lane->book->tenants_n; t++) {
        const struct pr_tenant *tenant = &lane->book->tenants[t];
        for (uint32_t s = 0; s < tenant->senders_n; s++) {
            const struct pr_sender *sender = &tenant->senders[s];
            struct pr_shape_facts facts = {.tenant = tenant->id, .sender = sender->id, .rate = sender->rate};
            (void)snprintf(facts.name, sizeof(facts.name), "%.*s/%.*s", PR_SPAN_ARG(tenant->name),
                           PR_SPAN_ARG(sender->name));
            if (!pr_shapes_set(&lane->process->shapes, &facts)) {
                pr_log_error("too_many_senders", "most=%d", PR_SHAPES_MAX);
            }
        }
    }
    pr_senders_read(&lane->senders, lane->book);
}

static void book_done(void *arg, const struct pr_pg_result *result) {
    struct pr_lane *lane = arg;
    lane->watcher->is_reading_book = false;
    struct pr_book *book = is_ok(result, "book") ? pr_book_new(result->rows) : NULL;
    if (!book) {
        lane->watcher->wants_book = true;
        lane->watcher->book_ns = pr_clock_mono_ns() + second_ns;
        return;
    }
    PR_FAULT("book.read");
    bool is_first = lane->book == NULL;
    pr_book_unref(lane->book);
    lane->book = book;
    set_rates(lane);
    if (!is_first) {
        decide_again(lane);
        if (lane->index ==
            0) { /* a template may have been approved again: what waits for one need not wait out its hour */
            pr_wake_waiting(lane, lane->book, NULL, NULL, NULL);
        }
        pr_log_info("book_read", "lane=%d tenants=%d faults=%d", lane->index, (int)book->tenants_n, (int)book->faults);
    }
}

static void read_book(struct pr_lane *lane) {
    pr_params_reset(&lane->watcher->params);
    lane->watcher->is_reading_book = ask(lane, "book", pr_query_book, book_done);
    lane->watcher->wants_book = !lane->watcher->is_reading_book;
}

/* ---- control ---- */

/* A contact's consent or suppression changed: its claimed messages are decided again, and those whose claim is under way when it answers. */
static void touch(struct pr_lane *lane, int64_t contact) {
    struct pr_touch *oldest = &lane->touches[lane->touch_next++ % PR_TOUCHES];
    lane->touch_lost_ns = oldest->at_ns;
    *oldest = (struct pr_touch){.contact = contact, .at_ns = pr_clock_mono_ns()};
    regate(lane, PR_JOB_SENDING, contact);
    regate(lane, PR_JOB_SETTLING, contact);
    static const enum pr_job_state states[] = {PR_JOB_READY, PR_JOB_WAITING};
    for (size_t i = 0; i < 2; i++) {
        struct pr_job *next = NULL;
        for (struct pr_job *job = TAILQ_FIRST(&lane->jobs.list[states[i]]); job; job = next) {
            next = TAILQ_NEXT(job, link);
            if (job->contact == contact) {
                pr_lane_take_back(lane, job, PR_NEXT_GATE);
            }
        }
    }
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Rows come in order of their ids. */
static bool is_seen(const struct pr_watcher *watcher, int64_t id) {
    return watcher->seen_n > 0 && bsearch(&id, watcher->seen, watcher->seen_n, sizeof(id), by_number) != NULL;
}

/* True for a contact. Of many at once only the first are looked for one by one; then everything is decided again. */
static bool follow(struct pr_lane *lane, struct pr_span kind, struct pr_span target, size_t contacts) {
    if (!pr_span_is(kind, "contact")) {
        lane->watcher->wants_book = true;
        return false;
    }
    int64_t contact = 0;
    for (size_t i = 0; i < target.n && target.p[i] >= '0' && target.p[i] <= '9'; i++) {
        contact = contact * 10 + (target.p[i] - '0');
    }
    if (contacts < PR_TOUCHES) {
        touch(lane, contact);
    }
    return true;
}

/*
 * Rows come from the oldest transaction that was open at the look before, so one that commits late is not missed; those seen then come again and
 * are skipped.
 */
static void control_done(void *arg, const struct pr_pg_result *result) {
    struct pr_lane *lane = arg;
    struct pr_watcher *watcher = lane->watcher;
    watcher->is_reading_control = false;
    if (!is_ok(result, "control")) {
        return;
    }
    int n = PQntuples(result->rows);
    bool is_first = watcher->xmin == 0;
    int64_t *now_seen = calloc((size_t)n, sizeof(*now_seen));
    if (!now_seen) {
        return; /* asked again from the same xmin */
    }
    size_t now_seen_n = 0;
    size_t contacts = 0;
    for (int i = 0; i < n; i++) {
        watcher->xmin = pr_pg_int8(result->rows, i, 3);
        if (pr_pg_is_null(result->rows, i, 0)) {
            continue;
        }
        now_seen[now_seen_n++] = pr_pg_int8(result->rows, i, 0);
        if (!is_seen(watcher, now_seen[now_seen_n - 1])) {
            contacts += follow(lane, pr_pg_bytes(result->rows, i, 1), pr_pg_bytes(result->rows, i, 2), contacts);
        }
    }
    if (contacts > PR_TOUCHES) {
        decide_again(lane);
    }
    free(watcher->seen);
    watcher->seen = now_seen;
    watcher->seen_n = now_seen_n;
    watcher->wants_book = watcher->wants_book || is_first;
}

static void read_control(struct pr_lane *lane) {
    struct pr_watcher *watcher = lane->watcher;
    pr_params_reset(&watcher->params);
    if (watcher->xmin == 0) {
        pr_params_null(&watcher->params, PR_OID_INT8);
    } else {
        pr_params_int8(&watcher->params, watcher->xmin);
    }
    watcher->is_reading_control = ask(lane, "control_read", pr_query_control, control_done);
}

/* ---- what is due ---- */

enum {
    DUE_TENANT,
    DUE_DAY,
    DUE_ID,
    DUE_GEN,
    DUE_PART,
    DUE_DUE,
    DUE_SINCE,
    DUE_KAFKA,
    DUE_WAITED,
    DUE_TOPIC,
    DUE_OFF,
    DUE_ATTEMPT,
    DUE_TRIES,
    DUE_LATE,
    DUE_PAYLOAD
};

static void read_row(struct pr_job *job, const PGresult *rows, int row) {
    memcpy(job->identity.id.b, pr_pg_bytes(rows, row, DUE_ID).p, sizeof(job->identity.id.b));
    job->identity.day = job->identity.day_other = pr_pg_date_days(rows, row, DUE_DAY);
    job->gen = pr_pg_int4(rows, row, DUE_GEN);
    job->since_us = pr_pg_time_us(rows, row, DUE_SINCE);
    job->waited_ms = pr_pg_int8(rows, row, DUE_WAITED);
    job->attempt = pr_pg_int4(rows, row, DUE_ATTEMPT);
    job->tries = pr_pg_int4(rows, row, DUE_TRIES);
    job->expires_ns = INT64_MAX;
    job->origin = (struct pr_origin){
        .topic = pr_pg_int2(rows, row, DUE_TOPIC),
        .part = pr_pg_int4(rows, row, DUE_PART),
        .off = pr_pg_int8(rows, row, DUE_OFF),
        .kafka_us = pr_pg_is_null(rows, row, DUE_KAFKA) ? PR_TIME_NONE : pr_pg_time_us(rows, row, DUE_KAFKA)};
    job->raw.value = pr_arena_copy(&job->arena, pr_pg_bytes(rows, row, DUE_PAYLOAD));
}

static bool owns(const struct pr_lane *lane, int32_t number) {
    const struct pr_part *part = NULL;
    TAILQ_FOREACH (part, &lane->parts, link) {
        if (part->part == number && !part->is_revoked) {
            return true;
        }
    }
    return false;
}

static void take_due(struct pr_lane *lane, const PGresult *rows, int row) {
    struct pr_uuid id;
    memcpy(id.b, pr_pg_bytes(rows, row, DUE_ID).p, sizeof(id.b));
    if (pr_gate_has_id(lane->gate, &id) || !owns(lane, pr_pg_int4(rows, row, DUE_PART))) {
        return;
    }
    const struct pr_tenant *tenant = pr_book_tenant_of(lane->book, pr_pg_int4(rows, row, DUE_TENANT));
    struct pr_job *job =
        tenant ? pr_job_new(&lane->jobs) : NULL; /* a tenant that this book does not know yet is waited for */
    if (!job) {
        return;
    }
    PR_FAULT("due.read");
    lane->returned_n++;
    job->book = pr_book_ref(lane->book);
    job->tenant = tenant;
    read_row(job, rows, row);
    pr_lane_charge(lane, job, job->raw.value.n);
    struct pr_record_input in = {.value = job->raw.value, .bytes_max = PR_RECORD_STORED_MAX};
    struct pr_record_fault fault = {.text = ""};
    enum pr_record_status status = pr_record_decode(&in, &job->arena, &job->record, &fault);
    bool is_prepared = status == PR_RECORD_OK && pr_prepare(lane, job);
    if (status == PR_RECORD_NO_MEMORY || (status == PR_RECORD_OK && !is_prepared)) {
        pr_lane_settle(lane, job, 0, PR_NEXT_DROP); /* the row stays and is read again */
        return;
    }
    if (status != PR_RECORD_OK) {
        job->kind = PR_JOB_DEAD;
        job->aside_reason = pr_record_status_name(status);
        job->dead_detail = pr_arena_copy(&job->arena, pr_span_of(fault.text));
    }
    pr_metric_add(lane->metric, PR_METRIC_RETURNED, 0, 1);
    pr_metric_observe(lane->metric, PR_METRIC_TARDINESS, 0, pr_pg_int8(rows, row, DUE_LATE));
    pr_intake_admit(lane, job);
}

/* A full page is followed by the next at once; a page that is not full starts over after a while. */
static void due_done(void *arg, const struct pr_pg_result *result) {
    struct pr_lane *lane = arg;
    struct pr_watcher *watcher = lane->watcher;
    watcher->is_reading_due = false;
    watcher->due_ns = lane->now_ns + due_every_ns;
    if (!is_ok(result, "due") || lane->is_draining) {
        return;
    }
    int n = PQntuples(result->rows);
    size_t before = lane->jobs.n[PR_JOB_GATED];
    for (int i = 0; i < n; i++) {
        take_due(lane, result->rows, i);
    }
    bool is_news = lane->jobs.n[PR_JOB_GATED] > before;
    if (n == PR_DUE_LIMIT) {
        watcher->after_due_us = pr_pg_time_us(result->rows, n - 1, DUE_DUE);
        memcpy(watcher->after_id.b, pr_pg_bytes(result->rows, n - 1, DUE_ID).p, sizeof(watcher->after_id.b));
        watcher->due_ns =
            is_news ? lane->now_ns : watcher->due_ns; /* a page of rows that are here already is no hurry */
    } else {
        watcher->after_due_us = 0;
        memset(&watcher->after_id, 0, sizeof(watcher->after_id));
    }
}

static bool is_first_of_number(const struct pr_lane *lane, const struct pr_part *part) {
    const struct pr_part *other = NULL;
    TAILQ_FOREACH (other, &lane->parts, link) {
        if (!other->is_revoked && other->part == part->part) {
            return other == part;
        }
    }
    return false;
}

static void read_due(struct pr_lane *lane) {
    struct pr_watcher *watcher = lane->watcher;
    size_t parts = 0;
    const struct pr_part *part = NULL;
    pr_params_reset(&watcher->params);
    pr_params_array(&watcher->params, PR_OID_INT4);
    TAILQ_FOREACH (part, &lane->parts, link) {
        if (is_first_of_number(lane, part)) {
            pr_item_int4(&watcher->params, part->part);
            parts++;
        }
    }
    pr_params_time(&watcher->params, watcher->after_due_us);
    pr_params_uuid(&watcher->params, &watcher->after_id);
    pr_params_int4(&watcher->params, PR_DUE_LIMIT);
    if (parts == 0) {
        watcher->due_ns = lane->now_ns + due_every_ns;
        return;
    }
    watcher->is_reading_due = ask(lane, "due", pr_query_due, due_done);
}

/* What came back may fill one window, whatever Kafka keeps waiting beside it; more is read when some of it has gone. */
static bool has_room_for_due(const struct pr_lane *lane) {
    return pr_lane_has_memory(lane, PR_MEMORY_RETURNED) &&
           lane->returned_n < (size_t)lane->process->opt->dispatch.window;
}

/* ---- people to wake ---- */

static void wake_done(void *arg, const struct pr_pg_result *result) {
    struct pr_lane *lane = arg;
    lane->watcher->is_waking = false;
    (void)is_ok(result, "wake");
}

static void wake(struct pr_lane *lane) {
    pr_params_reset(&lane->watcher->params);
    lane->watcher->is_waking = ask(lane, "wake", pr_query_wake, wake_done);
    lane->watcher->wake_ns = lane->now_ns + second_ns;
}

/* ---- the turn ---- */

static void each_second(struct pr_lane *lane) {
    lane->watcher->second_ns = lane->now_ns + second_ns;
    pr_rollup(lane);
    pr_intake_look_for_stall(lane);
    for (uint32_t i = 0; i < PR_JOB_STATES; i++) {
        pr_metric_set(lane->metric, PR_METRIC_JOBS, i, (int64_t)lane->jobs.n[i]);
    }
    pr_metric_set(lane->metric, PR_METRIC_IN_FLIGHT, 0, (int64_t)lane->jobs.n[PR_JOB_SENDING]);
}

static void look_for_changes(struct pr_lane *lane) {
    struct pr_watcher *watcher = lane->watcher;
    int64_t now_ns = lane->now_ns;
    if (!watcher->is_reading_control && now_ns >= watcher->control_ns) {
        watcher->control_ns = now_ns + control_every_ns;
        read_control(lane);
    }
    if (watcher->wants_book && !watcher->is_reading_book && now_ns >= watcher->book_ns) {
        read_book(lane);
    }
}

static void look_for_work(struct pr_lane *lane) {
    struct pr_watcher *watcher = lane->watcher;
    int64_t now_ns = lane->now_ns;
    if (lane->book && !lane->is_fenced && !watcher->is_reading_due && now_ns >= watcher->due_ns &&
        has_room_for_due(lane)) {
        read_due(lane);
    }
    if (lane->index == 0 && !watcher->is_waking && now_ns >= watcher->wake_ns) {
        wake(lane);
    }
    pr_lane_wake_at(lane, watcher->due_ns > now_ns ? watcher->due_ns : now_ns + due_every_ns);
}

void pr_watch_turn(struct pr_lane *lane) {
    if (lane->now_ns >= lane->watcher->second_ns || (lane->is_draining && lane->stat.n > 0)) {
        each_second(lane);
    }
    if (pr_pg_is_ready(lane->settle_link.pg) && !lane->is_draining) {
        look_for_changes(lane);
        look_for_work(lane);
    }
}
