/* A business.json: who the tenant is, its messaging limit, and the numbers it sends from. */
#include "catalog.h"

#include "core/address.h"
#include "core/compile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messaging limits as Meta's screens and API name them; 0 is none. Meta, "Messaging limits". */
static const struct {
    const char *name;
    int32_t people_max;
} tiers[] = {
    {"TIER_50", 50},     {"TIER_250", 250},     {"TIER_1K", 1000},     {"TIER_2K", 2000},
    {"TIER_10K", 10000}, {"TIER_100K", 100000}, {"TIER_UNLIMITED", 0},
};

enum { TEXT_MAX = 256, SENDERS_MAX = 32, RATE_MAX = 1000 };

struct reader {
    struct pr_catalog *catalog;
    const struct pr_catalog_file *file;
    struct pr_catalog_business *business;
};

static void fault(struct reader *r, const struct pr_place *at, const char *text) {
    pr_catalog_fault(r->catalog, r->file, at->text, "%s", text);
}

static struct pr_span copy(struct reader *r, const json_t *value) {
    return pr_arena_copy(&r->catalog->arena, pr_span_make(json_string_value(value), json_string_length(value)));
}

/* A string of 1 to TEXT_MAX bytes; `fallback` when it is absent, a fault when that is NULL. */
static struct pr_span take_text(struct reader *r, const struct pr_place *parent, const json_t *object, const char *key,
                                const char *fallback) {
    struct pr_place at = pr_place_key(parent, key);
    const json_t *value = json_object_get(object, key);
    if (!value && fallback) {
        return pr_span_of(fallback);
    }
    if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > TEXT_MAX) {
        fault(r, &at, value ? "must be a text of 1 to 256 bytes" : "is missing");
        return (struct pr_span){NULL, 0};
    }
    return copy(r, value);
}

void pr_catalog_check_keys(struct pr_catalog *catalog, const struct pr_catalog_file *file,
                           const struct pr_place *parent, json_t *object, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        struct pr_place at = pr_place_key(parent, key);
        if (strcmp(key, "token") == 0) {
            pr_catalog_fault(catalog, file, at.text, "%s",
                             "never the token itself: put it into a file of its own and name that in \"token_file\"");
        } else if (!pr_compile_is_known(key, known)) {
            pr_catalog_fault(catalog, file, at.text, "%s", "is not a key that is known here; it may be misspelt");
        }
    }
}

static void check_keys(struct reader *r, const struct pr_place *parent, json_t *object, const char *const *known) {
    pr_catalog_check_keys(r->catalog, r->file, parent, object, known);
}

static bool is_name(struct pr_span text) {
    if (text.n == 0 || text.n > 63 || text.p[0] == '_' || text.p[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
            return false;
        }
    }
    return true;
}

static struct pr_span take_name(struct reader *r, const struct pr_place *parent, const json_t *object, const char *key) {
    struct pr_place at = pr_place_key(parent, key);
    struct pr_span name = take_text(r, parent, object, key, NULL);
    if (name.p && !is_name(name)) {
        fault(r, &at, "may have lower-case letters, digits, '_' and '-', at most 63, the first a letter or digit");
    }
    return name;
}

/* A whole number at the start of `text`; the rest in `after`. -1: none. */
static int64_t number(struct pr_span text, const char **after) {
    char *end = NULL;
    if (text.n == 0 || text.p[0] < '0' || text.p[0] > '9') {
        return -1;
    }
    int64_t v = strtoll(text.p, &end, 10); /* copies in the arena end with a NUL */
    *after = end;
    return v;
}

static void take_limit(struct reader *r, const struct pr_place *at, const json_t *value) {
    struct pr_catalog_business *b = r->business;
    const char *after = "";
    char text[24];
    b->tier = json_is_string(value) ? copy(r, value) : (struct pr_span){NULL, 0};
    for (size_t i = 0; b->tier.p && i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (pr_compile_is_word(b->tier, tiers[i].name)) {
            b->tier = pr_span_of(tiers[i].name);
            b->people_max = tiers[i].people_max;
            return;
        }
    }
    int64_t people = json_is_integer(value) ? json_integer_value(value) : number(b->tier, &after);
    if (people < 1 || people > INT32_MAX || *after) {
        fault(r, at,
              "must be TIER_50, TIER_250, TIER_1K, TIER_2K, TIER_10K, TIER_100K, TIER_UNLIMITED or a number of people");
        return;
    }
    (void)snprintf(text, sizeof(text), "%lld", (long long)people);
    b->tier = pr_arena_copy(&r->catalog->arena, pr_span_of(text));
    b->people_max = (int32_t)people;
}

