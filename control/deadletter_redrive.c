/* `postrider deadletter redrive`: letters back to where they failed, through the ledger when they have a message row, else through Kafka. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "command.h"
#include "core/record.h"
#include "letter.h"
#include "output.h"
#include "pace.h"
#include "pg/params.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
    REDRIVES_MOST = 3,
    WAIT_MS = 200,    /* how long a pace may keep us from looking at signals */
    FLUSH_MS = 65000, /* a little over message.timeout.ms, so that each record ends by itself */
    FLUSH_STOPPED_MS = 10000,
    TOPICS_WAIT_MS = 10000,
    PAYLOAD_MAX = 4 * PR_RECORD_BYTES_MAX,
    PARAMS_MAX = 8 * PR_RECORD_BYTES_MAX + 2 * 1024 * 1024,
};

static const int64_t ns_per_ms = 1000000;

struct redrive {
    struct pr_letters letters;
    struct pr_kafka_options kafka;
    const char *rate_text;
    bool is_again, is_dry, is_json;
    double rate; /* letters a second, 0: as fast as it goes */

    PGconn *db;
    struct pr_post post;
    int64_t begun;                    /* letters looked at, for the pace */
    int64_t through_kafka, in_ledger; /* redriven */
    int64_t settled, refused;         /* skipped: dealt with meanwhile; Kafka will not have them */
    int64_t start_ns;
    bool is_failed;
    char error[PR_KAFKA_TEXT]; /* of Kafka, the first */
};

/* Letters of a chunk that are on their way to Kafka. */
struct sent {
    int row[PR_LETTERS_CHUNK];
    rd_kafka_resp_err_t end[PR_LETTERS_CHUNK];
    int n;
};

