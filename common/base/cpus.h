/* How many processors this process may really use: by affinity and by the cgroup's quota. */
#ifndef PR_BASE_CPUS_H
#define PR_BASE_CPUS_H

#include <stdbool.h>

/*
 * The smaller of the CPUs in the affinity mask and the CPU quota of the cgroup (v2 cpu.max, v1 cpu.cfs_quota_us) and of all cgroups above it,
 * rounded up; at least 1. Reads /proc and /sys: for the start, not for a hot path. Thread-safe.
 */
int pr_cpus_usable(void);

/* The same with the two folders given, for tests: `proc_cgroup` is the file /proc/self/cgroup, `root` the folder /sys/fs/cgroup. 0: no quota. */
int pr_cpus_quota(const char *proc_cgroup, const char *root);

#endif
