/* The pairs (sender, recipient) that were sent to lately, each with its bucket: the platform's pair limit kept ahead of time. */
#ifndef PR_FLOW_PAIRS_H
#define PR_FLOW_PAIRS_H

#include "core/pair.h"
#include "flow/job.h"

#include <stddef.h>

/* 32 bytes a pair, at most 8 MiB a lane: 229,376 pairs, enough for 26,000 messages a second to ever new people. */
enum { PR_PAIRS_MAX = 1 << 18 };

struct pr_pairs_slot {
    uint64_t key; /* 0: free */
    struct pr_pair pair;
};

/*
 * One lane's: messages of one person come from one lane. All zero is empty; it grows as needed and keeps what it once needed. A pair whose bucket
 * is full again is dropped, by a hand that looks at a few slots with each message. When there is no place for another pair its messages wait.
 */
struct pr_pairs {
    struct pr_pairs_slot *slot;
    size_t room, n, hand;
    size_t most; /* 0: PR_PAIRS_MAX; a power of two */
};

void pr_pairs_free(struct pr_pairs *pairs);

/* The pair of a job; two that collide share a bucket, which errs to sending less. */
uint64_t pr_pairs_key(const struct pr_job *job);

/* Microseconds until a message may go. */
int64_t pr_pairs_wait(struct pr_pairs *pairs, uint64_t key, int64_t now_us);

/* One goes; pr_pairs_wait was 0 just before. */
void pr_pairs_take(struct pr_pairs *pairs, uint64_t key, int64_t now_us);

/* pr_pair_ask of that pair. */
enum pr_pair_answer pr_pairs_ask(struct pr_pairs *pairs, uint64_t key, bool may_wait, int64_t now_us, int64_t *until_us);

/* pr_pair_empty of that pair. */
void pr_pairs_empty(struct pr_pairs *pairs, uint64_t key, int64_t now_us);

#endif
