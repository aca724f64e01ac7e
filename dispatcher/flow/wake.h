/* Waking what waits in `deferred` for a sender or template that may go again. */
#ifndef PR_FLOW_WAKE_H
#define PR_FLOW_WAKE_H

#include "flow/lane.h"

/*
 * Makes the waiting rows due now, in portions, over the lane's settling connection. `book` is what the other pointers point into. Without a sender it
 * is a template that was waited for; without a template any of them, of every tenant. What cannot be woken comes when its own time is over.
 */
void pr_wake_waiting(struct pr_lane *lane, struct pr_book *book, const struct pr_tenant *tenant,
                     const struct pr_sender *sender, const struct pr_template *tpl);

#endif
