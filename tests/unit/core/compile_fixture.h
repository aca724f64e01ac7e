/* What the tests of the compilers of templates and rules share: the fault they must find. */
#ifndef PR_TESTS_COMPILE_FIXTURE_H
#define PR_TESTS_COMPILE_FIXTURE_H

#include "arena_fixture.h"
#include "core/template.h"

static struct pr_template_fault fault;

/* The fault must be at `path` and speak of `word`. */
static inline void check_fault(const char *json, const char *path, const char *word) {
    if (strcmp(fault.path, path) != 0 || !strstr(fault.text, word)) {
        fail_msg("got \"%s\": \"%s\", want \"%s\" and \"%s\"\n%s", fault.path, fault.text, path, word, json);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_arena, tear_down_arena)

#endif
