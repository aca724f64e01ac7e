/* Polling, rebalancing and storing offsets, all in one thread: librdkafka 2.0.2 loses messages when they are not. */
#include "intake/consumer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "intake/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PR_POLL_MS = 20, PR_BATCH_MAX = 500, PR_REVOKE_MS = 8000, PR_TOPIC_PARTITIONS_MAX = 4096 };

static struct pr_log_limit errors = PR_LOG_LIMIT(5);

/* One (topic, partition) as the consumer sees it. */
struct pr_assigned {
    int64_t assignment;  /* number of the present assignment; 0: not ours */
    int64_t assigned_at; /* the assignment last given out, to answer reports of a revoked one */
    _Atomic int32_t depth;
    bool is_paused, is_waited;
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
    struct pr_assigned *assigned; /* topics_n x partitions */
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
    pr_assert(mail); /* a thread that cannot tell its lanes what is theirs cannot go on */
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
}

/* The number of the assignment is looked at by the very thread that changes it: an offset of an earlier one is never stored. */
static void take_reports(struct pr_consumer *c) {
    struct pr_mail *next = NULL;
    for (struct pr_mail *m = pr_mailbox_take(c->box); m; m = next) {
        next = m->next;
        struct pr_report *report = PR_CONTAINER_OF(m, struct pr_report, mail);
        struct pr_assigned *at = place(c, report->topic, report->part);
        pr_assert(at);
        pr_assert(at != NULL); /* a lane reports only parts that it was given */
        if (at->assignment == report->assignment && report->offset >= 0) {
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
        at->is_paused = false;
        struct pr_intake_mail *mail = mail_new(PR_INTAKE_ASSIGN, topic, parts->elems[i].partition, at->assignment, 0);
        mail->depth = &at->depth;
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

static void set_paused(struct pr_consumer *c, int topic, int32_t part, struct pr_assigned *at, bool is_paused) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, c->process->topics[topic].name, part);
    rd_kafka_resp_err_t err =
        is_paused ? rd_kafka_pause_partitions(c->rk, list) : rd_kafka_resume_partitions(c->rk, list);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        at->is_paused = is_paused;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* Intake stops, lanes finish or write back, offsets are stored, and only then the assignment is given up. A lost assignment stores nothing. */
static void on_revoke(struct pr_consumer *c, rd_kafka_topic_partition_list_t *parts) {
    bool is_lost = rd_kafka_assignment_lost(c->rk);
    for (int i = 0; i < parts->cnt; i++) {
        int topic = topic_of(c, parts->elems[i].topic);
        if (topic >= 0) {
            struct pr_assigned *at = place(c, topic, parts->elems[i].partition);
            ask_back(c, topic, parts->elems[i].partition);
            if (at &&
                at->is_paused) { /* librdkafka 2.0.2 keeps a pause over the rebalance: it would stand still when it comes back */
                set_paused(c, topic, parts->elems[i].partition, at, false);
            }
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
}

/* ---- records ---- */

/* A partition whose lane has a window's worth waiting is paused, and goes on at half of that; all are when memory is used up. */
static void balance(struct pr_consumer *c) {
    bool is_full = atomic_load_explicit(&c->process->backlog_bytes, memory_order_relaxed) >
                   c->process->opt->dispatch.memory_max / 2;
    int32_t high = is_full ? 1 : (int32_t)c->process->opt->dispatch.window;
    for (int t = 0; t < c->process->topics_n; t++) {
        for (int32_t p = 0; p < c->partitions; p++) {
            struct pr_assigned *at = place(c, t, p);
            int32_t depth = atomic_load_explicit(&at->depth, memory_order_relaxed);
            bool wants_pause = at->assignment != 0 && !at->is_paused && depth >= high;
            bool wants_resume = at->assignment != 0 && at->is_paused && depth <= high / 2 && !is_full;
            if (wants_pause || wants_resume) {
                set_paused(c, t, p, at, wants_pause);
            }
        }
    }
}

static void take_record(struct pr_consumer *c, rd_kafka_message_t *record) {
    int topic = record->rkt ? topic_of(c, rd_kafka_topic_name(record->rkt)) : -1;
    struct pr_assigned *at = topic < 0 ? NULL : place(c, topic, record->partition);
    if (record->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_log_limited(
            &errors, PR_LOG_ERROR, "kafka_error", "partition=%d text=%s", record->partition,
            record->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
                ? "Kafka no longer holds the offset we were to read next: retention overtook us; see docs/failure.md"
                : rd_kafka_message_errstr(record));
    }
    if (record->err != RD_KAFKA_RESP_ERR_NO_ERROR || !at || at->assignment == 0) {
        rd_kafka_message_destroy(record);
        return;
    }
    if (!at->mail) {
        at->mail = mail_new(PR_INTAKE_RECORDS, topic, record->partition, at->assignment, PR_BATCH_MAX);
    }
    at->mail->record[at->mail->n++] = record;
    at->mail->depth = &at->depth;
    atomic_fetch_add_explicit(&at->depth, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->process->backlog_bytes, (int64_t)record->len, memory_order_relaxed);
    if (at->mail->n == PR_BATCH_MAX) {
        flush_mail(c, at);
    }
}

static void flush_all(struct pr_consumer *c) {
    size_t n = (size_t)c->process->topics_n * (size_t)c->partitions;
    for (size_t i = 0; i < n; i++) {
        flush_mail(c, &c->assigned[i]);
    }
}

static void poll_once(struct pr_consumer *c) {
    rd_kafka_message_t *record = rd_kafka_consumer_poll(c->rk, PR_POLL_MS);
    for (int n = 0; record && n < PR_BATCH_MAX * 4; n++) {
        take_record(c, record);
        record = rd_kafka_consumer_poll(c->rk, 0);
    }
    if (record) {
        take_record(c, record);
    }
    flush_all(c);
    balance(c);
    take_reports(c);
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
    rd_kafka_conf_t *conf = c ? pr_kafka_conf(process->opt, why, why_size) : NULL;
    if (!conf) {
        free(c);
        return NULL;
    }
    c->process = process;
    c->lanes = lanes;
    c->lanes_n = lanes_n;
    c->box = box;
    c->partitions = process->partitions;
    c->assigned = calloc((size_t)process->topics_n * (size_t)process->partitions, sizeof(*c->assigned));
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, c);
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, why_size);
    if (!c->rk) {
        rd_kafka_conf_destroy(conf);
    }
    if (!c->rk || !c->assigned) {
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
    free(consumer->assigned);
    free(consumer);
}

int pr_consumer_assigned(const struct pr_consumer *consumer) {
    return atomic_load(&consumer->assigned_n);
}
