/* The binary min-heap: children of place i stand at 2i and 2i + 1, and each node knows its place. */
#include "base/heap.h"

#include "base/check.h"

#include <stdlib.h>

enum { ROOM_FIRST = 64 };

void pr_heap_init(struct pr_heap *heap) {
    *heap = (struct pr_heap){NULL, 0, 0};
}

void pr_heap_free(struct pr_heap *heap) {
    for (size_t i = 0; i < heap->n; i++)
        heap->node[i]->place = 0;
    free(heap->node);
    pr_heap_init(heap);
}

bool pr_heap_reserve(struct pr_heap *heap, size_t n) {
    if (n <= heap->room)
        return true;
    size_t room = heap->room ? heap->room : ROOM_FIRST;
    while (room < n) {
        if (room > SIZE_MAX / 2 / sizeof *heap->node)
            return false;
        room *= 2;
    }
    struct pr_heap_node **node = realloc(heap->node, room * sizeof *node);
    if (!node)
        return false;
    heap->node = node;
    heap->room = room;
    return true;
}

static void put(struct pr_heap *heap, struct pr_heap_node *node, size_t place) {
    heap->node[place - 1] = node;
    node->place = place;
}

/* Lets `node` rise from the free place `place` to where its parent is not larger. */
static void rise(struct pr_heap *heap, struct pr_heap_node *node, size_t place) {
    while (place > 1 && heap->node[place / 2 - 1]->key > node->key) {
        put(heap, heap->node[place / 2 - 1], place);
        place /= 2;
    }
    put(heap, node, place);
}

/* Lets `node` sink from the free place `place` to where no child is smaller. */
static void sink(struct pr_heap *heap, struct pr_heap_node *node, size_t place) {
    for (size_t child = place * 2; child <= heap->n; child = place * 2) {
        if (child < heap->n && heap->node[child]->key < heap->node[child - 1]->key)
            child++;
        if (heap->node[child - 1]->key >= node->key)
            break;
        put(heap, heap->node[child - 1], place);
        place = child;
    }
    put(heap, node, place);
}

static void settle(struct pr_heap *heap, struct pr_heap_node *node, size_t place) {
    if (place > 1 && heap->node[place / 2 - 1]->key > node->key)
        rise(heap, node, place);
    else
        sink(heap, node, place);
}

bool pr_heap_push(struct pr_heap *heap, struct pr_heap_node *node, int64_t key) {
    pr_assert(node->place == 0);
    if (!pr_heap_reserve(heap, heap->n + 1))
        return false;
    node->key = key;
    heap->n++;
    rise(heap, node, heap->n);
    return true;
}

struct pr_heap_node *pr_heap_first(const struct pr_heap *heap) {
    return heap->n ? heap->node[0] : NULL;
}

struct pr_heap_node *pr_heap_pop(struct pr_heap *heap) {
    struct pr_heap_node *node = pr_heap_first(heap);
    if (node)
        pr_heap_remove(heap, node);
    return node;
}

void pr_heap_remove(struct pr_heap *heap, struct pr_heap_node *node) {
    size_t place = node->place;
    if (place == 0)
        return;
    pr_assert(place <= heap->n && heap->node[place - 1] == node);
    node->place = 0;
    struct pr_heap_node *last = heap->node[--heap->n];
    if (last != node)
        settle(heap, last, place);
}

void pr_heap_move(struct pr_heap *heap, struct pr_heap_node *node, int64_t key) {
    pr_assert(node->place > 0 && node->place <= heap->n && heap->node[node->place - 1] == node);
    node->key = key;
    settle(heap, node, node->place);
}
