/* A template message against the template: status, and each component's parameters. */
#include "check.h"

#include <string.h>
#include <strings.h>

/* Parameters that one component carries; above what any template takes. */
enum { PARAMETERS_MAX = 100 };

/* What the components of one message have shown so far. */
struct seen {
    bool header, body;
    bool button[PR_BUTTONS_MAX];
};

static bool refuse_mismatch(struct pr_check *check, const char *where, uint32_t got, uint32_t wanted) {
    return pr_check_refuse(check, 132000, PR_REASON_PARAMETER,
                           "%s: number of localizable_params (%u) does not match the expected number of params (%u)",
                           where, got, wanted);
}

static bool token_is(const struct pr_check *check, uint32_t token, const char *text) {
    return token && pr_doc_is(check->doc, token, PR_TOKEN_STRING) && pr_span_is(pr_doc_raw(check->doc, token), text);
}

static bool token_is_nocase(const struct pr_check *check, uint32_t token, const char *text) {
    if (!token || !pr_doc_is(check->doc, token, PR_TOKEN_STRING)) {
        return false;
    }
    struct pr_span raw = pr_doc_raw(check->doc, token);
    return raw.n == strlen(text) && strncasecmp(raw.p, text, raw.n) == 0;
}

enum {
    P_TYPE,
    P_TEXT,
    P_NAME,
    P_CURRENCY,
    P_DATE_TIME,
    P_IMAGE,
    P_VIDEO,
    P_DOCUMENT,
    P_LOCATION,
    P_PAYLOAD,
    P_COUPON,
    P_ACTION,
    P_SLOTS
};

static const struct pr_span parameter_names[P_SLOTS] = {
    {"type", 4},  {"text", 4},     {"parameter_name", 14}, {"currency", 8}, {"date_time", 9},    {"image", 5},
    {"video", 5}, {"document", 8}, {"location", 8},        {"payload", 7},  {"coupon_code", 11}, {"action", 6}};

static bool pick_parameter(struct pr_check *check, uint32_t token, uint32_t *slot) {
    if (!pr_check_pick(check, token, "template['components']['parameters']", parameter_names, P_SLOTS, slot)) {
        return false;
    }
    if (!slot[P_TYPE] || !pr_doc_is(check->doc, slot[P_TYPE], PR_TOKEN_STRING)) {
        return pr_check_refuse(check, 131008, PR_REASON_PARAMETER,
                               "Param template['components']['parameters']['type'] is required.");
    }
    return true;
}

/* The value of a text parameter. Newlines, tabs and long runs of spaces are refused, as the templates' guide says. */
static bool check_text_value(struct pr_check *check, uint32_t token, uint32_t *chars) {
    char room[8192];
    struct pr_span text;
    if (!token || !pr_doc_is(check->doc, token, PR_TOKEN_STRING) || check->doc->token[token].n == 0) {
        return pr_check_refuse(check, 131008, PR_REASON_PARAMETER, "Parameter of type text is missing text value");
    }
    if (!pr_doc_text(check->doc, token, room, sizeof room, &text)) {
        return pr_check_refuse(check, 132005, PR_REASON_PARAMETER, "Parameter of type text is too long");
    }
    uint32_t spaces = 0;
    *chars = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        spaces = c == ' ' ? spaces + 1 : 0;
        *chars += (c & 0xc0) != 0x80;
        if (c == '\n' || c == '\r' || c == '\t' || spaces > 4) {
            return pr_check_refuse(check, 131009, PR_REASON_PARAMETER,
                                   "Param text cannot have new-line/tab characters or more than 4 consecutive spaces");
        }
    }
    return true;
}

/* What stands in a text for a currency or date_time parameter: its fallback_value. */
static bool check_fallback(struct pr_check *check, uint32_t object, bool is_currency, uint32_t *chars) {
    static const struct pr_span currency[] = {{"fallback_value", 14}, {"code", 4}, {"amount_1000", 11}};
    static const struct pr_span date[] = {{"fallback_value", 14}, {"day_of_week", 11}, {"year", 4},   {"month", 5},
                                          {"day_of_month", 12},   {"hour", 4},         {"minute", 6}, {"calendar", 8},
                                          {"timestamp", 9},       {"component", 9}};
    uint32_t slot[10];
    if (!pr_check_pick(check, object, is_currency ? "currency" : "date_time", is_currency ? currency : date,
                       is_currency ? 3 : 10, slot)) {
        return false;
    }
    if (is_currency && (!slot[1] || !slot[2] || !pr_doc_is(check->doc, slot[2], PR_TOKEN_NUMBER))) {
        return pr_check_refuse(check, 131008, PR_REASON_PARAMETER, "currency needs code and a number amount_1000");
    }
    return check_text_value(check, slot[0], chars);
}

