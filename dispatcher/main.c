/* postrider-dispatcher: options, lanes, consumer, lease, admin port; and a clean end by a signal. */
#include "admin.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "claim/claim.h"
#include "flow/lane.h"
#include "intake/consumer.h"
#include "intake/intake.h"
#include "intake/mail.h"
#include "janitor.h"
#include "journal.h"
#include "lease.h"
#include "metrics.h"
#include "options.h"
#include "postrider/version.h"
#include "send/send.h"
#include "settle/settle.h"
#include "share.h"
#include "start.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { PR_EXIT_FAILED = 1, PR_EXIT_USAGE = 2, PR_OUT_MAX = 1024 * 1024, PR_DRAIN_LEAST_MS = 2000, PR_WHY = 512 };

/* In the order of a turn: what changed, what arrived, what may be claimed, sent, written. */
static const struct pr_room rooms[] = {
    {"watch", pr_watch_open, pr_watch_turn, pr_watch_close},
    {"intake", pr_intake_open, pr_intake_turn, pr_intake_close},
    {"claim", pr_claim_open, pr_claim_turn, pr_claim_close},
    {"send", pr_send_open, pr_send_turn, pr_send_close},
    {"settle", pr_settle_open, pr_settle_turn, pr_settle_close},
};

/* Everything that is started, in the order of starting. */
struct dispatcher {
    struct pr_process *process;
    struct pr_mailbox consumer_box;
    struct pr_lane *lanes;
    size_t lanes_n, lanes_started;
    struct pr_lease *lease;
    struct pr_janitor *janitor;
    struct pr_share *share;
    struct pr_consumer *consumer;
    struct pr_admin *admin;
};

static bool fail(const char *what, const char *why) {
    pr_log_error("cannot_start", "part=%s text=%s", what, why);
    return false;
}

static bool start_lanes(struct dispatcher *d) {
    for (size_t i = 0; i < d->lanes_n; i++) {
        if (!pr_lane_init(&d->lanes[i], (int)i, d->process, &d->consumer_box, rooms, sizeof(rooms) / sizeof(rooms[0])) ||
            !pr_lane_start(&d->lanes[i])) {
            return false;
        }
        d->lanes_started++;
    }
    return true;
}

/* What is said when a part that did not start gave no reason. */
static char *fresh(char why[PR_WHY]) {
    (void)snprintf(why, PR_WHY, "no memory");
    return why;
}

static bool start(struct dispatcher *d) {
    char why[PR_WHY];
    const struct pr_options *opt = d->process->opt;
    d->lanes_n = (size_t)opt->dispatch.lanes;
    d->lanes = calloc(d->lanes_n, sizeof(*d->lanes));
    d->process->metrics = pr_metrics_new(pr_metric_defs, PR_METRICS,
                                         (uint16_t)(d->lanes_n + 4)); /* lease, lanes, janitor, consumer, share */
    if (!d->lanes || !d->process->metrics || !pr_mailbox_init(&d->consumer_box, 0)) {
        return fail("memory", fresh(why));
    }
    if (!pr_start_journal(d->process, fresh(why), sizeof(why))) {
        return fail("journal", why);
    }
    if (!pr_start_topics(d->process, fresh(why), sizeof(why))) {
        return fail("topics", why);
    }
    d->lease = pr_lease_new(d->process, fresh(why), sizeof(why));
    if (!d->lease || !pr_lease_start(d->lease)) {
        return fail("lease", why);
    }
    d->janitor = pr_janitor_start(d->process);
    d->share = pr_share_start(d->process);
    if (!d->janitor || !d->share || !start_lanes(d)) {
        return fail("lanes", "no memory or descriptors");
    }
    d->consumer = pr_consumer_new(d->process, d->lanes, d->lanes_n, &d->consumer_box, fresh(why), sizeof(why));
    if (!d->consumer || !pr_consumer_start(d->consumer)) {
        return fail("kafka", why);
    }
    if (opt->admin.listen[0]) {
        d->admin =
            pr_admin_new(opt->admin.listen, d->process, d->lanes, d->lanes_n, d->consumer, fresh(why), sizeof(why));
        if (!d->admin) {
            return fail("admin", why);
        }
    }
    pr_log_info("started", "name=%s lanes=%zu topics=%d partitions=%d", opt->dispatch.name, d->lanes_n,
                d->process->topics_n, d->process->partitions);
    return true;
}

static void drain_lanes(struct dispatcher *d, int64_t deadline_ns) {
    for (size_t i = 0; i < d->lanes_started; i++) {
        struct pr_intake_mail *mail = calloc(1, sizeof(*mail));
        if (mail) {
            mail->kind = PR_INTAKE_DRAIN;
            mail->deadline_ns = deadline_ns;
        }
        if (!mail || !pr_mailbox_post(&d->lanes[i].box, &mail->mail)) {
            _exit(PR_EXIT_FAILED);
        }
    }
    for (size_t i = 0; i < d->lanes_started; i++) {
        pr_lane_join(&d->lanes[i]);
    }
}

