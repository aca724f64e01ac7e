/* What the platform took and refused: one NDJSON line a request, in memory up to a ceiling and, when asked, in a file whole. */
#ifndef PR_SANDBOX_RECORD_H
#define PR_SANDBOX_RECORD_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line. Spans are the caller's and are copied; those marked raw are the insides of JSON strings, escapes as written. */
struct pr_entry {
    int64_t at_us;   /* platform's clock, shifted */
    int64_t real_us; /* the machine's */
    uint64_t connection;
    uint32_t nth; /* request of that connection, from 1 */
    struct pr_span phone_number_id;
    struct pr_span to;            /* raw, as in the body */
    struct pr_span wa_id;         /* the person it was taken for */
    struct pr_span type;          /* of message */
    struct pr_span template_name; /* raw */
    struct pr_span language;      /* raw */
    struct pr_span callback;      /* raw; p NULL when there is none */
    struct pr_span wamid;         /* empty when refused */
    const char *verdict;          /* "accepted" or "refused" */
    const char *reason;           /* of a refusal, see README.md; "" */
    const char *fault;            /* name of the fault that struck, or "" */
    int code;                     /* provider's code in the answer; 0 */
    int http;                     /* status in the answer; 0 when none was meant to come */
    struct pr_span body;
    bool is_json; /* the body is valid JSON, so valid UTF-8 */
};

enum { PR_RECORD_CHUNK = 1 << 20 }; /* bytes of lines kept or dropped together */

struct pr_chunk {
    uint64_t first; /* seq of its first line */
    uint64_t lines;
    int64_t offset; /* in the file; -1 without one */
    size_t n;
    size_t written; /* bytes already in the file */
    size_t room;
    char *bytes; /* NULL once dropped from memory */
};

struct pr_record {
    int fd; /* -1 without a file */
    bool with_bodies;
    size_t bytes_max; /* lines kept in memory */
    uint64_t seq;     /* of the last line; 0 before the first */
    struct pr_chunk *chunk;
    size_t chunks_n, chunks_room;
    size_t kept_from; /* first chunk still in memory */
    size_t bytes;     /* in memory */
    int64_t file_n;   /* bytes handed to the file */
    bool failed;      /* a write failed: said once on stderr */
};

/* Opens (and empties) `path` unless NULL. False with errno set. */
bool pr_record_open(struct pr_record *record, const char *path, bool with_bodies, size_t bytes_max);

/* Appends a line and returns its seq, from 1 without gaps. */
uint64_t pr_record_add(struct pr_record *record, const struct pr_entry *entry);

/* Hands what is new to the file. Called every 50 ms and at the end. */
void pr_record_flush(struct pr_record *record);

/*
 * Up to `lines_max` whole lines after `since`, from memory or from the file, appended to `out`. Returns the seq of the last one
 * given (`since` if none). False in `is_complete` when the first lines asked for are gone (no file to read them from).
 */
uint64_t pr_record_read(struct pr_record *record, uint64_t since, uint64_t lines_max, struct pr_buf *out,
                        bool *is_complete);

/* Forgets all lines; the file stays as it is and goes on, and so does the numbering. */
void pr_record_clear(struct pr_record *record);
void pr_record_close(struct pr_record *record);

#endif