static void take_reserve(struct reader *r, const struct pr_place *at, const json_t *value) {
    const char *after = "";
    r->business->reserve_pct = 10;
    if (!value) {
        return;
    }
    int64_t percent = json_is_string(value) ? number(copy(r, value), &after) : -1;
    if (percent < 0 || percent > 100 || strcmp(after, "%") != 0) {
        fault(r, at, "must be the share of the limit that marketing leaves alone: \"10%\", \"0%\" to \"100%\"");
        return;
    }
    r->business->reserve_pct = (int32_t)percent;
}

static void take_portfolio(struct reader *r, const struct pr_place *root) {
    static const char *const known[] = {"id", "limit", "reserve", NULL};
    struct pr_place at = pr_place_key(root, "portfolio");
    json_t *object = json_object_get(r->file->root, "portfolio");
    if (!json_is_object(object)) {
        fault(r, &at,
              object ? "must be an object with \"id\" and \"limit\""
                     : "is missing: { \"id\": …, \"limit\": \"TIER_250\" }");
        return;
    }
    struct pr_place limit = pr_place_key(&at, "limit"), reserve = pr_place_key(&at, "reserve");
    check_keys(r, &at, object, known);
    r->business->pool = take_text(r, &at, object, "id", NULL);
    take_limit(r, &limit, json_object_get(object, "limit"));
    take_reserve(r, &reserve, json_object_get(object, "reserve"));
}

/* "80/s", "600/min", "1000/h". */
static double take_rate(struct reader *r, const struct pr_place *parent, const json_t *object) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"/s", 1}, {"/min", 60}, {"/h", 3600}};
    struct pr_place at = pr_place_key(parent, "rate");
    const char *after = "";
    int64_t count = number(take_text(r, parent, object, "rate", "80/s"), &after);
    for (size_t i = 0; count > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        double rate = (double)count / units[i].seconds;
        if (strcmp(after, units[i].unit) == 0 && rate <= RATE_MAX) {
            return rate;
        }
    }
    fault(r, &at, "must be a rate such as \"80/s\" (also /min, /h), at most 1000/s");
    return 1;
}

static struct pr_span take_digits(struct reader *r, const struct pr_place *parent, const json_t *object,
                                  const char *key, const char *fallback) {
    struct pr_place at = pr_place_key(parent, key);
    struct pr_span text = take_text(r, parent, object, key, fallback);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            fault(r, &at, "must be the platform's id: digits, as text");
            break;
        }
    }
    return text;
}

static struct pr_span take_phone(struct reader *r, const struct pr_place *parent, const json_t *object) {
    struct pr_place at = pr_place_key(parent, "phone");
    struct pr_span text = take_text(r, parent, object, "phone", NULL);
    struct pr_address address;
    if (!text.p) {
        return text;
    }
    if (!pr_address_parse(text, &address) || address.is_user_id) {
        fault(r, &at, "must be the number with '+' and country code: \"+551140028922\"");
        return text;
    }
    return pr_arena_copy(&r->catalog->arena, pr_span_make(address.text, address.n));
}

static void check_unique(struct reader *r, const struct pr_place *at, size_t n) {
    const struct pr_catalog_sender *all = r->business->senders, *s = &all[n];
    for (size_t i = 0; i < n; i++) {
        if (s->name.n > 0 && pr_span_eq(all[i].name, s->name)) {
            fault(r, at, "has the name of another sender");
        }
        if (s->address.n > 0 && pr_span_eq(all[i].address, s->address)) {
            fault(r, at, "has the phone of another sender");
        }
        if (s->account.n > 0 && pr_span_eq(all[i].account, s->account)) {
            fault(r, at, "has the phone_number_id of another sender");
        }
    }
}

