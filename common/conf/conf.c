/* One configuration: collects what the sources say, then reads each value once and gathers every fault. */
#include "conf/conf.h"

#include "base/check.h"
#include "conf/conf_private.h"

#include <errno.h>
#include <stdio.h>

void pr_conf_init(struct pr_conf *conf, const struct pr_conf_table *table, void *target) {
    pr_assert(table->n <= PR_CONF_ROWS_MAX);
    *conf = (struct pr_conf){.table = table, .target = target};
    pr_arena_init(&conf->arena, PR_CONF_ARENA_MAX);
    pr_buf_init(&conf->faults, PR_CONF_FAULTS_MAX);
}

void pr_conf_free(struct pr_conf *conf) {
    pr_arena_free(&conf->arena);
    pr_buf_free(&conf->faults);
}

static void PR_PRINTF(4, 0)
    put_fault(struct pr_conf *conf, const char *where, const char *key, const char *fmt, va_list args) {
    conf->faults_n++;
    if (where) {
        pr_buf_printf(&conf->faults, "%s: ", where);
    }
    if (key) {
        pr_buf_printf(&conf->faults, "%s: ", key);
    }
    pr_buf_vprintf(&conf->faults, fmt, args);
    pr_buf_put_char(&conf->faults, '\n');
}

void pr_conf_fault_at(struct pr_conf *conf, const char *where, const char *key, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_fault(conf, where, key, fmt, args);
    va_end(args);
}

void pr_conf_fault(struct pr_conf *conf, const char *key, const char *fmt, ...) {
    const struct pr_conf_row *row = key ? pr_conf_find(conf->table, pr_span_of(key)) : NULL;
    const struct pr_conf_value *value = row ? &conf->values[row - conf->table->rows] : NULL;
    va_list args;
    va_start(args, fmt);
    put_fault(conf, value && value->source != PR_CONF_FROM_DEFAULT ? value->where : NULL, key, fmt, args);
    va_end(args);
}

struct pr_span pr_conf_section(const char *name) {
    return pr_span_make(name, strcspn(name, "."));
}

size_t pr_conf_prefix_len(const struct pr_conf_row *row) {
    return strlen(row->name) - 1; /* without the star */
}

const struct pr_conf_row *pr_conf_find(const struct pr_conf_table *table, struct pr_span name) {
    for (size_t i = 0; i < table->n; i++) {
        if (table->rows[i].type != PR_CONF_PAIRS && pr_span_is(name, table->rows[i].name)) {
            return &table->rows[i];
        }
    }
    return NULL;
}

const struct pr_conf_row *pr_conf_find_pairs(const struct pr_conf_table *table, struct pr_span name,
                                             struct pr_span *key) {
    const struct pr_conf_row *found = NULL;
    for (size_t i = 0; i < table->n; i++) {
        const struct pr_conf_row *row = &table->rows[i];
        if (row->type != PR_CONF_PAIRS) {
            continue;
        }
        struct pr_span prefix = pr_span_make(row->name, pr_conf_prefix_len(row));
        if (name.n > prefix.n && pr_span_starts(name, prefix) && (!found || prefix.n > pr_conf_prefix_len(found))) {
            found = row;
            *key = pr_span_skip(name, prefix.n);
        }
    }
    return found;
}

