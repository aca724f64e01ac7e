/* Memory of one job: many small allocations, freed together, with a ceiling and one error to look at in the end. */
#ifndef PR_BASE_ARENA_H
#define PR_BASE_ARENA_H

#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pr_arena_block;

/*
 * One thread at a time. `failed` is sticky: once an allocation did not fit or malloc refused, every later one returns
 * NULL until the reset, so a caller may build a whole structure and look at `failed` once.
 */
struct pr_arena {
    struct pr_arena_block *head; /* newest block; private */
    size_t used;                 /* bytes handed out since the reset */
    size_t bytes_max;            /* ceiling on what the blocks may hold together */
    size_t held;                 /* bytes of all blocks; private */
    bool failed;
};

/* `bytes_max` bounds what the arena may hold, over 0. No memory is taken before the first allocation. */
void pr_arena_init(struct pr_arena *arena, size_t bytes_max);

/* `n` bytes aligned for any type, not cleared; valid until reset or free. NULL when `failed`. `n` may be 0. */
void *pr_arena_alloc(struct pr_arena *arena, size_t n);

/* The same, cleared. `count * size` may not overflow: it fails instead. */
void *pr_arena_calloc(struct pr_arena *arena, size_t count, size_t size);

/* A copy of `s` in the arena, followed by a NUL that its length does not count. An empty span with p NULL on failure. */
struct pr_span pr_arena_copy(struct pr_arena *arena, struct pr_span s);

/* The position to go back to, so that scratch memory of a step does not stay until the reset. */
struct pr_arena_mark {
    struct pr_arena_block *head;
    size_t block_used;
    size_t used;
};
struct pr_arena_mark pr_arena_mark(const struct pr_arena *arena);

/* Frees all that was allocated after `mark`. `failed` stays as it is. */
void pr_arena_rewind(struct pr_arena *arena, struct pr_arena_mark mark);

/* Empties the arena and clears `failed`; keeps its first block for the next use. */
void pr_arena_reset(struct pr_arena *arena);

/* Gives everything back; the arena may be used again as after init. */
void pr_arena_free(struct pr_arena *arena);

#endif
