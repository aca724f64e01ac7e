/* Polling, rebalancing and storing offsets, all in one thread: librdkafka 2.0.2 loses messages when they are not. */
#include "intake/consumer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "intake/mail.h"
#include "metrics.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PR_POLL_MS = 20, PR_BATCH_MAX = 500, PR_REVOKE_MS = 8000, PR_TOPIC_PARTITIONS_MAX = 4096 };

static struct pr_log_limit errors = PR_LOG_LIMIT(5);

/* One (topic, partition) as the consumer sees it. Offsets are -1 while not known. */
struct pr_assigned {
    int64_t assignment;  /* number of the present assignment; 0: not ours */
    int64_t assigned_at; /* the assignment last given out, to answer reports of a revoked one */
    struct pr_part_flow flow;
    rd_kafka_queue_t *queue; /* its own, so that it can be left alone while the others go on; NULL: not ours */
    int64_t front;           /* everything below is settled */
    int64_t read;            /* one beyond the last record taken */
    int64_t end;             /* where Kafka said that there is no more, behind all that was taken */
    bool is_waited;
    struct pr_intake_mail *mail; /* records gathered and not yet posted */
};

struct pr_consumer {
    struct pr_process *process;
    struct pr_lane *lanes;
    size_t lanes_n;
    struct pr_mailbox *box;
    rd_kafka_t *rk;
    pthread_t thread;
    _Atomic bool is_stopping;
    _Atomic int assigned_n;
    int64_t next_assignment;
    int waited; /* revoked partitions whose lanes have not answered */
    int32_t partitions;
    size_t assigned_max;          /* topics_n x partitions */
    struct pr_assigned *assigned; /* in order of topic and partition */
    int64_t held_max;             /* bytes of a partition between here and its lane; above, its queue is left alone */
    int wake_fd;                  /* an eventfd that librdkafka's queues write to */
    int64_t second_ns;            /* when the lag is looked at again */
    struct pr_metric_lane *metric;
};

static struct pr_assigned *place(struct pr_consumer *c, int topic, int32_t part) {
    return part >= 0 && part < c->partitions ? &c->assigned[(size_t)topic * (size_t)c->partitions + (size_t)part] : NULL;
}

static struct pr_lane *lane_of(struct pr_consumer *c, int32_t part) {
    return &c->lanes[(size_t)part % c->lanes_n];
}

