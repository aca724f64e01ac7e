/* The dispatcher's options: this table is the only place that knows their names, bounds, defaults and help. */
#include "dispatcher/options.h"

#include "base/cpus.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define AT(field) offsetof(struct pr_options, field)
#define SECONDS INT64_C(1000)
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)
#define MIB (INT64_C(1024) * 1024)

static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_addresses[] = {"masked", "full", NULL};

static const struct pr_conf_row rows[] = {
    {.name = "kafka.*",
     .type = PR_CONF_PAIRS,
     .offset = AT(kafka),
     .help = "Handed to librdkafka as it is, for consumer and producer: bootstrap.servers (required), "
             "security.protocol, sasl.mechanism, sasl.username, "
             "sasl.password, group.id and all others of its CONFIGURATION.md. Any key may be read from a file by "
             "KEY_file."},
    {.name = "kafka.consumer.*",
     .type = PR_CONF_PAIRS,
     .offset = AT(kafka_consumer),
     .help = "The same for the consumer only, over kafka.*."},
    {.name = "kafka.producer.*",
     .type = PR_CONF_PAIRS,
     .offset = AT(kafka_producer),
     .help = "The same for programs that publish with this file; the dispatcher itself only checks them."},

    {.name = "topics.events",
     .type = PR_CONF_LIST,
     .offset = AT(topics.events),
     .fallback = "postrider.events",
     .flags = PR_CONF_REQUIRED,
     .help =
         "Topics that backends publish events to. All topics that are read must have the same number of partitions."},
    {.name = "topics.broadcast",
     .type = PR_CONF_STRING,
     .offset = AT(topics.broadcast),
     .fallback = "",
     .help = "The topic of campaigns and bulk, taken in slowly while it cannot go, so that it costs events "
             "little. Empty: not read."},
    {.name = "postgres.conninfo",
     .type = PR_CONF_STRING,
     .offset = AT(postgres.conninfo),
     .fallback = "",
     .flags = PR_CONF_REQUIRED | PR_CONF_SECRET,
     .help = "Where PostgreSQL is, as libpq's keywords or URI. Direct, or through a pooler in session mode; the "
             "password is best in a passfile."},
    {.name = "postgres.connect_timeout",
     .type = PR_CONF_DURATION,
     .offset = AT(postgres.connect_timeout_ms),
     .fallback = "10s",
     .min = 1 * SECONDS,
     .max = 2 * MINUTES,
     .help = "How long connecting and setting a session up may take before it is tried again."},
    {.name = "postgres.statement_timeout",
     .type = PR_CONF_DURATION,
     .offset = AT(postgres.statement_timeout_ms),
     .fallback = "10s",
     .min = 1 * SECONDS,
     .max = 10 * MINUTES,
     .help = "The server ends a statement that takes longer; 5 s later the connection is given up."},

    {.name = "dispatch.name",
     .type = PR_CONF_STRING,
     .offset = AT(dispatch.name),
     .fallback = "",
     .help = "This dispatcher's name, unique among all that use the database: starting under a name again takes over "
             "what the one before left. "
             "Empty: the host's name."},
    {.name = "dispatch.lanes",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.lanes),
     .fallback = "auto",
     .min = 1,
     .max = 256,
     .zero_word = "auto",
     .unit = "threads",
     .help = "Worker threads. auto: the CPUs that affinity and the cgroup's quota leave to this process."},
    {.name = "dispatch.memory.max",
     .type = PR_CONF_SIZE,
     .offset = AT(dispatch.memory_max),
     .fallback = "80MiB",
     .min = 32 * MIB,
     .max = 65536 * MIB,
     .help = "What messages in work (one half) and records on their way to them (the other, what is fetched ahead "
             "included) may hold, whatever the backlog. --check-config prints what follows from it."},
    {.name = "dispatch.drain.timeout",
     .type = PR_CONF_DURATION,
     .offset = AT(dispatch.drain_timeout_ms),
     .fallback = "25s",
     .min = 1 * SECONDS,
     .max = 10 * MINUTES,
     .help = "How long a stop waits for requests on the wire. Keep it below the service manager's own limit "
             "(Kubernetes: 30 s)."},
    {.name = "dispatch.only_to",
     .type = PR_CONF_LIST,
     .offset = AT(dispatch.only_to),
     .fallback = "",
     .unit = "E.164 addresses with +",
     .help = "For a trial with real events: messages to anyone else are refused. Empty: everybody."},
    {.name = "dispatch.claim_ahead",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.claim_ahead),
     .fallback = "200",
     .min = 1,
     .max = 10000,
     .unit = "messages a lane",
     .help = "Messages claimed and not yet on the wire. A crash leaves at most these and the ones in flight as "
             "unknown; with "
             "dispatch.state_dir only the ones in flight."},
    {.name = "dispatch.batch",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.batch),
     .fallback = "1000",
     .min = 1,
     .max = 1000,
     .unit = "messages",
     .help = "The most that one statement claims or records."},
    {.name = "dispatch.window",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.window),
     .fallback = "1024",
     .min = 16,
     .max = 65536,
     .unit = "records a partition",
     .help =
         "Records of a partition that may be in work; when it is full, no more are read from it. One that takes long "
         "holds back its own offset, and 64 times as many records behind it go on."},
    {.name = "dispatch.in_flight",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.in_flight),
     .fallback = "512",
     .min = 1,
     .max = 16384,
     .unit = "requests a lane",
     .help = "Requests on the wire at the same time."},
    {.name = "dispatch.stall_after",
     .type = PR_CONF_DURATION,
     .offset = AT(dispatch.stall_after_ms),
     .fallback = "30s",
     .min = 1 * SECONDS,
     .max = 1 * HOURS,
     .help = "A lane that settles nothing for so long while Kafka has records for it is told in the log (stalled) and "
             "in postrider_stalled, with what it waits for."},
    {.name = "dispatch.sender_in_flight",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.sender_in_flight),
     .fallback = "75",
     .min = 1,
     .max = 100,
     .unit = "percent",
     .help =
         "What one sender may hold, of the places that it has and that are free, on the wire and claimed: so a sender "
         "that hangs leaves places for the others. No limit when there is one sender only."},
    {.name = "dispatch.lease",
     .type = PR_CONF_DURATION,
     .offset = AT(dispatch.lease_ms),
     .fallback = "15s",
     .min = 6 * SECONDS,
     .max = 5 * MINUTES,
     .help = "How long this dispatcher counts as alive after a heartbeat. It stops sending 3 s before; then others may "
             "take its messages over."},
    {.name = "dispatch.heartbeat",
     .type = PR_CONF_DURATION,
     .offset = AT(dispatch.heartbeat_ms),
     .fallback = "2s",
     .min = 200,
     .max = 1 * MINUTES,
     .help = "How often the lease is renewed."},
    {.name = "dispatch.reconcile_window",
     .type = PR_CONF_DURATION,
     .offset = AT(dispatch.reconcile_window_ms),
     .fallback = "2m",
     .min = 10 * SECONDS,
     .max = 24 * HOURS,
     .help = "How long a message that got no answer waits for its receipt before its category's policy decides."},
    {.name = "dispatch.retention_days",
     .type = PR_CONF_INT,
     .offset = AT(dispatch.retention_days),
     .fallback = "30",
     .min = 2,
     .max = 3650,
     .unit = "days",
     .help = "How long the ledger is kept, and so how old an event may be: older ones are refused (bad_time)."},
    {.name = "dispatch.tenant",
     .type = PR_CONF_STRING,
     .offset = AT(dispatch.tenant),
     .fallback = "default",
     .help = "The tenant of events that name none. Empty: such events are refused."},
    {.name = "dispatch.secrets_dir",
     .type = PR_CONF_STRING,
     .offset = AT(dispatch.secrets_dir),
     .fallback = "/run/secrets",
     .help = "The folder of the senders' access tokens, a file each under the name that the sender's row has."},
    {.name = "dispatch.state_dir",
     .type = PR_CONF_STRING,
     .offset = AT(dispatch.state_dir),
     .fallback = "",
     .help =
         "A folder on this machine for the journal of messages handed over. With it a crash of the process leaves only "
         "those unknown that were on the wire, once it is started again under its name. Empty: no journal."},

    {.name = "retry.max_age.utility",
     .type = PR_CONF_DURATION,
     .offset = AT(retry.max_age_ms[PR_CATEGORY_UTILITY]),
     .fallback = "3d",
     .min = 1 * MINUTES,
     .max = 365 * DAYS,
     .help = "A message that could not be sent within this time after it could first go is refused (expired)."},
    {.name = "retry.max_age.marketing",
     .type = PR_CONF_DURATION,
     .offset = AT(retry.max_age_ms[PR_CATEGORY_MARKETING]),
     .fallback = "7d",
     .min = 1 * MINUTES,
     .max = 365 * DAYS,
     .help = "The same for marketing, which may wait for room in the messaging limit."},
    {.name = "retry.max_age.authentication",
     .type = PR_CONF_DURATION,
     .offset = AT(retry.max_age_ms[PR_CATEGORY_AUTHENTICATION]),
     .fallback = "10m",
     .min = 1 * MINUTES,
     .max = 365 * DAYS,
     .help = "The same for codes, which nobody can use later."},
    {.name = "retry.max_age.service",
     .type = PR_CONF_DURATION,
     .offset = AT(retry.max_age_ms[PR_CATEGORY_SERVICE]),
     .fallback = "24h",
     .min = 1 * MINUTES,
     .max = 365 * DAYS,
     .help = "The same for answers within the customer service window, which lasts as long."},
    {.name = "retry.max_tries.utility",
     .type = PR_CONF_INT,
     .offset = AT(retry.max_tries[PR_CATEGORY_UTILITY]),
     .fallback = "8",
     .min = 1,
     .max = 100,
     .unit = "attempts",
     .help = "A message that the platform refused so often by its own fault is refused with the last reason."},
    {.name = "retry.max_tries.marketing",
     .type = PR_CONF_INT,
     .offset = AT(retry.max_tries[PR_CATEGORY_MARKETING]),
     .fallback = "4",
     .min = 1,
     .max = 100,
     .unit = "attempts",
     .help = "The same for marketing; the platform's own cap on marketing (131049) is asked again once a day."},
    {.name = "retry.max_tries.authentication",
     .type = PR_CONF_INT,
     .offset = AT(retry.max_tries[PR_CATEGORY_AUTHENTICATION]),
     .fallback = "4",
     .min = 1,
     .max = 100,
     .unit = "attempts",
     .help = "The same for codes: the person asks for another one."},
    {.name = "retry.max_tries.service",
     .type = PR_CONF_INT,
     .offset = AT(retry.max_tries[PR_CATEGORY_SERVICE]),
     .fallback = "8",
     .min = 1,
     .max = 100,
     .unit = "attempts",
     .help = "The same for answers within the customer service window."},

    {.name = "provider.cloud-api.url",
     .type = PR_CONF_STRING,
     .offset = AT(provider.cloud_api_url),
     .fallback = "https://graph.facebook.com/v25.0",
     .flags = PR_CONF_REQUIRED,
     .help = "Meta's Cloud API with its version."},
    {.name = "provider.360dialog.url",
     .type = PR_CONF_STRING,
     .offset = AT(provider.d360_url),
     .fallback = "https://waba-v2.360dialog.io",
     .flags = PR_CONF_REQUIRED,
     .help = "360dialog's API."},
    {.name = "provider.timeout",
     .type = PR_CONF_DURATION,
     .offset = AT(provider.timeout_ms),
     .fallback = "30s",
     .min = 1 * SECONDS,
     .max = 2 * MINUTES,
     .help = "A request without an answer after this time is unknown: it may have been accepted."},
    {.name = "provider.connect_timeout",
     .type = PR_CONF_DURATION,
     .offset = AT(provider.connect_timeout_ms),
     .fallback = "5s",
     .min = 100,
     .max = 1 * MINUTES,
     .help = "A connection not there after this time is tried again: nothing was sent."},

    {.name = "intake.ignore",
     .type = PR_CONF_LIST,
     .offset = AT(intake.ignore),
     .fallback = "",
     .help = "Event types that nothing is done with; each event is counted as refused for the reason ignored."},
    {.name = "intake.dead_letters_max_per_minute",
     .type = PR_CONF_INT,
     .offset = AT(intake.dead_letters_max_per_minute),
     .fallback = "600",
     .min = 1,
     .max = 1000000,
     .unit = "records",
     .help = "More dead letters than this stop the intake: then the publisher is broken, not a record."},

    {.name = "admin.listen",
     .type = PR_CONF_STRING,
     .offset = AT(admin.listen),
     .fallback = "127.0.0.1:9464",
     .help = "HOST:PORT of metrics and health, without TLS or password. Empty: off."},

    {.name = "log.format",
     .type = PR_CONF_ENUM,
     .offset = AT(log.format),
     .fallback = "logfmt",
     .words = log_formats,
     .help = "One line an event on stderr."},
    {.name = "log.level",
     .type = PR_CONF_ENUM,
     .offset = AT(log.level),
     .fallback = "info",
     .words = log_levels,
     .flags = PR_CONF_RELOADABLE,
     .help = "What is less important is not logged."},
    {.name = "log.addresses",
     .type = PR_CONF_ENUM,
     .offset = AT(log.addresses),
     .fallback = "masked",
     .words = log_addresses,
     .flags = PR_CONF_RELOADABLE,
     .help = "Whether logs show recipients' addresses whole. masked: their first four and last four digits."
             " Read again on SIGHUP."},
};

