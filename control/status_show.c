/* `postrider status` for people: where every event went, then lag, limits and processes. */
#include "status.h"

#include "output.h"

#include <inttypes.h>
#include <string.h>

/* The keys of pr_status_fates in the order in which they are shown, with what they mean. */
static const struct {
    const char *key, *means;
} lines[] = {
    {"sent", "accepted by the platform"},
    {"refused", NULL},
    {"deferred", NULL},
    {"applied", "contacts and consent"},
    {"cancelled", "bought before the reminder, for example"},
    {"superseded", "a newer state came first"},
    {"duplicates", "same source and id"},
    {"dead_letters", "postrider deadletter list"},
    {"unknown", "no answer from the platform"},
    {"claimed", "in work"},
};

static const char *number(const json_t *v, char text[PR_COUNT_TEXT]) {
    return json_is_integer(v) ? pr_count(json_integer_value(v), text) : "-";
}

static void show_line(FILE *out, const char *name, const char *means, const json_t *n) {
    char text[PR_COUNT_TEXT];
    fprintf(out, "  %-13s %-40s %12s\n", name, means, number(n, text));
}

static void show_reasons(FILE *out, const char *name, json_t *reasons) {
    const char *reason;
    json_t *n;
    const char *first = name;
    if (json_object_size(reasons) == 0) {
        fprintf(out, "  %-13s %-40s %12d\n", name, "", 0);
    }
    json_object_foreach (reasons, reason, n) {
        show_line(out, first, reason, n);
        first = "";
    }
}

static void show_fates(const json_t *root, FILE *out) {
    char text[PR_COUNT_TEXT];
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        json_t *v = json_object_get(root, lines[i].key);
        if (lines[i].means) {
            show_line(out, lines[i].key, lines[i].means, v);
        } else {
            show_reasons(out, lines[i].key, v);
        }
    }
    const json_t *in = json_object_get(root, "events_in");
    if (json_is_integer(in)) {
        fprintf(out, "  %-13s %-40s %12s\n", "events in", "by committed offsets", number(in, text));
        fprintf(out, "  %-13s %-40s %12s\n", "unaccounted", "", number(json_object_get(root, "unaccounted"), text));
    }
}

static void show_lag(const json_t *root, FILE *out) {
    static const struct pr_column columns[] = {
        {"topic", PR_COLUMN_TEXT},       {"partition", PR_COLUMN_NUMBER}, {"low", PR_COLUMN_NUMBER},
        {"committed", PR_COLUMN_NUMBER}, {"high", PR_COLUMN_NUMBER},      {"lag", PR_COLUMN_NUMBER},
    };
    struct pr_table table;
    size_t i;
    json_t *p;
    char text[PR_COUNT_TEXT];
    pr_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach (json_object_get(root, "lag"), i, p) {
        pr_table_text(&table, json_string_value(json_object_get(p, "topic")));
        for (size_t c = 1; c < sizeof columns / sizeof columns[0]; c++) {
            pr_table_text(&table, number(json_object_get(p, columns[c].name), text));
        }
    }
    fputs(json_array_size(json_object_get(root, "lag")) > 0 ? "\n" : "", out);
    (void)!pr_table_print(&table, out, false);
    pr_table_free(&table);
}

static void show_pools(const json_t *root, FILE *out) {
    size_t i;
    json_t *p;
    char used[PR_COUNT_TEXT], limit[PR_COUNT_TEXT];
    fputc('\n', out);
    json_array_foreach (json_object_get(root, "pools"), i, p) {
        const json_t *max = json_object_get(p, "limit");
        fprintf(out, "messaging limit  %s %s (%s): %s of %s people in 24 h\n",
                json_string_value(json_object_get(p, "tenant")), json_string_value(json_object_get(p, "portfolio")),
                json_string_value(json_object_get(p, "tier")), number(json_object_get(p, "used"), used),
                json_is_integer(max) ? number(max, limit) : "unlimited");
    }
}

static void show_processes(const json_t *root, FILE *out) {
    size_t i;
    json_t *d;
    json_array_foreach (json_object_get(root, "dispatchers"), i, d) {
        fprintf(out, "dispatcher       %s on %s: %s since %s, start %" JSON_INTEGER_FORMAT "\n",
                json_string_value(json_object_get(d, "name")), json_string_value(json_object_get(d, "host")),
                json_is_true(json_object_get(d, "alive")) ? "alive" : "not alive",
                json_string_value(json_object_get(d, "started_at")), json_integer_value(json_object_get(d, "epoch")));
    }
    json_int_t ahead = json_integer_value(json_object_get(root, "partition_days_ahead"));
    fprintf(out, "ledger           partitions for %" JSON_INTEGER_FORMAT " days ahead%s\n", ahead,
            ahead < 2 ? ": too few, is a dispatcher running?" : "");
}

void pr_status_show(const json_t *root, FILE *out) {
    show_fates(root, out);
    show_lag(root, out);
    show_pools(root, out);
    show_processes(root, out);
}
