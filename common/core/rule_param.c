/* The parameters of a rule: paths, and how their values are shown. */
#include "core/rule_private.h"

#include "core/text.h"
#include "core/utf8.h"

#include <stdio.h>

bool pr_rule_is_data_path(struct pr_span path) {
    const struct pr_span data = PR_SPAN("data.");
    if (!pr_span_starts(path, data) || path.n == data.n || path.p[path.n - 1] == '.') {
        return false;
    }
    return !memmem(path.p, path.n, "..", 2);
}

static bool is_path(struct pr_span text) {
    static const char *const attributes[] = {"subject", "to", "id", "type", "time", "locale"};
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        if (pr_span_is(text, attributes[i])) {
            return true;
        }
    }
    return pr_rule_is_data_path(text);
}

bool pr_rule_take_path(const struct pr_rule_builder *b, const struct pr_place *at, const json_t *value,
                       struct pr_span *out) {
    if (!pr_compile_text(&b->c, at, value, PR_RULE_PATH_MAX, out)) {
        return false;
    }
    return is_path(*out)
               ? true
               : pr_compile_fault(&b->c, at, "is no path: \"data.…\", or one of subject, to, id, type, time, locale");
}

static bool is_currency(struct pr_span text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 'A' || text.p[i] > 'Z') {
            return false;
        }
    }
    return text.n == 3;
}

static bool take_format(const struct pr_rule_builder *b, const struct pr_place *parent, const json_t *object,
                        struct pr_param *out) {
    const json_t *money = json_object_get(object, "money");
    const json_t *date = json_object_get(object, "date");
    struct pr_place money_at = pr_place_key(parent, "money");
    struct pr_place date_at = pr_place_key(parent, "date");
    if (money && date) {
        return pr_compile_fault(&b->c, &date_at, "and money exclude each other");
    }
    if (money) {
        out->format = PR_FORMAT_MONEY;
        if (!pr_compile_text(&b->c, &money_at, money, PR_RULE_PATH_MAX, &out->currency_path)) {
            return false;
        }
        return is_currency(out->currency_path) || is_path(out->currency_path)
                   ? true
                   : pr_compile_fault(&b->c, &money_at,
                                      "must be the path of a currency code, or a code such as \"BRL\"");
    }
    if (date) {
        struct pr_span style = json_is_string(date) ? pr_compile_string(date) : PR_SPAN("");
        out->format = pr_span_is(style, "long") ? PR_FORMAT_DATE_LONG : PR_FORMAT_DATE_SHORT;
        return pr_span_is(style, "long") || pr_span_is(style, "short")
                   ? true
                   : pr_compile_fault(&b->c, &date_at, "must be \"short\" or \"long\"");
    }
    return true;
}

static bool take_fallback(const struct pr_rule_builder *b, const struct pr_place *parent, const json_t *object,
                          struct pr_param *out) {
    const json_t *value = json_object_get(object, "default");
    struct pr_place at = pr_place_key(parent, "default");
    struct pr_span text;
    if (!value) {
        return true;
    }
    if (!pr_compile_text(&b->c, &at, value, PR_TEMPLATE_BODY_MAX, &text)) {
        return false;
    }
    out->fallback = pr_text_line(text, b->c.arena);
    if (!out->fallback.p) {
        return pr_compile_no_memory(&b->c);
    }
    if (out->fallback.n == 0) {
        return pr_compile_fault(&b->c, &at, "must not be blank: the platform takes no empty parameter");
    }
    if (out->max > 0 && pr_utf8_count(out->fallback) > out->max) {
        return pr_compile_fault(&b->c, &at, "is longer than \"max\"");
    }
    return true;
}

static bool take_max(const struct pr_rule_builder *b, const struct pr_place *parent, const json_t *object,
                     struct pr_param *out) {
    const json_t *value = json_object_get(object, "max");
    struct pr_place at = pr_place_key(parent, "max");
    json_int_t max = json_integer_value(value);
    if (!value) {
        return true;
    }
    if (!json_is_integer(value) || max < 1 || max > PR_TEMPLATE_BODY_MAX) {
        return pr_compile_fault(&b->c, &at, "must be a number of characters from 1 to %d", PR_TEMPLATE_BODY_MAX);
    }
    out->max = (uint32_t)max;
    return true;
}

/* A path, or an object around one. */
static bool take_param(const struct pr_rule_builder *b, const struct pr_place *at, json_t *value, struct pr_param *out) {
    static const char *const known[] = {"path", "default", "max", "money", "date", NULL};
    if (!json_is_object(value)) {
        return json_is_string(value) ? pr_rule_take_path(b, at, value, &out->path)
                                     : pr_compile_fault(&b->c, at, "must be a path, or an object with \"path\"");
    }
    struct pr_place path_at = pr_place_key(at, "path");
    return pr_compile_keys(&b->c, at, value, known) &&
           pr_rule_take_path(b, &path_at, json_object_get(value, "path"), &out->path) &&
           take_format(b, at, value, out) && take_max(b, at, value, out) && take_fallback(b, at, value, out);
}

/* The same without money and date, which make no sense in an address, a file name or a payload. */
static bool take_plain_param(const struct pr_rule_builder *b, const struct pr_place *at, json_t *value,
                             struct pr_param *out) {
    if (!take_param(b, at, value, out)) {
        return false;
    }
    return out->format == PR_FORMAT_PLAIN ? true : pr_compile_fault(&b->c, at, "takes no money and no date");
}

