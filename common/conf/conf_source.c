/* The three places options come from: a file (inih), the environment, the command line. */
#include "conf/conf_private.h"

#include "base/check.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

static const char env_prefix[] = "POSTRIDER_";

/* Reads to the end; false with errno set. */
static bool read_all(int fd, size_t bytes_max, struct pr_buf *out) {
    char chunk[4096];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got <= 0) {
            return got == 0;
        }
        pr_buf_put(out, chunk, (size_t)got);
        if (out->failed) {
            errno = out->n + (size_t)got > bytes_max ? EFBIG : ENOMEM;
            return false;
        }
    }
}

bool pr_conf_slurp(struct pr_conf *conf, const char *path, size_t bytes_max, struct pr_span *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct pr_buf bytes;
    pr_buf_init(&bytes, bytes_max);
    bool ok = read_all(fd, bytes_max, &bytes);
    int saved = errno;
    (void)close(fd);
    if (ok) {
        *out = pr_arena_copy(&conf->arena, pr_span_make(pr_buf_text(&bytes), bytes.n));
        ok = out->p != NULL;
        saved = ENOMEM;
    }
    pr_buf_free(&bytes);
    errno = saved;
    return ok;
}

/* What inih's two callbacks share: the text still to read, and the number of the line read last, which inih does not tell. */
struct reading {
    struct pr_conf *conf;
    const char *name;
    struct pr_span left;
    int line;
};

static void where_of(const struct reading *r, char out[PATH_MAX]) {
    (void)snprintf(out, PATH_MAX, "%s:%d", r->name, r->line);
}

/* A line, as fgets gives it. One that does not fit is a fault: cut in two, its second half would be read as another option. */
static char *next_line(char *str, int room, void *stream) {
    struct reading *r = stream;
    if (r->left.n == 0) {
        return NULL;
    }
    const char *newline = memchr(r->left.p, '\n', r->left.n);
    size_t n = newline ? (size_t)(newline - r->left.p) + 1 : r->left.n;
    struct pr_span line = {r->left.p, n};
    r->left = pr_span_skip(r->left, n);
    r->line++;
    if (n >= (size_t)room || memchr(line.p, '\0', n)) {
        char where[PATH_MAX];
        where_of(r, where);
        pr_conf_fault_at(r->conf, where, NULL, "the line %s",
                         n >= (size_t)room ? "is too long: put a long secret in a file and name it by KEY_file"
                                           : "holds a NUL byte");
        line.n = 0;
    }
    if (line.n > 0) { /* memcpy from NULL is undefined even for nothing */
        memcpy(str, line.p, line.n);
    }
    str[line.n] = '\0';
    return str;
}

static int on_pair(void *user, const char *section, const char *name, const char *value) {
    struct reading *r = user;
    char where[PATH_MAX];
    char full[2 * PR_CONF_NAME_MAX];
    where_of(r, where);
    if (!section[0]) {
        pr_conf_fault_at(r->conf, where, name, "stands before any [section]: options belong to one, such as [kafka]");
        return 1;
    }
    (void)snprintf(full, sizeof full, "%s.%s", section, name);
    pr_conf_set(r->conf, pr_span_of(full), pr_span_of(value), PR_CONF_FROM_FILE, where);
    return 1;
}

void pr_conf_read_text(struct pr_conf *conf, struct pr_span text, const char *name) {
    /*
     * Debian's inih takes these at run time. Its defaults cut a line at 200 bytes, and a value at " ;": a password may hold one. A value that goes
     * on in the next line would hide a forgotten key.
     */
    ini_use_stack = false;
    ini_max_line = PR_CONF_LINE_MAX;
    ini_initial_alloc = PR_CONF_LINE_MAX;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    struct reading r = {.conf = conf, .name = name, .left = text};
    int bad = ini_parse_stream(next_line, &r, on_pair, &r);
    if (bad > 0) {
        char where[PATH_MAX];
        (void)snprintf(where, sizeof where, "%s:%d", name, bad);
        pr_conf_fault_at(conf, where, NULL, "is neither [section] nor key = value nor a # comment");
    } else if (bad < 0) {
        pr_conf_fault_at(conf, name, NULL, "out of memory");
    }
}

