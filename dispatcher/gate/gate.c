/* Two hash tables of taken keys, each with the queue of those who wait for it. */
#include "gate/gate.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct pr_gate_entry {
    UT_hash_handle hh;
    uint64_t key;
    struct pr_job_list waiters; /* by `queue` */
};

enum { KEY_RECIPIENT, KEY_ID, KEYS };

/* A message id that some job inside or in front of the gate has. */
struct pr_gate_present {
    UT_hash_handle hh;
    uint64_t key;
    uint32_t jobs;
};

void pr_gate_init(struct pr_gate *gate) {
    *gate = (struct pr_gate){.waiting = 0};
}

void pr_gate_free(struct pr_gate *gate) {
    for (int k = 0; k < KEYS; k++) {
        pr_assert(gate->table[k] == NULL);
    }
}

static uint64_t key_of(const struct pr_job *job, int k) {
    if (k == KEY_RECIPIENT && job->to.n > 0) {
        return XXH3_64bits_withSeed(job->to.text, job->to.n, (uint64_t)(job->tenant ? job->tenant->id : 0));
    }
    return XXH3_64bits_withSeed(job->identity.id.b, sizeof(job->identity.id.b), 0x9e3779b97f4a7c15ULL);
}

static struct pr_gate_entry *find(const struct pr_gate *gate, int k, uint64_t key) {
    struct pr_gate_entry *entry = NULL;
    HASH_FIND(hh, gate->table[k], &key, sizeof(key), entry);
    return entry;
}

/* NULL without memory: uthash then leaves the entry out of the table, which the look-up afterwards sees. */
static struct pr_gate_entry *take(struct pr_gate *gate, int k, uint64_t key) {
    struct pr_gate_entry *entry = calloc(1, sizeof(*entry));
    if (!entry) {
        return NULL;
    }
    entry->key = key;
    TAILQ_INIT(&entry->waiters);
    HASH_ADD(hh, gate->table[k], key, sizeof(entry->key), entry);
    if (find(gate, k, key) != entry) {
        free(entry);
        return NULL;
    }
    return entry;
}

static enum pr_gate_answer step(struct pr_gate *gate, struct pr_job *job, int from) {
    for (int k = from; k < KEYS; k++) {
        uint64_t key = key_of(job, k);
        struct pr_gate_entry *entry = find(gate, k, key);
        if (entry) {
            TAILQ_INSERT_TAIL(&entry->waiters, job, queue);
            job->is_queued = true;
            job->gate_wait = entry;
            gate->waiting++;
            return PR_GATE_WAITS;
        }
        job->gate_keys[k] = take(gate, k, key);
        if (!job->gate_keys[k]) {
            return PR_GATE_NO_MEMORY;
        }
    }
    return PR_GATE_PASSED;
}

static struct pr_gate_present *find_present(const struct pr_gate *gate, uint64_t key) {
    struct pr_gate_present *present = NULL;
    HASH_FIND(hh, gate->present, &key, sizeof(key), present);
    return present;
}

static bool note_present(struct pr_gate *gate, uint64_t key) {
    struct pr_gate_present *present = find_present(gate, key);
    if (!present) {
        present = calloc(1, sizeof(*present));
        if (!present) {
            return false;
        }
        present->key = key;
        HASH_ADD(hh, gate->present, key, sizeof(present->key), present);
        if (find_present(gate, key) != present) {
            free(present);
            return false;
        }
    }
    present->jobs++;
    return true;
}

static void forget_present(struct pr_gate *gate, uint64_t key) {
    struct pr_gate_present *present = find_present(gate, key);
    pr_assert(present);
    if (--present->jobs == 0) {
        HASH_DEL(gate->present, present);
        free(present);
    }
}

enum pr_gate_answer pr_gate_enter(struct pr_gate *gate, struct pr_job *job) {
    pr_assert(!job->is_entered && !job->is_queued);
    if (!note_present(gate, key_of(job, KEY_ID))) {
        return PR_GATE_NO_MEMORY;
    }
    job->is_entered = true;
    enum pr_gate_answer answer = step(gate, job, KEY_RECIPIENT);
    if (answer == PR_GATE_NO_MEMORY) {
        struct pr_job_list none = TAILQ_HEAD_INITIALIZER(none);
        pr_gate_leave(gate, job, &none);
        pr_assert(TAILQ_EMPTY(&none));
    }
    return answer;
}

/* Hands key `k` to the next who waits for it, or frees it. */
static void hand_over(struct pr_gate *gate, struct pr_gate_entry *entry, int k, struct pr_job_list *passed) {
    struct pr_job *next = TAILQ_FIRST(&entry->waiters);
    if (!next) {
        HASH_DEL(gate->table[k], entry);
        free(entry);
        return;
    }
    TAILQ_REMOVE(&entry->waiters, next, queue);
    next->is_queued = false;
    next->gate_wait = NULL;
    gate->waiting--;
    next->gate_keys[k] = entry;
    /* Without memory for its second key it passes all the same: the claim still decides, only the order of a statement is at risk. */
    if (step(gate, next, k + 1) != PR_GATE_WAITS) {
        TAILQ_INSERT_TAIL(passed, next, queue);
        next->is_queued = true;
    }
}

void pr_gate_leave(struct pr_gate *gate, struct pr_job *job, struct pr_job_list *passed) {
    pr_assert(job->is_entered);
    if (job->gate_wait) {
        TAILQ_REMOVE(&job->gate_wait->waiters, job, queue);
        job->is_queued = false;
        job->gate_wait = NULL;
        gate->waiting--;
    }
    for (int k = KEYS - 1; k >= 0; k--) {
        if (job->gate_keys[k]) {
            hand_over(gate, job->gate_keys[k], k, passed);
            job->gate_keys[k] = NULL;
        }
    }
    forget_present(gate, key_of(job, KEY_ID));
    job->is_entered = false;
}

bool pr_gate_has_id(const struct pr_gate *gate, const struct pr_uuid *id) {
    uint64_t key = XXH3_64bits_withSeed(id->b, sizeof(id->b), 0x9e3779b97f4a7c15ULL);
    return find_present(gate, key) != NULL;
}
