/* Moves the times of events to the present, so that recorded ones can be played again. */
#include "publish.h"

#include "base/check.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FACTOR_MAX = 1000000000 };

/* 9999-12-31T23:59:59Z, the last second that a record may carry (base/clock.h). */
static const int64_t time_us_max = INT64_C(253402300799) * 1000000;

bool pr_retime_parse(const char *text, struct pr_retime *out) {
    *out = (struct pr_retime){.mode = PR_RETIME_NOW, .base_us = PR_TIME_NONE, .first_us = PR_TIME_NONE};
    if (strcmp(text, "now") == 0) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    long long factor = strtoll(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || strcmp(end, "x") != 0 || factor < 1 || factor > FACTOR_MAX) {
        return false;
    }
    out->mode = PR_RETIME_FASTER;
    out->factor = factor;
    return true;
}

/* A time stays what a record may carry, however far it is moved. */
static int64_t moved(int64_t us, int64_t distance_us) {
    if (us == PR_TIME_NONE) {
        return us;
    }
    int64_t to = us + distance_us; /* both are within 8,000 years: no overflow */
    return to < 0 ? 0 : to > time_us_max ? time_us_max : to;
}

static void move_to(struct pr_record *record, int64_t us) {
    if (record->time_us != PR_TIME_NONE) {
        int64_t distance_us = us - record->time_us;
        record->notbefore_us = moved(record->notbefore_us, distance_us);
        record->expiry_us = moved(record->expiry_us, distance_us);
    }
    record->time_us = moved(us, 0);
}

void pr_retime_apply(struct pr_retime *retime, int64_t line, struct pr_record *record) {
    switch (retime->mode) {
    case PR_RETIME_NONE: return;
    case PR_RETIME_NOW:
        pr_assert(retime->base_us != PR_TIME_NONE);
        move_to(record, retime->base_us + line);
        return;
    case PR_RETIME_FASTER:
        pr_assert(retime->base_us != PR_TIME_NONE);
        if (record->time_us == PR_TIME_NONE) {
            return;
        }
        if (retime->first_us == PR_TIME_NONE) {
            retime->first_us = record->time_us;
        }
        move_to(record, retime->base_us + (record->time_us - retime->first_us) / retime->factor);
        return;
    }
}
