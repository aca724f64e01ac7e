/* postrider-sandbox: a stand-in for the WhatsApp Business Platform that checks, limits, counts, records and fails on purpose. */
#include "admin.h"
#include "config.h"
#include "http.h"
#include "receipts.h"

#include "base/check.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    FLUSH_MS = 50,
    WHY_CHARS = 1024,
    RECORD_MEMORY_MB = 64,
    ANSWER_BYTES_MAX = 1 << 30,
};

struct options {
    const char *listen, *port_file, *admin_listen, *admin_port_file;
    const char *config, *record, *receipts_url, *app_secret;
    bool record_bodies, lenient, any_template;
    uint64_t seed;
    uint64_t record_memory_mb;
};

enum option_id {
    OPT_LISTEN = 256,
    OPT_PORT_FILE,
    OPT_ADMIN_LISTEN,
    OPT_ADMIN_PORT_FILE,
    OPT_CONFIG,
    OPT_RECORD,
    OPT_RECORD_BODIES,
    OPT_RECORD_MEMORY,
    OPT_RECEIPTS_URL,
    OPT_APP_SECRET,
    OPT_SEED,
    OPT_LENIENT,
    OPT_ANY_TEMPLATE,
    OPT_FAULTS,
    OPT_HELP,
};

static const struct option_help {
    struct option option;
    const char *value;
    const char *help;
} table[] = {
    {{"listen", required_argument, NULL, OPT_LISTEN},
     "ADDRESS:PORT",
     "where the platform is (default 127.0.0.1:0, a free port)"},
    {{"port-file", required_argument, NULL, OPT_PORT_FILE}, "FILE", "write the port there once connections are taken"},
    {{"admin-listen", required_argument, NULL, OPT_ADMIN_LISTEN},
     "ADDRESS:PORT",
     "a second port that stays open while the first one refuses connections"},
    {{"admin-port-file", required_argument, NULL, OPT_ADMIN_PORT_FILE}, "FILE", "write the port of --admin-listen there"},
    {{"config", required_argument, NULL, OPT_CONFIG},
     "FILE",
     "settings as JSON (README.md); without it: token sandbox-token, number 106540352242922"},
    {{"record", required_argument, NULL, OPT_RECORD}, "FILE", "write a line of JSON for each message taken or refused"},
    {{"record-bodies", no_argument, NULL, OPT_RECORD_BODIES},
     "",
     "put whole bodies into the record, not only their hashes"},
    {{"record-memory", required_argument, NULL, OPT_RECORD_MEMORY},
     "MB",
     "how much of the record stays in memory (default 64); older lines are read from the file"},
    {{"receipts-url", required_argument, NULL, OPT_RECEIPTS_URL}, "URL", "send status webhooks to this http:// URL"},
    {{"app-secret", required_argument, NULL, OPT_APP_SECRET}, "SECRET", "sign them with it (X-Hub-Signature-256)"},
    {{"seed", required_argument, NULL, OPT_SEED}, "NUMBER", "of the draws of latency, mix and receipts (default 1)"},
    {{"lenient", no_argument, NULL, OPT_LENIENT}, "", "take unknown numbers and any token"},
    {{"any-template", no_argument, NULL, OPT_ANY_TEMPLATE}, "", "take templates that are not known, unchecked"},
    {{"faults", no_argument, NULL, OPT_FAULTS}, "", "list the kinds of fault and exit"},
    {{"help", no_argument, NULL, OPT_HELP}, "", "this page"},
};
enum { OPTIONS = sizeof table / sizeof table[0] };

static void print_help(void) {
    printf("Usage: postrider-sandbox [OPTION]...\n\nA stand-in for the WhatsApp Business Platform. It checks what it "
           "is sent, keeps the\n"
           "platform's limits, records what it took, and fails on purpose.\n\n");
    for (int i = 0; i < OPTIONS; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s %s", table[i].option.name, table[i].value);
        printf("  %-32s %s\n", left, table[i].help);
    }
}

static void print_faults(void) {
    for (size_t i = 0; pr_fault_kind_name(i); i++) {
        printf("%s\n", pr_fault_kind_name(i));
    }
}

