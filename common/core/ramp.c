/* Additive increase, multiplicative decrease, and a start that doubles: arithmetic on the time since the last event. */
#include "core/ramp.h"

static const int64_t second_ns = 1000000000;

/* A 60th of the rate is won back a second: half in 30 s. So it never falls below a 60th, whose half is won back between two halvings. */
static const double back_a_ns = 1.0 / 60 / 1e9;
static const double floor_per_s = 1, start_per_s = 10;

void pr_ramp_init(struct pr_ramp *ramp) {
    *ramp = (struct pr_ramp){.factor = 1};
}

static double factor_at(const struct pr_ramp *ramp, int64_t now_ns) {
    if (!ramp->is_halved)
        return 1;
    int64_t since_ns = now_ns > ramp->at_ns ? now_ns - ramp->at_ns : 0;
    double factor = ramp->factor + (double)since_ns * back_a_ns;
    return factor < 1 ? factor : 1;
}

bool pr_ramp_halve(struct pr_ramp *ramp, int64_t started_ns, int64_t now_ns) {
    if (ramp->is_halved && (started_ns <= ramp->at_ns || now_ns - ramp->at_ns < second_ns))
        return false;
    ramp->factor = factor_at(ramp, now_ns) / 2;
    ramp->at_ns = now_ns;
    ramp->is_halved = true;
    return true;
}

void pr_ramp_start(struct pr_ramp *ramp, int64_t from_ns, int steps) {
    ramp->begins_ns = from_ns;
    ramp->steps = steps;
}

bool pr_ramp_is_starting(const struct pr_ramp *ramp, int64_t now_ns) {
    return now_ns - ramp->begins_ns < ramp->steps * second_ns;
}

/* `part` of the rate, but not below `least` unless the rate itself is. */
static double part_of(double per_s, double part, double least) {
    double some = per_s * part;
    if (some >= least)
        return some;
    return per_s < least ? per_s : least;
}

double pr_ramp_lasting(const struct pr_ramp *ramp, double per_s, int64_t now_ns) {
    return part_of(per_s, factor_at(ramp, now_ns), floor_per_s);
}

double pr_ramp_per_s(const struct pr_ramp *ramp, double per_s, int64_t now_ns) {
    double lasting = pr_ramp_lasting(ramp, per_s, now_ns);
    if (!pr_ramp_is_starting(ramp, now_ns))
        return lasting;
    int64_t since_ns = now_ns - ramp->begins_ns;
    int64_t gone = since_ns > 0 ? since_ns / second_ns : 0;
    double starting = part_of(per_s, 1.0 / (double)(1 << (ramp->steps - gone)), start_per_s);
    return starting < lasting ? starting : lasting;
}
