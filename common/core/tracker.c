/* The ring of delivered offsets; the front moves over what is settled, and only the front is ever committed. */
#include "core/tracker.h"

#include "base/check.h"

#include <stdlib.h>

bool pr_tracker_init(struct pr_tracker *tracker, uint32_t capacity) {
    *tracker = (struct pr_tracker){.capacity = capacity, .next = -1};
    if (capacity == 0)
        return false;
    tracker->offset = calloc(capacity, sizeof *tracker->offset + sizeof *tracker->done);
    if (!tracker->offset)
        return false;
    tracker->done = (uint8_t *)(tracker->offset + capacity);
    return true;
}

void pr_tracker_free(struct pr_tracker *tracker) {
    free(tracker->offset); /* `done` lies behind it */
    *tracker = (struct pr_tracker){.next = -1};
}

bool pr_tracker_has_room(const struct pr_tracker *tracker) {
    return tracker->count < tracker->capacity;
}

static uint32_t slot_at(const struct pr_tracker *tracker, uint32_t behind_head) {
    uint32_t to_end = tracker->capacity - tracker->head;
    return behind_head < to_end ? tracker->head + behind_head : behind_head - to_end;
}

/* The newest offset delivered, -1 before the first; once the window is empty it is the one the front went over last. */
static int64_t newest(const struct pr_tracker *tracker) {
    if (tracker->count > 0)
        return tracker->offset[slot_at(tracker, tracker->count - 1)];
    return tracker->next < 0 ? -1 : tracker->next - 1;
}

uint32_t pr_tracker_deliver(struct pr_tracker *tracker, int64_t offset) {
    pr_assert(pr_tracker_has_room(tracker));
    pr_assert(offset > newest(tracker));
    uint32_t slot = slot_at(tracker, tracker->count);
    tracker->offset[slot] = offset;
    tracker->done[slot] = 0;
    tracker->count++;
    tracker->open++;
    return slot;
}

static bool is_delivered(const struct pr_tracker *tracker, uint32_t slot) {
    if (slot >= tracker->capacity)
        return false;
    uint32_t behind_head = slot >= tracker->head ? slot - tracker->head : slot + (tracker->capacity - tracker->head);
    return behind_head < tracker->count && !tracker->done[slot];
}

bool pr_tracker_settle(struct pr_tracker *tracker, uint32_t slot) {
    pr_assert(is_delivered(tracker, slot));
    tracker->done[slot] = 1;
    tracker->open--;
    bool has_moved = false;
    while (tracker->count > 0 && tracker->done[tracker->head]) {
        tracker->next = tracker->offset[tracker->head] + 1;
        tracker->head = slot_at(tracker, 1);
        tracker->count--;
        has_moved = true;
    }
    return has_moved;
}

uint32_t pr_tracker_open(const struct pr_tracker *tracker) {
    return tracker->open;
}
