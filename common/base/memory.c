/* The one place where want of memory ends the process, with a line that says so. */
#include "base/memory.h"

#include "base/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static _Atomic bool is_vital;

void pr_out_of_memory(const char *what) {
    pr_log_error("out_of_memory", "what=%s text=%s", what,
                 "the process ends; started again it goes on from the rows and the offsets");
    _exit(1);
}

void pr_memory_is_vital(void) {
    atomic_store(&is_vital, true);
}

void pr_memory_failed(const char *what) {
    if (atomic_load_explicit(&is_vital, memory_order_relaxed)) {
        pr_out_of_memory(what);
    }
}
