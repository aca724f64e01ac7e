/* Classifies an answer: reads code or message id out of the body, then looks the meaning up in tables. */
#include "core/outcome.h"

#include "base/clock.h"

#include <jansson.h>

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

#define US(seconds) (INT64_C(1000000) * (seconds))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the table's kinds share, so that a line shows only what is its own. */
#define ONE(code) (code), (code)
#define RETRY(scope, reason, wait, blame) PR_OUTCOME_RETRY, (scope), (reason), (wait), false, false, (blame)
#define DOWN(reason, wait) RETRY(PR_SCOPE_SENDER, (reason), (wait), PR_BLAME_SENDER)
#define LIMIT(scope, reason, wait) RETRY((scope), (reason), (wait), PR_BLAME_UNCLEAR)
#define TOO_FAST(reason) RETRY(PR_SCOPE_SENDER, (reason), 0, PR_BLAME_RATE)
#define RETRY_FEW(reason) PR_OUTCOME_RETRY, PR_SCOPE_MESSAGE, (reason), 0, true, false, PR_BLAME_UNCLEAR
#define DEFER(scope, reason, wait, charges) \
    PR_OUTCOME_DEFER, (scope), (reason), (wait), (charges), false, PR_BLAME_UNCLEAR
#define REJECT_FOR(blame, reason) PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, (reason), 0, true, false, (blame)
#define REJECT(reason) REJECT_FOR(PR_BLAME_NONE, (reason))
#define MISFILLED(reason) REJECT_FOR(PR_BLAME_TEMPLATE, (reason))
#define STOP_TEMPLATE(reason, wait) \
    PR_OUTCOME_STOP_TEMPLATE, PR_SCOPE_MESSAGE, (reason), (wait), false, false, PR_BLAME_TEMPLATE
#define STOP_SENDER(reason, wait) \
    PR_OUTCOME_STOP_SENDER, PR_SCOPE_SENDER, (reason), (wait), false, false, PR_BLAME_SENDER
#define UNKNOWN(reason) PR_OUTCOME_UNKNOWN, PR_SCOPE_MESSAGE, (reason), 0, false, false, PR_BLAME_SENDER

/*
 * Meta, "Error codes" (2026-09-11). What throttles or is down is nobody's fault and charges no try; what may lie in the message itself
 * (1, 131000, 131014, 131053) is tried a few times and charged. 131049 is charged, so that a person over the platform's cap is not asked
 * about for ever. Whom a code blames: what is down or condemns the number, the sender; what says that our filled template is wrong, the
 * template; limits of other scopes and what may be anybody's fault, nobody. Waits: 131057 "about a minute"; 132015 the length of a first
 * pause; 133015 and 134101 as documented; 131048 ours.
 */
