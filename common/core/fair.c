/* The floor counts how often a rank was passed over; the share compares what one holds with what is free. */
#include "core/fair.h"

int pr_floor_pick(const struct pr_floor *floor, unsigned waiting) {
    int first = -1, due = -1;
    for (int r = 0; r < PR_RANKS; r++) {
        if (!(waiting & (1U << r))) {
            continue;
        }
        if (first < 0) {
            first = r;
        }
        if (floor->passed[r] >= PR_FLOOR - 1 && (due < 0 || floor->passed[r] > floor->passed[due])) {
            due = r;
        }
    }
    return due >= 0 ? due : first;
}

void pr_floor_took(struct pr_floor *floor, unsigned waiting, int rank) {
    for (int r = 0; r < PR_RANKS; r++) {
        if (r == rank || !(waiting & (1U << r))) {
            floor->passed[r] = 0;
        } else if (floor->passed[r] < UINT8_MAX) {
            floor->passed[r]++;
        }
    }
}

bool pr_share_has_room(uint64_t held, uint64_t used, uint64_t all, uint64_t part) {
    return used < all && held * (10000 - part) < part * (all - used);
}
