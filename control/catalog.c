/* Reading of the three kinds of files, recognised by content, and the faults and notes of a catalog. */
#include "catalog.h"
#include "command.h"
#include "locate.h"

#include "core/compile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CATALOG_BYTES_MAX = 256 * 1024 * 1024,
    FILE_BYTES_MAX = 16 * 1024 * 1024, /* thousands of templates */
    FAULT_BYTES_MAX = 1024 * 1024,
};

void pr_catalog_init(struct pr_catalog *catalog) {
    memset(catalog, 0, sizeof(*catalog));
    pr_arena_init(&catalog->arena, CATALOG_BYTES_MAX);
    STAILQ_INIT(&catalog->files);
    STAILQ_INIT(&catalog->businesses);
    STAILQ_INIT(&catalog->templates);
    STAILQ_INIT(&catalog->rules);
    STAILQ_INIT(&catalog->ruled);
    pr_buf_init(&catalog->faults, FAULT_BYTES_MAX);
    pr_buf_init(&catalog->notes, FAULT_BYTES_MAX);
}

void pr_catalog_free(struct pr_catalog *catalog) {
    struct pr_catalog_file *file;
    STAILQ_FOREACH (file, &catalog->files, next) {
        json_decref(file->root);
    }
    pr_buf_free(&catalog->faults);
    pr_buf_free(&catalog->notes);
    pr_arena_free(&catalog->arena);
}

static void put_place(struct pr_buf *out, const struct pr_catalog_file *file, const char *path) {
    if (!file) {
        pr_buf_printf(out, "database: %s%s", path, *path ? ": " : "");
        return;
    }
    pr_buf_printf(out, "%s:%d: %s%s", file->path, file->root ? pr_locate(file->text, path) : 1, path, *path ? ": " : "");
}

void pr_catalog_fault(struct pr_catalog *catalog, const struct pr_catalog_file *file, const char *path, const char *fmt,
                      ...) {
    va_list args;
    va_start(args, fmt);
    put_place(&catalog->faults, file, path);
    pr_buf_vprintf(&catalog->faults, fmt, args);
    pr_buf_put_char(&catalog->faults, '\n');
    catalog->faults_n++;
    va_end(args);
}

void pr_catalog_note(struct pr_catalog *catalog, const struct pr_catalog_file *file, const char *path, const char *fmt,
                     ...) {
    va_list args;
    va_start(args, fmt);
    put_place(&catalog->notes, file, path);
    pr_buf_vprintf(&catalog->notes, fmt, args);
    pr_buf_put_char(&catalog->notes, '\n');
    va_end(args);
}

bool pr_catalog_report(const struct pr_catalog *catalog) {
    fflush(stdout);
    fputs(pr_buf_text(&catalog->notes), stderr);
    fputs(pr_buf_text(&catalog->faults), stderr);
    if (catalog->arena.failed || catalog->faults.failed || catalog->notes.failed) {
        pr_error("out of memory: the files are larger than what is set aside for them (256 MiB)");
        return false;
    }
    return catalog->faults_n == 0;
}

/* The whole file as text in the arena; p NULL after a fault. */
static struct pr_span slurp(struct pr_catalog *catalog, struct pr_catalog_file *file) {
    struct pr_span text = {NULL, 0};
    FILE *in = strcmp(file->path, "-") == 0 ? stdin : fopen(file->path, "re");
    if (!in) {
        pr_buf_printf(&catalog->faults, "%s: %s\n", file->path, strerrordesc_np(errno));
        catalog->faults_n++;
        return text;
    }
    struct pr_buf all;
    pr_buf_init(&all, FILE_BYTES_MAX);
    char chunk[16 * 1024];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), in)) > 0) {
        pr_buf_put(&all, chunk, n);
    }
    if (ferror(in) || all.failed) {
        pr_buf_printf(&catalog->faults, "%s: %s\n", file->path, all.failed ? "over 16 MiB" : strerrordesc_np(errno));
        catalog->faults_n++;
    } else {
        text = pr_arena_copy(&catalog->arena, pr_span_make(pr_buf_text(&all), all.n));
    }
    pr_buf_free(&all);
    if (in != stdin) {
        fclose(in);
    }
    return text;
}

