/* A rule as a person writes it in rules.json, key by key; rule_param.c reads the parameters. */
#include "core/rule.h"

#include "base/clock.h"
#include "core/compile.h"
#include "core/rule_private.h"

static bool take_name(struct pr_rule_builder *b, const struct pr_place *at, const json_t *value) {
    struct pr_span *name = &b->rule->name;
    if (!pr_compile_text(&b->c, at, value, PR_RULE_NAME_MAX, name)) {
        return false;
    }
    for (size_t i = 0; i < name->n; i++) {
        char ch = name->p[i];
        bool is_fine = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '.' ||
                       ch == '_' || ch == '-';
        if (!is_fine) {
            return pr_compile_fault(&b->c, at, "may have letters, digits, '.', '_' and '-' only");
        }
    }
    return true;
}

static bool take_template_name(struct pr_rule_builder *b, const struct pr_place *at, const json_t *value,
                               struct pr_span *out) {
    if (!pr_compile_text(&b->c, at, value, PR_TEMPLATE_NAME_MAX, out)) {
        return false;
    }
    return pr_compile_is_name(*out, PR_TEMPLATE_NAME_MAX)
               ? true
               : pr_compile_fault(&b->c, at, "is no template name: lowercase letters, digits and underscores");
}

static bool take_on_map(struct pr_rule_builder *b, const struct pr_place *at, json_t *map) {
    const char *type;
    json_t *value;
    size_t n = json_object_size(map);
    if (n < 1 || n > PR_RULE_TYPES_MAX) {
        return pr_compile_fault(&b->c, at, "must have 1 to %d event types", PR_RULE_TYPES_MAX);
    }
    b->rule->on = pr_arena_calloc(b->c.arena, n, sizeof(struct pr_rule_on));
    if (!b->rule->on) {
        return pr_compile_no_memory(&b->c);
    }
    json_object_foreach (map, type, value) {
        struct pr_rule_on *on = &b->rule->on[b->rule->on_n++];
        struct pr_place place = pr_place_key(at, type);
        if (type[0] == '\0' || strlen(type) > PR_RULE_TYPE_MAX) {
            return pr_compile_fault(&b->c, &place, "an event type has 1 to %d bytes", PR_RULE_TYPE_MAX);
        }
        on->type = pr_arena_copy(b->c.arena, pr_span_of(type));
        if (!take_template_name(b, &place, value, &on->template_name)) {
            return false;
        }
    }
    return true;
}

/* "on": "order.confirmed" with "template" beside it, or "on": {type: template, …} without. */
static bool take_on(struct pr_rule_builder *b, const struct pr_place *root, json_t *object) {
    struct pr_place on_at = pr_place_key(root, "on");
    struct pr_place tpl_at = pr_place_key(root, "template");
    json_t *on = json_object_get(object, "on");
    const json_t *tpl = json_object_get(object, "template");
    if (json_is_object(on)) {
        return tpl ? pr_compile_fault(&b->c, &tpl_at, "is not for an \"on\" that names its templates itself")
                   : take_on_map(b, &on_at, on);
    }
    if (!json_is_string(on)) {
        return pr_compile_fault(&b->c, &on_at,
                                on ? "must be an event type, or an object of event types and templates" : "is missing");
    }
    b->rule->on_n = 1;
    b->rule->on = pr_arena_calloc(b->c.arena, 1, sizeof(struct pr_rule_on));
    if (!b->rule->on) {
        return pr_compile_no_memory(&b->c);
    }
    return pr_compile_text(&b->c, &on_at, on, PR_RULE_TYPE_MAX, &b->rule->on[0].type) &&
           take_template_name(b, &tpl_at, tpl, &b->rule->on[0].template_name);
}

static bool take_supersede(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    b->rule->is_superseding = json_is_true(value);
    return json_is_boolean(value) ? true : pr_compile_fault(&b->c, at, "must be true or false");
}

static bool take_duration(struct pr_rule_builder *b, const struct pr_place *at, const json_t *value, int64_t *us) {
    if (!json_is_string(value) || !pr_duration_parse(pr_compile_string(value), us)) {
        return pr_compile_fault(&b->c, at, "must be a duration: \"90s\", \"30m\", \"1h\", \"7d\"; at most 3650d");
    }
    return true;
}

static bool take_delay(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    return take_duration(b, at, value, &b->rule->delay_us);
}

static bool take_max_age(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    if (!take_duration(b, at, value, &b->rule->max_age_us)) {
        return false;
    }
    return b->rule->max_age_us > 0 ? true : pr_compile_fault(&b->c, at, "must be over 0; leave it out for no limit");
}

static bool take_match(struct pr_rule_builder *b, const struct pr_place *at, const json_t *value, struct pr_cancel *out) {
    struct pr_span text;
    out->match = PR_MATCH_RECIPIENT;
    if (!value) {
        return true;
    }
    if (!pr_compile_text(&b->c, at, value, PR_RULE_PATH_MAX, &text)) {
        return false;
    }
    if (pr_span_is(text, "recipient")) {
        return true;
    }
    if (pr_span_is(text, "subject")) {
        out->match = PR_MATCH_SUBJECT;
        return true;
    }
    out->match = PR_MATCH_PATH;
    out->path = text;
    return pr_rule_is_data_path(text)
               ? true
               : pr_compile_fault(&b->c, at,
                                  "must be \"recipient\", \"subject\" or a path such as \"data.order.cart_id\"");
}

