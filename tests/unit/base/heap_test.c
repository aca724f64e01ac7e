/* Tests of the intrusive heap: order, removal from the middle, new keys, and a long random run against sorting. */
#include "base/container.h"
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct timer {
    int name;
    struct pr_heap_node node;
};

static uint64_t random_state = 1;

static uint64_t next_random(void) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return random_state >> 33;
}

static void an_empty_heap_gives_nothing(void **state) {
    (void)state;
    struct pr_heap heap = {0};
    assert_null(pr_heap_first(&heap));
    assert_null(pr_heap_pop(&heap));
    pr_heap_free(&heap);
}

static void nodes_come_out_by_key_and_lead_to_their_owner(void **state) {
    (void)state;
    static const int64_t keys[] = {5, -3, INT64_MAX, 0, INT64_MIN, 7};
    static const int sorted[] = {4, 1, 3, 0, 5, 2};
    struct timer timer[6] = {0};
    struct pr_heap heap;
    pr_heap_init(&heap);
    for (int i = 0; i < 6; i++) {
        timer[i].name = i;
        assert_true(pr_heap_push(&heap, &timer[i].node, keys[i]));
    }
    for (int i = 0; i < 6; i++) {
        struct pr_heap_node *node = pr_heap_pop(&heap);
        assert_int_equal(PR_CONTAINER_OF(node, struct timer, node)->name, sorted[i]);
        assert_false(pr_heap_has(node));
    }
    pr_heap_free(&heap);
}

static void removing_what_is_not_in_does_nothing(void **state) {
    (void)state;
    struct pr_heap heap = {0};
    struct pr_heap_node a = {0}, b = {0};
    assert_true(pr_heap_push(&heap, &a, 1));
    pr_heap_remove(&heap, &b);
    assert_int_equal(heap.n, 1);
    pr_heap_remove(&heap, &a);
    pr_heap_remove(&heap, &a);
    assert_int_equal(heap.n, 0);
    pr_heap_free(&heap);
}

static void a_node_that_left_may_come_back(void **state) {
    (void)state;
    struct pr_heap heap = {0};
    struct pr_heap_node a = {0}, b = {0};
    assert_true(pr_heap_push(&heap, &a, 1));
    assert_true(pr_heap_push(&heap, &b, 2));
    assert_ptr_equal(pr_heap_pop(&heap), &a);
    assert_true(pr_heap_push(&heap, &a, 3));
    assert_ptr_equal(pr_heap_pop(&heap), &b);
    assert_ptr_equal(pr_heap_pop(&heap), &a);
    pr_heap_free(&heap);
}

static void freeing_a_heap_leaves_its_nodes_out_of_any(void **state) {
    (void)state;
    struct pr_heap heap = {0};
    struct pr_heap_node a = {0};
    assert_true(pr_heap_push(&heap, &a, 1));
    pr_heap_free(&heap);
    assert_false(pr_heap_has(&a));
    assert_null(pr_heap_first(&heap));
}

static void room_that_cannot_be_had_is_told_and_changes_nothing(void **state) {
    (void)state;
    struct pr_heap heap = {0};
    struct pr_heap_node a = {0};
    assert_true(pr_heap_push(&heap, &a, 1));
    assert_false(pr_heap_reserve(&heap, SIZE_MAX));
    assert_ptr_equal(pr_heap_first(&heap), &a);
    assert_true(pr_heap_reserve(&heap, 1000));
    assert_true(heap.room >= 1000);
    assert_ptr_equal(pr_heap_first(&heap), &a);
    pr_heap_free(&heap);
}

static void check_order(const struct pr_heap *heap) {
    for (size_t i = 0; i < heap->n; i++) {
        assert_int_equal(heap->node[i]->place, i + 1);
        if (i > 0)
            assert_true(heap->node[(i + 1) / 2 - 1]->key <= heap->node[i]->key);
    }
}

static void a_long_random_run_keeps_the_order(void **state) {
    (void)state;
    enum { NODES = 300, STEPS = 20000 };
    static struct pr_heap_node node[NODES];
    struct pr_heap heap = {0};
    for (int step = 0; step < STEPS; step++) {
        struct pr_heap_node *one = &node[next_random() % NODES];
        int64_t key = (int64_t)(next_random() % 50);
        if (!pr_heap_has(one))
            assert_true(pr_heap_push(&heap, one, key));
        else if (next_random() % 2)
            pr_heap_move(&heap, one, key);
        else
            pr_heap_remove(&heap, one);
        if (step % 16 == 0)
            check_order(&heap);
    }
    size_t in = 0;
    for (int i = 0; i < NODES; i++)
        in += pr_heap_has(&node[i]);
    assert_int_equal(heap.n, in);
    for (int64_t last = INT64_MIN; heap.n > 0;) {
        struct pr_heap_node *first = pr_heap_pop(&heap);
        assert_true(first->key >= last);
        last = first->key;
    }
    pr_heap_free(&heap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_gives_nothing),
        cmocka_unit_test(nodes_come_out_by_key_and_lead_to_their_owner),
        cmocka_unit_test(removing_what_is_not_in_does_nothing),
        cmocka_unit_test(a_node_that_left_may_come_back),
        cmocka_unit_test(freeing_a_heap_leaves_its_nodes_out_of_any),
        cmocka_unit_test(room_that_cannot_be_had_is_told_and_changes_nothing),
        cmocka_unit_test(a_long_random_run_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
