/* Fairness as arithmetic: which of several ranks is next, with a floor for the lower ones, and how much of a room one may hold. */
#ifndef PR_CORE_FAIR_H
#define PR_CORE_FAIR_H

#include <stdbool.h>
#include <stdint.h>

/* Of ten that go, one is of each lower rank that waits. */
enum { PR_RANKS = 6, PR_FLOOR = 10 };

/* How often each waiting rank was passed over. All zero to begin with. */
struct pr_floor {
    uint8_t passed[PR_RANKS];
};

/* The rank that is next, of those that wait (bit r for rank r; at least one): the first, unless one has been passed over nine times. */
int pr_floor_pick(const struct pr_floor *floor, unsigned waiting);

/* One of that rank went; `waiting` as it was for pr_floor_pick. */
void pr_floor_took(struct pr_floor *floor, unsigned waiting, int rank);

/*
 * Whether somebody who holds `held` of a room of `all` places, of which `used` are taken, may take one more: nobody gets beyond that part (of
 * 10,000) of what they hold and what is free together. So one alone ends at that part of the room, and any number of them leave some free.
 */
bool pr_share_has_room(uint64_t held, uint64_t used, uint64_t all, uint64_t part);

#endif
