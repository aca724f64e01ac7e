/* What commands print: tables for people, one JSON object a line for programs. */
#ifndef PR_CONTROL_OUTPUT_H
#define PR_CONTROL_OUTPUT_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How a column is shown, and whether JSON quotes it. */
enum pr_column_kind {
    PR_COLUMN_TEXT,   /* left; a JSON string */
    PR_COLUMN_NUMBER, /* right; a JSON number: cells must look like one */
    PR_COLUMN_JSON,   /* left; the cell is JSON already */
};

struct pr_column {
    const char *name; /* heading, and key in JSON: lower case with _ */
    enum pr_column_kind kind;
};

enum { PR_COLUMNS_MAX = 24 };

/* Cells are copied; rows are filled from left to right. One thread. */
struct pr_table {
    const struct pr_column *columns; /* static */
    size_t columns_n;
    struct pr_arena arena;
    struct pr_span **rows; /* each columns_n cells; p NULL: null */
    size_t rows_n, rows_room;
    size_t cell; /* next column of the newest row */
    bool failed; /* memory ran out; printing says so */
};

void pr_table_init(struct pr_table *table, const struct pr_column *columns, size_t columns_n);
void pr_table_free(struct pr_table *table);

/*
 * The next cell; after the last column a new row begins. `text` NULL is null: empty for people, null in JSON. Text
 * must be valid UTF-8.
 */
void pr_table_text(struct pr_table *table, const char *text);
void pr_table_span(struct pr_table *table, struct pr_span text);
void pr_table_int(struct pr_table *table, int64_t v);
void pr_table_printf(struct pr_table *table, const char *fmt, ...) PR_PRINTF(2, 3);

/*
 * Prints with headings and aligned columns, or with `is_json` an object a line. No rows: nothing. Line breaks and
 * control characters in a cell become spaces for people. False after a message when memory ran out or the stream
 * failed.
 */
bool pr_table_print(const struct pr_table *table, FILE *out, bool is_json) PR_MUST_CHECK;

/*
 * The same for people who look at one thing: each row as lines "name  value", rows parted by an empty line; nulls
 * left out. JSON as above.
 */
bool pr_table_print_long(const struct pr_table *table, FILE *out, bool is_json) PR_MUST_CHECK;

/* 84310 as "84,310". Returns `out`. */
enum { PR_COUNT_TEXT = 32 };
const char *pr_count(int64_t n, char out[PR_COUNT_TEXT]);

/*
 * Asks on the terminal ("Delete 12 rows? [y/N] ") and reads the answer. Without a terminal on stdin: false, after
 * a message that --yes is needed. `is_yes` (the option --yes) answers by itself.
 */
bool pr_confirm(bool is_yes, const char *fmt, ...) PR_PRINTF(2, 3) PR_MUST_CHECK;

#endif
