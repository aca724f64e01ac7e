/* Values of an event become parameters; render_body.c writes the request from them. */
#include "core/render.h"

#include "base/clock.h"
#include "core/compile.h"
#include "core/locale.h"
#include "core/pattern.h"
#include "core/template_private.h"
#include "core/text.h"
#include "core/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* A date further from the event than half a year could be taken for that of another year. */
enum { DAYS_WITHOUT_YEAR = 182 };

const char *pr_render_status_name(enum pr_render_status status) {
    static const char *const names[] = {
        [PR_RENDER_OK] = "ok",
        [PR_RENDER_MISSING_PARAMETER] = "missing_parameter",
        [PR_RENDER_BAD_PARAMETER] = "bad_parameter",
        [PR_RENDER_TOO_LONG] = "too_long",
        [PR_RENDER_NO_MEMORY] = "no_memory",
    };
    return names[status];
}

/* One filling, with what every step of it needs. */
struct filler {
    const struct pr_template *tpl;
    const struct pr_rule *rule;
    const struct pr_record *record;
    struct pr_span locale_name;
    const struct pr_locale *locale; /* looked up when first needed */
    struct pr_arena *arena;
    struct pr_filled *out;
    struct pr_render_fault *fault;
};

/* A place in the rule, spelt out only when there is something to say: "body" and "first_name". */
struct spot {
    const char *part;
    struct pr_span name;
};

static enum pr_render_status fail(const struct filler *f, const struct spot *spot, enum pr_render_status status,
                                  const char *fmt, ...) PR_PRINTF(4, 5);

static enum pr_render_status fail(const struct filler *f, const struct spot *spot, enum pr_render_status status,
                                  const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)snprintf(f->fault->param, sizeof(f->fault->param), "%s%s%.*s", spot->part, spot->name.n ? "." : "",
                   (int)(spot->name.n < 48 ? spot->name.n : 48), spot->name.n ? spot->name.p : "");
    (void)vsnprintf(f->fault->text, sizeof(f->fault->text), fmt, args);
    va_end(args);
    pr_text_scrub(f->fault->param);
    pr_text_scrub(f->fault->text);
    return status;
}

static enum pr_render_status no_memory(const struct filler *f, const struct spot *spot) {
    return fail(f, spot, PR_RENDER_NO_MEMORY, "the message needs more than the %zu bytes set aside for it",
                f->arena->bytes_max);
}

static enum pr_render_status over(const struct filler *f, const struct spot *spot, size_t chars, unsigned max) {
    return fail(f, spot, PR_RENDER_TOO_LONG, "%zu characters; the platform takes %u", chars, max);
}

static const struct pr_locale *locale_of(struct filler *f) {
    if (!f->locale) {
        f->locale = pr_locale_find(f->locale_name);
    }
    return f->locale;
}

/* How much of a path a fault shows. Values are not shown: faults are logged and stored, and values are what people
 * bought. */
static int shown(struct pr_span s) {
    return (int)(s.n < 60 ? s.n : 60);
}

/* The number of a value for money. */
static bool amount_of(const struct pr_value *v, int64_t *amount) {
    switch (v->kind) {
    case PR_VALUE_INT: return pr_amount_of_int(v->u.i, amount);
    case PR_VALUE_DOUBLE: return pr_amount_of_double(v->u.d, amount);
    case PR_VALUE_STRING: return pr_amount_parse(v->u.s, amount);
    case PR_VALUE_NULL:
    case PR_VALUE_BOOL:
    case PR_VALUE_TIME:
    case PR_VALUE_ARRAY:
    case PR_VALUE_MAP: break;
    }
    return false;
}

/* The code itself, or what stands at its path; empty when absent or no string. */
static struct pr_span currency_of(const struct filler *f, struct pr_span path) {
    struct pr_value scratch;
    if (path.n == 3) { /* no path is so short */
        return path;
    }
    const struct pr_value *v = pr_rule_value(f->record, path, &scratch);
    return v && v->kind == PR_VALUE_STRING ? v->u.s : PR_SPAN("");
}

