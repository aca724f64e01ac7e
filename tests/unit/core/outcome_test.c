/* Tests of the classification: every code of the platform's table, every HTTP status without one, odd bodies, and Retry-After. */
#include "core/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

static struct pr_outcome classify(enum pr_transport transport, int status, struct pr_span body, int64_t retry_after_us) {
    struct pr_answer answer = {
        .transport = transport, .http_status = status, .body = body, .retry_after_us = retry_after_us};
    struct pr_outcome out;
    memset(&out, 0xa5, sizeof out); /* it must be written whole */
    pr_outcome_classify(&answer, &out);
    return out;
}

static struct pr_outcome answered(int status, const char *body) {
    return classify(PR_TRANSPORT_ANSWERED, status, pr_span_of(body), 0);
}

static struct pr_outcome with_code(int status, int code) {
    char body[200];
    snprintf(body, sizeof body,
             "{\"error\":{\"message\":\"(#%d) x\",\"type\":\"OAuthException\",\"code\":%d,\"fbtrace_id\":\"A\"}}", code,
             code);
    return answered(status, body);
}

/* The action column of the platform's table, written out a second time; reasons and waits are checked below. */
static const struct {
    int code, status;
    enum pr_outcome_kind kind;
    enum pr_scope scope;
    bool charges_try;
} platform[] = {
    {0, 401, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {1, 400, PR_OUTCOME_RETRY, PR_SCOPE_MESSAGE, true},
    {2, 503, PR_OUTCOME_RETRY, PR_SCOPE_SENDER, false},
    {3, 500, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {4, 400, PR_OUTCOME_RETRY, PR_SCOPE_ACCOUNT, false},
    {10, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {33, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {100, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {104, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {190, 401, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {200, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {250, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {299, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {368, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {80007, 400, PR_OUTCOME_RETRY, PR_SCOPE_ACCOUNT, false},
    {80008, 400, PR_OUTCOME_RETRY, PR_SCOPE_ACCOUNT, false},
    {130403, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {130429, 429, PR_OUTCOME_RETRY, PR_SCOPE_SENDER, false},
    {130472, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {130497, 403, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131000, 500, PR_OUTCOME_RETRY, PR_SCOPE_MESSAGE, true},
    {131005, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {131008, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131009, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131014, 400, PR_OUTCOME_RETRY, PR_SCOPE_MESSAGE, true},
    {131016, 500, PR_OUTCOME_RETRY, PR_SCOPE_SENDER, false},
    {131021, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131026, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131030, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131031, 403, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {131037, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {131042, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {131044, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {131045, 500, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {131047, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131048, 400, PR_OUTCOME_DEFER, PR_SCOPE_SENDER, false},
    {131049, 400, PR_OUTCOME_DEFER, PR_SCOPE_MESSAGE, true},
    {131050, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131051, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131052, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131053, 400, PR_OUTCOME_RETRY, PR_SCOPE_MESSAGE, true},
    {131055, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131056, 400, PR_OUTCOME_RETRY, PR_SCOPE_PAIR, false},
    {131057, 500, PR_OUTCOME_RETRY, PR_SCOPE_SENDER, false},
    {131062, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {131063, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {131064, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {132000, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {132001, 404, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {132005, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {132007, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {132008, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {132012, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {132015, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {132016, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {132018, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {132068, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {132069, 400, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {133000, 500, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133004, 503, PR_OUTCOME_RETRY, PR_SCOPE_SENDER, false},
    {133005, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133006, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133008, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133009, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133010, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133015, 400, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {133016, 400, PR_OUTCOME_RETRY, PR_SCOPE_SENDER, false},
    {134011, 404, PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, false},
    {134100, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {134101, 400, PR_OUTCOME_DEFER, PR_SCOPE_MESSAGE, false},
    {134102, 500, PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, false},
    {135000, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {137000, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {2388000, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {2388999, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {2494100, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
    {2593107, 400, PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, true},
};

static void every_code_of_the_platform_has_its_action(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(platform); i++) {
        struct pr_outcome out = with_code(platform[i].status, platform[i].code);
        if (out.kind != platform[i].kind || out.scope != platform[i].scope ||
            out.charges_try != platform[i].charges_try || out.code != platform[i].code)
            fail_msg("%d is %s of %s, code %d", platform[i].code, pr_outcome_kind_name(out.kind),
                     pr_scope_name(out.scope), out.code);
        assert_int_equal(out.is_opt_out, platform[i].code == 131050);
        assert_string_equal(out.wamid, "");
        assert_false(out.is_held);
    }
}

static void the_table_holds_no_code_that_is_not_tested_above(void **state) {
    (void)state;
    size_t n, seen = 0;
    const struct pr_outcome_rule *rules = pr_outcome_table(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < COUNT(platform); k++) {
            if (platform[k].code == rules[i].code_first) {
                seen++;
                break;
            }
        }
    }
    assert_int_equal(seen, n);
}

static void the_table_rises_and_each_reason_is_a_snake_case_word(void **state) {
    (void)state;
    size_t n;
    const struct pr_outcome_rule *rules = pr_outcome_table(&n);
    for (size_t i = 0; i < n; i++) {
        assert_true(rules[i].code_first <= rules[i].code_last);
        assert_true(i == 0 || rules[i].code_first > rules[i - 1].code_last);
        assert_true(rules[i].wait_us >= 0);
        assert_true(strlen(rules[i].reason) > 2);
        assert_int_equal(strspn(rules[i].reason, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(rules[i].reason));
        assert_ptr_equal(pr_outcome_rule_of(rules[i].code_first), &rules[i]);
        assert_ptr_equal(pr_outcome_rule_of(rules[i].code_last), &rules[i]);
    }
    assert_null(pr_outcome_rule_of(5));
    assert_null(pr_outcome_rule_of(-1));
    assert_null(pr_outcome_rule_of(300));
    assert_null(pr_outcome_rule_of(INT32_MAX));
}

static void only_what_is_not_the_messages_fault_is_free(void **state) {
    (void)state;
    size_t n;
    const struct pr_outcome_rule *rules = pr_outcome_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (rules[i].kind == PR_OUTCOME_STOP_TEMPLATE || rules[i].kind == PR_OUTCOME_STOP_SENDER)
            assert_false(rules[i].charges_try);
        if (rules[i].kind == PR_OUTCOME_RETRY && rules[i].scope != PR_SCOPE_MESSAGE)
            assert_false(rules[i].charges_try);
        assert_int_not_equal(rules[i].kind, PR_OUTCOME_ACCEPTED);
        assert_int_not_equal(rules[i].kind, PR_OUTCOME_UNKNOWN); /* a code proves that it was not accepted */
    }
}

static void documented_waits_are_kept(void **state) {
    (void)state;
    assert_int_equal(with_code(400, 131049).wait_us, 24 * HOUR);
    assert_int_equal(with_code(500, 131057).wait_us, 30 * SECOND);
    assert_int_equal(with_code(400, 134101).wait_us, 600 * SECOND);
    assert_int_equal(with_code(400, 133015).wait_us, 300 * SECOND);
    assert_int_equal(with_code(400, 132015).wait_us, 3 * HOUR);
    assert_int_equal(with_code(400, 131056).wait_us, 0);
    assert_string_equal(with_code(400, 131056).reason, "pair_rate");
    assert_string_equal(with_code(400, 131026).reason, "undeliverable");
    assert_string_equal(with_code(401, 190).reason, "token_expired");
}

static void retry_after_lengthens_a_wait_and_never_shortens_it(void **state) {
    (void)state;
    struct pr_span busy = PR_SPAN("{\"error\":{\"code\":130429}}"), capped = PR_SPAN("{\"error\":{\"code\":131049}}");
    struct pr_span stopped = PR_SPAN("{\"error\":{\"code\":190}}");
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 429, busy, 7 * SECOND).wait_us, 7 * SECOND);
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 400, capped, 7 * SECOND).wait_us, 24 * HOUR);
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 401, stopped, 7 * SECOND).wait_us, 0);
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 503, PR_SPAN(""), 9 * SECOND).wait_us, 9 * SECOND);
}

static void the_code_counts_and_not_the_http_status(void **state) {
    (void)state;
    assert_int_equal(with_code(429, 131056).scope, PR_SCOPE_PAIR);
    assert_int_equal(with_code(500, 131026).kind, PR_OUTCOME_REJECT);
    assert_int_equal(with_code(200, 131026).kind, PR_OUTCOME_REJECT);
    assert_int_equal(with_code(403, 130429).kind, PR_OUTCOME_RETRY);
}

static void turns_list_of_errors_is_read_like_metas_object(void **state) {
    (void)state;
    struct pr_outcome out = answered(400, "{\"errors\":[{\"code\":131026,\"title\":\"x\"},{\"code\":130429}]}");
    assert_int_equal(out.kind, PR_OUTCOME_REJECT);
    assert_int_equal(out.code, 131026);
    out = answered(400, "{\"errors\":[{\"code\":\"131056\"}]}");
    assert_int_equal(out.scope, PR_SCOPE_PAIR);
}

static void a_code_that_only_repeats_the_status_proves_nothing_more(void **state) {
    (void)state;
    assert_int_equal(answered(429, "{\"errors\":[{\"code\":429}]}").kind, PR_OUTCOME_RETRY);
    assert_int_equal(answered(500, "{\"errors\":[{\"code\":500}]}").kind, PR_OUTCOME_UNKNOWN);
    assert_int_equal(answered(502, "{\"error\":{\"code\":502}}").kind, PR_OUTCOME_UNKNOWN);
    assert_int_equal(answered(403, "{\"error\":{\"code\":403}}").kind, PR_OUTCOME_STOP_SENDER);
    assert_int_equal(answered(403, "{\"error\":{\"code\":403}}").code, 0);
    assert_int_equal(with_code(400, 400).code, 0);
    assert_int_equal(with_code(400, 599).code, 0);
    assert_int_equal(with_code(400, 399).code, 399);
    assert_int_equal(with_code(400, 600).code, 600);
    assert_int_equal(with_code(400, 399).kind, PR_OUTCOME_REJECT);
    assert_int_equal(with_code(500, 600).kind, PR_OUTCOME_RETRY);
}

static void a_new_code_is_judged_by_what_the_server_says_beside_it(void **state) {
    (void)state;
    assert_int_equal(with_code(400, 139999).kind, PR_OUTCOME_REJECT);
    assert_int_equal(with_code(400, 139999).code, 139999);
    assert_string_equal(with_code(400, 139999).reason, "new_code");
    assert_int_equal(with_code(429, 139999).kind, PR_OUTCOME_RETRY);
    assert_int_equal(with_code(500, 139999).kind, PR_OUTCOME_RETRY);
    assert_true(with_code(500, 139999).charges_try);
    assert_int_equal(with_code(401, 139999).kind, PR_OUTCOME_STOP_SENDER);
    assert_int_equal(answered(400, "{\"error\":{\"code\":139999,\"is_transient\":true}}").kind, PR_OUTCOME_RETRY);
    assert_int_equal(answered(400, "{\"error\":{\"code\":100,\"is_transient\":true}}").kind, PR_OUTCOME_REJECT);
}

static void a_number_that_does_not_exist_stops_the_sender_and_not_the_message(void **state) {
    (void)state;
    struct pr_outcome out = answered(400, "{\"error\":{\"code\":100,\"error_subcode\":33}}");
    assert_int_equal(out.kind, PR_OUTCOME_STOP_SENDER);
    assert_int_equal(out.code, 100);
    assert_int_equal(answered(400, "{\"error\":{\"code\":100,\"error_subcode\":2494010}}").kind, PR_OUTCOME_REJECT);
}

static void every_status_without_a_code_has_its_meaning(void **state) {
    (void)state;
    for (int status = 0; status < 1000; status++) {
        enum pr_outcome_kind kind = PR_OUTCOME_UNKNOWN;
        if (status >= 400 && status <= 499)
            kind = PR_OUTCOME_REJECT;
        if (status >= 401 && status <= 407 && status != 406)
            kind = PR_OUTCOME_STOP_SENDER;
        if (status == 408)
            kind = PR_OUTCOME_UNKNOWN;
        if (status == 429 || status == 503)
            kind = PR_OUTCOME_RETRY;
        struct pr_outcome empty = answered(status, ""), html = answered(status, "<html>Bad Gateway</html>");
        struct pr_outcome meta =
            answered(status, "{\"meta\":{\"success\":false,\"http_code\":400,\"developer_message\":\"no\"}}");
        if (empty.kind != kind || html.kind != kind || meta.kind != kind)
            fail_msg("%d is %s, not %s", status, pr_outcome_kind_name(empty.kind), pr_outcome_kind_name(kind));
        assert_int_equal(empty.code, 0);
        assert_non_null(empty.reason);
    }
    assert_string_equal(answered(400, "").reason, "http_4xx");
    assert_int_equal(answered(-1, "").kind, PR_OUTCOME_UNKNOWN);
    assert_int_equal(answered(503, "").scope, PR_SCOPE_SENDER);
    assert_false(answered(503, "").charges_try);
}

static void a_message_id_means_accepted(void **state) {
    (void)state;
    struct pr_outcome out =
        answered(200, "{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":\"+1\",\"wa_id\":\"1\"}],"
                      "\"messages\":[{\"id\":\"wamid.HBgLMTY=\",\"message_status\":\"accepted\"}]}");
    assert_int_equal(out.kind, PR_OUTCOME_ACCEPTED);
    assert_string_equal(out.wamid, "wamid.HBgLMTY=");
    assert_string_equal(out.reason, "accepted");
    assert_false(out.is_held);
    assert_int_equal(answered(202, "{\"messages\":[{\"id\":\"x\"}]}").kind, PR_OUTCOME_ACCEPTED);
}

static void a_held_message_is_accepted_and_marked(void **state) {
    (void)state;
    assert_true(
        answered(200, "{\"messages\":[{\"id\":\"a\",\"message_status\":\"held_for_quality_assessment\"}]}").is_held);
    assert_true(answered(200, "{\"messages\":[{\"id\":\"a\",\"message_status\":\"paused\"}]}").is_held);
    assert_false(answered(200, "{\"messages\":[{\"id\":\"a\",\"message_status\":\"new_word\"}]}").is_held);
    assert_false(answered(200, "{\"messages\":[{\"id\":\"a\",\"message_status\":7}]}").is_held);
}

static void accepted_wins_over_a_warning_beside_it(void **state) {
    (void)state;
    struct pr_outcome out = answered(200, "{\"messages\":[{\"id\":\"a\"}],\"errors\":[{\"code\":130429}]}");
    assert_int_equal(out.kind, PR_OUTCOME_ACCEPTED);
}

static void a_success_without_a_message_id_is_unknown(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "null",
        "\"wamid\"",
        "7",
        "{\"success\":true}",
        "{\"messages\":[]}",
        "{\"messages\":{}}",
        "{\"messages\":[{}]}",
        "{\"messages\":[{\"id\":\"\"}]}",
        "{\"messages\":[{\"id\":7}]}",
        "{\"messages\":[{\"id\":null}]}",
        "{\"messages\":[\"id\"]}",
        "{\"messages\":[{\"id\":\"wamid.x\"}]",
        "{\"messages\":[{\"id\":\"wamid.x\"}]} trailing",
        "{\"messages\":[{\"id\":\"wamid.\\u0000\"}]}",
        "{\"messages\":[{\"id\":\"wamid.\xff\"}]}",
        "<html>OK</html>",
        "{\"error\":{}}",
        "{\"error\":\"x\"}",
        "{\"errors\":[]}",
        "{\"error\":{\"code\":null}}",
        "{\"error\":{\"code\":-5}}",
        "{\"error\":{\"code\":1.5}}",
        "{\"error\":{\"code\":99999999999}}",
        "{\"error\":{\"code\":\"\"}}",
        "{\"error\":{\"code\":\"12a\"}}",
        "{\"error\":{\"code\":\"1234567890\"}}",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct pr_outcome out = answered(200, bodies[i]);
        if (out.kind != PR_OUTCOME_UNKNOWN || out.code != 0)
            fail_msg("%s is %s", bodies[i], pr_outcome_kind_name(out.kind));
        assert_string_equal(out.reason, "no_message_id");
    }
}

static void an_id_in_a_failure_is_a_riddle_and_not_retried(void **state) {
    (void)state;
    assert_int_equal(answered(500, "{\"messages\":[{\"id\":\"a\"}]}").kind, PR_OUTCOME_UNKNOWN);
    assert_int_equal(answered(429, "{\"messages\":[{\"id\":\"a\"}],\"error\":{\"code\":130429}}").kind,
                     PR_OUTCOME_UNKNOWN);
}

static void an_id_is_kept_whole_or_not_at_all(void **state) {
    (void)state;
    char body[400];
    for (int n = PR_WAMID_MAX - 1; n <= PR_WAMID_MAX + 1; n++) {
        snprintf(body, sizeof body, "{\"messages\":[{\"id\":\"%0*d\"}]}", n, 7);
        struct pr_outcome out = answered(200, body);
        assert_int_equal(out.kind, PR_OUTCOME_ACCEPTED);
        assert_int_equal(strlen(out.wamid), n <= PR_WAMID_MAX ? n : 0);
    }
    assert_string_equal(answered(200, "{\"messages\":[{\"id\":\"a b\"}]}").wamid, "");
    assert_string_equal(answered(200, "{\"messages\":[{\"id\":\"a\\u00e9\"}]}").wamid, "");
    assert_int_equal(answered(200, "{\"messages\":[{\"id\":\"a b\"}]}").kind, PR_OUTCOME_ACCEPTED);
}

static void a_body_is_read_up_to_its_cap(void **state) {
    (void)state;
    static const char text[] = "{\"error\":{\"code\":131026}}";
    char *body = malloc(PR_ANSWER_MAX + 1);
    memset(body, ' ', PR_ANSWER_MAX + 1);
    memcpy(body, text, sizeof text - 1);
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 500, pr_span_make(body, PR_ANSWER_MAX), 0).kind, PR_OUTCOME_REJECT);
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 500, pr_span_make(body, PR_ANSWER_MAX + 1), 0).kind,
                     PR_OUTCOME_UNKNOWN);
    free(body);
}

static void deep_nesting_is_no_danger(void **state) {
    (void)state;
    char *body = malloc(PR_ANSWER_MAX);
    memset(body, '[', PR_ANSWER_MAX);
    assert_int_equal(classify(PR_TRANSPORT_ANSWERED, 200, pr_span_make(body, PR_ANSWER_MAX), 0).kind,
                     PR_OUTCOME_UNKNOWN);
    free(body);
}

static void how_the_transfer_ended_decides_when_there_was_no_answer(void **state) {
    (void)state;
    static const struct {
        enum pr_transport transport;
        enum pr_outcome_kind kind;
        const char *reason;
    } cases[] = {
        {PR_TRANSPORT_NOT_SENT, PR_OUTCOME_RETRY, "not_connected"},
        {PR_TRANSPORT_NOT_LET, PR_OUTCOME_RETRY, "not_let"},
        {PR_TRANSPORT_CUT, PR_OUTCOME_UNKNOWN, "cut"},
        {PR_TRANSPORT_OVERSIZED, PR_OUTCOME_UNKNOWN, "oversized"},
        {PR_TRANSPORT_REPEATED, PR_OUTCOME_UNKNOWN, "repeated"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* A body that came in part may not be believed. */
        struct pr_outcome out = classify(cases[i].transport, 200, PR_SPAN("{\"messages\":[{\"id\":\"a\"}]}"), 0);
        assert_int_equal(out.kind, cases[i].kind);
        assert_string_equal(out.reason, cases[i].reason);
        assert_false(out.charges_try);
        assert_string_equal(out.wamid, "");
    }
}

/* Written out a second time: what a breaker and a rate are told. Codes that are not here blame nobody, or the sender or template they stop. */
static void only_what_is_broken_or_misfilled_is_blamed_for_it(void **state) {
    (void)state;
    static const int down[] = {2, 131016, 131057, 133004};
    static const int misfilled[] = {100, 131008, 131009, 132005, 132008, 132012, 132018};
    static const int unclear[] = {1, 4, 80007, 80008, 131000, 131014, 131048, 131049, 131053, 131056, 133016, 134101};
    size_t n;
    const struct pr_outcome_rule *rules = pr_outcome_table(&n);
    for (size_t i = 0; i < n; i++) {
        enum pr_blame blame = PR_BLAME_NONE;
        for (size_t k = 0; k < COUNT(down); k++)
            blame = rules[i].code_first == down[k] ? PR_BLAME_SENDER : blame;
        for (size_t k = 0; k < COUNT(misfilled); k++)
            blame = rules[i].code_first == misfilled[k] ? PR_BLAME_TEMPLATE : blame;
        for (size_t k = 0; k < COUNT(unclear); k++)
            blame = rules[i].code_first == unclear[k] ? PR_BLAME_UNCLEAR : blame;
        blame = rules[i].code_first == 130429 ? PR_BLAME_RATE : blame;
        blame = rules[i].kind == PR_OUTCOME_STOP_SENDER ? PR_BLAME_SENDER : blame;
        blame = rules[i].kind == PR_OUTCOME_STOP_TEMPLATE ? PR_BLAME_TEMPLATE : blame;
        if (rules[i].blame != blame)
            fail_msg("%d blames %d, not %d", rules[i].code_first, rules[i].blame, blame);
    }
}

static void answers_without_a_code_blame_the_way_unless_the_server_spoke(void **state) {
    (void)state;
    static const struct {
        int status;
        enum pr_blame blame;
    } cases[] = {{200, PR_BLAME_SENDER}, {302, PR_BLAME_SENDER}, {400, PR_BLAME_UNCLEAR}, {401, PR_BLAME_SENDER},
                 {408, PR_BLAME_SENDER}, {429, PR_BLAME_RATE},   {499, PR_BLAME_UNCLEAR}, {500, PR_BLAME_SENDER},
                 {502, PR_BLAME_SENDER}, {503, PR_BLAME_SENDER}, {504, PR_BLAME_SENDER},  {599, PR_BLAME_SENDER}};
    static const enum pr_transport broken[] = {PR_TRANSPORT_NOT_SENT, PR_TRANSPORT_CUT, PR_TRANSPORT_OVERSIZED,
                                               PR_TRANSPORT_REPEATED};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(answered(cases[i].status, "").blame, cases[i].blame);
    for (size_t i = 0; i < COUNT(broken); i++)
        assert_int_equal(classify(broken[i], 0, PR_SPAN(""), 0).blame, PR_BLAME_SENDER);
    assert_int_equal(classify(PR_TRANSPORT_NOT_LET, 0, PR_SPAN(""), 0).blame, PR_BLAME_UNCLEAR);
    assert_int_equal(answered(200, "{\"messages\":[{\"id\":\"wamid.a\"}]}").blame, PR_BLAME_NONE);
    assert_int_equal(with_code(400, 139999).blame, PR_BLAME_UNCLEAR);
    assert_int_equal(with_code(500, 139999).blame, PR_BLAME_UNCLEAR);
}

static void retry_after_is_read_as_seconds_or_as_date(void **state) {
    (void)state;
    int64_t now = 784111777 * SECOND; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"0", 0},
        {"1", SECOND},
        {"120", 120 * SECOND},
        {" 5\t", 5 * SECOND},
        {"86400", 24 * HOUR},
        {"86401", 24 * HOUR},
        {"99999999999999999999999", 24 * HOUR},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:38 GMT", SECOND},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Sun, 06 Nov 1994 09:49:37 GMT", HOUR},
        {"Mon, 05 Dec 1994 08:49:37 GMT", 24 * HOUR},
        {"", 0},
        {"-5", 0},
        {"1.5", 0},
        {"5s", 0},
        {"soon", 0},
        {"Sun, 06 Nox 1994 09:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 09:49:37 UTC", 0},
        {"Sun, 31 Feb 1995 09:49:37 GMT", 0},
        {"Sun; 06 Nov 1994 09:49:37 GMT", 0},
        {"Sunday, 06-Nov-94 09:49:37 GMT", 0},
        {"Sun, 0\xff Nov 1994 09:49:37 GMT", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = pr_retry_after_parse(pr_span_of(cases[i].text), now);
        if (us != cases[i].us)
            fail_msg("'%s' gave %lld", cases[i].text, (long long)us);
    }
    assert_int_equal(pr_retry_after_parse(pr_span_make(NULL, 0), now), 0);
}

static void usage_headers_say_minutes(void **state) {
    (void)state;
#define USAGE(n) \
    "{\"102290129340398\":[{\"type\":\"whatsapp\",\"call_count\":100,\"estimated_time_to_regain_access\":" n "}]}"
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {USAGE("0"), 0},
        {USAGE("1"), 60 * SECOND},
        {USAGE(" 19"), 19 * 60 * SECOND},
        {USAGE("1440"), 24 * HOUR},
        {USAGE("1441"), 24 * HOUR},
        {USAGE("99999999999999999999999"), 24 * HOUR},
        {USAGE("-3"), 0},
        {USAGE("\"7\""), 0},
        {"{\"a\":[{\"estimated_time_to_regain_access\":2},{\"estimated_time_to_regain_access\":9}],"
         "\"b\":[{\"estimated_time_to_regain_access\":5}]}",
         9 * 60 * SECOND},
        {"{\"call_count\":28,\"total_time\":25,\"total_cputime\":25}", 0},
        {"{\"estimated_time_to_regain_access\"", 0},
        {"{\"estimated_time_to_regain_access\":", 0},
        {"", 0},
    };
#undef USAGE
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = pr_usage_parse(pr_span_of(cases[i].text));
        if (us != cases[i].us)
            fail_msg("'%s' gave %lld", cases[i].text, (long long)us);
    }
    assert_int_equal(pr_usage_parse(pr_span_make(NULL, 0)), 0);
}

static void kinds_and_scopes_have_names(void **state) {
    (void)state;
    assert_string_equal(pr_outcome_kind_name(PR_OUTCOME_ACCEPTED), "accepted");
    assert_string_equal(pr_outcome_kind_name(PR_OUTCOME_STOP_TEMPLATE), "stop_template");
    assert_string_equal(pr_outcome_kind_name(PR_OUTCOME_UNKNOWN), "unknown");
    assert_string_equal(pr_outcome_kind_name((enum pr_outcome_kind)99), "invalid");
    assert_string_equal(pr_scope_name(PR_SCOPE_ACCOUNT), "account");
    assert_string_equal(pr_scope_name((enum pr_scope)99), "invalid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_of_the_platform_has_its_action),
        cmocka_unit_test(the_table_holds_no_code_that_is_not_tested_above),
        cmocka_unit_test(the_table_rises_and_each_reason_is_a_snake_case_word),
        cmocka_unit_test(only_what_is_not_the_messages_fault_is_free),
        cmocka_unit_test(documented_waits_are_kept),
        cmocka_unit_test(retry_after_lengthens_a_wait_and_never_shortens_it),
        cmocka_unit_test(the_code_counts_and_not_the_http_status),
        cmocka_unit_test(turns_list_of_errors_is_read_like_metas_object),
        cmocka_unit_test(a_code_that_only_repeats_the_status_proves_nothing_more),
        cmocka_unit_test(a_new_code_is_judged_by_what_the_server_says_beside_it),
        cmocka_unit_test(a_number_that_does_not_exist_stops_the_sender_and_not_the_message),
        cmocka_unit_test(every_status_without_a_code_has_its_meaning),
        cmocka_unit_test(a_message_id_means_accepted),
        cmocka_unit_test(a_held_message_is_accepted_and_marked),
        cmocka_unit_test(accepted_wins_over_a_warning_beside_it),
        cmocka_unit_test(a_success_without_a_message_id_is_unknown),
        cmocka_unit_test(an_id_in_a_failure_is_a_riddle_and_not_retried),
        cmocka_unit_test(an_id_is_kept_whole_or_not_at_all),
        cmocka_unit_test(a_body_is_read_up_to_its_cap),
        cmocka_unit_test(deep_nesting_is_no_danger),
        cmocka_unit_test(how_the_transfer_ended_decides_when_there_was_no_answer),
        cmocka_unit_test(only_what_is_broken_or_misfilled_is_blamed_for_it),
        cmocka_unit_test(answers_without_a_code_blame_the_way_unless_the_server_spoke),
        cmocka_unit_test(retry_after_is_read_as_seconds_or_as_date),
        cmocka_unit_test(usage_headers_say_minutes),
        cmocka_unit_test(kinds_and_scopes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
