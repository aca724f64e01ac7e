/* The token bucket in whole numbers: every rounding is down, so it can only be late, never too fast. */
#include "core/rate.h"

/* Rates outside are cut: slower than one message in 31 years, or so fast that products leave 64 bits. */
static const double per_s_min = 1e-9, per_s_max = 1e9;
static const int64_t message_nano = 1000000000, second_ns = 1000000000;

/* 2 % under the rate: the platform's clock and ours differ, and its window is not ours. */
static const double refill_share = 0.98;

static int64_t refill_nano(double per_s) {
    if (!(per_s > per_s_min)) /* also what is not a number */
        per_s = per_s_min;
    if (per_s > per_s_max)
        per_s = per_s_max;
    int64_t nano = (int64_t)(per_s * refill_share * 1e9);
    return nano > 0 ? nano : 1;
}

/* Whoever takes is a little late each time: with no more room than one message a slow bucket would lose that, some 4 % at 30 a second. */
static void set_depth(struct pr_rate *rate, double per_s) {
    rate->per_s_nano = refill_nano(per_s);
    int64_t late = rate->per_s_nano / 100; /* 10 ms */
    rate->burst_nano = late > message_nano ? 2 * late : message_nano + late;
}

/*
 * What `elapsed` ns refill, at most `room`. Quotient and rest of the rate are multiplied apart: `elapsed` is first cut to the
 * time in which a whole burst refills (20 ms, or one message's time and 10 ms for slow rates), so neither product passes 2^60.
 */
static int64_t refill(const struct pr_rate *rate, int64_t elapsed, int64_t room) {
    int64_t one_ns = message_nano * second_ns / rate->per_s_nano;
    int64_t late_ns = second_ns / 100;
    int64_t full_ns = one_ns > late_ns ? one_ns + late_ns : 2 * late_ns;
    if (elapsed > full_ns)
        return room;
    int64_t tokens = elapsed * (rate->per_s_nano / second_ns) + elapsed * (rate->per_s_nano % second_ns) / second_ns;
    return tokens < room ? tokens : room;
}

static int64_t tokens_at(const struct pr_rate *rate, int64_t now_ns) {
    if (now_ns <= rate->at_ns)
        return rate->tokens_nano;
    return rate->tokens_nano + refill(rate, now_ns - rate->at_ns, rate->burst_nano - rate->tokens_nano);
}

static void advance(struct pr_rate *rate, int64_t now_ns) {
    if (now_ns <= rate->at_ns)
        return;
    rate->tokens_nano = tokens_at(rate, now_ns);
    rate->at_ns = now_ns;
}

void pr_rate_init(struct pr_rate *rate, double per_s, int64_t now_ns) {
    set_depth(rate, per_s);
    rate->tokens_nano = rate->burst_nano;
    rate->at_ns = now_ns;
}

void pr_rate_set(struct pr_rate *rate, double per_s, int64_t now_ns) {
    advance(rate, now_ns);
    set_depth(rate, per_s);
    if (rate->tokens_nano > rate->burst_nano)
        rate->tokens_nano = rate->burst_nano;
}

/* A refusal leaves the bucket as it is: a refill at each question would lose the rounding each time. */
bool pr_rate_take(struct pr_rate *rate, int64_t now_ns) {
    if (tokens_at(rate, now_ns) < message_nano)
        return false;
    advance(rate, now_ns);
    rate->tokens_nano -= message_nano;
    return true;
}

/* Rounded up to the ns, and from the stored state rather than from the rounded one: after it, take says yes. */
int64_t pr_rate_wait(const struct pr_rate *rate, int64_t now_ns) {
    if (tokens_at(rate, now_ns) >= message_nano)
        return 0;
    int64_t missing = message_nano - rate->tokens_nano; /* at most one message: the product stays in 60 bits */
    int64_t wait = (missing * second_ns + rate->per_s_nano - 1) / rate->per_s_nano;
    return now_ns > rate->at_ns ? wait - (now_ns - rate->at_ns) : wait + (rate->at_ns - now_ns);
}
