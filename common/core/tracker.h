/* Offsets of one partition: records settle in any order, and only the contiguous front may be committed. */
#ifndef PR_CORE_TRACKER_H
#define PR_CORE_TRACKER_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A ring of delivered offsets in order of delivery (transaction markers leave gaps between them). One thread. The memory is one
 * allocation at init; nothing grows afterwards.
 */
struct pr_tracker {
    int64_t *offset; /* capacity entries, delivered offsets */
    uint8_t *done;   /* capacity entries */
    uint32_t capacity;
    uint32_t head;  /* oldest not yet passed */
    uint32_t count; /* entries between head and the newest */
    uint32_t open;  /* those of them not yet settled */
    int64_t next;   /* offset to commit (last settled + 1), or -1 while nothing settled: then nothing is committed */
};

/* `capacity` deliveries at most between the front and the newest. False when it is 0 or malloc refused; free is then harmless. */
bool pr_tracker_init(struct pr_tracker *tracker, uint32_t capacity) PR_MUST_CHECK;
void pr_tracker_free(struct pr_tracker *tracker);

/* Whether the window has room for one more delivery. */
bool pr_tracker_has_room(const struct pr_tracker *tracker);

/* Notes a delivery; offsets must rise (asserted). The caller checked for room. Returns the slot to settle it by. */
uint32_t pr_tracker_deliver(struct pr_tracker *tracker, int64_t offset);

/* Marks a slot settled, once (asserted), and moves the front over all that is; true when `next` moved. */
bool pr_tracker_settle(struct pr_tracker *tracker, uint32_t slot);

/* Deliveries not yet settled. */
uint32_t pr_tracker_open(const struct pr_tracker *tracker);

#endif
