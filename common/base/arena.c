/* Blocks that double in size behind a bump pointer. Under a sanitizer each allocation is a block, so that overruns show. */
#include "base/arena.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define PR_ARENA_TWIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PR_ARENA_TWIN 1
#endif
#endif
#ifndef PR_ARENA_TWIN
#define PR_ARENA_TWIN 0
#endif

struct pr_arena_block {
    struct pr_arena_block *older;
    size_t size; /* payload bytes */
    size_t used;
    _Alignas(max_align_t) unsigned char bytes[];
};

/* Most jobs fit in the first block: a record of 500 bytes, its parsed form and its body. */
enum { PR_ARENA_FIRST = 2048 };

void pr_arena_init(struct pr_arena *arena, size_t bytes_max) {
    pr_assert(bytes_max > 0);
    *arena = (struct pr_arena){.bytes_max = bytes_max};
}

static struct pr_arena_block *arena_grow(struct pr_arena *arena, size_t need) {
    size_t room = arena->bytes_max - arena->held;
    if (need > room) {
        return NULL;
    }
    size_t size = need;
    if (!PR_ARENA_TWIN) {
        size_t want = arena->head ? arena->head->size * 2 : PR_ARENA_FIRST;
        size = want > need ? want : need;
        size = size > room ? room : size;
    }
    struct pr_arena_block *block = malloc(sizeof(*block) + size);
    if (!block) {
        pr_memory_failed("arena");
        return NULL;
    }
    *block = (struct pr_arena_block){.older = arena->head, .size = size};
    arena->head = block;
    arena->held += size;
    return block;
}

void *pr_arena_alloc(struct pr_arena *arena, size_t n) {
    const size_t align = _Alignof(max_align_t);
    if (arena->failed || n > arena->bytes_max) {
        arena->failed = true;
        return NULL;
    }
    size_t need = PR_ARENA_TWIN ? (n ? n : 1) : (n + align - 1) / align * align;
    struct pr_arena_block *block = arena->head;
    if (PR_ARENA_TWIN || !block || block->size - block->used < need) {
        block = arena_grow(arena, need);
    }
    if (!block) {
        arena->failed = true;
        return NULL;
    }
    void *p = block->bytes + block->used;
    block->used += need;
    arena->used += need;
    return p;
}

void *pr_arena_calloc(struct pr_arena *arena, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) {
        arena->failed = true;
        return NULL;
    }
    void *p = pr_arena_alloc(arena, count * size);
    if (p) {
        memset(p, 0, count * size);
    }
    return p;
}

struct pr_span pr_arena_copy(struct pr_arena *arena, struct pr_span s) {
    char *p = pr_arena_alloc(arena, s.n + 1);
    if (!p) {
        return (struct pr_span){NULL, 0};
    }
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return (struct pr_span){p, s.n};
}

struct pr_arena_mark pr_arena_mark(const struct pr_arena *arena) {
    return (struct pr_arena_mark){arena->head, arena->head ? arena->head->used : 0, arena->used};
}

static void arena_drop_until(struct pr_arena *arena, const struct pr_arena_block *keep) {
    while (arena->head && arena->head != keep) {
        struct pr_arena_block *older = arena->head->older;
        arena->held -= arena->head->size;
        free(arena->head);
        arena->head = older;
    }
}

void pr_arena_rewind(struct pr_arena *arena, struct pr_arena_mark mark) {
    arena_drop_until(arena, mark.head);
    if (arena->head) {
        arena->head->used = mark.block_used;
    }
    arena->used = mark.used;
}

void pr_arena_reset(struct pr_arena *arena) {
    struct pr_arena_block *first = arena->head;
    while (first && first->older) {
        first = first->older;
    }
    arena_drop_until(arena, PR_ARENA_TWIN ? NULL : first);
    if (arena->head) {
        arena->head->used = 0;
    }
    arena->used = 0;
    arena->failed = false;
}

void pr_arena_free(struct pr_arena *arena) {
    arena_drop_until(arena, NULL);
    arena->used = 0;
    arena->failed = false;
}
