/* One statement an hour, one more for each partition that is too old; every minute instead while something is wrong. */
#include "janitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "metrics.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PR_AHEAD_DAYS = 7, PR_AHEAD_LEAST = 2, PR_HOUR_S = 3600, PR_AGAIN_S = 60 };

struct pr_janitor {
    struct pr_process *process;
    pthread_t thread;
    _Atomic bool is_stopping;
    struct pr_metric_lane *metric;
};

/* The first column of the one row, or -1. */
static int64_t number(PGconn *pg, const char *sql, int n, const char *const *values) {
    PGresult *r = PQexecParams(pg, sql, n, NULL, values, NULL, NULL, 0);
    bool is_ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    int64_t value = is_ok ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : -1;
    if (!is_ok) {
        pr_log_error("janitor", "text=%s", PQresultErrorMessage(r));
    }
    PQclear(r);
    return value;
}

static bool clean(struct pr_janitor *janitor) {
    char retention[24], ahead[8];
    (void)snprintf(retention, sizeof(retention), "%lld", (long long)janitor->process->opt->dispatch.retention_days);
    (void)snprintf(ahead, sizeof(ahead), "%d", PR_AHEAD_DAYS);
    const char *values[] = {retention, ahead};
    const char *keys[] = {"dbname", "application_name", "connect_timeout", "options", NULL};
    const char *settings[] = {janitor->process->opt->postgres.conninfo, "postrider janitor", "5",
                              "-c statement_timeout=60s", NULL};
    PGconn *pg = PQconnectdbParams(keys, settings, 1);
    bool is_ok = number(pg, "select postrider.partition_make_v1($1, $2)", 2, values) >= 0;
    while (is_ok && !atomic_load(&janitor->is_stopping) &&
           number(pg, "select postrider.partition_drop_v1($1)", 1, values) > 0) {
    }
    while (!atomic_load(&janitor->is_stopping) && number(pg, "select postrider.tidy_v1($1)", 1, values) > 0) {
    }
    int64_t days = number(pg, "select postrider.partition_ahead_v1()", 0, NULL);
    pr_metric_set(janitor->metric, PR_METRIC_PARTITIONS_AHEAD, 0, days > 0 ? days : 0);
    if (days >= 0 && days < PR_AHEAD_LEAST) {
        pr_log_error("ledger_partitions", "days_ahead=%lld text=%s", (long long)days,
                     "too few: run postrider migrate, and see why none are made");
    }
    PQfinish(pg);
    return is_ok && days >= PR_AHEAD_LEAST;
}

static void *janitor_main(void *arg) {
    struct pr_janitor *janitor = arg;
    int64_t next_ns = 0;
    while (!atomic_load(&janitor->is_stopping)) {
        if (pr_clock_mono_ns() >= next_ns) {
            int64_t wait_s = clean(janitor) ? PR_HOUR_S : PR_AGAIN_S;
            next_ns = pr_clock_mono_ns() + wait_s * 1000000000;
        }
        struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

struct pr_janitor *pr_janitor_start(struct pr_process *process) {
    struct pr_janitor *janitor = calloc(1, sizeof(*janitor));
    if (!janitor) {
        return NULL;
    }
    janitor->process = process;
    janitor->metric = pr_metrics_lane(process->metrics, (uint16_t)(process->opt->dispatch.lanes + 1));
    if (pthread_create(&janitor->thread, NULL, janitor_main, janitor) != 0) {
        free(janitor);
        return NULL;
    }
    return janitor;
}

void pr_janitor_stop(struct pr_janitor *janitor) {
    if (janitor) {
        atomic_store(&janitor->is_stopping, true);
        pthread_join(janitor->thread, NULL);
        free(janitor);
    }
}
