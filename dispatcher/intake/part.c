/* A lane's partitions: their backlog, their window, and the offsets told to the consumer. */
#include "intake/intake.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "core/partition.h"
#include "gate/gate.h"
#include "intake/mail.h"
#include "intake/prepare.h"
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

enum { PR_REVOKE_WAIT_MS = 5000 };

static struct pr_log_limit dead_stop = PR_LOG_LIMIT(60);
static struct pr_log_limit misplaced = PR_LOG_LIMIT(60);

/* ---- telling the consumer ---- */

/* False without memory: to be told again the next turn. */
static bool report(struct pr_lane *lane, const struct pr_part *part, enum pr_report_kind kind) {
    struct pr_report *mail = calloc(1, sizeof(*mail));
    if (!mail) {
        return false;
    }
    *mail = (struct pr_report){.kind = kind,
                               .topic = part->topic,
                               .part = part->part,
                               .assignment = part->assignment,
                               .offset = part->tracker.next};
    if (!pr_mailbox_post(lane->consumer_box, &mail->mail)) {
        free(mail);
        return false;
    }
    return true;
}

static void report_offsets(struct pr_lane *lane) {
    struct pr_part *part = NULL;
    TAILQ_FOREACH (part, &lane->parts, link) {
        if (!part->is_revoked && part->tracker.next >= 0 && part->tracker.next != part->reported &&
            report(lane, part, PR_REPORT_OFFSET)) {
            part->reported = part->tracker.next;
        }
    }
}

/* ---- partitions come and go ---- */

static struct pr_part *find(const struct pr_lane *lane, int topic, int32_t number) {
    struct pr_part *part = NULL;
    TAILQ_FOREACH (part, &lane->parts, link) {
        if (!part->is_revoked && part->topic == topic && part->part == number) {
            return part;
        }
    }
    return NULL;
}

static void part_free(struct pr_lane *lane, struct pr_part *part) {
    TAILQ_REMOVE(&lane->parts, part, link);
    pr_tracker_free(&part->tracker);
    free(part->backlog);
    free(part);
}

static void assign(struct pr_lane *lane, const struct pr_intake_mail *mail) {
    struct pr_part *part = calloc(1, sizeof(*part));
    pr_assert(!find(lane, mail->topic, mail->part));
    if (!part) {
        pr_out_of_memory("partition");
    }
    *part = (struct pr_part){
        .topic = mail->topic, .part = mail->part, .assignment = mail->assignment, .flow = mail->flow, .reported = -1};
    if (!pr_tracker_init(&part->tracker, (uint32_t)lane->process->opt->dispatch.window)) {
        pr_out_of_memory("window of a partition");
    }
    TAILQ_INSERT_TAIL(&lane->parts, part, link);
}

/* A record leaves the way between consumer and lane. */
static void count_out(struct pr_part_flow *flow, const rd_kafka_message_t *record) {
    atomic_fetch_sub_explicit(&flow->held, pr_budget_cost(record->len), memory_order_relaxed);
}

static void drop_backlog(struct pr_part *part) {
    while (part->backlog_n > 0) {
        rd_kafka_message_t *record = part->backlog[part->backlog_head];
        part->backlog_head = (part->backlog_head + 1) % part->backlog_room;
        part->backlog_n--;
        count_out(part->flow, record);
        rd_kafka_message_destroy(record);
    }
}

static void revoke(struct pr_lane *lane, const struct pr_intake_mail *mail) {
    struct pr_part *part = find(lane, mail->topic, mail->part);
    if (!part) {
        return;
    }
    PR_FAULT("revoke.begun");
    part->is_revoked = true;
    part->revoke_end_ns = lane->now_ns + PR_REVOKE_WAIT_MS * INT64_C(1000000);
    drop_backlog(part);
    pr_intake_drop(lane, part, part->part);
}

/* A revoked partition is answered for when its jobs have ended, or its time is up; it goes when nothing points to it any more. */
static void finish_revoked(struct pr_lane *lane) {
    struct pr_part *next = NULL;
    for (struct pr_part *part = TAILQ_FIRST(&lane->parts); part; part = next) {
        next = TAILQ_NEXT(part, link);
        if (part->is_revoked && !part->is_answered && (part->open == 0 || lane->now_ns >= part->revoke_end_ns) &&
            report(lane, part, PR_REPORT_REVOKED)) {
            part->is_answered = true;
            PR_FAULT("revoke.answered");
        }
        if (part->is_answered && part->open == 0) {
            part_free(lane, part);
        }
    }
}

/* ---- records ---- */

