/* The record on Kafka: a CloudEvent 1.0 in three encodings, decoded strictly and encoded canonically. */
#ifndef PR_CORE_RECORD_H
#define PR_CORE_RECORD_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/span.h"
#include "core/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PR_RECORD_BYTES_MAX = 64 * 1024, /* of the value, and of value and headers together */
    PR_RECORD_DEPTH_MAX = 8,         /* nesting of maps and arrays, the record itself is 1 */
    PR_RECORD_HEADERS_MAX = 64,
    /*
     * Ceiling an arena needs to decode any legal record: one byte of MessagePack can become a pr_value of 24 bytes, so
     * 64 KiB become 1.5 MiB, beside a copy of the text. An ordinary event takes a few KiB.
     */
    PR_RECORD_ARENA_MAX = 2 * 1024 * 1024,
    /* Ceiling for what `pr_record_encode_msgpack` makes of a legal record: JSON's "0.1," is 4 bytes, its double is 9.
     */
    PR_RECORD_STORED_MAX = 3 * PR_RECORD_BYTES_MAX,
    PR_RECORD_TEXT_MAX = 1024, /* bytes of id, source, type, subject */
    PR_RECORD_NAME_MAX = 64,   /* bytes of to (the longest address), tenant, locale */
};

struct pr_header {
    struct pr_span name;
    struct pr_span value; /* p NULL: a null header value */
};

/* What Kafka handed over. Everything is borrowed for the call; the decoded record points into it nowhere. */
struct pr_record_input {
    struct pr_span value; /* p NULL: a null value (tombstone) */
    const struct pr_header *headers;
    size_t headers_n;
    size_t bytes_max; /* 0: PR_RECORD_BYTES_MAX. For what we encoded ourselves and read back: PR_RECORD_STORED_MAX */
};

/*
 * Absent strings have p NULL. Times are microseconds since 1970 or PR_TIME_NONE. `data` is a map, or NULL when absent.
 * `extra` is a map of all other attributes (partitionkey, traceparent, …; those that are null are dropped), or NULL.
 * Their names are kept as they came, also when CloudEvents would not allow them ([a-z0-9], 20 characters): refusing
 * gains nobody anything.
 */
struct pr_record {
    struct pr_span id, source, type; /* never empty */
    struct pr_span subject, to, tenant, locale;
    int64_t time_us, notbefore_us, expiry_us;
    const struct pr_value *data;
    const struct pr_value *extra;
};

/* Why a record cannot be decoded; the names in `pr_record_status_name` are the reasons of dead letters. */
enum pr_record_status {
    PR_RECORD_OK,
    PR_RECORD_TOMBSTONE,   /* null value and no ce_ headers: skipped and counted, not a dead letter */
    PR_RECORD_UNDECODABLE, /* neither JSON nor MessagePack, truncated, trailing bytes, duplicate keys, keys that are no
                              strings */
    PR_RECORD_UNSUPPORTED_FORMAT, /* CloudEvents batch mode or another event format */
    PR_RECORD_SCHEMA_REGISTRY,    /* first byte 0x00: a schema registry's framing */
    PR_RECORD_TOO_LARGE,
    PR_RECORD_TOO_DEEP,
    PR_RECORD_BAD_UTF8,      /* invalid UTF-8 or U+0000 */
    PR_RECORD_BAD_ATTRIBUTE, /* missing or empty id, source, type; specversion not "1.0"; wrong type or bad time; the
                                fault names it */
    PR_RECORD_NO_MEMORY,     /* the arena's ceiling or malloc; not the record's fault when the arena was large enough */
};

/* What is wrong, for a person: `field` is the attribute or dotted path or "", `text` a sentence with the cure. */
struct pr_record_fault {
    char field[64];
    char text[192];
};

/*
 * Decodes one record; all of `out` lives in `arena`. In binary mode `data` counts as nesting level 2, as if it stood in
 * the map of the structured form, and the `content-type` header becomes the attribute `datacontenttype`. Pure: no
 * clock, no I/O; jansson and msgpack-c may allocate during the call and free before it returns. `fault` is filled
 * unless OK or TOMBSTONE.
 */
enum pr_record_status pr_record_decode(const struct pr_record_input *in, struct pr_arena *arena, struct pr_record *out,
                                       struct pr_record_fault *fault) PR_MUST_CHECK;

/* "undecodable", "unsupported_format", "schema_registry_format", "too_large", …; static. */
const char *pr_record_status_name(enum pr_record_status status);

/*
 * The structured MessagePack form: one map, attributes first, then `data`; what `deferred` stores and our programs
 * publish. Of a decoded record at most PR_RECORD_STORED_MAX bytes. Failure (ceiling, malloc) shows in `out->failed`.
 */
void pr_record_encode_msgpack(const struct pr_record *record, struct pr_buf *out);

/*
 * The same map as one line of JSON, without the newline: up to about seven times the bytes that came in (U+0001 is
 * "\u0001").
 */
void pr_record_encode_json(const struct pr_record *record, struct pr_buf *out);

#endif
