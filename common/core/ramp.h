/* How much of its share of a rate a sender uses: halved when the platform says "too fast" and won back bit by bit; begun small after a stop. */
#ifndef PR_CORE_RAMP_H
#define PR_CORE_RAMP_H

#include <stdbool.h>
#include <stdint.h>

/* One thread at a time. Times are monotonic. All fields private. */
struct pr_ramp {
    double factor;     /* over 0 to 1, as it was at `at_ns` */
    int64_t at_ns;     /* also the last halving: requests that left before it say nothing new */
    int64_t begins_ns; /* of the slow start */
    int steps;         /* of it, a second each; 0: none */
    bool is_halved;
};

/* Nothing is held back. */
void pr_ramp_init(struct pr_ramp *ramp);

/*
 * The platform refused a request that left at `started_ns` as too fast: half from now on. Only once for all that were on the wire together, and at
 * most once a second, which is the window in which the platform counts. True when it was halved. What is missing comes back evenly, half in 30 s.
 */
bool pr_ramp_halve(struct pr_ramp *ramp, int64_t started_ns, int64_t now_ns);

/* From `from_ns` on a small part, doubled every second and whole after `steps` of them, 1 to 30: a half for 1, an eighth for 3. */
void pr_ramp_start(struct pr_ramp *ramp, int64_t from_ns, int steps);

/* It has not come to its end, or not begun. */
bool pr_ramp_is_starting(const struct pr_ramp *ramp, int64_t now_ns);

/* What of `per_s` (0 or more) may be used at `now_ns`. Never below one a second for a halving, ten a second for a start, unless `per_s` is. */
double pr_ramp_per_s(const struct pr_ramp *ramp, double per_s, int64_t now_ns);

/* The same without the start, which is over in a moment: what may be counted on. */
double pr_ramp_lasting(const struct pr_ramp *ramp, double per_s, int64_t now_ns);

#endif
