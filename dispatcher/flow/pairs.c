/* Linear probing with removal by shifting back; a hand sweeps a few slots with each message, so that no call is long but the one that grows. */
#include "flow/pairs.h"

#include "base/check.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PAIRS_FIRST = 1024, PAIRS_SWEEP = 4 };

void pr_pairs_free(struct pr_pairs *pairs) {
    free(pairs->slot);
    *pairs = (struct pr_pairs){.slot = NULL};
}

uint64_t pr_pairs_key(const struct pr_job *job) {
    uint64_t key = XXH3_64bits_withSeed(job->to.text, job->to.n, (uint64_t)job->sender->id);
    return key ? key : 1;
}

/* The key's slot, or the free one where it would stand. */
static size_t slot_of(const struct pr_pairs *pairs, uint64_t key) {
    size_t i = (size_t)key & (pairs->room - 1);
    while (pairs->slot[i].key != 0 && pairs->slot[i].key != key) {
        i = (i + 1) & (pairs->room - 1);
    }
    return i;
}

static struct pr_pair *find(const struct pr_pairs *pairs, uint64_t key) {
    size_t i = pairs->room > 0 ? slot_of(pairs, key) : 0;
    return pairs->room > 0 && pairs->slot[i].key == key ? &pairs->slot[i].pair : NULL;
}

/* Frees slot `i`; what stands behind it and was pushed past it moves up. */
static void drop(struct pr_pairs *pairs, size_t i) {
    size_t mask = pairs->room - 1;
    for (size_t j = (i + 1) & mask; pairs->slot[j].key != 0; j = (j + 1) & mask) {
        size_t home = (size_t)pairs->slot[j].key & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            pairs->slot[i] = pairs->slot[j];
            i = j;
        }
    }
    pairs->slot[i] = (struct pr_pairs_slot){.key = 0};
    pairs->n--;
}

/* Faster than pairs can come: in one round of the hand no more than a quarter of the table is added. */
static void sweep(struct pr_pairs *pairs, int64_t now_us) {
    for (int i = 0; i < PAIRS_SWEEP && pairs->room > 0; i++) {
        struct pr_pairs_slot *slot = &pairs->slot[pairs->hand];
        if (slot->key != 0 && pr_pair_is_full(&slot->pair, now_us)) {
            drop(pairs, pairs->hand); /* another may have moved here: looked at next */
        } else {
            pairs->hand = (pairs->hand + 1) & (pairs->room - 1);
        }
    }
}

static bool grow(struct pr_pairs *pairs) {
    size_t most = pairs->most ? pairs->most : PR_PAIRS_MAX;
    size_t room = pairs->room ? pairs->room * 2 : PAIRS_FIRST < most ? PAIRS_FIRST : most;
    struct pr_pairs old = *pairs;
    struct pr_pairs_slot *slot = room <= most ? calloc(room, sizeof(*slot)) : NULL;
    if (!slot) {
        return false;
    }
    pairs->slot = slot;
    pairs->room = room;
    pairs->hand = 0;
    for (size_t i = 0; i < old.room; i++) {
        if (old.slot[i].key != 0) {
            pairs->slot[slot_of(pairs, old.slot[i].key)] = old.slot[i];
        }
    }
    free(old.slot);
    return true;
}

static bool has_place(struct pr_pairs *pairs) {
    return pairs->n < pairs->room / 8 * 7 || grow(pairs);
}

/* NULL when there is no place for it. */
static struct pr_pair *at(struct pr_pairs *pairs, uint64_t key, int64_t now_us) {
    struct pr_pair *pair = find(pairs, key);
    if (pair) {
        return pair;
    }
    sweep(pairs, now_us);
    if (!has_place(pairs)) {
        return NULL;
    }
    size_t i = slot_of(pairs, key);
    pairs->slot[i] = (struct pr_pairs_slot){.key = key};
    pairs->n++;
    return &pairs->slot[i].pair;
}

int64_t pr_pairs_wait(struct pr_pairs *pairs, uint64_t key, int64_t now_us) {
    const struct pr_pair *pair = find(pairs, key);
    if (pair) {
        return pr_pair_wait(pair, now_us);
    }
    sweep(pairs, now_us);
    return has_place(pairs) ? 0 : PR_PAIR_STEP_US;
}

void pr_pairs_take(struct pr_pairs *pairs, uint64_t key, int64_t now_us) {
    struct pr_pair *pair = at(pairs, key, now_us);
    pr_assert(pair); /* pr_pairs_wait made a place */
    pr_pair_take(pair, now_us);
}

enum pr_pair_answer pr_pairs_ask(struct pr_pairs *pairs, uint64_t key, bool may_wait, int64_t now_us, int64_t *until_us) {
    struct pr_pair *pair = find(pairs, key);
    if (pair) {
        return pr_pair_ask(pair, may_wait, now_us, until_us);
    }
    int64_t wait_us = pr_pairs_wait(pairs, key, now_us);
    *until_us = now_us + wait_us;
    return wait_us == 0 ? PR_PAIR_GO : may_wait ? PR_PAIR_WAIT : PR_PAIR_DEFER;
}

void pr_pairs_empty(struct pr_pairs *pairs, uint64_t key, int64_t now_us) {
    struct pr_pair *pair = at(pairs, key, now_us);
    if (pair) {
        pr_pair_empty(pair, now_us);
    }
}
