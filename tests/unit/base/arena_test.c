/* Tests of the arena: alignment, the ceiling, the sticky failure, marks and reuse. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void allocations_are_aligned_for_any_type(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 1 << 20);
    for (size_t n = 0; n < 100; n++) {
        void *p = pr_arena_alloc(&arena, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 0xa5, n);
    }
    pr_arena_free(&arena);
}

static void allocations_do_not_overlap(void **state) {
    (void)state;
    struct pr_arena arena;
    unsigned char *p[200];
    pr_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        p[i] = pr_arena_alloc(&arena, i * 7);
        assert_non_null(p[i]);
        memset(p[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i * 7; k++)
            assert_int_equal(p[i][k], i);
    }
    pr_arena_free(&arena);
}

static void over_the_ceiling_it_fails_and_stays_failed_until_the_reset(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 64 * 1024);
    assert_null(pr_arena_alloc(&arena, 64 * 1024 + 1));
    assert_true(arena.failed);
    assert_null(pr_arena_alloc(&arena, 1));
    pr_arena_reset(&arena);
    assert_false(arena.failed);
    assert_non_null(pr_arena_alloc(&arena, 1));
    pr_arena_free(&arena);
}

static void what_it_holds_never_passes_the_ceiling(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 100000);
    while (pr_arena_alloc(&arena, 997))
        assert_true(arena.held <= 100000);
    assert_true(arena.failed);
    assert_true(arena.used > 50000);
    pr_arena_free(&arena);
}

static void a_product_that_overflows_fails(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, SIZE_MAX);
    assert_null(pr_arena_calloc(&arena, SIZE_MAX / 2, 3));
    assert_true(arena.failed);
    pr_arena_free(&arena);
}

static void calloc_clears_reused_memory(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 1 << 20);
    memset(pr_arena_alloc(&arena, 300), 0xff, 300);
    pr_arena_reset(&arena);
    const unsigned char *p = pr_arena_calloc(&arena, 100, 3);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    pr_arena_free(&arena);
}

static void a_copy_is_followed_by_a_nul(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 1 << 20);
    struct pr_span copy = pr_arena_copy(&arena, pr_span_make("abcdef", 3));
    assert_int_equal(copy.n, 3);
    assert_string_equal(copy.p, "abc");
    copy = pr_arena_copy(&arena, pr_span_make(NULL, 0));
    assert_int_equal(copy.n, 0);
    assert_non_null(copy.p);
    pr_arena_free(&arena);
}

static void a_copy_that_does_not_fit_is_empty_and_null(void **state) {
    (void)state;
    static const char text[2000];
    struct pr_arena arena;
    pr_arena_init(&arena, 1000);
    struct pr_span copy = pr_arena_copy(&arena, pr_span_make(text, sizeof text));
    assert_null(copy.p);
    assert_int_equal(copy.n, 0);
    pr_arena_free(&arena);
}

static void rewinding_gives_back_what_came_after_the_mark(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 1 << 20);
    char *kept = pr_arena_alloc(&arena, 10);
    memset(kept, 'k', 10);
    struct pr_arena_mark mark = pr_arena_mark(&arena);
    size_t held = arena.held;
    for (int i = 0; i < 100; i++)
        assert_non_null(pr_arena_alloc(&arena, 5000));
    pr_arena_rewind(&arena, mark);
    assert_int_equal(arena.held, held);
    assert_non_null(pr_arena_alloc(&arena, 20));
    assert_int_equal(kept[9], 'k');
    pr_arena_free(&arena);
}

static void rewinding_to_the_empty_arena_works(void **state) {
    (void)state;
    struct pr_arena arena;
    pr_arena_init(&arena, 1 << 20);
    struct pr_arena_mark mark = pr_arena_mark(&arena);
    assert_non_null(pr_arena_alloc(&arena, 100));
    pr_arena_rewind(&arena, mark);
    assert_int_equal(arena.used, 0);
    assert_non_null(pr_arena_alloc(&arena, 100));
    pr_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_for_any_type),
        cmocka_unit_test(allocations_do_not_overlap),
        cmocka_unit_test(over_the_ceiling_it_fails_and_stays_failed_until_the_reset),
        cmocka_unit_test(what_it_holds_never_passes_the_ceiling),
        cmocka_unit_test(a_product_that_overflows_fails),
        cmocka_unit_test(calloc_clears_reused_memory),
        cmocka_unit_test(a_copy_is_followed_by_a_nul),
        cmocka_unit_test(a_copy_that_does_not_fit_is_empty_and_null),
        cmocka_unit_test(rewinding_gives_back_what_came_after_the_mark),
        cmocka_unit_test(rewinding_to_the_empty_arena_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
