/* Which partition a key belongs to: the hash of Kafka's Java client, so that every publisher of a person's events agrees. */
#ifndef PR_CORE_PARTITION_H
#define PR_CORE_PARTITION_H

#include "base/span.h"

#include <stdint.h>

/*
 * MurmurHash2 with the seed of Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2); the result is that function's int as
 * unsigned. Any bytes, also none. Any thread.
 */
uint32_t pr_partition_murmur2(struct pr_span key);

/*
 * The partition of `key` among `partitions` (1 and up, asserted), from 0: what the Java client, kafkajs and librdkafka's
 * `murmur2_random` choose for a key that is there. A record without a key may be on any partition. Any thread.
 */
int32_t pr_partition_of(struct pr_span key, int32_t partitions);

#endif
