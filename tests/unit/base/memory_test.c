/* Want of memory: passed over by a program that said nothing, the end of one to which it is vital. */
#include "base/arena.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void out_of_memory(void) {
    pr_out_of_memory("a thing");
}

static void passed_over(void) {
    pr_memory_failed("arena");
    _exit(7);
}

static void vital(void) {
    pr_memory_is_vital();
    pr_memory_failed("arena");
    _exit(7);
}

/* A ceiling is the owner's own limit, and no want of memory. */
static void vital_at_a_ceiling(void) {
    struct pr_arena arena;
    pr_memory_is_vital();
    pr_arena_init(&arena, 100);
    _exit(pr_arena_alloc(&arena, 101) || !arena.failed ? 8 : 7);
}

/* Runs `what` in a child; returns its exit code, and what it wrote in `said`. */
static int code_of(void (*what)(void), char *said, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        what();
        _exit(9);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_process_ends_with_one_and_says_for_what(void **state) {
    char said[512];
    (void)state;
    assert_int_equal(code_of(out_of_memory, said, sizeof said), 1);
    assert_non_null(strstr(said, "event=out_of_memory what=\"a thing\""));
}

static void arenas_and_buffers_end_only_a_process_to_which_memory_is_vital(void **state) {
    char said[512];
    (void)state;
    assert_int_equal(code_of(passed_over, said, sizeof said), 7);
    assert_string_equal(said, "");
    assert_int_equal(code_of(vital, said, sizeof said), 1);
    assert_non_null(strstr(said, "event=out_of_memory what=arena"));
}

static void a_ceiling_is_no_want_of_memory(void **state) {
    char said[512];
    (void)state;
    assert_int_equal(code_of(vital_at_a_ceiling, said, sizeof said), 7);
    assert_string_equal(said, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_ends_with_one_and_says_for_what),
        cmocka_unit_test(arenas_and_buffers_end_only_a_process_to_which_memory_is_vital),
        cmocka_unit_test(a_ceiling_is_no_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
