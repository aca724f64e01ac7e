/* The lease and the database's clock, read from any thread. */
#include "flow/process.h"

#include "base/clock.h"

bool pr_process_has_lease(const struct pr_process *process) {
    return pr_clock_boot_ns() < atomic_load_explicit(&process->lease_end_ns, memory_order_acquire);
}

int64_t pr_process_db_now_us(const struct pr_process *process) {
    return pr_clock_real_us() + atomic_load_explicit(&process->db_ahead_us, memory_order_relaxed);
}
