/* One statement a second, at once when it matters; what is not answered runs out on CLOCK_BOOTTIME, counted from before it was asked. */
#include "share.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "metrics.h"
#include "pg/ask.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The database counts a share for VALID; we stop a margin earlier, for the way to the platform and for clocks that do not run alike. */
enum {
    PR_SHARE_VALID_MS = 5000,
    PR_SHARE_MARGIN_MS = 1000,
    PR_SHARE_ANSWER_MS = 3000, /* a second more than the server gives itself */
    PR_SHARE_PARAMS_MAX = 1024 * 1024
};
static const int64_t every_ns = 1000 * 1000 * 1000;
static const int64_t hungry_ns = 250 * 1000 * 1000; /* others free something when they ask: once a second each */
static const int64_t least_ns = 50 * 1000 * 1000;
static struct pr_log_limit failures = PR_LOG_LIMIT(5);

struct pr_share {
    struct pr_process *process;
    PGconn *pg;
    pthread_t thread;
    _Atomic bool is_stopping;
    struct pr_metric_lane *metric;
    int64_t shown[PR_METRIC_SENDERS]; /* thousandths of a message a second, by cell */
    struct pr_share_ask ask[PR_SHAPES_MAX];
};

static bool connect_pg(struct pr_share *share) {
    const char *keys[] = {
        "dbname", "application_name", "connect_timeout", "options", "keepalives_idle", "tcp_user_timeout", NULL};
    const char *values[] = {
        share->process->opt->postgres.conninfo, "postrider share", "5", "-c statement_timeout=2s", "5", "5000", NULL};
    PQfinish(share->pg);
    share->pg = PQconnectdbParams(keys, values, 1);
    if (PQstatus(share->pg) != CONNECTION_OK) {
        pr_log_limited(&failures, PR_LOG_WARN, "share_failed", "text=%s", PQerrorMessage(share->pg));
    }
    return PQstatus(share->pg) == CONNECTION_OK;
}

/* The arrays of the question as text; 17 digits bring a double through unchanged. */
static void put_arrays(const struct pr_share *share, size_t n, struct pr_buf array[4]) {
    for (int k = 0; k < 4; k++) {
        pr_buf_init(&array[k], PR_SHARE_PARAMS_MAX);
        pr_buf_put_text(&array[k], "{");
    }
    for (size_t i = 0; i < n; i++) {
        const char *comma = i > 0 ? "," : "";
        pr_buf_printf(&array[0], "%s%d", comma, share->ask[i].tenant);
        pr_buf_printf(&array[1], "%s%d", comma, share->ask[i].sender);
        pr_buf_printf(&array[2], "%s%.17g", comma, share->ask[i].using);
        pr_buf_printf(&array[3], "%s%.17g", comma, share->ask[i].weight);
    }
    for (int k = 0; k < 4; k++) {
        pr_buf_put_text(&array[k], "}");
    }
}

static PGresult *question(struct pr_share *share, size_t n, int64_t number) {
    static const char sql[] = "select sender, granted, fair from postrider.share_v1($1, $2, $3, $4, $5, $6, $7, $8)";
    char owner[16], epoch[16], call[24], valid[16];
    struct pr_buf array[4];
    put_arrays(share, n, array);
    (void)snprintf(owner, sizeof(owner), "%d", atomic_load(&share->process->owner));
    (void)snprintf(epoch, sizeof(epoch), "%d", atomic_load(&share->process->epoch));
    (void)snprintf(call, sizeof(call), "%lld", (long long)number);
    (void)snprintf(valid, sizeof(valid), "%d", PR_SHARE_VALID_MS);
    const char *values[] = {owner,
                            epoch,
                            call,
                            valid,
                            pr_buf_text(&array[0]),
                            pr_buf_text(&array[1]),
                            pr_buf_text(&array[2]),
                            pr_buf_text(&array[3])};
    PGresult *r = pr_pg_ask(share->pg, sql, 8, values, PR_SHARE_ANSWER_MS);
    for (int k = 0; k < 4; k++) {
        pr_buf_free(&array[k]);
    }
    return r;
}

/* Whether anything shrank, so that it must be said at once to be free for others, and whether we wait for what others hold. */
static void take_answer(struct pr_share *share, const PGresult *r, int64_t asked_boot_ns, bool *has_shrunk,
                        bool *is_hungry) {
    int64_t end_ns = asked_boot_ns + (PR_SHARE_VALID_MS - PR_SHARE_MARGIN_MS) * INT64_C(1000000);
    for (int i = 0; i < PQntuples(r); i++) {
        int32_t sender = (int32_t)strtol(PQgetvalue(r, i, 0), NULL, 10);
        double granted = strtod(PQgetvalue(r, i, 1), NULL);
        double fair = strtod(PQgetvalue(r, i, 2), NULL);
        switch (pr_shapes_grant(&share->process->shapes, sender, granted, fair, end_ns, pr_clock_mono_ns())) {
        case PR_GRANTED: break;
        case PR_GRANTED_LESS: *has_shrunk = true; break;
        case PR_GRANTED_TOO_LITTLE: *is_hungry = true; break;
        }
    }
}

