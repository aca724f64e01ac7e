/* The admin port: /metrics for Prometheus, /healthz and /readyz for whoever restarts and routes. */
#ifndef PR_DISPATCHER_ADMIN_H
#define PR_DISPATCHER_ADMIN_H

#include "flow/lane.h"
#include "intake/consumer.h"

struct pr_admin;

/* Listens on HOST:PORT with a thread of its own. All arguments are borrowed until pr_admin_free. NULL with a sentence in `why`. */
struct pr_admin *pr_admin_new(const char *listen, struct pr_process *process, struct pr_lane *lanes, size_t lanes_n,
                              const struct pr_consumer *consumer, char *why, size_t why_size);
void pr_admin_free(struct pr_admin *admin);

#endif