static void take_sender(struct reader *r, const struct pr_place *at, json_t *object, size_t index) {
    static const char *const known[] = {"name",     "phone", "phone_number_id", "waba_id",
                                        "provider", "rate",  "token_file",      NULL};
    struct pr_catalog_sender *s = &r->business->senders[index];
    struct pr_place provider = pr_place_key(at, "provider");
    if (!json_is_object(object)) {
        fault(r, at, "must be an object with name, phone, phone_number_id, provider, token_file");
        return;
    }
    check_keys(r, at, object, known);
    s->name = take_name(r, at, object, "name");
    s->address = take_phone(r, at, object);
    s->provider = take_text(r, at, object, "provider", "cloud-api");
    bool is_cloud = pr_span_is(s->provider, "cloud-api");
    if (!is_cloud && !pr_span_is(s->provider, "360dialog")) {
        fault(r, &provider, "must be \"cloud-api\" (Meta itself) or \"360dialog\"");
    }
    /* 360dialog finds the number by its key. */
    s->account = take_digits(r, at, object, "phone_number_id", is_cloud ? NULL : "");
    s->waba = take_digits(r, at, object, "waba_id", "");
    s->rate = take_rate(r, at, object);
    s->secret = take_text(r, at, object, "token_file", NULL);
    s->is_connected = s->is_of_file = true;
    check_unique(r, at, index);
}

static void take_senders(struct reader *r, const struct pr_place *root) {
    struct pr_place at = pr_place_key(root, "senders");
    json_t *list = json_object_get(r->file->root, "senders");
    size_t n = json_array_size(list), i;
    json_t *item;
    if (!json_is_array(list) || n < 1 || n > SENDERS_MAX) {
        fault(r, &at, list ? "must be an array of 1 to 32 senders" : "is missing: the numbers to send from");
        return;
    }
    r->business->senders = pr_arena_calloc(&r->catalog->arena, n, sizeof(struct pr_catalog_sender));
    if (!r->business->senders) {
        return;
    }
    r->business->senders_n = n;
    json_array_foreach (list, i, item) {
        struct pr_place place = pr_place_item(&at, i);
        take_sender(r, &place, item, i);
    }
}

static void take_country(struct reader *r, const struct pr_place *root) {
    struct pr_place at = pr_place_key(root, "country");
    struct pr_span c = take_text(r, root, r->file->root, "country", "");
    bool is_code = c.n == 2 && c.p[0] >= 'A' && c.p[0] <= 'Z' && c.p[1] >= 'A' && c.p[1] <= 'Z';
    if (c.n > 0 && !is_code) {
        fault(r, &at, "must be two capital letters of ISO 3166: \"BR\"");
    }
    r->business->country = c;
}

void pr_catalog_take_business(struct pr_catalog *catalog, const struct pr_catalog_file *file) {
    static const char *const known[] = {"tenant",    "name",    "locale", "time_zone", "country",
                                        "portfolio", "senders", "policy", NULL};
    struct pr_catalog_business *b = pr_arena_calloc(&catalog->arena, 1, sizeof(*b));
    struct reader r = {catalog, file, b};
    struct pr_place root = pr_place_root(), tenant_at = pr_place_key(&root, "tenant");
    if (!b) {
        return;
    }
    check_keys(&r, &root, file->root, known);
    b->file = file;
    b->tenant = take_name(&r, &root, file->root, "tenant");
    b->name = take_text(&r, &root, file->root, "name", NULL);
    b->locale = take_text(&r, &root, file->root, "locale", "en_US");
    b->time_zone = take_text(&r, &root, file->root, "time_zone", "UTC");
    take_country(&r, &root);
    take_portfolio(&r, &root);
    take_senders(&r, &root);
    pr_catalog_take_policy(catalog, file, b);
    const struct pr_catalog_business *other = pr_catalog_find(catalog, b->tenant);
    if (b->tenant.n > 0 && other) {
        fault(&r, &tenant_at, "is also the tenant of another file of this call");
    }
    STAILQ_INSERT_TAIL(&catalog->businesses, b, next);
}
