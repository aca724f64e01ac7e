/* Settings from three places in one order, and the few look-ups that commands share. */
#include "kafka.h"

#include "base/check.h"
#include "base/span.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char env_prefix[] = "POSTRIDER_KAFKA_";

bool pr_kafka_take(struct pr_call *call, struct pr_kafka_options *options) {
    int kept = 0;
    bool is_over = false; /* behind "--" nothing is an option */
    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i];
        const char *value = NULL;
        is_over = is_over || strcmp(word, "--") == 0;
        if (!is_over && strcmp(word, "--kafka") == 0 && i + 1 < call->argc) {
            value = call->argv[++i];
        } else if (!is_over && strncmp(word, "--kafka=", 8) == 0) {
            value = word + 8;
        } else {
            call->argv[kept++] = call->argv[i];
            continue;
        }
        const char *equals = strchr(value, '=');
        if (!equals || equals == value || options->settings_n == PR_KAFKA_SETTINGS_MAX) {
            pr_usage_error(call, "--kafka %s: KEY=VALUE is needed, at most %d times", value, (int)PR_KAFKA_SETTINGS_MAX);
            return false;
        }
        options->settings[options->settings_n++] = value;
    }
    call->argv[kept] = NULL;
    call->argc = kept;
    return true;
}

/* librdkafka says what it tries every second; only errors are for the person who waits. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    (void)client;
    (void)facility;
    if (level <= 3) {
        pr_error("kafka: %s", text);
    }
}

/* What a file holds, without the newline at its end; in a block of its own. NULL after a message. */
static char *read_secret(const char *path) {
    char *text = malloc(PR_KAFKA_SECRET_MAX + 1);
    int fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, PR_KAFKA_SECRET_MAX) : -1;
    if (n < 0) {
        pr_error("%s: %s", path, strerrordesc_np(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        free(text);
        return NULL;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) {
        n--;
    }
    text[n] = '\0';
    return text;
}

static bool set(rd_kafka_conf_t *conf, const char *key, const char *value, const char *from) {
    char error[PR_KAFKA_TEXT];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) == RD_KAFKA_CONF_OK) {
        return true;
    }
    pr_error("%s: %s", from, error);
    return false;
}

static bool set_file(rd_kafka_conf_t *conf, const char *key, const char *path, const char *from) {
    char *secret = read_secret(path);
    bool is_set = secret && set(conf, key, secret, from);
    if (secret) {
        explicit_bzero(secret, strlen(secret));
    }
    free(secret);
    return is_set;
}

/* `key` is the caller's to change: prefixes and endings are cut from it. */
static bool apply(rd_kafka_conf_t *conf, rd_kafka_type_t type, char *key, const char *value, const char *from) {
    static const char consumer[] = "consumer.";
    static const char producer[] = "producer.";
    if (strncmp(key, consumer, sizeof consumer - 1) == 0 || strncmp(key, producer, sizeof producer - 1) == 0) {
        /* Both words are of one length. */
        bool is_ours = (*key == 'c') == (type == RD_KAFKA_CONSUMER);
        return !is_ours || apply(conf, type, key + sizeof consumer - 1, value, from);
    }
    size_t n = strlen(key);
    if (n > 5 && strcmp(key + n - 5, "_file") == 0) {
        key[n - 5] = '\0';
        return set_file(conf, key, value, from);
    }
    return set(conf, key, value, from);
}

/* POSTRIDER_KAFKA_SASL_PASSWORD_FILE is sasl.password_file: the last word belongs to us, all other underscores are dots. */
static bool apply_env(rd_kafka_conf_t *conf, rd_kafka_type_t type, const char *entry) {
    char key[PR_KAFKA_TEXT];
    const char *name = entry + sizeof env_prefix - 1;
    const char *equals = strchr(entry, '=');
    if (!equals || equals <= name || (size_t)(equals - name) >= sizeof key) {
        return true;
    }
    size_t n = (size_t)(equals - name);
    for (size_t i = 0; i < n; i++) {
        key[i] = name[i] == '_' ? '.' : (char)tolower((unsigned char)name[i]);
    }
    key[n] = '\0';
    if (n > 5 && strcmp(key + n - 5, ".file") == 0) {
        key[n - 5] = '_';
    }
    char from[PR_KAFKA_TEXT];
    snprintf(from, sizeof from, "%.*s", (int)(equals - entry), entry);
    return apply(conf, type, key, equals + 1, from);
}

