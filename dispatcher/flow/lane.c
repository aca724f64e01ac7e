/* The loop of a lane: callbacks only record, and once a turn each room does its work. */
#include "flow/lane.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { PR_JOB_COST = 4096 };
enum { PR_LANE_TICK_NS = 100 * 1000 * 1000 }; /* a turn at least this often, so that a stop is seen */

/* ---- connections on the loop ---- */

static void link_watch(struct pr_link *link);

static void link_io(evutil_socket_t fd, short what, void *arg) {
    struct pr_link *link = arg;
    (void)fd;
    pr_pg_io(link->pg, (what & EV_READ) != 0, (what & EV_WRITE) != 0, pr_clock_mono_ns());
    link_watch(link);
}

static void link_timer(evutil_socket_t fd, short what, void *arg) {
    struct pr_link *link = arg;
    (void)fd, (void)what;
    pr_pg_timer(link->pg, pr_clock_mono_ns());
    link_watch(link);
}

/* Libpq may change descriptor and wishes at any call, so they are compared each time. */
static void link_watch(struct pr_link *link) {
    struct pr_pg_interest want = pr_pg_interest(link->pg);
    short kind = (short)(EV_PERSIST | (want.want_read ? EV_READ : 0) | (want.want_write ? EV_WRITE : 0));
    if (want.fd != link->fd || want.socket != link->socket || kind != link->kind) {
        if (link->io) {
            event_free(link->io);
            link->io = NULL;
        }
        if (want.fd >= 0 && kind != EV_PERSIST) {
            link->io = event_new(link->lane->base, want.fd, kind, link_io, link);
            pr_assert(link->io && event_add(link->io, NULL) == 0);
        }
        link->fd = want.fd;
        link->socket = want.socket;
        link->kind = kind;
    }
    if (want.timer_ns != 0) {
        int64_t wait_us = (want.timer_ns - pr_clock_mono_ns()) / 1000;
        wait_us = wait_us < 0 ? 0 : wait_us;
        struct timeval tv = {wait_us / 1000000, wait_us % 1000000};
        (void)event_add(link->timer, &tv);
    } else {
        (void)event_del(link->timer);
    }
}

static bool link_open(struct pr_lane *lane, struct pr_link *link, const char *application) {
    const struct pr_options *opt = lane->process->opt;
    struct pr_pg_options options = {
        .conninfo = opt->postgres.conninfo,
        .application = application,
        .setup = "set synchronous_commit = on",
        .connect_timeout_ms = opt->postgres.connect_timeout_ms,
        .statement_timeout_ms = opt->postgres.statement_timeout_ms,
        .depth_max = 8,
    };
    *link = (struct pr_link){.lane = lane, .fd = -1};
    link->pg = pr_pg_new(&options);
    link->timer = evtimer_new(lane->base, link_timer, link);
    if (!link->pg || !link->timer) {
        return false;
    }
    link_watch(link);
    return true;
}

static void link_close(struct pr_link *link) {
    pr_pg_free(link->pg);
    if (link->io) {
        event_free(link->io);
    }
    if (link->timer) {
        event_free(link->timer);
    }
    *link = (struct pr_link){.fd = -1};
}

bool pr_link_send(struct pr_link *link, const char *name, const char *sql, struct pr_params *params, pr_pg_done *done,
                  void *arg) {
    bool is_sent = pr_pg_send(link->pg, name, sql, params, done, arg, pr_clock_mono_ns());
    link_watch(link);
    return is_sent;
}

/* ---- what rooms share ---- */

void pr_lane_wake_at(struct pr_lane *lane, int64_t at_ns) {
    if (at_ns < lane->wake_ns) {
        lane->wake_ns = at_ns;
    }
}

void pr_job_park(struct pr_job *job, int16_t state, const char *reason, int64_t due_us, int64_t wait_ms) {
    job->parking = (struct pr_parking){.state = state, .reason = reason, .due_us = due_us, .wait_ms = wait_ms};
}

