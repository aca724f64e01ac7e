/* How commands reach Kafka: --bootstrap, --kafka KEY=VALUE and POSTRIDER_KAFKA_…, turned into a librdkafka configuration. */
#ifndef PR_CONTROL_KAFKA_H
#define PR_CONTROL_KAFKA_H

#include "base/attr.h"
#include "command.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    PR_KAFKA_SETTINGS_MAX = 64,
    PR_KAFKA_SECRET_MAX = 64 * 1024, /* bytes of a file that KEY_file names, as in the dispatcher's configuration */
    PR_KAFKA_TEXT = 256,
};

/* All texts are borrowed from argv and the environment. All zero is "nothing given". */
struct pr_kafka_options {
    const char *bootstrap;                       /* --bootstrap: for the option table of the command; NULL: not given */
    const char *settings[PR_KAFKA_SETTINGS_MAX]; /* --kafka: "key=value", in order */
    size_t settings_n;
};

/* The lines of a command's usage text for these options. */
#define PR_KAFKA_USAGE                                                                                              \
    "  --bootstrap HOST:PORT  Kafka's brokers, separated by commas (else POSTRIDER_KAFKA_BOOTSTRAP_SERVERS)\n"      \
    "  --kafka KEY=VALUE      any setting of librdkafka, may be given again: security.protocol=SASL_SSL; KEY_file " \
    "reads\n"                                                                                                       \
    "                         a secret from a file. Also POSTRIDER_KAFKA_SASL_USERNAME=… and so on\n"

/*
 * Takes every `--kafka KEY=VALUE` out of call->argv, because an option table keeps only the last of them. Call it before pr_call_options.
 * False after a message: return PR_EXIT_USAGE then.
 */
bool pr_kafka_take(struct pr_call *call, struct pr_kafka_options *options) PR_MUST_CHECK;

/*
 * The configuration: `defaults` of the command (key, value, …, NULL), environment, --kafka, --bootstrap, each over the one before. Settings with the
 * dispatcher's `consumer.` or `producer.` prefix hold for `type` only. librdkafka's complaints go to stderr when they are errors. NULL after a
 * message. rd_kafka_new takes it over.
 */
rd_kafka_conf_t *pr_kafka_conf(const struct pr_kafka_options *options, const char *const *defaults,
                               rd_kafka_type_t type) PR_MUST_CHECK;

/* Makes the client of `conf` and takes `conf` over in any case. NULL after a message. */
rd_kafka_t *pr_kafka_new(rd_kafka_conf_t *conf, rd_kafka_type_t type) PR_MUST_CHECK;

/* Sets one value where the caller's is fixed; a bug when librdkafka refuses it, so it aborts. */
void pr_kafka_set(rd_kafka_conf_t *conf, const char *key, const char *value);

/* What hears of each record's end: called from rd_kafka_poll and rd_kafka_flush. */
typedef void pr_kafka_delivery_fn(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque);

/* A producer: idempotent, waits for all replicas, partitions as Java does. NULL after a message. */
rd_kafka_t *pr_kafka_producer(const struct pr_kafka_options *options, pr_kafka_delivery_fn *on_delivery,
                              void *opaque) PR_MUST_CHECK;

/* librdkafka takes what it only reads through a plain void pointer. */
void *pr_kafka_loose(const char *p);

/*
 * Partitions of a topic as the brokers say it, waiting at most `timeout_ms`. 0 after a message: brokers not reached, or no such topic.
 */
int pr_kafka_partitions(rd_kafka_t *client, const char *topic, int timeout_ms) PR_MUST_CHECK;

#endif