/* The consumer first: its revocation lets the lanes finish and stores the offsets; then the lanes; the lease last, so that nobody takes over too early. */
static void stop(struct dispatcher *d) {
    int64_t deadline_ns = pr_clock_mono_ns() + d->process->opt->dispatch.drain_timeout_ms * 1000000;
    atomic_store(&d->process->is_stopping, true);
    PR_FAULT("drain.begun");
    if (d->consumer) {
        pr_consumer_stop(d->consumer);
    }
    int64_t least_ns =
        pr_clock_mono_ns() + PR_DRAIN_LEAST_MS * INT64_C(1000000); /* to write down what the consumer gave back */
    drain_lanes(d, deadline_ns > least_ns ? deadline_ns : least_ns);
    pr_admin_free(d->admin);
    pr_janitor_stop(d->janitor);
    pr_share_stop(d->share);
    if (d->lease) {
        pr_lease_stop(d->lease);
    }
    pr_consumer_free(d->consumer);
    for (size_t i = 0; i < d->lanes_started; i++) {
        pr_lane_free(&d->lanes[i]);
    }
    pr_lease_free(d->lease);
    pr_journal_close(d->process->journal);
    free(d->lanes);
    pr_metrics_free(d->process->metrics);
    pr_mailbox_free(&d->consumer_box);
    pr_log_info("stopped", "name=%s", d->process->opt->dispatch.name);
}

static void set_log(struct pr_process *process, const struct pr_options *opt) {
    static const enum pr_log_level levels[] = {PR_LOG_DEBUG, PR_LOG_INFO, PR_LOG_WARN, PR_LOG_ERROR};
    pr_log_init(levels[opt->log.level], opt->log.format == PR_OPT_LOG_JSON ? PR_LOG_JSON : PR_LOG_LOGFMT, STDERR_FILENO);
    atomic_store(&process->shows_addresses, opt->log.addresses == PR_OPT_ADDRESSES_FULL);
}

/* What was given at the start, so that SIGHUP can read it again. */
struct command_line {
    int argc;
    char **argv;
    struct pr_conf *conf; /* of the running options */
};

static void tell_change(void *arg, const struct pr_conf_row *row) {
    (void)arg;
    pr_log_info("option_changed", "option=%s text=%s", row->name,
                (row->flags & PR_CONF_RELOADABLE) ? "in force" : "needs a restart: the running value stays");
}

/* SIGHUP: the log's options take effect; others are named. A file with faults changes nothing. */
static void reload(struct pr_process *process, const struct command_line *line) {
    struct pr_options fresh;
    struct pr_conf conf;
    struct pr_buf out;
    pr_buf_init(&out, PR_OUT_MAX);
    if (pr_options_load(&fresh, &conf, line->argc, line->argv, environ, &out) == PR_OPTIONS_RUN) {
        set_log(process, &fresh);
        (void)pr_conf_diff(line->conf, &conf, tell_change, NULL);
        pr_log_info("reloaded", "name=%s", process->opt->dispatch.name);
    } else {
        pr_log_error("reload_failed", "text=%s", pr_buf_text(&out));
    }
    pr_conf_free(&conf);
    pr_buf_free(&out);
}

/* A second signal does not wait for anything. */
static void wait_for_signal(const sigset_t *signals, struct pr_process *process, const struct command_line *line) {
    int got = 0;
    while (sigwait(signals, &got) != 0 || got == SIGHUP) {
        if (got == SIGHUP) {
            reload(process, line);
        }
    }
    pr_log_info("stopping", "signal=%d drain_ms=%lld", got, (long long)process->opt->dispatch.drain_timeout_ms);
    struct sigaction hard = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGINT, &hard, NULL);
    (void)sigaction(SIGTERM, &hard, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

static int run(struct pr_process *process, const struct command_line *line) {
    struct dispatcher d = {.process = process};
    PR_FAULT_GAUGE(&process->on_wire);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (!start(&d)) {
        _exit(PR_EXIT_FAILED); /* threads may be running: nothing was claimed, so nothing is lost */
    }
    wait_for_signal(&signals, process, line);
    stop(&d);
    return 0;
}

int main(int argc, char **argv) {
    static struct pr_process process;
    pr_memory_is_vital();
    struct pr_options options;
    struct pr_conf conf;
    struct pr_buf out;
    pr_buf_init(&out, PR_OUT_MAX);
    int status = 0;
    enum pr_options_action action = pr_options_load(&options, &conf, argc, argv, environ, &out);
    process.opt = &options;
    pr_shapes_init(&process.shapes);
    pr_breakers_init(&process.senders);
    pr_breakers_init(&process.templates);
    json_object_seed(0);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    switch (action) {
    case PR_OPTIONS_VERSION: printf("postrider-dispatcher %s\n", POSTRIDER_VERSION); break;
    case PR_OPTIONS_PRINTED: fputs(pr_buf_text(&out), stdout); break;
    case PR_OPTIONS_USAGE:
        fputs(pr_buf_text(&out), stderr);
        status = PR_EXIT_USAGE;
        break;
    case PR_OPTIONS_CHECK_CONFIG:
        set_log(&process, &options);
        status = pr_check_config(&process, stdout) == 0 ? 0 : PR_EXIT_FAILED;
        break;
    case PR_OPTIONS_RUN:
        set_log(&process, &options);
        status = run(&process, &(struct command_line){argc, argv, &conf});
        break;
    }
    curl_global_cleanup();
    pr_conf_free(&conf);
    pr_buf_free(&out);
    return status;
}
