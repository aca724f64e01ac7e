/* Each limit is exact and costs a constant number of steps a message. */
#include "limits.h"

#include "base/check.h"

#include <stdlib.h>

enum { SECOND_US = 1000000 };

static int64_t rate_at(const struct pr_rate *rate, uint64_t i) {
    return rate->at[i & (rate->room - 1)];
}

/* A message exactly one window ago is outside. */
static void rate_forget(struct pr_rate *rate, int64_t now_us) {
    while (rate->second < rate->head && rate_at(rate, rate->second) <= now_us - SECOND_US) {
        rate->second++;
    }
    while (rate->ten < rate->head && rate_at(rate, rate->ten) <= now_us - INT64_C(10) * SECOND_US) {
        rate->ten++;
    }
}

bool pr_rate_fits(struct pr_rate *rate, int64_t now_us) {
    rate_forget(rate, now_us);
    if (rate->per_second == 0) {
        return true;
    }
    uint64_t second = (uint64_t)rate->per_second * (100 + PR_RATE_SECOND_PCT) / 100;
    uint64_t ten = (uint64_t)rate->per_second * 10 * (100 + PR_RATE_TEN_PCT) / 100;
    return rate->head - rate->second < second && rate->head - rate->ten < ten;
}

static void rate_grow(struct pr_rate *rate) {
    uint64_t room = rate->room ? rate->room * 2 : 256;
    int64_t *at = malloc(room * sizeof *at);
    pr_assert(at);
    for (uint64_t i = rate->ten; i < rate->head; i++) {
        at[i & (room - 1)] = rate_at(rate, i);
    }
    free(rate->at);
    rate->at = at;
    rate->room = room;
}

void pr_rate_count(struct pr_rate *rate, int64_t now_us) {
    rate_forget(rate, now_us);
    if (rate->head - rate->ten == rate->room) {
        rate_grow(rate);
    }
    rate->at[rate->head & (rate->room - 1)] = now_us;
    rate->head++;
    uint64_t second = rate->head - rate->second;
    uint64_t ten = rate->head - rate->ten;
    rate->second_max = second > rate->second_max ? second : rate->second_max;
    rate->ten_max = ten > rate->ten_max ? ten : rate->ten_max;
}

void pr_rate_clear(struct pr_rate *rate) {
    free(rate->at);
    *rate = (struct pr_rate){.per_second = rate->per_second};
}

bool pr_pair_fits(const struct pr_map *pairs, uint64_t key, int64_t now_us) {
    const int64_t *full_at = pr_map_find(pairs, key);
    return !full_at || *full_at - now_us <= (PR_PAIR_BURST - 1) * PR_PAIR_STEP_US;
}

void pr_pair_count(struct pr_map *pairs, uint64_t key, int64_t now_us) {
    /* Before the map doubles, what is full again is worth nothing and goes. */
    if ((pairs->n + 1) * 10 > pairs->room * 7) {
        pr_map_sweep(pairs, now_us);
    }
    int64_t *full_at = pr_map_at(pairs, key, NULL);
    *full_at = (*full_at > now_us ? *full_at : now_us) + PR_PAIR_STEP_US;
}

static void tier_unlink(struct pr_tier *tier, uint32_t i) {
    struct pr_reached *e = &tier->entry[i];
    *(e->older ? &tier->entry[e->older].newer : &tier->oldest) = e->newer;
    *(e->newer ? &tier->entry[e->newer].older : &tier->newest) = e->older;
}

static void tier_append(struct pr_tier *tier, uint32_t i) {
    struct pr_reached *e = &tier->entry[i];
    e->older = tier->newest;
    e->newer = 0;
    *(tier->newest ? &tier->entry[tier->newest].newer : &tier->oldest) = i;
    tier->newest = i;
}

static int64_t tier_forget(struct pr_tier *tier, int64_t now_us) {
    tier->last_us = now_us > tier->last_us ? now_us : tier->last_us;
    while (tier->oldest && tier->entry[tier->oldest].last_us <= tier->last_us - PR_DAY_US) {
        uint32_t i = tier->oldest;
        tier_unlink(tier, i);
        pr_map_remove(&tier->index, tier->entry[i].key);
        tier->entry[i].newer = tier->free_head;
        tier->free_head = i;
        tier->n--;
    }
    return tier->last_us;
}

bool pr_tier_fits(struct pr_tier *tier, uint64_t person, int64_t now_us) {
    (void)tier_forget(tier, now_us);
    return tier->limit < 0 || tier->n < (uint64_t)tier->limit || pr_map_find(&tier->index, person) != NULL;
}

static uint32_t tier_new_entry(struct pr_tier *tier) {
    if (tier->free_head) {
        uint32_t i = tier->free_head;
        tier->free_head = tier->entry[i].newer;
        return i;
    }
    if (tier->used + 1 >= tier->room) {
        tier->room = tier->room ? tier->room * 2 : 256;
        tier->entry = realloc(tier->entry, tier->room * sizeof *tier->entry);
        pr_assert(tier->entry);
    }
    return ++tier->used;
}

void pr_tier_count(struct pr_tier *tier, uint64_t person, int64_t now_us) {
    int64_t now = tier_forget(tier, now_us);
    bool is_new = false;
    int64_t *number = pr_map_at(&tier->index, person, &is_new);
    if (is_new) {
        *number = tier_new_entry(tier);
        tier->entry[*number].key = person;
        tier->n++;
        tier->n_max = tier->n > tier->n_max ? tier->n : tier->n_max;
    } else {
        tier_unlink(tier, (uint32_t)*number);
    }
    tier->entry[*number].last_us = now;
    tier_append(tier, (uint32_t)*number);
}

void pr_tier_clear(struct pr_tier *tier) {
    pr_map_clear(&tier->index);
    free(tier->entry);
    *tier = (struct pr_tier){.limit = tier->limit};
}
