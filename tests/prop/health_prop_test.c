/* Random runs of the ramp and the breaker against what must hold of them in any order of answers. */
#include "core/breaker.h"
#include "core/ramp.h"
#include "core/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static uint64_t random_state;

/* xorshift64*: a fixed seed makes a failure come again. */
static uint64_t next_random(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL;
}

static int64_t below(int64_t n) {
    return (int64_t)(next_random() % (uint64_t)n);
}

enum { STEPS = 200000 };

/* Whatever comes: never above the rate, never under a 60th of it, halved at most once a second and never for what left before the last time. */
static void the_ramp_keeps_its_bounds(void **state) {
    struct pr_ramp ramp;
    int64_t now = 0, halved = -1;
    (void)state;
    random_state = 1;
    pr_ramp_init(&ramp);
    for (int step = 0; step < STEPS; step++) {
        now += below(4) == 0 ? below(20 * SECOND) : below(SECOND / 5);
        double before = pr_ramp_lasting(&ramp, 6000, now);
        int64_t started = now - below(2 * SECOND);
        if (below(3) == 0 && pr_ramp_halve(&ramp, started, now)) {
            assert_true(halved < 0 || (now - halved >= SECOND && started > halved));
            assert_true(pr_ramp_lasting(&ramp, 6000, now) <= before / 2 + 1e-6);
            halved = now;
        }
        if (below(50) == 0)
            pr_ramp_start(&ramp, now + below(3) * SECOND, 1 + (int)below(4));
        double lasting = pr_ramp_lasting(&ramp, 6000, now), now_only = pr_ramp_per_s(&ramp, 6000, now);
        assert_true(lasting <= 6000 && lasting >= 100 - 1e-6);
        assert_true(now_only <= lasting && now_only >= 100 - 1e-6);
        if (halved >= 0 && now - halved >= 60 * SECOND)
            assert_true(lasting == 6000);
    }
}

/* The bucket as shaping sets it while the ramp moves: in no second more than the rate and one burst. */
static void a_bucket_that_follows_the_ramp_never_exceeds_the_rate(void **state) {
    enum { MANY = 20000 };
    static int64_t taken[MANY];
    struct pr_ramp ramp;
    struct pr_rate rate;
    int64_t now = 0;
    size_t n = 0;
    (void)state;
    random_state = 2;
    pr_ramp_init(&ramp);
    pr_rate_init(&rate, 200, now);
    while (n < MANY) {
        now += below(SECOND / 100);
        if (below(2000) == 0)
            (void)pr_ramp_halve(&ramp, now - 1, now);
        if (below(2000) == 0)
            pr_ramp_start(&ramp, now, 3);
        pr_rate_set(&rate, pr_ramp_per_s(&ramp, 200, now), now);
        while (n < MANY && pr_rate_take(&rate, now))
            taken[n++] = now;
    }
    for (size_t first = 0, last = 0; last < n; last++) {
        while (taken[last] - taken[first] > SECOND)
            first++;
        assert_true(last - first + 1 <= 200 + 4);
    }
}

enum { WIRE = 50 };

struct request {
    int64_t started;
    bool is_probe;
};

/* Requests in flight by one breaker, answered in any order. */
struct wire {
    struct pr_breaker breaker;
    struct request open[WIRE];
    size_t n, opened, recovered;
};

/* While it is not closed none passes before its rest is over. */
static void ask(struct wire *wire, int64_t now) {
    bool was_closed = wire->breaker.state == PR_BREAKER_CLOSED;
    int64_t until = wire->breaker.until_ns;
    if (!pr_breaker_pass(&wire->breaker, now))
        return;
    assert_true(was_closed || now >= until);
    wire->open[wire->n++] = (struct request){.started = now, .is_probe = !was_closed};
}

/* While it is not closed only the probe's answer changes anything. */
static void answer(struct wire *wire, bool is_broken, int64_t now) {
    size_t at = (size_t)below((int64_t)wire->n);
    struct request request = wire->open[at];
    wire->open[at] = wire->open[--wire->n];
    bool was_closed = wire->breaker.state == PR_BREAKER_CLOSED;
    enum pr_mark mark = below(10) == 0 ? PR_MARK_NONE : is_broken ? PR_MARK_BAD : PR_MARK_GOOD;
    enum pr_breaker_change change = pr_breaker_mark(&wire->breaker, mark, request.started, now);
    wire->opened += change == PR_BREAKER_OPENED;
    wire->recovered += change == PR_BREAKER_RECOVERED;
    assert_true(was_closed || change == PR_BREAKER_SAME || request.is_probe);
    assert_true(change != PR_BREAKER_OPENED || was_closed);
}

static void of_an_open_breaker_only_the_probe_decides(void **state) {
    static struct wire wire;
    int64_t now = 0;
    bool is_broken = false;
    (void)state;
    random_state = 3;
    for (int step = 0; step < STEPS; step++) {
        now += below(SECOND / 20);
        is_broken = below(1000) == 0 ? !is_broken : is_broken;
        if (wire.n < WIRE && below(2) == 0)
            ask(&wire, now);
        else if (wire.n > 0)
            answer(&wire, is_broken, now);
        if (wire.breaker.state != PR_BREAKER_CLOSED)
            assert_true(wire.breaker.rest_ns >= PR_BREAKER_REST_NS && wire.breaker.rest_ns <= PR_BREAKER_REST_MAX_NS);
    }
    assert_true(wire.opened > 10 && wire.recovered > 10 && wire.opened - wire.recovered <= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ramp_keeps_its_bounds),
        cmocka_unit_test(a_bucket_that_follows_the_ramp_never_exceeds_the_rate),
        cmocka_unit_test(of_an_open_breaker_only_the_probe_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
