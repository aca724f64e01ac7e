/* What POSTRIDER_FAULT asks for, read once; each step compares its name with it. */
#include "base/fault.h"

#include "base/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PR_FAULT_NAME_MAX = 64 };

static struct {
    char name[PR_FAULT_NAME_MAX]; /* "": nothing was asked for */
    bool is_stop;
    long least, nth;
} plan;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const _Atomic int32_t *gauge;
static _Atomic long hits;

/* A number after a colon, or `absent` at the end of the text. */
static long number_at(const char **at, long absent) {
    if (**at == '\0') {
        return absent;
    }
    char *end = NULL;
    pr_assert(**at == ':');
    long n = strtol(*at + 1, &end, 10);
    pr_assert(end != *at + 1 && n >= 0);
    *at = end;
    return n;
}

static void read_plan(void) {
    const char *text = getenv("POSTRIDER_FAULT");
    if (!text || text[0] == '\0') {
        return;
    }
    const char *at = strchr(text, ':');
    pr_assert(at && (size_t)(at - text) < sizeof(plan.name));
    plan.is_stop = strncmp(at, ":stop", 5) == 0;
    pr_assert(plan.is_stop || strncmp(at, ":kill", 5) == 0);
    memcpy(plan.name, text, (size_t)(at - text));
    at += 5;
    plan.least = number_at(&at, 0);
    plan.nth = number_at(&at, 1);
    pr_assert(*at == '\0');
}

void pr_fault_gauge(const _Atomic int32_t *on_wire) {
    gauge = on_wire;
}

/* Past every buffer, and by this very thread: a signal to the process could reach another one while this goes on. */
static void strike(long on_wire) {
    char line[PR_FAULT_NAME_MAX + 64];
    int n = snprintf(line, sizeof(line), "level=warn event=fault name=%s on_wire=%ld\n", plan.name, on_wire);
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    pr_assert(written == n);
    (void)raise(plan.is_stop ? SIGSTOP : SIGKILL);
}

void pr_fault_at(const char *name) {
    (void)pthread_once(&once, read_plan);
    if (strcmp(name, plan.name) != 0) {
        return;
    }
    long on_wire = gauge ? atomic_load(gauge) : 0;
    if (on_wire >= plan.least && atomic_fetch_add(&hits, 1) + 1 == plan.nth) {
        strike(on_wire);
    }
}