const struct pr_conf_table pr_options_table = {
    .rows = rows, .n = sizeof rows / sizeof rows[0], .program = "postrider-dispatcher"};

static const char flags_help[] =
    "  --check-config\n      Parses, connects, checks topics, schema and tokens, and leaves: 0, or each fault with its "
    "cure.\n"
    "  --print-config\n      Prints every option in force and where it was set; secrets are not shown.\n"
    "  --print-options=conf|mdoc\n      Prints all options as a commented sample file, or for the manual page.\n"
    "  --help, --version\n";

/* What only several options together can tell. */
static void check_together(struct pr_conf *conf, const struct pr_options *o) {
    const char *servers = pr_conf_pair(&o->kafka, "bootstrap.servers");
    if (!servers || !servers[0]) {
        pr_conf_fault(conf, "kafka.bootstrap.servers", "is required: HOST:PORT of some brokers, separated by commas");
    }
    if (o->dispatch.lease_ms < 3 * SECONDS + 2 * o->dispatch.heartbeat_ms) {
        pr_conf_fault(conf, "dispatch.lease",
                      "is too short for this heartbeat: it must be at least 3s and two heartbeats, so that one lost "
                      "heartbeat does not stop the sending");
    }
    if (o->topics.events.n == 0) {
        pr_conf_fault(conf, "topics.events", "names no topic");
    }
    for (size_t i = 0; i < o->dispatch.only_to.n; i++) {
        if (o->dispatch.only_to.v[i][0] != '+') {
            pr_conf_fault(conf, "dispatch.only_to", "'%s' is no E.164 address: write it with + and the country's code",
                          o->dispatch.only_to.v[i]);
        }
    }
}

