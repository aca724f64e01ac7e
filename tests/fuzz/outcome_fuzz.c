/* Fuzzes the classification of answers: a byte for the transport, three digits of HTTP status, then the body. */
#include "core/outcome.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds)
        abort();
}

/* What has to hold whatever a server, or someone in between, answers. */
static void check(const struct pr_outcome *out) {
    must(out->kind <= PR_OUTCOME_UNKNOWN && out->scope <= PR_SCOPE_ACCOUNT);
    must(out->reason && out->reason[strspn(out->reason, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0');
    must(out->wait_us >= 0);
    must(out->kind == PR_OUTCOME_ACCEPTED || (out->wamid[0] == '\0' && !out->is_held));
    must(strlen(out->wamid) <= PR_WAMID_MAX);
    must(!out->is_opt_out || out->kind == PR_OUTCOME_REJECT);
}

static void check_against_answer(const struct pr_answer *answer, const struct pr_outcome *out) {
    bool is_success =
        answer->transport == PR_TRANSPORT_ANSWERED && answer->http_status >= 200 && answer->http_status <= 299;
    must(out->kind != PR_OUTCOME_ACCEPTED || is_success);
    /* Without a whole answer nothing is believed of it, and a request that may have left is never repeated. */
    if (answer->transport != PR_TRANSPORT_ANSWERED) {
        bool never_left = answer->transport == PR_TRANSPORT_NOT_SENT || answer->transport == PR_TRANSPORT_NOT_LET;
        must(out->kind == (never_left ? PR_OUTCOME_RETRY : PR_OUTCOME_UNKNOWN) && out->code == 0);
    }
    /* A success without an error is accepted or unknown, nothing that could send it again. Code 0 is an error too: told by its reason. */
    if (is_success && out->code == 0 && strcmp(out->reason, pr_outcome_rule_of(0)->reason) != 0)
        must(out->kind == PR_OUTCOME_ACCEPTED || out->kind == PR_OUTCOME_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pr_answer answer = {0};
    struct pr_outcome out;
    if (size < 4)
        return 0;
    answer.transport = (enum pr_transport)(data[0] % (PR_TRANSPORT_REPEATED + 1)); /* the character '0' is ANSWERED */
    answer.http_status = (data[1] % 16) * 100 + (data[2] % 16) * 10 + data[3] % 16;
    answer.body = pr_span_make(data + 4, size - 4);
    answer.retry_after_us = pr_retry_after_parse(answer.body, 784111777000000);
    must(answer.retry_after_us >= 0 && answer.retry_after_us <= INT64_C(86400000000));
    pr_outcome_classify(&answer, &out);
    check(&out);
    check_against_answer(&answer, &out);
    return 0;
}
