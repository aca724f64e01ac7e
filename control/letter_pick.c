/* Which dead letters a command means: an SQL condition of the person's own, in a transaction that can only read and not for long. */
#include "letter.h"

#include "base/buf.h"
#include "base/clock.h"
#include "output.h"
#include "pg/params.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    SQL_MAX = 256 * 1024,
    PARAMS_MAX = 64 * 1024,
    PROGRESS_AFTER_MS = 2000,
    PROGRESS_TERMINAL_MS = 250,
    PROGRESS_LOG_MS = 5000,
};

static const int64_t ns_per_ms = 1000000;

/* $1 since, $2 before, $3 at most so many, $4 redriven so often; the condition in a line of its own, so that a comment in it ends there. */
static const char matching_sql[] =
    "from postrider.letter where state = any (case when $5::bool then '{open}' else '{open,redriven}' end::text[])\n"
    "  and ($1::interval is null or at >= postrider.clock() - $1::interval)\n"
    "  and ($2::interval is null or at < postrider.clock() - $2::interval)\n"
    "  and $3::bigint is distinct from 0 and (\n";
#define PICKED "\n) and redrives < $4::bigint order by at, ledger_topic, partition, off limit $3::bigint"
static const char often_sql[] = "\n) and redrives >= $4::bigint";

static const struct pr_column columns[] = {
    {"reason", PR_COLUMN_TEXT}, {"topic", PR_COLUMN_TEXT},     {"type", PR_COLUMN_TEXT},
    {"day", PR_COLUMN_TEXT},    {"letters", PR_COLUMN_NUMBER}, {"bytes", PR_COLUMN_NUMBER},
};
enum { COLUMNS = (int)(sizeof columns / sizeof columns[0]), IN_LEDGER = COLUMNS, OPEN };

struct question {
    PGconn *db;
    const struct pr_letters *letters;
    const char *values[5];
    char since[PR_LEDGER_TEXT], before[PR_LEDGER_TEXT], max[24], redrives[24];
};

/* Whose fault it is: a condition that PostgreSQL cannot read is the person's, and the columns are its cure. */
static enum pr_exit refused(const struct question *q, const PGresult *r) {
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (state && strcmp(state, "57014") == 0) {
        pr_error("looking for the letters took too long: narrow it with --since or a simpler --where");
        return PR_EXIT_FAILED;
    }
    bool is_where = q->letters->where && state && strcmp(state, "42501") != 0 &&
                    (strncmp(state, "42", 2) == 0 || strncmp(state, "2", 1) == 0 || strncmp(state, "0A", 2) == 0);
    if (is_where) {
        pr_error("--where %s: %s\n  it is a condition in SQL over: " PR_LETTERS_COLUMNS, q->letters->where, text);
        return PR_EXIT_USAGE;
    }
    pr_error("PostgreSQL: %s", text ? text : PQerrorMessage(q->db));
    return PR_EXIT_FAILED;
}

/* One statement around the condition; the extended protocol takes no second one. */
static enum pr_exit ask(const struct question *q, const char *head, const char *tail, PGresult **out) {
    struct pr_buf sql;
    pr_buf_init(&sql, SQL_MAX);
    pr_buf_put_text(&sql, head);
    pr_buf_put_text(&sql, matching_sql);
    pr_buf_put_text(&sql, q->letters->where ? q->letters->where : "true");
    pr_buf_put_text(&sql, tail);
    if (sql.failed) {
        pr_error("--where: it is too long");
        pr_buf_free(&sql);
        return PR_EXIT_USAGE;
    }
    PGresult *r = PQexecParams(q->db, pr_buf_text(&sql), 5, NULL, q->values, NULL, NULL, 0);
    pr_buf_free(&sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        enum pr_exit code = refused(q, r);
        PQclear(r);
        return code;
    }
    *out = r;
    return PR_EXIT_DONE;
}

static void sum_up(struct pr_letters *letters) {
    const PGresult *r = letters->histogram;
    for (int row = 0; row < PQntuples(r); row++) {
        letters->n += pr_db_int(r, row, 4);
        letters->in_ledger += pr_db_int(r, row, IN_LEDGER);
        letters->open += pr_db_int(r, row, OPEN);
    }
}

static enum pr_exit find(const struct question *q, struct pr_letters *letters) {
    PGresult *often = NULL, *cursor = NULL;
    enum pr_exit code =
        ask(q,
            "select reason, topic, type, day::text, count(*), sum(bytes), count(message), count(*) filter (where state "
            "= 'open')\n"
            "from (select reason, topic, type, day, bytes, message, state ",
            PICKED ") x\n"
                   "group by 1, 2, 3, 4 order by 4, 5 desc, 1, 2, 3",
            &letters->histogram);
    if (code == PR_EXIT_DONE) {
        sum_up(letters);
        code = ask(q, "select count(*) ", often_sql, &often);
    }
    if (code == PR_EXIT_DONE) {
        letters->often = pr_db_int(often, 0, 0);
        code = ask(q,
                   "declare letters no scroll cursor with hold for\n"
                   "select ledger_day::text, ledger_topic, partition, off, message is not null, origin ",
                   PICKED, &cursor);
    }
    PQclear(often);
    PQclear(cursor);
    return code;
}

