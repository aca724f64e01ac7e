/* Media, places, contacts, reactions and interactive messages, with the limits that the platform publishes for each. */
#include "check.h"

#include <string.h>

enum {
    CAPTION_CHARS = 1024,
    LINK_CHARS = 2048,
    FILE_NAME_CHARS = 240,
    BODY_CHARS = 1024,
    LIST_BODY_CHARS = 4096,
    SMALL_CHARS = 60, /* header, footer */
    LABEL_CHARS = 20, /* reply title, list button, cta label */
    REPLY_ID_CHARS = 256,
    REPLIES_MAX = 3,
    SECTIONS_MAX = 10,
    ROWS_MAX = 10, /* of all sections together */
    SECTION_TITLE_CHARS = 24,
    ROW_ID_CHARS = 200,
    ROW_TITLE_CHARS = 24,
    ROW_DESCRIPTION_CHARS = 72,
    PRODUCTS_MAX = 30, /* of all sections together */
    FLOW_LABEL_CHARS = 30,
};

static bool need_array(struct pr_check *check, uint32_t token, const char *where, uint32_t min, uint32_t max) {
    if (!token || !pr_doc_is(check->doc, token, PR_TOKEN_ARRAY)) {
        return pr_check_refuse(check, token ? 100 : 131008, PR_REASON_BODY, "Param %s must be an array.", where);
    }
    uint32_t size = check->doc->token[token].size;
    return size >= min && size <= max
               ? true
               : pr_check_refuse(check, 131009, PR_REASON_BODY, "Param %s has %u elements; %u to %u are allowed.",
                                 where, size, min, max);
}

static bool optional_text(struct pr_check *check, uint32_t token, const char *where, uint32_t chars_max) {
    return !token || pr_check_text(check, token, where, chars_max, 131009);
}

static bool has_scheme(struct pr_span link) {
    return pr_span_starts(link, PR_SPAN("https://")) || pr_span_starts(link, PR_SPAN("http://"));
}

/* Only some media carry a caption, only documents a file name. */
static bool check_beside(struct pr_check *check, uint32_t caption, uint32_t filename, struct pr_span medium,
                         const char *where) {
    bool is_document = pr_span_is(medium, "document");
    bool has_caption = is_document || pr_span_is(medium, "image") || pr_span_is(medium, "video");
    if ((caption && !has_caption) || (filename && !is_document)) {
        return pr_check_refuse(check, 100, PR_REASON_BODY, "Unexpected key \"%s\" on param \"%s\".",
                               filename ? "filename" : "caption", where);
    }
    return optional_text(check, caption, "caption", CAPTION_CHARS) &&
           optional_text(check, filename, "filename", FILE_NAME_CHARS);
}

bool pr_check_media(struct pr_check *check, uint32_t token, struct pr_span medium, const char *where) {
    static const struct pr_span names[] = {{"id", 2},       {"link", 4},     {"caption", 7},
                                           {"filename", 8}, {"provider", 8}, {"voice", 5}};
    uint32_t slot[6];
    if (!pr_check_pick(check, token, where, names, 6, slot)) {
        return false;
    }
    if (!slot[0] == !slot[1]) {
        return pr_check_refuse(check, slot[0] ? 131009 : 131008, PR_REASON_BODY, "Param %s needs either id or link.",
                               where);
    }
    if (!pr_check_text(check, slot[0] ? slot[0] : slot[1], where, LINK_CHARS, 131009)) {
        return false;
    }
    if (slot[1] && !has_scheme(pr_doc_raw(check->doc, slot[1]))) {
        return pr_check_refuse(check, 131009, PR_REASON_BODY, "Param %s['link'] is not an http or https URL.", where);
    }
    return check_beside(check, slot[2], slot[3], medium, where);
}

static bool check_location(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"latitude", 8}, {"longitude", 9}, {"name", 4}, {"address", 7}};
    uint32_t slot[4];
    if (!pr_check_pick(check, token, "location", names, 4, slot)) {
        return false;
    }
    return slot[0] && slot[1]
               ? true
               : pr_check_refuse(check, 131008, PR_REASON_BODY, "Param location needs latitude and longitude.");
}

