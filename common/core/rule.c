/* What a compiled rule answers: which events it takes, where it points in a record, and whether it fits a template. */
#include "core/rule.h"

#include "base/clock.h"
#include "core/compile.h"

bool pr_rule_is_control(struct pr_span type) {
    return pr_span_is(type, "contact.updated") || pr_span_is(type, "consent.granted") ||
           pr_span_is(type, "consent.revoked");
}

int pr_rule_rank(const struct pr_rule *rule, struct pr_span type) {
    for (uint16_t i = 0; i < rule->on_n; i++) {
        if (pr_span_eq(rule->on[i].type, type)) {
            return i;
        }
    }
    return -1;
}

bool pr_cancel_takes(const struct pr_cancel *cancel, struct pr_span type) {
    struct pr_span pattern = cancel->type;
    if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*') {
        pattern.n--;
        return type.n > pattern.n && pr_span_starts(type, pattern);
    }
    return pr_span_eq(pattern, type);
}

static const struct pr_value *text_attribute(struct pr_span text, struct pr_value *scratch) {
    *scratch = (struct pr_value){.kind = PR_VALUE_STRING, .u.s = text};
    return text.p ? scratch : NULL;
}

const struct pr_value *pr_rule_value(const struct pr_record *record, struct pr_span path, struct pr_value *scratch) {
    const struct pr_span data = PR_SPAN("data.");
    if (pr_span_starts(path, data)) {
        return pr_value_path(record->data, pr_span_skip(path, data.n));
    }
    if (pr_span_is(path, "time")) {
        *scratch = (struct pr_value){.kind = PR_VALUE_TIME, .u.i = record->time_us};
        return record->time_us == PR_TIME_NONE ? NULL : scratch;
    }
    const struct {
        const char *name;
        struct pr_span text;
    } attributes[] = {
        {"subject", record->subject}, {"to", record->to},         {"id", record->id},
        {"type", record->type},       {"locale", record->locale},
    };
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        if (pr_span_is(path, attributes[i].name)) {
            return text_attribute(attributes[i].text, scratch);
        }
    }
    return NULL;
}

const struct pr_param *pr_rule_body_param(const struct pr_rule *rule, struct pr_span name, uint16_t hint) {
    if (hint < rule->body_n && pr_span_eq(rule->body[hint].name, name)) {
        return &rule->body[hint];
    }
    for (uint16_t i = 0; i < rule->body_n; i++) {
        if (pr_span_eq(rule->body[i].name, name)) {
            return &rule->body[i];
        }
    }
    return NULL;
}

const struct pr_rule_button *pr_rule_button_at(const struct pr_rule *rule, unsigned index) {
    for (uint16_t i = 0; i < rule->buttons_n; i++) {
        if (rule->buttons[i].index == index) {
            return &rule->buttons[i];
        }
    }
    return NULL;
}

static int shown(struct pr_span s) {
    return (int)(s.n < 40 ? s.n : 40);
}

static bool body_fits(const struct pr_compile *c, const struct pr_rule *rule, const struct pr_template *tpl) {
    struct pr_place at = {"body"};
    for (uint16_t i = 0; i < tpl->params_n; i++) {
        struct pr_span name = tpl->params[i];
        if (!pr_rule_body_param(rule, name, i)) {
            return pr_compile_fault(c, &at, "does not fill {{%.*s}}, which %.*s has%s", shown(name), name.p,
                                    shown(tpl->name), tpl->name.p,
                                    tpl->is_named ? "; its parameters are named, so body must be an object" : "");
        }
    }
    for (uint16_t i = 0; i < rule->body_n; i++) {
        struct pr_span name = rule->body[i].name;
        uint16_t k = 0;
        while (k < tpl->params_n && !pr_span_eq(tpl->params[k], name)) {
            k++;
        }
        if (k == tpl->params_n) {
            return pr_compile_fault(c, &at, "fills {{%.*s}}, which %.*s does not have", shown(name), name.p,
                                    shown(tpl->name), tpl->name.p);
        }
    }
    return true;
}

static const char *header_name(enum pr_header_format format) {
    static const char *const names[] = {
        [PR_HEADER_NONE] = "none",
        [PR_HEADER_TEXT] = "text",
        [PR_HEADER_IMAGE] = "image",
        [PR_HEADER_DOCUMENT] = "document",
    };
    return names[format];
}

static bool header_fits(const struct pr_compile *c, const struct pr_rule *rule, const struct pr_template *tpl) {
    struct pr_place at = {"header"};
    bool takes_value =
        tpl->header_format > PR_HEADER_TEXT || (tpl->header_format == PR_HEADER_TEXT && tpl->header.holes > 0);
    enum pr_header_format wanted = takes_value ? tpl->header_format : PR_HEADER_NONE;
    if (rule->header.format == wanted) {
        return true;
    }
    if (wanted == PR_HEADER_NONE) {
        return pr_compile_fault(c, &at, "is given, but %.*s has no header that takes a value", shown(tpl->name),
                                tpl->name.p);
    }
    return pr_compile_fault(c, &at, "must be \"%s\", which %.*s has; the rule gives %s", header_name(wanted),
                            shown(tpl->name), tpl->name.p, header_name(rule->header.format));
}

static bool buttons_fit(const struct pr_compile *c, const struct pr_rule *rule, const struct pr_template *tpl) {
    struct pr_place at = {"buttons"};
    for (uint16_t i = 0; i < tpl->buttons_n; i++) {
        const struct pr_button *button = &tpl->buttons[i];
        if (button->kind == PR_BUTTON_URL && button->url.holes > 0 && !pr_rule_button_at(rule, i)) {
            return pr_compile_fault(c, &at, "gives no value for button %u, \"%.*s\", whose URL has a variable",
                                    (unsigned)i, shown(button->text), button->text.p);
        }
    }
    for (uint16_t i = 0; i < rule->buttons_n; i++) {
        unsigned index = rule->buttons[i].index;
        if (index >= tpl->buttons_n) {
            return pr_compile_fault(c, &at, "gives a value for button %u, but %.*s has %u, counted from 0", index,
                                    shown(tpl->name), tpl->name.p, (unsigned)tpl->buttons_n);
        }
        if (!tpl->buttons[index].json_start.p) {
            return pr_compile_fault(c, &at, "gives a value for button %u, \"%.*s\", which takes none", index,
                                    shown(tpl->buttons[index].text), tpl->buttons[index].text.p);
        }
    }
    return true;
}

bool pr_rule_fits(const struct pr_rule *rule, const struct pr_template *tpl, struct pr_template_fault *fault) {
    struct pr_compile c = {NULL, fault};
    return header_fits(&c, rule, tpl) && body_fits(&c, rule, tpl) && buttons_fit(&c, rule, tpl);
}
