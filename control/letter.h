/* What redriving and purging of dead letters share: which letters are meant, their bytes, progress; and putting one back onto Kafka. */
#ifndef PR_CONTROL_LETTER_H
#define PR_CONTROL_LETTER_H

#include "base/attr.h"
#include "base/span.h"
#include "kafka.h"
#include "ledger.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* --- letter_pick.c: which letters. */

enum { PR_LETTERS_CHUNK = 100 }; /* read, and marked, at once */

/* Columns of a chunk. The first four are the key of a letter, as text that PostgreSQL reads again. */
enum { PR_LETTER_DAY, PR_LETTER_TOPIC, PR_LETTER_PART, PR_LETTER_OFF, PR_LETTER_IN_LEDGER, PR_LETTER_ORIGIN };

struct pr_letters {
    /* what the command line says; NULL and 0: not given */
    const char *where, *since, *before;
    int64_t max;
    bool is_open;     /* only those that nobody dealt with */
    int64_t redrives; /* not those that were redriven so often already; INT64_MAX: all */

    PGresult *histogram; /* by reason, topic, type and day */
    int64_t n;           /* that will be worked on */
    int64_t in_ledger;   /* of n: end with a message row */
    int64_t open;        /* of n */
    int64_t often;       /* left out for `redrives` */

    int64_t start_ns, next_progress_ns;
    bool is_terminal, has_progress;
};

/* The lines of a command's usage text that say which letters are meant. */
#define PR_LETTERS_USAGE                                                                                               \
    "  --where EXPR           an SQL condition: \"reason = 'unsupported_format' and type like 'order.%'\"; columns:\n" \
    "                         " PR_LETTERS_COLUMNS "\n"                                                                \
    "  --since 24h            found in that time\n"                                                                    \
    "  --before 7d            found longer ago than that\n"                                                            \
    "  --max N                at most so many, oldest first\n"
#define PR_LETTERS_COLUMNS                                                                                           \
    "reason, detail, topic, partition, off, origin, day, at, kafka_at, tenant, type, key, bytes, value, redrives,\n" \
    "                         redriven_at, state (open, redriven)"

/*
 * Finds them in one read-only transaction with a time limit: fills the histogram and the counts, and leaves a cursor that holds no snapshot. DONE
 * also when there are none; USAGE or FAILED after a message. Free it in any case.
 */
enum pr_exit pr_letters_open(PGconn *db, const struct pr_call *call, struct pr_letters *letters) PR_MUST_CHECK;
void pr_letters_free(struct pr_letters *letters);

/* The next chunk of at most `n`, oldest first; no rows at the end. NULL after a message. */
PGresult *pr_letters_next(PGconn *db, int n) PR_MUST_CHECK;

/* The histogram as a table for people, and as an array. */
bool pr_letters_print(const struct pr_letters *letters) PR_MUST_CHECK;
json_t *pr_letters_json(const struct pr_letters *letters);

/* What was done so far, on stderr, when it takes over two seconds and not too often. */
void pr_letters_progress(struct pr_letters *letters, const char *done_word, int64_t done);
void pr_letters_progress_end(struct pr_letters *letters);

/* `function`(days, topics, partitions, offsets) on the `rows_n` rows of a chunk that are in `rows`; its number. -1 after a message. */
int64_t pr_letters_call(PGconn *db, const char *function, const PGresult *chunk, const int *rows, int rows_n);

/* --- letter_bytes.c: what is in one. */

/* A bytea of a text result; p NULL when it is null. The caller gives it back with PQfreemem. */
unsigned char *pr_letter_bytes(const PGresult *r, int row, int col, struct pr_span *bytes);

/* Names and values of its headers in order; `key`: day, topic's number, partition, offset. NULL after a message. */
PGresult *pr_letter_headers(PGconn *db, const char *const key[4]) PR_MUST_CHECK;

/* A letter with everything; all of it lives in the results. */
struct pr_letter {
    PGresult *row, *headers_rows;
    const char *topic;
    struct pr_span key, value; /* p NULL: null */
    struct pr_header *headers;
    size_t headers_n;
    int64_t kafka_ms; /* 0: none */
    int64_t redrives;
    unsigned char *key_bytes, *value_bytes, **header_bytes;
};

/* NOTHING when it is no longer there, or no longer open; FAILED after a message. Free it in any case. */
enum pr_exit pr_letter_load(PGconn *db, const char *const key[4], struct pr_letter *out) PR_MUST_CHECK;
void pr_letter_free(struct pr_letter *letter);

/* --- letter_post.c: back onto Kafka. */

#define PR_LETTER_HEADER "postrider-redrives"

struct pr_post {
    rd_kafka_t *client;
    int64_t pending;
};

bool pr_post_open(struct pr_post *post, const struct pr_kafka_options *kafka) PR_MUST_CHECK;
void pr_post_close(struct pr_post *post);

/*
 * Hands one over to its own topic: key, value, headers and time as they came, and how often it was redriven, this time included, in front of the other
 * headers, where a reader that takes only so many does not miss it. `*end` becomes what came of it: IN_PROGRESS until then.
 */
void pr_post_put(struct pr_post *post, const struct pr_letter *letter, rd_kafka_resp_err_t *end);

/* Waits until all have an end, `wait_ms` at most; drops what is then still under way. */
void pr_post_flush(struct pr_post *post, int wait_ms);

#endif