/* The cursor is filled by the commit, which therefore counts against the time as well. */
static enum pr_exit commit(const struct question *q) {
    PGresult *r = PQexec(q->db, "commit");
    enum pr_exit code = PQresultStatus(r) == PGRES_COMMAND_OK ? PR_EXIT_DONE : refused(q, r);
    PQclear(r);
    return code;
}

enum pr_exit pr_letters_open(PGconn *db, const struct pr_call *call, struct pr_letters *letters) {
    struct question q = {.db = db, .letters = letters};
    if ((letters->since && !pr_ledger_ago(call, "since", letters->since, q.since)) ||
        (letters->before && !pr_ledger_ago(call, "before", letters->before, q.before))) {
        return PR_EXIT_USAGE;
    }
    snprintf(q.max, sizeof q.max, "%" PRId64, letters->max);
    snprintf(q.redrives, sizeof q.redrives, "%" PRId64, letters->redrives);
    const char *const values[] = {letters->since ? q.since : NULL, letters->before ? q.before : NULL,
                                  letters->max > 0 ? q.max : NULL, q.redrives, letters->is_open ? "t" : "f"};
    memcpy(q.values, values, sizeof values);
    letters->start_ns = pr_clock_mono_ns();
    letters->is_terminal = isatty(STDERR_FILENO) == 1;
    letters->next_progress_ns = letters->start_ns + PROGRESS_AFTER_MS * ns_per_ms;
    if (!pr_db_run(db, "begin isolation level repeatable read read only; set local statement_timeout = '30s'")) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = find(&q, letters);
    return code == PR_EXIT_DONE ? commit(&q) : code;
}

void pr_letters_free(struct pr_letters *letters) {
    PQclear(letters->histogram);
}

PGresult *pr_letters_next(PGconn *db, int n) {
    char sql[64];
    snprintf(sql, sizeof sql, "fetch %d from letters", n);
    return pr_db_query(db, sql, 0, NULL);
}

bool pr_letters_print(const struct pr_letters *letters) {
    struct pr_table table;
    pr_table_init(&table, columns, COLUMNS);
    for (int row = 0; row < PQntuples(letters->histogram); row++) {
        pr_ledger_cells(&table, letters->histogram, row, 0, COLUMNS - 1);
    }
    bool is_printed = pr_table_print(&table, stdout, false);
    pr_table_free(&table);
    return is_printed;
}

json_t *pr_letters_json(const struct pr_letters *letters) {
    json_t *list = json_array();
    for (int row = 0; row < PQntuples(letters->histogram); row++) {
        json_t *line = json_object();
        for (int col = 0; col < COLUMNS; col++) {
            const char *text = pr_db_text(letters->histogram, row, col);
            json_object_set_new(line, columns[col].name,
                                columns[col].kind == PR_COLUMN_NUMBER
                                    ? json_integer(pr_db_int(letters->histogram, row, col))
                                : text ? json_string(text)
                                       : json_null());
        }
        json_array_append_new(list, line);
    }
    return list;
}

void pr_letters_progress(struct pr_letters *letters, const char *done_word, int64_t done) {
    char n[PR_COUNT_TEXT], of[PR_COUNT_TEXT];
    int64_t now_ns = pr_clock_mono_ns();
    if (now_ns < letters->next_progress_ns) {
        return;
    }
    letters->next_progress_ns = now_ns + (letters->is_terminal ? PROGRESS_TERMINAL_MS : PROGRESS_LOG_MS) * ns_per_ms;
    fprintf(stderr, "%s%s of %s letters %s%s", letters->is_terminal ? "\r" : "postrider: ", pr_count(done, n),
            pr_count(letters->n, of), done_word, letters->is_terminal ? "\033[K" : "\n");
    letters->has_progress = letters->is_terminal;
}

void pr_letters_progress_end(struct pr_letters *letters) {
    if (letters->has_progress) {
        fputs("\r\033[K", stderr);
    }
    letters->has_progress = false;
}

int64_t pr_letters_call(PGconn *db, const char *function, const PGresult *chunk, const int *rows, int rows_n) {
    char sql[160];
    struct pr_params params;
    snprintf(sql, sizeof sql, "select postrider.%s($1::date[], $2::smallint[], $3::int[], $4::bigint[])", function);
    pr_params_init(&params, PARAMS_MAX);
    for (int col = PR_LETTER_DAY; col <= PR_LETTER_OFF; col++) {
        pr_params_array(&params, PR_OID_TEXT);
        for (int i = 0; i < rows_n; i++) {
            pr_item_text(&params, pr_span_of(pr_db_text(chunk, rows[i], col)));
        }
    }
    PGresult *r = pr_db_query_params(db, sql, &params);
    int64_t n = r ? pr_db_int(r, 0, 0) : -1;
    PQclear(r);
    pr_params_free(&params);
    return n;
}
