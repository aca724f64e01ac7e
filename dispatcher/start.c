/* Topics get their numbers; rows of `deferred` follow when a topic got more partitions. */
#include "start.h"

#include "base/log.h"
#include "core/partition.h"
#include "flow/budget.h"
#include "intake/consumer.h"
#include "journal.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <unistd.h>

enum { PR_MIB = 1024 * 1024, PR_CONNECTION_COST = 16 * 1024 };

/* Rows waiting for a partition are read by the lane that owns it, so each must stand where its recipient's records now arrive. */
static bool restamp(PGconn *pg, int32_t partitions, char *why, size_t why_size) {
    PGresult *rows = PQexec(pg, "select distinct d.tenant, d.contact, c.address from postrider.deferred d "
                                "join postrider.contact c on c.tenant = d.tenant and c.id = d.contact");
    bool is_ok = PQresultStatus(rows) == PGRES_TUPLES_OK;
    for (int i = 0; is_ok && i < PQntuples(rows); i++) {
        char part[16];
        (void)snprintf(part, sizeof(part), "%d", pr_partition_of(pr_span_of(PQgetvalue(rows, i, 2)), partitions));
        const char *values[] = {PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), part};
        PGresult *r = PQexecParams(
            pg, "update postrider.deferred set part = $3 where tenant = $1 and contact = $2 and part <> $3", 3, NULL,
            values, NULL, NULL, 0);
        is_ok = PQresultStatus(r) == PGRES_COMMAND_OK;
        PQclear(r);
    }
    if (!is_ok) {
        (void)snprintf(why, why_size, "cannot give waiting messages to the new partitions: %s", PQerrorMessage(pg));
    }
    PQclear(rows);
    return is_ok;
}

static bool number_topic(PGconn *pg, struct pr_topic *topic, int32_t partitions, char *why, size_t why_size) {
    char count[16];
    (void)snprintf(count, sizeof(count), "%d", partitions);
    const char *values[] = {topic->name, count};
    PGresult *r = PQexecParams(pg, "select id, was from postrider.topic_v1($1, $2)", 2, NULL, values, NULL, NULL, 0);
    bool is_ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    if (!is_ok) {
        (void)snprintf(why, why_size, "%s: is the schema there? run postrider migrate", PQerrorMessage(pg));
        PQclear(r);
        return false;
    }
    topic->id = (int16_t)strtol(PQgetvalue(r, 0, 0), NULL, 10);
    bool is_changed = !PQgetisnull(r, 0, 1) && strtol(PQgetvalue(r, 0, 1), NULL, 10) != partitions;
    PQclear(r);
    if (is_changed) {
        pr_log_warn("partitions_changed", "topic=%s partitions=%d text=%s", topic->name, partitions,
                    "waiting messages follow their recipients");
        is_ok = restamp(pg, partitions, why, why_size);
    }
    r = PQexecParams(pg, "update postrider.topic set partitions = $2 where name = $1", 2, NULL, values, NULL, NULL, 0);
    is_ok = is_ok && PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    return is_ok;
}

static bool read_partitions(struct pr_process *process, char *why, size_t why_size) {
    rd_kafka_conf_t *conf = pr_kafka_conf(process->opt, 1, why, why_size);
    rd_kafka_t *rk = conf ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, why_size) : NULL;
    if (!rk) {
        return false;
    }
    process->partitions = pr_kafka_partitions(rk, process, why, why_size);
    rd_kafka_destroy(rk);
    return process->partitions > 0;
}

static void name_topics(struct pr_process *process) {
    const struct pr_options *opt = process->opt;
    process->topics_n = 0;
    for (size_t i = 0; i < opt->topics.events.n && process->topics_n < PR_TOPICS_MAX; i++) {
        process->topics[process->topics_n++].name = opt->topics.events.v[i];
    }
    if (opt->topics.broadcast[0] && process->topics_n < PR_TOPICS_MAX) {
        process->topics[process->topics_n].is_bulk = true;
        process->topics[process->topics_n++].name = opt->topics.broadcast;
    }
}

