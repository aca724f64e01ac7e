/* The consumer: the one thread that polls Kafka, handles rebalances and stores offsets; records go to lanes by partition. */
#ifndef PR_INTAKE_CONSUMER_H
#define PR_INTAKE_CONSUMER_H

#include "base/mailbox.h"
#include "flow/lane.h"

#include <librdkafka/rdkafka.h>

struct pr_consumer;

/* `lanes` are started already and outlive the consumer. NULL with a sentence in `why`. */
struct pr_consumer *pr_consumer_new(struct pr_process *process, struct pr_lane *lanes, size_t lanes_n,
                                    struct pr_mailbox *box, char *why, size_t why_size);

/* Runs until pr_consumer_stop; then revokes everything, stores the last offsets and leaves the group. */
bool pr_consumer_start(struct pr_consumer *consumer) PR_MUST_CHECK;
void pr_consumer_stop(struct pr_consumer *consumer);
void pr_consumer_free(struct pr_consumer *consumer);

/* Partitions assigned now: for /readyz. Any thread. */
int pr_consumer_assigned(const struct pr_consumer *consumer);

/* A handle's settings by the options, for checks and for the consumer of `parts` partitions. NULL with a sentence in `why`. */
rd_kafka_conf_t *pr_kafka_conf(const struct pr_options *opt, int64_t parts, char *why, size_t why_size);

/* The number of partitions that all topics have; 0 with a sentence and its cure in `why` when they cannot be read or differ. */
int32_t pr_kafka_partitions(rd_kafka_t *rk, const struct pr_process *process, char *why, size_t why_size);

#endif
