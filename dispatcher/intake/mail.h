/* What the consumer thread and the lanes tell each other. */
#ifndef PR_INTAKE_MAIL_H
#define PR_INTAKE_MAIL_H

#include "base/mailbox.h"
#include "flow/lane.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdint.h>

enum pr_intake_kind {
    PR_INTAKE_RECORDS, /* consumer -> lane: records in order of their partitions */
    PR_INTAKE_ASSIGN,  /* consumer -> lane: a partition is the lane's from now on */
    PR_INTAKE_REVOKE,  /* consumer -> lane: give it back and answer REVOKED */
    PR_INTAKE_DRAIN,   /* main -> lane: finish or write back everything, then end */
};

/* The receiver frees it, and owns the records in it. */
struct pr_intake_mail {
    struct pr_mail mail;
    enum pr_intake_kind kind;
    int topic; /* place in process->topics */
    int32_t part;
    int64_t assignment;
    int64_t deadline_ns;       /* DRAIN, monotonic */
    struct pr_part_flow *flow; /* ASSIGN, RECORDS: borrowed for the life of the process */
    uint32_t n;
    rd_kafka_message_t *record[]; /* RECORDS */
};

enum pr_report_kind {
    PR_REPORT_OFFSET,  /* lane -> consumer: everything below `offset` is settled */
    PR_REPORT_REVOKED, /* lane -> consumer: the partition is given back; `offset` as above, -1 for none */
};

/* The consumer frees it. */
struct pr_report {
    struct pr_mail mail;
    enum pr_report_kind kind;
    int topic;
    int32_t part;
    int64_t assignment;
    int64_t offset;
};

#endif
