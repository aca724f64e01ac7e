/* What an operator can set for the dispatcher; the table in options.c is the one place where an option is described. */
#ifndef PR_DISPATCHER_OPTIONS_H
#define PR_DISPATCHER_OPTIONS_H

#include "base/buf.h"
#include "conf/conf.h"
#include "core/template.h"

#include <stdbool.h>
#include <stdint.h>

enum pr_log_format { PR_OPT_LOG_LOGFMT, PR_OPT_LOG_JSON }; /* words of log.format */
enum pr_log_threshold { PR_OPT_LOG_DEBUG, PR_OPT_LOG_INFO, PR_OPT_LOG_WARN, PR_OPT_LOG_ERROR }; /* words of log.level */
enum pr_log_addresses { PR_OPT_ADDRESSES_MASKED, PR_OPT_ADDRESSES_FULL }; /* words of log.addresses */

/*
 * Durations are milliseconds, sizes bytes. Strings are never NULL ("" is "not set") and live as long as the struct pr_conf that
 * filled them. All numbers are checked against the bounds in options.c, so a cast to int of what fits there is safe.
 */
struct pr_options {
    struct pr_conf_pairs kafka; /* for both sides: bootstrap.servers, security.protocol, sasl.*, group.id, … */
    struct pr_conf_pairs kafka_consumer; /* kafka.consumer.*, prefix removed: set after `kafka` */
    struct pr_conf_pairs kafka_producer; /* kafka.producer.* */
    struct {
        struct pr_conf_list events; /* topics of backends' events; all with the same number of partitions */
        const char *broadcast;      /* "": not read */
    } topics;
    struct {
        const char *conninfo; /* never empty */
        int64_t connect_timeout_ms;
        int64_t statement_timeout_ms;
    } postgres;
    struct {
        const char *name; /* of this instance, unique among dispatchers; never empty after pr_options_load (host name) */
        int64_t lanes;    /* 1 and up after pr_options_load: auto is resolved */
        int64_t memory_max;
        int64_t drain_timeout_ms;
        struct pr_conf_list only_to; /* addresses in E.164; empty: everybody */
        int64_t claim_ahead;         /* jobs claimed and not yet handed over, a lane */
        int64_t batch;               /* jobs a claim or settle statement */
        int64_t window;              /* records of a partition in work */
        int64_t in_flight;           /* requests on the wire, a lane */
        int64_t stall_after_ms;      /* without a settled job while there is lag: then it is told */
        int64_t sender_in_flight;    /* percent of those, and of claim_ahead, that one sender may hold beside others */
        int64_t lease_ms;
        int64_t heartbeat_ms;
        int64_t reconcile_window_ms;
        int64_t retention_days;
        const char *tenant;      /* for records that name none; "": they are refused */
        const char *secrets_dir; /* senders' tokens, a file each, by the name that the sender row stores */
        const char *state_dir;   /* of the journal; "": none is kept */
    } dispatch;
    struct {
        int64_t max_age_ms[PR_CATEGORIES]; /* by enum pr_category */
        int64_t max_tries[PR_CATEGORIES];
    } retry;
    struct {
        const char *cloud_api_url; /* no slash at the end */
        const char *d360_url;
        int64_t timeout_ms;
        int64_t connect_timeout_ms;
    } provider;
    struct {
        struct pr_conf_list ignore; /* event types dropped unread */
        int64_t dead_letters_max_per_minute;
    } intake;
    struct {
        const char *listen; /* HOST:PORT; "": off */
    } admin;
    struct {
        int format;    /* enum pr_log_format */
        int level;     /* enum pr_log_threshold */
        int addresses; /* enum pr_log_addresses */
    } log;
};

/* What the command line asks for. */
enum pr_options_action {
    PR_OPTIONS_RUN,
    PR_OPTIONS_CHECK_CONFIG, /* --check-config: connect, check, print, leave */
    PR_OPTIONS_PRINTED,      /* --help, --print-options, --print-config: the text is in `out`: print it, exit 0 */
    PR_OPTIONS_VERSION,      /* --version: the version is main's to print; exit 0 */
    PR_OPTIONS_USAGE,        /* faults are in `out`: print them to stderr, exit 2 */
};

/*
 * Fills `options` by file, environment and command line. `conf` is initialised here and owns the strings: free it with pr_conf_free when the
 * options are no longer used, whatever was returned. `out` gets what is to be printed.
 */
enum pr_options_action pr_options_load(struct pr_options *options, struct pr_conf *conf, int argc, char *const *argv,
                                       char *const *environ_, struct pr_buf *out) PR_MUST_CHECK;

extern const struct pr_conf_table pr_options_table;

#endif
