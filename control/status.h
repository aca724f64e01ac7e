/* What the parts of `postrider status` share: one JSON object is collected, and either printed or shown to a person. */
#ifndef PR_CONTROL_STATUS_H
#define PR_CONTROL_STATUS_H

#include "base/attr.h"
#include "kafka.h"

#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>

/* --- status_fates.c: what the database knows. */

/*
 * Fills `sent`, `refused`, `deferred`, `applied`, `duplicates`, `cancelled`, `superseded`, `dead_letters`, `unknown`, `claimed`, `pools`,
 * `dispatchers` and `partition_days_ahead` of `root` from one snapshot. `since` (an interval as PostgreSQL reads it) bounds the fates to what was
 * decided in that time, of messages whose day is at most one before it; NULL: the whole ledger. False after a message.
 */
bool pr_status_fates(PGconn *db, const char *since, json_t *root) PR_MUST_CHECK;

/* The sum of all fates but `claimed`: what is accounted for. */
json_int_t pr_status_sum(const json_t *root);

/* --- status_lag.c: what Kafka knows. */

/*
 * Fills `lag` (an object a partition: topic, partition, low, high, committed, lag) and `events_in` (all that was committed and still stands in the
 * topics). `client` is a consumer with the group's id. False after a message.
 */
bool pr_status_lag(rd_kafka_t *client, const char *topics, json_t *root) PR_MUST_CHECK;

/* --- status_show.c: the page for people. */
void pr_status_show(const json_t *root, FILE *out);

#endif
