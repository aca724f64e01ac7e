/* Tables for people and JSON for programs, from the same cells. */
#include "output.h"
#include "command.h"

#include "base/buf.h"
#include "base/check.h"
#include "core/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TABLE_BYTES_MAX = 1024 * 1024 * 1024, /* a list of some million rows; above that --json of a narrower question */
    CELL_BYTES_MAX = 16 * 1024 * 1024,
};

void pr_table_init(struct pr_table *table, const struct pr_column *columns, size_t columns_n) {
    pr_assert(columns_n > 0 && columns_n <= PR_COLUMNS_MAX);
    *table = (struct pr_table){.columns = columns, .columns_n = columns_n, .cell = columns_n};
    pr_arena_init(&table->arena, TABLE_BYTES_MAX);
}

void pr_table_free(struct pr_table *table) {
    pr_arena_free(&table->arena);
    free(table->rows);
    table->rows = NULL;
    table->rows_n = table->rows_room = 0;
}

static bool new_row(struct pr_table *table) {
    if (table->rows_n == table->rows_room) {
        size_t room = table->rows_room ? table->rows_room * 2 : 64;
        struct pr_span **rows = reallocarray(table->rows, room, sizeof(*rows));
        if (!rows) {
            return false;
        }
        table->rows = rows;
        table->rows_room = room;
    }
    struct pr_span *cells = pr_arena_calloc(&table->arena, table->columns_n, sizeof(*cells));
    if (!cells) {
        return false;
    }
    table->rows[table->rows_n++] = cells;
    table->cell = 0;
    return true;
}

void pr_table_span(struct pr_table *table, struct pr_span text) {
    if (table->failed || (table->cell == table->columns_n && !new_row(table))) {
        table->failed = true;
        return;
    }
    struct pr_span *cell = &table->rows[table->rows_n - 1][table->cell++];
    if (text.p) {
        *cell = pr_arena_copy(&table->arena, text);
        table->failed = table->arena.failed;
    }
}

void pr_table_text(struct pr_table *table, const char *text) {
    pr_table_span(table, pr_span_of(text));
}

void pr_table_int(struct pr_table *table, int64_t v) {
    pr_table_printf(table, "%lld", (long long)v);
}

void pr_table_printf(struct pr_table *table, const char *fmt, ...) {
    struct pr_buf buf;
    pr_buf_init(&buf, CELL_BYTES_MAX);
    va_list args;
    va_start(args, fmt);
    pr_buf_vprintf(&buf, fmt, args);
    va_end(args);
    table->failed = table->failed || buf.failed;
    pr_table_text(table, pr_buf_text(&buf));
    pr_buf_free(&buf);
}

static void print_json_row(const struct pr_table *table, const struct pr_span *cells, struct pr_buf *out) {
    pr_buf_put_char(out, '{');
    for (size_t i = 0; i < table->columns_n; i++) {
        if (i > 0) {
            pr_buf_put_char(out, ',');
        }
        pr_buf_put_json(out, pr_span_of(table->columns[i].name));
        pr_buf_put_char(out, ':');
        if (!cells[i].p) {
            pr_buf_put_text(out, "null");
        } else if (table->columns[i].kind == PR_COLUMN_TEXT) {
            pr_buf_put_json(out, cells[i]);
        } else {
            pr_buf_put_span(out, cells[i]);
        }
    }
    pr_buf_put_text(out, "}\n");
}

/* A cell may hold what a stranger sent: escape sequences must not reach the terminal. */
static void put_clean(struct pr_buf *out, struct pr_span text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        /* C1 controls are U+0080 to U+009F: 0xC2 and 0x80 to 0x9F. */
        bool is_c1 = c == 0xc2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0;
        if (is_c1) {
            i++;
        }
        pr_buf_put_char(out, c < 0x20 || c == 0x7f || is_c1 ? ' ' : (char)c);
    }
}

static void put_spaces(struct pr_buf *out, size_t n) {
    while (n-- > 0) {
        pr_buf_put_char(out, ' ');
    }
}

static void put_cell(struct pr_buf *out, struct pr_span text, size_t width, enum pr_column_kind kind, bool is_last) {
    size_t chars = pr_utf8_count(text);
    size_t pad = width > chars ? width - chars : 0;
    if (kind == PR_COLUMN_NUMBER) {
        put_spaces(out, pad);
    }
    put_clean(out, text);
    if (!is_last) {
        put_spaces(out, (kind == PR_COLUMN_NUMBER ? 0 : pad) + 2);
    }
}