static enum pr_render_status put_money(struct filler *f, const struct spot *spot, const struct pr_param *param,
                                       const struct pr_value *v, struct pr_span *text) {
    char money[PR_MONEY_TEXT];
    int64_t amount;
    if (!amount_of(v, &amount)) {
        return fail(f, spot, PR_RENDER_BAD_PARAMETER, "%.*s is no amount below 10^12 in main units, such as 101.81",
                    shown(param->path), param->path.p);
    }
    struct pr_span currency = currency_of(f, param->currency_path);
    if (currency.n == 0) { /* as if the value itself were missing: `default` steps in */
        return PR_RENDER_OK;
    }
    size_t n = pr_locale_money(locale_of(f), amount, currency, money);
    if (n == 0) {
        return fail(f, spot, PR_RENDER_BAD_PARAMETER, "%.*s is no currency code of three letters",
                    shown(param->currency_path), param->currency_path.p);
    }
    *text = pr_arena_copy(f->arena, pr_span_make(money, n));
    return text->p ? PR_RENDER_OK : no_memory(f, spot);
}

static enum pr_date_style long_style(const struct filler *f, const struct pr_date *date) {
    struct pr_date event;
    if (f->record->time_us == PR_TIME_NONE || !pr_date_of_time(f->record->time_us, &event)) {
        return PR_DATE_LONG;
    }
    int64_t apart = pr_date_days(date) - pr_date_days(&event);
    return apart >= -DAYS_WITHOUT_YEAR && apart <= DAYS_WITHOUT_YEAR ? PR_DATE_LONG_NO_YEAR : PR_DATE_LONG;
}

static enum pr_render_status put_date(struct filler *f, const struct spot *spot, const struct pr_param *param,
                                      const struct pr_value *v, struct pr_span *text) {
    char shape[PR_DATE_TEXT];
    struct pr_date date;
    bool ok = (v->kind == PR_VALUE_TIME && pr_date_of_time(v->u.i, &date)) ||
              (v->kind == PR_VALUE_STRING && pr_date_parse(v->u.s, &date));
    if (!ok) {
        return fail(f, spot, PR_RENDER_BAD_PARAMETER, "%.*s is no date: YYYY-MM-DD or RFC 3339", shown(param->path),
                    param->path.p);
    }
    enum pr_date_style style = param->format == PR_FORMAT_DATE_SHORT ? PR_DATE_SHORT : long_style(f, &date);
    size_t n = pr_locale_date(locale_of(f), &date, style, shape);
    *text = pr_arena_copy(f->arena, pr_span_make(shape, n));
    return text->p ? PR_RENDER_OK : no_memory(f, spot);
}

/* What stands at the path, a string as one line. NULL when there is nothing to show. */
static const struct pr_value *find_value(struct filler *f, const struct pr_param *param, struct pr_value *scratch) {
    const struct pr_value *v = pr_rule_value(f->record, param->path, scratch);
    if (!v || v->kind == PR_VALUE_ARRAY || v->kind == PR_VALUE_MAP) {
        return NULL;
    }
    if (v->kind != PR_VALUE_STRING) {
        return v;
    }
    *scratch = (struct pr_value){.kind = PR_VALUE_STRING, .u.s = pr_text_line(v->u.s, f->arena)};
    return scratch->u.s.n > 0 ? scratch : NULL;
}

/* The value as text; OK with an empty text when there is none to show. */
static enum pr_render_status put_value(struct filler *f, const struct spot *spot, const struct pr_param *param,
                                       struct pr_span *text) {
    struct pr_value scratch;
    const struct pr_value *v = find_value(f, param, &scratch);
    *text = (struct pr_span){NULL, 0};
    if (!v) {
        return f->arena->failed ? no_memory(f, spot) : PR_RENDER_OK;
    }
    switch (param->format) {
    case PR_FORMAT_MONEY: return put_money(f, spot, param, v, text);
    case PR_FORMAT_DATE_SHORT:
    case PR_FORMAT_DATE_LONG: return put_date(f, spot, param, v, text);
    case PR_FORMAT_PLAIN: break;
    }
    return pr_value_text(v, f->arena, text) ? PR_RENDER_OK : no_memory(f, spot); /* only scalars come here */
}

