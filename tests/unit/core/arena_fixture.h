/* What the tests of compilers and of text share: an arena a test, and spans compared with text. */
#ifndef PR_TESTS_ARENA_FIXTURE_H
#define PR_TESTS_ARENA_FIXTURE_H

#include "base/arena.h"
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct pr_arena arena;

static inline int set_up_arena(void **state) {
    (void)state;
    pr_arena_init(&arena, 256 * 1024);
    return 0;
}

static inline int tear_down_arena(void **state) {
    (void)state;
    pr_arena_free(&arena);
    return 0;
}

static inline void assert_span(struct pr_span got, const char *want) {
    if (!pr_span_is(got, want)) {
        fail_msg("got \"%.*s\", want \"%s\"", PR_SPAN_ARG(got), want);
    }
}

#endif
