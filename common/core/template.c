/* The Graph API's template object, component by component; template_json.c adds the request's constant parts. */
#include "core/template.h"

#include "core/compile.h"
#include "core/pattern.h"
#include "core/template_private.h"

static const char *const category_names[PR_CATEGORIES] = {
    [PR_CATEGORY_UTILITY] = "utility",
    [PR_CATEGORY_MARKETING] = "marketing",
    [PR_CATEGORY_AUTHENTICATION] = "authentication",
    [PR_CATEGORY_SERVICE] = "service",
};

const char *pr_category_name(enum pr_category category) {
    return category_names[category];
}

bool pr_category_parse(struct pr_span text, enum pr_category *out) {
    for (int i = 0; i < PR_CATEGORIES; i++) {
        if (pr_compile_is_word(text, category_names[i])) {
            *out = (enum pr_category)i;
            return true;
        }
    }
    return false;
}

static const char *const status_names[] = {
    [PR_TEMPLATE_APPROVED] = "approved", [PR_TEMPLATE_PENDING] = "pending",   [PR_TEMPLATE_REJECTED] = "rejected",
    [PR_TEMPLATE_PAUSED] = "paused",     [PR_TEMPLATE_DISABLED] = "disabled", [PR_TEMPLATE_OTHER] = "other",
};

const char *pr_template_status_name(enum pr_template_status status) {
    return status_names[status];
}

enum pr_template_status pr_template_status_parse(struct pr_span text) {
    for (int i = 0; i < PR_TEMPLATE_OTHER; i++) {
        if (pr_compile_is_word(text, status_names[i])) {
            return (enum pr_template_status)i;
        }
    }
    return PR_TEMPLATE_OTHER;
}

/* One compilation of one template. */
struct builder {
    struct pr_compile c;
    struct pr_template *tpl;
};

/* A string of the platform's vocabulary, borrowed from the tree; what the words are is the caller's business. */
static bool take_word(const struct builder *b, const struct pr_place *parent, const json_t *object, const char *key,
                      struct pr_span *out) {
    const json_t *value = json_object_get(object, key);
    struct pr_place at = pr_place_key(parent, key);
    if (!json_is_string(value) || json_string_length(value) == 0) {
        return pr_compile_fault(&b->c, &at, value ? "must be a string" : "is missing");
    }
    *out = pr_compile_string(value);
    return true;
}

static bool fault_kind(const struct builder *b, const struct pr_place *parent, const char *key, const char *what,
                       struct pr_span word) {
    struct pr_place at = pr_place_key(parent, key);
    return pr_compile_fault(&b->c, &at, "\"%.*s\" is a %s that cannot be sent", (int)(word.n < 40 ? word.n : 40),
                            word.p, what);
}

static bool take_body(struct builder *b, const struct pr_place *parent, const json_t *component) {
    struct pr_template *tpl = b->tpl;
    struct pr_place at = pr_place_key(parent, "text");
    struct pr_span text;
    struct pr_names names = {.is_named = tpl->is_named};
    if (!pr_compile_text(&b->c, &at, json_object_get(component, "text"), PR_TEMPLATE_BODY_MAX, &text) ||
        !pr_pattern_compile(&b->c, &at, text, &names, &tpl->body) || !pr_names_are_whole(&b->c, &at, &names)) {
        return false;
    }
    tpl->params_n = names.n;
    tpl->params = pr_arena_calloc(b->c.arena, names.n, sizeof(struct pr_span));
    if (!tpl->params) {
        return pr_compile_no_memory(&b->c);
    }
    memcpy(tpl->params, names.items, names.n * sizeof(struct pr_span));
    return true;
}

static bool take_header_text(struct builder *b, const struct pr_place *parent, const json_t *component) {
    struct pr_template *tpl = b->tpl;
    struct pr_place at = pr_place_key(parent, "text");
    struct pr_span text;
    struct pr_names names = {.is_named = tpl->is_named};
    if (!pr_compile_text(&b->c, &at, json_object_get(component, "text"), PR_TEMPLATE_HEADER_MAX, &text) ||
        !pr_pattern_compile(&b->c, &at, text, &names, &tpl->header)) {
        return false;
    }
    if (tpl->header.holes > 1) {
        return pr_compile_fault(&b->c, &at, "has %u parameters; a header has at most one", (unsigned)tpl->header.holes);
    }
    if (!pr_names_are_whole(&b->c, &at, &names)) {
        return false;
    }
    tpl->header_param = tpl->header.holes ? names.items[0] : (struct pr_span){NULL, 0};
    return true;
}

