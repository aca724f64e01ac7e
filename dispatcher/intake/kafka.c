/* The handle's settings: what librdkafka 2.0.2 needs, then what the operator wrote. */
#include "intake/consumer.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PR_MESSAGE_MAX = 1000000000 }; /* librdkafka's own limit of message.max.bytes; fetch.max.bytes may be above */

/* Reasons with their bugs: docs/decisions/kafka.md. */
static const char *const settings[][2] = {
    {"group.id", "postrider-dispatcher"},
    {"enable.auto.commit", "true"},
    {"auto.commit.interval.ms", "1000"},
    {"enable.auto.offset.store", "false"},
    {"partition.assignment.strategy", "range"},
    {"auto.offset.reset", "error"},
    {"isolation.level", "read_committed"},
    {"enable.partition.eof", "true"},
    {"fetch.wait.max.ms", "50"},
    {"socket.nagle.disable", "true"},
    {"topic.metadata.refresh.interval.ms", "60000"},
    {"log.connection.close", "false"},
    {"client.id", "postrider"},
};

/* How far a partition's own queue is filled ahead. */
static bool set_ahead(rd_kafka_conf_t *conf, const struct pr_budget *budget, char *why, size_t why_size) {
    const struct {
        const char *key;
        int64_t value;
    } ahead[] = {
        {"queued.min.messages", budget->part_ahead_records},
        {"queued.max.messages.kbytes", budget->part_ahead / 1024},
        {"fetch.message.max.bytes", budget->fetch},
        {"fetch.max.bytes", budget->fetch},
    };
    for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
        char value[24];
        (void)snprintf(value, sizeof(value), "%lld", (long long)ahead[i].value);
        if (rd_kafka_conf_set(conf, ahead[i].key, value, why, why_size) != RD_KAFKA_CONF_OK) {
            return false;
        }
    }
    return true;
}

/* Only producers are bounded by message.max.bytes, but librdkafka refuses a consumer whose fetch.max.bytes is below it. */
static bool fit_message_max(rd_kafka_conf_t *conf, char *why, size_t why_size) {
    char value[24];
    size_t size = sizeof(value);
    return rd_kafka_conf_get(conf, "fetch.max.bytes", value, &size) == RD_KAFKA_CONF_OK &&
           (strtoll(value, NULL, 10) > PR_MESSAGE_MAX ||
            rd_kafka_conf_set(conf, "message.max.bytes", value, why, why_size) == RD_KAFKA_CONF_OK);
}

static bool set_all(rd_kafka_conf_t *conf, const struct pr_conf_pairs *pairs, char *why, size_t why_size) {
    char text[256];
    for (size_t i = 0; i < pairs->n; i++) {
        if (rd_kafka_conf_set(conf, pairs->v[i].key, pairs->v[i].value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
            (void)snprintf(why, why_size, "kafka.%s: %s", pairs->v[i].key, text);
            return false;
        }
    }
    return true;
}

static void say(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    pr_log(level <= 3   ? PR_LOG_ERROR
           : level <= 5 ? PR_LOG_WARN
                        : PR_LOG_DEBUG,
           "kafka", "facility=%s text=%s", facility, text);
}

rd_kafka_conf_t *pr_kafka_conf(const struct pr_options *opt, int64_t parts, char *why, size_t why_size) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, why_size) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    struct pr_budget budget = pr_budget_of(opt->dispatch.memory_max, opt->dispatch.lanes, parts);
    if (!set_ahead(conf, &budget, why, why_size) || !set_all(conf, &opt->kafka, why, why_size) ||
        !set_all(conf, &opt->kafka_consumer, why, why_size) || !fit_message_max(conf, why, why_size)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_log_cb(conf, say);
    return conf;
}

static int32_t partitions_of(rd_kafka_t *rk, const char *name, char *why, size_t why_size) {
    const struct rd_kafka_metadata *meta = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    if (!topic) {
        (void)snprintf(why, why_size, "topic %s: not a legal name", name);
        return 0;
    }
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, topic, &meta, 10000);
    int32_t n = 0;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && meta->topic_cnt == 1) {
        err = meta->topics[0].err;
        n = meta->topics[0].partition_cnt;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR || n == 0) {
        (void)snprintf(why, why_size,
                       "topic %s: %s: check kafka.bootstrap.servers, create the topic, or correct topics.events", name,
                       rd_kafka_err2str(err));
        n = 0;
    }
    if (meta) {
        rd_kafka_metadata_destroy(meta);
    }
    rd_kafka_topic_destroy(topic);
    return n;
}

int32_t pr_kafka_partitions(rd_kafka_t *rk, const struct pr_process *process, char *why, size_t why_size) {
    int32_t all = 0;
    for (int i = 0; i < process->topics_n; i++) {
        int32_t n = partitions_of(rk, process->topics[i].name, why, why_size);
        if (n == 0) {
            return 0;
        }
        if (all != 0 && n != all) {
            (void)snprintf(why, why_size,
                           "topic %s has %d partitions, %s has %d: all intake topics must have the same number",
                           process->topics[i].name, n, process->topics[0].name, all);
            return 0;
        }
        all = n;
    }
    return all;
}