static bool check_contacts(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"name", 4}, {"phones", 6}, {"emails", 6},  {"addresses", 9},
                                           {"org", 3},  {"urls", 4},   {"birthday", 8}};
    static const struct pr_span parts[] = {{"formatted_name", 14}, {"first_name", 10}, {"last_name", 9},
                                           {"middle_name", 11},    {"suffix", 6},      {"prefix", 6}};
    if (!need_array(check, token, "contacts", 1, 257)) {
        return false;
    }
    uint32_t at = token + 1;
    for (uint32_t i = 0; i < check->doc->token[token].size; i++) {
        uint32_t slot[7];
        uint32_t part[6];
        if (!pr_check_pick(check, at, "contacts", names, 7, slot) ||
            !pr_check_pick(check, slot[0], "contacts['name']", parts, 6, part) ||
            !pr_check_text(check, part[0], "contacts['name']['formatted_name']", 1024, 131009)) {
            return false;
        }
        at = check->doc->token[at].next;
    }
    return true;
}

static bool check_reaction(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"message_id", 10}, {"emoji", 5}};
    uint32_t slot[2];
    if (!pr_check_pick(check, token, "reaction", names, 2, slot) ||
        !pr_check_text(check, slot[0], "reaction['message_id']", 1024, 131009)) {
        return false;
    }
    /* An empty emoji takes the reaction back. */
    return slot[1] && pr_doc_is(check->doc, slot[1], PR_TOKEN_STRING)
               ? true
               : pr_check_refuse(check, 131008, PR_REASON_BODY, "Param reaction['emoji'] is required.");
}

static bool check_replies(struct pr_check *check, uint32_t action) {
    static const struct pr_span names[] = {{"buttons", 7}};
    static const struct pr_span button_names[] = {{"type", 4}, {"reply", 5}};
    static const struct pr_span reply_names[] = {{"id", 2}, {"title", 5}};
    uint32_t slot[2];
    if (!pr_check_pick(check, action, "interactive['action']", names, 1, slot) ||
        !need_array(check, slot[0], "interactive['action']['buttons']", 1, REPLIES_MAX)) {
        return false;
    }
    uint32_t array = slot[0];
    uint32_t at = array + 1;
    for (uint32_t i = 0; i < check->doc->token[array].size; i++) {
        uint32_t reply[2];
        if (!pr_check_pick(check, at, "interactive['action']['buttons']", button_names, 2, slot) ||
            !pr_check_pick(check, slot[1], "interactive['action']['buttons']['reply']", reply_names, 2, reply) ||
            !pr_check_text(check, reply[0], "reply['id']", REPLY_ID_CHARS, 131009) ||
            !pr_check_text(check, reply[1], "reply['title']", LABEL_CHARS, 131009)) {
            return false;
        }
        at = check->doc->token[at].next;
    }
    return true;
}

static bool check_row(struct pr_check *check, uint32_t at) {
    static const struct pr_span names[] = {{"id", 2}, {"title", 5}, {"description", 11}};
    uint32_t slot[3];
    return pr_check_pick(check, at, "rows", names, 3, slot) &&
           pr_check_text(check, slot[0], "rows['id']", ROW_ID_CHARS, 131009) &&
           pr_check_text(check, slot[1], "rows['title']", ROW_TITLE_CHARS, 131009) &&
           optional_text(check, slot[2], "rows['description']", ROW_DESCRIPTION_CHARS);
}

static bool check_product(struct pr_check *check, uint32_t at) {
    static const struct pr_span names[] = {{"product_retailer_id", 19}};
    uint32_t slot[1];
    return pr_check_pick(check, at, "product_items", names, 1, slot) &&
           pr_check_text(check, slot[0], "product_retailer_id", 200, 131009);
}