static int topic_of(const struct pr_consumer *c, const char *name) {
    for (int i = 0; i < c->process->topics_n; i++) {
        if (strcmp(c->process->topics[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static struct pr_intake_mail *mail_new(enum pr_intake_kind kind, int topic, int32_t part, int64_t assignment,
                                       uint32_t records) {
    struct pr_intake_mail *mail = calloc(1, sizeof(*mail) + records * sizeof(rd_kafka_message_t *));
    if (!mail) {
        pr_out_of_memory("mail to a lane"); /* a thread that cannot tell its lanes what is theirs cannot go on */
    }
    mail->kind = kind;
    mail->topic = topic;
    mail->part = part;
    mail->assignment = assignment;
    return mail;
}

static void post(struct pr_consumer *c, struct pr_intake_mail *mail) {
    bool is_posted = pr_mailbox_post(&lane_of(c, mail->part)->box, &mail->mail);
    pr_assert(is_posted); /* lanes' boxes have no bound */
}

/* ---- a partition's own queue ---- */

/* Before the assignment is given to librdkafka, which otherwise would lead the records to the group's queue. */
static void open_queue(struct pr_consumer *c, struct pr_assigned *at, const rd_kafka_topic_partition_t *part) {
    static const uint64_t one = 1;
    at->queue = rd_kafka_queue_get_partition(c->rk, part->topic, part->partition);
    pr_assert(at->queue);
    rd_kafka_queue_forward(at->queue, NULL);
    rd_kafka_queue_io_event_enable(at->queue, c->wake_fd, &one, sizeof(one));
    at->front = part->offset;
    at->read = at->end = -1;
}

/* After the assignment was given up: what lies in the queue is outdated, and librdkafka would keep it until the partition comes back. */
static void close_queue(struct pr_assigned *at) {
    if (at->queue) {
        rd_kafka_queue_io_event_enable(at->queue, -1, NULL, 0);
        rd_kafka_message_t *record = NULL;
        while ((record = rd_kafka_consume_queue(at->queue, 0)) != NULL) {
            rd_kafka_message_destroy(record);
        }
        rd_kafka_queue_destroy(at->queue);
        at->queue = NULL;
    }
    atomic_store_explicit(&at->flow.ahead, 0, memory_order_relaxed);
    atomic_store_explicit(&at->flow.lag, 0, memory_order_relaxed);
}

/* ---- offsets ---- */

static void store_offset(struct pr_consumer *c, const struct pr_report *report) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, c->process->topics[report->topic].name, report->part)->offset =
        report->offset;
    rd_kafka_resp_err_t err = rd_kafka_offsets_store(c->rk, list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__STATE) {
        pr_log_limited(&errors, PR_LOG_WARN, "offset_store", "partition=%d text=%s", report->part,
                       rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
    PR_FAULT("offset.stored");
}

/* By the consumer's own thread, after each automatic commit and the one of a revocation; nothing to commit is no failure. */
static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *arg) {
    (void)rk, (void)parts, (void)arg;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        pr_log_limited(&errors, PR_LOG_WARN, "offset_commit", "text=%s", rd_kafka_err2str(err));
    }
    PR_FAULT("offset.committed");
}

/* The number of the assignment is looked at by the very thread that changes it: an offset of an earlier one is never stored. */
static void take_reports(struct pr_consumer *c) {
    struct pr_mail *next = NULL;
    for (struct pr_mail *m = pr_mailbox_take(c->box); m; m = next) {
        next = m->next;
        struct pr_report *report = PR_CONTAINER_OF(m, struct pr_report, mail);
        struct pr_assigned *at = place(c, report->topic, report->part);
        pr_assert(at); /* a lane reports only parts that it was given */
        if (at->assignment == report->assignment && report->offset >= 0) {
            at->front = report->offset;
            store_offset(c, report);
        }
        if (report->kind == PR_REPORT_REVOKED && at->is_waited && at->assigned_at == report->assignment) {
            at->is_waited = false;
            c->waited--;
        }
        free(report);
    }
}

/* ---- rebalances ---- */

/* Where a group has no offset yet it starts at the beginning; where it has one that Kafka no longer holds, that is an alarm (auto.offset.reset=error). */
static void set_starts(struct pr_consumer *c, rd_kafka_topic_partition_list_t *parts) {
    rd_kafka_resp_err_t err = rd_kafka_committed(c->rk, parts, 10000);
    for (int i = 0; i < parts->cnt; i++) {
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR || parts->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            parts->elems[i].offset = RD_KAFKA_OFFSET_STORED;
        } else if (parts->elems[i].offset < 0) {
            parts->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
        }
    }
}

static void on_assign(struct pr_consumer *c, rd_kafka_topic_partition_list_t *parts) {
    set_starts(c, parts);
    for (int i = 0; i < parts->cnt; i++) {
        int topic = topic_of(c, parts->elems[i].topic);
        struct pr_assigned *at = topic < 0 ? NULL : place(c, topic, parts->elems[i].partition);
        if (!at) {
            pr_log_error("partitions_changed", "topic=%s partition=%d text=%s", parts->elems[i].topic,
                         parts->elems[i].partition, "partitions were added: restart the dispatchers");
            continue;
        }
        at->assignment = at->assigned_at = ++c->next_assignment;
        open_queue(c, at, &parts->elems[i]);
        struct pr_intake_mail *mail = mail_new(PR_INTAKE_ASSIGN, topic, parts->elems[i].partition, at->assignment, 0);
        mail->flow = &at->flow;
        post(c, mail);
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(c->rk, parts);
    atomic_store(&c->assigned_n, parts->cnt);
    pr_log_info("assigned", "partitions=%d text=%s", parts->cnt, rd_kafka_err2str(err));
}

static void flush_mail(struct pr_consumer *c, struct pr_assigned *at) {
    if (at->mail) {
        post(c, at->mail);
        at->mail = NULL;
    }
}

static void ask_back(struct pr_consumer *c, int topic, int32_t part) {
    struct pr_assigned *at = place(c, topic, part);
    if (at && at->assignment != 0) {
        flush_mail(c, at);
        at->is_waited = true;
        c->waited++;
        post(c, mail_new(PR_INTAKE_REVOKE, topic, part, at->assignment, 0));
    }
}

/* Intake stops, lanes finish or write back, offsets are stored, and only then the assignment is given up. A lost assignment stores nothing. */
static void on_revoke(struct pr_consumer *c, rd_kafka_topic_partition_list_t *parts) {
    bool is_lost = rd_kafka_assignment_lost(c->rk);
    for (int i = 0; i < parts->cnt; i++) {
        int topic = topic_of(c, parts->elems[i].topic);
        if (topic >= 0) {
            struct pr_assigned *at = place(c, topic, parts->elems[i].partition);
            ask_back(c, topic, parts->elems[i].partition);
            if (at && is_lost) {
                at->assignment = 0;
            }
        }
    }
    int64_t end_ns = pr_clock_mono_ns() + PR_REVOKE_MS * INT64_C(1000000);
    while (c->waited > 0 && pr_clock_mono_ns() < end_ns) {
        struct timespec ms = {.tv_nsec = 1000000};
        nanosleep(&ms, NULL);
        take_reports(c);
    }
    for (int i = 0; i < parts->cnt; i++) {
        int topic = topic_of(c, parts->elems[i].topic);
        struct pr_assigned *at = topic < 0 ? NULL : place(c, topic, parts->elems[i].partition);
        if (at) {
            c->waited -= at->is_waited;
            at->is_waited = false;
            at->assignment = 0;
        }
    }
    atomic_store(&c->assigned_n, 0);
    pr_log_info("revoked", "partitions=%d lost=%s", parts->cnt, is_lost ? "true" : "false");
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *arg) {
    struct pr_consumer *c = arg;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assign(c, parts);
        return;
    }
    on_revoke(c, parts);
    rd_kafka_resp_err_t failed = rd_kafka_assign(rk, NULL);
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_log_warn("unassign", "text=%s", rd_kafka_err2str(failed));
    }
    for (size_t i = 0; i < c->assigned_max; i++) {
        close_queue(&c->assigned[i]);
    }
}

/* ---- records ---- */

static void take_record(struct pr_consumer *c, struct pr_assigned *at, int topic, rd_kafka_message_t *record) {
    if (!at->mail) {
        at->mail = mail_new(PR_INTAKE_RECORDS, topic, record->partition, at->assignment, PR_BATCH_MAX);
        at->mail->flow = &at->flow;
    }
    at->mail->record[at->mail->n++] = record;
    at->read = record->offset + 1;
    if (at->front < 0) {
        at->front = record->offset;
    }
    atomic_fetch_add_explicit(&at->flow.held, pr_budget_cost(record->len), memory_order_relaxed);
    if (at->mail->n == PR_BATCH_MAX) {
        flush_mail(c, at);
    }
}

/* What is no record: the end of a partition, errors, and records of partitions that are not read. */
static void take_other(struct pr_assigned *at, rd_kafka_message_t *event) {
    if (event->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (at) {
            at->end = event->offset;
        }
    } else if (event->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_log_limited(
            &errors, PR_LOG_ERROR, "kafka_error", "partition=%d text=%s", event->partition,
            event->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
                ? "Kafka no longer holds the offset we were to read next: retention overtook us; see docs/failure.md"
                : rd_kafka_message_errstr(event));
    }
    rd_kafka_message_destroy(event);
}

/* Up to a batch, as far as its lane is to hold; true when there may be more. A full one is left alone: librdkafka keeps what it fetched. */
static bool take_records(struct pr_consumer *c, struct pr_assigned *at, int topic) {
    for (int n = 0; n < PR_BATCH_MAX; n++) {
        if (atomic_load_explicit(&at->flow.held, memory_order_relaxed) >= c->held_max) {
            return false;
        }
        rd_kafka_message_t *record = rd_kafka_consume_queue(at->queue, 0);
        if (!record) {
            return false;
        }
        if (record->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_record(c, at, topic, record);
        } else {
            take_other(at, record);
        }
    }
    return true;
}

static bool take_all(struct pr_consumer *c) {
    bool has_more = false;
    for (size_t i = 0; i < c->assigned_max; i++) {
        struct pr_assigned *at = &c->assigned[i];
        if (at->queue) {
            has_more = take_records(c, at, (int)(i / (size_t)c->partitions)) || has_more;
            flush_mail(c, at);
        }
    }
    return has_more;
}

/* Rebalances, errors of the group, and what comes of partitions that have no queue of their own. */
static void serve_group(struct pr_consumer *c) {
    rd_kafka_message_t *event = NULL;
    for (int n = 0; n < PR_BATCH_MAX && (event = rd_kafka_consumer_poll(c->rk, 0)) != NULL; n++) {
        take_other(NULL, event);
    }
}

/* ---- lag ---- */

static int64_t lag_of(struct pr_consumer *c, const struct pr_assigned *at, const char *topic, int32_t part) {
    int64_t low = -1, high = -1;
    rd_kafka_resp_err_t err = rd_kafka_get_watermark_offsets(c->rk, topic, part, &low, &high);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ? pr_stall_lag(at->front, at->read, at->end, low, high) : 0;
}

static void look_at_lag(struct pr_consumer *c) {
    int64_t sum = 0, most = 0;
    for (size_t i = 0; i < c->assigned_max; i++) {
        struct pr_assigned *at = &c->assigned[i];
        if (at->queue) {
            size_t topic = i / (size_t)c->partitions;
            int64_t lag = lag_of(c, at, c->process->topics[topic].name, (int32_t)(i % (size_t)c->partitions));
            atomic_store_explicit(&at->flow.lag, lag, memory_order_relaxed);
            atomic_store_explicit(&at->flow.ahead, (int64_t)rd_kafka_queue_length(at->queue), memory_order_relaxed);
            sum += lag;
            most = lag > most ? lag : most;
        }
    }
    pr_metric_set(c->metric, PR_METRIC_LAG, 0, sum);
    pr_metric_set(c->metric, PR_METRIC_LAG_MAX, 0, most);
}

/* ---- the loop ---- */

/* Until a queue that was empty is not so any more; a partition that was full has room again at the latest at the next look. */
static void wait_for_records(struct pr_consumer *c) {
    struct pollfd fd = {.fd = c->wake_fd, .events = POLLIN};
    if (poll(&fd, 1, PR_POLL_MS) > 0) {
        uint64_t times = 0;
        if (read(c->wake_fd, &times, sizeof(times)) < 0 && errno != EAGAIN) {
            pr_log_limited(&errors, PR_LOG_WARN, "wake", "text=%s", strerrordesc_np(errno));
        }
    }
}

static void poll_once(struct pr_consumer *c) {
    serve_group(c);
    bool has_more = take_all(c);
    take_reports(c);
    int64_t now_ns = pr_clock_mono_ns();
    if (now_ns >= c->second_ns) {
        c->second_ns = now_ns + INT64_C(1000000000);
        look_at_lag(c);
    }
    if (!has_more) {
        wait_for_records(c);
    }
}

static void *consumer_main(void *arg) {
    struct pr_consumer *c = arg;
    while (!atomic_load(&c->is_stopping)) {
        poll_once(c);
    }
    rd_kafka_resp_err_t err = rd_kafka_consumer_close(c->rk); /* revokes, with all that belongs to it, and commits */
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_log_warn("kafka_close", "text=%s", rd_kafka_err2str(err));
    }
    return NULL;
}

