/* Heartbeats counted on CLOCK_BOOTTIME from before they were sent; a lost lease means a new epoch, once nothing of ours is on the wire. */
#include "lease.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "journal.h"
#include "metrics.h"
#include "pg/ask.h"

#include <bsd/stdlib.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PR_MARGIN_MS = 3000, PR_ENDING_BYTES = 256 * 1024 * 1024 };
static struct pr_log_limit failures = PR_LOG_LIMIT(5);

struct pr_lease {
    struct pr_process *process;
    PGconn *pg;
    pthread_t thread;
    _Atomic bool is_stopping;
    struct pr_metric_lane *metric;
};

static bool connect_pg(struct pr_lease *lease, char *why, size_t why_size) {
    const char *keys[] = {
        "dbname", "application_name", "connect_timeout", "options", "keepalives_idle", "tcp_user_timeout", NULL};
    char options[64];
    (void)snprintf(options, sizeof(options), "-c statement_timeout=%lld",
                   (long long)lease->process->opt->dispatch.heartbeat_ms * 2);
    const char *values[] = {lease->process->opt->postgres.conninfo, "postrider lease", "5", options, "5", "5000", NULL};
    PQfinish(lease->pg);
    lease->pg = PQconnectdbParams(keys, values, 1);
    if (PQstatus(lease->pg) != CONNECTION_OK) {
        (void)snprintf(why, why_size, "%s", PQerrorMessage(lease->pg));
        return false;
    }
    return true;
}

/* A second more than the server gives itself. */
static PGresult *run(struct pr_lease *lease, const char *sql, int n, const char *const *values) {
    return pr_pg_ask(lease->pg, sql, n, values, lease->process->opt->dispatch.heartbeat_ms * 2 + 1000);
}

/* The moment until which we may send: the lease from before the statement was sent, less the margin. */
static void hold(struct pr_lease *lease, int64_t asked_boot_ns) {
    int64_t lease_ms = lease->process->opt->dispatch.lease_ms;
    atomic_store(&lease->process->lease_end_ns, asked_boot_ns + (lease_ms - PR_MARGIN_MS) * 1000000);
}

/* Against the same clock as the lease: a machine whose time of day is set would otherwise be wrong about the database's until the next heartbeat. */
static void note_clock(struct pr_lease *lease, const char *db_us, int64_t asked_boot_ns) {
    int64_t middle_us = (asked_boot_ns + (pr_clock_boot_ns() - asked_boot_ns) / 2) / 1000;
    atomic_store(&lease->process->db_ahead_us, strtoll(db_us, NULL, 10) - middle_us);
}

/* What the journal says of the epoch that the next statement ends, as its parameters. */
struct ending {
    const char *fault; /* why nothing is said: all that epoch claimed and left open is unknown then; NULL: it is known */
    size_t n;
    char owner[16], epoch[16], key[PR_UUID_TEXT];
    struct pr_buf ids;
};

static void ending_read(const struct pr_journal *journal, struct ending *ending) {
    struct pr_journal_left left;
    *ending = (struct ending){.fault = NULL};
    pr_buf_init(&ending->ids, PR_ENDING_BYTES);
    if (!journal) {
        ending->fault = "none is kept";
        return;
    }
    if (!pr_journal_read(journal, &left, &ending->fault)) {
        return;
    }
    (void)snprintf(ending->owner, sizeof(ending->owner), "%d", left.owner);
    (void)snprintf(ending->epoch, sizeof(ending->epoch), "%d", left.epoch);
    pr_uuid_format(&left.key, ending->key);
    pr_buf_put_char(&ending->ids, '{');
    for (size_t i = 0; i < left.n; i++) {
        char id[PR_UUID_TEXT];
        pr_uuid_format(&left.ids[i], id);
        pr_buf_printf(&ending->ids, "%s%s", i > 0 ? "," : "", id);
    }
    pr_buf_put_char(&ending->ids, '}');
    ending->n = left.n;
    ending->fault = ending->ids.failed ? "there is no memory to read the journal" : NULL;
    pr_journal_left_free(&left);
}

