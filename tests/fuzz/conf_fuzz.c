/* Fuzzes the configuration file: no input breaks it, faults are told, and what was taken means the same on the command line. */
#include "base/check.h"
#include "conf/conf.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    struct pr_conf_pairs all, some;
    const char *text, *secret;
    int64_t number, size, wait, rate;
    bool on;
    int word;
    struct pr_conf_list list;
};

static const char *const words[] = {"one", "two", NULL};
#define AT(field) offsetof(struct target, field)

static const struct pr_conf_row rows[] = {
    {.name = "p.*", .type = PR_CONF_PAIRS, .offset = AT(all), .help = "Pairs."},
    {.name = "p.q.*", .type = PR_CONF_PAIRS, .offset = AT(some), .help = "Pairs."},
    {.name = "a.text", .type = PR_CONF_STRING, .offset = AT(text), .fallback = "x", .help = "Text."},
    {.name = "a.secret", .type = PR_CONF_STRING, .offset = AT(secret), .flags = PR_CONF_SECRET, .help = "Text."},
    {.name = "a.number",
     .type = PR_CONF_INT,
     .offset = AT(number),
     .fallback = "1",
     .min = -5,
     .max = INT64_MAX,
     .zero_word = "auto",
     .help = "Number."},
    {.name = "a.size",
     .type = PR_CONF_SIZE,
     .offset = AT(size),
     .fallback = "1MiB",
     .min = 0,
     .max = INT64_MAX,
     .help = "Size."},
    {.name = "b.wait",
     .type = PR_CONF_DURATION,
     .offset = AT(wait),
     .fallback = "1s",
     .min = 0,
     .max = INT64_MAX,
     .help = "Duration."},
    {.name = "b.rate",
     .type = PR_CONF_RATE,
     .offset = AT(rate),
     .fallback = "1/s",
     .min = 0,
     .max = INT64_MAX,
     .help = "Rate."},
    {.name = "b.on", .type = PR_CONF_BOOL, .offset = AT(on), .fallback = "yes", .help = "Switch."},
    {.name = "b.word", .type = PR_CONF_ENUM, .offset = AT(word), .fallback = "one", .words = words, .help = "Word."},
    {.name = "b.list", .type = PR_CONF_LIST, .offset = AT(list), .fallback = "", .help = "List."},
};
static const struct pr_conf_table table = {rows, sizeof rows / sizeof rows[0], "fuzz"};

/* "--name=value" in memory that libFuzzer's sanitizer watches the end of. */
static char *word_of(const struct pr_conf_row *row, const char *key, const char *raw) {
    struct pr_buf word;
    pr_buf_init(&word, 1 << 20);
    pr_buf_printf(&word, "--%.*s%s=%s", (int)(strlen(row->name) - (row->type == PR_CONF_PAIRS)), row->name, key, raw);
    pr_assert(!word.failed);
    char *copy = strdup(pr_buf_text(&word));
    pr_assert(copy != NULL);
    pr_buf_free(&word);
    return copy;
}

static void changed(void *arg, const struct pr_conf_row *row) {
    (void)arg;
    (void)row;
}

/* What was taken from the file, said again word by word, must be taken and mean the same. */
static void check_again(const struct pr_conf *conf) {
    size_t room = table.n + conf->entries_n + 2;
    char **argv = calloc(room, sizeof *argv);
    pr_assert(argv != NULL);
    int argc = 0;
    argv[argc++] = strdup("fuzz");
    for (size_t i = 0; i < table.n; i++) {
        if (rows[i].type != PR_CONF_PAIRS) {
            argv[argc++] = word_of(&rows[i], "", conf->values[i].raw);
        }
    }
    for (size_t i = 0; i < conf->entries_n; i++) {
        argv[argc++] = word_of(conf->entries[i].row, conf->entries[i].key, conf->entries[i].value.raw);
    }
    struct target t;
    struct pr_conf again;
    pr_conf_init(&again, &table, &t);
    pr_assert(pr_conf_load(&again, argc, argv, NULL));
    pr_assert(pr_conf_diff(conf, &again, changed, NULL) == 0);
    pr_conf_free(&again);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    free(argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct target t;
    struct pr_conf conf;
    struct pr_buf out;
    if (memmem(data, size, "_file", 5)) {
        return 0; /* would read files of this machine */
    }
    pr_conf_init(&conf, &table, &t);
    pr_buf_init(&out, 1 << 22);
    bool ok = pr_conf_load_text(&conf, (const char *)data, size, "fuzz.conf");
    pr_assert(ok == (conf.faults_n == 0) && (ok || conf.faults.n > 0));
    if (ok) {
        pr_conf_effective(&conf, &out);
        pr_assert(!out.failed);
        check_again(&conf);
    }
    pr_buf_free(&out);
    pr_conf_free(&conf);
    return 0;
}