void pr_conf_read_file(struct pr_conf *conf, const char *path) {
    struct pr_span text;
    if (pr_conf_slurp(conf, path, PR_CONF_FILE_MAX, &text)) {
        pr_conf_read_text(conf, text, path);
    } else {
        char room[128];
        pr_conf_fault_at(conf, path, NULL, "cannot read the configuration file: %s",
                         strerror_r(errno, room, sizeof room));
    }
}

void pr_conf_env_name(const struct pr_conf_row *row, char out[PR_CONF_NAME_MAX]) {
    size_t prefix = sizeof env_prefix - 1;
    size_t n = row->type == PR_CONF_PAIRS ? pr_conf_prefix_len(row) : strlen(row->name);
    pr_assert(prefix + n < PR_CONF_NAME_MAX);
    memcpy(out, env_prefix, prefix);
    for (size_t i = 0; i < n; i++) {
        char c = row->name[i];
        out[prefix + i] = (char)(c == '.' || c == '-' ? '_' : toupper((unsigned char)c));
    }
    out[prefix + n] = '\0';
}

/* Kubernetes sets these for every service of the namespace, also for one that is called postrider-kafka. */
static bool is_service_link(struct pr_span name, const char *value) {
    static const char *const ends[] = {"_SERVICE_HOST", "_SERVICE_PORT"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(ends[i]);
        if (name.n > n && memcmp(name.p + name.n - n, ends[i], n) == 0) {
            return true;
        }
    }
    return memmem(name.p, name.n, "_SERVICE_PORT_", 14) || memmem(name.p, name.n, "_PORT_", 6) ||
           strncmp(value, "tcp://", 6) == 0;
}

/* "sasl.password" of SASL_PASSWORD: keys below a prefix have dots only, as librdkafka's have. */
static void set_env_pair(struct pr_conf *conf, const struct pr_conf_row *row, struct pr_span rest, const char *value,
                         const char *where) {
    char full[2 * PR_CONF_NAME_MAX];
    bool from_file = rest.n > 5 && memcmp(rest.p + rest.n - 5, "_FILE", 5) == 0;
    int n = snprintf(full, sizeof full, "%.*s%.*s", (int)pr_conf_prefix_len(row), row->name,
                     (int)(from_file ? rest.n - 5 : rest.n), rest.p);
    if (n < 0 || (size_t)n >= sizeof full - 5) {
        pr_conf_fault_at(conf, where, NULL, "the name is too long");
        return;
    }
    for (size_t i = pr_conf_prefix_len(row); i < (size_t)n; i++) {
        full[i] = (char)(full[i] == '_' ? '.' : tolower((unsigned char)full[i]));
    }
    if (from_file) {
        memcpy(full + n, "_file", 6);
    }
    pr_conf_set(conf, pr_span_of(full), pr_span_of(value), PR_CONF_FROM_ENV, where);
}

/* The name as the rows have it, if a row has it; `file`: it was NAME_FILE. */
static const struct pr_conf_row *env_row(const struct pr_conf_table *table, struct pr_span name, bool *file) {
    char env[PR_CONF_NAME_MAX];
    for (size_t i = 0; i < table->n; i++) {
        const struct pr_conf_row *row = &table->rows[i];
        pr_conf_env_name(row, env);
        struct pr_span own = pr_span_of(env);
        if (row->type == PR_CONF_PAIRS || !pr_span_starts(name, own)) {
            continue;
        }
        *file = pr_span_is(pr_span_skip(name, own.n), "_FILE");
        if (name.n == own.n || *file) {
            return row;
        }
    }
    return NULL;
}