static bool read_number(const char *text, uint64_t *out) {
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

/* 0: go on; else the exit status + 1. */
static int take_option(struct options *o, int id, const char *value) {
    switch (id) {
    case OPT_LISTEN: o->listen = value; return 0;
    case OPT_PORT_FILE: o->port_file = value; return 0;
    case OPT_ADMIN_LISTEN: o->admin_listen = value; return 0;
    case OPT_ADMIN_PORT_FILE: o->admin_port_file = value; return 0;
    case OPT_CONFIG: o->config = value; return 0;
    case OPT_RECORD: o->record = value; return 0;
    case OPT_RECORD_BODIES: o->record_bodies = true; return 0;
    case OPT_RECORD_MEMORY:
        return read_number(value, &o->record_memory_mb) && o->record_memory_mb > 0 && o->record_memory_mb < 1000000 ? 0
                                                                                                                    : 3;
    default: return -1;
    }
}

static int take_more(struct options *o, int id, const char *value) {
    switch (id) {
    case OPT_RECEIPTS_URL: o->receipts_url = value; return 0;
    case OPT_APP_SECRET: o->app_secret = value; return 0;
    case OPT_SEED: return read_number(value, &o->seed) ? 0 : 3;
    case OPT_LENIENT: o->lenient = true; return 0;
    case OPT_ANY_TEMPLATE: o->any_template = true; return 0;
    case OPT_FAULTS: print_faults(); return 1;
    case OPT_HELP: print_help(); return 1;
    default: return 3;
    }
}

static int read_options(int argc, char **argv, struct options *o) {
    struct option longs[OPTIONS + 1] = {0};
    for (int i = 0; i < OPTIONS; i++) {
        longs[i] = table[i].option;
    }
    int id;
    while ((id = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        int end = take_option(o, id, optarg);
        end = end < 0 ? take_more(o, id, optarg) : end;
        if (end == 3 && id != '?') {
            fprintf(stderr, "postrider-sandbox: \"%s\" is not a value this option takes; see --help\n", optarg);
        }
        if (end) {
            return end;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "postrider-sandbox: \"%s\" is not an option; see --help\n", argv[optind]);
        return 3;
    }
    return 0;
}

/* Written aside and renamed, so that a reader never sees half a number. */
static bool write_port(const char *path, int port) {
    char aside[4096];
    if (!path) {
        return true;
    }
    (void)snprintf(aside, sizeof aside, "%s.new", path);
    FILE *file = fopen(aside, "w");
    if (!file) {
        return false;
    }
    bool done = fprintf(file, "%d\n", port) > 0;
    return fclose(file) == 0 && done && rename(aside, path) == 0;
}

static bool fail(const char *why) {
    fprintf(stderr, "postrider-sandbox: %s\n", why);
    return false;
}

static bool open_listener(struct pr_sandbox *sandbox, const char *address, const char *port_file, bool is_admin) {
    char why[WHY_CHARS];
    int port = pr_server_listen(sandbox->server, address, is_admin, why, sizeof why);
    if (port < 0) {
        return fail(why);
    }
    if (!write_port(port_file, port)) {
        return fail("cannot write the port file");
    }
    printf("postrider-sandbox: %s on port %d\n", is_admin ? "admin" : "listening", port);
    (void)fflush(stdout);
    return true;
}

static bool set_up(struct pr_sandbox *sandbox, const struct options *o) {
    char why[WHY_CHARS];
    if (!(o->config ? pr_config_load(sandbox, o->config, why, sizeof why)
                    : pr_config_default(sandbox, why, sizeof why))) {
        return fail(why);
    }
    sandbox->lenient = sandbox->lenient || o->lenient;
    sandbox->any_template = sandbox->any_template || o->any_template;
    if ((o->receipts_url || o->app_secret) &&
        !pr_receipts_target(sandbox->receipts, o->receipts_url, o->app_secret, why, sizeof why)) {
        return fail(why);
    }
    if (!pr_record_open(&sandbox->record, o->record, o->record_bodies, (size_t)o->record_memory_mb << 20)) {
        perror("postrider-sandbox: cannot open the record");
        return false;
    }
    return (!o->admin_listen || open_listener(sandbox, o->admin_listen, o->admin_port_file, true)) &&
           open_listener(sandbox, o->listen, o->port_file, false);
}

static void on_flush(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    pr_record_flush(&((struct pr_sandbox *)arg)->record);
}

static void on_signal(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

static struct event_base *make_base(void) {
    struct event_config *config = event_config_new();
    pr_assert(config);
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void run(struct pr_sandbox *sandbox) {
    struct timeval every = {.tv_sec = 0, .tv_usec = FLUSH_MS * 1000};
    struct event *flush = event_new(sandbox->base, -1, EV_PERSIST, on_flush, sandbox);
    struct event *term = evsignal_new(sandbox->base, SIGTERM, on_signal, sandbox->base);
    struct event *interrupt = evsignal_new(sandbox->base, SIGINT, on_signal, sandbox->base);
    pr_assert(flush && term && interrupt);
    (void)event_add(flush, &every);
    (void)event_add(term, NULL);
    (void)event_add(interrupt, NULL);
    (void)event_base_dispatch(sandbox->base);
    event_free(flush);
    event_free(term);
    event_free(interrupt);
}

/* A connection is a descriptor, and load tests open thousands. */
static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static struct pr_sandbox *make_sandbox(const struct options *o) {
    struct pr_sandbox *sandbox = calloc(1, sizeof *sandbox);
    pr_assert(sandbox);
    sandbox->record.fd = -1;
    sandbox->doc = malloc(sizeof *sandbox->doc);
    sandbox->base = make_base();
    pr_assert(sandbox->doc && sandbox->base && pr_wheel_init(&sandbox->wheel, sandbox->base));
    pr_buf_init(&sandbox->scratch, ANSWER_BYTES_MAX);
    sandbox->callbacks.is_set = true;
    sandbox->enforce_window = true;
    sandbox->faults.random = o->seed;
    pr_assert(getrandom(&sandbox->run, sizeof sandbox->run, 0) == (ssize_t)sizeof sandbox->run);
    sandbox->receipts = pr_receipts_new(sandbox);
    sandbox->server = pr_server_new(sandbox, pr_admin_answer);
    pr_assert(sandbox->receipts && sandbox->server);
    return sandbox;
}

int main(int argc, char **argv) {
    struct options o = {.listen = "127.0.0.1:0", .seed = 1, .record_memory_mb = RECORD_MEMORY_MB};
    int end = read_options(argc, argv, &o);
    if (end) {
        return end - 1;
    }
    raise_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    struct pr_sandbox *sandbox = make_sandbox(&o);
    bool done = set_up(sandbox, &o);
    if (done) {
        run(sandbox);
    }
    struct event_base *base = sandbox->base;
    pr_receipts_free(sandbox->receipts);
    sandbox->receipts = NULL;
    pr_server_free(sandbox->server);
    pr_sandbox_free(sandbox);
    free(sandbox);
    event_base_free(base);
    return done ? 0 : 1;
}
