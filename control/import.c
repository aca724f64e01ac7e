/* Opening, counting, rejects, duplicates and progress of an import. */
#include "import.h"
#include "command.h"
#include "output.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    SHOWN_MAX = 10,
    STDIN_BYTES_MAX = 1024 * 1024 * 1024, /* a pipe is kept in memory; a file is mapped and has no bound */
    SHOW_AFTER_MS = 2000,
    REASON_BYTES_MAX = 1024,
};

/* 128 bits, so that two people are never taken for one; 24 bytes a row instead of the address. */
struct pr_import_seen {
    XXH128_hash_t hash;
    int64_t line; /* 0: free */
};

const char *const pr_import_to_names[] = {"to", "phone", "phone_number", "whatsapp", NULL};

static bool read_pipe(struct pr_import *import, int fd) {
    struct pr_buf all;
    pr_buf_init(&all, STDIN_BYTES_MAX);
    char chunk[64 * 1024];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
        pr_buf_put(&all, chunk, (size_t)n);
    }
    if (n < 0 || all.failed) {
        pr_error("%s: %s", import->path,
                 all.failed ? "a pipe may bring 1 GiB at most: use a file" : strerrordesc_np(errno));
        pr_buf_free(&all);
        return false;
    }
    import->map = all.p;
    import->map_bytes = all.n;
    return true;
}

static bool map_file(struct pr_import *import, int fd, size_t bytes) {
    import->map_bytes = bytes;
    if (bytes == 0) {
        return true;
    }
    void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        pr_error("%s: %s", import->path, strerrordesc_np(errno));
        return false;
    }
    (void)madvise(map, bytes, MADV_SEQUENTIAL);
    import->map = map;
    import->is_mapped = true;
    return true;
}

