/* What the files of sending share. */
#ifndef PR_SEND_PRIVATE_H
#define PR_SEND_PRIVATE_H

#include "send/http.h"
#include "send/send.h"

/* What became of a request: curl's callback, and what is called for one that curl did not take. */
void pr_send_answered(void *lane, void *job, const struct pr_answer *answer);

/* Jobs whose time has come: retries are ready again, others ask again. */
void pr_send_wake(struct pr_lane *lane);

/* Ready jobs to curl, by turns. */
void pr_send_serve(struct pr_lane *lane);

#endif