void pr_lane_settle(struct pr_lane *lane, struct pr_job *job, unsigned writes, enum pr_job_next next) {
    pr_assert(!job->is_queued);
    job->writes = writes;
    job->next = next;
    pr_job_move(&lane->jobs, job, PR_JOB_SETTLING);
    if (writes != 0) {
        TAILQ_INSERT_TAIL(&lane->to_settle, job, queue);
    } else {
        TAILQ_INSERT_TAIL(&lane->to_finish, job, queue);
    }
    job->is_queued = true;
}

void pr_lane_take_back(struct pr_lane *lane, struct pr_job *job, enum pr_job_next next) {
    pr_assert(job->state == PR_JOB_READY || job->state == PR_JOB_WAITING);
    pr_heap_remove(&lane->timers, &job->timer);
    if (job->is_queued) {
        pr_sender_remove(job->lane_sender, PR_LINE_READY, job);
    }
    pr_lane_settle(lane, job, PR_WRITE_UNCLAIM, next);
}

void pr_lane_charge(struct pr_lane *lane, struct pr_job *job, size_t record_bytes) {
    job->cost = PR_JOB_COST + 4 * (int64_t)record_bytes;
    lane->cost += job->cost;
}

int64_t pr_lane_memory(const struct pr_lane *lane) {
    const struct pr_options *opt = lane->process->opt;
    return pr_budget_of(opt->dispatch.memory_max, opt->dispatch.lanes, 1).lane_jobs;
}

bool pr_lane_has_memory(const struct pr_lane *lane, enum pr_memory_use use) {
    return lane->cost < pr_lane_memory(lane) / 4 * (2 + (int64_t)use);
}

enum pr_memory_use pr_part_use(const struct pr_lane *lane, const struct pr_part *part) {
    return lane->process->topics[part->topic].is_bulk ? PR_MEMORY_BULK : PR_MEMORY_EVENTS;
}

void pr_lane_put_off(struct pr_lane *lane, struct pr_job *job) {
    if (job->part && pr_part_use(lane, job->part) == PR_MEMORY_BULK) {
        pr_job_put_off(&lane->jobs, job);
    }
}

bool pr_part_may_take(const struct pr_lane *lane, const struct pr_part *part) {
    enum pr_memory_use use = pr_part_use(lane, part);
    return !part->is_revoked && part->backlog_n > 0 && pr_lane_has_memory(lane, use) &&
           (use != PR_MEMORY_BULK || pr_portion_may_take(&lane->jobs.portion, lane->now_ns)) &&
           pr_tracker_has_room(&part->tracker, part->backlog[part->backlog_head]->offset);
}

bool pr_lane_is_empty(const struct pr_lane *lane) {
    for (int i = 0; i < PR_JOB_STATES; i++) {
        if (lane->jobs.n[i] > 0) {
            return false;
        }
    }
    return true;
}

/* ---- the loop ---- */

static void box_ready(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what, (void)arg; /* the turn takes what is in it */
}

static void wake_due(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what, (void)arg;
}

/* What a room put in line for one that had its turn before, or room in a window that opened: no reason to sleep. */
static bool has_work_left(const struct pr_lane *lane) {
    if (!lane->book || lane->is_draining) {
        return !TAILQ_EMPTY(&lane->to_finish);
    }
    const struct pr_part *part = NULL;
    TAILQ_FOREACH (part, &lane->parts, link) {
        if (pr_part_may_take(lane, part) && !lane->is_stopped_by_dead) {
            return true;
        }
    }
    return !TAILQ_EMPTY(&lane->passed) || !TAILQ_EMPTY(&lane->to_prepare) || !TAILQ_EMPTY(&lane->to_finish);
}

static void lane_turn(struct pr_lane *lane) {
    lane->now_ns = lane->jobs.now_ns = pr_clock_mono_ns();
    lane->now_us = pr_process_db_now_us(lane->process);
    lane->wake_ns = lane->now_ns + PR_LANE_TICK_NS;
    lane->is_fenced = !pr_process_has_lease(lane->process);
    for (size_t i = 0; i < lane->rooms_n; i++) {
        if (lane->rooms[i].turn) {
            lane->rooms[i].turn(lane);
        }
    }
    if (has_work_left(lane)) {
        lane->wake_ns = lane->now_ns;
    }
    atomic_store_explicit(&lane->turned_ns, lane->now_ns, memory_order_relaxed);
}