static void enqueue(struct pr_part *part, rd_kafka_message_t *record) {
    if (part->backlog_n == part->backlog_room) {
        uint32_t room = part->backlog_room ? part->backlog_room * 2 : 256;
        rd_kafka_message_t **grown = calloc(room, sizeof(*grown));
        if (!grown) {
            pr_out_of_memory("backlog of a partition");
        }
        for (uint32_t i = 0; i < part->backlog_n; i++) {
            grown[i] = part->backlog[(part->backlog_head + i) % part->backlog_room];
        }
        free(part->backlog);
        part->backlog = grown;
        part->backlog_room = room;
        part->backlog_head = 0;
    }
    part->backlog[(part->backlog_head + part->backlog_n) % part->backlog_room] = record;
    part->backlog_n++;
}

static void take_records(struct pr_lane *lane, struct pr_intake_mail *mail) {
    struct pr_part *part = find(lane, mail->topic, mail->part);
    bool is_ours = part && part->assignment == mail->assignment && !lane->is_draining;
    for (uint32_t i = 0; i < mail->n; i++) {
        if (is_ours) {
            enqueue(part, mail->record[i]);
        } else {
            count_out(mail->flow, mail->record[i]);
            rd_kafka_message_destroy(mail->record[i]); /* of an assignment that is over: who has it now reads it again */
        }
    }
}

static void copy_raw(struct pr_job *job, const rd_kafka_message_t *record) {
    job->raw.key = record->key ? pr_arena_copy(&job->arena, pr_span_make(record->key, record->key_len))
                               : (struct pr_span){NULL, 0};
    job->raw.value = record->payload ? pr_arena_copy(&job->arena, pr_span_make(record->payload, record->len))
                                     : (struct pr_span){NULL, 0};
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    size_t n = rd_kafka_header_cnt(headers);
    n = n > PR_RECORD_HEADERS_MAX ? PR_RECORD_HEADERS_MAX : n;
    job->raw.headers = pr_arena_calloc(&job->arena, n, sizeof(struct pr_header));
    for (size_t i = 0; job->raw.headers && i < n; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            job->raw.headers[job->raw.headers_n++] = (struct pr_header){
                .name = pr_arena_copy(&job->arena, pr_span_of(name)),
                .value = value ? pr_arena_copy(&job->arena, pr_span_make(value, size)) : (struct pr_span){NULL, 0}};
        }
    }
}

/* Decides what kind of job the record is; only a fault of memory is not the record's. */
static void decode(struct pr_lane *lane, struct pr_job *job) {
    struct pr_record_input in = {.value = job->raw.value, .headers = job->raw.headers, .headers_n = job->raw.headers_n};
    struct pr_record_fault fault;
    enum pr_record_status status = pr_record_decode(&in, &job->arena, &job->record, &fault);
    if (status == PR_RECORD_TOMBSTONE) {
        job->kind = PR_JOB_ASIDE;
        job->aside_kind = "refused";
        job->aside_reason = "tombstone";
    } else if (status != PR_RECORD_OK || !pr_prepare(lane, job)) {
        job->kind = PR_JOB_DEAD;
        job->aside_reason = status == PR_RECORD_OK ? "no_memory" : pr_record_status_name(status);
        job->dead_detail =
            status == PR_RECORD_OK ? PR_SPAN("no memory") : pr_arena_copy(&job->arena, pr_span_of(fault.text));
    }
}

static void check_place(struct pr_lane *lane, const struct pr_job *job) {
    if (job->raw.key.n > 0 && pr_partition_of(job->raw.key, lane->process->partitions) != job->origin.part) {
        pr_metric_add(lane->metric, PR_METRIC_MISPLACED, 0, 1);
        pr_log_limited(&misplaced, PR_LOG_WARN, "misplaced_record", "source=%.*s partition=%d text=%s",
                       PR_SPAN_ARG(job->record.source), job->origin.part,
                       "its key belongs to another partition: set partitioner=murmur2_random at that producer");
    }
}

static bool take_one(struct pr_lane *lane, struct pr_part *part) {
    rd_kafka_message_t *record = part->backlog[part->backlog_head];
    struct pr_job *job = pr_job_new(&lane->jobs);
    if (!job) {
        return false;
    }
    part->backlog_head = (part->backlog_head + 1) % part->backlog_room;
    part->backlog_n--;
    count_out(part->flow, record);
    PR_FAULT("record.fetched");
    rd_kafka_timestamp_type_t kind;
    int64_t kafka_ms = rd_kafka_message_timestamp(record, &kind);
    job->part = part;
    job->slot = pr_tracker_deliver(&part->tracker, record->offset);
    part->open++;
    job->origin = (struct pr_origin){.topic = lane->process->topics[part->topic].id,
                                     .part = part->part,
                                     .off = record->offset,
                                     .kafka_us = kafka_ms > 0 ? kafka_ms * 1000 : lane->now_us};
    job->since_us = PR_TIME_NONE;
    job->expires_ns = INT64_MAX;
    pr_lane_charge(lane, job, record->len);
    copy_raw(job, record);
    decode(lane, job);
    PR_FAULT("record.decoded");
    check_place(lane, job);
    rd_kafka_message_destroy(record);
    pr_metric_add(lane->metric, PR_METRIC_RECORDS, 0, 1);
    pr_intake_admit(lane, job);
    return true;
}

