/* The envelope of a message, and text; the other types have files of their own. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_CHARS = 4096 };

bool pr_check_refuse(struct pr_check *check, int code, enum pr_reason reason, const char *fmt, ...) {
    if (check->reason != PR_REASON_NONE) {
        return false;
    }
    check->code = code;
    check->reason = reason;
    check->has_details = fmt != NULL;
    if (fmt) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(check->details, sizeof check->details, fmt, args);
        va_end(args);
        /* A name from the body may have been cut inside a character. */
        for (char *p = check->details; *p; p++) {
            if ((unsigned char)*p >= 0x7f || (unsigned char)*p < 0x20) {
                *p = '?';
            }
        }
    }
    return false;
}

bool pr_check_pick(struct pr_check *check, uint32_t object, const char *where, const struct pr_span *names,
                   uint32_t names_n, uint32_t *slot) {
    struct pr_span unknown = {NULL, 0};
    if (!object || !pr_doc_is(check->doc, object, PR_TOKEN_OBJECT)) {
        return pr_check_refuse(check, object ? 100 : 131008, PR_REASON_BODY, "Param %s must be a JSON object.", where);
    }
    if (!pr_doc_pick(check->doc, object, names, names_n, slot, &unknown)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Unexpected key \"%.*s\" on param \"%s\".",
                               PR_SPAN_ARG(unknown), where);
    }
    return true;
}

bool pr_check_text(struct pr_check *check, uint32_t token, const char *where, uint32_t chars_max, int code_long) {
    if (!token) {
        return pr_check_refuse(check, 131008, PR_REASON_BODY, "Param %s is required.", where);
    }
    if (!pr_doc_is(check->doc, token, PR_TOKEN_STRING)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param %s must be a string.", where);
    }
    if (check->doc->token[token].n == 0) {
        return pr_check_refuse(check, 131008, PR_REASON_BODY, "Param %s must not be empty.", where);
    }
    uint32_t chars = pr_doc_chars(check->doc, token);
    return chars <= chars_max
               ? true
               : pr_check_refuse(check, code_long, PR_REASON_BODY,
                                 "Param %s has %u characters; at most %u are allowed.", where, chars, chars_max);
}

/* Two capitals, a dot, and letters, digits, dots: "US.13491208655302741918". */
static bool is_scoped_id(struct pr_span s) {
    if (s.n < 4 || s.n > 131 || s.p[0] < 'A' || s.p[0] > 'Z' || s.p[1] < 'A' || s.p[1] > 'Z' || s.p[2] != '.') {
        return false;
    }
    for (size_t i = 3; i < s.n; i++) {
        char lower = (char)(s.p[i] | 0x20);
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(lower >= 'a' && lower <= 'z') && s.p[i] != '.') {
            return false;
        }
    }
    return true;
}

/* Digits of a phone number with the punctuation that the platform lets pass; without '+' the business's country goes in front. */
static bool read_phone(struct pr_check *check, struct pr_span to) {
    struct pr_message *m = &check->message;
    size_t n = 0;
    if (to.n == 0 || to.p[0] != '+') {
        n = strlen(check->number->country_code);
        memcpy(m->room, check->number->country_code, n);
    }
    size_t prefix = n;
    for (size_t i = 0; i < to.n; i++) {
        if (to.p[i] >= '0' && to.p[i] <= '9' && n < 32) {
            m->room[n++] = to.p[i];
        } else if ((to.p[i] == '+' && i > 0) || !memchr("+-() ", to.p[i], 5)) {
            return pr_check_refuse(check, 131009, PR_REASON_BODY, "Param to is not a phone number: \"%.*s\".",
                                   PR_SPAN_ARG(to));
        }
    }
    m->person = (struct pr_span){m->room, n};
    if (n - prefix < 5 || n > 15 || m->room[0] == '0') {
        return pr_check_refuse(check, 131009, PR_REASON_BODY, "Param to is not a phone number: \"%.*s\".",
                               PR_SPAN_ARG(to));
    }
    if (pr_span_is(m->person, check->number->display)) {
        return pr_check_refuse(check, 131021, PR_REASON_BODY,
                               "Recipient phone number cannot be the sender phone number.");
    }
    return true;
}

/* `to` wins over `recipient`, which takes a business-scoped user id. */
static bool read_recipient(struct pr_check *check, uint32_t to, uint32_t recipient) {
    char room[256];
    struct pr_span text;
    uint32_t token = to ? to : recipient;
    if (!token) {
        check->has_details = false;
        return pr_check_refuse(check, 100, PR_REASON_BODY, NULL);
    }
    if (!pr_doc_is(check->doc, token, PR_TOKEN_STRING)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param %s must be a string.", to ? "to" : "recipient");
    }
    check->message.to = pr_doc_raw(check->doc, token);
    if (!pr_doc_text(check->doc, token, room, sizeof room, &text)) {
        return pr_check_refuse(check, 131009, PR_REASON_BODY, "Param %s is too long.", to ? "to" : "recipient");
    }
    if (to) {
        return read_phone(check, text);
    }
    if (!is_scoped_id(text)) {
        return pr_check_refuse(check, 131009, PR_REASON_BODY, "Param recipient is not a business-scoped user id.");
    }
    memcpy(check->message.room, text.p, text.n);
    check->message.person = (struct pr_span){check->message.room, text.n};
    check->message.is_scoped = true;
    return true;
}

enum slot {
    SLOT_PRODUCT,
    SLOT_RECIPIENT_TYPE,
    SLOT_TO,
    SLOT_TYPE,
    SLOT_TEMPLATE,
    SLOT_CALLBACK,
    SLOT_RECIPIENT,
    SLOT_CONTEXT,
    SLOT_TEXT,
    SLOT_STATUS,
    SLOT_MESSAGE_ID,
    SLOT_TYPING,
    SLOT_PRODUCT_POLICY,
    SLOT_ACTIVITY_SHARING,
    SLOT_FIRST_OTHER,
    SLOTS = SLOT_FIRST_OTHER + 10,
};

