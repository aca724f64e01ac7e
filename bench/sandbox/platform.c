/* The order of a decision: credentials, number, body, fault, limits; then the message is taken, and only then answered. */
#include "platform.h"

#include "check.h"
#include "receipts.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

enum {
    WAMID_CHARS = 288,           /* base64 of at most 160 bytes and the prefix */
    PAUSE_BEFORE_END_MS = 20,    /* answer_then_*: so that the client has put the connection back into its pool */
    CODE_UNKNOWN_PATH = 2500,    /* Graph: unknown path components */
    SUBCODE_NO_SUCH_OBJECT = 33, /* Graph: "Object with ID … does not exist" */
};

enum path_kind { PATH_NONE, PATH_NUMBER, PATH_MESSAGES, PATH_MARKETING, PATH_D360 };

/* One request on its way. */
struct flow {
    struct pr_sandbox *sandbox;
    const struct pr_request *request;
    struct pr_answer *answer;
    int64_t mono_us, real_us; /* its one moment, by both clocks: limits and record agree about it */
    enum path_kind path;
    struct pr_span phone_number_id;
    struct pr_number *number;
    struct pr_check check;
    const struct pr_fault *fault;
    char wamid_room[WAMID_CHARS];
    struct pr_span wamid;
};

static struct pr_span next_segment(struct pr_span *path) {
    struct pr_span rest = pr_span_skip(*path, 1);
    const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
    *path = pr_span_skip(rest, n);
    return (struct pr_span){rest.p, n};
}

/* "v25.0" */
static bool is_version(struct pr_span s) {
    return s.n >= 4 && s.p[0] == 'v' && s.p[1] >= '0' && s.p[1] <= '9' && memchr(s.p, '.', s.n);
}

static enum path_kind read_path(const struct pr_request *request, struct pr_span *id) {
    struct pr_span rest = request->path;
    struct pr_span first = next_segment(&rest);
    if (pr_span_is(first, "messages") && rest.n == 0) {
        return PATH_D360;
    }
    *id = is_version(first) ? next_segment(&rest) : first;
    struct pr_span verb = rest.n ? next_segment(&rest) : (struct pr_span){NULL, 0};
    if (rest.n || id->n == 0) {
        return PATH_NONE;
    }
    if (pr_span_is(verb, "messages")) {
        return PATH_MESSAGES;
    }
    return verb.n == 0 ? PATH_NUMBER : pr_span_is(verb, "marketing_messages") ? PATH_MARKETING : PATH_NONE;
}

/* An id that is not ours is shown only when it is harmless inside JSON. */
static struct pr_span shown_id(const struct flow *f) {
    if (f->number) {
        return pr_span_of(f->number->phone_number_id);
    }
    for (size_t i = 0; i < f->phone_number_id.n; i++) {
        if (i == 64 || f->phone_number_id.p[i] < '0' || f->phone_number_id.p[i] > '9') {
            return PR_SPAN("");
        }
    }
    return f->phone_number_id;
}

/* Its moment by the platform's clock, which tests set. */
static int64_t at_us(const struct flow *f) {
    return f->real_us + f->sandbox->clock_offset_us;
}

static void add_record(struct flow *f, const char *verdict, enum pr_reason reason, int code, int http) {
    const struct pr_message *m = &f->check.message;
    struct pr_entry entry = {.at_us = at_us(f),
                             .real_us = f->real_us,
                             .connection = f->request->connection,
                             .nth = f->request->nth,
                             .phone_number_id = shown_id(f),
                             .to = m->to,
                             .wa_id = m->person,
                             .type = m->type,
                             .template_name = m->template_name,
                             .language = m->language,
                             .callback = m->callback,
                             .wamid = f->wamid,
                             .verdict = verdict,
                             .reason = pr_reason_name(reason),
                             .fault = f->fault ? f->fault->kind->name : "",
                             .code = code,
                             .http = http,
                             .body = f->request->body,
                             .is_json = f->check.doc && !f->check.doc->fault};
    (void)pr_record_add(&f->sandbox->record, &entry);
}

