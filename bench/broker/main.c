/* postrider-broker: librdkafka's in-process Kafka broker as a program, so that the quickstart needs no Java. Never for production. */
#include "base/attr.h"
#include "base/span.h"

#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BROKER_TOPICS_MAX = 64,
    BROKER_PARTITIONS_MAX = 1024,
    BROKER_TOPIC_NAME_MAX = 249, /* Kafka's own limit (org.apache.kafka.common.internals.Topic) */
    BROKER_PATH_MAX = 4096,
};

/* Exit codes, the same in all programs. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct broker_topic {
    char name[BROKER_TOPIC_NAME_MAX + 1];
    int partitions;
};

struct broker_options {
    struct broker_topic topics[BROKER_TOPICS_MAX];
    size_t topics_n;
    const char *port_file; /* NULL: none; from argv */
};

struct broker {
    rd_kafka_t *client; /* only there to host the cluster's thread */
    rd_kafka_mock_cluster_t *cluster;
};

static const char help_text[] =
    "Usage: postrider-broker --topic NAME:PARTITIONS [--topic …] [--port-file FILE]\n"
    "\n"
    "An embedded Kafka broker for the quickstart and for trying things out: librdkafka's mock cluster with one broker "
    "on a free\n"
    "port of 127.0.0.1. Prints `bootstrap.servers=HOST:PORT` and runs until SIGTERM or SIGINT.\n"
    "\n"
    "  --topic NAME:PARTITIONS  create a topic (1 to 1024 partitions); may be given up to 64 times. A topic that is "
    "not given\n"
    "                           springs up with 4 partitions when somebody asks for it\n"
    "  --port-file FILE         write the same line into FILE, complete as soon as the file is there; removed at the "
    "end\n"
    "  --help                   this text\n"
    "\n"
    "It is in memory and not durable: all is gone when it ends. A partition holds 5 MiB; older records are dropped "
    "silently, so\n"
    "publish at the pace at which they are read. No static group membership, no ACLs, no TLS. For anything else run "
    "Apache Kafka.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage.\n";

static void complain(const char *fmt, ...) PR_PRINTF(1, 2);

static void complain(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)fputs("postrider-broker: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

/* What errno says about `what`; ISO printf has no %m. */
static void complain_errno(const char *what) {
    char text[128];
    complain("%s: %s", what, strerror_r(errno, text, sizeof text));
}

static bool is_topic_name(struct pr_span name) {
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (name.n == 0 || name.n > BROKER_TOPIC_NAME_MAX || pr_span_is(name, ".") || pr_span_is(name, "..")) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (memchr(legal, name.p[i], sizeof legal - 1) == NULL) {
            return false;
        }
    }
    return true;
}

static bool parse_partitions(const char *text, int *partitions) {
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 1 || n > BROKER_PARTITIONS_MAX) {
        return false;
    }
    *partitions = (int)n;
    return true;
}

static bool add_topic(struct broker_options *options, const char *text) {
    const char *colon = strrchr(text, ':');
    struct broker_topic topic = {{0}, 0};
    if (colon == NULL || !parse_partitions(colon + 1, &topic.partitions)) {
        complain("--topic %s: expected NAME:PARTITIONS with 1 to %d partitions", text, BROKER_PARTITIONS_MAX);
        return false;
    }
    struct pr_span name = pr_span_make(text, (size_t)(colon - text));
    if (!is_topic_name(name)) {
        complain("--topic %s: a name has 1 to %d of the characters a-z A-Z 0-9 . _ -", text, BROKER_TOPIC_NAME_MAX);
        return false;
    }
    if (options->topics_n == BROKER_TOPICS_MAX) {
        complain("--topic %s: at most %d topics", text, BROKER_TOPICS_MAX);
        return false;
    }
    memcpy(topic.name, name.p, name.n);
    for (size_t i = 0; i < options->topics_n; i++) {
        if (strcmp(options->topics[i].name, topic.name) == 0) {
            complain("--topic %s: the topic was given before", text);
            return false;
        }
    }
    options->topics[options->topics_n++] = topic;
    return true;
}

