/* Reading CSV row by row out of text in memory; a field is copied only when a doubled quote stands in it. */
#include "csv.h"

#include "core/utf8.h"

#include <stdio.h>
#include <string.h>

static const char separators[] = {',', ';', '\t', '|'};

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

static struct pr_span trim(struct pr_span s) {
    while (s.n > 0 && is_blank(s.p[0])) {
        s = pr_span_skip(s, 1);
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

/* What the file is when it begins like something else; NULL when it may be text. */
static const char *foreign(struct pr_span text) {
    static const struct {
        struct pr_span magic;
        const char *what;
    } kinds[] = {
        {{"\xff\xfe\0\0", 4}, "is UTF-32: save it as UTF-8 (in Excel: \"CSV UTF-8\")"},
        {{"\xff\xfe", 2}, "is UTF-16: save it as UTF-8 (in Excel: \"CSV UTF-8\")"},
        {{"\xfe\xff", 2}, "is UTF-16: save it as UTF-8 (in Excel: \"CSV UTF-8\")"},
        {{"\x1f\x8b", 2}, "is compressed by gzip: unpack it first"},
        {{"PK\x03\x04", 4}, "is an Excel workbook: save it as \"CSV UTF-8\""},
        {{"\xd0\xcf\x11\xe0", 4}, "is an old Excel workbook: save it as \"CSV UTF-8\""},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (pr_span_starts(text, kinds[i].magic)) {
            return kinds[i].what;
        }
    }
    return NULL;
}

/* The number of the line that is not UTF-8, from 1, and that line. */
static int64_t bad_line(struct pr_span text, struct pr_span *line) {
    int64_t number = 1;
    for (;; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        line->p = text.p;
        line->n = end ? (size_t)(end - text.p) : text.n;
        if (!end || !pr_utf8_valid(*line)) {
            return number;
        }
        text = pr_span_skip(text, line->n + 1);
    }
}

/* Names the encoding as well as it can be told from a line that is not UTF-8. */
static void name_encoding(struct pr_span text, char why[PR_CSV_WHY]) {
    struct pr_span line;
    int64_t number = bad_line(text, &line);
    bool has_nul = memchr(line.p, '\0', line.n) != NULL, is_windows = false;
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        is_windows = is_windows || (c >= 0x80 && c < 0xa0);
    }
    const char *name = has_nul      ? "has a NUL byte (UTF-16 without a mark?)"
                       : is_windows ? "is Windows-1252, not UTF-8"
                                    : "is ISO-8859-1 or Windows-1252, not UTF-8";
    (void)snprintf(why, PR_CSV_WHY,
                   "line %lld: the file %s: save it as UTF-8 (in Excel: \"CSV UTF-8\"; or: iconv -f %s -t UTF-8)",
                   (long long)number, name, has_nul ? "UTF-16" : "WINDOWS-1252");
}

/* The most frequent separator of the header, outside quotes; the first of equals. */
static char find_separator(struct pr_span text) {
    size_t count[sizeof(separators)] = {0};
    bool is_quoted = false;
    for (size_t i = 0; i < text.n && (is_quoted || !is_line_end(text.p[i])); i++) {
        is_quoted = is_quoted != (text.p[i] == '"');
        for (size_t k = 0; !is_quoted && k < sizeof(separators); k++) {
            count[k] += text.p[i] == separators[k];
        }
    }
    size_t best = 0;
    for (size_t k = 1; k < sizeof(separators); k++) {
        best = count[k] > count[best] ? k : best;
    }
    return separators[best];
}

/* "\r\n", "\n" or a lone "\r" at the position. */
static void pass_line_end(struct pr_csv *csv) {
    if (csv->at < csv->text.n) {
        bool is_pair = csv->text.p[csv->at] == '\r' && csv->at + 1 < csv->text.n && csv->text.p[csv->at + 1] == '\n';
        csv->at += is_pair ? 2 : 1;
        csv->line++;
    }
}

/* Excel's own first line "sep=;". */
static void take_sep_line(struct pr_csv *csv) {
    struct pr_span rest = pr_span_skip(csv->text, csv->at);
    if (rest.n >= 6 && pr_span_starts(rest, PR_SPAN("sep=")) && is_line_end(rest.p[5]) &&
        memchr(separators, rest.p[4], sizeof(separators))) {
        csv->separator = rest.p[4];
        csv->at += 5;
        pass_line_end(csv);
    }
}

/* One field under construction. */
struct field {
    struct pr_span value;
    bool is_cut;   /* the quote is not closed */
    bool has_rest; /* something but blanks behind the closing quote */
};

static bool is_end(const struct pr_csv *csv) {
    return csv->at == csv->text.n || is_line_end(csv->text.p[csv->at]) || csv->text.p[csv->at] == csv->separator;
}

/* `at` stands behind the opening quote. */
static void take_quoted(struct pr_csv *csv, struct field *field) {
    const char *text = csv->text.p;
    size_t start = csv->at, doubled = 0;
    while (csv->at < csv->text.n && (text[csv->at] != '"' || (csv->at + 1 < csv->text.n && text[csv->at + 1] == '"'))) {
        csv->line += text[csv->at] == '\n';
        doubled += text[csv->at] == '"';
        csv->at += text[csv->at] == '"' ? 2 : 1;
    }
    field->is_cut = csv->at >= csv->text.n;
    field->value = pr_span_make(text + start, csv->at - start);
    csv->at += field->is_cut ? 0 : 1;
    if (doubled > 0 && !field->is_cut) {
        char *copy = pr_arena_alloc(&csv->row, field->value.n);
        size_t n = 0;
        for (size_t i = 0; copy && i < field->value.n; i++) {
            copy[n++] = field->value.p[i];
            i += field->value.p[i] == '"';
        }
        field->value = pr_span_make(copy, n);
    }
    while (!is_end(csv)) {
        field->has_rest = field->has_rest || !is_blank(text[csv->at]);
        csv->at++;
    }
}

static struct field take_field(struct pr_csv *csv) {
    struct field field = {0};
    size_t start = csv->at;
    while (csv->at < csv->text.n && is_blank(csv->text.p[csv->at]) && csv->text.p[csv->at] != csv->separator) {
        csv->at++;
    }
    if (csv->at < csv->text.n && csv->text.p[csv->at] == '"') {
        csv->at++;
        take_quoted(csv, &field);
        return field;
    }
    while (!is_end(csv)) {
        csv->at++;
    }
    field.value = trim(pr_span_make(csv->text.p + start, csv->at - start));
    return field;
}

/* What was seen of a row. */
struct row_scan {
    size_t n;      /* fields */
    size_t filled; /* up to the last that is not empty */
    bool is_cut, has_rest;
};

/* Reads up to the line's end; keeps the first `room` fields. */
static struct row_scan scan_row(struct pr_csv *csv, struct pr_span *fields, size_t room) {
    struct row_scan scan = {0};
    for (;;) {
        struct field field = take_field(csv);
        if (scan.n < room) {
            fields[scan.n] = field.value;
        }
        scan.n++;
        scan.filled = field.value.n > 0 ? scan.n : scan.filled;
        scan.is_cut = scan.is_cut || field.is_cut;
        scan.has_rest = scan.has_rest || field.has_rest;
        if (csv->at >= csv->text.n || csv->text.p[csv->at] != csv->separator) {
            return scan;
        }
        csv->at++;
    }
}

static void pass_blank_lines(struct pr_csv *csv) {
    for (;;) {
        size_t at = csv->at;
        while (at < csv->text.n && is_blank(csv->text.p[at]) && csv->text.p[at] != csv->separator) {
            at++;
        }
        if (at == csv->text.n) {
            csv->at = at;
            return;
        }
        if (!is_line_end(csv->text.p[at])) {
            return;
        }
        csv->at = at;
        pass_line_end(csv);
    }
}

static bool take_header(struct pr_csv *csv, char why[PR_CSV_WHY]) {
    struct pr_span fields[PR_CSV_COLUMNS_MAX] = {0};
    pass_blank_lines(csv);
    if (csv->at == csv->text.n) {
        (void)snprintf(why, PR_CSV_WHY, "the file is empty: its first line has to name the columns");
        return false;
    }
    size_t start = csv->at;
    struct row_scan scan = scan_row(csv, fields, PR_CSV_COLUMNS_MAX);
    csv->raw_header = pr_span_make(csv->text.p + start, csv->at - start);
    if (scan.is_cut || scan.has_rest || scan.n > PR_CSV_COLUMNS_MAX) {
        (void)snprintf(
            why, PR_CSV_WHY,
            scan.n > PR_CSV_COLUMNS_MAX ? "the header has more than 256 columns" : "the header's quotes do not pair");
        return false;
    }
    csv->columns = scan.n;
    csv->header = pr_arena_calloc(&csv->names, scan.n, sizeof(*csv->header));
    for (size_t i = 0; csv->header && i < scan.n; i++) {
        csv->header[i] = pr_arena_copy(&csv->names, trim(fields[i]));
    }
    pass_line_end(csv);
    if (csv->names.failed) {
        (void)snprintf(why, PR_CSV_WHY, "the header is too large");
        return false;
    }
    return true;
}

bool pr_csv_open(struct pr_csv *csv, struct pr_span text, char why[PR_CSV_WHY]) {
    *csv = (struct pr_csv){.text = text, .line = 1};
    pr_arena_init(&csv->names, PR_CSV_ROW_MAX);
    pr_arena_init(&csv->row, 4 * PR_CSV_ROW_MAX);
    const char *what = foreign(text);
    if (what) {
        (void)snprintf(why, PR_CSV_WHY, "the file %s", what);
        return false;
    }
    if (!pr_utf8_valid(text)) {
        name_encoding(text, why);
        return false;
    }
    csv->at = pr_span_starts(text, PR_SPAN("\xef\xbb\xbf")) ? 3 : 0;
    take_sep_line(csv);
    if (!csv->separator) {
        csv->separator = find_separator(pr_span_skip(text, csv->at));
    }
    if (!take_header(csv, why)) {
        pr_csv_close(csv);
        return false;
    }
    return true;
}

void pr_csv_close(struct pr_csv *csv) {
    pr_arena_free(&csv->names);
    pr_arena_free(&csv->row);
}

/* Why a row cannot be taken; NULL when it can. */
static const char *bad_row(const struct pr_csv *csv, const struct row_scan *scan, size_t bytes, char why[PR_CSV_WHY]) {
    if (scan->is_cut) {
        return "a quote is opened and never closed";
    }
    if (scan->has_rest) {
        return "text behind a closing quote; a quote inside a field is written twice";
    }
    if (bytes > PR_CSV_ROW_MAX) {
        return "longer than 1 MiB";
    }
    if (scan->n < csv->columns || (scan->n > csv->columns && scan->filled > csv->columns)) {
        (void)snprintf(why, PR_CSV_WHY, "%zu fields, the header has %zu", scan->n, csv->columns);
        return why;
    }
    return csv->row.failed ? "out of memory" : NULL;
}

enum pr_csv_status pr_csv_next(struct pr_csv *csv, struct pr_csv_row *row, char why[PR_CSV_WHY]) {
    pr_arena_reset(&csv->row);
    pass_blank_lines(csv);
    if (csv->at == csv->text.n) {
        return PR_CSV_END;
    }
    row->fields = pr_arena_calloc(&csv->row, csv->columns, sizeof(*row->fields));
    row->line = csv->line;
    size_t start = csv->at;
    struct row_scan scan = scan_row(csv, row->fields, row->fields ? csv->columns : 0);
    row->raw = pr_span_make(csv->text.p + start, csv->at - start);
    pass_line_end(csv);
    const char *bad = bad_row(csv, &scan, row->raw.n, why);
    if (bad && bad != why) {
        (void)snprintf(why, PR_CSV_WHY, "%s", bad);
    }
    return bad ? PR_CSV_BAD : PR_CSV_ROW;
}

static char folded(char c) {
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == ' ' || c == '-' ? '_' : c;
}

static bool is_named(struct pr_span column, const char *name) {
    size_t n = strlen(name);
    if (column.n != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (folded(column.p[i]) != name[i]) {
            return false;
        }
    }
    return true;
}

int pr_csv_column(const struct pr_csv *csv, const char *const *names) {
    int found = -1;
    for (size_t i = 0; i < csv->columns; i++) {
        for (size_t k = 0; names[k]; k++) {
            if (is_named(csv->header[i], names[k])) {
                if (found >= 0) {
                    return -2;
                }
                found = (int)i;
                break;
            }
        }
    }
    return found;
}

int pr_csv_percent(const struct pr_csv *csv) {
    return csv->text.n == 0 ? 100 : (int)(csv->at * 100 / csv->text.n);
}
