/* Reading of compiled files: jansson's tree is walked once, and nothing of it survives the call. */
#include "core/compile.h"

#include "core/text.h"
#include "core/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

struct pr_place pr_place_root(void) {
    return (struct pr_place){""};
}

struct pr_place pr_place_key(const struct pr_place *parent, const char *key) {
    struct pr_place place;
    (void)snprintf(place.text, sizeof(place.text), "%.60s%s%.32s", parent->text, parent->text[0] ? "." : "", key);
    return place;
}

struct pr_place pr_place_item(const struct pr_place *parent, size_t index) {
    struct pr_place place;
    (void)snprintf(place.text, sizeof(place.text), "%.60s[%zu]", parent->text, index);
    return place;
}

bool pr_compile_fault(const struct pr_compile *c, const struct pr_place *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)snprintf(c->fault->path, sizeof(c->fault->path), "%s", at->text);
    (void)vsnprintf(c->fault->text, sizeof(c->fault->text), fmt, args);
    va_end(args);
    pr_text_scrub(c->fault->path);
    pr_text_scrub(c->fault->text);
    return false;
}

bool pr_compile_no_memory(const struct pr_compile *c) {
    struct pr_place root = pr_place_root();
    return pr_compile_fault(c, &root, "out of memory: the compiled form is larger than the %zu bytes set aside for it",
                            c->arena->bytes_max);
}

json_t *pr_compile_load(const struct pr_compile *c, struct pr_span json) {
    struct pr_place root = pr_place_root();
    if (json.n > PR_COMPILE_BYTES_MAX) {
        pr_compile_fault(c, &root, "%zu bytes are more than the %d that are read", json.n, PR_COMPILE_BYTES_MAX);
        return NULL;
    }
    json_error_t error;
    json_t *object = json_loadb(json.n ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        pr_compile_fault(c, &root, "not JSON: %.100s (line %d, column %d)", error.text, error.line, error.column);
        return NULL;
    }
    if (!json_is_object(object)) {
        pr_compile_fault(c, &root, "must be an object");
        json_decref(object);
        return NULL;
    }
    return object;
}

struct pr_span pr_compile_string(const json_t *value) {
    return pr_span_make(json_string_value(value), json_string_length(value));
}

bool pr_compile_text(const struct pr_compile *c, const struct pr_place *at, const json_t *value, size_t chars_max,
                     struct pr_span *out) {
    if (!value) {
        return pr_compile_fault(c, at, "is missing");
    }
    if (!json_is_string(value)) {
        return pr_compile_fault(c, at, "must be a string");
    }
    struct pr_span text = pr_compile_string(value);
    size_t chars = pr_utf8_count(text);
    if (chars == 0) {
        return pr_compile_fault(c, at, "must not be empty");
    }
    if (chars > chars_max) {
        return pr_compile_fault(c, at, "has %zu characters; at most %zu are allowed", chars, chars_max);
    }
    *out = pr_arena_copy(c->arena, text);
    return out->p ? true : pr_compile_no_memory(c);
}

bool pr_compile_is_known(const char *key, const char *const *known) {
    while (*known && strcmp(*known, key) != 0) {
        known++;
    }
    return *known != NULL;
}

bool pr_compile_keys(const struct pr_compile *c, const struct pr_place *at, json_t *object, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        if (!pr_compile_is_known(key, known)) {
            struct pr_place place = pr_place_key(at, key);
            return pr_compile_fault(c, &place, "is not a key that is known here; \"%.40s\" may be misspelt", key);
        }
    }
    return true;
}

bool pr_compile_is_name(struct pr_span text, size_t n_max) {
    for (size_t i = 0; i < text.n; i++) {
        char ch = text.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_')) {
            return false;
        }
    }
    return text.n > 0 && text.n <= n_max;
}

bool pr_compile_is_word(struct pr_span text, const char *word) {
    return text.n == strlen(word) && (text.n == 0 || strncasecmp(text.p, word, text.n) == 0);
}