/* One parameter: its value, else its default; cut to its own limit. */
static enum pr_render_status put_param(struct filler *f, const struct spot *spot, const struct pr_param *param,
                                       struct pr_span *text) {
    if (!param || !param->path.p) {
        return fail(f, spot, PR_RENDER_MISSING_PARAMETER, "rule %.*s does not fill it", shown(f->rule->name),
                    f->rule->name.p);
    }
    enum pr_render_status status = put_value(f, spot, param, text);
    if (status != PR_RENDER_OK) {
        return status;
    }
    if (text->n == 0) {
        *text = param->fallback;
    }
    if (text->n == 0) {
        return fail(f, spot, PR_RENDER_MISSING_PARAMETER, "%.*s%s%.*s has nothing to show, and there is no default",
                    shown(param->path), param->path.p, param->currency_path.p ? " or " : "",
                    shown(param->currency_path), param->currency_path.p ? param->currency_path.p : "");
    }
    if (param->max > 0 && text->n > param->max) { /* no more bytes than `max` are no more characters */
        *text = pr_text_cut(*text, param->max);
    }
    return PR_RENDER_OK;
}

/* Characters, counted only where the bytes leave room for doubt. */
static size_t chars_if_over(struct pr_span s, size_t max) {
    return s.n <= max ? s.n : pr_utf8_count(s);
}

static enum pr_render_status fill_header_text(struct filler *f) {
    const struct pr_template *tpl = f->tpl;
    struct spot spot = {"header", PR_SPAN("text")};
    struct pr_span *text = &f->out->header_text;
    enum pr_render_status status = put_param(f, &spot, &f->rule->header.text, text);
    if (status != PR_RENDER_OK) {
        return status;
    }
    size_t chars = tpl->header.literal_chars + chars_if_over(*text, PR_TEMPLATE_HEADER_MAX - tpl->header.literal_chars);
    return chars > PR_TEMPLATE_HEADER_MAX ? over(f, &spot, chars, PR_TEMPLATE_HEADER_MAX) : PR_RENDER_OK;
}

/* A host as DNS has it, with a port perhaps: what had to be percent-encoded there cannot be looked up. */
static bool is_link(struct pr_span link) {
    struct pr_span rest = pr_span_skip(link, pr_url_scheme(link));
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?' && rest.p[n] != '#') {
        n++;
    }
    return pr_url_scheme(link) > 0 && n > 0 && !memchr(rest.p, '%', n);
}

static enum pr_render_status fill_header_link(struct filler *f) {
    struct spot spot = {"header", PR_SPAN("link")};
    struct pr_span *link = &f->out->header_link;
    enum pr_render_status status = put_param(f, &spot, &f->rule->header.link, link);
    if (status != PR_RENDER_OK) {
        return status;
    }
    *link = pr_text_url(*link, f->arena);
    if (!link->p) {
        return no_memory(f, &spot);
    }
    if (!is_link(*link)) {
        struct pr_span path = f->rule->header.link.path;
        return fail(f, &spot, PR_RENDER_BAD_PARAMETER, "%.*s is no address with https:// or http:// and a host",
                    shown(path), path.p);
    }
    return link->n > PR_TEMPLATE_URL_MAX ? over(f, &spot, link->n, PR_TEMPLATE_URL_MAX) : PR_RENDER_OK;
}

static enum pr_render_status fill_header_filename(struct filler *f) {
    struct spot spot = {"header", PR_SPAN("filename")};
    struct pr_span *filename = &f->out->header_filename;
    if (!f->rule->header.filename.path.p) {
        return PR_RENDER_OK;
    }
    enum pr_render_status status = put_param(f, &spot, &f->rule->header.filename, filename);
    if (status != PR_RENDER_OK) {
        return status;
    }
    size_t chars = chars_if_over(*filename, PR_TEMPLATE_FILENAME_MAX);
    return chars > PR_TEMPLATE_FILENAME_MAX ? over(f, &spot, chars, PR_TEMPLATE_FILENAME_MAX) : PR_RENDER_OK;
}

