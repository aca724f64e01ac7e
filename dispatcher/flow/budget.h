/* How dispatch.memory.max is shared out: jobs, records between consumer and lanes, and what librdkafka may fetch ahead. */
#ifndef PR_FLOW_BUDGET_H
#define PR_FLOW_BUDGET_H

#include <stddef.h>
#include <stdint.h>

enum {
    PR_RECORD_COST = 512,       /* what librdkafka needs for a record beside its bytes */
    PR_FETCH_LEAST = 16 * 1024, /* one answer of a broker */
    PR_FETCH_MOST = 512 * 1024,
    PR_FETCH_GROWS = 8,       /* times: compressed to a quarter, and as much again beside small records */
    PR_HELD_LEAST = 4 * 1024, /* of one partition: below this it would stand still between two looks */
    PR_HELD_MOST = 1024 * 1024,
};

/* Bytes, except where it says records. One half is for jobs, the other for records on their way to them. */
struct pr_budget {
    int64_t lane_jobs;  /* of one lane */
    int64_t part_held;  /* of one partition, between consumer and lane, counted by pr_budget_cost */
    int64_t part_ahead; /* of one partition, in librdkafka's queue: values only */
    int64_t part_ahead_records;
    int64_t fetch; /* one answer of a broker, as it is sent; a partition's queue may be above its part by what becomes of it */
    int64_t total; /* all of it when every partition is ours and full */
};

/* `parts`: partitions of all topics. */
struct pr_budget pr_budget_of(int64_t memory_max, int64_t lanes, int64_t parts);

/* What a record of so many bytes is counted with while it is on its way. */
static inline int64_t pr_budget_cost(size_t bytes) {
    return (int64_t)bytes + PR_RECORD_COST;
}

#endif
