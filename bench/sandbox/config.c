/* Each key of the settings is read by one function. */
#include "config.h"

#include "hash.h"
#include "receipts.h"
#include "settings.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RATE_MAX = 1000000, PATH_CHARS = 4096 };

static void set_text(char **field, char *text) {
    if (text) {
        free(*field);
        *field = text;
    }
}

static void apply_tokens(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *array) {
    size_t i;
    json_t *item;
    r->where = "tokens";
    json_array_foreach (array, i, item) {
        const char *text = json_string_value(item);
        struct pr_token_entry *entry = NULL;
        if (!text || !*text) {
            pr_read_fault(r, "", "must be strings");
            return;
        }
        HASH_FIND_STR(sandbox->tokens, text, entry);
        if (!entry) {
            entry = calloc(1, sizeof *entry);
            char *copy = strdup(text);
            pr_assert(entry && copy);
            entry->token = copy;
            HASH_ADD_KEYPTR(hh, sandbox->tokens, entry->token, strlen(entry->token), entry);
        }
    }
}

/* A token that is withdrawn answers 190 from the next request on, as an expired one would. */
static void apply_revoked(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *array) {
    size_t i;
    json_t *item;
    r->where = "revoked_tokens";
    json_array_foreach (array, i, item) {
        const char *text = json_string_value(item);
        struct pr_token_entry *entry = NULL;
        if (!text) {
            pr_read_fault(r, "", "must be strings");
            return;
        }
        HASH_FIND_STR(sandbox->tokens, text, entry);
        if (entry) {
            HASH_DEL(sandbox->tokens, entry);
            free(entry->token);
            free(entry);
        }
        for (struct pr_number *number = sandbox->numbers; number; number = number->hh.next) {
            if (number->token && strcmp(number->token, text) == 0) {
                free(number->token);
                number->token = NULL;
            }
        }
    }
}

static void apply_portfolio(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *object) {
    static const char *const names[] = {"id", "limit", NULL};
    r->where = "portfolios";
    char *id = pr_read_object(r, object, names) ? pr_read_text(r, object, "id", NULL) : NULL;
    if (!id) {
        pr_read_fault(r, "id", "is required");
        return;
    }
    struct pr_portfolio *portfolio = pr_sandbox_portfolio(sandbox, id);
    if (portfolio) {
        free(id);
    } else {
        portfolio = calloc(1, sizeof *portfolio);
        pr_assert(portfolio);
        portfolio->id = id;
        portfolio->tier.limit = -1;
        HASH_ADD_KEYPTR(hh, sandbox->portfolios, portfolio->id, strlen(portfolio->id), portfolio);
    }
    if (json_is_null(json_object_get(object, "limit"))) {
        portfolio->tier.limit = -1;
    } else {
        portfolio->tier.limit = pr_read_number(r, object, "limit", portfolio->tier.limit, 0, INT64_MAX);
    }
}

static void set_key(struct pr_sandbox *sandbox, struct pr_number *number, char *key) {
    if (!key) {
        return;
    }
    if (number->d360_key) {
        HASH_DELETE(by_key, sandbox->numbers_by_key, number);
        free(number->d360_key);
    }
    number->d360_key = key;
    HASH_ADD_KEYPTR(by_key, sandbox->numbers_by_key, number->d360_key, strlen(number->d360_key), number);
}

static void set_portfolio(struct pr_reading *r, struct pr_sandbox *sandbox, struct pr_number *number, char *id) {
    if (id) {
        number->portfolio = pr_sandbox_portfolio(sandbox, id);
        if (!number->portfolio) {
            pr_read_fault(r, "portfolio", "is not one of portfolios");
        }
        free(id);
    }
}

static void apply_number(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *object) {
    static const char *const names[] = {"phone_number_id", "token",         "d360_key", "waba_id",
                                        "portfolio",       "rate",          "quality",  "display_phone_number",
                                        "country_code",    "marketing_off", NULL};
    r->where = "numbers";
    char *id = pr_read_object(r, object, names) ? pr_read_text(r, object, "phone_number_id", NULL) : NULL;
    if (!id || !*id) {
        pr_read_fault(r, "phone_number_id", "is required");
        free(id);
        return;
    }
    struct pr_number *number = pr_sandbox_number(sandbox, pr_span_of(id));
    number = number ? number : pr_sandbox_add_number(sandbox, pr_span_of(id));
    free(id);
    set_text(&number->token, pr_read_text(r, object, "token", NULL));
    set_text(&number->waba_id, pr_read_text(r, object, "waba_id", NULL));
    set_text(&number->quality, pr_read_text(r, object, "quality", NULL));
    set_text(&number->display, pr_read_address(r, object, "display_phone_number", NULL));
    set_text(&number->country_code, pr_read_address(r, object, "country_code", NULL));
    if (strlen(number->country_code) > 3) {
        number->country_code[0] = '\0';
        pr_read_fault(r, "country_code", "has at most three digits");
    }
    set_key(sandbox, number, pr_read_text(r, object, "d360_key", NULL));
    set_portfolio(r, sandbox, number, pr_read_text(r, object, "portfolio", NULL));
    number->rate.per_second = (uint32_t)pr_read_number(r, object, "rate", number->rate.per_second, 0, RATE_MAX);
    number->marketing_off = pr_read_bool(r, object, "marketing_off", number->marketing_off);
}