/* Levenshtein's distance, bounded in length: names are short. */
static size_t distance(struct pr_span a, struct pr_span b) {
    enum { MAX = 64 };
    size_t row[MAX + 1];
    if (a.n > MAX || b.n > MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[b.n];
}

/* The best of what was compared so far; ties keep the first. */
struct nearest {
    struct pr_span name;
    size_t distance;
};

static void compare(struct nearest *best, struct pr_span given, struct pr_span shown, struct pr_span candidate) {
    size_t d = distance(given, candidate);
    if (d < best->distance) {
        *best = (struct nearest){shown, d};
    }
}

/* The option that was probably meant: by spelling (as an option or a variable), or the same key in another section. */
static struct nearest nearest_option(const struct pr_conf_table *table, struct pr_span name) {
    size_t limit = name.n / 4 > 2 ? name.n / 4 : 2;
    struct nearest best = {{NULL, 0}, limit + 1};
    struct pr_span key = pr_span_skip(name, pr_conf_section(name.p).n);
    for (size_t i = 0; i < table->n; i++) {
        char env[PR_CONF_NAME_MAX];
        const struct pr_conf_row *row = &table->rows[i];
        struct pr_span own = pr_span_of(row->name);
        if (row->type == PR_CONF_PAIRS) {
            continue;
        }
        pr_conf_env_name(row, env);
        compare(&best, name, own, own);
        compare(&best, name, own, pr_span_of(env));
        if (key.n > 0 && pr_span_eq(key, pr_span_skip(own, pr_conf_section(row->name).n))) {
            return (struct nearest){own, 0};
        }
    }
    return best;
}

/* The section that was probably meant; p NULL when the one given is there. */
static struct nearest nearest_section(const struct pr_conf_table *table, struct pr_span section) {
    struct nearest best = {{NULL, 0}, 3};
    for (size_t i = 0; i < table->n; i++) {
        struct pr_span own = pr_conf_section(table->rows[i].name);
        compare(&best, section, own, own);
    }
    return best.distance == 0 ? (struct nearest){{NULL, 0}, 0} : best;
}

void pr_conf_unknown(struct pr_conf *conf, struct pr_span name, const char *where) {
    char key[2 * PR_CONF_NAME_MAX];
    (void)snprintf(key, sizeof key, "%.*s", PR_SPAN_ARG(name));
    struct nearest option = nearest_option(conf->table, pr_span_of(key));
    struct nearest section = nearest_section(conf->table, pr_conf_section(key));
    const char *shown = strcmp(where, key) == 0 ? NULL : key; /* a variable is its own place */
    if (option.name.p) {
        pr_conf_fault_at(conf, where, shown, "there is no such option; did you mean %.*s?", PR_SPAN_ARG(option.name));
    } else if (section.name.p) {
        pr_conf_fault_at(conf, where, shown, "there is no such section; did you mean [%.*s]?",
                         PR_SPAN_ARG(section.name));
    } else {
        pr_conf_fault_at(conf, where, shown, "there is no such option; %s --help lists them", conf->table->program);
    }
}

static struct pr_conf_entry *entry_of(struct pr_conf *conf, const struct pr_conf_row *row, struct pr_span key) {
    for (size_t i = 0; i < conf->entries_n; i++) {
        if (conf->entries[i].row == row && pr_span_is(key, conf->entries[i].key)) {
            return &conf->entries[i];
        }
    }
    if (!conf->entries) {
        conf->entries = pr_arena_calloc(&conf->arena, PR_CONF_PAIRS_MAX, sizeof *conf->entries);
    }
    if (!conf->entries || conf->entries_n == PR_CONF_PAIRS_MAX) {
        return NULL;
    }
    struct pr_conf_entry *entry = &conf->entries[conf->entries_n++];
    *entry = (struct pr_conf_entry){.row = row, .key = pr_arena_copy(&conf->arena, key).p};
    return entry;
}

/* What is passed through unread has a name that every source can write: no '=' that would end it on the command line, no blanks. */
static bool is_plain(struct pr_span name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && !(c == '.' || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

/* Where a passed-through key keeps its value; NULL when there are too many. */
static struct pr_conf_value *value_of(struct pr_conf *conf, const struct pr_conf_row *row, struct pr_span key) {
    struct pr_conf_entry *entry = entry_of(conf, row, key);
    return entry ? &entry->value : NULL;
}

/* The secret itself, without the newline that editors and `kubectl create secret` leave at its end. */
static bool secret_from(struct pr_conf *conf, struct pr_span *raw, const char *where, const char *name) {
    const char *path = pr_arena_copy(&conf->arena, *raw).p;
    if (!path || !path[0]) {
        pr_conf_fault_at(conf, where, name, "names no file");
        return false;
    }
    if (!pr_conf_slurp(conf, path, PR_CONF_SECRET_MAX, raw)) {
        char room[128];
        pr_conf_fault_at(conf, where, name, "cannot read %s: %s", path, strerror_r(errno, room, sizeof room));
        return false;
    }
    if (raw->n > 0 && raw->p[raw->n - 1] == '\n') {
        raw->n--;
    }
    if (raw->n > 0 && raw->p[raw->n - 1] == '\r') {
        raw->n--;
    }
    if (raw->n > 0 && memchr(raw->p, '\0', raw->n)) {
        pr_conf_fault_at(conf, where, name, "%s holds a NUL byte: it is not a text", path);
        return false;
    }
    return true;
}

static void set_value(struct pr_conf *conf, struct pr_conf_value *value, struct pr_span raw, enum pr_conf_source source,
                      const char *where, const char *name) {
    if (value->raw && value->source == source && source != PR_CONF_FROM_DEFAULT) {
        pr_conf_fault_at(conf, where, name, "was given already (%s); remove one", value->where);
        return;
    }
    const char *copy = pr_arena_copy(&conf->arena, raw).p;
    const char *place = pr_arena_copy(&conf->arena, pr_span_of(where)).p;
    if (copy && place) {
        *value = (struct pr_conf_value){.raw = copy, .where = place, .source = source};
    }
}

void pr_conf_set(struct pr_conf *conf, struct pr_span name, struct pr_span raw, enum pr_conf_source source,
                 const char *where) {
    char shown[2 * PR_CONF_NAME_MAX + 8];
    struct pr_span key = {NULL, 0};
    struct pr_span base = name;
    (void)snprintf(shown, sizeof shown, "%.*s", PR_SPAN_ARG(name));
    const struct pr_conf_row *row = pr_conf_find(conf->table, name);
    bool from_file = !row && name.n > 5 && memcmp(name.p + name.n - 5, "_file", 5) == 0;
    if (from_file) {
        base.n -= 5;
        row = pr_conf_find(conf->table, base);
    }
    struct pr_conf_value *value = row ? &conf->values[row - conf->table->rows] : NULL;
    if (!row) {
        row = is_plain(base) ? pr_conf_find_pairs(conf->table, base, &key) : NULL;
        value = row ? value_of(conf, row, key) : NULL;
    }
    if (!row) {
        pr_conf_unknown(conf, name, where);
    } else if (!value) {
        pr_conf_fault_at(conf, where, shown, "too many options");
    } else if (from_file && row->type != PR_CONF_PAIRS && !(row->flags & PR_CONF_SECRET)) {
        pr_conf_fault_at(conf, where, shown, "only secrets are read from a file; write the value itself as %s",
                         row->name);
    } else if (!from_file || secret_from(conf, &raw, where, shown)) {
        set_value(conf, value, raw, source, where, shown);
    }
}

/* Gives each PAIRS row its entries; an entry whose every mention was a fault has no value. */
static void store_pairs(struct pr_conf *conf, const struct pr_conf_row *row) {
    struct pr_conf_pair *v = pr_arena_calloc(&conf->arena, conf->entries_n + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; v && i < conf->entries_n; i++) {
        const struct pr_conf_entry *entry = &conf->entries[i];
        if (entry->row == row && entry->value.raw) {
            v[n++] = (struct pr_conf_pair){entry->key, entry->value.raw};
        }
    }
    *(struct pr_conf_pairs *)((char *)conf->target + row->offset) = (struct pr_conf_pairs){v, n};
}

static void store_value(struct pr_conf *conf, const struct pr_conf_row *row) {
    const struct pr_conf_value *value = &conf->values[row - conf->table->rows];
    bool secret = (row->flags & PR_CONF_SECRET) != 0;
    if (!value->raw[0] && (row->flags & PR_CONF_REQUIRED)) {
        pr_conf_fault(conf, row->name, "is required: %s", row->help);
    } else if (!pr_conf_store(conf, row, value->raw)) {
        struct pr_buf form;
        pr_buf_init(&form, 4096);
        pr_conf_describe(row, &form);
        pr_conf_fault(conf, row->name, "%s%s%s does not fit; write %s", secret ? "" : "'",
                      secret ? "what was given" : value->raw, secret ? "" : "'", pr_buf_text(&form));
        pr_buf_free(&form);
    }
}

/* Reads every value once all sources have spoken: only what is in force must be right. */
static bool finish(struct pr_conf *conf) {
    for (size_t i = 0; i < conf->table->n; i++) {
        const struct pr_conf_row *row = &conf->table->rows[i];
        if (row->type == PR_CONF_PAIRS) {
            store_pairs(conf, row);
        } else {
            store_value(conf, row);
        }
    }
    if (conf->arena.failed) {
        pr_conf_fault_at(conf, NULL, NULL, "out of memory while reading the configuration");
    }
    return conf->faults_n == 0;
}

static void set_defaults(struct pr_conf *conf) {
    for (size_t i = 0; i < conf->table->n; i++) {
        const char *fallback = conf->table->rows[i].fallback;
        conf->values[i] =
            (struct pr_conf_value){.raw = fallback ? fallback : "", .where = "default", .source = PR_CONF_FROM_DEFAULT};
    }
}

bool pr_conf_load(struct pr_conf *conf, int argc, char *const *argv, char *const *environ_) {
    set_defaults(conf);
    conf->rest = pr_arena_calloc(&conf->arena, (size_t)(argc > 0 ? argc : 0) + 1, sizeof *conf->rest);
    if (!conf->rest) {
        return finish(conf);
    }
    pr_conf_read_words(conf, argc, argv);
    if (conf->file) {
        pr_conf_read_file(conf, conf->file);
    }
    pr_conf_read_env(conf, environ_);
    pr_conf_read_args(conf, argc, argv);
    return finish(conf);
}

bool pr_conf_load_text(struct pr_conf *conf, const char *text, size_t n, const char *name) {
    set_defaults(conf);
    pr_conf_read_text(conf, pr_span_make(text, n), name);
    return finish(conf);
}

const char *pr_conf_pair(const struct pr_conf_pairs *pairs, const char *key) {
    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->v[i].key, key) == 0) {
            return pairs->v[i].value;
        }
    }
    return NULL;
}