static bool take_cancel(struct pr_rule_builder *b, const struct pr_place *at, json_t *value, struct pr_cancel *out) {
    static const char *const known[] = {"type", "match", NULL};
    struct pr_place type_at = pr_place_key(at, "type");
    struct pr_place match_at = pr_place_key(at, "match");
    if (!json_is_object(value)) {
        return pr_compile_fault(&b->c, at, "must be an object with \"type\" and \"match\"");
    }
    if (!pr_compile_keys(&b->c, at, value, known) ||
        !pr_compile_text(&b->c, &type_at, json_object_get(value, "type"), PR_RULE_TYPE_MAX, &out->type)) {
        return false;
    }
    const char *star = memchr(out->type.p, '*', out->type.n);
    bool is_prefix = star == out->type.p + out->type.n - 1 && out->type.n > 2 && star[-1] == '.';
    if (star && !is_prefix) {
        return pr_compile_fault(&b->c, &type_at, "may have a '*' only at its end, after a dot: \"order.*\"");
    }
    return take_match(b, &match_at, json_object_get(value, "match"), out);
}

/* The number of entries of an array of 1 to PR_RULE_TYPES_MAX; 0 with a fault otherwise. */
static uint16_t list_size(const struct pr_rule_builder *b, const struct pr_place *at, const json_t *list) {
    size_t n = json_array_size(list);
    if (n < 1 || n > PR_RULE_TYPES_MAX) {
        pr_compile_fault(&b->c, at, "must be an array of 1 to %d entries", PR_RULE_TYPES_MAX);
        return 0;
    }
    return (uint16_t)n;
}

static bool take_cancels(struct pr_rule_builder *b, const struct pr_place *at, json_t *list) {
    uint16_t n = list_size(b, at, list);
    if (n == 0) {
        return false;
    }
    b->rule->cancels_n = n;
    b->rule->cancels = pr_arena_calloc(b->c.arena, n, sizeof(struct pr_cancel));
    if (!b->rule->cancels) {
        return pr_compile_no_memory(&b->c);
    }
    for (uint16_t i = 0; i < n; i++) {
        struct pr_place item = pr_place_item(at, i);
        if (!take_cancel(b, &item, json_array_get(list, i), &b->rule->cancels[i])) {
            return false;
        }
    }
    return true;
}

static bool take_to(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) {
    return pr_rule_take_path(b, at, value, &b->rule->to_path);
}

static bool take_senders(struct pr_rule_builder *b, const struct pr_place *at, json_t *list) {
    uint16_t n = list_size(b, at, list);
    if (n == 0) {
        return false;
    }
    b->rule->senders_n = n;
    b->rule->senders = pr_arena_calloc(b->c.arena, n, sizeof(struct pr_span));
    if (!b->rule->senders) {
        return pr_compile_no_memory(&b->c);
    }
    for (uint16_t i = 0; i < n; i++) {
        struct pr_place item = pr_place_item(at, i);
        if (!pr_compile_text(&b->c, &item, json_array_get(list, i), PR_RULE_NAME_MAX, &b->rule->senders[i])) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *key;
    bool (*take)(struct pr_rule_builder *b, const struct pr_place *at, json_t *value);
} optional_keys[] = {
    {"supersede", take_supersede},
    {"delay", take_delay},
    {"max_age", take_max_age},
    {"cancel_on", take_cancels},
    {"to", take_to},
    {"senders", take_senders},
    {"header", pr_rule_take_header},
    {"body", pr_rule_take_body},
    {"buttons", pr_rule_take_buttons},
};

static bool take_rule(struct pr_rule_builder *b, json_t *object) {
    static const char *const known[] = {"name", "on",      "template", "supersede", "delay",   "max_age", "cancel_on",
                                        "to",   "senders", "header",   "body",      "buttons", NULL};
    struct pr_place root = pr_place_root();
    struct pr_place name_at = pr_place_key(&root, "name");
    if (!pr_compile_keys(&b->c, &root, object, known) || !take_name(b, &name_at, json_object_get(object, "name")) ||
        !take_on(b, &root, object)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(optional_keys) / sizeof(optional_keys[0]); i++) {
        struct pr_place at = pr_place_key(&root, optional_keys[i].key);
        json_t *value = json_object_get(object, optional_keys[i].key);
        if (value && !optional_keys[i].take(b, &at, value)) {
            return false;
        }
    }
    if (b->rule->max_age_us > 0 && b->rule->max_age_us <= b->rule->delay_us) {
        struct pr_place at = pr_place_key(&root, "max_age");
        return pr_compile_fault(
            &b->c, &at, "must be longer than \"delay\": both count from the event's time, so nothing would be sent");
    }
    return b->c.arena->failed ? pr_compile_no_memory(&b->c) : true;
}

bool pr_rule_compile(struct pr_span json, struct pr_arena *arena, struct pr_rule *out, struct pr_template_fault *fault) {
    struct pr_rule_builder b = {{arena, fault}, out};
    *out = (struct pr_rule){.line = 0};
    json_t *object = pr_compile_load(&b.c, json);
    if (!object) {
        return false;
    }
    bool ok = take_rule(&b, object);
    json_decref(object);
    return ok;
}
