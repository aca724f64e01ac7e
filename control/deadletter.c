/* `postrider deadletter list` and `show`: records that could not become events, with their bytes. */
#include "base/arena.h"
#include "base/buf.h"
#include "command.h"
#include "core/record.h"
#include "core/utf8.h"
#include "letter.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 1000000, PRETTY_MAX = 8 * PR_RECORD_BYTES_MAX, DUMP_ROW = 16 };

static const char list_sql[] =
    "select key, to_char(at, 'YYYY-MM-DD HH24:MI:SS'), reason, origin, bytes, redrives,\n"
    "  to_char(redriven_at, 'YYYY-MM-DD HH24:MI:SS'), state, type, detail\n"
    "from postrider.letter\n"
    "where at >= postrider.clock() - $1::interval and ($2::text is null or reason = $2) and state <> 'purged'\n"
    "order by at desc, partition, off desc limit $3::bigint";

static const struct pr_column list_columns[] = {
    {"key", PR_COLUMN_TEXT},      {"at", PR_COLUMN_TEXT},      {"reason", PR_COLUMN_TEXT},
    {"origin", PR_COLUMN_TEXT},   {"bytes", PR_COLUMN_NUMBER}, {"redrives", PR_COLUMN_NUMBER},
    {"redriven", PR_COLUMN_TEXT}, {"state", PR_COLUMN_TEXT},   {"type", PR_COLUMN_TEXT},
    {"detail", PR_COLUMN_TEXT},
};
enum { LIST_COLUMNS = (int)(sizeof list_columns / sizeof list_columns[0]) };

struct list {
    const char *since, *reason;
    int64_t limit;
    bool is_json, is_shown;
    char interval[PR_LEDGER_TEXT];
};

static enum pr_exit print_list(PGconn *db, const struct list *l) {
    char limit[24];
    snprintf(limit, sizeof limit, "%" PRId64, l->limit);
    const char *values[] = {l->interval, l->reason, limit};
    PGresult *r = pr_db_query(db, list_sql, 3, values);
    enum pr_exit code = r ? pr_ledger_print(r, list_columns, LIST_COLUMNS, l->is_json, l->is_shown) : PR_EXIT_FAILED;
    PQclear(r);
    return code;
}

static enum pr_exit list(struct pr_call *call) {
    struct list l = {.since = "24h", .limit = 50};
    const struct pr_option options[] = {
        {"since", PR_OPTION_TEXT, &l.since, 0, 0},
        {"reason", PR_OPTION_TEXT, &l.reason, 0, 0},
        {"limit", PR_OPTION_INT, &l.limit, 1, LIST_MAX},
        {"json", PR_OPTION_FLAG, &l.is_json, 0, 0},
        {"show-addresses", PR_OPTION_FLAG, &l.is_shown, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_call_options(call, options, 0, 0) || !pr_ledger_since(call, l.since, l.interval)) {
        return PR_EXIT_USAGE;
    }
    PGconn *db = pr_db_open_ready(call->db);
    enum pr_exit code = db ? print_list(db, &l) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

const struct pr_command pr_command_deadletter_list = {
    .noun = "deadletter",
    .verb = "list",
    .summary = "Records that could not be read, newest first",
    .usage = "postrider deadletter list [OPTION]…\n"
             "  --since 24h            found in that time (24h)\n"
             "  --reason REASON        undecodable, bad_attribute, unsupported_format, …\n"
             "  --limit N              at most so many (50)\n"
             "  --show-addresses       keys whole instead of masked\n"
             "  --json                 an object a line\n",
    .run = list,
};

/* ---- show ---- */

/* Of one partition and offset there is one row; its day is not known. The key of the letter is last. */
static const char show_sql[] =
    "select l.at, l.kafka_at, l.reason, l.detail, l.type, l.message, l.state, l.redrives::text, l.redriven_at,\n"
    "  d.key, d.value, d.day, d.topic, d.part, d.off\n"
    "from postrider.letter l join postrider.dead_letter d on d.day = l.ledger_day and d.topic = l.ledger_topic and "
    "d.part = l.partition "
    "and d.off = l.off\n"
    "where l.topic = $1 and l.partition = $2::int and l.off = $3::bigint order by l.ledger_day desc limit 1";

enum { SHOW_KEY = 9, SHOW_VALUE, SHOW_LETTER };

struct origin {
    char topic[256]; /* Kafka's limit is 249 */
    char part[24], off[24];
};

static bool is_digits(const char *text, size_t n) {
    return n > 0 && n < 20 && strspn(text, "0123456789") >= n;
}

/* TOPIC/PARTITION/OFFSET. */
static bool read_origin(const char *text, struct origin *out) {
    const char *first = strchr(text, '/');
    const char *second = first ? strchr(first + 1, '/') : NULL;
    if (!second || first == text || (size_t)(first - text) >= sizeof out->topic) {
        return false;
    }
    size_t part_n = (size_t)(second - first - 1);
    if (!is_digits(first + 1, part_n) || !is_digits(second + 1, strlen(second + 1))) {
        return false;
    }
    snprintf(out->topic, sizeof out->topic, "%.*s", (int)(first - text), text);
    snprintf(out->part, sizeof out->part, "%.*s", (int)part_n, first + 1);
    snprintf(out->off, sizeof out->off, "%s", second + 1);
    return true;
}

/* What a stranger sent must not steer the terminal. */
static void print_clean(struct pr_span bytes) {
    bool is_text = pr_utf8_valid(bytes);
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_text)) {
            printf("\\x%02x", c);
        } else {
            putchar(c);
        }
    }
}

