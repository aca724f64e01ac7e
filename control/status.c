/* `postrider status`: where every event went, how far the dispatchers are, and how much room the limits leave. */
#include "status.h"

#include "base/clock.h"
#include "command.h"
#include "db.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WATCH_EVERY_S = 2 };

struct status {
    struct pr_kafka_options kafka;
    const char *group, *topics, *since;
    char interval[64]; /* `since` as PostgreSQL reads it; "" for none */
    bool is_json, is_watched;
    PGconn *db;
    rd_kafka_t *client; /* NULL: Kafka is not asked */
};

static enum pr_exit read_options(struct status *s, struct pr_call *call) {
    const struct pr_option options[] = {
        {"bootstrap", PR_OPTION_TEXT, &s->kafka.bootstrap, 0, 0},
        {"group", PR_OPTION_TEXT, &s->group, 0, 0},
        {"topics", PR_OPTION_TEXT, &s->topics, 0, 0},
        {"since", PR_OPTION_TEXT, &s->since, 0, 0},
        {"json", PR_OPTION_FLAG, &s->is_json, 0, 0},
        {"watch", PR_OPTION_FLAG, &s->is_watched, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    int64_t us = 0;
    if (!pr_kafka_take(call, &s->kafka) || !pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (s->since && !pr_duration_parse(pr_span_of(s->since), &us)) {
        return pr_usage_error(call, "--since %s: something like 90m, 24h or 7d is needed", s->since);
    }
    if (s->since) {
        snprintf(s->interval, sizeof s->interval, "%" PRId64 " microseconds", us);
    }
    return PR_EXIT_DONE;
}

static bool is_kafka_given(const struct status *s) {
    const char *env = getenv("POSTRIDER_KAFKA_BOOTSTRAP_SERVERS");
    return s->kafka.bootstrap || s->kafka.settings_n > 0 || (env && *env);
}

static bool open_kafka(struct status *s) {
    static const char *const defaults[] = {"group.id", "postrider-dispatcher", NULL};
    if (!is_kafka_given(s)) {
        return true;
    }
    rd_kafka_conf_t *conf = pr_kafka_conf(&s->kafka, defaults, RD_KAFKA_CONSUMER);
    if (!conf) {
        return false;
    }
    if (s->group) {
        pr_kafka_set(conf, "group.id", s->group);
    }
    s->client = pr_kafka_new(conf, RD_KAFKA_CONSUMER);
    return s->client != NULL;
}

/* NULL after a message. Kafka is asked first, so that what was committed by then is in the ledger that is read after it. */
static json_t *collect(struct status *s) {
    json_t *root = json_object();
    json_object_set_new(root, "events_in", json_null());
    bool is_read = !s->client || pr_status_lag(s->client, s->topics, root);
    json_t *lag = json_incref(json_object_get(root, "lag"));
    json_object_del(root, "lag");
    is_read = is_read && pr_status_fates(s->db, *s->interval ? s->interval : NULL, root);
    const json_t *in = json_object_get(root, "events_in");
    /* Offsets have no time, so a part of the ledger cannot be held against them. */
    bool is_comparable = json_is_integer(in) && !*s->interval;
    json_object_set_new(root, "unaccounted",
                        is_comparable ? json_integer(json_integer_value(in) - pr_status_sum(root)) : json_null());
    json_object_set_new(root, "lag", lag ? lag : json_array());
    if (!is_read) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static bool print(struct status *s) {
    json_t *root = collect(s);
    if (!root) {
        return false;
    }
    if (s->is_watched && !s->is_json) {
        fputs(isatty(STDOUT_FILENO) == 1 ? "\033[H\033[2J" : "\n", stdout);
    }
    if (s->is_json) {
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        pr_status_show(root, stdout);
    }
    json_decref(root);
    return fflush(stdout) == 0;
}

static enum pr_exit run(struct status *s) {
    bool is_printed = print(s);
    while (s->is_watched && is_printed) {
        sleep(WATCH_EVERY_S);
        is_printed = print(s);
    }
    return is_printed ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

static enum pr_exit status(struct pr_call *call) {
    struct status s = {.topics = "postrider.events"};
    enum pr_exit code = read_options(&s, call);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    s.db = pr_db_open_ready(call->db);
    code = s.db && open_kafka(&s) ? run(&s) : PR_EXIT_FAILED;
    if (s.client) {
        rd_kafka_destroy(s.client);
    }
    PQfinish(s.db);
    return code;
}

const struct pr_command pr_command_status = {
    .noun = "status",
    .verb = "",
    .summary = "Where every event went, lag, messaging limits and dispatchers",
    .usage = "postrider status [OPTION]…\n"
             "  --json                 one JSON object; events_in and unaccounted are null when Kafka is not named\n"
             "  --watch                again every two seconds until Ctrl-C\n"
             "  --since 24h            only what was decided in that time, of events at most a day older: quick on a "
             "large ledger, where\n"
             "                         otherwise every row is counted\n" PR_KAFKA_USAGE
             "  --group GROUP          the dispatchers' consumer group (postrider-dispatcher)\n"
             "  --topics A,B           the topics they read (postrider.events)\n",
    .run = status,
};
