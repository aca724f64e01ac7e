/* Tests of the metrics: cells, labels closed and open, bucket bounds, and the text that Prometheus reads. */
#include "base/metric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const kinds[] = {"accepted", "rejected", "unknown"};
static struct pr_label kind = PR_LABEL_FIXED("kind", kinds);
static struct pr_label sender = PR_LABEL_OPEN("sender", 4);

enum { SENT, WAITING, BY_KIND, BY_SENDER, BY_BOTH, BY_BOTH_TURNED, LATENCY, METRICS };

static const struct pr_metric_def defs[METRICS] = {
    [SENT] = {.name = "t_sent_total",
              .kind = PR_METRIC_COUNTER,
              .unit = "messages",
              .help = "Sent. Worry when it stands still."},
    [WAITING] = {.name = "t_wait_seconds",
                 .kind = PR_METRIC_GAUGE,
                 .unit = "seconds",
                 .help = "A \\ and\na line.",
                 .per_unit = 1000000},
    [BY_KIND] =
        {.name = "t_kind_total", .kind = PR_METRIC_COUNTER, .unit = "messages", .help = "By kind.", .label = {&kind}},
    [BY_SENDER] =
        {.name = "t_sender", .kind = PR_METRIC_GAUGE, .unit = "messages", .help = "By sender.", .label = {&sender}},
    [BY_BOTH] = {.name = "t_both_total",
                 .kind = PR_METRIC_COUNTER,
                 .unit = "messages",
                 .help = "Both.",
                 .label = {&sender, &kind}},
    [BY_BOTH_TURNED] =
        {.name = "t_turned", .kind = PR_METRIC_GAUGE, .unit = "messages", .help = "Turned.", .label = {&kind, &sender}},
    [LATENCY] = {.name = "t_latency_seconds",
                 .kind = PR_METRIC_HISTOGRAM,
                 .unit = "seconds",
                 .help = "Latency.",
                 .per_unit = 1000000,
                 .low = 2,
                 .high = 5},
};

static struct pr_metrics *metrics;
static struct pr_metric_lane *lane[2];
static struct pr_buf text;

static int open_metrics(void **state) {
    (void)state;
    metrics = pr_metrics_new(defs, METRICS, 2);
    if (!metrics)
        return -1;
    lane[0] = pr_metrics_lane(metrics, 0);
    lane[1] = pr_metrics_lane(metrics, 1);
    pr_buf_init(&text, 1 << 20);
    return 0;
}

static int close_metrics(void **state) {
    (void)state;
    pr_metrics_free(metrics);
    pr_buf_free(&text);
    return 0;
}

static const char *exposition(void) {
    pr_buf_reset(&text);
    pr_metrics_write(metrics, &text);
    assert_false(text.failed);
    return pr_buf_text(&text);
}

static void assert_line(const char *line) {
    const char *found = strstr(exposition(), line);
    if (!found || (found != text.p && found[-1] != '\n') || found[strlen(line)] != '\n')
        fail_msg("no line '%s' in\n%s", line, pr_buf_text(&text));
}

static void counters_are_summed_over_the_lanes(void **state) {
    (void)state;
    pr_metric_add(lane[0], SENT, 0, 3);
    pr_metric_add(lane[1], SENT, 0, 4);
    pr_metric_add(lane[1], SENT, 0, 0);
    assert_int_equal(pr_metric_read(metrics, SENT, 0), 7);
    assert_line("t_sent_total 7");
    assert_line("# TYPE t_sent_total counter");
    assert_line("# HELP t_sent_total Sent. Worry when it stands still. Unit: messages.");
}

static void gauges_are_set_and_shown_in_their_unit(void **state) {
    (void)state;
    pr_metric_set(lane[0], WAITING, 0, 1500000);
    pr_metric_set(lane[1], WAITING, 0, 1);
    assert_line("t_wait_seconds 1.500001");
    pr_metric_set(lane[1], WAITING, 0, -2000000);
    assert_line("t_wait_seconds -0.5");
    pr_metric_add(lane[1], WAITING, 0, 500000);
    assert_line("t_wait_seconds 0");
    assert_line("# HELP t_wait_seconds A \\\\ and\\na line. Unit: seconds.");
}