/* More dead letters in a minute than anyone wants: something upstream is broken, and reading on would only bury it. */
static bool is_stopped_by_dead(struct pr_lane *lane) {
    int64_t most = lane->process->opt->intake.dead_letters_max_per_minute;
    int64_t minute = lane->now_ns / (INT64_C(60) * 1000000000);
    if (minute != lane->dead_minute) {
        lane->dead_minute = minute;
        lane->dead_n = 0;
    }
    lane->is_stopped_by_dead = most > 0 && lane->dead_n >= most;
    if (!lane->is_stopped_by_dead) {
        return false;
    }
    pr_log_limited(&dead_stop, PR_LOG_ERROR, "intake_stopped", "dead_letters=%lld text=%s", (long long)lane->dead_n,
                   "more than intake.dead_letters_max_per_minute: look at postrider deadletter list; goes on with the "
                   "next minute");
    return true;
}

static void fill_windows(struct pr_lane *lane) {
    enum { TURN_MAX = 250 }; /* records a turn, so that answers are not kept waiting */
    struct pr_part *part = NULL;
    int taken = 0, taken_bulk = 0;
    TAILQ_FOREACH (part, &lane->parts, link) {
        bool is_bulk = pr_part_use(lane, part) == PR_MEMORY_BULK;
        while (taken < TURN_MAX && !(is_bulk && taken_bulk == PR_PORTION_JOBS) && pr_part_may_take(lane, part) &&
               !is_stopped_by_dead(lane) && take_one(lane, part)) {
            taken++;
            taken_bulk += is_bulk;
        }
    }
    if (taken == TURN_MAX) {
        pr_lane_wake_at(lane, lane->now_ns);
    }
    if (taken > 0) { /* the next one begins, so that no partition has all of the turn or of the memory */
        part = TAILQ_FIRST(&lane->parts);
        TAILQ_REMOVE(&lane->parts, part, link);
        TAILQ_INSERT_TAIL(&lane->parts, part, link);
    }
}

static void drain(struct pr_lane *lane, const struct pr_intake_mail *mail) {
    struct pr_part *part = NULL;
    lane->is_draining = true;
    lane->drain_end_ns = mail->deadline_ns;
    TAILQ_FOREACH (part, &lane->parts, link) {
        drop_backlog(part);
    }
    pr_intake_drop(lane, NULL, -1);
}

static void take_mail(struct pr_lane *lane) {
    struct pr_mail *next = NULL;
    for (struct pr_mail *m = pr_mailbox_take(&lane->box); m; m = next) {
        next = m->next;
        struct pr_intake_mail *mail = PR_CONTAINER_OF(m, struct pr_intake_mail, mail);
        switch (mail->kind) {
        case PR_INTAKE_RECORDS: take_records(lane, mail); break;
        case PR_INTAKE_ASSIGN: assign(lane, mail); break;
        case PR_INTAKE_REVOKE: revoke(lane, mail); break;
        case PR_INTAKE_DRAIN: drain(lane, mail); break;
        }
        free(mail);
    }
}

static void prepare_again(struct pr_lane *lane) {
    struct pr_job *job = NULL;
    while (lane->book && (job = TAILQ_FIRST(&lane->to_prepare)) != NULL) {
        TAILQ_REMOVE(&lane->to_prepare, job, queue);
        job->is_queued = false;
        if (job->is_dropped || lane->is_draining || !pr_prepare(lane, job)) {
            pr_lane_settle(lane, job, 0, PR_NEXT_DROP);
        } else if (job->kind == PR_JOB_ASIDE) {
            pr_lane_settle(lane, job, PR_WRITE_ASIDE, PR_NEXT_SETTLED); /* its rule went before it had a row */
        } else {
            TAILQ_INSERT_TAIL(&lane->passed, job, queue);
            job->is_queued = true;
        }
    }
}

bool pr_intake_open(struct pr_lane *lane) {
    lane->gate = calloc(1, sizeof(*lane->gate));
    if (lane->gate) {
        pr_gate_init(lane->gate);
    }
    return lane->gate != NULL;
}

void pr_intake_turn(struct pr_lane *lane) {
    take_mail(lane);
    prepare_again(lane);
    if (lane->book && !lane->is_draining) {
        fill_windows(lane);
    }
    finish_revoked(lane);
    report_offsets(lane);
}

void pr_intake_close(struct pr_lane *lane) {
    take_mail(lane);
    struct pr_part *part = NULL;
    while ((part = TAILQ_FIRST(&lane->parts)) != NULL) {
        drop_backlog(part);
        part_free(lane, part);
    }
    free(lane->gate);
}
