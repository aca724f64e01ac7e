/* What an answer of the platform means: one table from code and transport result to a closed set of actions. */
#ifndef PR_CORE_OUTCOME_H
#define PR_CORE_OUTCOME_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum pr_outcome_kind {
    PR_OUTCOME_ACCEPTED,
    PR_OUTCOME_RETRY,         /* not accepted; the same message may go again after a backoff */
    PR_OUTCOME_DEFER,         /* not accepted; not before `wait_us` */
    PR_OUTCOME_REJECT,        /* not accepted, final for this message */
    PR_OUTCOME_STOP_TEMPLATE, /* not accepted; the template cannot be sent */
    PR_OUTCOME_STOP_SENDER,   /* not accepted; the sender cannot send */
    PR_OUTCOME_UNKNOWN,       /* may or may not have been accepted */
};
const char *pr_outcome_kind_name(enum pr_outcome_kind kind);

/* What must slow down or wait; meaningful with RETRY and DEFER. */
enum pr_scope { PR_SCOPE_MESSAGE, PR_SCOPE_PAIR, PR_SCOPE_SENDER, PR_SCOPE_ACCOUNT };
const char *pr_scope_name(enum pr_scope scope); /* "message", … */

/* Whom an answer speaks against: what circuit breakers and rates are told. */
enum pr_blame {
    PR_BLAME_NONE,     /* the message or its recipient: sender and way are fine */
    PR_BLAME_SENDER,   /* the way to the platform by that sender is broken */
    PR_BLAME_TEMPLATE, /* the template, or how we fill it, is wrong; the sender is fine */
    PR_BLAME_RATE,     /* the sender went too fast; says nothing of sender and template */
    PR_BLAME_UNCLEAR,  /* says nothing of either */
};

/* How the transfer itself ended; filled by the sender from libcurl's result. */
enum pr_transport {
    PR_TRANSPORT_ANSWERED,  /* a complete answer; status and body are valid */
    PR_TRANSPORT_NOT_SENT,  /* could not resolve, connect or shake hands: no byte of the request left */
    PR_TRANSPORT_NOT_LET,   /* our own guard refused before anything was let through */
    PR_TRANSPORT_CUT,       /* closed, reset, timed out or garbled after the request may have left */
    PR_TRANSPORT_OVERSIZED, /* the answer was larger than we read */
    PR_TRANSPORT_REPEATED,  /* libcurl was about to send the request a second time: stopped */
};

struct pr_answer {
    enum pr_transport transport;
    int http_status;        /* 0 unless ANSWERED */
    struct pr_span body;    /* borrowed */
    int64_t retry_after_us; /* from Retry-After or usage headers; 0 when absent */
};

enum { PR_WAMID_MAX = 160 };

struct pr_outcome {
    enum pr_outcome_kind kind;
    enum pr_scope scope;
    int32_t code;       /* the provider's, 0 when there was none */
    const char *reason; /* static snake_case word for reports: "pair_rate", "undeliverable", "token_expired", … */
    int64_t wait_us;    /* DEFER: at least this long; RETRY: hint, 0 for none; STOP_*: try again then, 0: when told */
    bool charges_try;   /* false when it is not the message's fault (throttling, paused template, stopped sender) */
    bool is_opt_out;    /* the person stopped marketing (131050): write it */
    enum pr_blame blame;
    bool is_held;                 /* accepted, but held_for_quality_assessment or paused */
    char wamid[PR_WAMID_MAX + 1]; /* ACCEPTED; "" when it is longer or not printable ASCII: the receipt finds its row without it */
};

/* Bodies over this are not parsed: a true answer has under 2 KiB. */
enum { PR_ANSWER_MAX = 64 * 1024 };

/*
 * Classifies by provider code first, HTTP status second. 2xx with a message id is ACCEPTED whatever else it says. 5xx without a provider
 * code, 2xx with neither code nor id, a cut or oversized body are UNKNOWN; could not connect, 429 and 503 without a code are RETRY.
 * Other 4xx without a code are final: the reasons stand beside the table. `out` is written whole; `answer` is not kept.
 */
void pr_outcome_classify(const struct pr_answer *answer, struct pr_outcome *out);

/*
 * Retry-After as seconds or as date ("Sun, 06 Nov 1994 08:49:37 GMT"; the two obsolete forms are not read) to microseconds from
 * `now_us` (since 1970); 0 when unreadable or past. Capped at 24 h. RFC 9110 section 10.2.3.
 */
int64_t pr_retry_after_parse(struct pr_span value, int64_t now_us);

/*
 * X-Business-Use-Case-Usage and its kin: the longest `estimated_time_to_regain_access` that is said, which is in minutes, in microseconds;
 * 0 when none is, or nothing has to be regained. Capped at 24 h. Meta, "Rate limits".
 */
int64_t pr_usage_parse(struct pr_span value);

/* One row of the table, for docs, tests and the sandbox's error mixes. */
struct pr_outcome_rule {
    int32_t code_first, code_last; /* inclusive; rows rise and do not overlap */
    enum pr_outcome_kind kind;
    enum pr_scope scope;
    const char *reason;
    int64_t wait_us;
    bool charges_try;
    bool is_opt_out;
    enum pr_blame blame;
};

/* The provider codes. Static. */
const struct pr_outcome_rule *pr_outcome_table(size_t *n);

/* The row of a code; NULL when it is not in the table. */
const struct pr_outcome_rule *pr_outcome_rule_of(int32_t code);

#endif