static const struct pr_outcome_rule codes[] = {
    {ONE(0), STOP_SENDER("auth_failed", 0)},
    {ONE(1), RETRY_FEW("invalid_or_server_error")},
    {ONE(2), DOWN("service_down", 0)},
    {ONE(3), STOP_SENDER("capability_missing", 0)},
    {ONE(4), LIMIT(PR_SCOPE_ACCOUNT, "app_rate", US(MINUTE_S))},
    {ONE(10), STOP_SENDER("permission_denied", 0)},
    {ONE(33), STOP_SENDER("number_deleted", 0)},
    {ONE(100), MISFILLED("bad_parameter")},
    {ONE(104), STOP_SENDER("token_missing", 0)},
    {ONE(190), STOP_SENDER("token_expired", 0)},
    {200, 299, STOP_SENDER("permission_missing", 0)},
    {ONE(368), STOP_SENDER("account_restricted", 0)},
    {ONE(80007), LIMIT(PR_SCOPE_ACCOUNT, "account_rate", US(MINUTE_S))},
    {ONE(80008), LIMIT(PR_SCOPE_ACCOUNT, "account_rate", US(MINUTE_S))},
    {ONE(130403), REJECT("blocked_by_us")},
    {ONE(130429), TOO_FAST("sender_rate")},
    {ONE(130472), REJECT("experiment")},
    {ONE(130497), REJECT("country_restricted")},
    {ONE(131000), RETRY_FEW("unknown_error")},
    {ONE(131005), STOP_SENDER("access_denied", 0)},
    {ONE(131008), MISFILLED("parameter_missing")},
    {ONE(131009), MISFILLED("parameter_invalid")},
    {ONE(131014), RETRY_FEW("media_link_failed")},
    {ONE(131016), DOWN("service_unavailable", 0)},
    {ONE(131021), REJECT("sender_is_recipient")},
    {ONE(131026), REJECT("undeliverable")},
    {ONE(131030), REJECT("not_in_test_list")},
    {ONE(131031), STOP_SENDER("account_locked", 0)},
    {ONE(131037), STOP_SENDER("display_name_missing", 0)},
    {ONE(131042), STOP_SENDER("payment_problem", 0)},
    {ONE(131044), STOP_SENDER("payment_problem", 0)},
    {ONE(131045), STOP_SENDER("number_not_certified", 0)},
    {ONE(131047), REJECT("window_closed")},
    {ONE(131048), DEFER(PR_SCOPE_SENDER, "spam_rate", US(HOUR_S), false)},
    {ONE(131049), DEFER(PR_SCOPE_MESSAGE, "engagement_cap", US(DAY_S), true)},
    {ONE(131050), PR_OUTCOME_REJECT, PR_SCOPE_MESSAGE, "opted_out", 0, true, true, PR_BLAME_NONE},
    {ONE(131051), REJECT("type_unsupported")},
    {ONE(131052), REJECT("media_download_failed")},
    {ONE(131053), RETRY_FEW("media_upload_failed")},
    {ONE(131055), REJECT("not_marketing")},
    {ONE(131056), LIMIT(PR_SCOPE_PAIR, "pair_rate", 0)},
    {ONE(131057), DOWN("account_maintenance", US(30))},
    {ONE(131062), REJECT("user_id_unsupported")},
    {ONE(131063), STOP_TEMPLATE("marketing_disabled", 0)},
    {ONE(131064), STOP_SENDER("misclassified_templates", 0)},
    {ONE(132000), STOP_TEMPLATE("parameter_count", 0)},
    {ONE(132001), STOP_TEMPLATE("template_missing", 0)},
    {ONE(132005), MISFILLED("text_too_long")},
    {ONE(132007), STOP_TEMPLATE("content_policy", 0)},
    {ONE(132008), MISFILLED("parameter_invalid")},
    {ONE(132012), MISFILLED("parameter_format")},
    {ONE(132015), STOP_TEMPLATE("template_paused", US(3 * HOUR_S))},
    {ONE(132016), STOP_TEMPLATE("template_disabled", 0)},
    {ONE(132018), MISFILLED("template_invalid")},
    {ONE(132068), STOP_TEMPLATE("flow_blocked", 0)},
    {ONE(132069), STOP_TEMPLATE("flow_throttled", US(HOUR_S))},
    {ONE(133000), STOP_SENDER("deregistration_failed", 0)},
    {ONE(133004), DOWN("service_unavailable", 0)},
    {133005, 133006, STOP_SENDER("pin_problem", 0)},
    {133008, 133009, STOP_SENDER("pin_problem", 0)},
    {ONE(133010), STOP_SENDER("not_registered", 0)},
    {ONE(133015), STOP_SENDER("number_just_deleted", US(5 * MINUTE_S))},
    {ONE(133016), LIMIT(PR_SCOPE_SENDER, "registration_rate", US(MINUTE_S))},
    {ONE(134011), STOP_SENDER("payment_terms_pending", 0)},
    {ONE(134100), REJECT("not_marketing")},
    {ONE(134101), DEFER(PR_SCOPE_MESSAGE, "template_syncing", US(10 * MINUTE_S), false)},
    {ONE(134102), STOP_TEMPLATE("template_unavailable", 0)},
    {ONE(135000), REJECT("generic_user_error")},
    {ONE(137000), REJECT("identity_changed")},
    {2388000, 2388999, REJECT("template_management")}, /* this and below: not the send path */
    {ONE(2494100), REJECT("migration_error")},
    {ONE(2593107), REJECT("sync_error")},
};