static void ending_tell(const struct pr_lease *lease, const struct ending *ending, bool is_taken) {
    const char *name = lease->process->opt->dispatch.name;
    if (is_taken) {
        pr_log_info("journal", "name=%s epoch=%s open=%zu text=%s", name, ending->epoch, ending->n,
                    "what that epoch claimed beside these was not handed over and is sent");
    } else {
        pr_log_info("journal_unused", "name=%s text=%s", name,
                    ending->fault ? ending->fault : "the journal is not of the epoch that ended");
    }
}

/* Without a journal nothing is said of the epoch that ends, and none is kept of the new one. */
static PGresult *ask_epoch(struct pr_lease *lease, const struct ending *ending, const struct pr_uuid *key) {
    char lease_ms[24], host[128] = "", key_text[PR_UUID_TEXT];
    bool is_known = !ending->fault;
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(lease_ms, sizeof(lease_ms), "%lld", (long long)lease->process->opt->dispatch.lease_ms);
    pr_uuid_format(key, key_text);
    const char *values[] = {lease->process->opt->dispatch.name,
                            host,
                            lease_ms,
                            lease->process->journal ? key_text : NULL,
                            is_known ? ending->owner : NULL,
                            is_known ? ending->epoch : NULL,
                            is_known ? ending->key : NULL,
                            is_known ? pr_buf_text(&ending->ids) : NULL};
    return run(lease,
               "select id, epoch, (extract(epoch from now) * 1000000)::bigint, is_journal_taken "
               "from postrider.instance_start_v1($1, $2, $3, $4, $5, $6, $7, $8)",
               8, values);
}

/*
 * In this order: the statement ends the old epoch and takes what its journal says, in one transaction; then the journal is begun anew; then lanes may
 * claim. A crash in between leaves a journal that is not of the epoch in the database, and nothing was claimed under that one.
 */
static bool begin_epoch(struct pr_lease *lease, char *why, size_t why_size) {
    struct pr_process *process = lease->process;
    struct ending ending;
    struct pr_uuid key;
    arc4random_buf(&key, sizeof(key));
    ending_read(process->journal, &ending);
    int64_t asked_ns = pr_clock_boot_ns();
    PGresult *r = ask_epoch(lease, &ending, &key);
    bool is_ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    if (is_ok) {
        PR_FAULT("epoch.begun");
        int32_t owner = (int32_t)strtol(PQgetvalue(r, 0, 0), NULL, 10);
        int32_t epoch = (int32_t)strtol(PQgetvalue(r, 0, 1), NULL, 10);
        if (process->journal) {
            ending_tell(lease, &ending, PQgetvalue(r, 0, 3)[0] == 't');
            pr_journal_begin(process->journal, owner, epoch, &key);
        }
        atomic_store(&process->owner, owner);
        atomic_store(&process->epoch, epoch);
        note_clock(lease, PQgetvalue(r, 0, 2), asked_ns);
        hold(lease, asked_ns);
        pr_log_info("epoch", "name=%s instance=%d epoch=%d", process->opt->dispatch.name, owner, epoch);
    } else {
        (void)snprintf(why, why_size, "%s: is the schema there? run postrider migrate", PQresultErrorMessage(r));
    }
    PQclear(r);
    pr_buf_free(&ending.ids);
    return is_ok;
}

