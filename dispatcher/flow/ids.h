/* Places of ids in a table of fixed size: an open hash, so that a look-up costs the same however many there are. */
#ifndef PR_FLOW_IDS_H
#define PR_FLOW_IDS_H

#include <stdint.h>

enum { PR_IDS_MAX = 4096, PR_IDS_SLOTS = 2 * PR_IDS_MAX };
#define PR_IDS_NONE UINT32_MAX

/* All zero is an empty one. Ids are never removed. One thread at a time. */
struct pr_ids {
    uint32_t n;
    uint16_t slot[PR_IDS_SLOTS]; /* place + 1; 0: free */
    int32_t id[PR_IDS_MAX];
};

/* The slot where `id` is or would be. */
static inline uint32_t pr_ids_slot(const struct pr_ids *ids, int32_t id) {
    uint32_t slot = ((uint32_t)id * 2654435761U) % PR_IDS_SLOTS;
    while (ids->slot[slot] != 0 && ids->id[ids->slot[slot] - 1] != id) {
        slot = (slot + 1) % PR_IDS_SLOTS;
    }
    return slot;
}

/* The id's place, 0 and up in the order of their coming; PR_IDS_NONE when it is not there. */
static inline uint32_t pr_ids_find(const struct pr_ids *ids, int32_t id) {
    uint16_t place = ids->slot[pr_ids_slot(ids, id)];
    return place != 0 ? place - 1U : PR_IDS_NONE;
}

/* The same, after giving it a place; PR_IDS_NONE when `most` are there. */
static inline uint32_t pr_ids_add(struct pr_ids *ids, int32_t id, uint32_t most) {
    uint32_t slot = pr_ids_slot(ids, id);
    if (ids->slot[slot] == 0) {
        if (ids->n >= most || ids->n >= PR_IDS_MAX) {
            return PR_IDS_NONE;
        }
        ids->id[ids->n++] = id;
        ids->slot[slot] = (uint16_t)ids->n;
    }
    return ids->slot[slot] - 1U;
}

#endif