static uint64_t trace_of(const struct flow *f) {
    return XXH3_64bits_withSeed(&f->sandbox->record.seq, sizeof f->sandbox->record.seq, f->sandbox->run);
}

static void count_refusal(struct flow *f, enum pr_reason reason, int code) {
    f->sandbox->stats.refused++;
    f->sandbox->stats.by_reason[reason]++;
    pr_sandbox_count_code(f->sandbox, code);
}

static void refuse(struct flow *f, enum pr_reason reason, int code, int http, int subcode, const char *details) {
    http = http ? http : pr_error_kind(code)->http;
    count_refusal(f, reason, code);
    add_record(f, "refused", reason, code, http);
    pr_answer_error(f->answer, code, http, subcode, details, f->fault, trace_of(f));
}

/* 360dialog answers a bad key itself, without a provider code. */
static void refuse_d360_key(struct flow *f) {
    count_refusal(f, PR_REASON_TOKEN, 0);
    add_record(f, "refused", PR_REASON_TOKEN, 0, 401);
    pr_answer_put(
        f->answer, 401, "application/json", "",
        PR_SPAN("{\"meta\":{\"success\":false,\"http_code\":401,\"developer_message\":\"Invalid api key\"}}"));
}

static bool is_business_token(const struct pr_sandbox *sandbox, struct pr_span token) {
    struct pr_token_entry *entry = NULL;
    if (token.n) {
        HASH_FIND(hh, sandbox->tokens, token.p, token.n, entry);
    }
    return entry != NULL;
}

/* A token that opens another number of ours is known, but not enough: 403 where a stranger's gets 401. */
static bool is_token_of_any(const struct pr_sandbox *sandbox, struct pr_span token) {
    for (const struct pr_number *number = sandbox->numbers; number; number = number->hh.next) {
        if (number->token && token.n && pr_span_is(token, number->token)) {
            return true;
        }
    }
    return false;
}

static bool authenticate_graph(struct flow *f) {
    struct pr_sandbox *sandbox = f->sandbox;
    struct pr_span token = f->request->bearer;
    f->number = pr_sandbox_number(sandbox, f->phone_number_id);
    if (f->number && f->number->token && token.n && pr_span_is(token, f->number->token)) {
        return true;
    }
    bool is_known = is_business_token(sandbox, token) || (sandbox->lenient && token.n > 0);
    if (!is_known && is_token_of_any(sandbox, token)) {
        refuse(f, PR_REASON_TOKEN, 10, 0, 0, NULL);
        return false;
    }
    if (!is_known) {
        refuse(f, PR_REASON_TOKEN, 190, 0, 0, NULL);
        return false;
    }
    if (!f->number && sandbox->lenient && f->phone_number_id.n <= 64) {
        f->number = pr_sandbox_add_number(sandbox, f->phone_number_id);
    }
    if (!f->number) {
        refuse(f, PR_REASON_NUMBER, 100, 0, SUBCODE_NO_SUCH_OBJECT,
               "Unsupported post request. Object with that ID does not exist.");
    }
    return f->number != NULL;
}

static bool authenticate(struct flow *f) {
    if (f->path != PATH_D360) {
        return authenticate_graph(f);
    }
    struct pr_span key = f->request->api_key;
    if (key.n) {
        HASH_FIND(by_key, f->sandbox->numbers_by_key, key.p, key.n, f->number);
    }
    if (!f->number) {
        refuse_d360_key(f);
    }
    return f->number != NULL;
}

static int64_t draw_latency(struct pr_sandbox *sandbox) {
    if (!sandbox->has_latency) {
        return 0;
    }
    return sandbox->latency_us[(size_t)(pr_faults_random(&sandbox->faults) * PR_LATENCY_STEPS)];
}

