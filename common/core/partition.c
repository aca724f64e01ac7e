/* MurmurHash2 as Kafka's Java client computes it, and the partition that follows from it. */
#include "core/partition.h"

#include "base/check.h"

/* Constants of Austin Appleby's MurmurHash2; the seed is Kafka's own. */
static const uint32_t murmur_seed = 0x9747b28c;
static const uint32_t murmur_m = 0x5bd1e995;

static uint32_t byte_at(struct pr_span s, size_t i) {
    return (uint8_t)s.p[i];
}

static uint32_t mixed(uint32_t k) {
    k *= murmur_m;
    k ^= k >> 24;
    return k * murmur_m;
}

uint32_t pr_partition_murmur2(struct pr_span key) {
    uint32_t h = murmur_seed ^ (uint32_t)key.n;
    size_t i = 0;
    for (; i + 4 <= key.n; i += 4) {
        /* Little-endian on every machine, as Java reads it. */
        uint32_t k = byte_at(key, i) | byte_at(key, i + 1) << 8 | byte_at(key, i + 2) << 16 | byte_at(key, i + 3) << 24;
        h = h * murmur_m ^ mixed(k);
    }
    if (i < key.n) {
        for (size_t j = i; j < key.n; j++) {
            h ^= byte_at(key, j) << (8 * (j - i));
        }
        h *= murmur_m;
    }
    h ^= h >> 13;
    h *= murmur_m;
    return h ^ h >> 15;
}

int32_t pr_partition_of(struct pr_span key, int32_t partitions) {
    pr_assert(partitions > 0);
    /* Java masks the sign away instead of taking the absolute value. */
    return (int32_t)((pr_partition_murmur2(key) & 0x7fffffff) % (uint32_t)partitions);
}
