/* What every import of a CSV file shares: opening, counting, rejects, duplicates, progress. */
#ifndef PR_CONTROL_IMPORT_H
#define PR_CONTROL_IMPORT_H

#include "base/attr.h"
#include "csv.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pr_import_seen;

/* One import. Zero it, set the first two, then open. One thread. */
struct pr_import {
    const char *path;         /* "-": stdin */
    const char *rejects_path; /* where rejected rows are written, NULL: only shown */
    struct pr_csv csv;
    int64_t rows;       /* taken from the file, bad ones included */
    int64_t rejected;   /* rows that were turned down */
    int64_t duplicates; /* rows whose key was seen before; not among the rejected */
    void *map;          /* private */
    size_t map_bytes;
    bool is_mapped;
    FILE *rejects;
    struct pr_import_seen *seen;
    size_t seen_room, seen_n;
    int64_t started_ns, shown_ns;
    bool is_shown;
    bool failed; /* rejects could not be written, or memory ran out */
};

/* Opens file and header. False after a message on stderr. */
bool pr_import_open(struct pr_import *import) PR_MUST_CHECK;

/* Gives everything back; false after a message when the rejects could not be written whole. */
bool pr_import_close(struct pr_import *import) PR_MUST_CHECK;

/* The next row that is well-formed; those that are not are rejected here. False at the end. Shows progress. */
bool pr_import_next(struct pr_import *import, struct pr_csv_row *row) PR_MUST_CHECK;

/* Turns a row down: into the rejects file with its line and the reason, and the first few on stderr. */
void pr_import_reject(struct pr_import *import, const struct pr_csv_row *row, const char *fmt, ...) PR_PRINTF(3, 4);

/*
 * Whether `key` was in an earlier row: then the row is counted as a duplicate, and the first few are told on
 * stderr. Otherwise it is remembered. Sets `failed` (and says false) without memory.
 */
bool pr_import_is_duplicate(struct pr_import *import, const struct pr_csv_row *row, struct pr_span key);

/* A column that an import looks for. */
struct pr_import_column {
    const char *const *names; /* ended by NULL; the first one is what messages call it */
    bool is_required;
    int *index; /* filled in; -1: there is none */
};

/*
 * Finds the `n` columns of `wanted`, and names those of the file that are not among them once on stderr, so that a
 * misspelt one is seen. False after a message when one is there twice, or is not there and required.
 */
bool pr_import_columns(const struct pr_import *import, const struct pr_import_column *wanted, size_t n) PR_MUST_CHECK;

/* The field of a column; p NULL when there is no such column or it is empty. */
struct pr_span pr_import_field(const struct pr_csv_row *row, int column);

/* The names a recipient's column may have, ended by NULL. */
extern const char *const pr_import_to_names[];

#endif
