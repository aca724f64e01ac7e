/* Strict: an unknown name or a wrong type is said, never skipped. */
#include "settings.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pr_read_fault(struct pr_reading *r, const char *name, const char *problem) {
    if (!r->failed) {
        r->failed = true;
        (void)snprintf(r->why, r->why_n, "%s%s%s %s", r->where, *name ? "." : "", name, problem);
    }
}

bool pr_read_object(struct pr_reading *r, const json_t *object, const char *const *names) {
    if (!json_is_object(object)) {
        pr_read_fault(r, "", "must be an object");
        return false;
    }
    for (void *i = json_object_iter((json_t *)(uintptr_t)object); i;
         i = json_object_iter_next((json_t *)(uintptr_t)object, i)) {
        const char *const *name = names;
        while (*name && strcmp(*name, json_object_iter_key(i)) != 0) {
            name++;
        }
        if (!*name) {
            pr_read_fault(r, json_object_iter_key(i), "is not a known setting");
            return false;
        }
    }
    return true;
}

static const json_t *member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

int64_t pr_read_number(struct pr_reading *r, const json_t *object, const char *name, int64_t otherwise, int64_t min,
                       int64_t max) {
    const json_t *value = member(object, name);
    if (!value) {
        return otherwise;
    }
    int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < min || number > max) {
        char problem[96];
        (void)snprintf(problem, sizeof problem, "must be a whole number from %lld to %lld", (long long)min,
                       (long long)max);
        pr_read_fault(r, name, problem);
        return otherwise;
    }
    return number;
}

double pr_read_real(struct pr_reading *r, const json_t *object, const char *name, double otherwise, double min,
                    double max) {
    const json_t *value = member(object, name);
    if (!value) {
        return otherwise;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= min && number <= max)) {
        char problem[96];
        (void)snprintf(problem, sizeof problem, "must be a number from %g to %g", min, max);
        pr_read_fault(r, name, problem);
        return otherwise;
    }
    return number;
}

bool pr_read_bool(struct pr_reading *r, const json_t *object, const char *name, bool otherwise) {
    const json_t *value = member(object, name);
    if (value && !json_is_boolean(value)) {
        pr_read_fault(r, name, "must be true or false");
    }
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

char *pr_read_text(struct pr_reading *r, const json_t *object, const char *name, const char *otherwise) {
    const json_t *value = member(object, name);
    if (value && !json_is_string(value)) {
        pr_read_fault(r, name, "must be a string");
        value = NULL;
    }
    const char *text = value ? json_string_value(value) : otherwise;
    if (!text) {
        return NULL;
    }
    char *copy = strdup(text);
    pr_assert(copy);
    return copy;
}

char *pr_read_address(struct pr_reading *r, const json_t *object, const char *name, char *otherwise) {
    char *text = pr_read_text(r, object, name, NULL);
    if (!text) {
        return otherwise;
    }
    char *to = text;
    for (const char *from = text; *from; from++) {
        bool keep = (*from >= '0' && *from <= '9') || ((*from | 0x20) >= 'a' && (*from | 0x20) <= 'z') || *from == '.';
        if (keep) {
            *to++ = *from;
        }
    }
    *to = '\0';
    free(otherwise);
    return text;
}
