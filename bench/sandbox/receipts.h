/* Signed status webhooks about what the sandbox took, sent to a URL. */
#ifndef PR_SANDBOX_RECEIPTS_H
#define PR_SANDBOX_RECEIPTS_H

#include "sandbox.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct pr_receipts;

/* A message that was taken. Spans are copied. */
struct pr_receipt_of {
    const struct pr_number *number;
    struct pr_span person;
    bool is_scoped;
    struct pr_span wamid;
    struct pr_span callback; /* raw inside of a JSON string; p NULL: none */
    const char *category;    /* of pricing: "utility" */
    int failed_code;         /* not 0: `failed` with this code, whatever the mix says */
};

/* NULL when libevent refuses. Off until pr_receipts_set turns it on. */
struct pr_receipts *pr_receipts_new(struct pr_sandbox *sandbox);
void pr_receipts_free(struct pr_receipts *receipts);

/* Applies the settings of key "receipts" (README.md). False with `why`; then nothing has changed. */
bool pr_receipts_set(struct pr_receipts *receipts, const json_t *object, char *why, size_t why_n);

/* The URL and the secret of the command line. False with `why` when it is not http://HOST:PORT/PATH. */
bool pr_receipts_target(struct pr_receipts *receipts, const char *url, const char *secret, char *why, size_t why_n);

/*
 * Draws the fate of a message before it is counted: the code it will fail with, or 0. A message that fails is not delivered
 * and does not count towards the messaging limit.
 */
int pr_receipts_draw_failure(struct pr_receipts *receipts);

/* Schedules the statuses of a message. Does nothing while off. */
void pr_receipts_add(struct pr_receipts *receipts, const struct pr_receipt_of *of);

/* Forgets what is scheduled and not yet on the wire. */
void pr_receipts_clear(struct pr_receipts *receipts);

/* Counters and state. A new reference. */
json_t *pr_receipts_show(const struct pr_receipts *receipts);

#endif
