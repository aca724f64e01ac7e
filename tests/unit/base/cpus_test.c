/* The quota of cgroups of both versions, from folders made for the test. */
#include "base/cpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/cpus_test.XXXXXX";
static char paths[64][128]; /* made, to be removed from the last to the first */
static int paths_n;

static const char *path_of(const char *name) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void make(const char *name, const char *text) {
    (void)snprintf(paths[paths_n], sizeof paths[0], "%s/%s", folder, name);
    if (!text) {
        assert_int_equal(mkdir(paths[paths_n++], 0700), 0);
        return;
    }
    FILE *file = fopen(paths[paths_n++], "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int quota_of(const char *cgroup) {
    char root[128];
    make("self", cgroup);
    (void)snprintf(root, sizeof root, "%s", folder);
    return pr_cpus_quota(path_of("self"), root);
}

static int begin(void **state) {
    (void)state;
    paths_n = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    while (paths_n > 0) {
        (void)remove(paths[--paths_n]);
    }
    return 0;
}

static void a_quota_of_version_2_is_rounded_up(void **state) {
    (void)state;
    make("a", NULL);
    make("a/cpu.max", "150000 100000\n");
    assert_int_equal(quota_of("0::/a\n"), 2);
    make("a/cpu.max", "100000 100000\n");
    assert_int_equal(quota_of("0::/a\n"), 1);
    make("a/cpu.max", "1000 100000\n");
    assert_int_equal(quota_of("0::/a\n"), 1);
    make("a/cpu.max", "max 100000\n");
    assert_int_equal(quota_of("0::/a\n"), 0);
    make("a/cpu.max", "nonsense\n");
    assert_int_equal(quota_of("0::/a\n"), 0);
}

static void the_smallest_quota_on_the_way_up_counts(void **state) {
    (void)state;
    make("a", NULL);
    make("a/b", NULL);
    make("a/b/c", NULL);
    make("a/cpu.max", "200000 100000\n");
    make("a/b/c/cpu.max", "400000 100000\n");
    assert_int_equal(quota_of("0::/a/b/c\n"), 2);
    make("cpu.max", "100000 100000\n"); /* the container's own, mounted as the root */
    assert_int_equal(quota_of("0::/a/b/c\n"), 1);
    assert_int_equal(quota_of("0::/not/visible/here\n"), 1);
    assert_int_equal(quota_of("0::/\n"), 1);
}

static void version_1_has_two_files_below_its_controller(void **state) {
    (void)state;
    make("cpu,cpuacct", NULL);
    make("cpu,cpuacct/x", NULL);
    make("cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n");
    make("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_of("4:memory:/x\n3:cpu,cpuacct:/x\n1:cpuset:/x\n"), 3);
    make("cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(quota_of("3:cpu,cpuacct:/x\n"), 0);
    assert_int_equal(quota_of("3:cpuacct:/x\n"), 0);
}

static void without_a_quota_there_is_none(void **state) {
    (void)state;
    assert_int_equal(quota_of(""), 0);
    assert_int_equal(quota_of("nonsense\n0:\n"), 0);
    assert_int_equal(pr_cpus_quota("/no/such/file", "/no/such/folder"), 0);
}

static void there_is_always_a_cpu(void **state) {
    (void)state;
    assert_in_range((unsigned long)pr_cpus_usable(), 1, (unsigned long)sysconf(_SC_NPROCESSORS_CONF));
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_quota_of_version_2_is_rounded_up, begin, end),
        cmocka_unit_test_setup_teardown(the_smallest_quota_on_the_way_up_counts, begin, end),
        cmocka_unit_test_setup_teardown(version_1_has_two_files_below_its_controller, begin, end),
        cmocka_unit_test_setup_teardown(without_a_quota_there_is_none, begin, end),
        cmocka_unit_test_setup_teardown(there_is_always_a_cpu, begin, end),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
