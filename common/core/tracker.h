/* Offsets of one partition: records settle in any order, and only the contiguous front may be committed. */
#ifndef PR_CORE_TRACKER_H
#define PR_CORE_TRACKER_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How far the newest delivered offset may be from the front, in windows: a record that takes half a minute (a hanging request, a person's turn) then
 * holds back its own offset and not the records behind it. A bit an offset: 8 KiB for a window of 1,024.
 */
enum { PR_TRACKER_SPAN = 64 };

/*
 * A ring of bits, one an offset from the front on; offsets that were never delivered (transaction markers) count as settled. One thread. The memory is
 * one allocation at init; nothing grows afterwards.
 */
struct pr_tracker {
    uint64_t *done;  /* bit of an offset: offset % span */
    uint32_t window; /* most that may be open */
    uint32_t span;   /* bits, a power of two */
    uint32_t open;   /* delivered and not settled */
    int64_t front;   /* everything below is settled; an open one when any is */
    int64_t end;     /* one beyond the newest delivered */
    int64_t next;    /* offset to commit, or -1 while nothing settled: then nothing is committed */
};

/* `window` deliveries open at most, 1 to 2^24. False when it is 0 or malloc refused; free is then harmless. */
bool pr_tracker_init(struct pr_tracker *tracker, uint32_t window) PR_MUST_CHECK;
void pr_tracker_free(struct pr_tracker *tracker);

/* Whether this offset, the next one read, may be delivered. */
bool pr_tracker_has_room(const struct pr_tracker *tracker, int64_t offset);

/* Notes a delivery; offsets must rise (asserted). The caller checked for room. Returns the slot to settle it by. */
uint32_t pr_tracker_deliver(struct pr_tracker *tracker, int64_t offset);

/* Marks a slot settled, once (asserted), and moves the front over all that is; true when `next` moved. */
bool pr_tracker_settle(struct pr_tracker *tracker, uint32_t slot);

/* Deliveries not yet settled. */
uint32_t pr_tracker_open(const struct pr_tracker *tracker);

#endif
