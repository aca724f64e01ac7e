/* The platform's answers: the table of its error codes, and the bytes of a response. */
#ifndef PR_SANDBOX_ANSWER_H
#define PR_SANDBOX_ANSWER_H

#include "faults.h"

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* An error of the provider. `message` is what error.message says after its "(#code) ". */
struct pr_error_kind {
    int code;
    int http; /* status that Meta's older table gives; 400 where it gave none */
    const char *message;
};

/* Never NULL: a code that is not in the table gets status 400 and a message that says so. */
const struct pr_error_kind *pr_error_kind(int code);

/* What a request meets, ready to leave. Built in `bytes`, which the next request overwrites. */
struct pr_answer {
    enum pr_act act;
    int64_t delay_us; /* before `act` */
    int64_t hold_us;  /* PR_ACT_*HANG: how long, 0 for ever; PR_ACT_SEND_CUT, _RESET: between answer and end */
    bool close;       /* the client asked for it, or the request was not HTTP we go on with */
    bool is_taken;    /* the message was accepted, so an answer that never arrives leaves its sender in doubt */
    bool is_message;  /* counts as an open request while it waits */
    struct pr_buf *bytes;
};

/* Head and body of a response with a JSON, HTML or NDJSON `type`. `extra` is further header lines with their CRLF, or "". */
void pr_answer_put(struct pr_answer *answer, int http, const char *type, const char *extra, struct pr_span body);

/* A Graph error. `details` NULL leaves error_data out; `subcode` 0 leaves it out; `fault` NULL or the one whose headers go along. */
void pr_answer_error(struct pr_answer *answer, int code, int http, int subcode, const char *details,
                     const struct pr_fault *fault, uint64_t trace);

/* A proxy's HTML page with no provider code. */
void pr_answer_status(struct pr_answer *answer, int http, const struct pr_fault *fault);

#endif