static bool take_header(struct builder *b, const struct pr_place *parent, const json_t *component) {
    struct pr_span format;
    if (!take_word(b, parent, component, "format", &format)) {
        return false;
    }
    if (pr_compile_is_word(format, "text")) {
        b->tpl->header_format = PR_HEADER_TEXT;
        return take_header_text(b, parent, component);
    }
    if (pr_compile_is_word(format, "image")) {
        b->tpl->header_format = PR_HEADER_IMAGE;
    } else if (pr_compile_is_word(format, "document")) {
        b->tpl->header_format = PR_HEADER_DOCUMENT;
    } else {
        return fault_kind(b, parent, "format", "header format", format);
    }
    return true;
}

static bool take_footer(struct builder *b, const struct pr_place *parent, const json_t *component) {
    struct pr_place at = pr_place_key(parent, "text");
    if (!pr_compile_text(&b->c, &at, json_object_get(component, "text"), PR_TEMPLATE_FOOTER_MAX, &b->tpl->footer)) {
        return false;
    }
    if (memmem(b->tpl->footer.p, b->tpl->footer.n, "{{", 2)) {
        return pr_compile_fault(&b->c, &at, "has a parameter; a footer has none");
    }
    return true;
}

static bool take_url(struct builder *b, const struct pr_place *parent, const json_t *object, struct pr_button *button) {
    struct pr_place at = pr_place_key(parent, "url");
    struct pr_span url;
    if (!pr_compile_text(&b->c, &at, json_object_get(object, "url"), PR_TEMPLATE_URL_MAX, &url)) {
        return false;
    }
    /* Named templates are seen with either kind of hole in their URLs. */
    bool is_numbered = url.n > 5 && memcmp(url.p + url.n - 5, "{{1}}", 5) == 0;
    struct pr_names names = {.is_named = b->tpl->is_named && !is_numbered};
    if (!pr_pattern_compile(&b->c, &at, url, &names, &button->url) || !pr_names_are_whole(&b->c, &at, &names)) {
        return false;
    }
    const struct pr_pattern *pattern = &button->url;
    if (pattern->holes > 1 || (pattern->holes == 1 && pattern->literal[1].n > 0)) {
        return pr_compile_fault(&b->c, &at, "may have one parameter, at its end only");
    }
    size_t scheme = pr_url_scheme(pattern->literal[0]);
    if (scheme == 0 || pattern->literal[0].n == scheme) {
        return pr_compile_fault(&b->c, &at, "must start with https:// or http:// and a host");
    }
    return true;
}

/* How many buttons of each kind so far. */
struct button_counts {
    unsigned urls, phones;
};

static bool take_button(struct builder *b, const struct pr_place *at, const json_t *object, struct pr_button *button,
                        struct button_counts *counts) {
    struct pr_span type;
    struct pr_place text_at = pr_place_key(at, "text");
    struct pr_place phone_at = pr_place_key(at, "phone_number");
    if (!take_word(b, at, object, "type", &type)) {
        return false;
    }
    bool ok = true;
    if (pr_compile_is_word(type, "quick_reply")) {
        button->kind = PR_BUTTON_QUICK_REPLY;
    } else if (pr_compile_is_word(type, "url")) {
        button->kind = PR_BUTTON_URL;
        counts->urls++;
        ok = take_url(b, at, object, button);
    } else if (pr_compile_is_word(type, "phone_number")) {
        button->kind = PR_BUTTON_PHONE;
        counts->phones++;
        ok = pr_compile_text(&b->c, &phone_at, json_object_get(object, "phone_number"), PR_TEMPLATE_PHONE_MAX,
                             &button->phone);
    } else {
        return fault_kind(b, at, "type", "kind of button", type);
    }
    return ok && pr_compile_text(&b->c, &text_at, json_object_get(object, "text"), PR_TEMPLATE_BUTTON_TEXT_MAX,
                                 &button->text);
}

static bool take_buttons(struct builder *b, const struct pr_place *parent, const json_t *component) {
    struct pr_place at = pr_place_key(parent, "buttons");
    const json_t *list = json_object_get(component, "buttons");
    size_t n = json_array_size(list);
    if (n < 1 || n > PR_TEMPLATE_BUTTONS_MAX) {
        return pr_compile_fault(&b->c, &at, "must be an array of 1 to %d buttons", PR_TEMPLATE_BUTTONS_MAX);
    }
    b->tpl->buttons_n = (uint16_t)n;
    b->tpl->buttons = pr_arena_calloc(b->c.arena, n, sizeof(struct pr_button));
    if (!b->tpl->buttons) {
        return pr_compile_no_memory(&b->c);
    }
    struct button_counts counts = {0, 0};
    for (size_t i = 0; i < n; i++) {
        struct pr_place item = pr_place_item(&at, i);
        if (!take_button(b, &item, json_array_get(list, i), &b->tpl->buttons[i], &counts)) {
            return false;
        }
    }
    if (counts.urls > PR_TEMPLATE_URL_BUTTONS_MAX || counts.phones > PR_TEMPLATE_PHONE_BUTTONS_MAX) {
        return pr_compile_fault(&b->c, &at, "may have at most %d buttons with a URL and %d with a phone number",
                                PR_TEMPLATE_URL_BUTTONS_MAX, PR_TEMPLATE_PHONE_BUTTONS_MAX);
    }
    return true;
}

