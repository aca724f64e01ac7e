/* The statements by which fates are written: one kind each, with the arrays it takes. */
#ifndef PR_SETTLE_WRITE_H
#define PR_SETTLE_WRITE_H

#include "flow/lane.h"

/* One kind of statement; the table is in write.c. */
struct pr_write {
    enum pr_job_write bit;
    const char *name, *sql;
    bool is_by_day; /* one tenant and ledger day a statement */
    bool is_single; /* one job a statement */
    void (*params)(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params);
};

/* The kind of the lowest bit in `writes`, which is not 0: bits are in the order in which they must be written. */
const struct pr_write *pr_write_of(unsigned writes);

#endif