static void closed_labels_show_every_word_from_zero_on(void **state) {
    (void)state;
    assert_int_equal(pr_label_place(&kind, PR_SPAN("unknown")), 2);
    assert_int_equal(pr_label_place(&kind, PR_SPAN("nonsense")), 0);
    pr_metric_add(lane[0], BY_KIND, 2, 5);
    assert_line("t_kind_total{kind=\"accepted\"} 0");
    assert_line("t_kind_total{kind=\"unknown\"} 5");
}

static void open_labels_take_words_up_to_their_bound_and_other_takes_the_rest(void **state) {
    (void)state;
    assert_int_equal(pr_label_place(&sender, PR_SPAN("a")), 1);
    assert_int_equal(pr_label_place(&sender, PR_SPAN("b\"\\\n")), 2);
    assert_int_equal(pr_label_place(&sender, PR_SPAN("a")), 1);
    assert_int_equal(pr_label_place(&sender, PR_SPAN("c")), 3);
    assert_int_equal(pr_label_place(&sender, PR_SPAN("d")), 0);
    assert_int_equal(pr_label_place(&sender, PR_SPAN("other")), 0);
    pr_metric_set(lane[0], BY_SENDER, 2, 8);
    assert_line("t_sender{sender=\"a\"} 0");
    assert_line("t_sender{sender=\"b\\\"\\\\\\n\"} 8");
    assert_null(strstr(exposition(), "sender=\"other\""));
    pr_metric_set(lane[0], BY_SENDER, 0, 1);
    assert_line("t_sender{sender=\"other\"} 1");
}

static void a_label_word_is_cut_to_its_room(void **state) {
    (void)state;
    char word[200];
    memset(word, 'w', sizeof word);
    uint16_t place = pr_label_place(&sender, pr_span_make(word, sizeof word));
    assert_int_equal(place, 1);
    assert_int_equal(pr_label_place(&sender, pr_span_make(word, PR_LABEL_TEXT - 1)), 1);
    assert_int_equal(pr_label_place(&sender, pr_span_make(word, PR_LABEL_TEXT - 2)), 2);
    assert_int_equal(pr_label_place(&sender, pr_span_make(NULL, 0)), 3);
}

static void words_are_forgotten_with_the_metrics(void **state) {
    (void)state;
    assert_null(strstr(exposition(), "sender=\"a\""));
}

static void two_labels_make_a_grid(void **state) {
    (void)state;
    uint16_t place = pr_label_place(&sender, PR_SPAN("a"));
    pr_metric_add(lane[0], BY_BOTH, pr_metric_cell(&defs[BY_BOTH], place, 2), 6);
    pr_metric_add(lane[1], BY_BOTH, pr_metric_cell(&defs[BY_BOTH], place, 0), 1);
    assert_line("t_both_total{sender=\"a\",kind=\"accepted\"} 1");
    assert_line("t_both_total{sender=\"a\",kind=\"rejected\"} 0");
    assert_line("t_both_total{sender=\"a\",kind=\"unknown\"} 6");
    assert_null(strstr(pr_buf_text(&text), "t_both_total{sender=\"other\""));
    pr_metric_set(lane[0], BY_BOTH_TURNED, pr_metric_cell(&defs[BY_BOTH_TURNED], 1, place), 4);
    assert_line("t_turned{kind=\"rejected\",sender=\"a\"} 4");
    assert_null(strstr(pr_buf_text(&text), "sender=\"\""));
}

