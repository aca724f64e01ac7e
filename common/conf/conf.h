/* One option table per program: file, environment and command line are parsed by it; help, man page and sample file are printed from it. */
#ifndef PR_CONF_CONF_H
#define PR_CONF_CONF_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PR_CONF_ROWS_MAX = 128,         /* rows a table may have */
    PR_CONF_FILE_MAX = 1024 * 1024, /* bytes of a configuration file */
    PR_CONF_LINE_MAX = 16 * 1024,   /* bytes of one line: a PEM key on one line fits */
    PR_CONF_SECRET_MAX = 64 * 1024, /* bytes of a file named by KEY_file */
    PR_CONF_ARENA_MAX = 8 * 1024 * 1024,
    PR_CONF_FAULTS_MAX = 32 * 1024, /* bytes of fault text; later ones are only counted */
    PR_CONF_PAIRS_MAX = 1024,       /* keys below prefixes, all together */
};

/* What a row's value is, and the C type at its offset. */
enum pr_conf_type {
    PR_CONF_STRING,   /* const char *, never NULL after a load */
    PR_CONF_INT,      /* int64_t */
    PR_CONF_SIZE,     /* int64_t, bytes: "128MiB", "64KiB", "1GiB", "4096" */
    PR_CONF_DURATION, /* int64_t, milliseconds: "250ms", "25s", "2m", "1h", "7d" */
    PR_CONF_RATE,     /* int64_t, events an hour: "80/s", "600/min", "10/h" */
    PR_CONF_BOOL,     /* bool: true or false (also yes, no, on, off) */
    PR_CONF_ENUM,     /* int: index of the word in `words` */
    PR_CONF_LIST,     /* struct pr_conf_list: separated by commas, blanks around an item dropped, empty items dropped */
    PR_CONF_PAIRS,    /* struct pr_conf_pairs: every key below a prefix, passed through unread */
};

struct pr_conf_list {
    const char *const *v;
    size_t n;
};

struct pr_conf_pair {
    const char *key; /* without the row's prefix */
    const char *value;
};

/* In the order of first mention (file, then environment, then command line); a key given again keeps its place and takes the new value. */
struct pr_conf_pairs {
    const struct pr_conf_pair *v;
    size_t n;
};

/* Flags of a row. */
enum {
    PR_CONF_RELOADABLE = 1, /* a change of the file takes effect on SIGHUP */
    PR_CONF_SECRET = 2,     /* never shown; may be read from a file by KEY_file */
    PR_CONF_REQUIRED = 4,   /* may not be left empty */
};

/* One option. All texts are static. */
struct pr_conf_row {
    const char *name; /* "section.key"; PAIRS: "section.*" or "section.prefix.*", the longest match takes the key */
    enum pr_conf_type type;
    size_t offset;            /* of the value in the program's own struct */
    const char *fallback;     /* the default as a person would write it; "" for none. Unused by PAIRS */
    int64_t min, max;         /* INT, SIZE, DURATION, RATE: both allowed, in the unit of the C type */
    const char *zero_word;    /* INT: a word that stands for 0 whatever `min` says ("auto"); NULL for none */
    const char *const *words; /* ENUM: the legal words, NULL at the end */
    const char *unit;         /* for people: "messages", "per lane"; NULL for none */
    unsigned flags;
    const char *help; /* sentences; no newline */
};

/* Where a value came from, in rising precedence. An empty environment variable counts as not set. */
enum pr_conf_source { PR_CONF_FROM_DEFAULT, PR_CONF_FROM_FILE, PR_CONF_FROM_ENV, PR_CONF_FROM_ARGS };

struct pr_conf_table {
    const struct pr_conf_row *rows; /* grouped by section */
    size_t n;                       /* at most PR_CONF_ROWS_MAX */
    const char *program;            /* "postrider-dispatcher": for usage and fault texts */
};

/* A value in force as it was written. */
struct pr_conf_value {
    const char *raw;
    const char *where; /* "dispatcher.conf:12", "POSTRIDER_DISPATCH_LANES", "command line", "default" */
    enum pr_conf_source source;
};

/* A key below a PAIRS row's prefix. */
struct pr_conf_entry {
    const struct pr_conf_row *row;
    const char *key; /* without the prefix */
    struct pr_conf_value value;
};

/*
 * One loaded configuration: owns every string, list and pair that the target struct points to, so the target is valid until
 * pr_conf_free. One thread.
 */
struct pr_conf {
    const struct pr_conf_table *table;
    void *target;
    struct pr_arena arena;
    struct pr_buf faults; /* one line each: "dispatcher.conf:12: dispatch.lanes: …" */
    unsigned faults_n;
    struct pr_conf_value values[PR_CONF_ROWS_MAX]; /* by row; not for PAIRS */
    struct pr_conf_entry *entries;                 /* in the arena, room for PR_CONF_PAIRS_MAX */
    size_t entries_n;
    const char *file; /* what -c named, NULL for none; borrowed from argv */
    const char **rest; /* command line words that are no option of the table, in order; the words are borrowed from argv */
    int rest_n;
};

/* Starts empty; takes no memory. `target` is the struct that the rows' offsets are of; it stays the caller's. */
void pr_conf_init(struct pr_conf *conf, const struct pr_conf_table *table, void *target);
void pr_conf_free(struct pr_conf *conf);

/*
 * Reads defaults, the file that `-c FILE` (or `--config=FILE`) names, the environment (POSTRIDER_SECTION_KEY) and the command line
 * (`--section.key=value`), each over the one before. Words without a dot in their name go to `rest` for the program; so does all after `--`.
 * All faults are collected: false when there is any, and then the target must not be used. `environ_` as in main's third argument; NULL: none.
 */
bool pr_conf_load(struct pr_conf *conf, int argc, char *const *argv, char *const *environ_) PR_MUST_CHECK;

/* The same without -c: `text` is the file's content, `name` what faults call it. For tests and fuzzing. */
bool pr_conf_load_text(struct pr_conf *conf, const char *text, size_t n, const char *name) PR_MUST_CHECK;

/* Adds a fault of the program's own checks, in the same form: where `key` was set, its name, the text. `key` may be NULL. */
void pr_conf_fault(struct pr_conf *conf, const char *key, const char *fmt, ...) PR_PRINTF(3, 4);

/* The value of `key` among the pairs, NULL when it is not there. */
const char *pr_conf_pair(const struct pr_conf_pairs *pairs, const char *key);

/*
 * Compares two loads of one table (the running one and a fresh one) and calls `fn` for each row whose value differs. `reloadable` says
 * whether it may be taken over while running. Returns the number of differences.
 */
typedef void pr_conf_changed(void *arg, const struct pr_conf_row *row);
size_t pr_conf_diff(const struct pr_conf *running, const struct pr_conf *fresh, pr_conf_changed *fn, void *arg);

/* The three texts made from a table. `flags_help` is the program's own lines for words without a dot (--check-config, …), "" for none. */
void pr_conf_help(const struct pr_conf_table *table, const char *flags_help, struct pr_buf *out);
void pr_conf_sample(const struct pr_conf_table *table, struct pr_buf *out); /* a commented file with every default */
void pr_conf_mdoc(const struct pr_conf_table *table, struct pr_buf *out);   /* an mdoc(7) .Bl list */

/* Every value in force and its source, one a line; secrets as "(set)". */
void pr_conf_effective(const struct pr_conf *conf, struct pr_buf *out);

#endif
