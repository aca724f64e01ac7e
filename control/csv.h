/* CSV as spreadsheets and CRMs write it: RFC 4180, any of four separators, UTF-8 only. Pure: text in memory. */
#ifndef PR_CONTROL_CSV_H
#define PR_CONTROL_CSV_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PR_CSV_COLUMNS_MAX = 256,
    PR_CSV_ROW_MAX = 1024 * 1024, /* bytes of one row */
    PR_CSV_WHY = 256,
};

/* Spans point into the text or into the reader; valid until the next row. */
struct pr_csv_row {
    struct pr_span *fields; /* as many as the header has columns; blanks around them dropped unless they were quoted */
    int64_t line;           /* where it begins, from 1 */
    struct pr_span raw;     /* as it stands in the file, without its line end */
};

/* One thread. */
struct pr_csv {
    struct pr_span text; /* borrowed until pr_csv_close */
    size_t at;
    int64_t line;
    char separator; /* ',' ';' tab or '|' */
    size_t columns;
    struct pr_span *header; /* names, trimmed; columns of them; in `names` */
    struct pr_arena names;
    struct pr_arena row;
    struct pr_span raw_header;
};

/*
 * Looks at the encoding and takes the header (its separator is the most frequent of the four outside quotes; a
 * first line "sep=;" is obeyed). False with a sentence in `why` that names the encoding, the line and the cure;
 * nothing has to be closed then.
 */
bool pr_csv_open(struct pr_csv *csv, struct pr_span text, char why[PR_CSV_WHY]) PR_MUST_CHECK;
void pr_csv_close(struct pr_csv *csv);

enum pr_csv_status {
    PR_CSV_ROW,
    /* This row cannot be taken (fields, quotes): `raw` and `line` are set, `why` says what; the next call goes on. */
    PR_CSV_BAD,
    PR_CSV_END,
};

/* The next row; blank lines are passed over. A quote that is never closed makes the rest of the file one bad row. */
enum pr_csv_status pr_csv_next(struct pr_csv *csv, struct pr_csv_row *row, char why[PR_CSV_WHY]) PR_MUST_CHECK;

/*
 * The index of the column with one of `names` (ended by NULL; any case, blanks and dashes count as _), or -1; -2
 * when two columns have one.
 */
int pr_csv_column(const struct pr_csv *csv, const char *const *names);

/* How much of the text was read, 0 to 100. */
int pr_csv_percent(const struct pr_csv *csv);

#endif