static const struct pr_span slot_names[SLOTS] = {
    {"messaging_product", 17},
    {"recipient_type", 14},
    {"to", 2},
    {"type", 4},
    {"template", 8},
    {"biz_opaque_callback_data", 24},
    {"recipient", 9},
    {"context", 7},
    {"text", 4},
    {"status", 6},
    {"message_id", 10},
    {"typing_indicator", 16},
    {"product_policy", 14},
    {"message_activity_sharing", 24},
    {"image", 5},
    {"video", 5},
    {"document", 8},
    {"audio", 5},
    {"sticker", 7},
    {"location", 8},
    {"contacts", 8},
    {"reaction", 8},
    {"interactive", 11},
    {"ttl", 3},
};

static bool check_product(struct pr_check *check, uint32_t token) {
    if (!token) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "The parameter messaging_product is required.");
    }
    if (!pr_doc_is(check->doc, token, PR_TOKEN_STRING) || !pr_span_is(pr_doc_raw(check->doc, token), "whatsapp")) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param messaging_product must be one of {WHATSAPP}.");
    }
    return true;
}

static bool check_callback(struct pr_check *check, uint32_t token) {
    if (!token) {
        return true;
    }
    if (!pr_doc_is(check->doc, token, PR_TOKEN_STRING)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param biz_opaque_callback_data must be a string.");
    }
    if (pr_doc_chars(check->doc, token) > PR_CALLBACK_CHARS) {
        return pr_check_refuse(check, 131009, PR_REASON_BODY,
                               "Param biz_opaque_callback_data has more than %d characters.", (int)PR_CALLBACK_CHARS);
    }
    check->message.callback = pr_doc_raw(check->doc, token);
    return true;
}

static bool check_type_text(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"body", 4}, {"preview_url", 11}};
    uint32_t slot[2];
    if (!pr_check_pick(check, token, "text", names, 2, slot)) {
        return false;
    }
    if (slot[1] && !pr_doc_is(check->doc, slot[1], PR_TOKEN_BOOL)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param text['preview_url'] must be a boolean.");
    }
    return pr_check_text(check, slot[0], "text['body']", TEXT_CHARS, 100);
}

static bool check_context(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"message_id", 10}};
    uint32_t slot[1];
    return !token || (pr_check_pick(check, token, "context", names, 1, slot) &&
                      pr_check_text(check, slot[0], "context['message_id']", 1024, 100));
}

/* The member that `type` names; the platform takes a message without type for text. */
static bool check_typed(struct pr_check *check, const uint32_t *slot) {
    struct pr_span type = slot[SLOT_TYPE] ? pr_doc_raw(check->doc, slot[SLOT_TYPE]) : PR_SPAN("text");
    check->message.type = type;
    if (pr_span_is(type, "template")) {
        return pr_check_template(check, slot[SLOT_TEMPLATE]);
    }
    if (check->is_marketing_path) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Message must be a template message.");
    }
    if (pr_span_is(type, "text")) {
        return check_type_text(check, slot[SLOT_TEXT]);
    }
    for (uint32_t i = SLOT_FIRST_OTHER; i + 1 < SLOTS; i++) {
        if (pr_span_eq(type, slot_names[i])) {
            return pr_check_other(check, type, slot[i]);
        }
    }
    check->message.type = PR_SPAN("");
    return pr_check_refuse(check, 131051, PR_REASON_BODY, "Message type is not supported.");
}

static bool check_envelope(struct pr_check *check, const uint32_t *slot) {
    const struct pr_doc *doc = check->doc;
    if (!check_product(check, slot[SLOT_PRODUCT])) {
        return false;
    }
    if (slot[SLOT_STATUS]) {
        check->message.is_read_mark = true;
        return pr_span_is(pr_doc_raw(doc, slot[SLOT_STATUS]), "read")
                   ? pr_check_text(check, slot[SLOT_MESSAGE_ID], "message_id", 1024, 100)
                   : pr_check_refuse(check, 100, PR_REASON_BODY, "Param status must be one of {READ}.");
    }
    if (slot[SLOT_RECIPIENT_TYPE] && !pr_span_is(pr_doc_raw(doc, slot[SLOT_RECIPIENT_TYPE]), "individual")) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param recipient_type must be one of {INDIVIDUAL} here.");
    }
    if (slot[SLOT_TYPE] && !pr_doc_is(doc, slot[SLOT_TYPE], PR_TOKEN_STRING)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param type must be a string.");
    }
    return check_callback(check, slot[SLOT_CALLBACK]) && read_recipient(check, slot[SLOT_TO], slot[SLOT_RECIPIENT]) &&
           check_context(check, slot[SLOT_CONTEXT]) && check_typed(check, slot);
}

bool pr_check_body(struct pr_check *check, struct pr_span body) {
    uint32_t slot[SLOTS];
    check->doc = check->sandbox->doc;
    if (!pr_scan(check->sandbox->doc, body)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "The body is not valid JSON: %s at byte %u.",
                               check->doc->fault, check->doc->fault_at);
    }
    if (!pr_doc_is(check->doc, 0, PR_TOKEN_OBJECT)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "The body is not a JSON object.");
    }
    struct pr_span unknown = {NULL, 0};
    if (!pr_doc_pick(check->doc, 0, slot_names, SLOTS, slot, &unknown)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Unexpected key \"%.*s\".", PR_SPAN_ARG(unknown));
    }
    return check_envelope(check, slot);
}
