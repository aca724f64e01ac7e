/*
 * Preloaded into a program, lets the n-th allocation of the program's own code fail; what libraries allocate is left alone.
 *
 *     LD_PRELOAD=… PR_ALLOC_FAIL=n[:more] PR_ALLOC_LOG=file program …
 *
 * Allocations are counted from 1 in the order in which threads make them; `more` that follow the n-th fail with it. The file gets a line for
 * each that failed, "failed N at OFFSET", and at the program's end "counted N"; an offset is the caller's, as addr2line -e program takes it.
 * Without PR_ALLOC_FAIL everything is only counted, and each caller that had not been seen adds "first N at OFFSET".
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* glibc's own, under the names that it exports for those who stand in front of it. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

enum { CALLERS_MAX = 1024 };

static uintptr_t base, text_from, text_to; /* of the program itself */
static _Atomic long counted, fail_from, fail_to;
static _Atomic uintptr_t caller_seen[CALLERS_MAX];
static int log_fd = -1;

static int find_program(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size, (void)arg;
    base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
            text_from = base + part->p_vaddr;
            text_to = text_from + part->p_memsz;
        }
    }
    return 1; /* the program is the first of the list */
}

/* On the stack and by write(2): nothing here may allocate. */
static void note(const char *what, long number, uintptr_t caller) {
    char line[96];
    int n = caller ? snprintf(line, sizeof(line), "%s %ld at 0x%lx\n", what, number, (unsigned long)(caller - base))
                   : snprintf(line, sizeof(line), "%s %ld\n", what, number);
    if (log_fd >= 0 && write(log_fd, line, (size_t)n) < 0) {
        log_fd = -1;
    }
}

static void note_first(long number, uintptr_t caller) {
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        uintptr_t none = 0;
        if (atomic_compare_exchange_strong(&caller_seen[i], &none, caller)) {
            note("first", number, caller);
            return;
        }
        if (none == caller) {
            return;
        }
    }
}

/* The file is opened before the program can have closed or taken any descriptor; programs that ours start are not meant. */
__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("PR_ALLOC_LOG");
    const char *fail = getenv("PR_ALLOC_FAIL");
    if (file) {
        log_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
    if (fail) {
        char *more = NULL;
        long n = strtol(fail, &more, 10);
        atomic_store(&fail_to, n + (*more == ':' ? strtol(more + 1, NULL, 10) : 0));
        atomic_store(&fail_from, n);
    }
    (void)unsetenv("LD_PRELOAD");
    (void)dl_iterate_phdr(find_program, NULL); /* last: what came before it counts for nothing */
}

__attribute__((destructor)) static void end(void) {
    note("counted", atomic_load(&counted), 0);
}

static bool fails(const void *return_address) {
    uintptr_t caller = (uintptr_t)return_address;
    if (caller < text_from || caller >= text_to) {
        return false;
    }
    long number = atomic_fetch_add(&counted, 1) + 1;
    long from = atomic_load_explicit(&fail_from, memory_order_relaxed);
    if (from == 0) {
        note_first(number, caller);
        return false;
    }
    if (number < from || number > atomic_load_explicit(&fail_to, memory_order_relaxed)) {
        return false;
    }
    note("failed", number, caller);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

static char *copy(const char *text, size_t n) {
    char *made = __libc_malloc(n + 1);
    if (made) {
        memcpy(made, text, n);
        made[n] = '\0';
    }
    return made;
}

char *strdup(const char *text) {
    return fails(__builtin_return_address(0)) ? NULL : copy(text, strlen(text));
}

char *strndup(const char *text, size_t n) {
    return fails(__builtin_return_address(0)) ? NULL : copy(text, strnlen(text, n));
}