/*
 * HTTP status when no provider code was parsed. A 4xx status line is the server's own statement that the request is wrong and was not
 * acted on (RFC 9110 section 15.5), so it is definite; 360dialog answers so, in plain words and without a code. Except 408: the server
 * gave up waiting, which a proxy also says about the server behind it. What condemns the address or the key and not the message
 * (401 to 405, 407) stops the sender, as one wrong setting must not reject a whole backlog. 429 and 503 are the two by which a server
 * says that it turned the request away for now. Other 5xx and 3xx say nothing about what was done before the answer.
 */
static const struct pr_outcome_rule statuses[] = {
    {200, 299, UNKNOWN("no_message_id")},
    {300, 399, UNKNOWN("http_redirect")},
    {ONE(400), REJECT_FOR(PR_BLAME_UNCLEAR, "http_4xx")},
    {ONE(401), STOP_SENDER("http_unauthorized", 0)},
    {ONE(402), STOP_SENDER("http_payment_required", 0)},
    {ONE(403), STOP_SENDER("http_forbidden", 0)},
    {404, 405, STOP_SENDER("http_wrong_address", 0)},
    {ONE(406), REJECT_FOR(PR_BLAME_UNCLEAR, "http_4xx")},
    {ONE(407), STOP_SENDER("http_proxy_auth", 0)},
    {ONE(408), UNKNOWN("http_408")},
    {409, 428, REJECT_FOR(PR_BLAME_UNCLEAR, "http_4xx")},
    {ONE(429), TOO_FAST("http_429")},
    {430, 499, REJECT_FOR(PR_BLAME_UNCLEAR, "http_4xx")},
    {500, 502, UNKNOWN("http_5xx")},
    {ONE(503), DOWN("http_503", 0)},
    {504, 599, UNKNOWN("http_5xx")},
};

static const struct pr_outcome_rule odd_status = {0, 0, UNKNOWN("http_odd_status")};
static const struct pr_outcome_rule accepted = {0,    0,     PR_OUTCOME_ACCEPTED, PR_SCOPE_MESSAGE, "accepted", 0,
                                                true, false, PR_BLAME_NONE};
static const struct pr_outcome_rule contradictory = {0, 0, UNKNOWN("contradictory")};

/* A code we do not know proves non-acceptance all the same; how the server itself looks at it decides whether to try again. */
static const struct pr_outcome_rule new_transient = {0, 0, RETRY_FEW("new_code")};
static const struct pr_outcome_rule new_final = {0, 0, REJECT_FOR(PR_BLAME_UNCLEAR, "new_code")};
static const struct pr_outcome_rule new_unauthorized = {0, 0, STOP_SENDER("new_code", 0)};

/*
 * Graph answers code 100 with subcode 33 when the number's id in the address does not exist or the token may not see it. Plain 100 condemns
 * the message; this one condemns the sender. The subcode is deprecated: if it goes, we are back at the plain 100.
 */
static const struct pr_outcome_rule no_such_number = {ONE(100), STOP_SENDER("number_not_found", 0)};
enum { SUBCODE_NO_SUCH_OBJECT = 33 };

static const struct pr_outcome_rule transports[] = {
    [PR_TRANSPORT_ANSWERED] = {0, 0, UNKNOWN("answered")}, /* never used: the answer decides */
    [PR_TRANSPORT_NOT_SENT] = {0, 0, DOWN("not_connected", 0)},
    [PR_TRANSPORT_NOT_LET] = {0, 0, LIMIT(PR_SCOPE_MESSAGE, "not_let", 0)},
    [PR_TRANSPORT_CUT] = {0, 0, UNKNOWN("cut")},
    [PR_TRANSPORT_OVERSIZED] = {0, 0, UNKNOWN("oversized")},
    [PR_TRANSPORT_REPEATED] = {0, 0, UNKNOWN("repeated")},
};

/* What a body says; borrowed from its parse tree. */
struct said {
    bool has_code;
    int32_t code;
    json_int_t subcode;
    bool is_transient;
    const char *message_id; /* NULL when there is none */
    const char *message_status;
};