static enum pr_render_status fill_header(struct filler *f) {
    enum pr_render_status status = PR_RENDER_OK;
    switch (f->tpl->header_format) {
    case PR_HEADER_TEXT: return f->tpl->header.holes > 0 ? fill_header_text(f) : PR_RENDER_OK;
    case PR_HEADER_IMAGE: return fill_header_link(f);
    case PR_HEADER_DOCUMENT:
        status = fill_header_link(f);
        return status == PR_RENDER_OK ? fill_header_filename(f) : status;
    case PR_HEADER_NONE: break;
    }
    return PR_RENDER_OK;
}

static enum pr_render_status fill_body(struct filler *f) {
    const struct pr_template *tpl = f->tpl;
    const struct pr_pattern *body = &tpl->body;
    size_t bound = body->literal_chars; /* of the characters: no text has more of them than bytes */
    for (uint16_t i = 0; i < tpl->params_n; i++) {
        struct spot spot = {"body", tpl->params[i]};
        enum pr_render_status status =
            put_param(f, &spot, pr_rule_body_param(f->rule, tpl->params[i], i), &f->out->body[i]);
        if (status != PR_RENDER_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < body->holes; i++) {
        bound += f->out->body[body->param[i]].n;
    }
    if (bound <= PR_TEMPLATE_BODY_MAX) { /* nearly always */
        return PR_RENDER_OK;
    }
    size_t chars = body->literal_chars;
    for (uint32_t i = 0; i < body->holes; i++) {
        chars += pr_utf8_count(f->out->body[body->param[i]]);
    }
    struct spot whole = {"body", PR_SPAN("")};
    return chars > PR_TEMPLATE_BODY_MAX ? over(f, &whole, chars, PR_TEMPLATE_BODY_MAX) : PR_RENDER_OK;
}

static enum pr_render_status check_button(struct filler *f, const struct spot *spot, const struct pr_button *button,
                                          struct pr_span *value) {
    if (button->kind == PR_BUTTON_QUICK_REPLY) {
        size_t chars = chars_if_over(*value, PR_TEMPLATE_PAYLOAD_MAX);
        return chars > PR_TEMPLATE_PAYLOAD_MAX ? over(f, spot, chars, PR_TEMPLATE_PAYLOAD_MAX) : PR_RENDER_OK;
    }
    *value = pr_text_url(*value, f->arena);
    if (!value->p) {
        return no_memory(f, spot);
    }
    size_t chars = button->url.literal_chars + value->n; /* encoded: a byte a character */
    return chars > PR_TEMPLATE_URL_MAX ? over(f, spot, chars, PR_TEMPLATE_URL_MAX) : PR_RENDER_OK;
}

static enum pr_render_status fill_buttons(struct filler *f) {
    for (uint16_t i = 0; i < f->tpl->buttons_n; i++) {
        const struct pr_button *button = &f->tpl->buttons[i];
        const struct pr_rule_button *given = pr_rule_button_at(f->rule, i);
        if (!button->json_start.p || (!given && button->kind == PR_BUTTON_QUICK_REPLY)) {
            continue;
        }
        char index = (char)('0' + i);
        struct spot spot = {"buttons", {&index, 1}};
        enum pr_render_status status = put_param(f, &spot, given ? &given->value : NULL, &f->out->buttons[i]);
        if (status == PR_RENDER_OK) {
            status = check_button(f, &spot, button, &f->out->buttons[i]);
        }
        if (status != PR_RENDER_OK) {
            return status;
        }
    }
    return PR_RENDER_OK;
}

enum pr_render_status pr_render_fill(const struct pr_template *tpl, const struct pr_rule *rule,
                                     const struct pr_record *record, struct pr_span locale, struct pr_arena *arena,
                                     struct pr_filled *out, struct pr_render_fault *fault) {
    struct filler f = {tpl, rule, record, locale, NULL, arena, out, fault};
    *out = (struct pr_filled){
        .body = pr_arena_calloc(arena, tpl->params_n, sizeof(struct pr_span)),
        .buttons = pr_arena_calloc(arena, tpl->buttons_n, sizeof(struct pr_span)),
    };
    if (!out->body || !out->buttons) {
        return no_memory(&f, &(struct spot){"body", PR_SPAN("")});
    }
    enum pr_render_status status = fill_header(&f);
    status = status == PR_RENDER_OK ? fill_body(&f) : status;
    return status == PR_RENDER_OK ? fill_buttons(&f) : status;
}