/* Base64 without padding, as message ids are written. */
static size_t put_base64(char *to, const unsigned char *from, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t out = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)from[i] << 16 | (i + 1 < n ? (uint32_t)from[i + 1] << 8 : 0) | (i + 2 < n ? from[i + 2] : 0);
        to[out++] = digits[v >> 18];
        to[out++] = digits[v >> 12 & 63];
        if (i + 1 < n) {
            to[out++] = digits[v >> 6 & 63];
        }
        if (i + 2 < n) {
            to[out++] = digits[v & 63];
        }
    }
    return out;
}

/* The form of real ids: the person, then 18 hexadecimal digits; ours are 8 of this run and 10 of the message's number. */
static void make_wamid(struct flow *f) {
    static const char hex[] = "0123456789ABCDEF";
    unsigned char raw[PR_PERSON_CHARS + 32] = {0x1c, 0x18};
    struct pr_span person = f->check.message.person;
    size_t n = 2;
    raw[n++] = (unsigned char)person.n;
    memcpy(raw + n, person.p, person.n);
    n += person.n;
    memcpy(raw + n, "\x15\x02\x00\x11\x18\x12", 6);
    n += 6;
    uint64_t number = ++f->sandbox->taken;
    for (int shift = 28; shift >= 0; shift -= 4) {
        raw[n++] = (unsigned char)hex[f->sandbox->run >> shift & 15];
    }
    for (int shift = 36; shift >= 0; shift -= 4) {
        raw[n++] = (unsigned char)hex[number >> shift & 15];
    }
    raw[n++] = 0;
    memcpy(f->wamid_room, "wamid.", 6);
    f->wamid = (struct pr_span){f->wamid_room, 6 + put_base64(f->wamid_room + 6, raw, n)};
}

/* The answer to a message that was taken; written by hand because every message pays for it. */
static void put_result(struct flow *f, bool is_held) {
    const struct pr_message *m = &f->check.message;
    struct pr_span part[] = {PR_SPAN("{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":\""),
                             m->to,
                             m->is_scoped ? PR_SPAN("\",\"user_id\":\"") : PR_SPAN("\",\"wa_id\":\""),
                             m->person,
                             PR_SPAN("\"}],\"messages\":[{\"id\":\""),
                             f->wamid,
                             is_held              ? PR_SPAN("\",\"message_status\":\"held_for_quality_assessment\"}]}")
                             : m->template_name.n ? PR_SPAN("\",\"message_status\":\"accepted\"}]}")
                                                  : PR_SPAN("\"}]}")};
    enum { PARTS = sizeof part / sizeof part[0] };
    size_t length = 0;
    for (size_t i = 0; i < PARTS; i++) {
        length += part[i].n;
    }
    char digits[24];
    size_t at = sizeof digits;
    for (size_t rest = length; rest; rest /= 10) {
        digits[--at] = (char)('0' + rest % 10);
    }
    struct pr_buf *out = f->answer->bytes;
    pr_buf_reset(out);
    pr_buf_put_span(out,
                    PR_SPAN("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: "));
    pr_buf_put(out, digits + at, sizeof digits - at);
    pr_buf_put_span(out, f->answer->close ? PR_SPAN("\r\nConnection: close\r\n\r\n") : PR_SPAN("\r\n\r\n"));
    for (size_t i = 0; i < PARTS; i++) {
        pr_buf_put_span(out, part[i]);
    }
}

