/* The lease, the database's clock and who may send, read from any thread. */
#include "flow/process.h"

#include "base/clock.h"

#include <string.h>

bool pr_process_has_lease(const struct pr_process *process) {
    return pr_clock_boot_ns() < atomic_load_explicit(&process->lease_end_ns, memory_order_acquire);
}

int64_t pr_process_db_now_us(const struct pr_process *process) {
    return pr_clock_boot_ns() / 1000 + atomic_load_explicit(&process->db_ahead_us, memory_order_relaxed);
}

bool pr_process_sender_is_up(struct pr_process *process, int32_t sender, int64_t now_ns, int64_t patience_ns) {
    return pr_breakers_is_up(&process->senders, sender, now_ns) &&
           pr_shapes_is_up(&process->shapes, sender, now_ns + patience_ns);
}

const char *pr_process_sender_hold(struct pr_process *process, int32_t sender, int64_t now_ns, int64_t *hold_ns) {
    bool is_stopped = false;
    *hold_ns = pr_breakers_hold(&process->senders, sender, now_ns, &is_stopped);
    return *hold_ns == 0 ? NULL : is_stopped ? "sender_stopped" : "sender_breaker";
}

const char *pr_process_template_hold(struct pr_process *process, int32_t tpl, int64_t now_ns, int64_t *hold_ns) {
    bool is_stopped = false;
    *hold_ns = pr_breakers_hold(&process->templates, tpl, now_ns, &is_stopped);
    return *hold_ns == 0 ? NULL : is_stopped ? "template_stopped" : "template_breaker";
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
