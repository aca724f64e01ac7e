/* A bucket that is one number: the moment at which it is full again, a step later with each message. */
#include "core/pair.h"

static const int64_t whole_us = (int64_t)PR_PAIR_BURST * PR_PAIR_STEP_US;

/* When it is full again, as it stands now: not before now, and not later than an empty bucket takes. */
static int64_t full_at(const struct pr_pair *pair, int64_t now_us) {
    int64_t at = pair->full_us > now_us ? pair->full_us : now_us;
    return at - now_us < whole_us ? at : now_us + whole_us;
}

int64_t pr_pair_wait(const struct pr_pair *pair, int64_t now_us) {
    int64_t wait_us = full_at(pair, now_us) - now_us - (whole_us - PR_PAIR_STEP_US);
    return wait_us > 0 ? wait_us : 0;
}

void pr_pair_take(struct pr_pair *pair, int64_t now_us) {
    pair->full_us = full_at(pair, now_us) + PR_PAIR_STEP_US;
}

void pr_pair_empty(struct pr_pair *pair, int64_t now_us) {
    pair->full_us = now_us + whole_us;
}

bool pr_pair_is_full(const struct pr_pair *pair, int64_t now_us) {
    return pair->full_us <= now_us && pair->line_us <= now_us;
}

/* With two in the bucket the dry time is over; with one it is the drop that the message waited for. */
enum pr_pair_answer pr_pair_ask(struct pr_pair *pair, bool may_wait, int64_t now_us, int64_t *until_us) {
    int64_t wait_us = pr_pair_wait(pair, now_us);
    bool has_two = full_at(pair, now_us) - now_us <= whole_us - 2 * (int64_t)PR_PAIR_STEP_US;
    if (has_two || pair->dry_us > now_us) {
        pair->dry_us = 0;
    }
    *until_us = now_us + wait_us;
    if (wait_us == 0) {
        return PR_PAIR_GO;
    }
    if (pair->dry_us == 0) {
        pair->dry_us = now_us;
    }
    if (may_wait && *until_us - pair->dry_us <= PR_PAIR_LANE_US) {
        return PR_PAIR_WAIT;
    }
    *until_us = (pair->line_us > *until_us ? pair->line_us : *until_us) + PR_PAIR_STEP_US;
    pair->line_us = *until_us;
    return PR_PAIR_DEFER;
}