static bool apply_all(rd_kafka_conf_t *conf, rd_kafka_type_t type, const struct pr_kafka_options *options) {
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, env_prefix, sizeof env_prefix - 1) == 0 && !apply_env(conf, type, *entry)) {
            return false;
        }
    }
    for (size_t i = 0; i < options->settings_n; i++) {
        const char *equals = strchr(options->settings[i], '=');
        char key[PR_KAFKA_TEXT];
        snprintf(key, sizeof key, "%.*s", (int)(equals - options->settings[i]), options->settings[i]);
        if (!apply(conf, type, key, equals + 1, "--kafka")) {
            return false;
        }
    }
    return !options->bootstrap || set(conf, "bootstrap.servers", options->bootstrap, "--bootstrap");
}

static bool has_bootstrap(const rd_kafka_conf_t *conf) {
    size_t n = 0;
    return rd_kafka_conf_get(conf, "bootstrap.servers", NULL, &n) == RD_KAFKA_CONF_OK && n > 1;
}

rd_kafka_conf_t *pr_kafka_conf(const struct pr_kafka_options *options, const char *const *defaults,
                               rd_kafka_type_t type) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    pr_kafka_set(conf, "client.id", "postrider");
    for (; *defaults; defaults += 2) {
        pr_kafka_set(conf, defaults[0], defaults[1]);
    }
    if (!apply_all(conf, type, options)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    if (!has_bootstrap(conf)) {
        pr_error("where Kafka is must be said: --bootstrap HOST:PORT, or POSTRIDER_KAFKA_BOOTSTRAP_SERVERS");
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

rd_kafka_t *pr_kafka_new(rd_kafka_conf_t *conf, rd_kafka_type_t type) {
    char error[PR_KAFKA_TEXT];
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (!client) {
        pr_error("kafka: %s", error);
        rd_kafka_conf_destroy(conf);
    }
    return client;
}

void pr_kafka_set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[PR_KAFKA_TEXT];
    pr_assert(rd_kafka_conf_set(conf, key, value, error, sizeof error) == RD_KAFKA_CONF_OK);
}

rd_kafka_t *pr_kafka_producer(const struct pr_kafka_options *options, pr_kafka_delivery_fn *on_delivery, void *opaque) {
    static const char *const defaults[] = {
        "linger.ms",
        "20", /* batches, without a wait that a person would notice */
        "compression.codec",
        "lz4",
        "queue.buffering.max.kbytes",
        "65536", /* bounds memory; librdkafka's own is 1 GiB */
        "message.timeout.ms",
        "60000",
        NULL,
    };
    rd_kafka_conf_t *conf = pr_kafka_conf(options, defaults, RD_KAFKA_PRODUCER);
    if (!conf) {
        return NULL;
    }
    /* What the promises of those who publish rest on is not for --kafka to change. */
    pr_kafka_set(conf, "enable.idempotence", "true");
    pr_kafka_set(conf, "acks", "all");
    pr_kafka_set(conf, "partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, opaque);
    return pr_kafka_new(conf, RD_KAFKA_PRODUCER);
}

void *pr_kafka_loose(const char *p) {
    return (void *)(uintptr_t)p;
}

static int partitions_in(const struct rd_kafka_metadata *metadata, const char *topic) {
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &metadata->topics[i];
        if (strcmp(t->topic, topic) == 0) {
            err = t->err;
            if (err == RD_KAFKA_RESP_ERR_NO_ERROR && t->partition_cnt > 0) {
                return t->partition_cnt;
            }
        }
    }
    pr_error("topic %s: %s", topic, rd_kafka_err2str(err));
    return 0;
}

int pr_kafka_partitions(rd_kafka_t *client, const char *topic, int timeout_ms) {
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (!handle) {
        pr_error("topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
        return 0;
    }
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, handle, &metadata, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_error("Kafka does not answer: %s", rd_kafka_err2str(err));
        return 0;
    }
    int n = partitions_in(metadata, topic);
    rd_kafka_metadata_destroy(metadata);
    return n;
}