/* Sections of a list (rows) or of a product list (product_items), with their ceiling over all sections. */
static bool check_sections(struct pr_check *check, uint32_t sections, bool is_products) {
    static const struct pr_span names[] = {{"title", 5}, {"rows", 4}, {"product_items", 13}};
    uint32_t max = is_products ? PRODUCTS_MAX : ROWS_MAX;
    if (!need_array(check, sections, "sections", 1, SECTIONS_MAX)) {
        return false;
    }
    uint32_t total = 0;
    uint32_t at = sections + 1;
    for (uint32_t i = 0; i < check->doc->token[sections].size; i++) {
        uint32_t slot[3];
        if (!pr_check_pick(check, at, "sections", names, 3, slot) ||
            !optional_text(check, slot[0], "sections['title']", SECTION_TITLE_CHARS)) {
            return false;
        }
        if (!slot[0] && check->doc->token[sections].size > 1) {
            return pr_check_refuse(check, 131008, PR_REASON_BODY,
                                   "Param sections['title'] is required with more than one section.");
        }
        uint32_t items = slot[is_products ? 2 : 1];
        if (!need_array(check, items, is_products ? "product_items" : "rows", 1, max)) {
            return false;
        }
        uint32_t item = items + 1;
        for (uint32_t k = 0; k < check->doc->token[items].size; k++) {
            if (!(is_products ? check_product(check, item) : check_row(check, item))) {
                return false;
            }
            item = check->doc->token[item].next;
        }
        total += check->doc->token[items].size;
        at = check->doc->token[at].next;
    }
    return total <= max ? true
                        : pr_check_refuse(check, 131009, PR_REASON_BODY,
                                          "Sections have %u entries together; at most %u.", total, max);
}

static bool check_list(struct pr_check *check, uint32_t action) {
    static const struct pr_span names[] = {{"button", 6}, {"sections", 8}};
    uint32_t slot[2];
    return pr_check_pick(check, action, "interactive['action']", names, 2, slot) &&
           pr_check_text(check, slot[0], "interactive['action']['button']", LABEL_CHARS, 131009) &&
           check_sections(check, slot[1], false);
}

static bool check_product_list(struct pr_check *check, uint32_t action) {
    static const struct pr_span names[] = {{"catalog_id", 10}, {"sections", 8}};
    uint32_t slot[2];
    return pr_check_pick(check, action, "interactive['action']", names, 2, slot) &&
           pr_check_text(check, slot[0], "interactive['action']['catalog_id']", 200, 131009) &&
           check_sections(check, slot[1], true);
}

static bool check_one_product(struct pr_check *check, uint32_t action) {
    static const struct pr_span names[] = {{"catalog_id", 10}, {"product_retailer_id", 19}};
    uint32_t slot[2];
    return pr_check_pick(check, action, "interactive['action']", names, 2, slot) &&
           pr_check_text(check, slot[0], "interactive['action']['catalog_id']", 200, 131009) &&
           pr_check_text(check, slot[1], "interactive['action']['product_retailer_id']", 200, 131009);
}

/* Actions of the form {"name": …, "parameters": {…}}; the label that a person sees has a limit. */
static bool check_named_action(struct pr_check *check, uint32_t action, const char *label, uint32_t label_chars) {
    static const struct pr_span names[] = {{"name", 4}, {"parameters", 10}};
    uint32_t slot[2];
    if (!pr_check_pick(check, action, "interactive['action']", names, 2, slot) ||
        !pr_check_text(check, slot[0], "interactive['action']['name']", 64, 131009)) {
        return false;
    }
    if (!label) {
        return true;
    }
    if (!slot[1] || !pr_doc_is(check->doc, slot[1], PR_TOKEN_OBJECT)) {
        return pr_check_refuse(check, 131008, PR_REASON_BODY, "Param interactive['action']['parameters'] is required.");
    }
    uint32_t value = 0;
    uint32_t at = slot[1] + 1;
    for (uint32_t i = 0; i < check->doc->token[slot[1]].size; i++) {
        value = pr_span_is(pr_doc_raw(check->doc, at), label) ? at + 1 : value;
        at = check->doc->token[at + 1].next;
    }
    return pr_check_text(check, value, label, label_chars, 131009);
}

