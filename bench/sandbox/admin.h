/* The sandbox's own endpoints under /_sandbox/, for tests and for whoever runs it; answered to loopback peers only. */
#ifndef PR_SANDBOX_ADMIN_H
#define PR_SANDBOX_ADMIN_H

#include "answer.h"
#include "head.h"
#include "sandbox.h"

/* Answers every request: those under /_sandbox/ here, all others by pr_platform_answer. */
void pr_admin_answer(struct pr_sandbox *sandbox, const struct pr_request *request, struct pr_answer *answer);

#endif
