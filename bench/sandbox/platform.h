/* The platform's side of a send: who asks, what for, whether it may, and what becomes of it. */
#ifndef PR_SANDBOX_PLATFORM_H
#define PR_SANDBOX_PLATFORM_H

#include "answer.h"
#include "head.h"
#include "sandbox.h"

enum { PR_MESSAGE_BYTES_MAX = 65536 }; /* body of a message; above it, error 100 */

/*
 * Decides about one request and builds its answer: POST /{version}/{phone_number_id}/messages, …/marketing_messages, POST
 * /messages (360dialog), GET /{version}/{phone_number_id}. What is accepted is counted and recorded when this returns, whatever then
 * happens to the answer.
 */
void pr_platform_answer(struct pr_sandbox *sandbox, const struct pr_request *request, struct pr_answer *answer);

#endif
