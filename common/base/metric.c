/* The cells of all metrics, and their text. A lane writes its own cells without a lock; a reader sums over the lanes. */
#include "base/metric.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64, PER_DOUBLING = 4, HISTOGRAM_LOW_MIN = 2, HISTOGRAM_HIGH_MAX = 60 };

struct pr_metric_lane {
    const struct pr_metrics *metrics;
    _Atomic int64_t *slot; /* all slots of the lane, in lines of the cache that no other lane writes to */
};

struct pr_metrics {
    const struct pr_metric_def *defs;
    uint16_t defs_n, lanes_n;
    uint32_t *first; /* slot where a metric begins */
    uint32_t slots;
    struct pr_metric_lane *lane;
};

static uint32_t cells_of(const struct pr_metric_def *def) {
    uint32_t cells = def->label[0] ? def->label[0]->capacity : 1;
    return def->label[1] ? cells * def->label[1]->capacity : cells;
}

/* Buckets with a bound; one more takes what is above them all. */
static uint32_t bounds_of(const struct pr_metric_def *def) {
    return 1 + (uint32_t)(def->high - def->low) * PER_DOUBLING;
}

/* A histogram's cell: its buckets, the one above, the sum. */
static uint32_t width_of(const struct pr_metric_def *def) {
    return def->kind == PR_METRIC_HISTOGRAM ? bounds_of(def) + 2 : 1;
}

static int64_t bound(const struct pr_metric_def *def, uint32_t bucket) {
    if (bucket == 0)
        return INT64_C(1) << def->low;
    uint32_t doubling = (bucket - 1) / PER_DOUBLING, part = (bucket - 1) % PER_DOUBLING + 1;
    int64_t base = INT64_C(1) << (def->low + doubling);
    return base + base / PER_DOUBLING * part;
}

/* The first bucket whose bound is not under `value`: bounds are inclusive, as Prometheus's `le` is; hence the minus one. */
static uint32_t bucket_of(const struct pr_metric_def *def, int64_t value) {
    if (value <= INT64_C(1) << def->low)
        return 0;
    uint64_t below = (uint64_t)value - 1;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(below);
    if (power >= def->high)
        return bounds_of(def);
    uint32_t part = (uint32_t)(below >> (power - 2)) & (PER_DOUBLING - 1);
    return 1 + (power - def->low) * PER_DOUBLING + part;
}

static bool is_well_formed(const struct pr_metric_def *def) {
    if (!def->name || !def->unit || !def->help || def->per_unit < 0 || (def->label[1] && !def->label[0]))
        return false;
    if (cells_of(def) == 0 || cells_of(def) > PR_METRIC_CELLS_MAX)
        return false;
    if (def->kind != PR_METRIC_HISTOGRAM)
        return true;
    return def->low >= HISTOGRAM_LOW_MIN && def->low < def->high && def->high <= HISTOGRAM_HIGH_MAX;
}

static bool lay_out(struct pr_metrics *metrics) {
    metrics->first = calloc((size_t)metrics->defs_n + 1, sizeof *metrics->first);
    if (!metrics->first)
        return false;
    for (uint16_t id = 0; id < metrics->defs_n; id++) {
        const struct pr_metric_def *def = &metrics->defs[id];
        pr_assert(is_well_formed(def));
        metrics->first[id] = metrics->slots;
        metrics->slots += cells_of(def) * width_of(def);
    }
    return true;
}

static bool open_labels(const struct pr_metrics *metrics) {
    for (uint16_t id = 0; id < metrics->defs_n; id++) {
        for (int i = 0; i < PR_LABELS_MAX && metrics->defs[id].label[i]; i++) {
            struct pr_label *label = metrics->defs[id].label[i];
            if (label->fixed || label->word)
                continue;
            label->word = calloc(label->capacity, sizeof *label->word);
            if (!label->word)
                return false;
            memcpy(label->word[0], "other", sizeof "other");
        }
    }
    return true;
}

static void close_labels(const struct pr_metrics *metrics) {
    for (uint16_t id = 0; id < metrics->defs_n; id++) {
        for (int i = 0; i < PR_LABELS_MAX && metrics->defs[id].label[i]; i++) {
            struct pr_label *label = metrics->defs[id].label[i];
            free(label->word);
            label->word = NULL;
            atomic_store(&label->n, 0);
        }
    }
}

static bool open_lanes(struct pr_metrics *metrics) {
    size_t bytes = ((size_t)metrics->slots * sizeof(int64_t) / CACHE_LINE + 1) * CACHE_LINE;
    metrics->lane = calloc(metrics->lanes_n, sizeof *metrics->lane);
    if (!metrics->lane)
        return false;
    for (uint16_t i = 0; i < metrics->lanes_n; i++) {
        metrics->lane[i].metrics = metrics;
        metrics->lane[i].slot = aligned_alloc(CACHE_LINE, bytes);
        if (!metrics->lane[i].slot)
            return false;
        for (uint32_t k = 0; k < metrics->slots; k++)
            atomic_init(&metrics->lane[i].slot[k], 0);
    }
    return true;
}

