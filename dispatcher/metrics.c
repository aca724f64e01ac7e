/* The metric table: each with its unit and a sentence on when to worry. */
#include "metrics.h"

static const char *const outcomes[] = {"accepted",      "retry",       "defer",  "reject",
                                       "stop_template", "stop_sender", "unknown"};
static struct pr_label outcome = PR_LABEL_FIXED("outcome", outcomes);
static const char *const states[] = {"fetched", "gated",   "claiming", "ready",
                                     "sending", "waiting", "settling", "settled"};
static struct pr_label state = PR_LABEL_FIXED("state", states);

static const char *const kinds[] = {"sender", "template"};
static struct pr_label kind_of_breaker = PR_LABEL_FIXED("kind", kinds);
static struct pr_label breaker = PR_LABEL_OPEN("name", PR_METRIC_SENDERS);
struct pr_label pr_metrics_sender = PR_LABEL_OPEN("sender", PR_METRIC_SENDERS);

struct pr_metric_def pr_metric_defs[PR_METRICS] = {
    [PR_METRIC_RECORDS] = {.name = "postrider_records_total",
                           .kind = PR_METRIC_COUNTER,
                           .unit = "records",
                           .help = "Records taken from Kafka. Worry when it stands still while lag grows."},
    [PR_METRIC_CLAIMED] =
        {.name = "postrider_claims_total",
         .kind = PR_METRIC_COUNTER,
         .unit = "messages",
         .help = "Messages that got a verdict from the database. Worry when records grow and this does not."},
    [PR_METRIC_REQUESTS] = {.name = "postrider_requests_total",
                            .kind = PR_METRIC_COUNTER,
                            .unit = "requests",
                            .help = "Requests handed to the platform, retries included."},
    [PR_METRIC_OUTCOMES] =
        {.name = "postrider_outcomes_total",
         .kind = PR_METRIC_COUNTER,
         .unit = "requests",
         .help = "Answers by what they mean. Worry about stop_sender at once, about unknown when it grows.",
         .label = {&outcome}},
    [PR_METRIC_SETTLED] = {.name = "postrider_settled_total",
                           .kind = PR_METRIC_COUNTER,
                           .unit = "jobs",
                           .help = "Jobs whose fate is durable."},
    [PR_METRIC_DEFERRED] = {.name = "postrider_deferred_total",
                            .kind = PR_METRIC_COUNTER,
                            .unit = "messages",
                            .help = "Messages written to come back later, unknown ones included."},
    [PR_METRIC_RETURNED] = {.name = "postrider_returned_total",
                            .kind = PR_METRIC_COUNTER,
                            .unit = "messages",
                            .help = "Messages that came back from deferral."},
    [PR_METRIC_MISPLACED] =
        {.name = "postrider_misplaced_total",
         .kind = PR_METRIC_COUNTER,
         .unit = "records",
         .help =
             "Records on another partition than their key's. Worry: set partitioner=murmur2_random at that producer."},
    [PR_METRIC_JOBS] = {.name = "postrider_jobs",
                        .kind = PR_METRIC_GAUGE,
                        .unit = "jobs",
                        .help = "Jobs in memory by state. Worry when one state holds them all for long.",
                        .label = {&state}},
    [PR_METRIC_IN_FLIGHT] = {.name = "postrider_in_flight",
                             .kind = PR_METRIC_GAUGE,
                             .unit = "requests",
                             .help = "Requests on the wire now."},
    [PR_METRIC_EVENT_TO_POST] = {.name = "postrider_event_to_post_seconds",
                                 .kind = PR_METRIC_HISTOGRAM,
                                 .unit = "seconds",
                                 .help = "From the record's arrival in Kafka to its first request, deferrals left out.",
                                 .per_unit = 1000000,
                                 .low = 8,
                                 .high = 34},
    [PR_METRIC_LATENCY] = {.name = "postrider_request_seconds",
                           .kind = PR_METRIC_HISTOGRAM,
                           .unit = "seconds",
                           .help = "From handing a request to libcurl to its answer.",
                           .per_unit = 1000000,
                           .low = 8,
                           .high = 30},
    [PR_METRIC_TARDINESS] =
        {.name = "postrider_due_tardiness_seconds",
         .kind = PR_METRIC_HISTOGRAM,
         .unit = "seconds",
         .help =
             "How late deferred messages were read. Worry when minutes: the lanes cannot keep up with what comes back.",
         .per_unit = 1000,
         .low = 2,
         .high = 34},
    [PR_METRIC_LEASE] =
        {.name = "postrider_lease_seconds",
         .kind = PR_METRIC_GAUGE,
         .unit = "seconds",
         .help = "What is left of our lease. Worry at 0: nothing is sent until PostgreSQL answers the heartbeat.",
         .per_unit = 1000},
    [PR_METRIC_PARTITIONS_AHEAD] = {.name = "postrider_ledger_days_ahead",
                                    .kind = PR_METRIC_GAUGE,
                                    .unit = "days",
                                    .help = "Days for which the ledger has partitions. Worry below 2."},
    [PR_METRIC_LAG] = {.name = "postrider_lag",
                       .kind = PR_METRIC_GAUGE,
                       .unit = "records",
                       .help = "Records on Kafka beyond the last settled one, of all partitions of this process. Worry "
                               "when it grows for longer than a campaign takes."},
    [PR_METRIC_LAG_MAX] = {.name = "postrider_lag_max",
                           .kind = PR_METRIC_GAUGE,
                           .unit = "records",
                           .help = "The same of the partition that has most."},
    [PR_METRIC_STALLED] =
        {.name = "postrider_stalled",
         .kind = PR_METRIC_GAUGE,
         .unit = "lanes",
         .help = "Lanes with lag that settled nothing for dispatch.stall_after. Worry above 0: the log says stalled "
                 "and why."},
    [PR_METRIC_SHARE] = {.name = "postrider_sender_share",
                         .kind = PR_METRIC_GAUGE,
                         .unit = "messages a second",
                         .help = "What this process may send by a sender now. Worry at 0 while messages wait for it: "
                                 "PostgreSQL does not answer, or others hold it all.",
                         .per_unit = 1000,
                         .label = {&pr_metrics_sender}},
    [PR_METRIC_HALVED] = {.name = "postrider_rate_halved_total",
                          .kind = PR_METRIC_COUNTER,
                          .unit = "times",
                          .help = "Times a sender's rate was halved because the platform said too fast. Worry when it "
                                  "goes on: lower the sender's rate."},
    [PR_METRIC_BREAKERS_OPEN] = {.name = "postrider_breakers_open",
                                 .kind = PR_METRIC_GAUGE,
                                 .unit = "breakers",
                                 .help = "Senders and templates that nothing but a probe is sent by. Worry at once.",
                                 .label = {&kind_of_breaker}},
    [PR_METRIC_BREAKER_OPENS] = {.name = "postrider_breaker_opens_total",
                                 .kind = PR_METRIC_COUNTER,
                                 .unit = "times",
                                 .help = "Times a breaker was opened by failures. The log has the reasons.",
                                 .label = {&kind_of_breaker, &breaker}},
};

uint32_t pr_metrics_breaker_cell(enum pr_breaker_kind kind, const char *name) {
    return pr_metric_cell(&pr_metric_defs[PR_METRIC_BREAKER_OPENS], (uint16_t)kind,
                          pr_label_place(&breaker, pr_span_of(name)));
}