/* A JSON document of the wanted size, with a message id nowhere in it. */
static void put_oversize(struct flow *f) {
    struct pr_buf body;
    pr_buf_init(&body, SIZE_MAX / 2);
    pr_buf_put_text(&body, "{\"padding\":\"");
    for (int64_t i = 0; i < f->fault->bytes; i += 64) {
        pr_buf_put_text(&body, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    }
    pr_buf_put_text(&body, "\"}");
    pr_answer_put(f->answer, 200, "application/json; charset=UTF-8", "", pr_buf_span(&body));
    pr_buf_free(&body);
}

static int fault_http(const struct pr_fault *fault) {
    switch (fault->kind->saying) {
    case PR_SAY_STATUS: return fault->http ? fault->http : fault->kind->http;
    case PR_SAY_ERROR: return fault->http ? fault->http : pr_error_kind(fault->code)->http;
    case PR_SAY_RESULT:
    case PR_SAY_HELD:
    case PR_SAY_GARBAGE:
    case PR_SAY_EMPTY:
    case PR_SAY_OVERSIZE: break;
    }
    return 200;
}

/* Status that the client is meant to see: none when the connection ends or falls silent first. */
static int answered_http(const struct pr_fault *fault) {
    bool is_silent =
        fault->kind->act == PR_ACT_CUT || fault->kind->act == PR_ACT_RESET || fault->kind->act == PR_ACT_HANG;
    return is_silent ? 0 : fault_http(fault);
}

/* How a fault wants the answer to leave, and what it says. */
static void answer_by_fault(struct flow *f) {
    const struct pr_fault *fault = f->fault;
    struct pr_answer *answer = f->answer;
    answer->act = fault->kind->act;
    int64_t ms = fault->ms;
    if (answer->act == PR_ACT_SEND) {
        answer->delay_us += ms * 1000;
    } else if (answer->act == PR_ACT_SEND_CUT || answer->act == PR_ACT_SEND_RESET) {
        answer->hold_us = (ms ? ms : PAUSE_BEFORE_END_MS) * 1000;
    } else {
        answer->hold_us = ms * 1000;
    }
    switch (fault->kind->saying) {
    case PR_SAY_RESULT: put_result(f, false); break;
    case PR_SAY_HELD: put_result(f, true); break;
    case PR_SAY_ERROR:
        pr_answer_error(answer, fault->code, fault_http(fault), 0, fault->details ? fault->details : "On purpose.",
                        fault, trace_of(f));
        break;
    case PR_SAY_STATUS: pr_answer_status(answer, fault_http(fault), fault); break;
    case PR_SAY_GARBAGE:
        pr_answer_put(answer, 200, "application/json; charset=UTF-8", "",
                      PR_SPAN("{\"messages\":[{\"id\":\"wamid.\x01\xff<!doctype"));
        break;
    case PR_SAY_EMPTY: pr_answer_put(answer, 200, "application/json; charset=UTF-8", "", PR_SPAN("{}")); break;
    case PR_SAY_OVERSIZE: put_oversize(f); break;
    }
}

static void refuse_by_fault(struct flow *f) {
    int code = f->fault->kind->saying == PR_SAY_ERROR ? f->fault->code : 0;
    count_refusal(f, PR_REASON_FAULT, code);
    add_record(f, "refused", PR_REASON_FAULT, code, answered_http(f->fault));
    answer_by_fault(f);
}

/* Outside the service window only templates go. */
static bool fits_window(struct flow *f, bool is_open) {
    if (is_open || !f->sandbox->enforce_window || f->check.message.template_name.n > 0) {
        return true;
    }
    refuse(f, PR_REASON_WINDOW, 131047, 0, 0,
           "More than 24 hours have passed since the customer last replied to this number.");
    return false;
}

/* The limits in force for this message, none of them counted yet. False when one of them refused it. */
static bool fits_limits(struct flow *f, uint64_t pair, uint64_t person, int64_t now_us, bool is_open) {
    struct pr_sandbox *sandbox = f->sandbox;
    if (!pr_rate_fits(&f->number->rate, f->mono_us)) {
        refuse(f, PR_REASON_RATE, 130429, 0, 0, "Cloud API message throughput has been reached.");
        return false;
    }
    if (!pr_pair_fits(&sandbox->pairs, pair, now_us)) {
        refuse(f, PR_REASON_PAIR, 131056, 0, 0,
               "Message failed to send because there were too many messages sent from this phone number to the same "
               "phone number in a "
               "short period of time.");
        return false;
    }
    struct pr_portfolio *portfolio = f->number->portfolio;
    if (portfolio && !is_open && !pr_tier_fits(&portfolio->tier, person, now_us)) {
        char details[200];
        (void)snprintf(
            details,
            sizeof details, "Messaging limit reached: %lld people in 24 hours. (The sandbox's own answer; the platform documents no code.)",
            (long long)portfolio->tier.limit);
        refuse(f, PR_REASON_TIER, 131048, 0, 0, details);
        return false;
    }
    return true;
}

static void count_callback(struct pr_sandbox *sandbox, struct pr_span callback) {
    if (!callback.p) {
        sandbox->stats.accepted_without_callback++;
        return;
    }
    if (pr_map_add(&sandbox->callbacks, XXH3_64bits(callback.p, callback.n))) {
        return;
    }
    sandbox->stats.callbacks_repeated++;
    if (sandbox->callback_samples_n < PR_SAMPLES_MAX) {
        char *sample = strndup(callback.p, callback.n);
        if (sample) {
            sandbox->callback_sample[sandbox->callback_samples_n++] = sample;
        }
    }
}

static const char *category_of(const struct pr_message *m, char room[48]) {
    const char *category = m->form ? m->form->category : m->template_name.n ? "utility" : "service";
    size_t i = 0;
    for (; category[i] && i < 47; i++) {
        room[i] = (char)(category[i] >= 'A' && category[i] <= 'Z' ? category[i] | 0x20 : category[i]);
    }
    room[i] = '\0';
    return room;
}

/* The message is ours from here on: counted, recorded, its receipts scheduled. */
static void take(struct flow *f, int failed_code) {
    struct pr_sandbox *sandbox = f->sandbox;
    const struct pr_message *m = &f->check.message;
    char category[48];
    make_wamid(f);
    f->answer->is_taken = true;
    sandbox->stats.accepted++;
    f->number->accepted++;
    count_callback(sandbox, m->callback);
    add_record(f, "accepted", PR_REASON_NONE, 0, f->fault ? answered_http(f->fault) : 200);
    struct pr_receipt_of of = {.number = f->number,
                               .person = m->person,
                               .is_scoped = m->is_scoped,
                               .wamid = f->wamid,
                               .callback = m->callback,
                               .category = category_of(m, category),
                               .failed_code = failed_code};
    pr_receipts_add(sandbox->receipts, &of);
}

static int draw_failure(struct flow *f) {
    bool is_of_fault = f->fault && f->fault->code && f->fault->kind->saying != PR_SAY_ERROR;
    return is_of_fault ? f->fault->code : pr_receipts_draw_failure(f->sandbox->receipts);
}

static void decide(struct flow *f) {
    struct pr_sandbox *sandbox = f->sandbox;
    const struct pr_message *m = &f->check.message;
    struct pr_fault_query query = {m->person, pr_span_of(f->number->phone_number_id), m->template_name, f->request->nth};
    f->fault = pr_faults_pick(&sandbox->faults, &query);
    if (f->fault && !f->fault->kind->accepts) {
        refuse_by_fault(f);
        return;
    }
    int64_t now_us = at_us(f);
    uint64_t pair = pr_sandbox_pair_key(f->number, m->person);
    uint64_t person = XXH3_64bits(m->person.p, m->person.n);
    const int64_t *window = pr_map_find(&sandbox->windows, pair);
    bool is_open = window && *window > now_us;
    /* A limit that refuses does it in its own name, not in the fault's. */
    const struct pr_fault *fault = f->fault;
    f->fault = NULL;
    if (!fits_window(f, is_open) || !fits_limits(f, pair, person, now_us, is_open)) {
        return;
    }
    f->fault = fault;
    int failed_code = draw_failure(f);
    pr_rate_count(&f->number->rate, f->mono_us);
    pr_pair_count(&sandbox->pairs, pair, now_us);
    if (f->number->portfolio && !is_open && failed_code == 0) {
        pr_tier_count(&f->number->portfolio->tier, person, now_us);
    }
    take(f, failed_code);
    if (f->fault) {
        answer_by_fault(f);
    } else {
        put_result(f, false);
    }
}

static void answer_message(struct flow *f) {
    if (!authenticate(f)) {
        return;
    }
    struct pr_check *check = &f->check;
    check->sandbox = f->sandbox;
    check->number = f->number;
    check->is_marketing_path = f->path == PATH_MARKETING;
    struct pr_span type = f->request->content_type;
    if (type.n < 16 || strncasecmp(type.p, "application/json", 16) != 0) {
        (void)pr_check_refuse(check, 100, PR_REASON_BODY,
                              "The parameter messaging_product is required. (Content-Type is not JSON.)");
    } else if (f->request->body.n > PR_MESSAGE_BYTES_MAX) {
        (void)pr_check_refuse(check, 100, PR_REASON_BODY, "The body has more than %d bytes.", (int)PR_MESSAGE_BYTES_MAX);
    } else if (pr_check_body(check, f->request->body)) {
        if (check->message.is_read_mark) {
            f->sandbox->stats.mark_read++;
            pr_answer_put(f->answer, 200, "application/json; charset=UTF-8", "", PR_SPAN("{\"success\":true}"));
            return;
        }
        decide(f);
        return;
    }
    refuse(f, check->reason, check->code, 0, 0, check->has_details ? check->details : NULL);
}

/* GET /{phone_number_id}: what a console or a dispatcher's own check may look at. */
static void answer_number(struct flow *f) {
    if (!authenticate_graph(f)) {
        return;
    }
    const struct pr_number *n = f->number;
    struct pr_buf body;
    pr_buf_init(&body, 8192);
    pr_buf_put_text(&body, "{\"id\":");
    pr_buf_put_json(&body, pr_span_of(n->phone_number_id));
    pr_buf_put_text(&body, ",\"display_phone_number\":");
    pr_buf_put_json(&body, pr_span_of(n->display));
    pr_buf_put_text(&body, ",\"quality_rating\":");
    pr_buf_put_json(&body, pr_span_of(n->quality));
    pr_buf_printf(&body, ",\"status\":\"CONNECTED\",\"throughput\":{\"level\":\"%s\"}",
                  n->rate.per_second >= 1000 ? "HIGH" : "STANDARD");
    if (n->portfolio && n->portfolio->tier.limit >= 0) {
        pr_buf_printf(&body, ",\"whatsapp_business_manager_messaging_limit\":\"TIER_%lld\"",
                      (long long)n->portfolio->tier.limit);
    } else {
        pr_buf_put_text(&body, ",\"whatsapp_business_manager_messaging_limit\":\"TIER_UNLIMITED\"");
    }
    pr_buf_put_char(&body, '}');
    pr_answer_put(f->answer, 200, "application/json; charset=UTF-8", "", pr_buf_span(&body));
    pr_buf_free(&body);
}

/* Its moment is when it came, not when this process had a CPU for it; but never before that of a request which was already counted. */
static void take_moment(struct flow *f) {
    int64_t now_us = pr_clock_mono_ns() / 1000;
    int64_t came_us = now_us - f->request->waited_us;
    f->mono_us = came_us > f->sandbox->moment_us ? came_us : f->sandbox->moment_us;
    f->real_us = pr_clock_real_us() - (now_us - f->mono_us);
    f->sandbox->moment_us = f->mono_us;
}

void pr_platform_answer(struct pr_sandbox *sandbox, const struct pr_request *request, struct pr_answer *answer) {
    struct flow f = {.sandbox = sandbox, .request = request, .answer = answer};
    take_moment(&f);
    f.path = read_path(request, &f.phone_number_id);
    answer->delay_us = draw_latency(sandbox);
    bool is_post = pr_span_is(request->method, "POST");
    if (f.path == PATH_NUMBER && pr_span_is(request->method, "GET")) {
        answer_number(&f);
    } else if (is_post && f.path != PATH_NONE && f.path != PATH_NUMBER) {
        answer->is_message = true;
        answer_message(&f);
    } else {
        refuse(&f, PR_REASON_NUMBER, CODE_UNKNOWN_PATH, 0, 0, "Unknown path components");
    }
}
