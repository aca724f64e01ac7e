/* What the threads of one dispatcher share: the lease, the database's clock, senders' rates and the word to stop. */
#ifndef PR_FLOW_PROCESS_H
#define PR_FLOW_PROCESS_H

#include "base/metric.h"
#include "core/address.h"
#include "options.h"
#include "flow/breaker.h"
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
    bool is_bulk;     /* topics.broadcast */
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
    _Atomic int64_t db_ahead_us;  /* the database's clock (postrider.clock()) minus CLOCK_BOOTTIME */
    _Atomic bool is_stopping;
    _Atomic bool shows_addresses; /* log.addresses = full */
    _Atomic int32_t on_wire;      /* requests that curl has, of all lanes */
    struct pr_journal *journal;   /* ids of the messages that curl has; NULL: none is kept */
    struct pr_shapes shapes;      /* senders' rates */
    struct pr_breakers senders, templates;
    struct pr_metrics *metrics;
};

/* Whether our lease still holds, by the clock read now. */
bool pr_process_has_lease(const struct pr_process *process);

/* A pause that a claimed message waits out where it is, and one that a message waits out in front of its claim; a longer one defers. */
#define PR_PATIENCE_CLAIMED_NS (INT64_C(2) * 1000000000)
#define PR_PATIENCE_GATED_NS (INT64_C(30) * 1000000000)

/* The sender's breaker lets messages go, and no pause lasts longer than `patience_ns` from now. */
bool pr_process_sender_is_up(struct pr_process *process, int32_t sender, int64_t now_ns, int64_t patience_ns);

/* Why the breaker of a sender or template lets no message go now, and how long one should stay away; NULL when it may go. */
const char *pr_process_sender_hold(struct pr_process *process, int32_t sender, int64_t now_ns, int64_t *hold_ns);
const char *pr_process_template_hold(struct pr_process *process, int32_t tpl, int64_t now_ns, int64_t *hold_ns);

/* An address as logs may show it: masked unless log.addresses says otherwise. */
void pr_process_address(const struct pr_process *process, struct pr_span address, char out[PR_ADDRESS_MAX + 1]);

/* The database's now, as far as we know: microseconds since 1970. */
int64_t pr_process_db_now_us(const struct pr_process *process);

#endif
