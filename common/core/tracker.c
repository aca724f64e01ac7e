/* The ring of settled offsets; the front moves over what is settled, and only the front is ever committed. */
#include "core/tracker.h"

#include "base/check.h"

#include <stdlib.h>

enum { PR_WINDOW_MAX = 1 << 24, PR_WORD = 64 };

bool pr_tracker_init(struct pr_tracker *tracker, uint32_t window) {
    *tracker = (struct pr_tracker){.window = window, .span = PR_WORD, .next = -1};
    if (window == 0 || window > PR_WINDOW_MAX)
        return false;
    while (tracker->span < window * PR_TRACKER_SPAN)
        tracker->span *= 2;
    tracker->done = calloc(tracker->span / PR_WORD, sizeof *tracker->done);
    return tracker->done != NULL;
}

void pr_tracker_free(struct pr_tracker *tracker) {
    free(tracker->done);
    *tracker = (struct pr_tracker){.next = -1};
}

static uint32_t slot_of(const struct pr_tracker *tracker, int64_t offset) {
    return (uint32_t)((uint64_t)offset & (tracker->span - 1));
}

static bool is_done(const struct pr_tracker *tracker, uint32_t slot) {
    return (tracker->done[slot / PR_WORD] >> slot % PR_WORD & 1) != 0;
}

static void set_done(struct pr_tracker *tracker, uint32_t slot, bool done) {
    uint64_t bit = UINT64_C(1) << slot % PR_WORD;
    tracker->done[slot / PR_WORD] = done ? tracker->done[slot / PR_WORD] | bit : tracker->done[slot / PR_WORD] & ~bit;
}

/* Nothing open: the front stands at the end, and a gap of any width is stepped over. */
bool pr_tracker_has_room(const struct pr_tracker *tracker, int64_t offset) {
    return tracker->open == 0 || (tracker->open < tracker->window && offset - tracker->front < tracker->span);
}

uint32_t pr_tracker_deliver(struct pr_tracker *tracker, int64_t offset) {
    pr_assert(pr_tracker_has_room(tracker, offset));
    pr_assert(offset >= tracker->end);
    if (tracker->open == 0)
        tracker->front = tracker->end = offset;
    while (tracker->end < offset)
        set_done(tracker, slot_of(tracker, tracker->end++), true);
    set_done(tracker, slot_of(tracker, offset), false);
    tracker->end = offset + 1;
    tracker->open++;
    return slot_of(tracker, offset);
}

static bool is_open(const struct pr_tracker *tracker, uint32_t slot) {
    uint32_t behind_front = (slot - slot_of(tracker, tracker->front)) & (tracker->span - 1);
    return slot < tracker->span && (int64_t)behind_front < tracker->end - tracker->front && !is_done(tracker, slot);
}

bool pr_tracker_settle(struct pr_tracker *tracker, uint32_t slot) {
    pr_assert(is_open(tracker, slot));
    set_done(tracker, slot, true);
    tracker->open--;
    if (slot != slot_of(tracker, tracker->front))
        return false;
    while (tracker->front < tracker->end && is_done(tracker, slot_of(tracker, tracker->front)))
        tracker->front++;
    tracker->next = tracker->front;
    return true;
}

uint32_t pr_tracker_open(const struct pr_tracker *tracker) {
    return tracker->open;
}