static const struct {
    const char *type;
    bool (*take)(struct builder *b, const struct pr_place *at, const json_t *component);
} components[] = {
    {"body", take_body},
    {"header", take_header},
    {"footer", take_footer},
    {"buttons", take_buttons},
};
enum { COMPONENTS = sizeof(components) / sizeof(components[0]), BODY_SEEN = 1 };

static bool take_component(struct builder *b, const struct pr_place *at, const json_t *component, unsigned *seen) {
    struct pr_span type;
    if (!take_word(b, at, component, "type", &type)) {
        return false;
    }
    for (unsigned i = 0; i < COMPONENTS; i++) {
        if (!pr_compile_is_word(type, components[i].type)) {
            continue;
        }
        if (*seen >> i & 1U) {
            return pr_compile_fault(&b->c, at, "is a second %s; a template has at most one", components[i].type);
        }
        *seen |= 1U << i;
        return components[i].take(b, at, component);
    }
    return fault_kind(b, at, "type", "component", type);
}

static bool take_components(struct builder *b, const struct pr_place *root, const json_t *object) {
    struct pr_place at = pr_place_key(root, "components");
    const json_t *list = json_object_get(object, "components");
    if (!json_is_array(list)) {
        return pr_compile_fault(&b->c, &at, list ? "must be an array" : "is missing");
    }
    unsigned seen = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct pr_place item = pr_place_item(&at, i);
        if (!take_component(b, &item, json_array_get(list, i), &seen)) {
            return false;
        }
    }
    return seen & BODY_SEEN ? true : pr_compile_fault(&b->c, &at, "has no BODY");
}

static bool take_language(struct builder *b, const struct pr_place *root, const json_t *object) {
    struct pr_place at = pr_place_key(root, "language");
    struct pr_span *language = &b->tpl->language;
    if (!pr_compile_text(&b->c, &at, json_object_get(object, "language"), PR_TEMPLATE_LANGUAGE_MAX, language)) {
        return false;
    }
    for (size_t i = 0; i < language->n; i++) {
        char ch = language->p[i];
        bool is_fine =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-';
        if (!is_fine) {
            return pr_compile_fault(&b->c, &at, "must be a language code such as \"pt_BR\"");
        }
    }
    return true;
}

static bool take_parameter_format(struct builder *b, const struct pr_place *root, const json_t *object) {
    struct pr_span format;
    if (!json_object_get(object, "parameter_format")) {
        return true; /* the platform's default is positional */
    }
    if (!take_word(b, root, object, "parameter_format", &format)) {
        return false;
    }
    b->tpl->is_named = pr_compile_is_word(format, "named");
    return b->tpl->is_named || pr_compile_is_word(format, "positional")
               ? true
               : fault_kind(b, root, "parameter_format", "parameter format", format);
}

static bool take_head(struct builder *b, const struct pr_place *root, const json_t *object) {
    struct pr_template *tpl = b->tpl;
    struct pr_place name_at = pr_place_key(root, "name");
    struct pr_span category, status;
    if (!pr_compile_text(&b->c, &name_at, json_object_get(object, "name"), PR_TEMPLATE_NAME_MAX, &tpl->name)) {
        return false;
    }
    if (!pr_compile_is_name(tpl->name, PR_TEMPLATE_NAME_MAX)) {
        return pr_compile_fault(&b->c, &name_at, "may have lowercase letters, digits and underscores only");
    }
    if (!take_language(b, root, object) || !take_word(b, root, object, "category", &category) ||
        !take_word(b, root, object, "status", &status)) {
        return false;
    }
    if (!pr_category_parse(category, &tpl->category) || tpl->category == PR_CATEGORY_SERVICE) {
        struct pr_place at = pr_place_key(root, "category");
        return pr_compile_fault(&b->c, &at, "must be UTILITY, MARKETING or AUTHENTICATION");
    }
    tpl->status = pr_template_status_parse(status);
    return take_parameter_format(b, root, object);
}

bool pr_template_compile(struct pr_span json, struct pr_arena *arena, struct pr_template *out,
                         struct pr_template_fault *fault) {
    struct builder b = {{arena, fault}, out};
    struct pr_place root = pr_place_root();
    *out = (struct pr_template){.id = 0};
    json_t *object = pr_compile_load(&b.c, json);
    if (!object) {
        return false;
    }
    bool ok = take_head(&b, &root, object) && take_components(&b, &root, object) && pr_template_write_json(&b.c, out);
    json_decref(object);
    return ok;
}