/* One parameter of a text (body, text header): how many characters it shows, and its name's token. */
static bool check_text_parameter(struct pr_check *check, uint32_t token, const char *where, uint32_t *chars,
                                 uint32_t *name) {
    uint32_t slot[P_SLOTS];
    if (!pick_parameter(check, token, slot)) {
        return false;
    }
    *name = slot[P_NAME];
    if (token_is(check, slot[P_TYPE], "text")) {
        return check_text_value(check, slot[P_TEXT], chars);
    }
    if (token_is(check, slot[P_TYPE], "currency")) {
        return check_fallback(check, slot[P_CURRENCY], true, chars);
    }
    if (token_is(check, slot[P_TYPE], "date_time")) {
        return check_fallback(check, slot[P_DATE_TIME], false, chars);
    }
    return pr_check_refuse(check, 132012, PR_REASON_PARAMETER, "%s: Format mismatch, expected TEXT, received %.*s",
                           where, PR_SPAN_ARG(pr_doc_raw(check->doc, slot[P_TYPE])));
}

/* The hole of the text that a parameter fills, by position or by name; NULL and refused when there is none. */
static const struct pr_hole *find_hole(struct pr_check *check, const struct pr_form_text *text, const char *where,
                                       uint32_t name, uint32_t position) {
    bool is_named = check->message.form->is_named;
    if (!is_named && !name) {
        return &text->hole[position];
    }
    if (!is_named || !name || !pr_doc_is(check->doc, name, PR_TOKEN_STRING)) {
        (void)pr_check_refuse(
            check, 132012, PR_REASON_PARAMETER, "%s: the template's parameters are %s", where,
            is_named ? "named: Parameter name is missing or empty" : "positional: parameter_name is not expected");
        return NULL;
    }
    for (uint32_t i = 0; i < text->holes_n; i++) {
        if (token_is(check, name, text->hole[i].name)) {
            return &text->hole[i];
        }
    }
    (void)pr_check_refuse(check, 132012, PR_REASON_PARAMETER, "%s: the template has no parameter named %.*s", where,
                          PR_SPAN_ARG(pr_doc_raw(check->doc, name)));
    return NULL;
}

static uint32_t parameters_of(const struct pr_check *check, uint32_t array) {
    return array ? check->doc->token[array].size : 0;
}

/* Parameters of a body or a text header: count, kind, names, and the length of the text with them in. */
static bool check_filled(struct pr_check *check, const struct pr_form_text *text, const char *where, uint32_t array,
                         uint32_t chars_max) {
    uint32_t size = parameters_of(check, array);
    if (size != text->holes_n) {
        return refuse_mismatch(check, where, size, text->holes_n);
    }
    uint64_t total = text->literal_chars;
    uint64_t filled = 0;
    uint32_t token = array + 1;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t chars = 0;
        uint32_t name = 0;
        if (!check_text_parameter(check, token, where, &chars, &name)) {
            return false;
        }
        const struct pr_hole *hole = find_hole(check, text, where, name, i);
        if (!hole) {
            return false;
        }
        filled |= UINT64_C(1) << (hole - text->hole);
        total += (uint64_t)chars * hole->times;
        token = check->doc->token[token].next;
    }
    if (size > 0 && filled != UINT64_MAX >> (64 - size)) {
        return pr_check_refuse(check, 132000, PR_REASON_PARAMETER,
                               "%s: a parameter is given twice and another is missing", where);
    }
    if (total > chars_max) {
        return pr_check_refuse(check, 132005, PR_REASON_PARAMETER,
                               "%s: Translated text too long: %llu characters, at most %u", where,
                               (unsigned long long)total, chars_max);
    }
    return true;
}

static const char *header_name(enum pr_form_header kind) {
    static const char *const names[] = {"NONE", "TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION"};
    return names[kind];
}