/* -1: run; otherwise the exit code to leave with. */
static int read_options(struct broker_options *options, int argc, char **argv) {
    static const struct option longs[] = {
        {"topic", required_argument, NULL, 't'},
        {"port-file", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (c) {
        case 't':
            if (!add_topic(options, optarg)) {
                return EXIT_USAGE;
            }
            break;
        case 'p': options->port_file = optarg; break;
        case 'h': fputs(help_text, stdout); return EXIT_DONE;
        default: complain("try --help"); return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        complain("%s: not an option; try --help", argv[optind]);
        return EXIT_USAGE;
    }
    if (options->topics_n == 0) {
        complain("at least one --topic NAME:PARTITIONS is needed; try --help");
        return EXIT_USAGE;
    }
    return -1;
}

/* librdkafka greets every mock cluster with a warning that it is experimental; only real trouble is of interest here. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    (void)client;
    if (level <= 3) {
        complain("%s: %s", facility, text);
    }
}

static bool start(struct broker *broker, const struct broker_options *options) {
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    broker->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (broker->client == NULL) {
        rd_kafka_conf_destroy(conf);
        complain("librdkafka did not start: %s", error);
        return false;
    }
    broker->cluster = rd_kafka_mock_cluster_new(broker->client, 1);
    if (broker->cluster == NULL) {
        complain("the broker could not open a port on 127.0.0.1");
        return false;
    }
    for (size_t i = 0; i < options->topics_n; i++) {
        const struct broker_topic *topic = &options->topics[i];
        rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(broker->cluster, topic->name, topic->partitions, 1);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            complain("topic %s could not be created: %s", topic->name, rd_kafka_err2str(err));
            return false;
        }
    }
    return true;
}

static void stop(struct broker *broker) {
    if (broker->cluster != NULL) {
        rd_kafka_mock_cluster_destroy(broker->cluster);
    }
    if (broker->client != NULL) {
        rd_kafka_destroy(broker->client);
    }
}

/* By a rename, so that whoever waits for the file never reads half a line. */
static bool write_port_file(const char *path, const char *servers) {
    char draft[BROKER_PATH_MAX];
    int n = snprintf(draft, sizeof draft, "%s.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof draft) {
        complain("--port-file: the path is too long");
        return false;
    }
    FILE *file = fopen(draft, "we");
    if (file == NULL) {
        complain_errno(draft);
        return false;
    }
    bool written = fprintf(file, "bootstrap.servers=%s\n", servers) > 0;
    written = fclose(file) == 0 && written;
    if (!written || rename(draft, path) != 0) {
        complain_errno(path);
        (void)unlink(draft);
        return false;
    }
    return true;
}

static bool announce(const struct broker *broker, const struct broker_options *options) {
    const char *servers = rd_kafka_mock_cluster_bootstraps(broker->cluster);
    if (options->port_file != NULL && !write_port_file(options->port_file, servers)) {
        return false;
    }
    if (printf("bootstrap.servers=%s\n", servers) < 0 || fflush(stdout) != 0) {
        complain_errno("standard output");
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct broker_options options; /* 16 KiB, too much for a stack that is measured */
    int code = read_options(&options, argc, argv);
    if (code >= 0) {
        return code;
    }
    /* Blocked before the first thread starts, so that all of them inherit it and only sigwait sees the signals. */
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);

    struct broker broker = {NULL, NULL};
    bool started = start(&broker, &options) && announce(&broker, &options);
    if (started) {
        int got = 0;
        (void)sigwait(&ends, &got);
        if (options.port_file != NULL) {
            (void)unlink(options.port_file);
        }
    }
    stop(&broker);
    return started ? EXIT_DONE : EXIT_FAILED;
}
