/* What the tests of conf share: a table with every type, ways to load it, and a folder for files. */
#ifndef PR_TESTS_CONF_FIXTURE_H
#define PR_TESTS_CONF_FIXTURE_H

#include "base/attr.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct target {
    struct pr_conf_pairs kafka, consumer;
    const char *name, *password;
    int64_t count, lanes, size, wait, rate;
    bool on;
    int level;
    struct pr_conf_list types;
};

static const char *const levels[] = {"debug", "info", "warn", NULL};
#define AT(field) offsetof(struct target, field)

static const struct pr_conf_row rows[] = {
    {.name = "kafka.*", .type = PR_CONF_PAIRS, .offset = AT(kafka), .help = "Passed on."},
    {.name = "kafka.consumer.*", .type = PR_CONF_PAIRS, .offset = AT(consumer), .help = "Passed on to the consumer."},
    {.name = "shop.name", .type = PR_CONF_STRING, .offset = AT(name), .fallback = "aurora", .help = "A name. Back\\slash."},
    {.name = "shop.password", .type = PR_CONF_STRING, .offset = AT(password), .flags = PR_CONF_SECRET, .help = "A secret."},
    {.name = "shop.count",
     .type = PR_CONF_INT,
     .offset = AT(count),
     .fallback = "5",
     .min = 1,
     .max = 10,
     .unit = "things",
     .help = "A number."},
    {.name = "work.lanes",
     .type = PR_CONF_INT,
     .offset = AT(lanes),
     .fallback = "auto",
     .min = 1,
     .max = 4,
     .zero_word = "auto",
     .help = "Lanes."},
    {.name = "work.max-size",
     .type = PR_CONF_SIZE,
     .offset = AT(size),
     .fallback = "128MiB",
     .min = 1024,
     .max = INT64_C(1) << 40,
     .help = "A size."},
    {.name = "work.wait.time",
     .type = PR_CONF_DURATION,
     .offset = AT(wait),
     .fallback = "25s",
     .min = 100,
     .max = 60000,
     .help = ".Starts with a dot."},
    {.name = "work.rate",
     .type = PR_CONF_RATE,
     .offset = AT(rate),
     .fallback = "80/s",
     .min = 1,
     .max = 3600000,
     .help = "A rate."},
    {.name = "work.on", .type = PR_CONF_BOOL, .offset = AT(on), .fallback = "true", .help = "A switch."},
    {.name = "log.level",
     .type = PR_CONF_ENUM,
     .offset = AT(level),
     .fallback = "info",
     .words = levels,
     .flags = PR_CONF_RELOADABLE,
     .help = "A level."},
    {.name = "log.types", .type = PR_CONF_LIST, .offset = AT(types), .fallback = "", .help = "A list."},
};
static const struct pr_conf_table table = {.rows = rows, .n = sizeof rows / sizeof rows[0], .program = "prog"};

struct loaded {
    struct target t;
    struct pr_conf conf;
    bool ok;
};

static PR_UNUSED void load_text(struct loaded *l, const char *text) {
    *l = (struct loaded){.ok = false};
    pr_conf_init(&l->conf, &table, &l->t);
    l->ok = pr_conf_load_text(&l->conf, text, strlen(text), "test.conf");
}

enum { WORDS = 16 };

/* `args` and `env`: NULL at the end. */
static PR_UNUSED void load(struct loaded *l, const char *const *args, const char *const *env) {
    char *argv[WORDS] = {strdup("prog")};
    char *environ_[WORDS] = {NULL};
    int argc = 1;
    for (; args && args[argc - 1]; argc++) {
        argv[argc] = strdup(args[argc - 1]);
    }
    for (int i = 0; env && env[i]; i++) {
        environ_[i] = strdup(env[i]);
    }
    *l = (struct loaded){.ok = false};
    pr_conf_init(&l->conf, &table, &l->t);
    l->ok = pr_conf_load(&l->conf, argc, argv, environ_);
    for (int i = 0; i < WORDS;
         i++) { /* what was loaded must not point to these; `rest` and `file` do, so tests look at them by load_keeping */
        free(environ_[i]);
        free(argv[i]);
    }
}

static PR_UNUSED void expect_ok(const struct loaded *l) {
    if (!l->ok) {
        fail_msg("%s", pr_buf_text(&l->conf.faults));
    }
    assert_int_equal(l->conf.faults.n, 0);
}

static PR_UNUSED void expect_fault(const char *text, const char *fault) {
    struct loaded l;
    load_text(&l, text);
    assert_false(l.ok);
    assert_int_equal(l.conf.faults_n, 1);
    assert_string_equal(pr_buf_text(&l.conf.faults), fault);
    pr_conf_free(&l.conf);
}

static PR_UNUSED void expect_defaults(const struct target *t) {
    assert_string_equal(t->name, "aurora");
    assert_string_equal(t->password, "");
    assert_int_equal(t->count, 5);
    assert_int_equal(t->lanes, 0);
    assert_int_equal(t->size, INT64_C(128) << 20);
    assert_int_equal(t->wait, 25000);
    assert_int_equal(t->rate, 80 * 3600);
    assert_true(t->on);
    assert_int_equal(t->level, 1);
    assert_int_equal(t->types.n, 0);
    assert_int_equal(t->kafka.n, 0);
}

static char folder[] = "/tmp/conf_test.XXXXXX";

static PR_UNUSED const char *write_file(const char *name, const char *bytes, size_t n) {
    static char path[sizeof folder + 32];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

static PR_UNUSED int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static PR_UNUSED int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"a.conf", "b.conf", "secret", "big", "nul"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[sizeof folder + 32];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

#endif