static void for_each(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *array, const char *where,
                     void (*apply)(struct pr_reading *, struct pr_sandbox *, const json_t *)) {
    size_t i;
    json_t *item;
    r->where = where;
    if (array && !json_is_array(array)) {
        pr_read_fault(r, "", "must be an array");
    }
    json_array_foreach (array, i, item) {
        apply(r, sandbox, item);
    }
}

static void add_templates(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *list, const char *waba_id) {
    char fault[256];
    if (!r->failed && !pr_catalogue_add(&sandbox->catalogue, list, waba_id, fault, sizeof fault)) {
        pr_read_fault(r, "", fault);
    }
}

static void load_templates(struct pr_reading *r, struct pr_sandbox *sandbox, const char *folder, const char *file,
                           const char *waba_id) {
    char path[PATH_CHARS];
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s%s%s", *file == '/' ? "" : folder, *file == '/' ? "" : "/", file);
    json_t *list = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!list) {
        char problem[512];
        (void)snprintf(problem, sizeof problem, "%.300s line %d: %s", path, error.line, error.text);
        pr_read_fault(r, "", problem);
        return;
    }
    add_templates(r, sandbox, list, waba_id);
    json_decref(list);
}

/* A path, {"file", "waba_id"}, or templates in place. */
static void apply_templates(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *array, const char *folder) {
    size_t i;
    json_t *item;
    r->where = "templates";
    if (array && !json_is_array(array)) {
        add_templates(r, sandbox, array, "");
        return;
    }
    json_array_foreach (array, i, item) {
        const char *file = json_string_value(json_object_get(item, "file"));
        const char *waba_id = json_string_value(json_object_get(item, "waba_id"));
        if (json_is_string(item)) {
            load_templates(r, sandbox, folder, json_string_value(item), "");
        } else if (file) {
            load_templates(r, sandbox, folder, file, waba_id ? waba_id : "");
        } else {
            add_templates(r, sandbox, item, waba_id ? waba_id : "");
        }
    }
}

/* The value below which a share `p` of a standard normal distribution lies, by halving. */
static double normal_quantile(double p) {
    double low = -6.0;
    double high = 6.0;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        *(0.5 * erfc(-middle / sqrt(2.0)) < p ? &low : &high) = middle;
    }
    return low;
}

/* Every form becomes a table of quantiles, so that a draw costs one look-up. */
static void apply_latency(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *object) {
    static const char *const names[] = {"fixed_ms", "min_ms", "max_ms", "p50_ms", "p99_ms", NULL};
    r->where = "latency";
    if (!pr_read_object(r, object, names)) {
        return;
    }
    double fixed = pr_read_real(r, object, "fixed_ms", 0, 0, 3600000);
    double min = pr_read_real(r, object, "min_ms", fixed, 0, 3600000);
    double max = pr_read_real(r, object, "max_ms", min, min, 3600000);
    double p50 = pr_read_real(r, object, "p50_ms", 0, 0, 3600000);
    double p99 = pr_read_real(r, object, "p99_ms", p50, p50, 3600000);
    double sigma = p50 > 0 ? log(p99 / p50) / normal_quantile(0.99) : 0;
    sandbox->has_latency = false;
    for (int i = 0; i < PR_LATENCY_STEPS; i++) {
        double share = (i + 0.5) / PR_LATENCY_STEPS;
        double ms = p50 > 0 ? p50 * exp(sigma * normal_quantile(share)) : min + (max - min) * share;
        sandbox->latency_us[i] = (int64_t)(ms * 1000);
        sandbox->has_latency = sandbox->has_latency || sandbox->latency_us[i] > 0;
    }
}