/* Asks once. False when there is no answer: what we hold runs out by itself. */
static bool ask(struct pr_share *share, bool *has_shrunk, bool *is_hungry) {
    *has_shrunk = *is_hungry = false;
    size_t n = pr_shapes_ask(&share->process->shapes, pr_clock_mono_ns(), share->ask);
    if (n == 0) {
        return true;
    }
    if (PQstatus(share->pg) != CONNECTION_OK && !connect_pg(share)) {
        return false;
    }
    int64_t asked_boot_ns = pr_clock_boot_ns(); /* rises with each question, so it numbers them too */
    PGresult *r = question(share, n, asked_boot_ns);
    bool is_ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    if (is_ok) {
        take_answer(share, r, asked_boot_ns, has_shrunk, is_hungry);
    } else {
        pr_log_limited(&failures, PR_LOG_WARN, "share_failed", "text=%s", PQresultErrorMessage(r));
    }
    PQclear(r);
    return is_ok;
}

static void add_shown(void *arg, const char *name, double per_s) {
    struct pr_share *share = arg;
    share->shown[pr_label_place(&pr_metrics_sender, pr_span_of(name))] += (int64_t)(per_s * 1000);
}

static void show(struct pr_share *share) {
    for (uint32_t i = 0; i < PR_METRIC_SENDERS; i++) {
        share->shown[i] = 0;
    }
    pr_shapes_each(&share->process->shapes, add_shown, share);
    for (uint32_t i = 0; i < PR_METRIC_SENDERS; i++) {
        pr_metric_set(share->metric, PR_METRIC_SHARE, i, share->shown[i]);
    }
    pr_metric_set(share->metric, PR_METRIC_BREAKERS_OPEN, PR_BREAKER_OF_SENDER,
                  (int64_t)atomic_load(&share->process->senders.shut_n));
    pr_metric_set(share->metric, PR_METRIC_BREAKERS_OPEN, PR_BREAKER_OF_TEMPLATE,
                  (int64_t)atomic_load(&share->process->templates.shut_n));
}

/* When to ask again. */
static int64_t turn(struct pr_share *share) {
    bool has_shrunk = false, is_hungry = false;
    bool is_answered = ask(share, &has_shrunk, &is_hungry);
    if (is_answered && has_shrunk) {
        is_answered = ask(share, &has_shrunk, &is_hungry);
    }
    show(share);
    return pr_clock_mono_ns() + (is_answered && is_hungry ? hungry_ns : every_ns);
}

static void *share_main(void *arg) {
    struct pr_share *share = arg;
    int64_t next_ns = 0, asked_ns = 0;
    while (!atomic_load(&share->is_stopping)) {
        int64_t now_ns = pr_clock_mono_ns();
        bool is_urgent = atomic_load(&share->process->shapes.is_asking) && now_ns - asked_ns >= least_ns;
        if (is_urgent || now_ns >= next_ns) {
            asked_ns = now_ns;
            next_ns = turn(share);
        }
        struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

struct pr_share *pr_share_start(struct pr_process *process) {
    struct pr_share *share = calloc(1, sizeof(*share));
    if (!share) {
        return NULL;
    }
    share->process = process;
    share->metric = pr_metrics_lane(process->metrics, (uint16_t)(process->opt->dispatch.lanes + 3));
    if (pthread_create(&share->thread, NULL, share_main, share) != 0) {
        free(share);
        return NULL;
    }
    return share;
}

/* Without a connection they run out by themselves. */
static void give_back(struct pr_share *share) {
    char owner[16], epoch[16];
    (void)snprintf(owner, sizeof(owner), "%d", atomic_load(&share->process->owner));
    (void)snprintf(epoch, sizeof(epoch), "%d", atomic_load(&share->process->epoch));
    const char *values[] = {owner, epoch};
    if (PQstatus(share->pg) == CONNECTION_OK) {
        PQclear(PQexecParams(share->pg, "select postrider.share_return_v1($1, $2)", 2, NULL, values, NULL, NULL, 0));
    }
}

void pr_share_stop(struct pr_share *share) {
    if (share) {
        atomic_store(&share->is_stopping, true);
        pthread_join(share->thread, NULL);
        give_back(share);
        PQfinish(share->pg);
        free(share);
    }
}