/* The raw texts tell: what is written the same means the same. */
static bool pairs_differ(const struct pr_conf *a, const struct pr_conf *b, const struct pr_conf_row *row) {
    const struct pr_conf_pairs *pa = (const struct pr_conf_pairs *)((const char *)a->target + row->offset);
    const struct pr_conf_pairs *pb = (const struct pr_conf_pairs *)((const char *)b->target + row->offset);
    if (pa->n != pb->n) {
        return true;
    }
    for (size_t i = 0; i < pa->n; i++) {
        const char *other = pr_conf_pair(pb, pa->v[i].key);
        if (!other || strcmp(other, pa->v[i].value) != 0) {
            return true;
        }
    }
    return false;
}

size_t pr_conf_diff(const struct pr_conf *running, const struct pr_conf *fresh, pr_conf_changed *fn, void *arg) {
    size_t n = 0;
    pr_assert(running->table == fresh->table);
    for (size_t i = 0; i < running->table->n; i++) {
        const struct pr_conf_row *row = &running->table->rows[i];
        bool differs = row->type == PR_CONF_PAIRS ? pairs_differ(running, fresh, row)
                                                  : strcmp(running->values[i].raw, fresh->values[i].raw) != 0;
        if (differs) {
            n++;
            fn(arg, row);
        }
    }
    return n;
}