static bool parse(struct pr_catalog *catalog, struct pr_catalog_file *file) {
    struct pr_span json = file->text;
    if (pr_span_starts(json, PR_SPAN("\xef\xbb\xbf"))) {
        json = pr_span_skip(json, 3);
    }
    json_error_t error;
    file->root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &error);
    if (!file->root) {
        pr_buf_printf(&catalog->faults, "%s:%d: not JSON: %s (column %d)\n", file->path, error.line, error.text,
                      error.column);
        catalog->faults_n++;
    }
    return file->root != NULL;
}

/* An element as one line of JSON in the arena: what the compilers take and the database keeps. */
static struct pr_span dump(struct pr_catalog *catalog, const json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    struct pr_span copy = text ? pr_arena_copy(&catalog->arena, pr_span_of(text)) : (struct pr_span){NULL, 0};
    catalog->arena.failed = catalog->arena.failed || !text;
    free(text);
    return copy;
}

/* "rules[3]" and "body[2].money" make "rules[3].body[2].money". */
static void join(char out[192], const char *prefix, const char *path) {
    (void)snprintf(out, 192, "%s%s%s", prefix, *path && *path != '[' ? "." : "", path);
}

static struct pr_span text_of(struct pr_catalog *catalog, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) {
        return (struct pr_span){NULL, 0};
    }
    return pr_arena_copy(&catalog->arena, pr_span_make(json_string_value(value), json_string_length(value)));
}

static void take_template(struct pr_catalog *catalog, const struct pr_catalog_file *file, const json_t *object,
                          struct pr_span tenant, const char *prefix) {
    struct pr_catalog_template *t = pr_arena_calloc(&catalog->arena, 1, sizeof(*t));
    if (!t) {
        return;
    }
    t->file = file;
    t->tenant = tenant;
    (void)snprintf(t->prefix, sizeof(t->prefix), "%s", prefix);
    t->definition = dump(catalog, object);
    if (!t->definition.p) {
        return;
    }
    t->is_compiled = pr_template_compile(t->definition, &catalog->arena, &t->tpl, &t->fault);
    if (!t->is_compiled) {
        t->tpl.name = text_of(catalog, object, "name");
        t->tpl.language = text_of(catalog, object, "language");
    }
    STAILQ_INSERT_TAIL(&catalog->templates, t, next);
}

static void take_templates(struct pr_catalog *catalog, const struct pr_catalog_file *file, const json_t *list,
                           const char *key, struct pr_span tenant) {
    size_t i;
    json_t *item;
    char prefix[32];
    json_array_foreach (list, i, item) {
        (void)snprintf(prefix, sizeof(prefix), "%s[%zu]", key, i);
        take_template(catalog, file, item, tenant, prefix);
    }
    if (json_array_size(list) == 0) {
        pr_catalog_note(catalog, file, key, "has no templates");
    }
    if (json_is_string(json_object_get(json_object_get(file->root, "paging"), "next"))) {
        pr_catalog_note(catalog, file, "paging",
                        "the platform's list goes on: this is one page of it (ask with a larger limit=)");
    }
}