bool pr_start_topics(struct pr_process *process, char *why, size_t why_size) {
    name_topics(process);
    if (!read_partitions(process, why, why_size)) {
        return false;
    }
    PGconn *pg = PQconnectdb(process->opt->postgres.conninfo);
    bool is_ok = PQstatus(pg) == CONNECTION_OK;
    if (!is_ok) {
        (void)snprintf(why, why_size, "postgres.conninfo: %s", PQerrorMessage(pg));
    }
    for (int i = 0; is_ok && i < process->topics_n; i++) {
        is_ok = number_topic(pg, &process->topics[i], process->partitions, why, why_size);
    }
    PQfinish(pg);
    return is_ok;
}

bool pr_start_journal(struct pr_process *process, char *why, size_t why_size) {
    const struct pr_options *opt = process->opt;
    struct pr_journal_options options = {.dir = opt->dispatch.state_dir,
                                         .name = opt->dispatch.name,
                                         .lanes = (uint32_t)opt->dispatch.lanes,
                                         .places = (uint32_t)opt->dispatch.in_flight};
    if (!options.dir[0]) {
        return true;
    }
    process->journal = pr_journal_boot(&options.boot, why, why_size) ? pr_journal_open(&options, why, why_size) : NULL;
    return process->journal != NULL;
}

/* ---- --check-config ---- */

static int verdict(FILE *out, const char *what, bool is_ok, const char *text) {
    fprintf(out, "%-10s %s  %s\n", what, is_ok ? "ok   " : "FAULT", text);
    return !is_ok;
}