static const struct pr_conf_row *env_pairs(const struct pr_conf_table *table, struct pr_span name, struct pr_span *rest) {
    const struct pr_conf_row *found = NULL;
    char env[PR_CONF_NAME_MAX];
    for (size_t i = 0; i < table->n; i++) {
        const struct pr_conf_row *row = &table->rows[i];
        if (row->type != PR_CONF_PAIRS) {
            continue;
        }
        pr_conf_env_name(row, env);
        struct pr_span own = pr_span_of(env);
        if (name.n > own.n && pr_span_starts(name, own) && (!found || own.n > name.n - rest->n)) {
            found = row;
            *rest = pr_span_skip(name, own.n);
        }
    }
    return found;
}

/* Whether the variable speaks to one of our sections; others belong to other programs of ours, or to nobody. */
static bool env_is_ours(const struct pr_conf_table *table, struct pr_span name) {
    char env[PR_CONF_NAME_MAX];
    for (size_t i = 0; i < table->n; i++) {
        pr_conf_env_name(&table->rows[i], env);
        size_t n = sizeof env_prefix - 1 + pr_conf_section(table->rows[i].name).n;
        if (name.n > n && name.p[n] == '_' && memcmp(name.p, env, n) == 0) {
            return true;
        }
    }
    return false;
}

static void read_variable(struct pr_conf *conf, struct pr_span name, const char *value) {
    char where[2 * PR_CONF_NAME_MAX];
    char full[PR_CONF_NAME_MAX + 8];
    bool file = false;
    struct pr_span rest = {NULL, 0};
    (void)snprintf(where, sizeof where, "%.*s", PR_SPAN_ARG(name));
    const struct pr_conf_row *row = env_row(conf->table, name, &file);
    if (row) {
        (void)snprintf(full, sizeof full, "%s%s", row->name, file ? "_file" : "");
        pr_conf_set(conf, pr_span_of(full), pr_span_of(value), PR_CONF_FROM_ENV, where);
        return;
    }
    if (is_service_link(name, value)) {
        return;
    }
    row = env_pairs(conf->table, name, &rest);
    if (row) {
        set_env_pair(conf, row, rest, value, where);
    } else if (env_is_ours(conf->table, name)) {
        pr_conf_unknown(conf, name, where);
    }
}

void pr_conf_read_env(struct pr_conf *conf, char *const *environ_) {
    for (char *const *e = environ_; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        struct pr_span entry = pr_span_of(*e);
        if (equals && equals[1] && pr_span_starts(entry, PR_SPAN("POSTRIDER_"))) {
            read_variable(conf, pr_span_make(*e, (size_t)(equals - *e)), equals + 1);
        }
    }
}

static void read_option(struct pr_conf *conf, const char *word) {
    const char *equals = strchr(word, '=');
    if (!equals) {
        pr_conf_fault_at(conf, "command line", NULL, "%s: has no value; write %s=VALUE", word, word);
        return;
    }
    pr_conf_set(conf, pr_span_make(word + 2, (size_t)(equals - word) - 2), pr_span_of(equals + 1), PR_CONF_FROM_ARGS,
                "command line");
}

/* Of our form: two dashes, and a dot before any '='. */
static bool is_option(const char *word) {
    size_t n = strcspn(word, "=");
    return strncmp(word, "--", 2) == 0 && memchr(word, '.', n) != NULL;
}

void pr_conf_read_words(struct pr_conf *conf, int argc, char *const *argv) {
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = argv[i];
        bool named = strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
        if (named && i + 1 == argc) {
            pr_conf_fault_at(conf, "command line", NULL, "%s: names no file; write %s FILE", word, word);
        } else if (named) {
            conf->file = argv[++i];
        } else if (strncmp(word, "--config=", 9) == 0) {
            conf->file = word + 9;
        } else if (!is_option(word)) {
            conf->rest[conf->rest_n++] = word;
        }
    }
    for (i++; i < argc; i++) {
        conf->rest[conf->rest_n++] = argv[i];
    }
}

void pr_conf_read_args(struct pr_conf *conf, int argc, char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool named = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0;
        if (named) {
            i++; /* the file's name may look like anything */
        } else if (is_option(argv[i])) {
            read_option(conf, argv[i]);
        }
    }
}
