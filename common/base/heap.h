/* Timers and other work ordered by a moment: a binary min-heap whose nodes live inside the objects they order. */
#ifndef PR_BASE_HEAP_H
#define PR_BASE_HEAP_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Embedded in the object; PR_CONTAINER_OF (base/container.h) leads back to it. All zero is a node that stands in no heap, so a cleared
 * object needs no further set-up. The object may not be freed while its node is in a heap.
 */
struct pr_heap_node {
    int64_t key;  /* read by anyone, changed only by push and move */
    size_t place; /* private: position from 1, 0 when in no heap */
};

/* One thread at a time. All zero is an empty heap. */
struct pr_heap {
    struct pr_heap_node **node; /* private */
    size_t n;                   /* nodes in it */
    size_t room;                /* private */
};

void pr_heap_init(struct pr_heap *heap);

/* Gives the table back; nodes still in it belong to the caller and are taken out first. */
void pr_heap_free(struct pr_heap *heap);

/* Makes room for `n` nodes in all, so that pushes up to there cannot fail. False when malloc refused; the heap is unchanged. */
bool pr_heap_reserve(struct pr_heap *heap, size_t n) PR_MUST_CHECK;

/* Adds a node that is in no heap. The table doubles when full: false when malloc refused, the node is then in no heap. O(log n). */
bool pr_heap_push(struct pr_heap *heap, struct pr_heap_node *node, int64_t key) PR_MUST_CHECK;

/* The node with the smallest key, left in; NULL when empty. Nodes of one key come in no particular order. */
struct pr_heap_node *pr_heap_first(const struct pr_heap *heap);

/* Takes out the node with the smallest key; NULL when empty. O(log n). */
struct pr_heap_node *pr_heap_pop(struct pr_heap *heap);

/* Takes `node` out; nothing happens when it is in no heap. If it is in one, it must be this one. O(log n). */
void pr_heap_remove(struct pr_heap *heap, struct pr_heap_node *node);

/* Gives a node of this heap another key. Cannot fail. O(log n). */
void pr_heap_move(struct pr_heap *heap, struct pr_heap_node *node, int64_t key);

static inline bool pr_heap_has(const struct pr_heap_node *node) {
    return node->place != 0;
}

#endif