const char *pr_outcome_kind_name(enum pr_outcome_kind kind) {
    static const char *const names[] = {"accepted",      "retry",       "defer",  "reject",
                                        "stop_template", "stop_sender", "unknown"};
    return (size_t)kind < COUNT(names) ? names[kind] : "invalid";
}

const char *pr_scope_name(enum pr_scope scope) {
    static const char *const names[] = {"message", "pair", "sender", "account"};
    return (size_t)scope < COUNT(names) ? names[scope] : "invalid";
}

const struct pr_outcome_rule *pr_outcome_table(size_t *n) {
    *n = COUNT(codes);
    return codes;
}

static const struct pr_outcome_rule *find(const struct pr_outcome_rule *rules, size_t n, int32_t number) {
    for (size_t i = 0; i < n && rules[i].code_first <= number; i++) {
        if (number <= rules[i].code_last)
            return &rules[i];
    }
    return NULL;
}

const struct pr_outcome_rule *pr_outcome_rule_of(int32_t code) {
    return find(codes, COUNT(codes), code);
}

/* A code as number, or as the string that some providers make of it. */
static bool read_code(const json_t *value, int32_t *code) {
    json_int_t number = 0;
    if (json_is_integer(value)) {
        number = json_integer_value(value);
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        size_t n = json_string_length(value);
        if (n == 0 || n > 9)
            return false;
        for (size_t i = 0; i < n; i++) {
            if (text[i] < '0' || text[i] > '9')
                return false;
            number = number * 10 + (text[i] - '0');
        }
    } else {
        return false;
    }
    if (number < 0 || number > INT32_MAX)
        return false;
    *code = (int32_t)number;
    return true;
}

/*
 * {"error": {…}} as Meta writes it, else the first of {"errors": [{…}]} as Turn does. A code from 400 to 599 only repeats the HTTP
 * status (Turn's 429; Meta has none there) and proves no more than the status does.
 */
static void read_error(const json_t *root, struct said *said) {
    const json_t *error = json_object_get(root, "error");
    if (!json_is_object(error))
        error = json_array_get(json_object_get(root, "errors"), 0);
    if (!read_code(json_object_get(error, "code"), &said->code) || (said->code >= 400 && said->code <= 599))
        return;
    said->has_code = true;
    said->subcode = json_integer_value(json_object_get(error, "error_subcode"));
    said->is_transient = json_is_true(json_object_get(error, "is_transient"));
}

static void read_message(const json_t *root, struct said *said) {
    const json_t *message = json_array_get(json_object_get(root, "messages"), 0);
    const json_t *id = json_object_get(message, "id");
    if (json_string_length(id) > 0)
        said->message_id = json_string_value(id);
    said->message_status = json_string_value(json_object_get(message, "message_status"));
}

static const struct pr_outcome_rule *judge_new_code(const struct said *said, int status) {
    if (said->is_transient || status == 429 || status >= 500)
        return &new_transient;
    return status == 401 ? &new_unauthorized : &new_final;
}

/* An id in an answer that is no success is a riddle: sending again could be the second time, so nothing is concluded from it. */
static const struct pr_outcome_rule *judge(const struct said *said, int status) {
    if (said->message_id)
        return status >= 200 && status <= 299 ? &accepted : &contradictory;
    if (said->has_code && said->code == 100 && said->subcode == SUBCODE_NO_SUCH_OBJECT)
        return &no_such_number;
    if (said->has_code) {
        const struct pr_outcome_rule *rule = pr_outcome_rule_of(said->code);
        return rule ? rule : judge_new_code(said, status);
    }
    const struct pr_outcome_rule *rule = find(statuses, COUNT(statuses), status);
    return rule ? rule : &odd_status;
}

static void apply(const struct pr_outcome_rule *rule, int64_t retry_after_us, struct pr_outcome *out) {
    bool has_wait = rule->kind == PR_OUTCOME_RETRY || rule->kind == PR_OUTCOME_DEFER;
    out->kind = rule->kind;
    out->scope = rule->scope;
    out->reason = rule->reason;
    out->wait_us = has_wait && retry_after_us > rule->wait_us ? retry_after_us : rule->wait_us;
    out->charges_try = rule->charges_try;
    out->is_opt_out = rule->is_opt_out;
    out->blame = rule->blame;
}