/* True when the lease was prolonged; a statement that failed says nothing, and the lease runs on until its end. */
static bool beat(struct pr_lease *lease, bool *is_over) {
    char id[16], epoch[16], lease_ms[24];
    (void)snprintf(id, sizeof(id), "%d", atomic_load(&lease->process->owner));
    (void)snprintf(epoch, sizeof(epoch), "%d", atomic_load(&lease->process->epoch));
    (void)snprintf(lease_ms, sizeof(lease_ms), "%lld", (long long)lease->process->opt->dispatch.lease_ms);
    const char *values[] = {id, epoch, lease_ms};
    int64_t asked_ns = pr_clock_boot_ns();
    PGresult *r =
        run(lease, "select (extract(epoch from now) * 1000000)::bigint from postrider.instance_beat_v1($1, $2, $3)", 3,
            values);
    bool is_ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    if (is_ok && PQntuples(r) == 1) {
        note_clock(lease, PQgetvalue(r, 0, 0), asked_ns);
        hold(lease, asked_ns);
    } else if (is_ok) {
        *is_over = true;
    } else {
        pr_log_limited(&failures, PR_LOG_WARN, "heartbeat_failed", "text=%s", PQresultErrorMessage(r));
    }
    PQclear(r);
    return is_ok && !*is_over;
}

/* What curl has keeps its epoch until it is answered; the rest may not be sent any more and is decided anew under the next one. */
static bool is_wire_empty(const struct pr_lease *lease) {
    return atomic_load(&lease->process->on_wire) == 0;
}

static void once(struct pr_lease *lease) {
    char why[512];
    bool is_over = false;
    if (PQstatus(lease->pg) != CONNECTION_OK && !connect_pg(lease, why, sizeof(why))) {
        pr_log_limited(&failures, PR_LOG_WARN, "postgres_away", "text=%s", why);
        return;
    }
    (void)beat(lease, &is_over);
    if (is_over) {
        atomic_store(&lease->process->lease_end_ns, 0);
        pr_log_limited(&failures, PR_LOG_ERROR, "lease_lost", "text=%s",
                       "nothing is sent until what is on the wire is answered and a new epoch begins");
        if (is_wire_empty(lease) && !begin_epoch(lease, why, sizeof(why))) {
            pr_log_limited(&failures, PR_LOG_ERROR, "epoch_failed", "text=%s", why);
        }
    }
}

static void *lease_main(void *arg) {
    struct pr_lease *lease = arg;
    int64_t every_ms = lease->process->opt->dispatch.heartbeat_ms;
    int64_t next_ns = 0;
    while (!atomic_load(&lease->is_stopping)) {
        if (pr_clock_mono_ns() >= next_ns) {
            next_ns = pr_clock_mono_ns() + every_ms * 1000000;
            once(lease);
            int64_t left_ms = (atomic_load(&lease->process->lease_end_ns) - pr_clock_boot_ns()) / 1000000;
            pr_metric_set(lease->metric, PR_METRIC_LEASE, 0, left_ms > 0 ? left_ms : 0);
        }
        struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

struct pr_lease *pr_lease_new(struct pr_process *process, char *why, size_t why_size) {
    struct pr_lease *lease = calloc(1, sizeof(*lease));
    if (!lease) {
        return NULL;
    }
    lease->process = process;
    lease->metric = pr_metrics_lane(process->metrics, 0);
    if (!connect_pg(lease, why, why_size) || !begin_epoch(lease, why, why_size)) {
        pr_lease_free(lease);
        return NULL;
    }
    return lease;
}

bool pr_lease_start(struct pr_lease *lease) {
    return pthread_create(&lease->thread, NULL, lease_main, lease) == 0;
}

void pr_lease_stop(struct pr_lease *lease) {
    char id[16], epoch[16];
    atomic_store(&lease->is_stopping, true);
    pthread_join(lease->thread, NULL);
    (void)snprintf(id, sizeof(id), "%d", atomic_load(&lease->process->owner));
    (void)snprintf(epoch, sizeof(epoch), "%d", atomic_load(&lease->process->epoch));
    const char *values[] = {id, epoch};
    PQclear(run(lease, "select postrider.instance_stop_v1($1, $2)", 2, values));
}

void pr_lease_free(struct pr_lease *lease) {
    if (lease) {
        PQfinish(lease->pg);
        free(lease);
    }
}