/* URLs are joined with a path, so a slash at the end would double it. */
static void check_url(struct pr_conf *conf, const char *key, const char *url) {
    size_t n = strlen(url);
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) {
        pr_conf_fault(conf, key, "'%s' is no URL: it must begin with https:// (http:// for a sandbox)", url);
    } else if (url[n - 1] == '/') {
        pr_conf_fault(conf, key, "'%s' ends with a slash; remove it", url);
    }
}

/* What depends on the machine: lanes and the name. */
static void resolve(struct pr_conf *conf, struct pr_options *o) {
    if (o->dispatch.lanes == 0) {
        o->dispatch.lanes = pr_cpus_usable();
    }
    if (!o->dispatch.name[0]) {
        char host[256] = "";
        (void)gethostname(host, sizeof host - 1);
        const char *name = pr_arena_copy(&conf->arena, pr_span_of(host)).p;
        o->dispatch.name = name ? name : "";
    }
    if (!o->dispatch.name[0]) {
        pr_conf_fault(conf, "dispatch.name", "is empty and this host has no name: give one");
    }
}

/* Flags that print and leave; they work without any configuration. */
static bool print_flag(const char *word, struct pr_buf *out) {
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        pr_conf_help(&pr_options_table, flags_help, out);
    } else if (strcmp(word, "--print-options=conf") == 0) {
        pr_conf_sample(&pr_options_table, out);
    } else if (strcmp(word, "--print-options=mdoc") == 0) {
        pr_conf_mdoc(&pr_options_table, out);
    } else {
        return false;
    }
    return true;
}

