/* The lease and the database's clock, read from any thread. */
#include "flow/process.h"

#include "base/clock.h"

#include <string.h>

bool pr_process_has_lease(const struct pr_process *process) {
    return pr_clock_boot_ns() < atomic_load_explicit(&process->lease_end_ns, memory_order_acquire);
}

int64_t pr_process_db_now_us(const struct pr_process *process) {
    return pr_clock_real_us() + atomic_load_explicit(&process->db_ahead_us, memory_order_relaxed);
}

void pr_process_address(const struct pr_process *process, struct pr_span address, char out[PR_ADDRESS_MAX + 1]) {
    if (!atomic_load_explicit(&process->shows_addresses, memory_order_relaxed)) {
        pr_address_mask(address, out);
        return;
    }
    size_t n = address.n > PR_ADDRESS_MAX ? PR_ADDRESS_MAX : address.n;
    memcpy(out, address.p, n);
    out[n] = '\0';
}