static void print_dump(struct pr_span bytes) {
    for (size_t at = 0; at < bytes.n; at += DUMP_ROW) {
        size_t n = bytes.n - at < DUMP_ROW ? bytes.n - at : DUMP_ROW;
        printf("%08zx ", at);
        for (size_t i = 0; i < DUMP_ROW; i++) {
            if (i < n) {
                printf(" %02x", (unsigned char)bytes.p[at + i]);
            } else {
                fputs("   ", stdout);
            }
        }
        fputs("  ", stdout);
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)bytes.p[at + i];
            putchar(c >= 0x20 && c < 0x7f ? c : '.');
        }
        putchar('\n');
    }
}

/* Indented when it is JSON. Escapes stay escapes, so nothing in it can steer a terminal. */
static bool print_json(struct pr_span bytes) {
    json_error_t error;
    json_t *v = json_loadb(bytes.p, bytes.n, JSON_ALLOW_NUL, &error);
    if (v) {
        json_dumpf(v, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    }
    json_decref(v);
    return v != NULL;
}

/* A record that decodes after all (the database refused it), in whichever encoding. */
static bool print_record(struct pr_span bytes) {
    struct pr_arena arena;
    struct pr_buf json;
    struct pr_record record;
    struct pr_record_fault fault;
    struct pr_record_input input = {.value = bytes};
    pr_arena_init(&arena, PR_RECORD_ARENA_MAX);
    pr_buf_init(&json, PRETTY_MAX);
    bool is_record = pr_record_decode(&input, &arena, &record, &fault) == PR_RECORD_OK;
    if (is_record) {
        pr_record_encode_json(&record, &json);
        is_record = !json.failed && print_json(pr_buf_span(&json));
    }
    pr_buf_free(&json);
    pr_arena_free(&arena);
    return is_record;
}

static bool print_headers(PGconn *db, const PGresult *letter) {
    const char *const key[] = {pr_db_text(letter, 0, SHOW_LETTER), pr_db_text(letter, 0, SHOW_LETTER + 1),
                               pr_db_text(letter, 0, SHOW_LETTER + 2), pr_db_text(letter, 0, SHOW_LETTER + 3)};
    PGresult *r = pr_letter_headers(db, key);
    for (int row = 0; r && row < PQntuples(r); row++) {
        struct pr_span name, value;
        unsigned char *name_bytes = pr_letter_bytes(r, row, 0, &name);
        unsigned char *value_bytes = pr_letter_bytes(r, row, 1, &value);
        fputs("header    ", stdout);
        print_clean(name);
        fputs(": ", stdout);
        print_clean(value);
        putchar('\n');
        PQfreemem(name_bytes);
        PQfreemem(value_bytes);
    }
    PQclear(r);
    return r != NULL;
}

static bool print_letter(PGconn *db, const PGresult *r) {
    static const char *const names[SHOW_KEY] = {"found",   "kafka", "reason",   "detail",  "type",
                                                "message", "state", "redrives", "redriven"};
    struct pr_span key, value;
    for (int i = 0; i < SHOW_KEY; i++) {
        const char *text = pr_db_text(r, 0, i);
        printf("%-9s ", names[i]);
        print_clean(pr_span_of(text ? text : "-"));
        putchar('\n');
    }
    unsigned char *key_bytes = pr_letter_bytes(r, 0, SHOW_KEY, &key);
    unsigned char *value_bytes = pr_letter_bytes(r, 0, SHOW_VALUE, &value);
    fputs("key       ", stdout);
    print_clean(key.p ? key : PR_SPAN("-"));
    putchar('\n');
    bool is_printed = print_headers(db, r);
    printf("value     %s%zu bytes\n\n", value.p ? "" : "null, ", value.n);
    if (!print_json(value) && !print_record(value)) {
        print_dump(value);
    }
    PQfreemem(key_bytes);
    PQfreemem(value_bytes);
    return is_printed;
}

static bool print_raw(const PGresult *r) {
    struct pr_span value;
    unsigned char *bytes = pr_letter_bytes(r, 0, SHOW_VALUE, &value);
    bool is_written = fwrite(value.n > 0 ? value.p : "", 1, value.n, stdout) == value.n;
    PQfreemem(bytes);
    return is_written;
}

static enum pr_exit find_and_print(PGconn *db, const struct origin *origin, bool is_raw) {
    const char *values[] = {origin->topic, origin->part, origin->off};
    PGresult *r = pr_db_query(db, show_sql, 3, values);
    if (!r) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = PR_EXIT_NOTHING;
    if (PQntuples(r) == 0) {
        pr_error("%s/%s/%s: no such dead letter", origin->topic, origin->part, origin->off);
    } else {
        code = (is_raw ? print_raw(r) : print_letter(db, r)) ? PR_EXIT_DONE : PR_EXIT_FAILED;
    }
    PQclear(r);
    return code;
}

static enum pr_exit show(struct pr_call *call) {
    bool is_raw = false;
    struct origin origin;
    const struct pr_option options[] = {
        {"raw", PR_OPTION_FLAG, &is_raw, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_call_options(call, options, 1, 1)) {
        return PR_EXIT_USAGE;
    }
    if (!read_origin(call->argv[0], &origin)) {
        return pr_usage_error(call, "%s: TOPIC/PARTITION/OFFSET is needed, as `postrider deadletter list` shows it",
                              call->argv[0]);
    }
    PGconn *db = pr_db_open_ready(call->db);
    enum pr_exit code = db ? find_and_print(db, &origin, is_raw) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

const struct pr_command pr_command_deadletter_show = {
    .noun = "deadletter",
    .verb = "show",
    .summary = "One dead letter with its headers and bytes, addresses included",
    .usage = "postrider deadletter show TOPIC/PARTITION/OFFSET [--raw]\n"
             "  --raw                  the bytes of the value alone, as they came\n",
    .run = show,
};
