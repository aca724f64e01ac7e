/* A table of endpoints; each takes a JSON document or a query and gives one back. */
#include "admin.h"

#include "config.h"
#include "http.h"
#include "platform.h"
#include "receipts.h"
#include "settings.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINES_DEFAULT = 10000, /* of one answer of /record */
    LINES_MAX = 100000,
    WHY_CHARS = 512,
};
#define RECORD_BYTES_MAX ((size_t)512 << 20)

/* One request to an endpoint. A handler sets `result` (a new reference), or `why` and returns false. */
struct admin {
    struct pr_sandbox *sandbox;
    const struct pr_request *request;
    struct pr_answer *answer;
    const json_t *body; /* NULL for GET and for an empty body */
    json_t *result;
    bool is_answered; /* the handler built the answer itself */
    char why[WHY_CHARS];
};

static json_t *show_reasons(const struct pr_stats *stats) {
    json_t *object = json_object();
    for (int i = PR_REASON_TOKEN; i < PR_REASONS; i++) {
        (void)json_object_set_new(object, pr_reason_name((enum pr_reason)i),
                                  json_integer((json_int_t)stats->by_reason[i]));
    }
    return object;
}

static json_t *show_codes(const struct pr_stats *stats) {
    json_t *object = json_object();
    for (uint32_t i = 0; i < stats->codes_n; i++) {
        char code[16];
        (void)snprintf(code, sizeof code, "%d", stats->by_code[i].code);
        (void)json_object_set_new(object, code, json_integer((json_int_t)stats->by_code[i].n));
    }
    return object;
}

static json_t *show_numbers(const struct pr_sandbox *sandbox) {
    json_t *object = json_object();
    for (const struct pr_number *n = sandbox->numbers; n; n = n->hh.next) {
        json_t *shown = json_pack("{s:I, s:I, s:I, s:I}", "accepted", (json_int_t)n->accepted, "rate",
                                  (json_int_t)n->rate.per_second, "max_in_1s", (json_int_t)n->rate.second_max,
                                  "max_in_10s", (json_int_t)n->rate.ten_max);
        (void)json_object_set_new(object, n->phone_number_id, shown);
    }
    return object;
}

static json_t *show_portfolios(const struct pr_sandbox *sandbox) {
    json_t *object = json_object();
    int64_t now = pr_sandbox_now_us(sandbox);
    for (struct pr_portfolio *p = sandbox->portfolios; p; p = p->hh.next) {
        (void)pr_tier_fits(&p->tier, 0, now); /* lets those whose day is over leave the count */
        json_t *shown =
            json_pack("{s:I, s:I, s:o}", "people", (json_int_t)p->tier.n, "people_max", (json_int_t)p->tier.n_max,
                      "limit", p->tier.limit < 0 ? json_null() : json_integer(p->tier.limit));
        (void)json_object_set_new(object, p->id, shown);
    }
    return object;
}

static json_t *show_repeated(const struct pr_sandbox *sandbox) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < sandbox->callback_samples_n; i++) {
        (void)json_array_append_new(array, json_string(sandbox->callback_sample[i]));
    }
    return array;
}

static bool get_stats(struct admin *a) {
    const struct pr_sandbox *sandbox = a->sandbox;
    const struct pr_stats *s = &sandbox->stats;
    a->result = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests",
        (json_int_t)s->requests, "accepted", (json_int_t)s->accepted, "refused", (json_int_t)s->refused,
        "callbacks_accepted", (json_int_t)sandbox->callbacks.n, "callbacks_repeated", (json_int_t)s->callbacks_repeated,
        "accepted_without_callback", (json_int_t)s->accepted_without_callback, "open", (json_int_t)s->open, "open_max",
        (json_int_t)s->open_max, "unanswered", (json_int_t)s->unanswered, "cut", (json_int_t)s->cut, "reset",
        (json_int_t)s->reset, "hung", (json_int_t)s->hung, "connections", (json_int_t)s->connections, "connected",
        (json_int_t)s->connected, "bad_requests", (json_int_t)s->bad_requests, "half_requests",
        (json_int_t)s->half_requests, "mark_read", (json_int_t)s->mark_read);
    pr_assert(a->result);
    (void)json_object_set_new(a->result, "refused_by_reason", show_reasons(s));
    (void)json_object_set_new(a->result, "refused_by_code", show_codes(s));
    (void)json_object_set_new(a->result, "numbers", show_numbers(sandbox));
    (void)json_object_set_new(a->result, "portfolios", show_portfolios(sandbox));
    (void)json_object_set_new(a->result, "repeated_callbacks", show_repeated(sandbox));
    (void)json_object_set_new(a->result, "receipts", pr_receipts_show(sandbox->receipts));
    (void)json_object_set_new(a->result, "record_seq", json_integer((json_int_t)sandbox->record.seq));
    (void)json_object_set_new(a->result, "clock_us", json_integer(pr_sandbox_now_us(sandbox)));
    (void)json_object_set_new(a->result, "clock_offset_ms", json_integer(sandbox->clock_offset_us / 1000));
    return true;
}