/* An id that does not fit is left out rather than cut: half an id would name nobody. */
static void keep_message(const struct said *said, struct pr_outcome *out) {
    const char *status = said->message_status;
    out->is_held = status && (strcmp(status, "held_for_quality_assessment") == 0 || strcmp(status, "paused") == 0);
    size_t n = 0;
    for (; said->message_id[n] != '\0'; n++) {
        if (n == PR_WAMID_MAX || said->message_id[n] < '!' || said->message_id[n] > '~')
            return;
    }
    memcpy(out->wamid, said->message_id, n + 1);
}

void pr_outcome_classify(const struct pr_answer *answer, struct pr_outcome *out) {
    struct said said = {0};
    json_t *root = NULL;
    memset(out, 0, sizeof *out);
    if (answer->transport != PR_TRANSPORT_ANSWERED) {
        apply(&transports[answer->transport], answer->retry_after_us, out);
        return;
    }
    if (answer->body.n > 0 && answer->body.n <= PR_ANSWER_MAX)
        root = json_loadb(answer->body.p, answer->body.n, 0, NULL);
    if (json_is_object(root)) {
        read_error(root, &said);
        read_message(root, &said);
    }
    apply(judge(&said, answer->http_status), answer->retry_after_us, out);
    out->code = said.has_code ? said.code : 0;
    if (out->kind == PR_OUTCOME_ACCEPTED)
        keep_message(&said, out);
    json_decref(root);
}

static bool read_digits(struct pr_span text, int64_t max, int64_t *value) {
    int64_t sum = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        if (sum <= max)
            sum = sum * 10 + (text.p[i] - '0');
    }
    *value = sum < max ? sum : max;
    return text.n > 0;
}

static int month_of(struct pr_span name) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (pr_span_eq(name, pr_span_make(months + 3 * i, 3)))
            return i + 1;
    }
    return 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" by way of the RFC 3339 reader, which checks the ranges. The name of the day is not looked at. */
static bool read_http_date(struct pr_span text, int64_t *us) {
    char iso[] = "1994-00-06T08:49:37Z";
    if (text.n != 29 || !pr_span_eq(pr_span_skip(text, 25), PR_SPAN(" GMT")) ||
        !pr_span_eq(pr_span_make(text.p + 3, 2), PR_SPAN(", ")))
        return false;
    int month = month_of(pr_span_make(text.p + 8, 3));
    memcpy(iso, text.p + 12, 4);
    iso[5] = (char)('0' + month / 10);
    iso[6] = (char)('0' + month % 10);
    memcpy(iso + 8, text.p + 5, 2);
    memcpy(iso + 11, text.p + 17, 8);
    return pr_time_parse(pr_span_of(iso), us);
}

int64_t pr_retry_after_parse(struct pr_span value, int64_t now_us) {
    int64_t seconds, at_us;
    while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t'))
        value = pr_span_skip(value, 1);
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
        value.n--;
    if (read_digits(value, DAY_S, &seconds))
        return US(seconds);
    if (!read_http_date(value, &at_us) || at_us <= now_us)
        return 0;
    return at_us - now_us < US(DAY_S) ? at_us - now_us : US(DAY_S);
}

/* Looked for as text: the header is JSON of changing depth, by account and by use case, and only this one number of it says when to come back. */
int64_t pr_usage_parse(struct pr_span value) {
    static const char key[] = "\"estimated_time_to_regain_access\"";
    int64_t most = 0, minutes;
    const char *at;
    while (value.n > 0 && (at = memmem(value.p, value.n, key, sizeof(key) - 1)) != NULL) {
        value = pr_span_skip(value, (size_t)(at - value.p) + sizeof(key) - 1);
        while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == ':'))
            value = pr_span_skip(value, 1);
        size_t n = 0;
        while (n < value.n && value.p[n] >= '0' && value.p[n] <= '9')
            n++;
        if (read_digits(pr_span_make(value.p, n), DAY_S / MINUTE_S, &minutes) && minutes > most)
            most = minutes;
    }
    return US(most * MINUTE_S);
}
