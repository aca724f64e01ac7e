/* The policy of a business.json: by category, how often a person may get a message and at which hours not. */
#include "catalog.h"

#include "base/clock.h"
#include "core/compile.h"

#include <stdio.h>
#include <string.h>

enum { CAP_N_MAX = 100 };
static const int64_t cap_us_max = INT64_C(365) * 86400 * 1000000;

struct reader {
    struct pr_catalog *catalog;
    const struct pr_catalog_file *file;
    struct pr_catalog_policy *policy;
};

static void fault(struct reader *r, const struct pr_place *at, const char *text) {
    pr_catalog_fault(r->catalog, r->file, at->text, "%s", text);
}

/* The digits at the start of `text`, at most `max`; `text` is moved behind them. -1: none, or too many. */
static int32_t take_number(struct pr_span *text, int32_t max) {
    int32_t value = -1;
    while (text->n > 0 && text->p[0] >= '0' && text->p[0] <= '9') {
        value = (value < 0 ? 0 : value) * 10 + (text->p[0] - '0');
        if (value > max) {
            return -1;
        }
        *text = pr_span_skip(*text, 1);
    }
    return value;
}

static bool take_literal(struct pr_span *text, const char *what) {
    bool is_there = pr_span_starts(*text, pr_span_of(what));
    if (is_there) {
        *text = pr_span_skip(*text, strlen(what));
    }
    return is_there;
}

/* "2 in 24h". */
static void take_cap(struct reader *r, const struct pr_place *at, const json_t *value) {
    struct pr_span text = json_is_string(value) ? pr_compile_string(value) : (struct pr_span){"", 0};
    int64_t us = 0;
    int32_t n = take_number(&text, CAP_N_MAX);
    bool is_cap = n >= 1 && take_literal(&text, " in ") && pr_duration_parse(text, &us) && us % 1000000 == 0;
    if (!is_cap || us < 1000000 || us > cap_us_max) {
        fault(r, at, "must be like \"2 in 24h\" or \"3 in 7d\": 1 to 100 messages, 1s to 365d");
        return;
    }
    r->policy->caps[r->policy->caps_n++] = (struct pr_catalog_cap){n, (int32_t)(us / 1000000)};
}

static void take_caps(struct reader *r, const struct pr_place *parent, const json_t *object) {
    struct pr_place at = pr_place_key(parent, "cap");
    const json_t *value = json_object_get(object, "cap"), *item;
    size_t i;
    if (!json_is_array(value)) {
        if (value) {
            take_cap(r, &at, value);
        }
        return;
    }
    if (json_array_size(value) < 1 || json_array_size(value) > PR_CATALOG_CAPS_MAX) {
        fault(r, &at, "must be one cap or an array of 1 to 4: [\"1 in 24h\", \"3 in 7d\"]");
        return;
    }
    json_array_foreach (value, i, item) {
        struct pr_place place = pr_place_item(&at, i);
        take_cap(r, &place, item);
    }
}

/* "21:00", always with two digits each; -1: it is not. */
static int32_t take_minute(struct pr_span *text) {
    const char *begin = text->p;
    int32_t hours = take_number(text, 23);
    bool ok = text->p == begin + 2 && take_literal(text, ":");
    begin = text->p;
    int32_t minutes = ok ? take_number(text, 59) : -1;
    return hours >= 0 && minutes >= 0 && text->p == begin + 2 ? hours * 60 + minutes : -1;
}

/* "21:00-08:00". */
static void take_quiet(struct reader *r, const struct pr_place *parent, const json_t *object) {
    struct pr_place at = pr_place_key(parent, "quiet_hours");
    const json_t *value = json_object_get(object, "quiet_hours");
    if (!value) {
        return;
    }
    struct pr_span text = json_is_string(value) ? pr_compile_string(value) : (struct pr_span){"", 0};
    int32_t from = take_minute(&text);
    int32_t to = from >= 0 && take_literal(&text, "-") ? take_minute(&text) : -1;
    if (to < 0 || text.n > 0 || from == to) {
        fault(r, &at, "must be like \"21:00-08:00\", by the recipient's clock");
        return;
    }
    r->policy->quiet_from = from;
    r->policy->quiet_to = to;
}

static void take_category(struct reader *r, const struct pr_place *at, json_t *object) {
    static const char *const known[] = {"cap", "quiet_hours", NULL};
    if (!json_is_object(object)) {
        fault(r, at, "must be an object with \"cap\" and \"quiet_hours\", either or both");
        return;
    }
    pr_catalog_check_keys(r->catalog, r->file, at, object, known);
    take_caps(r, at, object);
    take_quiet(r, at, object);
}

void pr_catalog_take_policy(struct pr_catalog *catalog, const struct pr_catalog_file *file,
                            struct pr_catalog_business *business) {
    struct pr_place root = pr_place_root(), at = pr_place_key(&root, "policy");
    json_t *object = json_object_get(file->root, "policy"), *value;
    struct reader r = {catalog, file, NULL};
    const char *key;
    for (size_t i = 0; i < PR_CATEGORIES; i++) {
        business->policy[i].quiet_from = business->policy[i].quiet_to = -1;
    }
    if (object && !json_is_object(object)) {
        fault(&r, &at, "must be an object by category: { \"marketing\": { \"cap\": \"2 in 24h\" } }");
        return;
    }
    json_object_foreach (object, key, value) {
        struct pr_place place = pr_place_key(&at, key);
        enum pr_category category;
        if (!pr_category_parse(pr_span_of(key), &category)) {
            fault(&r, &place, "is no category: utility, marketing, authentication or service");
            continue;
        }
        r.policy = &business->policy[category];
        take_category(&r, &place, value);
    }
}