static enum pr_options_action take_words(struct pr_conf *conf, struct pr_buf *out, bool *show) {
    enum pr_options_action action = PR_OPTIONS_RUN;
    for (int i = 0; i < conf->rest_n; i++) {
        const char *word = conf->rest[i];
        if (print_flag(word, out)) {
            return PR_OPTIONS_PRINTED;
        }
        if (strcmp(word, "--version") == 0) {
            return PR_OPTIONS_VERSION;
        }
        if (strcmp(word, "--check-config") == 0) {
            action = PR_OPTIONS_CHECK_CONFIG;
        } else if (strcmp(word, "--print-config") == 0) {
            *show = true;
        } else {
            pr_conf_fault(conf, NULL, "command line: %s: there is no such option; %s --help lists them", word,
                          pr_options_table.program);
        }
    }
    return action;
}

enum pr_options_action pr_options_load(struct pr_options *options, struct pr_conf *conf, int argc, char *const *argv,
                                       char *const *environ_, struct pr_buf *out) {
    *options = (struct pr_options){.dispatch = {.name = ""}};
    pr_conf_init(conf, &pr_options_table, options);
    bool loaded = pr_conf_load(conf, argc, argv, environ_);
    bool show = false;
    enum pr_options_action action = take_words(conf, out, &show);
    if (action == PR_OPTIONS_PRINTED || action == PR_OPTIONS_VERSION) {
        return action;
    }
    if (loaded) {
        check_together(conf, options);
        check_url(conf, "provider.cloud-api.url", options->provider.cloud_api_url);
        check_url(conf, "provider.360dialog.url", options->provider.d360_url);
        resolve(conf, options);
    }
    if (conf->faults_n > 0) {
        pr_buf_put_span(out, pr_buf_span(&conf->faults));
        return PR_OPTIONS_USAGE;
    }
    if (show) {
        pr_conf_effective(conf, out);
        return PR_OPTIONS_PRINTED;
    }
    return action;
}