static bool load(struct pr_import *import) {
    bool is_stdin = strcmp(import->path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(import->path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        pr_error("%s: %s", import->path, strerrordesc_np(errno));
        if (fd > STDIN_FILENO) {
            close(fd);
        }
        return false;
    }
    bool ok =
        S_ISREG(info.st_mode) && info.st_size > 0 ? map_file(import, fd, (size_t)info.st_size) : read_pipe(import, fd);
    if (!is_stdin) {
        close(fd);
    }
    return ok;
}

static void unload(struct pr_import *import) {
    if (import->is_mapped) {
        munmap(import->map, import->map_bytes);
    } else {
        free(import->map);
    }
    import->map = NULL;
}

bool pr_import_open(struct pr_import *import) {
    char why[PR_CSV_WHY];
    import->started_ns = import->shown_ns = pr_clock_mono_ns();
    if (!load(import)) {
        return false;
    }
    if (!pr_csv_open(&import->csv, pr_span_make(import->map, import->map_bytes), why)) {
        pr_error("%s: %s", import->path, why);
        unload(import);
        return false;
    }
    return true;
}

/* The line of progress goes before anything else is said. */
static void clear_progress(struct pr_import *import) {
    if (import->is_shown) {
        fputs("\r\033[K", stderr);
        import->is_shown = false;
    }
}

static void rejects_failed(struct pr_import *import) {
    if (!import->failed) {
        pr_error("%s: %s", import->rejects_path, strerrordesc_np(errno));
    }
    import->failed = true;
}

bool pr_import_close(struct pr_import *import) {
    clear_progress(import);
    if (import->rejects && fclose(import->rejects) != 0) {
        rejects_failed(import);
    }
    pr_csv_close(&import->csv);
    unload(import);
    free(import->seen);
    import->seen = NULL;
    return !import->failed;
}

static void show_progress(struct pr_import *import) {
    if (import->rows % 256 != 0) {
        return;
    }
    int64_t now = pr_clock_mono_ns();
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    int64_t gap_ms = is_terminal ? 250 : 10000;
    if (now - import->started_ns < SHOW_AFTER_MS * INT64_C(1000000) || now - import->shown_ns < gap_ms * 1000000) {
        return;
    }
    char count[PR_COUNT_TEXT];
    fprintf(stderr, is_terminal ? "\r\033[K%s rows, %d %%" : "%s rows, %d %%\n", pr_count(import->rows, count),
            pr_csv_percent(&import->csv));
    import->shown_ns = now;
    import->is_shown = is_terminal;
}

/* The file is made when the first row is rejected, so that a clean import leaves none behind. */
static bool open_rejects(struct pr_import *import) {
    if (!import->rejects && !import->failed) {
        import->rejects = fopen(import->rejects_path, "we");
        if (!import->rejects) {
            rejects_failed(import);
        } else {
            fprintf(import->rejects, "%.*s%cline%creject\n", PR_SPAN_ARG(import->csv.raw_header), import->csv.separator,
                    import->csv.separator);
        }
    }
    return import->rejects != NULL;
}

static void write_reject(struct pr_import *import, const struct pr_csv_row *row, const char *why) {
    if (!open_rejects(import)) {
        return;
    }
    fprintf(import->rejects, "%.*s%c%lld%c\"", PR_SPAN_ARG(row->raw), import->csv.separator, (long long)row->line,
            import->csv.separator);
    for (const char *c = why; *c; c++) {
        if (*c == '"') {
            fputc('"', import->rejects);
        }
        fputc(*c, import->rejects);
    }
    fputs("\"\n", import->rejects);
    if (ferror(import->rejects)) {
        rejects_failed(import);
    }
}

void pr_import_reject(struct pr_import *import, const struct pr_csv_row *row, const char *fmt, ...) {
    char why[REASON_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    import->rejected++;
    clear_progress(import);
    if (import->rejected <= SHOWN_MAX) {
        fprintf(stderr, "%s:%lld: %s\n", import->path, (long long)row->line, why);
    } else if (import->rejected == SHOWN_MAX + 1) {
        fprintf(stderr, "more rows were rejected; %s\n",
                import->rejects_path ? "see the file of rejects" : "--rejects FILE keeps them all");
    }
    if (import->rejects_path) {
        write_reject(import, row, why);
    }
}

bool pr_import_next(struct pr_import *import, struct pr_csv_row *row) {
    char why[PR_CSV_WHY];
    for (;;) {
        enum pr_csv_status status = pr_csv_next(&import->csv, row, why);
        if (status == PR_CSV_END) {
            return false;
        }
        import->rows++;
        show_progress(import);
        if (status == PR_CSV_ROW) {
            return true;
        }
        pr_import_reject(import, row, "%s", why);
    }
}

static struct pr_import_seen *slot_of(struct pr_import_seen *table, size_t room, XXH128_hash_t hash) {
    size_t i = (size_t)hash.low64 & (room - 1);
    while (table[i].line != 0 && !XXH128_isEqual(table[i].hash, hash)) {
        i = (i + 1) & (room - 1);
    }
    return &table[i];
}

static bool grow(struct pr_import *import) {
    size_t room = import->seen_room ? import->seen_room * 2 : 4096;
    struct pr_import_seen *table = calloc(room, sizeof(*table));
    if (!table) {
        return false;
    }
    for (size_t i = 0; i < import->seen_room; i++) {
        if (import->seen[i].line != 0) {
            *slot_of(table, room, import->seen[i].hash) = import->seen[i];
        }
    }
    free(import->seen);
    import->seen = table;
    import->seen_room = room;
    return true;
}

bool pr_import_is_duplicate(struct pr_import *import, const struct pr_csv_row *row, struct pr_span key) {
    if (import->seen_n * 2 >= import->seen_room && !grow(import)) {
        pr_error("out of memory");
        import->failed = true;
        return false;
    }
    XXH128_hash_t hash = XXH3_128bits(key.p, key.n);
    struct pr_import_seen *slot = slot_of(import->seen, import->seen_room, hash);
    if (slot->line == 0) {
        slot->hash = hash;
        slot->line = row->line;
        import->seen_n++;
        return false;
    }
    import->duplicates++;
    clear_progress(import);
    if (import->duplicates <= SHOWN_MAX) {
        fprintf(stderr, "%s:%lld: %.*s is on line %lld already; the first one counts\n", import->path,
                (long long)row->line, PR_SPAN_ARG(key), (long long)slot->line);
    } else if (import->duplicates == SHOWN_MAX + 1) {
        fputs("more duplicates follow\n", stderr);
    }
    return true;
}

static bool find_column(const struct pr_import *import, const struct pr_import_column *wanted) {
    int found = pr_csv_column(&import->csv, wanted->names);
    *wanted->index = found;
    if (found == -2) {
        pr_error("%s: two columns are called \"%s\" or an alias of it: rename one", import->path, wanted->names[0]);
        return false;
    }
    if (found == -1 && wanted->is_required) {
        pr_error("%s: no column \"%s\"; the header is: %.*s", import->path, wanted->names[0],
                 (int)(import->csv.raw_header.n > 200 ? 200 : import->csv.raw_header.n), import->csv.raw_header.p);
        return false;
    }
    return true;
}

struct pr_span pr_import_field(const struct pr_csv_row *row, int column) {
    if (column < 0 || row->fields[column].n == 0) {
        return (struct pr_span){NULL, 0};
    }
    return row->fields[column];
}

static bool is_wanted(int column, const struct pr_import_column *wanted, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (*wanted[i].index == column) {
            return true;
        }
    }
    return false;
}

static void note_unwanted(const struct pr_import *import, const struct pr_import_column *wanted, size_t wanted_n) {
    int n = 0;
    for (size_t i = 0; i < import->csv.columns; i++) {
        /* Our own rejects file has these two and may come back repaired. */
        bool is_ours = pr_span_is(import->csv.header[i], "line") || pr_span_is(import->csv.header[i], "reject");
        if (!is_ours && !is_wanted((int)i, wanted, wanted_n)) {
            fprintf(stderr, "%s%.*s", n++ ? ", " : "columns that are not taken: ", PR_SPAN_ARG(import->csv.header[i]));
        }
    }
    if (n > 0) {
        fputc('\n', stderr);
    }
}

bool pr_import_columns(const struct pr_import *import, const struct pr_import_column *wanted, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!find_column(import, &wanted[i])) {
            return false;
        }
    }
    note_unwanted(import, wanted, n);
    return true;
}