static enum pr_exit read_options(struct redrive *d, struct pr_call *call) {
    const struct pr_option options[] = {
        {"where", PR_OPTION_TEXT, &d->letters.where, 0, 0},
        {"since", PR_OPTION_TEXT, &d->letters.since, 0, 0},
        {"before", PR_OPTION_TEXT, &d->letters.before, 0, 0},
        {"max", PR_OPTION_INT, &d->letters.max, 1, INT64_MAX},
        {"rate", PR_OPTION_TEXT, &d->rate_text, 0, 0},
        {"again", PR_OPTION_FLAG, &d->is_again, 0, 0},
        {"dry-run", PR_OPTION_FLAG, &d->is_dry, 0, 0},
        {"json", PR_OPTION_FLAG, &d->is_json, 0, 0},
        {"bootstrap", PR_OPTION_TEXT, &d->kafka.bootstrap, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_kafka_take(call, &d->kafka) || !pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (d->rate_text && !pr_pace_parse(d->rate_text, &d->rate)) {
        return pr_usage_error(call, "--rate %s: something like 100/s, 30/min or 100/h is needed", d->rate_text);
    }
    d->letters.redrives = d->is_again ? INT64_MAX : REDRIVES_MOST;
    return PR_EXIT_DONE;
}

static bool may_go_on(const struct redrive *d) {
    return !pr_is_interrupted() && !d->is_failed;
}

static int64_t redriven(const struct redrive *d) {
    return d->through_kafka + d->in_ledger;
}

/* Waits until the pace allows the next one. */
static void keep_pace(struct redrive *d) {
    while (d->rate > 0 && may_go_on(d)) {
        int64_t due_ns = d->start_ns + (int64_t)((double)d->begun * 1e9 / d->rate);
        int64_t wait_ms = (due_ns - pr_clock_mono_ns()) / ns_per_ms;
        if (wait_ms <= 0) {
            break;
        }
        wait_ms = wait_ms > WAIT_MS ? WAIT_MS : wait_ms;
        if (d->post.client) {
            rd_kafka_poll(d->post.client, (int)wait_ms);
        } else {
            nanosleep(&(struct timespec){.tv_nsec = wait_ms * ns_per_ms}, NULL);
        }
        pr_letters_progress(&d->letters, "redriven", redriven(d));
    }
    d->begun++;
}

/* ---- with a message row ---- */

/* The stored form, which is what lanes read back. What cannot be decoded goes as it is and says so there once more. */
static void put_payload(const struct pr_letter *letter, struct pr_params *params) {
    struct pr_arena arena;
    struct pr_buf stored;
    struct pr_record record;
    struct pr_record_fault fault;
    struct pr_record_input input = {.value = letter->value,
                                    .headers = letter->headers,
                                    .headers_n = letter->headers_n,
                                    .bytes_max = PR_RECORD_STORED_MAX};
    pr_arena_init(&arena, PR_RECORD_ARENA_MAX);
    pr_buf_init(&stored, PAYLOAD_MAX);
    if (pr_record_decode(&input, &arena, &record, &fault) == PR_RECORD_OK) {
        pr_record_encode_msgpack(&record, &stored);
        params->failed = params->failed || stored.failed;
        pr_params_bytea(params, pr_buf_span(&stored));
    } else {
        pr_params_bytea(params, letter->value);
    }
    pr_buf_free(&stored);
    pr_arena_free(&arena);
}

static void into_ledger(struct redrive *d, const char *const key[4], const struct pr_letter *letter) {
    static const char sql[] = "select postrider.redrive_v1($1::date, $2::smallint, $3::int, $4::bigint, $5, $6)";
    struct pr_params params;
    pr_params_init(&params, PARAMS_MAX);
    for (int i = 0; i < 4; i++) {
        pr_params_text(&params, pr_span_of(key[i]));
    }
    put_payload(letter, &params);
    pr_params_int4(&params, d->is_again ? INT32_MAX : REDRIVES_MOST);
    PGresult *r = pr_db_query_params(d->db, sql, &params);
    const char *what = r ? pr_db_text(r, 0, 0) : "";
    if (!r) {
        d->is_failed = true;
    } else if (strcmp(what, "redriven") == 0) {
        d->in_ledger++;
    } else {
        d->settled++;
    }
    PQclear(r);
    pr_params_free(&params);
}

/* ---- without ---- */

/* What is wrong with this record and no other. */
static bool is_of_the_record(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

/* A letter that is on Kafka is marked; the rest stays open. */
static void mark_sent(struct redrive *d, const PGresult *chunk, struct sent *sent) {
    int rows[PR_LETTERS_CHUNK];
    int n = 0;
    for (int i = 0; i < sent->n; i++) {
        if (sent->end[i] == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rows[n++] = sent->row[i];
        } else if (is_of_the_record(sent->end[i])) {
            d->refused++;
            pr_letters_progress_end(&d->letters);
            pr_error("%s: %s", pr_db_text(chunk, sent->row[i], PR_LETTER_ORIGIN), rd_kafka_err2str(sent->end[i]));
        } else {
            snprintf(d->error, sizeof d->error, "%s", rd_kafka_err2str(sent->end[i]));
            d->is_failed = true;
        }
    }
    sent->n = 0;
    if (n == 0) {
        return;
    }
    int64_t marked = pr_letters_call(d->db, "redriven_v1", chunk, rows, n);
    if (marked < 0) {
        pr_error("%d letters are on Kafka and could not be marked: redriving them again publishes them again", n);
        d->is_failed = true;
    }
    d->through_kafka += n;
}

static void one(struct redrive *d, const PGresult *chunk, int row, struct sent *sent) {
    const char *const key[] = {pr_db_text(chunk, row, PR_LETTER_DAY), pr_db_text(chunk, row, PR_LETTER_TOPIC),
                               pr_db_text(chunk, row, PR_LETTER_PART), pr_db_text(chunk, row, PR_LETTER_OFF)};
    struct pr_letter letter;
    enum pr_exit loaded = pr_letter_load(d->db, key, &letter);
    if (loaded == PR_EXIT_NOTHING) {
        d->settled++;
    } else if (loaded != PR_EXIT_DONE) {
        d->is_failed = true;
    } else if (pr_db_bool(chunk, row, PR_LETTER_IN_LEDGER)) {
        into_ledger(d, key, &letter);
    } else {
        sent->row[sent->n] = row;
        pr_post_put(&d->post, &letter, &sent->end[sent->n++]);
    }
    pr_letter_free(&letter);
}

/* At most what a second allows, so that a crash in it publishes no more than that once more. */
static int chunk_size(const struct redrive *d) {
    return d->rate <= 0 || d->rate > PR_LETTERS_CHUNK ? PR_LETTERS_CHUNK : d->rate < 1 ? 1 : (int)d->rate;
}

static void redrive_all(struct redrive *d) {
    bool is_more = true;
    while (is_more && may_go_on(d)) {
        struct sent sent = {.n = 0};
        PGresult *chunk = pr_letters_next(d->db, chunk_size(d));
        is_more = chunk && PQntuples(chunk) > 0;
        d->is_failed = d->is_failed || !chunk;
        for (int row = 0; is_more && row < PQntuples(chunk); row++) {
            keep_pace(d);
            if (!may_go_on(d)) {
                break;
            }
            one(d, chunk, row, &sent);
        }
        if (sent.n > 0) {
            pr_post_flush(&d->post, pr_is_interrupted() ? FLUSH_STOPPED_MS : FLUSH_MS);
            mark_sent(d, chunk, &sent);
        }
        PQclear(chunk);
        pr_letters_progress(&d->letters, "redriven", redriven(d));
    }
    pr_letters_progress_end(&d->letters);
}

/* ---- around it ---- */

static bool are_topics_there(struct redrive *d) {
    PGresult *r = d->letters.histogram;
    for (int row = 0; row < PQntuples(r); row++) {
        const char *topic = pr_db_text(r, row, 1);
        bool is_known = !topic;
        for (int before = 0; before < row && !is_known; before++) {
            const char *other = pr_db_text(r, before, 1);
            is_known = other && strcmp(other, topic) == 0;
        }
        if (!is_known && pr_kafka_partitions(d->post.client, topic, TOPICS_WAIT_MS) <= 0) {
            pr_error("leave its letters out with --where \"topic <> '%s'\"", topic);
            return false;
        }
    }
    return true;
}

static enum pr_exit exit_of(const struct redrive *d) {
    if (d->is_failed || pr_is_interrupted()) {
        return PR_EXIT_FAILED;
    }
    int64_t skipped = d->letters.often + d->settled + d->refused;
    return skipped > 0 ? PR_EXIT_REJECTS : d->letters.n > 0 ? PR_EXIT_DONE : PR_EXIT_NOTHING;
}

static void print_json(const struct redrive *d) {
    json_t *root =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "dry_run", (int)d->is_dry, "letters",
                  (json_int_t)d->letters.n, "redriven", (json_int_t)redriven(d), "through_kafka",
                  (json_int_t)d->through_kafka, "in_ledger", (json_int_t)d->in_ledger, "often",
                  (json_int_t)d->letters.often, "settled", (json_int_t)d->settled, "refused", (json_int_t)d->refused,
                  "interrupted", (int)pr_is_interrupted(), "histogram", pr_letters_json(&d->letters));
    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);
}

static void print_skipped(int64_t n, const char *why) {
    char text[PR_COUNT_TEXT];
    if (n > 0) {
        printf("  skipped %s: %s\n", pr_count(n, text), why);
    }
}

static void print_result(const struct redrive *d) {
    char n[PR_COUNT_TEXT], of[PR_COUNT_TEXT], kafka[PR_COUNT_TEXT], ledger[PR_COUNT_TEXT];
    const struct pr_letters *l = &d->letters;
    if (d->is_dry) {
        printf("would redrive %s letters: %s through Kafka, %s in the ledger; nothing was changed\n", pr_count(l->n, n),
               pr_count(l->n - l->in_ledger, kafka), pr_count(l->in_ledger, ledger));
    } else {
        printf("redrove %s of %s letters in %.1f s: %s through Kafka, %s in the ledger\n", pr_count(redriven(d), n),
               pr_count(l->n, of), (double)(pr_clock_mono_ns() - d->start_ns) / 1e9, pr_count(d->through_kafka, kafka),
               pr_count(d->in_ledger, ledger));
    }
    print_skipped(l->often, "redriven 3 times already; --again redrives them all the same");
    print_skipped(d->settled, "somebody dealt with them meanwhile, or their message is not dead");
    print_skipped(d->refused, "Kafka refused them");
}

static enum pr_exit report(const struct redrive *d) {
    if (d->is_json) {
        print_json(d);
    } else if (d->letters.n + d->letters.often == 0) {
        pr_error("no open dead letter matches");
    } else {
        print_result(d);
    }
    if (*d->error) {
        pr_error("Kafka: %s", d->error);
    }
    if (!d->is_dry && (d->is_failed || pr_is_interrupted())) {
        pr_error("stopped; the same command goes on with those that are still open");
    }
    return exit_of(d);
}

/* One at a time: two would each publish what the other has in hand. */
static bool is_alone(PGconn *db) {
    PGresult *r = pr_db_query(db, "select pg_try_advisory_lock(7236832, 3)", 0, NULL);
    bool is_locked = r && pr_db_bool(r, 0, 0);
    if (r && !is_locked) {
        pr_error("another redrive is running on this database; wait for it");
    }
    PQclear(r);
    return is_locked;
}

static enum pr_exit run(struct redrive *d, const struct pr_call *call) {
    if (!d->is_dry && !is_alone(d->db)) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = pr_letters_open(d->db, call, &d->letters);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    d->start_ns = pr_clock_mono_ns();
    if (d->is_dry) {
        bool is_printed = d->is_json || pr_letters_print(&d->letters);
        code = report(d);
        return is_printed ? code : PR_EXIT_FAILED;
    }
    bool needs_kafka = d->letters.n > d->letters.in_ledger;
    if (needs_kafka && (!pr_post_open(&d->post, &d->kafka) || !are_topics_there(d))) {
        return PR_EXIT_FAILED;
    }
    pr_interrupt_catch();
    redrive_all(d);
    return report(d);
}

static enum pr_exit redrive(struct pr_call *call) {
    struct redrive d = {.letters = {.is_open = true}};
    enum pr_exit code = read_options(&d, call);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    d.db = pr_db_open_ready(call->db);
    code = d.db ? run(&d, call) : PR_EXIT_FAILED;
    pr_post_close(&d.post);
    pr_letters_free(&d.letters);
    PQfinish(d.db);
    return code;
}

const struct pr_command pr_command_deadletter_redrive = {
    .noun = "deadletter",
    .verb = "redrive",
    .summary = "Send dead letters back after the cure, oldest first",
    .usage = "postrider deadletter redrive [OPTION]…\n" PR_LETTERS_USAGE
             "  --rate N/s             at most so many (also N/min, N/h)\n"
             "  --again                also those that were redriven 3 times already\n"
             "  --dry-run              count them by reason, topic, type and day; change nothing\n"
             "  --json                 the result as one JSON object\n" PR_KAFKA_USAGE
             "What ended with a message row goes back to its lane in the database. The rest is published to its own "
             "topic again, byte for byte,\n"
             "with the header " PR_LETTER_HEADER " that counts. Letters that were redriven are not redriven again "
             "unless they come back.\n"
             "Ctrl-C stops between two letters.\n",
    .run = redrive,
};