static bool check_location(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"latitude", 8}, {"longitude", 9}, {"name", 4}, {"address", 7}};
    uint32_t slot[4];
    if (!pr_check_pick(check, token, "location", names, 4, slot)) {
        return false;
    }
    return slot[0] && slot[1]
               ? true
               : pr_check_refuse(check, 131008, PR_REASON_PARAMETER, "location needs latitude and longitude");
}

/* The one parameter of a header that is a medium or a place. */
static bool check_header_medium(struct pr_check *check, uint32_t array) {
    static const struct {
        const char *type;
        uint32_t slot;
    } media[] = {
        {"", 0}, {"", 0}, {"image", P_IMAGE}, {"video", P_VIDEO}, {"document", P_DOCUMENT}, {"location", P_LOCATION}};
    enum pr_form_header kind = check->message.form->header_kind;
    uint32_t slot[P_SLOTS];
    if (parameters_of(check, array) != 1) {
        return pr_check_refuse(check, 132012, PR_REASON_PARAMETER,
                               "header: Format mismatch, expected %s, received UNKNOWN", header_name(kind));
    }
    if (!pick_parameter(check, array + 1, slot)) {
        return false;
    }
    if (!token_is(check, slot[P_TYPE], media[kind].type)) {
        return pr_check_refuse(check, 132012, PR_REASON_PARAMETER, "header: Format mismatch, expected %s, received %.*s",
                               header_name(kind), PR_SPAN_ARG(pr_doc_raw(check->doc, slot[P_TYPE])));
    }
    uint32_t value = slot[media[kind].slot];
    if (kind == PR_FORM_LOCATION) {
        return check_location(check, value);
    }
    return pr_check_media(check, value, pr_span_of(media[kind].type), "template['components']['parameters']");
}

static bool check_header(struct pr_check *check, uint32_t array) {
    const struct pr_form *form = check->message.form;
    switch (form->header_kind) {
    case PR_FORM_NONE:
        return parameters_of(check, array) == 0 ? true
                                                : refuse_mismatch(check, "header", parameters_of(check, array), 0);
    case PR_FORM_TEXT: return check_filled(check, &form->header, "header", array, PR_HEADER_CHARS);
    case PR_FORM_IMAGE:
    case PR_FORM_VIDEO:
    case PR_FORM_DOCUMENT:
    case PR_FORM_LOCATION: return check_header_medium(check, array);
    }
    return false;
}

/* The type word that the parameter of a button must have, the member with its value, and how long that may be. */
struct button_rule {
    const char *sub_type;
    const char *parameter;
    uint32_t slot;
    uint32_t chars_max;
};

static struct button_rule button_rule(enum pr_form_button kind) {
    switch (kind) {
    case PR_FORM_QUICK_REPLY: return (struct button_rule){"quick_reply", "payload", P_PAYLOAD, PR_PAYLOAD_CHARS};
    case PR_FORM_URL:
    case PR_FORM_OTP: return (struct button_rule){"url", "text", P_TEXT, PR_URL_CHARS};
    case PR_FORM_COPY_CODE: return (struct button_rule){"copy_code", "coupon_code", P_COUPON, PR_COUPON_CHARS};
    case PR_FORM_FLOW: return (struct button_rule){"flow", "action", P_ACTION, 0};
    case PR_FORM_CATALOG: return (struct button_rule){"catalog", "action", P_ACTION, 0};
    case PR_FORM_MPM: return (struct button_rule){"mpm", "action", P_ACTION, 0};
    case PR_FORM_PHONE:
    case PR_FORM_OTHER: break;
    }
    return (struct button_rule){NULL, NULL, 0, 0};
}