static void lane_sleep(struct pr_lane *lane) {
    int64_t wait_us = (lane->wake_ns - pr_clock_mono_ns()) / 1000;
    wait_us = wait_us < 0 ? 0 : wait_us;
    struct timeval tv = {wait_us / 1000000, wait_us % 1000000};
    (void)event_add(lane->wake_event, &tv);
    (void)event_base_loop(lane->base, EVLOOP_ONCE);
}

static bool lane_is_over(const struct pr_lane *lane) {
    return lane->is_draining && (pr_lane_is_empty(lane) || lane->now_ns >= lane->drain_end_ns);
}

static void *lane_main(void *arg) {
    struct pr_lane *lane = arg;
    while (!lane_is_over(lane)) {
        lane_turn(lane);
        lane_sleep(lane);
    }
    if (!pr_lane_is_empty(lane)) {
        pr_log_warn("drain_timeout", "lane=%d sending=%zu settling=%zu claiming=%zu", lane->index,
                    lane->jobs.n[PR_JOB_SENDING], lane->jobs.n[PR_JOB_SETTLING], lane->jobs.n[PR_JOB_CLAIMING]);
    }
    return NULL;
}

bool pr_lane_init(struct pr_lane *lane, int index, struct pr_process *process, struct pr_mailbox *consumer_box,
                  const struct pr_room *rooms, size_t rooms_n) {
    memset(lane, 0, sizeof(*lane));
    lane->index = index;
    lane->process = process;
    lane->consumer_box = consumer_box;
    lane->rooms = rooms;
    lane->rooms_n = rooms_n;
    lane->metric = pr_metrics_lane(process->metrics, (uint16_t)(index + 1));
    pr_jobs_init(&lane->jobs);
    pr_heap_init(&lane->timers);
    pr_senders_init(&lane->senders);
    TAILQ_INIT(&lane->parts);
    TAILQ_INIT(&lane->passed);
    TAILQ_INIT(&lane->to_prepare);
    TAILQ_INIT(&lane->to_claim);
    TAILQ_INIT(&lane->to_hold);
    TAILQ_INIT(&lane->to_settle);
    TAILQ_INIT(&lane->to_finish);
    lane->base = event_base_new();
    if (!lane->base || !pr_mailbox_init(&lane->box, 0)) {
        return false;
    }
    lane->box_event = event_new(lane->base, pr_mailbox_fd(&lane->box), EV_READ | EV_PERSIST, box_ready, lane);
    lane->wake_event = evtimer_new(lane->base, wake_due, lane);
    if (!lane->box_event || !lane->wake_event || event_add(lane->box_event, NULL) != 0) {
        return false;
    }
    if (!link_open(lane, &lane->claim_link, "postrider claim") ||
        !link_open(lane, &lane->settle_link, "postrider settle")) {
        return false;
    }
    for (size_t i = 0; i < rooms_n; i++) {
        if (rooms[i].open && !rooms[i].open(lane)) {
            pr_log_error("room_failed", "lane=%d room=%s", index, rooms[i].name);
            return false;
        }
    }
    return true;
}

bool pr_lane_start(struct pr_lane *lane) {
    atomic_store(&lane->turned_ns, pr_clock_mono_ns());
    return pthread_create(&lane->thread, NULL, lane_main, lane) == 0;
}

void pr_lane_join(struct pr_lane *lane) {
    pthread_join(lane->thread, NULL);
}

void pr_lane_free(struct pr_lane *lane) {
    link_close(&lane->claim_link);
    link_close(&lane->settle_link);
    for (size_t i = lane->rooms_n; i > 0; i--) {
        if (lane->rooms[i - 1].close) {
            lane->rooms[i - 1].close(lane);
        }
    }
    pr_senders_free(&lane->senders);
    pr_pairs_free(&lane->pairs);
    pr_book_unref(lane->book);
    pr_heap_free(&lane->timers);
    event_free(lane->box_event);
    event_free(lane->wake_event);
    event_base_free(lane->base);
    pr_mailbox_free(&lane->box);
}