/* A number of the query string. */
static uint64_t query_number(struct pr_span query, const char *name, uint64_t otherwise) {
    size_t name_n = strlen(name);
    for (size_t i = 0; i + name_n < query.n; i++) {
        bool starts = i == 0 || query.p[i - 1] == '&';
        if (!starts || memcmp(query.p + i, name, name_n) != 0 || query.p[i + name_n] != '=') {
            continue;
        }
        uint64_t value = 0;
        for (size_t k = i + name_n + 1; k < query.n && query.p[k] >= '0' && query.p[k] <= '9'; k++) {
            value = value * 10 + (uint64_t)(query.p[k] - '0');
        }
        return value;
    }
    return otherwise;
}

static bool get_record(struct admin *a) {
    uint64_t since = query_number(a->request->query, "since", 0);
    uint64_t lines = query_number(a->request->query, "limit", LINES_DEFAULT);
    bool is_complete = true;
    struct pr_buf out;
    char extra[128];
    pr_buf_init(&out, RECORD_BYTES_MAX);
    uint64_t last =
        pr_record_read(&a->sandbox->record, since, lines < LINES_MAX ? lines : LINES_MAX, &out, &is_complete);
    (void)snprintf(extra, sizeof extra, "X-Sandbox-Last: %llu\r\nX-Sandbox-Complete: %s\r\n", (unsigned long long)last,
                   is_complete ? "true" : "false");
    pr_answer_put(a->answer, 200, "application/x-ndjson", extra, pr_buf_span(&out));
    pr_buf_free(&out);
    a->is_answered = true;
    return true;
}

static bool get_faults(struct admin *a) {
    a->result = pr_faults_list(&a->sandbox->faults);
    return true;
}

/* One fault or an array of them; scripted ones strike once unless they say otherwise. */
static bool post_faults(struct admin *a) {
    if (!json_is_array(a->body)) {
        return pr_faults_add(&a->sandbox->faults, a->body, 1, a->why, sizeof a->why);
    }
    size_t i;
    json_t *item;
    json_array_foreach (a->body, i, item) {
        if (!pr_faults_add(&a->sandbox->faults, item, 1, a->why, sizeof a->why)) {
            return false;
        }
    }
    return true;
}

static bool delete_faults(struct admin *a) {
    pr_faults_clear(&a->sandbox->faults, true);
    return true;
}

static bool post_config(struct admin *a) {
    return pr_config_apply(a->sandbox, a->body, ".", a->why, sizeof a->why);
}

static bool post_window(struct admin *a) {
    return pr_config_window(a->sandbox, a->body, a->why, sizeof a->why);
}

/* {"offset_ms"} sets the shift, {"advance_ms"} adds to it. */
static bool post_clock(struct admin *a) {
    static const char *const names[] = {"offset_ms", "advance_ms", NULL};
    struct pr_reading r = {.why = a->why, .why_n = sizeof a->why, .where = "clock"};
    const int64_t most = INT64_C(100) * 365 * 86400 * 1000;
    if (!pr_read_object(&r, a->body, names)) {
        return false;
    }
    int64_t offset = pr_read_number(&r, a->body, "offset_ms", a->sandbox->clock_offset_us / 1000, -most, most);
    offset += pr_read_number(&r, a->body, "advance_ms", 0, -most, most);
    if (!r.failed) {
        a->sandbox->clock_offset_us = offset * 1000;
        a->result = json_pack("{s:I, s:I}", "clock_us", (json_int_t)pr_sandbox_now_us(a->sandbox), "clock_offset_ms",
                              (json_int_t)offset);
    }
    return !r.failed;
}

static bool post_template(struct admin *a) {
    static const char *const names[] = {"name", "language", "status", NULL};
    struct pr_reading r = {.why = a->why, .why_n = sizeof a->why, .where = "template"};
    if (!pr_read_object(&r, a->body, names)) {
        return false;
    }
    char *name = pr_read_text(&r, a->body, "name", "");
    char *language = pr_read_text(&r, a->body, "language", NULL);
    char *status = pr_read_text(&r, a->body, "status", "");
    uint32_t n = r.failed ? 0 : pr_catalogue_set_status(&a->sandbox->catalogue, name, language, status);
    if (n == 0) {
        pr_read_fault(&r, "name", "is not a known template");
    }
    a->result = json_pack("{s:i}", "changed", (int)n);
    free(name);
    free(language);
    free(status);
    return !r.failed;
}

/* {"only": ["limits", …]}; nothing means everything. */
static bool post_reset(struct admin *a) {
    static const struct {
        const char *name;
        unsigned bit;
    } parts[] = {{"limits", PR_RESET_LIMITS},    {"windows", PR_RESET_WINDOWS}, {"record", PR_RESET_RECORD},
                 {"stats", PR_RESET_STATS},      {"faults", PR_RESET_FAULTS},   {"clock", PR_RESET_CLOCK},
                 {"receipts", PR_RESET_RECEIPTS}};
    const json_t *only = json_object_get(a->body, "only");
    unsigned what = only ? 0 : PR_RESET_ALL;
    size_t i;
    json_t *item;
    json_array_foreach (only, i, item) {
        unsigned bit = 0;
        for (size_t k = 0; json_is_string(item) && k < sizeof parts / sizeof parts[0]; k++) {
            bit = strcmp(json_string_value(item), parts[k].name) == 0 ? parts[k].bit : bit;
        }
        if (!bit) {
            (void)snprintf(a->why, sizeof a->why, "reset.only has a part that is not known");
            return false;
        }
        what |= bit;
    }
    pr_sandbox_reset(a->sandbox, what);
    return true;
}

