/* Random runs against plain models: the tracker against a list of all offsets, the token bucket against every window of its takes. */
#include "core/rate.h"
#include "core/tracker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t random_state;

/* xorshift64*: a fixed seed makes a failure come again. */
static uint64_t next_random(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL;
}

static uint64_t below(uint64_t n) {
    return next_random() % n;
}

enum { STEPS = 200000, WINDOW = 37 };

/* Everything ever delivered, in order; the front is found by walking from the start of what it has not passed. */
struct model {
    struct {
        int64_t offset;
        uint32_t slot;
        bool is_settled;
    } all[STEPS];
    size_t n, front;
    int64_t next;
};

/* After something settled: the oldest that is open, or one beyond the newest. */
static void model_move(struct model *model) {
    size_t before = model->front;
    while (model->front < model->n && model->all[model->front].is_settled)
        model->front++;
    if (model->front > before)
        model->next = model->front < model->n ? model->all[model->front].offset : model->all[model->n - 1].offset + 1;
}

static size_t model_open(const struct model *model) {
    size_t open = 0;
    for (size_t i = model->front; i < model->n; i++)
        open += !model->all[i].is_settled;
    return open;
}

static bool model_has_room(const struct model *model, const struct pr_tracker *tracker, int64_t offset) {
    size_t open = model_open(model);
    return open == 0 || (open < WINDOW && offset - model->all[model->front].offset < tracker->span);
}

static void deliver(struct pr_tracker *tracker, struct model *model, int64_t offset) {
    uint32_t slot = pr_tracker_deliver(tracker, offset);
    for (size_t i = model->front; i < model->n; i++)
        assert_true(model->all[i].is_settled || model->all[i].slot != slot);
    model->all[model->n].offset = offset;
    model->all[model->n].slot = slot;
    model->n++;
}

/* Any that is open; when `is_stuck`, the oldest only when it is the last. */
static size_t choose(const struct model *model, bool is_stuck) {
    bool has_others = model_open(model) > 1;
    size_t at = is_stuck || !has_others ? model->front : model->front + below(model->n - model->front);
    while (has_others && (model->all[at].is_settled || (is_stuck && at == model->front)))
        at = model->front + below(model->n - model->front);
    return at;
}

static void settle(struct pr_tracker *tracker, struct model *model, bool is_stuck) {
    size_t at = choose(model, is_stuck);
    int64_t before = model->next;
    model->all[at].is_settled = true;
    model_move(model);
    bool has_moved = pr_tracker_settle(tracker, model->all[at].slot);
    assert_int_equal(has_moved, model->next != before);
}

static void the_tracker_agrees_with_a_plain_list(void **state) {
    (void)state;
    static struct model model;
    struct pr_tracker tracker;
    int64_t offset = 1000;
    size_t full = 0;
    random_state = 20261120;
    model.next = -1;
    assert_true(pr_tracker_init(&tracker, WINDOW));
    for (int step = 0; step < STEPS; step++) {
        /* Phases that fill and phases that drain, so that both ends of the window are visited. */
        bool wants_delivery = below(100) < (step / 500 % 2 ? 70U : 30U);
        bool has_room = model_has_room(&model, &tracker, offset);
        assert_int_equal(pr_tracker_has_room(&tracker, offset), has_room);
        full += !has_room && model_open(&model) < WINDOW;
        if (wants_delivery && has_room) {
            deliver(&tracker, &model, offset);
            offset += 1 + (int64_t)(below(10) == 0 ? below(5) : 0); /* now and then a gap */
            offset += below(1000) == 0 ? 2 * tracker.span : 0;
        } else if (model.front < model.n) {
            settle(&tracker, &model, step / 20000 % 2 == 1);
        }
        assert_int_equal(tracker.next, model.next);
        assert_int_equal(pr_tracker_open(&tracker), model_open(&model));
    }
    assert_true(model.n > STEPS / 4);
    assert_true(full > 100); /* times that the ring was the limit, and not the window */
    pr_tracker_free(&tracker);
}

enum { TAKES = 3000 };

/* Over every window between two takes: at most rate * window + burst. Exact, in nano-messages. */
static void assert_no_window_is_exceeded(const int64_t *at_ns, size_t n, double per_s, double burst) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i; k < n; k++) {
            double allowed = per_s * (double)(at_ns[k] - at_ns[i]) / 1e9 + burst;
            if ((double)(k - i + 1) > allowed + 1e-6)
                fail_msg("rate %g: %zu messages in %lld ns", per_s, k - i + 1, (long long)(at_ns[k] - at_ns[i]));
        }
    }
}

static int64_t random_pause(const struct pr_rate *rate, int64_t now) {
    switch (below(4)) {
    case 0: return 0;
    case 1: return (int64_t)below(1000);
    case 2: return pr_rate_wait(rate, now);
    default: return (int64_t)below((uint64_t)pr_rate_wait(rate, now) * 3 + 1);
    }
}

static void no_window_of_the_bucket_exceeds_rate_times_window_plus_burst(void **state) {
    (void)state;
    static const double rates[] = {0.5, 20, 80, 1000, 33333.3};
    static int64_t at_ns[TAKES];
    random_state = 424242;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pr_rate rate;
        int64_t now = (int64_t)below(1000000000);
        double burst = rates[i] * 0.01 > 1 ? rates[i] * 0.02 : 1 + rates[i] * 0.01;
        size_t n = 0;
        pr_rate_init(&rate, rates[i], now);
        while (n < TAKES) {
            now += random_pause(&rate, now);
            if (below(50) == 0)
                now -= (int64_t)below(1000); /* the clock as another thread saw it */
            if (pr_rate_take(&rate, now))
                at_ns[n++] = now;
        }
        assert_no_window_is_exceeded(at_ns, n, rates[i], burst + rates[i] * 1e-6);
    }
}

static void a_rate_that_changes_never_exceeds_the_largest_it_had(void **state) {
    (void)state;
    static int64_t at_ns[TAKES];
    struct pr_rate rate;
    int64_t now = 0;
    size_t n = 0;
    random_state = 777;
    pr_rate_init(&rate, 1000, now);
    while (n < TAKES) {
        now += random_pause(&rate, now);
        if (below(20) == 0)
            pr_rate_set(&rate, 1000.0 / (double)(1 + below(4)), now);
        if (pr_rate_take(&rate, now))
            at_ns[n++] = now;
    }
    assert_no_window_is_exceeded(at_ns, n, 1000, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tracker_agrees_with_a_plain_list),
        cmocka_unit_test(no_window_of_the_bucket_exceeds_rate_times_window_plus_burst),
        cmocka_unit_test(a_rate_that_changes_never_exceeds_the_largest_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