static bool take_media(const struct pr_rule_builder *b, const struct pr_place *at, json_t *value,
                       struct pr_rule_header *out) {
    static const char *const image_keys[] = {"link", NULL};
    static const char *const document_keys[] = {"link", "filename", NULL};
    json_t *link = json_object_get(value, "link");
    json_t *filename = json_object_get(value, "filename");
    struct pr_place link_at = pr_place_key(at, "link");
    struct pr_place filename_at = pr_place_key(at, "filename");
    if (!json_is_object(value)) {
        return pr_compile_fault(&b->c, at, "must be an object with \"link\"");
    }
    if (!pr_compile_keys(&b->c, at, value, out->format == PR_HEADER_DOCUMENT ? document_keys : image_keys)) {
        return false;
    }
    if (!link) {
        return pr_compile_fault(&b->c, &link_at, "is missing");
    }
    if (!take_plain_param(b, &link_at, link, &out->link)) {
        return false;
    }
    if (out->link.max > 0) {
        return pr_compile_fault(&b->c, &link_at, "takes no \"max\": half an address leads nowhere");
    }
    return filename ? take_plain_param(b, &filename_at, filename, &out->filename) : true;
}

bool pr_rule_take_header(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    struct pr_rule_header *header = &b->rule->header;
    json_t *text = json_object_get(value, "text");
    json_t *image = json_object_get(value, "image");
    json_t *document = json_object_get(value, "document");
    if (json_object_size(value) != 1 || (!text && !image && !document)) {
        return pr_compile_fault(&b->c, at, "must be an object with one of \"text\", \"image\" and \"document\"");
    }
    struct pr_place inner = pr_place_key(at, text ? "text" : image ? "image" : "document");
    if (text) {
        header->format = PR_HEADER_TEXT;
        return take_param(b, &inner, text, &header->text);
    }
    header->format = image ? PR_HEADER_IMAGE : PR_HEADER_DOCUMENT;
    return take_media(b, &inner, image ? image : document, header);
}

static bool take_positional_body(struct pr_rule_builder *b, const struct pr_place *at, const json_t *list) {
    for (uint16_t i = 0; i < b->rule->body_n; i++) {
        char number[8];
        int n = snprintf(number, sizeof(number), "%u", i + 1U);
        struct pr_place item = pr_place_item(at, i);
        b->rule->body[i].name = pr_arena_copy(b->c.arena, pr_span_make(number, (size_t)n));
        if (!take_param(b, &item, json_array_get(list, i), &b->rule->body[i])) {
            return false;
        }
    }
    return true;
}

static bool take_named_body(struct pr_rule_builder *b, const struct pr_place *at, json_t *map) {
    const char *name;
    json_t *value;
    uint16_t i = 0;
    json_object_foreach (map, name, value) {
        struct pr_place place = pr_place_key(at, name);
        struct pr_param *param = &b->rule->body[i++];
        if (!pr_compile_is_name(pr_span_of(name), PR_TEMPLATE_BODY_MAX)) {
            return pr_compile_fault(&b->c, &place, "is no parameter name: lowercase letters, digits and underscores");
        }
        param->name = pr_arena_copy(b->c.arena, pr_span_of(name));
        if (!take_param(b, &place, value, param)) {
            return false;
        }
    }
    return true;
}

bool pr_rule_take_body(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    bool is_list = json_is_array(value);
    if (!is_list && !json_is_object(value)) {
        return pr_compile_fault(&b->c, at, "must be an array for {{1}}, {{2}}, …, or an object for named parameters");
    }
    size_t n = is_list ? json_array_size(value) : json_object_size(value);
    if (n > PR_TEMPLATE_PARAMS_MAX) {
        return pr_compile_fault(&b->c, at, "has %zu parameters; at most %d are allowed", n, PR_TEMPLATE_PARAMS_MAX);
    }
    b->rule->body_n = (uint16_t)n;
    b->rule->body = pr_arena_calloc(b->c.arena, n, sizeof(struct pr_param));
    if (!b->rule->body) {
        return pr_compile_no_memory(&b->c);
    }
    return is_list ? take_positional_body(b, at, value) : take_named_body(b, at, value);
}

bool pr_rule_take_buttons(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    if (!json_is_object(value)) {
        return pr_compile_fault(&b->c, at, "must be an object: {\"0\": …} for the first button");
    }
    const char *key;
    json_t *ignored;
    json_object_foreach (value, key, ignored) {
        if (key[0] < '0' || key[0] > '9' || key[1] != '\0') {
            struct pr_place place = pr_place_key(at, key);
            return pr_compile_fault(&b->c, &place, "must be the number of a button, \"0\" to \"9\"");
        }
    }
    b->rule->buttons = pr_arena_calloc(b->c.arena, json_object_size(value), sizeof(struct pr_rule_button));
    if (!b->rule->buttons) {
        return pr_compile_no_memory(&b->c);
    }
    for (uint8_t i = 0; i < PR_TEMPLATE_BUTTONS_MAX; i++) {
        char number[2] = {(char)('0' + i), '\0'};
        struct pr_place place = pr_place_key(at, number);
        json_t *param = json_object_get(value, number);
        if (!param) {
            continue;
        }
        struct pr_rule_button *button = &b->rule->buttons[b->rule->buttons_n++];
        button->index = i;
        if (!take_plain_param(b, &place, param, &button->value)) {
            return false;
        }
    }
    return true;
}