static void take_rule(struct pr_catalog *catalog, const struct pr_catalog_file *file, const json_t *object,
                      struct pr_span tenant, size_t index) {
    struct pr_catalog_rule *r = pr_arena_calloc(&catalog->arena, 1, sizeof(*r));
    if (!r) {
        return;
    }
    r->file = file;
    r->tenant = tenant;
    r->position = (int32_t)index;
    (void)snprintf(r->prefix, sizeof(r->prefix), "rules[%zu]", index);
    r->definition = dump(catalog, object);
    struct pr_template_fault fault = {{0}, {0}};
    if (r->definition.p && !pr_rule_compile(r->definition, &catalog->arena, &r->rule, &fault)) {
        char path[192];
        join(path, r->prefix, fault.path);
        pr_catalog_fault(catalog, file, path, "%s", fault.text);
        return;
    }
    r->rule.line = (uint32_t)pr_locate(file->text, r->prefix);
    char where[512];
    (void)snprintf(where, sizeof(where), "%s:%u", file->path, r->rule.line);
    r->where = pr_arena_copy(&catalog->arena, pr_span_of(where));
    r->file_name = pr_span_of(file->path);
    STAILQ_INSERT_TAIL(&catalog->rules, r, next);
}

static bool known_keys(struct pr_catalog *catalog, const struct pr_catalog_file *file, const char *const *known) {
    const char *key;
    json_t *value;
    bool ok = true;
    json_object_foreach (file->root, key, value) {
        if (!pr_compile_is_known(key, known)) {
            pr_catalog_fault(catalog, file, key, "is not a key that is known here; it may be misspelt");
            ok = false;
        }
    }
    return ok;
}

static void take_rules(struct pr_catalog *catalog, const struct pr_catalog_file *file) {
    static const char *const known[] = {"tenant", "rules", NULL};
    size_t i;
    json_t *item;
    const json_t *list = json_object_get(file->root, "rules");
    struct pr_span tenant = text_of(catalog, file->root, "tenant");
    known_keys(catalog, file, known);
    if (tenant.n == 0) {
        pr_catalog_fault(catalog, file, "tenant",
                         "is missing: the business these rules are of (\"tenant\": \"aurora\")");
    }
    if (!json_is_array(list)) {
        pr_catalog_fault(catalog, file, "rules", "must be an array of rules");
        return;
    }
    struct pr_catalog_ruled *ruled = pr_arena_calloc(&catalog->arena, 1, sizeof(*ruled));
    if (!ruled) {
        return;
    }
    ruled->file = file;
    ruled->tenant = tenant;
    STAILQ_INSERT_TAIL(&catalog->ruled, ruled, next);
    json_array_foreach (list, i, item) {
        take_rule(catalog, file, item, tenant, i);
    }
}

static void take_file(struct pr_catalog *catalog, const struct pr_catalog_file *file) {
    static const char *const business_keys[] = {"portfolio", "senders", "time_zone", "country", NULL};
    const struct pr_span nobody = {NULL, 0};
    const json_t *root = file->root;
    if (json_is_array(root)) {
        take_templates(catalog, file, root, "", nobody);
        return;
    }
    if (json_object_get(root, "rules")) {
        take_rules(catalog, file);
        return;
    }
    const char *list = json_object_get(root, "data") ? "data" : "templates";
    if (json_is_array(json_object_get(root, list))) {
        take_templates(catalog, file, json_object_get(root, list), list, text_of(catalog, root, "tenant"));
        return;
    }
    for (size_t i = 0; business_keys[i]; i++) {
        if (json_object_get(root, business_keys[i])) {
            pr_catalog_take_business(catalog, file);
            return;
        }
    }
    pr_catalog_fault(
        catalog, file,
        "", "neither a business (\"tenant\", \"portfolio\", \"senders\"), nor templates (\"data\": […]), nor rules (\"rules\": […])");
}

void pr_catalog_read(struct pr_catalog *catalog, const char *path) {
    struct pr_catalog_file *file = pr_arena_calloc(&catalog->arena, 1, sizeof(*file));
    if (!file) {
        return;
    }
    file->path = path;
    file->text = slurp(catalog, file);
    if (!file->text.p || !parse(catalog, file)) {
        return;
    }
    STAILQ_INSERT_TAIL(&catalog->files, file, next);
    take_file(catalog, file);
}
