/* What the threads of one dispatcher share: the lease, the database's clock, senders' rates and the word to stop. */
#ifndef PR_FLOW_PROCESS_H
#define PR_FLOW_PROCESS_H

#include "base/metric.h"
#include "core/address.h"
#include "options.h"
#include "flow/shape.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PR_TOPICS_MAX = 8 };

struct pr_journal;

/* One topic that is read; filled before the lanes start and constant from then on. */
struct pr_topic {
    const char *name; /* borrowed from the options */
    int16_t id;       /* postrider.topic */
};

/* `owner` and `epoch` change only together with a new lease, while no lane holds a claim that curl does not have. */
struct pr_process {
    const struct pr_options *opt;
    struct pr_topic topics[PR_TOPICS_MAX];
    int topics_n;
    int32_t partitions; /* of each topic */
    _Atomic int32_t owner;
    _Atomic int32_t epoch;
    _Atomic int64_t lease_end_ns; /* CLOCK_BOOTTIME: 3 s before the lease ends by our own count; 0: no lease */
    _Atomic int64_t db_ahead_us;  /* the database's clock (postrider.clock()) minus CLOCK_REALTIME */
    _Atomic bool is_stopping;
    _Atomic bool shows_addresses; /* log.addresses = full */
    _Atomic int32_t on_wire;      /* requests that curl has, of all lanes */
    struct pr_shapes shapes;      /* senders */
    struct pr_shapes templates;   /* those that the platform refused to send, until when */
    struct pr_journal *journal;   /* ids of the messages that curl has; NULL: none is kept */
    struct pr_metrics *metrics;
};

/* Whether our lease still holds, by the clock read now. */
bool pr_process_has_lease(const struct pr_process *process);

/* An address as logs may show it: masked unless log.addresses says otherwise. */
void pr_process_address(const struct pr_process *process, struct pr_span address, char out[PR_ADDRESS_MAX + 1]);

/* The database's now, as far as we know: microseconds since 1970. */
int64_t pr_process_db_now_us(const struct pr_process *process);

#endif
