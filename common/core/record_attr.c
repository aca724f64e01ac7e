/* The attributes of a record: a table of what each must be, and the map of all others. */
#include "base/clock.h"
#include "core/record_private.h"

enum attribute_kind { ATTRIBUTE_TEXT, ATTRIBUTE_TIME };

struct attribute {
    const char *name;
    enum attribute_kind kind;
    size_t offset;    /* of its struct pr_span or int64_t in struct pr_record */
    size_t bytes_max; /* TEXT only */
    bool is_required;
};

static const struct attribute attributes[] = {
    {"id", ATTRIBUTE_TEXT, offsetof(struct pr_record, id), PR_RECORD_TEXT_MAX, true},
    {"source", ATTRIBUTE_TEXT, offsetof(struct pr_record, source), PR_RECORD_TEXT_MAX, true},
    {"type", ATTRIBUTE_TEXT, offsetof(struct pr_record, type), PR_RECORD_TEXT_MAX, true},
    {"subject", ATTRIBUTE_TEXT, offsetof(struct pr_record, subject), PR_RECORD_TEXT_MAX, false},
    {"to", ATTRIBUTE_TEXT, offsetof(struct pr_record, to), PR_RECORD_NAME_MAX, false},
    {"tenant", ATTRIBUTE_TEXT, offsetof(struct pr_record, tenant), PR_RECORD_NAME_MAX, false},
    {"locale", ATTRIBUTE_TEXT, offsetof(struct pr_record, locale), PR_RECORD_NAME_MAX, false},
    {"time", ATTRIBUTE_TIME, offsetof(struct pr_record, time_us), 0, false},
    {"notbefore", ATTRIBUTE_TIME, offsetof(struct pr_record, notbefore_us), 0, false},
    {"expirytime", ATTRIBUTE_TIME, offsetof(struct pr_record, expiry_us), 0, false},
};
enum { ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]) };

static struct pr_span *attribute_text(const struct attribute *attribute, struct pr_record *out) {
    return (struct pr_span *)(void *)((char *)out + attribute->offset);
}

static int64_t *attribute_time(const struct attribute *attribute, struct pr_record *out) {
    return (int64_t *)(void *)((char *)out + attribute->offset);
}

static enum pr_record_status take_text(const struct attribute *attribute, const struct pr_value *v,
                                       struct pr_record *out, struct pr_record_fault *fault) {
    if (v->u.s.n > attribute->bytes_max) {
        return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, pr_span_of(attribute->name),
                              "%s has %zu bytes, at most %zu are taken", attribute->name, v->u.s.n,
                              attribute->bytes_max);
    }
    *attribute_text(attribute, out) = v->u.s;
    return PR_RECORD_OK;
}

static enum pr_record_status take_time(const struct attribute *attribute, const struct pr_value *v,
                                       struct pr_record *out, struct pr_record_fault *fault) {
    int64_t *us = attribute_time(attribute, out);
    if (v->kind == PR_VALUE_TIME) {
        *us = v->u.i;
        return PR_RECORD_OK;
    }
    if (!pr_time_parse(v->u.s, us)) {
        return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, pr_span_of(attribute->name),
                              "%s is no RFC 3339 date-time with a zone from 1970 to 9999, like 2026-11-20T16:32:00Z",
                              attribute->name);
    }
    return PR_RECORD_OK;
}

static enum pr_record_status take_attribute(const struct attribute *attribute, const struct pr_value *v,
                                            struct pr_record *out, struct pr_record_fault *fault) {
    const bool is_time = attribute->kind == ATTRIBUTE_TIME;
    if (v->kind == PR_VALUE_NULL || (v->kind == PR_VALUE_STRING && v->u.s.n == 0)) {
        return PR_RECORD_OK; /* absent; the required ones are looked for in the end */
    }
    if (v->kind != PR_VALUE_STRING && !(is_time && v->kind == PR_VALUE_TIME)) {
        return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, pr_span_of(attribute->name), "%s must be a string%s",
                              attribute->name, is_time ? " (RFC 3339) or a MessagePack timestamp" : "");
    }
    return is_time ? take_time(attribute, v, out, fault) : take_text(attribute, v, out, fault);
}