struct pr_metrics *pr_metrics_new(const struct pr_metric_def *defs, uint16_t n, uint16_t lanes) {
    struct pr_metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return NULL;
    metrics->defs = defs;
    metrics->defs_n = n;
    metrics->lanes_n = lanes;
    if (lay_out(metrics) && open_labels(metrics) && open_lanes(metrics))
        return metrics;
    pr_metrics_free(metrics);
    return NULL;
}

void pr_metrics_free(struct pr_metrics *metrics) {
    if (!metrics)
        return;
    for (uint16_t i = 0; metrics->lane && i < metrics->lanes_n; i++)
        free(metrics->lane[i].slot);
    close_labels(metrics);
    free(metrics->lane);
    free(metrics->first);
    free(metrics);
}

struct pr_metric_lane *pr_metrics_lane(struct pr_metrics *metrics, uint16_t lane) {
    pr_assert(lane < metrics->lanes_n);
    return &metrics->lane[lane];
}

static const char *word_at(const struct pr_label *label, uint32_t place) {
    return label->fixed ? label->fixed[place] : label->word[place];
}

/* Words in use; readers see those whose text was complete when the count was raised. */
static uint32_t words_of(const struct pr_label *label) {
    return label->fixed ? label->capacity : 1U + atomic_load_explicit(&label->n, memory_order_acquire);
}

static uint16_t find_word(const struct pr_label *label, struct pr_span word) {
    uint32_t n = words_of(label);
    for (uint32_t place = 0; place < n; place++) {
        if (pr_span_is(word, word_at(label, place)))
            return (uint16_t)place;
    }
    return 0;
}

uint16_t pr_label_place(struct pr_label *label, struct pr_span word) {
    if (word.n > PR_LABEL_TEXT - 1)
        word.n = PR_LABEL_TEXT - 1;
    uint16_t place = find_word(label, word);
    if (place > 0 || label->fixed || pr_span_is(word, word_at(label, 0)))
        return place;
    pthread_mutex_lock(&label->lock);
    place = find_word(label, word); /* another thread may have met it meanwhile */
    uint32_t n = words_of(label);
    if (place == 0 && n < label->capacity) {
        if (word.n > 0)
            memcpy(label->word[n], word.p, word.n);
        label->word[n][word.n] = '\0';
        atomic_store_explicit(&label->n, (uint16_t)n, memory_order_release);
        place = (uint16_t)n;
    }
    pthread_mutex_unlock(&label->lock);
    return place;
}

static uint32_t slot_of(const struct pr_metrics *metrics, uint16_t id, uint32_t cell) {
    pr_assert(id < metrics->defs_n && cell < cells_of(&metrics->defs[id]));
    return metrics->first[id] + cell * width_of(&metrics->defs[id]);
}

/* A lane has one writer, so load and store need not be one step; the atomics only keep readers from seeing half a number. */
static void add(_Atomic int64_t *slot, int64_t n) {
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + n, memory_order_relaxed);
}

void pr_metric_add(struct pr_metric_lane *lane, uint16_t id, uint32_t cell, int64_t n) {
    const struct pr_metric_def *def = &lane->metrics->defs[id];
    pr_assert(def->kind == PR_METRIC_GAUGE || (def->kind == PR_METRIC_COUNTER && n >= 0));
    add(&lane->slot[slot_of(lane->metrics, id, cell)], n);
}

void pr_metric_set(struct pr_metric_lane *lane, uint16_t id, uint32_t cell, int64_t value) {
    pr_assert(lane->metrics->defs[id].kind == PR_METRIC_GAUGE);
    atomic_store_explicit(&lane->slot[slot_of(lane->metrics, id, cell)], value, memory_order_relaxed);
}

void pr_metric_observe(struct pr_metric_lane *lane, uint16_t id, uint32_t cell, int64_t value) {
    const struct pr_metric_def *def = &lane->metrics->defs[id];
    pr_assert(def->kind == PR_METRIC_HISTOGRAM);
    uint32_t slot = slot_of(lane->metrics, id, cell);
    if (value < 0)
        value = 0;
    add(&lane->slot[slot + bucket_of(def, value)], 1);
    add(&lane->slot[slot + bounds_of(def) + 1], value);
}

static int64_t sum(const struct pr_metrics *metrics, uint32_t slot) {
    int64_t total = 0;
    for (uint16_t i = 0; i < metrics->lanes_n; i++)
        total += atomic_load_explicit(&metrics->lane[i].slot[slot], memory_order_relaxed);
    return total;
}

int64_t pr_metric_read(const struct pr_metrics *metrics, uint16_t id, uint32_t cell) {
    const struct pr_metric_def *def = &metrics->defs[id];
    uint32_t slot = slot_of(metrics, id, cell);
    if (def->kind != PR_METRIC_HISTOGRAM)
        return sum(metrics, slot);
    int64_t count = 0;
    for (uint32_t bucket = 0; bucket <= bounds_of(def); bucket++)
        count += sum(metrics, slot + bucket);
    return count;
}