static bool check_button_value(struct pr_check *check, uint32_t index, const struct button_rule *rule, uint32_t array) {
    uint32_t slot[P_SLOTS];
    if (parameters_of(check, array) != 1) {
        return pr_check_refuse(check, 132000, PR_REASON_PARAMETER,
                               "buttons: Button at index %u takes one parameter, got %u", index,
                               parameters_of(check, array));
    }
    if (!pick_parameter(check, array + 1, slot)) {
        return false;
    }
    if (!token_is(check, slot[P_TYPE], rule->parameter)) {
        return pr_check_refuse(check, 132012, PR_REASON_PARAMETER,
                               "buttons: Button at index %u takes a parameter of type %s", index, rule->parameter);
    }
    uint32_t value = slot[rule->slot];
    if (rule->slot == P_ACTION) {
        return value && pr_doc_is(check->doc, value, PR_TOKEN_OBJECT)
                   ? true
                   : pr_check_refuse(check, 131008, PR_REASON_PARAMETER, "buttons: Button at index %u needs an action",
                                     index);
    }
    uint32_t literal = rule->slot == P_TEXT ? check->message.form->button[index].literal_chars : 0;
    uint32_t room = rule->chars_max > literal ? rule->chars_max - literal : 0;
    return pr_check_text(check, value, "template['components']['parameters']", room,
                         rule->slot == P_TEXT ? 132005 : 131009);
}

/* "0".."9" or the number; -1 otherwise. */
static int button_index(const struct pr_check *check, uint32_t token) {
    if (!token || !(pr_doc_is(check->doc, token, PR_TOKEN_STRING) || pr_doc_is(check->doc, token, PR_TOKEN_NUMBER))) {
        return -1;
    }
    struct pr_span raw = pr_doc_raw(check->doc, token);
    return raw.n == 1 && raw.p[0] >= '0' && raw.p[0] <= '9' ? raw.p[0] - '0' : -1;
}

static bool check_button(struct pr_check *check, uint32_t sub_type, uint32_t index_token, uint32_t array,
                         struct seen *seen) {
    const struct pr_form *form = check->message.form;
    int index = button_index(check, index_token);
    if (index < 0 || (uint32_t)index >= form->buttons_n) {
        return pr_check_refuse(check, 131009, PR_REASON_PARAMETER,
                               "buttons: the template has %u buttons; index must be below that", form->buttons_n);
    }
    if (seen->button[index]) {
        return pr_check_refuse(check, 100, PR_REASON_PARAMETER, "buttons: Button at index %d is given twice", index);
    }
    seen->button[index] = true;
    struct button_rule rule = button_rule(form->button[index].kind);
    if (!rule.sub_type || !token_is_nocase(check, sub_type, rule.sub_type)) {
        return pr_check_refuse(check, 132012, PR_REASON_PARAMETER,
                               "buttons: Button at index %d is not of that sub_type", index);
    }
    if (form->button[index].kind == PR_FORM_URL && !form->button[index].has_hole) {
        return pr_check_refuse(check, 132000, PR_REASON_PARAMETER, "buttons: Button at index %d takes no parameter",
                               index);
    }
    return check_button_value(check, (uint32_t)index, &rule, array);
}

static bool check_component(struct pr_check *check, uint32_t token, struct seen *seen) {
    static const struct pr_span names[] = {{"type", 4}, {"parameters", 10}, {"sub_type", 8}, {"index", 5}};
    uint32_t slot[4];
    if (!pr_check_pick(check, token, "template['components']", names, 4, slot)) {
        return false;
    }
    if (slot[1] && !pr_doc_is(check->doc, slot[1], PR_TOKEN_ARRAY)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY,
                               "Param template['components']['parameters'] must be an array.");
    }
    if (parameters_of(check, slot[1]) > PARAMETERS_MAX) {
        return pr_check_refuse(check, 132000, PR_REASON_PARAMETER, "more than %d parameters", (int)PARAMETERS_MAX);
    }
    bool is_header = token_is_nocase(check, slot[0], "header");
    if (is_header || token_is_nocase(check, slot[0], "body")) {
        bool *once = is_header ? &seen->header : &seen->body;
        if (*once) {
            return pr_check_refuse(check, 100, PR_REASON_BODY, "Param template['components'] has two of one type.");
        }
        *once = true;
        return is_header ? check_header(check, slot[1])
                         : check_filled(check, &check->message.form->body, "body", slot[1], PR_BODY_CHARS);
    }
    if (token_is_nocase(check, slot[0], "button")) {
        return check_button(check, slot[2], slot[3], slot[1], seen);
    }
    return pr_check_refuse(check, slot[0] ? 100 : 131008, PR_REASON_BODY,
                           "Param template['components']['type'] must be one of {HEADER, BODY, BUTTON}.");
}