static void bucket_bounds_are_inclusive(void **state) {
    (void)state;
    /* Bounds: 4, 5 6 7 8, 10 12 14 16, 20 24 28 32 µs. */
    static const struct {
        int64_t value;
        const char *first; /* the lowest bound that counts it */
        const char *under; /* the one before */
    } cases[] = {
        {0, "0.000004", NULL},
        {-5, "0.000004", NULL},
        {4, "0.000004", NULL},
        {5, "0.000005", "0.000004"},
        {8, "0.000008", "0.000007"},
        {9, "0.00001", "0.000008"},
        {10, "0.00001", "0.000008"},
        {11, "0.000012", "0.00001"},
        {16, "0.000016", "0.000014"},
        {17, "0.00002", "0.000016"},
        {32, "0.000032", "0.000028"},
        {33, "+Inf", "0.000032"},
        {INT64_MAX / 4, "+Inf", "0.000032"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[100];
        pr_metric_observe(lane[i % 2], LATENCY, 0, cases[i].value);
        snprintf(line, sizeof line, "t_latency_seconds_bucket{le=\"%s\"} 1", cases[i].first);
        assert_line(line);
        if (cases[i].under) {
            snprintf(line, sizeof line, "t_latency_seconds_bucket{le=\"%s\"} 0", cases[i].under);
            assert_line(line);
        }
        close_metrics(NULL);
        open_metrics(NULL);
    }
}

static void a_histogram_shows_rising_buckets_sum_and_count(void **state) {
    (void)state;
    for (int64_t value = 1; value <= 40; value++)
        pr_metric_observe(lane[value % 2], LATENCY, 0, value);
    assert_int_equal(pr_metric_read(metrics, LATENCY, 0), 40);
    assert_line("t_latency_seconds_bucket{le=\"0.000016\"} 16");
    assert_line("t_latency_seconds_bucket{le=\"0.000028\"} 28");
    assert_line("t_latency_seconds_bucket{le=\"+Inf\"} 40");
    assert_line("t_latency_seconds_sum 0.00082");
    assert_line("t_latency_seconds_count 40");
}

static void each_value_lies_within_a_quarter_of_its_bound(void **state) {
    (void)state;
    static const struct pr_metric_def wide[] = {
        {.name = "w", .kind = PR_METRIC_HISTOGRAM, .unit = "x", .help = "W.", .low = 2, .high = 60}};
    for (int64_t value = 5; value < INT64_C(1) << 59; value += value / 3 + 1) {
        struct pr_metrics *one = pr_metrics_new(wide, 1, 1);
        pr_metric_observe(pr_metrics_lane(one, 0), 0, 0, value);
        pr_buf_reset(&text);
        pr_metrics_write(one, &text);
        const char *hit = strstr(pr_buf_text(&text), "\"} 1\n");
        const char *number = hit;
        while (number[-1] != '"')
            number--;
        int64_t upper = strtoll(number, NULL, 10);
        if (upper < value || (upper - value) * 4 > value)
            fail_msg("%lld fell under %lld", (long long)value, (long long)upper);
        pr_metrics_free(one);
    }
}

enum { ROUNDS = 200000 };

static void *count(void *arg) {
    for (int i = 0; i < ROUNDS; i++) {
        pr_metric_add(arg, SENT, 0, 1);
        pr_metric_observe(arg, LATENCY, 0, i % 50);
        if (i % 1000 == 0)
            pr_label_place(&sender, i % 2000 ? PR_SPAN("x") : PR_SPAN("y"));
    }
    return NULL;
}

static void lanes_count_at_once_while_someone_reads(void **state) {
    (void)state;
    pthread_t thread[2];
    int64_t last = 0;
    bool fell = false;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, count, lane[i]);
    for (int i = 0; i < 50; i++) {
        exposition();
        int64_t now = pr_metric_read(metrics, SENT, 0);
        fell = fell || now < last;
        last = now;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_false(fell);
    assert_int_equal(pr_metric_read(metrics, SENT, 0), 2 * ROUNDS);
    assert_int_equal(pr_metric_read(metrics, LATENCY, 0), 2 * ROUNDS);
    assert_int_equal(pr_label_place(&sender, PR_SPAN("x")) + pr_label_place(&sender, PR_SPAN("y")), 3);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_metrics, close_metrics)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(counters_are_summed_over_the_lanes),
        TEST(gauges_are_set_and_shown_in_their_unit),
        TEST(closed_labels_show_every_word_from_zero_on),
        TEST(open_labels_take_words_up_to_their_bound_and_other_takes_the_rest),
        TEST(a_label_word_is_cut_to_its_room),
        TEST(words_are_forgotten_with_the_metrics),
        TEST(two_labels_make_a_grid),
        TEST(bucket_bounds_are_inclusive),
        TEST(a_histogram_shows_rising_buckets_sum_and_count),
        TEST(each_value_lies_within_a_quarter_of_its_bound),
        TEST(lanes_count_at_once_while_someone_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