/* {"how": "cut" | "reset", "all": bool}: ends connections at once. */
static bool post_cut(struct admin *a) {
    static const char *const names[] = {"how", "all", NULL};
    struct pr_reading r = {.why = a->why, .why_n = sizeof a->why, .where = "cut"};
    if (a->body && !pr_read_object(&r, a->body, names)) {
        return false;
    }
    char *how = pr_read_text(&r, a->body, "how", "reset");
    bool by_reset = strcmp(how, "reset") == 0;
    if (!by_reset && strcmp(how, "cut") != 0) {
        pr_read_fault(&r, "how", "must be \"cut\" or \"reset\"");
    }
    free(how);
    bool all = pr_read_bool(&r, a->body, "all", false);
    if (!r.failed) {
        a->result = json_pack("{s:i}", "ended", (int)pr_server_cut(a->sandbox->server, by_reset, all));
    }
    return !r.failed;
}

/* {"accepting": false} closes the platform's listener: connections are refused until it is opened again. */
static bool post_listen(struct admin *a) {
    static const char *const names[] = {"accepting", NULL};
    struct pr_reading r = {.why = a->why, .why_n = sizeof a->why, .where = "listen"};
    bool accepting = pr_read_object(&r, a->body, names) && pr_read_bool(&r, a->body, "accepting", true);
    if (!r.failed && !pr_server_set_accepting(a->sandbox->server, accepting)) {
        pr_read_fault(&r, "accepting", "cannot listen again");
    }
    return !r.failed;
}

static const struct endpoint {
    const char *method;
    const char *path;
    bool (*handle)(struct admin *a);
} endpoints[] = {
    {"GET", "/_sandbox/stats", get_stats},         {"GET", "/_sandbox/record", get_record},
    {"GET", "/_sandbox/faults", get_faults},       {"POST", "/_sandbox/faults", post_faults},
    {"DELETE", "/_sandbox/faults", delete_faults}, {"POST", "/_sandbox/config", post_config},
    {"POST", "/_sandbox/window", post_window},     {"POST", "/_sandbox/clock", post_clock},
    {"POST", "/_sandbox/template", post_template}, {"POST", "/_sandbox/reset", post_reset},
    {"POST", "/_sandbox/cut", post_cut},           {"POST", "/_sandbox/listen", post_listen},
};

static void put_error(struct admin *a, int http, const char *why) {
    json_t *object = json_pack("{s:s}", "error", why);
    char *text = json_dumps(object, JSON_COMPACT);
    pr_answer_put(a->answer, http, "application/json", "", pr_span_of(text ? text : "{}"));
    free(text);
    json_decref(object);
}

static void put_result(struct admin *a) {
    json_t *object = a->result ? a->result : json_pack("{s:b}", "ok", 1);
    char *text = json_dumps(object, JSON_INDENT(1));
    pr_assert(text);
    pr_answer_put(a->answer, 200, "application/json", "", pr_span_of(text));
    free(text);
    json_decref(object);
}

static const struct endpoint *find_endpoint(const struct pr_request *request) {
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        if (pr_span_is(request->method, endpoints[i].method) && pr_span_is(request->path, endpoints[i].path)) {
            return &endpoints[i];
        }
    }
    return NULL;
}

static void answer_admin(struct pr_sandbox *sandbox, const struct pr_request *request, struct pr_answer *answer) {
    struct admin a = {.sandbox = sandbox, .request = request, .answer = answer};
    const struct endpoint *endpoint = find_endpoint(request);
    sandbox->stats.requests--; /* only the platform's are counted */
    if (!request->is_local) {
        put_error(&a, 403, "only from this machine");
        return;
    }
    if (!endpoint) {
        put_error(&a, 404, "no such endpoint; see README.md");
        return;
    }
    json_error_t error;
    json_t *body = request->body.n ? json_loadb(request->body.p, request->body.n, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (request->body.n && !body) {
        put_error(&a, 400, error.text);
        return;
    }
    a.body = body;
    if (!endpoint->handle(&a)) {
        json_decref(a.result);
        put_error(&a, 400, a.why);
    } else if (!a.is_answered) {
        put_result(&a);
    }
    json_decref(body);
}

void pr_admin_answer(struct pr_sandbox *sandbox, const struct pr_request *request, struct pr_answer *answer) {
    if (pr_span_starts(request->path, PR_SPAN("/_sandbox/"))) {
        answer_admin(sandbox, request, answer);
    } else {
        pr_platform_answer(sandbox, request, answer);
    }
}
