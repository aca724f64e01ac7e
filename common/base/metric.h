/* What the program counts, for its operator: one table of metrics, a block of cells a thread, Prometheus text on request. */
#ifndef PR_BASE_METRIC_H
#define PR_BASE_METRIC_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/span.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum pr_metric_kind { PR_METRIC_COUNTER, PR_METRIC_GAUGE, PR_METRIC_HISTOGRAM };

enum { PR_LABEL_TEXT = 64, PR_LABELS_MAX = 2, PR_METRIC_CELLS_MAX = 65536 };

/*
 * The values one label may take. Closed: `fixed` holds `capacity` static words (PR_LABEL_FIXED). Open: PR_LABEL_OPEN, words are met at
 * run time, `capacity` at most, and what comes later is counted under the first one, "other": no input can grow the table.
 */
struct pr_label {
    const char *name;
    const char *const *fixed;
    uint16_t capacity;
    /* Private, of open labels: */
    pthread_mutex_t lock;
    _Atomic uint16_t n; /* words met, "other" not counted */
    char (*word)[PR_LABEL_TEXT];
};
#define PR_LABEL_FIXED(label_name, words) \
    { .name = (label_name), .fixed = (words), .capacity = (uint16_t)(sizeof(words) / sizeof((words)[0])) }
#define PR_LABEL_OPEN(label_name, capacity_max) \
    { .name = (label_name), .capacity = (capacity_max), .lock = PTHREAD_MUTEX_INITIALIZER }

/*
 * Any thread. The place of a word among the label's values, for pr_metric_cell: look it up once and keep it. 0 ("other") when a new word
 * finds no room; a word longer than PR_LABEL_TEXT - 1 bytes is cut. Of a closed label: the place of the word, 0 when it is not there.
 * Only after pr_metrics_new over a table that uses the label.
 */
uint16_t pr_label_place(struct pr_label *label, struct pr_span word);

/* A row of the table. All pointers are static or outlive the metrics. */
struct pr_metric_def {
    const char *name; /* "postrider_claims_total": with unit; counters end in _total */
    enum pr_metric_kind kind;
    const char *unit; /* what one is, as shown: "messages", "seconds", "bytes" */
    const char *help; /* what it counts, and when to worry */
    int64_t per_unit; /* what we count in one shown unit: 1000000 for microseconds shown as seconds; 0 means 1 */
    struct pr_label *label[PR_LABELS_MAX]; /* NULL: none; label[1] only with label[0] */
    /*
     * Histograms, in what we count: bounds run from 2^low to 2^high, four to a doubling (so a bound is at most 25 % above a value),
     * and one for all above. 2 <= low < high <= 60.
     */
    uint8_t low, high;
};

struct pr_metrics;
struct pr_metric_lane;

/* Metrics of `n` rows for `lanes` writers; the table is borrowed. Asserts that it is well-formed. NULL when malloc refused. */
struct pr_metrics *pr_metrics_new(const struct pr_metric_def *defs, uint16_t n, uint16_t lanes) PR_MUST_CHECK;

/* After every writer has ended. Open labels forget their words. NULL is allowed. */
void pr_metrics_free(struct pr_metrics *metrics);

/* The cells of one writer, 0 to lanes - 1. Only one thread writes to a lane; any may read. Lives as long as the metrics. */
struct pr_metric_lane *pr_metrics_lane(struct pr_metrics *metrics, uint16_t lane);

/* The cell of a metric with two labels; with one label the place itself is the cell, with none 0. */
static inline uint32_t pr_metric_cell(const struct pr_metric_def *def, uint16_t place, uint16_t place_other) {
    return (uint32_t)place * def->label[1]->capacity + place_other;
}

/* The lane's thread only. `id` is the row in the table. A counter never falls: `n` is not negative. A gauge may. */
void pr_metric_add(struct pr_metric_lane *lane, uint16_t id, uint32_t cell, int64_t n);

/* The lane's thread only. Sets a gauge; what is shown is the sum over the lanes. */
void pr_metric_set(struct pr_metric_lane *lane, uint16_t id, uint32_t cell, int64_t value);

/* The lane's thread only. One observation of a histogram; below 0 counts as 0. */
void pr_metric_observe(struct pr_metric_lane *lane, uint16_t id, uint32_t cell, int64_t value);

/* Any thread. The sum over the lanes; of a histogram, the number of observations. */
int64_t pr_metric_read(const struct pr_metrics *metrics, uint16_t id, uint32_t cell);

/*
 * Any thread. Appends all as Prometheus text (exposition format 0.0.4), every cell from 0 on; of open labels only the words met, and
 * "other" once something fell under it. Numbers of different metrics may be from slightly different moments.
 */
void pr_metrics_write(const struct pr_metrics *metrics, struct pr_buf *out);

#endif