static void apply_window(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *object) {
    static const char *const names[] = {"to", "phone_number_id", "open_ms", NULL};
    r->where = "windows";
    char *to = pr_read_object(r, object, names) ? pr_read_address(r, object, "to", NULL) : NULL;
    if (!to) {
        pr_read_fault(r, "to", "is required");
        return;
    }
    char *id = pr_read_text(r, object, "phone_number_id", NULL);
    int64_t ends =
        pr_sandbox_now_us(sandbox) + pr_read_number(r, object, "open_ms", 86400000, 0, INT64_MAX / 2000) * 1000;
    for (struct pr_number *number = sandbox->numbers; number; number = number->hh.next) {
        if (!id || strcmp(id, number->phone_number_id) == 0) {
            *pr_map_at(&sandbox->windows, pr_sandbox_pair_key(number, pr_span_of(to)), NULL) = ends;
        }
    }
    free(id);
    free(to);
}

bool pr_config_window(struct pr_sandbox *sandbox, const json_t *object, char *why, size_t why_n) {
    struct pr_reading r = {.why = why, .why_n = why_n, .where = "windows"};
    if (json_is_array(object)) {
        for_each(&r, sandbox, object, "windows", apply_window);
    } else {
        apply_window(&r, sandbox, object);
    }
    return !r.failed;
}

static void apply_recipient(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *object) {
    char why[256];
    if (!json_object_get(object, "to")) {
        pr_read_fault(r, "to", "is required");
    } else if (!r->failed && !pr_faults_add(&sandbox->faults, object, 0, why, sizeof why)) {
        pr_read_fault(r, "", why);
    }
}

static void apply_behaviour(struct pr_reading *r, struct pr_sandbox *sandbox, const json_t *object) {
    char why[256];
    const json_t *latency = json_object_get(object, "latency");
    const json_t *mix = json_object_get(object, "mix");
    const json_t *receipts = json_object_get(object, "receipts");
    if (latency) {
        apply_latency(r, sandbox, latency);
    }
    if (mix && !pr_faults_set_mix(&sandbox->faults, mix, why, sizeof why)) {
        pr_read_fault(r, "", why);
    }
    if (receipts && !pr_receipts_set(sandbox->receipts, receipts, why, sizeof why)) {
        pr_read_fault(r, "", why);
    }
    for_each(r, sandbox, json_object_get(object, "recipients"), "recipients", apply_recipient);
    for_each(r, sandbox, json_object_get(object, "windows"), "windows", apply_window);
    r->where = "settings";
    sandbox->lenient = pr_read_bool(r, object, "lenient", sandbox->lenient);
    sandbox->any_template = pr_read_bool(r, object, "any_template", sandbox->any_template);
    sandbox->enforce_window = pr_read_bool(r, object, "enforce_window", sandbox->enforce_window);
}

bool pr_config_apply(struct pr_sandbox *sandbox, const json_t *object, const char *folder, char *why, size_t why_n) {
    static const char *const names[] = {
        "tokens",     "revoked_tokens", "portfolios", "numbers",  "templates",    "latency",        "mix",
        "recipients", "windows",        "lenient",    "receipts", "any_template", "enforce_window", NULL};
    struct pr_reading r = {.why = why, .why_n = why_n, .where = "settings"};
    if (!pr_read_object(&r, object, names)) {
        return false;
    }
    apply_tokens(&r, sandbox, json_object_get(object, "tokens"));
    apply_revoked(&r, sandbox, json_object_get(object, "revoked_tokens"));
    for_each(&r, sandbox, json_object_get(object, "portfolios"), "portfolios", apply_portfolio);
    for_each(&r, sandbox, json_object_get(object, "numbers"), "numbers", apply_number);
    apply_templates(&r, sandbox, json_object_get(object, "templates"), folder);
    apply_behaviour(&r, sandbox, object);
    return !r.failed;
}

bool pr_config_load(struct pr_sandbox *sandbox, const char *path, char *why, size_t why_n) {
    json_error_t error;
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        (void)snprintf(why, why_n, "%s line %d: %s", path, error.line, error.text);
        return false;
    }
    char folder[PATH_CHARS];
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    bool done = pr_config_apply(sandbox, object, *folder ? folder : "/", why, why_n);
    json_decref(object);
    return done;
}

bool pr_config_default(struct pr_sandbox *sandbox, char *why, size_t why_n) {
    json_t *object = json_pack("{s:[s], s:[{s:s, s:i}], s:[{s:s, s:s, s:s, s:s, s:i, s:s}]}", "tokens", "sandbox-token",
                               "portfolios", "id", "sandbox", "limit", 10000, "numbers", "phone_number_id",
                               "106540352242922", "d360_key", "sandbox-key", "waba_id", "102290129340398", "portfolio",
                               "sandbox", "rate", 80, "display_phone_number", "+551140028922");
    pr_assert(object);
    bool done = pr_config_apply(sandbox, object, ".", why, why_n);
    json_decref(object);
    return done;
}