/* PHP writes an empty map as `[]`. */
static enum pr_record_status take_data(const struct pr_value *v, struct pr_arena *arena, struct pr_record *out,
                                       struct pr_record_fault *fault) {
    const bool is_empty_list = v->kind == PR_VALUE_ARRAY && v->u.array.n == 0;
    if (v->kind == PR_VALUE_NULL) {
        return PR_RECORD_OK;
    }
    if (v->kind != PR_VALUE_MAP && !is_empty_list) {
        return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, PR_SPAN("data"),
                              "data must be a map (a JSON object), not a string, number or list");
    }
    /* Copied, because the place it stands in becomes part of `extra`. */
    struct pr_value *copy = pr_arena_alloc(arena, sizeof(*copy));
    if (!copy) {
        return pr_record_no_memory(fault);
    }
    *copy = is_empty_list ? (struct pr_value){.kind = PR_VALUE_MAP} : *v;
    out->data = copy;
    return PR_RECORD_OK;
}

static enum pr_record_status check_specversion(const struct pr_value *map, struct pr_record_fault *fault) {
    const struct pr_value *v = pr_value_get(map, PR_SPAN("specversion"));
    if (v && v->kind == PR_VALUE_STRING && pr_span_is(v->u.s, "1.0")) {
        return PR_RECORD_OK;
    }
    return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, PR_SPAN("specversion"),
                          "specversion must be the string \"1.0\": the record is no CloudEvent 1.0");
}

static const struct attribute *find_attribute(struct pr_span name) {
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (pr_span_is(name, attributes[i].name)) {
            return &attributes[i];
        }
    }
    return NULL;
}

/* One member of the map; `is_extra` says that nothing here knows it. */
static enum pr_record_status take_member(const struct pr_member *member, struct pr_arena *arena, struct pr_record *out,
                                         bool *is_extra, struct pr_record_fault *fault) {
    const struct attribute *attribute = find_attribute(member->key);
    *is_extra = false;
    if (attribute) {
        return take_attribute(attribute, &member->value, out, fault);
    }
    if (pr_span_is(member->key, "data")) {
        return take_data(&member->value, arena, out, fault);
    }
    if (pr_span_is(member->key, "data_base64") && member->value.kind != PR_VALUE_NULL) {
        return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, member->key,
                              "data_base64 cannot be shown by a template: publish the map itself as data");
    }
    *is_extra = member->value.kind != PR_VALUE_NULL && !pr_span_is(member->key, "specversion");
    return PR_RECORD_OK;
}

static enum pr_record_status check_required(struct pr_record *out, struct pr_record_fault *fault) {
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (attributes[i].is_required && attribute_text(&attributes[i], out)->n == 0) {
            return pr_record_fail(fault, PR_RECORD_BAD_ATTRIBUTE, pr_span_of(attributes[i].name),
                                  "%s is missing or empty: CloudEvents 1.0 asks for a non-empty string",
                                  attributes[i].name);
        }
    }
    return PR_RECORD_OK;
}

/* The extras have been moved to the front of the map's members. */
static enum pr_record_status take_extra(const struct pr_value *map, uint32_t extras, struct pr_arena *arena,
                                        struct pr_record *out, struct pr_record_fault *fault) {
    if (extras == 0) {
        return PR_RECORD_OK;
    }
    struct pr_value *extra = pr_arena_alloc(arena, sizeof(*extra));
    if (!extra) {
        return pr_record_no_memory(fault);
    }
    *extra = *map;
    extra->u.map.n = extras;
    out->extra = extra;
    return PR_RECORD_OK;
}

enum pr_record_status pr_record_from_map(struct pr_value *map, struct pr_arena *arena, struct pr_record *out,
                                         struct pr_record_fault *fault) {
    *out = (struct pr_record){.time_us = PR_TIME_NONE, .notbefore_us = PR_TIME_NONE, .expiry_us = PR_TIME_NONE};
    enum pr_record_status status = check_specversion(map, fault);
    uint32_t extras = 0;
    for (uint32_t i = 0; i < map->u.map.n && status == PR_RECORD_OK; i++) {
        struct pr_member *member = &map->u.map.members[i];
        bool is_extra = false;
        status = take_member(member, arena, out, &is_extra, fault);
        if (is_extra) {
            map->u.map.members[extras++] = *member;
        }
    }
    status = status == PR_RECORD_OK ? check_required(out, fault) : status;
    return status == PR_RECORD_OK ? take_extra(map, extras, arena, out, fault) : status;
}