/* ---- life ---- */

static bool subscribe(struct pr_consumer *c, char *why, size_t why_size) {
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(PR_TOPICS_MAX);
    for (int i = 0; i < c->process->topics_n; i++) {
        rd_kafka_topic_partition_list_add(topics, c->process->topics[i].name, RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t err = rd_kafka_subscribe(c->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)snprintf(why, why_size, "cannot subscribe: %s", rd_kafka_err2str(err));
    }
    return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

struct pr_consumer *pr_consumer_new(struct pr_process *process, struct pr_lane *lanes, size_t lanes_n,
                                    struct pr_mailbox *box, char *why, size_t why_size) {
    struct pr_consumer *c = calloc(1, sizeof(*c));
    int64_t parts = (int64_t)process->topics_n * process->partitions;
    rd_kafka_conf_t *conf = c ? pr_kafka_conf(process->opt, parts, why, why_size) : NULL;
    if (!conf) {
        free(c);
        return NULL;
    }
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->process = process;
    c->lanes = lanes;
    c->lanes_n = lanes_n;
    c->box = box;
    c->partitions = process->partitions;
    c->held_max = pr_budget_of(process->opt->dispatch.memory_max, process->opt->dispatch.lanes, parts).part_held;
    c->assigned_max = (size_t)parts;
    c->assigned = calloc(c->assigned_max, sizeof(*c->assigned));
    c->metric = pr_metrics_lane(process->metrics, (uint16_t)(lanes_n + 2));
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    rd_kafka_conf_set_opaque(conf, c);
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, why_size);
    if (!c->rk) {
        rd_kafka_conf_destroy(conf);
    }
    if (c->rk && !c->assigned) {
        (void)snprintf(why, why_size, "no memory");
    }
    if (!c->rk || !c->assigned || c->wake_fd < 0) {
        pr_consumer_free(c);
        return NULL;
    }
    rd_kafka_poll_set_consumer(c->rk);
    return c;
}

bool pr_consumer_start(struct pr_consumer *consumer) {
    char why[256];
    if (!subscribe(consumer, why, sizeof(why))) {
        pr_log_error("kafka", "text=%s", why);
        return false;
    }
    return pthread_create(&consumer->thread, NULL, consumer_main, consumer) == 0;
}

void pr_consumer_stop(struct pr_consumer *consumer) {
    atomic_store(&consumer->is_stopping, true);
    pthread_join(consumer->thread, NULL);
}

void pr_consumer_free(struct pr_consumer *consumer) {
    if (!consumer) {
        return;
    }
    if (consumer->rk) {
        rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    if (consumer->wake_fd >= 0) {
        close(consumer->wake_fd); /* the queues that write to it are gone */
    }
    free(consumer->assigned);
    free(consumer);
}

int pr_consumer_assigned(const struct pr_consumer *consumer) {
    return atomic_load(&consumer->assigned_n);
}