/* Help and label values have their own escapes in the format; a quote needs one only inside quotes, and harms nowhere else. */
static void put_text(struct pr_buf *out, const char *text, bool is_quoted) {
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            pr_buf_put_text(out, "\\n");
        else if (*text == '\\' || (*text == '"' && is_quoted))
            pr_buf_printf(out, "\\%c", *text);
        else
            pr_buf_put_char(out, *text);
    }
}

static void put_label(struct pr_buf *out, char before, const char *name, const char *word) {
    pr_buf_printf(out, "%c%s=\"", before, name);
    put_text(out, word, true);
    pr_buf_put_char(out, '"');
}

/* In the shown unit, whole when it is whole and exact to the digit otherwise: no double comes between. */
static void put_number(struct pr_buf *out, const struct pr_metric_def *def, int64_t value) {
    int64_t per_unit = def->per_unit ? def->per_unit : 1;
    uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
    uint64_t rest = size % (uint64_t)per_unit;
    pr_buf_printf(out, "%s%" PRIu64, value < 0 ? "-" : "", size / (uint64_t)per_unit);
    if (rest == 0)
        return;
    pr_buf_put_char(out, '.');
    for (int digits = 0; rest != 0 && digits < 9; digits++) {
        rest *= 10;
        pr_buf_printf(out, "%u", (unsigned)(rest / (uint64_t)per_unit));
        rest %= (uint64_t)per_unit;
    }
}

/* One cell of a metric on its way into the text. */
struct series {
    const struct pr_metrics *metrics;
    const struct pr_metric_def *def;
    uint32_t cell;
    uint32_t slot;
};

static void put_labels(struct pr_buf *out, const struct series *series, char *before) {
    const struct pr_label *const *label = (const struct pr_label *const *)series->def->label;
    uint32_t first = label[1] ? series->cell / label[1]->capacity : series->cell;
    *before = '{';
    if (label[0]) {
        put_label(out, *before, label[0]->name, word_at(label[0], first));
        *before = ',';
    }
    if (label[1])
        put_label(out, *before, label[1]->name, word_at(label[1], series->cell % label[1]->capacity));
}

static void put_value(struct pr_buf *out, const struct series *series, const char *suffix, int64_t value, bool is_count) {
    static const struct pr_metric_def plain = {.per_unit = 1};
    char before;
    pr_buf_printf(out, "%s%s", series->def->name, suffix);
    put_labels(out, series, &before);
    pr_buf_put_text(out, before == ',' ? "} " : " ");
    put_number(out, is_count ? &plain : series->def, value);
    pr_buf_put_char(out, '\n');
}

static void put_bucket(struct pr_buf *out, const struct series *series, uint32_t bucket, int64_t count) {
    char before;
    pr_buf_printf(out, "%s_bucket", series->def->name);
    put_labels(out, series, &before);
    pr_buf_printf(out, "%cle=\"", before);
    if (bucket < bounds_of(series->def))
        put_number(out, series->def, bound(series->def, bucket));
    else
        pr_buf_put_text(out, "+Inf");
    pr_buf_printf(out, "\"} %" PRId64 "\n", count);
}

static void put_histogram(struct pr_buf *out, const struct series *series) {
    uint32_t bounds = bounds_of(series->def);
    int64_t count = 0;
    for (uint32_t bucket = 0; bucket <= bounds; bucket++) {
        count += sum(series->metrics, series->slot + bucket);
        put_bucket(out, series, bucket, count);
    }
    put_value(out, series, "_sum", sum(series->metrics, series->slot + bounds + 1), false);
    put_value(out, series, "_count", count, true);
}

/* Words not met yet have no series, and "other" has one only once something fell under it. All else is shown from 0 on. */
static bool is_shown(const struct pr_metrics *metrics, uint16_t id, uint32_t cell) {
    const struct pr_label *first = metrics->defs[id].label[0], *second = metrics->defs[id].label[1];
    uint32_t place = second ? cell / second->capacity : cell;
    uint32_t place_other = second ? cell % second->capacity : 0;
    if (!first)
        return true;
    if (place >= words_of(first) || (second && place_other >= words_of(second)))
        return false;
    bool is_other = (!first->fixed && place == 0) || (second && !second->fixed && place_other == 0);
    return !is_other || pr_metric_read(metrics, id, cell) != 0;
}

static void put_metric(struct pr_buf *out, const struct pr_metrics *metrics, uint16_t id) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const struct pr_metric_def *def = &metrics->defs[id];
    pr_buf_printf(out, "# HELP %s ", def->name);
    put_text(out, def->help, false);
    pr_buf_printf(out, " Unit: %s.\n# TYPE %s %s\n", def->unit, def->name, kinds[def->kind]);
    for (uint32_t cell = 0; cell < cells_of(def); cell++) {
        struct series series = {metrics, def, cell, slot_of(metrics, id, cell)};
        if (!is_shown(metrics, id, cell))
            continue;
        if (def->kind == PR_METRIC_HISTOGRAM)
            put_histogram(out, &series);
        else
            put_value(out, &series, "", sum(metrics, series.slot), false);
    }
}

void pr_metrics_write(const struct pr_metrics *metrics, struct pr_buf *out) {
    for (uint16_t id = 0; id < metrics->defs_n; id++)
        put_metric(out, metrics, id);
}