static void print_heading(const struct pr_table *table, const size_t *width, struct pr_buf *out) {
    for (size_t i = 0; i < table->columns_n; i++) {
        put_cell(out, pr_span_of(table->columns[i].name), width[i], table->columns[i].kind, i + 1 == table->columns_n);
    }
    pr_buf_put_char(out, '\n');
}

static void print_row(const struct pr_table *table, const struct pr_span *cells, const size_t *width,
                      struct pr_buf *out) {
    size_t last = table->columns_n;
    while (last > 1 && cells[last - 1].n == 0) {
        last--;
    }
    for (size_t i = 0; i < last; i++) {
        put_cell(out, cells[i], width[i], table->columns[i].kind, i + 1 == last);
    }
    pr_buf_put_char(out, '\n');
}

static void measure(const struct pr_table *table, size_t width[PR_COLUMNS_MAX]) {
    for (size_t i = 0; i < table->columns_n; i++) {
        width[i] = strlen(table->columns[i].name);
        for (size_t k = 0; k < table->rows_n; k++) {
            size_t chars = pr_utf8_count(table->rows[k][i]);
            width[i] = chars > width[i] ? chars : width[i];
        }
    }
}

static void print_long_row(const struct pr_table *table, const struct pr_span *cells, struct pr_buf *out) {
    size_t width = 0;
    for (size_t i = 0; i < table->columns_n; i++) {
        size_t n = strlen(table->columns[i].name);
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < table->columns_n; i++) {
        if (cells[i].p) {
            put_cell(out, pr_span_of(table->columns[i].name), width, PR_COLUMN_TEXT, false);
            put_clean(out, cells[i]);
            pr_buf_put_char(out, '\n');
        }
    }
}

enum style { STYLE_WIDE, STYLE_LONG, STYLE_JSON };

static bool print(const struct pr_table *table, FILE *out, enum style style) {
    if (table->failed) {
        pr_error("out of memory for the list: ask for less of it");
        return false;
    }
    size_t width[PR_COLUMNS_MAX] = {0};
    struct pr_buf line;
    pr_buf_init(&line, 8 * CELL_BYTES_MAX);
    if (style == STYLE_WIDE && table->rows_n > 0) {
        measure(table, width);
        print_heading(table, width, &line);
    }
    bool is_ok = true;
    for (size_t i = 0; i < table->rows_n && is_ok; i++) {
        switch (style) {
        case STYLE_WIDE: print_row(table, table->rows[i], width, &line); break;
        case STYLE_LONG:
            if (i > 0) {
                pr_buf_put_char(&line, '\n');
            }
            print_long_row(table, table->rows[i], &line);
            break;
        case STYLE_JSON: print_json_row(table, table->rows[i], &line); break;
        }
        is_ok = !line.failed && fwrite(pr_buf_text(&line), 1, line.n, out) == line.n;
        pr_buf_reset(&line);
    }
    pr_buf_free(&line);
    if (!is_ok) {
        pr_error("cannot write the output: %s", strerrordesc_np(errno));
    }
    return is_ok;
}

bool pr_table_print(const struct pr_table *table, FILE *out, bool is_json) {
    return print(table, out, is_json ? STYLE_JSON : STYLE_WIDE);
}

bool pr_table_print_long(const struct pr_table *table, FILE *out, bool is_json) {
    return print(table, out, is_json ? STYLE_JSON : STYLE_LONG);
}

const char *pr_count(int64_t n, char out[PR_COUNT_TEXT]) {
    char digits[PR_COUNT_TEXT];
    int digits_n = snprintf(digits, sizeof(digits), "%lld", (long long)n);
    int first = digits[0] == '-' ? 1 : 0;
    int k = 0;
    for (int i = 0; i < digits_n && k < PR_COUNT_TEXT - 2; i++) {
        if (i > first && (digits_n - i) % 3 == 0) {
            out[k++] = ',';
        }
        out[k++] = digits[i];
    }
    out[k] = '\0';
    return out;
}

bool pr_confirm(bool is_yes, const char *fmt, ...) {
    if (is_yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        pr_error("nothing was changed: there is no terminal to ask on; repeat with --yes");
        return false;
    }
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    char answer[8] = "";
    if (!fgets(answer, sizeof(answer), stdin)) {
        return false;
    }
    return answer[0] == 'y' || answer[0] == 'Y';
}