/* What the template needs and no component gave. */
static bool check_missing(struct pr_check *check, const struct seen *seen) {
    const struct pr_form *form = check->message.form;
    if (!seen->header && !check_header(check, 0)) {
        return false;
    }
    if (!seen->body && form->body.holes_n > 0) {
        return refuse_mismatch(check, "body", 0, form->body.holes_n);
    }
    for (uint32_t i = 0; i < form->buttons_n; i++) {
        bool needs = form->button[i].kind == PR_FORM_COPY_CODE || form->button[i].kind == PR_FORM_OTP ||
                     form->button[i].has_hole;
        if (needs && !seen->button[i]) {
            return pr_check_refuse(check, 131008, PR_REASON_PARAMETER,
                                   "buttons: Button at index %u requires a parameter", i);
        }
    }
    return true;
}

static bool check_components(struct pr_check *check, uint32_t array) {
    struct seen seen = {0};
    if (array && !pr_doc_is(check->doc, array, PR_TOKEN_ARRAY)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Param template['components'] must be an array.");
    }
    uint32_t token = array + 1;
    for (uint32_t i = 0; i < parameters_of(check, array); i++) {
        if (!check_component(check, token, &seen)) {
            return false;
        }
        token = check->doc->token[token].next;
    }
    return check_missing(check, &seen);
}

/* Whether the template may be sent now, here, to this person. */
static bool check_sendable(struct pr_check *check) {
    const struct pr_form *form = check->message.form;
    if (strcasecmp(form->status, "PAUSED") == 0) {
        return pr_check_refuse(check, 132015, PR_REASON_TEMPLATE,
                               "Template is paused due to low quality so it cannot be sent");
    }
    if (strcasecmp(form->status, "DISABLED") == 0) {
        return pr_check_refuse(check, 132016, PR_REASON_TEMPLATE,
                               "Template has been paused too many times and is disabled");
    }
    if (strcasecmp(form->status, "APPROVED") != 0) {
        return pr_check_refuse(check, 132001, PR_REASON_TEMPLATE, "template name (%s) is not approved in %s",
                               form->name, form->language);
    }
    bool is_marketing = strcasecmp(form->category, "MARKETING") == 0;
    if (check->is_marketing_path && !is_marketing) {
        return pr_check_refuse(check, 131055, PR_REASON_TEMPLATE, "Only marketing templates are sent here");
    }
    if (!check->is_marketing_path && is_marketing && check->number->marketing_off) {
        return pr_check_refuse(check, 131063, PR_REASON_TEMPLATE,
                               "Marketing templates are disabled for your Cloud API configuration");
    }
    if (check->message.is_scoped && strcasecmp(form->category, "AUTHENTICATION") == 0) {
        return pr_check_refuse(check, 131062, PR_REASON_TEMPLATE, "Authentication templates need a phone number");
    }
    return true;
}

static bool check_language(struct pr_check *check, uint32_t token, struct pr_span *language) {
    static const struct pr_span names[] = {{"code", 4}, {"policy", 6}};
    uint32_t slot[2];
    if (!pr_check_pick(check, token, "template['language']", names, 2, slot) ||
        !pr_check_text(check, slot[0], "template['language']['code']", 64, 100)) {
        return false;
    }
    *language = pr_doc_raw(check->doc, slot[0]);
    return true;
}

bool pr_check_template(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"name", 4}, {"language", 8}, {"components", 10}, {"namespace", 9}};
    uint32_t slot[4];
    if (!pr_check_pick(check, token, "template", names, 4, slot) ||
        !pr_check_text(check, slot[0], "template['name']", PR_TEMPLATE_NAME_CHARS, 100)) {
        return false;
    }
    struct pr_message *m = &check->message;
    m->template_name = pr_doc_raw(check->doc, slot[0]);
    if (!check_language(check, slot[1], &m->language)) {
        return false;
    }
    m->form = pr_catalogue_find(&check->sandbox->catalogue, pr_span_of(check->number->waba_id), m->template_name,
                                m->language);
    if (!m->form && check->sandbox->any_template) {
        return true;
    }
    if (!m->form) {
        return pr_check_refuse(check, 132001, PR_REASON_TEMPLATE, "template name (%.*s) does not exist in %.*s",
                               (int)(m->template_name.n > 100 ? 100 : m->template_name.n), m->template_name.p,
                               PR_SPAN_ARG(m->language));
    }
    return check_sendable(check) && check_components(check, slot[2]);
}
