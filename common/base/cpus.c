/* A container is given part of a machine by quota, not by fewer CPUs: a thread for each CPU of the machine would be throttled in bursts. */
#include "base/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = PATH_MAX, LINE_BYTES = 512, CPUS_MAX = 4096 };

/* First line of a small file, without the newline. */
static bool first_line(const char *path, char out[LINE_BYTES]) {
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    bool ok = fgets(out, LINE_BYTES, file) != NULL;
    (void)fclose(file);
    if (ok) {
        out[strcspn(out, "\n")] = '\0';
    }
    return ok;
}

/* Half a CPU still needs a thread: rounded up. 0 for "max", -1 or nonsense. */
static int cpus_of(long quota, long period) {
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    long cpus = quota / period + (quota % period != 0);
    return cpus > CPUS_MAX ? CPUS_MAX : (int)cpus;
}

/* cgroup v2: cpu.max is "QUOTA PERIOD" in microseconds, or "max PERIOD". */
static int quota_v2(const char *folder) {
    char path[PATH_BYTES];
    char line[LINE_BYTES];
    int n = snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (n < 0 || n >= (int)sizeof path || !first_line(path, line)) {
        return 0;
    }
    char *rest = line;
    long quota = strtol(line, &rest, 10);
    return rest == line ? 0 : cpus_of(quota, strtol(rest, NULL, 10));
}

/* cgroup v1: two files; -1 is no quota. */
static int quota_v1(const char *folder) {
    char path[PATH_BYTES];
    char quota[LINE_BYTES];
    char period[LINE_BYTES];
    int n = snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (n < 0 || n >= (int)sizeof path || !first_line(path, quota)) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return first_line(path, period) ? cpus_of(strtol(quota, NULL, 10), strtol(period, NULL, 10)) : 0;
}

static int smaller(int a, int b) {
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* The quota of a cgroup and of each one above it. Inside a container its own may be mounted as the root, so the root counts too. */
static int walk(const char *root, const char *cgroup, int (*quota_of)(const char *)) {
    char folder[PATH_BYTES];
    int n = snprintf(folder, sizeof folder, "%s%s", root, cgroup);
    int least = 0;
    if (n < 0 || n >= (int)sizeof folder) {
        return 0;
    }
    size_t root_n = strlen(root);
    for (size_t len = (size_t)n;;) {
        least = smaller(least, quota_of(folder));
        while (len > root_n && folder[len - 1] != '/') {
            len--;
        }
        if (len <= root_n) {
            return smaller(least, quota_of(root));
        }
        folder[--len] = '\0';
    }
}

/* A line is "ID:CONTROLLERS:PATH"; v2 has the one with no controllers. */
static int line_quota(char *line, const char *root) {
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) {
        return 0;
    }
    *path++ = '\0';
    controllers++;
    path[strcspn(path, "\n")] = '\0';
    if (!controllers[0]) {
        return walk(root, path, quota_v2);
    }
    char v1_root[PATH_BYTES];
    (void)snprintf(v1_root, sizeof v1_root, "%s/%s", root, controllers);
    bool is_cpu = strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ||
                  strstr(controllers, ",cpu,") != NULL ||
                  (strlen(controllers) > 4 && strcmp(controllers + strlen(controllers) - 4, ",cpu") == 0);
    return is_cpu ? walk(v1_root, path, quota_v1) : 0;
}

int pr_cpus_quota(const char *proc_cgroup, const char *root) {
    FILE *file = fopen(proc_cgroup, "re");
    char line[PATH_BYTES];
    int least = 0;
    while (file && fgets(line, sizeof line, file)) {
        least = smaller(least, line_quota(line, root));
    }
    if (file) {
        (void)fclose(file);
    }
    return least;
}

/* The mask may be larger than cpu_set_t on large machines: then the kernel says EINVAL and the count of online CPUs has to do. */
static int cpus_by_affinity(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        return CPU_COUNT(&set);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online <= CPUS_MAX ? (int)online : 1;
}

int pr_cpus_usable(void) {
    int cpus = smaller(cpus_by_affinity(), pr_cpus_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
    return cpus > 0 ? cpus : 1;
}