static int check_postgres(struct pr_process *process, FILE *out) {
    char text[512];
    PGconn *pg = PQconnectdb(process->opt->postgres.conninfo);
    if (PQstatus(pg) != CONNECTION_OK) {
        (void)snprintf(text, sizeof(text), "postgres.conninfo: %s", PQerrorMessage(pg));
        PQfinish(pg);
        return verdict(out, "postgres", false, text);
    }
    PGresult *r = PQexec(pg, "select current_setting('server_version'), postrider.partition_ahead_v1(), "
                             "current_setting('synchronous_commit')");
    bool is_ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    if (is_ok) {
        (void)snprintf(text, sizeof(text), "PostgreSQL %s, ledger made %s days ahead, synchronous_commit %s",
                       PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
    } else {
        (void)snprintf(text, sizeof(text), "the schema is not there or too old: run postrider migrate (%s)",
                       PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
    }
    PQclear(r);
    PQfinish(pg);
    return verdict(out, "postgres", is_ok, text);
}

/* For the programs that publish with the same file; read here so that a fault shows before they meet it. */
static bool check_producer(const struct pr_options *opt, char *why, size_t why_size) {
    char text[256];
    bool is_ok = true;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; is_ok && i < opt->kafka_producer.n; i++) {
        const struct pr_conf_pair *pair = &opt->kafka_producer.v[i];
        is_ok = rd_kafka_conf_set(conf, pair->key, pair->value, text, sizeof(text)) == RD_KAFKA_CONF_OK;
        if (!is_ok) {
            (void)snprintf(why, why_size, "kafka.producer.%s: %s", pair->key, text);
        }
    }
    rd_kafka_conf_destroy(conf);
    return is_ok;
}

static int check_kafka(struct pr_process *process, FILE *out) {
    char text[512] = "";
    name_topics(process);
    bool is_ok = check_producer(process->opt, text, sizeof(text)) && read_partitions(process, text, sizeof(text));
    if (is_ok) {
        (void)snprintf(text, sizeof(text), "%d topics with %d partitions each", process->topics_n, process->partitions);
    }
    return verdict(out, "kafka", is_ok, text);
}

/* Each sender's token must be readable here; nothing is sent. */
static int check_tokens(struct pr_process *process, FILE *out) {
    int faults = 0;
    PGconn *pg = PQconnectdb(process->opt->postgres.conninfo);
    PGresult *r = PQexec(pg, "select name, secret from postrider.sender order by tenant, name");
    for (int i = 0; PQresultStatus(r) == PGRES_TUPLES_OK && i < PQntuples(r); i++) {
        char path[4096], text[4352];
        const char *secret = PQgetvalue(r, i, 1);
        const char *dir = process->opt->dispatch.secrets_dir;
        (void)snprintf(path, sizeof(path), "%s%s%s", secret[0] == '/' ? "" : dir,
                       secret[0] == '/' || !dir[0] ? "" : "/", secret);
        FILE *file = fopen(path, "re");
        (void)snprintf(
            text, sizeof(text),
            file ? "sender %s: token file %s" : "sender %s: cannot read %s: put its token there, or correct token_file",
            PQgetvalue(r, i, 0), path);
        faults += verdict(out, "token", file != NULL, text);
        if (file) {
            fclose(file);
        }
    }
    PQclear(r);
    PQfinish(pg);
    return faults;
}

/* What the options let the process hold, when every partition is ours and stands still; the program itself needs about 16 MiB. */
static void print_memory(const struct pr_process *process, FILE *out) {
    const struct pr_options *opt = process->opt;
    char text[256];
    int64_t parts = (int64_t)process->topics_n * process->partitions;
    struct pr_budget b = pr_budget_of(opt->dispatch.memory_max, opt->dispatch.lanes, parts > 0 ? parts : 1);
    int64_t connections = opt->dispatch.lanes * opt->dispatch.in_flight * PR_CONNECTION_COST;
    (void)snprintf(
        text, sizeof(text),
        "at most %lld MiB and the program: messages in work %lld, records on their way %lld (%lld a partition "
        "fetched ahead), connections %lld",
        (long long)((b.total + connections) / PR_MIB), (long long)(b.lane_jobs * opt->dispatch.lanes / PR_MIB),
        (long long)((b.total - b.lane_jobs * opt->dispatch.lanes) / PR_MIB), (long long)b.part_ahead_records,
        (long long)(connections / PR_MIB));
    (void)verdict(out, "memory", true, text);
}

/* Looked at and not opened: the dispatcher that has it may be running. */
static int check_journal(const struct pr_options *opt, FILE *out) {
    char path[4096], text[4352];
    const char *dir = opt->dispatch.state_dir;
    struct pr_uuid boot;
    if (!dir[0]) {
        return 0;
    }
    if (!pr_journal_path(dir, opt->dispatch.name, path, sizeof(path))) {
        return verdict(out, "journal", false,
                       "dispatch.name and dispatch.state_dir are too long for the name of a file");
    }
    bool is_there = access(path, F_OK) == 0;
    bool is_ok = is_there ? access(path, R_OK | W_OK) == 0 : access(dir, W_OK | X_OK) == 0;
    (void)snprintf(text, sizeof(text),
                   is_ok ? "%s" : "dispatch.state_dir: cannot write %s: make the folder, for this user to write in",
                   path);
    return is_ok && !pr_journal_boot(&boot, text, sizeof(text)) ? verdict(out, "journal", false, text)
                                                                : verdict(out, "journal", is_ok, text);
}

/* What one crash can leave unknown: all that is claimed, or with a journal what is on the wire. */
static void tell_bound(const struct pr_options *opt, FILE *out) {
    char text[256];
    long long lanes = opt->dispatch.lanes, wire = opt->dispatch.in_flight;
    long long all = lanes * (opt->dispatch.claim_ahead + wire);
    if (opt->dispatch.state_dir[0]) {
        (void)snprintf(
            text, sizeof(text),
            "one crash leaves at most %lld messages unknown (%lld lanes x in_flight %lld) when this process is "
            "started again before another takes over; otherwise, or when the machine crashes, %lld",
            lanes * wire, lanes, wire, all);
    } else {
        (void)snprintf(
            text, sizeof(text),
            "one crash leaves at most %lld messages unknown (%lld lanes x (claim_ahead %lld + in_flight %lld))", all,
            lanes, (long long)opt->dispatch.claim_ahead, wire);
    }
    (void)verdict(out, "bound", true, text);
}

int pr_check_config(struct pr_process *process, FILE *out) {
    int faults = check_postgres(process, out);
    faults += check_kafka(process, out);
    faults += check_tokens(process, out);
    faults += check_journal(process->opt, out);
    tell_bound(process->opt, out);
    print_memory(process, out);
    return faults;
}