static bool check_action(struct pr_check *check, struct pr_span type, uint32_t action) {
    static const struct {
        const char *type;
        const char *label;
        uint32_t chars;
    } named[] = {{"cta_url", "display_text", LABEL_CHARS},
                 {"flow", "flow_cta", FLOW_LABEL_CHARS},
                 {"catalog_message", NULL, 0},
                 {"location_request_message", NULL, 0},
                 {"request_contact_info", NULL, 0},
                 {"order_details", NULL, 0},
                 {"order_status", NULL, 0},
                 {"voice_call", NULL, 0}};
    if (pr_span_is(type, "button")) {
        return check_replies(check, action);
    }
    if (pr_span_is(type, "list")) {
        return check_list(check, action);
    }
    if (pr_span_is(type, "product_list")) {
        return check_product_list(check, action);
    }
    if (pr_span_is(type, "product")) {
        return check_one_product(check, action);
    }
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (pr_span_is(type, named[i].type)) {
            return check_named_action(check, action, named[i].label, named[i].chars);
        }
    }
    return pr_check_refuse(check, 131009, PR_REASON_BODY, "Param interactive['type'] is not known.");
}

static bool check_worded(struct pr_check *check, uint32_t token, const char *where, uint32_t chars_max) {
    static const struct pr_span names[] = {{"text", 4}};
    uint32_t slot[1];
    return pr_check_pick(check, token, where, names, 1, slot) && pr_check_text(check, slot[0], where, chars_max, 131009);
}

static bool check_interactive_header(struct pr_check *check, uint32_t token, bool text_only) {
    static const struct pr_span names[] = {{"type", 4},  {"text", 4},     {"image", 5},
                                           {"video", 5}, {"document", 8}, {"sub_text", 8}};
    uint32_t slot[6];
    if (!pr_check_pick(check, token, "interactive['header']", names, 6, slot)) {
        return false;
    }
    for (uint32_t i = 2; i < 5 && !text_only; i++) {
        if (slot[i]) {
            return pr_check_media(check, slot[i], names[i], "interactive['header']");
        }
    }
    return pr_check_text(check, slot[1], "interactive['header']['text']", SMALL_CHARS, 131009);
}

static bool check_interactive(struct pr_check *check, uint32_t token) {
    static const struct pr_span names[] = {{"type", 4}, {"header", 6}, {"body", 4}, {"footer", 6}, {"action", 6}};
    uint32_t slot[5];
    if (!pr_check_pick(check, token, "interactive", names, 5, slot) ||
        !pr_check_text(check, slot[0], "interactive['type']", 64, 131009)) {
        return false;
    }
    struct pr_span type = pr_doc_raw(check->doc, slot[0]);
    bool is_list = pr_span_is(type, "list");
    if (slot[1] && !check_interactive_header(check, slot[1], is_list)) {
        return false;
    }
    if (slot[3] && !check_worded(check, slot[3], "interactive['footer']", SMALL_CHARS)) {
        return false;
    }
    if ((slot[2] || !pr_span_is(type, "product")) &&
        !check_worded(check, slot[2], "interactive['body']", is_list ? LIST_BODY_CHARS : BODY_CHARS)) {
        return false;
    }
    return check_action(check, type, slot[4]);
}

bool pr_check_other(struct pr_check *check, struct pr_span name, uint32_t token) {
    if (pr_span_is(name, "interactive")) {
        return check_interactive(check, token);
    }
    if (pr_span_is(name, "location")) {
        return check_location(check, token);
    }
    if (pr_span_is(name, "contacts")) {
        return check_contacts(check, token);
    }
    if (pr_span_is(name, "reaction")) {
        return check_reaction(check, token);
    }
    return pr_check_media(check, token, name, name.p);
}
