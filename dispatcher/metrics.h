/* What the dispatcher counts: the places of its metrics in the table. */
#ifndef PR_DISPATCHER_METRICS_H
#define PR_DISPATCHER_METRICS_H

#include "base/metric.h"

enum pr_dispatcher_metric {
    PR_METRIC_RECORDS,
    PR_METRIC_CLAIMED,
    PR_METRIC_REQUESTS,
    PR_METRIC_OUTCOMES,
    PR_METRIC_SETTLED,
    PR_METRIC_DEFERRED,
    PR_METRIC_RETURNED,
    PR_METRIC_MISPLACED,
    PR_METRIC_JOBS,
    PR_METRIC_IN_FLIGHT,
    PR_METRIC_EVENT_TO_POST,
    PR_METRIC_LATENCY,
    PR_METRIC_TARDINESS,
    PR_METRIC_LEASE,
    PR_METRIC_PARTITIONS_AHEAD,
    PR_METRIC_LAG,
    PR_METRIC_LAG_MAX,
    PR_METRIC_STALLED,
    PR_METRIC_SHARE,
    PR_METRIC_HALVED,
    PR_METRIC_BREAKERS_OPEN,
    PR_METRIC_BREAKER_OPENS,
    PR_METRICS,
};

extern struct pr_metric_def pr_metric_defs[PR_METRICS];

/* Senders are named up to here, as TENANT/SENDER; the rest is "other". Breakers have as many names of their own. */
enum { PR_METRIC_SENDERS = 128 };
extern struct pr_label pr_metrics_sender;

/* Words of the label `kind`. */
enum pr_breaker_kind { PR_BREAKER_OF_SENDER, PR_BREAKER_OF_TEMPLATE };
uint32_t pr_metrics_breaker_cell(enum pr_breaker_kind kind, const char *name);

#endif
