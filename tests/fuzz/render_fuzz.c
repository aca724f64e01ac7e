/*
 * Fuzzes rendering: what is rendered parses as JSON and carries the address and each parameter unchanged, within the
 * platform's limits. Input: a byte that picks a locale and, if its highest bit is clear, a built-in template and rule;
 * else a template and a rule follow, each ended by a zero byte. The rest is a record's value.
 */
#include "base/check.h"
#include "core/render.h"
#include "core/utf8.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 8 * 1024 * 1024, BODY_MAX = 4 * 1024 * 1024 };

#define HEAD "{\"name\":\"t\",\"language\":\"pt_BR\",\"category\":\"UTILITY\",\"status\":\"APPROVED\","
#define RULE "{\"name\":\"r\",\"on\":\"a\",\"template\":\"t\","

static const struct {
    const char *tpl, *rule;
} built_in[] = {
    {HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"DOCUMENT\"},{\"type\":\"BODY\",\"text\":\"Oi {{1}}, {{2}} "
          "{{3}} {{4}}.\"},"
          "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"URL\",\"text\":\"a\",\"url\":\"https://a.example/{{1}}\"},"
          "{\"type\":\"QUICK_REPLY\",\"text\":\"b\"}]}]}",
     RULE "\"header\":{\"document\":{\"link\":{\"path\":\"data.l\",\"default\":\"https://a.example\"},"
          "\"filename\":{\"path\":\"data.f\",\"default\":\"f\"}}},"
          "\"body\":[{\"path\":\"data.a\",\"default\":\"x\",\"max\":20},\"id\",{\"path\":\"data.m\",\"money\":\"data."
          "c\",\"default\":\"m\"},"
          "{\"path\":\"data.d\",\"date\":\"long\",\"default\":\"d\"}],\"buttons\":{\"0\":\"subject\",\"1\":\"type\"}}"},
    {HEAD "\"parameter_format\":\"NAMED\",\"components\":[{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"{{h}}\"},"
          "{\"type\":\"BODY\",\"text\":\"{{a}} {{b}} {{a}}\"}]}",
     RULE "\"header\":{\"text\":{\"path\":\"data.h\",\"default\":\"h\",\"max\":60}},"
          "\"body\":{\"b\":{\"path\":\"data.d\",\"date\":\"short\",\"default\":\"d\"},\"a\":{\"path\":\"data.a\","
          "\"default\":\"a\"}}}"},
    {HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"IMAGE\"},{\"type\":\"BODY\",\"text\":\"{{1}}\"}]}",
     RULE "\"header\":{\"image\":{\"link\":\"data.l\"}},\"body\":[{\"path\":\"data.m\",\"money\":\"BRL\"}]}"},
    {HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"}]}", RULE "\"to\":\"data.to\"}"},
};

static const char *const locales[] = {"pt_BR", "pt_PT", "es_ES", "es_MX", "es_CR",
                                      "en_US", "de_DE", "fr_FR", "it_IT", "xx"};

/* Takes the bytes up to the next zero off `rest`. */
static struct pr_span take_part(struct pr_span *rest) {
    const char *end = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;
    struct pr_span part = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    *rest = pr_span_skip(*rest, part.n + 1);
    return part;
}

static void check_text(const json_t *value, struct pr_span want) {
    pr_assert(json_is_string(value));
    pr_assert(pr_span_eq(pr_span_make(json_string_value(value), json_string_length(value)), want));
}

static const json_t *first_parameter(const json_t *component, size_t i) {
    return json_array_get(json_object_get(component, "parameters"), i);
}

static void check_header(const struct pr_template *tpl, const struct pr_filled *filled, const json_t *component) {
    const json_t *parameter = first_parameter(component, 0);
    if (tpl->header_format == PR_HEADER_TEXT) {
        check_text(json_object_get(parameter, "text"), filled->header_text);
        return;
    }
    const json_t *media = json_object_get(parameter, tpl->header_format == PR_HEADER_IMAGE ? "image" : "document");
    check_text(json_object_get(media, "link"), filled->header_link);
    pr_assert(filled->header_link.n <= PR_TEMPLATE_URL_MAX);
    if (filled->header_filename.p) {
        check_text(json_object_get(media, "filename"), filled->header_filename);
    }
}

static void check_body(const struct pr_template *tpl, const struct pr_filled *filled, const json_t *component) {
    size_t chars = tpl->body.literal_chars;
    for (uint16_t i = 0; i < tpl->params_n; i++) {
        const json_t *parameter = first_parameter(component, i);
        struct pr_span text = filled->body[i];
        check_text(json_object_get(parameter, "text"), text);
        pr_assert(text.n > 0 && pr_utf8_valid(text));
        pr_assert(!memchr(text.p, '\n', text.n) && !memchr(text.p, '\t', text.n) && !memmem(text.p, text.n, "  ", 2));
        if (tpl->is_named) {
            check_text(json_object_get(parameter, "parameter_name"), tpl->params[i]);
        }
    }
    for (uint32_t i = 0; i < tpl->body.holes; i++) {
        chars += pr_utf8_count(filled->body[tpl->body.param[i]]);
    }
    pr_assert(chars <= PR_TEMPLATE_BODY_MAX);
}

static void check_components(const struct pr_template *tpl, const struct pr_filled *filled, const json_t *components) {
    size_t at = 0;
    if (tpl->json_header.p) {
        check_header(tpl, filled, json_array_get(components, at++));
    }
    if (tpl->params_n > 0) {
        check_body(tpl, filled, json_array_get(components, at++));
    }
    for (uint16_t i = 0; i < tpl->buttons_n; i++) {
        if (filled->buttons[i].p) {
            bool is_url = tpl->buttons[i].kind == PR_BUTTON_URL;
            const json_t *parameter = first_parameter(json_array_get(components, at++), 0);
            check_text(json_object_get(parameter, is_url ? "text" : "payload"), filled->buttons[i]);
        }
    }
    pr_assert(json_array_size(components) == at);
    pr_assert((components == NULL) == (at == 0));
}

static void check_request(const struct pr_template *tpl, const struct pr_filled *filled, struct pr_buf *buf) {
    struct pr_address to;
    const struct pr_span callback = PR_SPAN("p1.\"\\");
    pr_assert(pr_address_parse(PR_SPAN("+5511999990000"), &to));
    pr_render_body(tpl, filled, &to, callback, buf);
    pr_assert(!buf->failed);
    json_t *request = json_loadb(buf->p, buf->n, JSON_REJECT_DUPLICATES, NULL);
    pr_assert(request);
    check_text(json_object_get(request, "to"), PR_SPAN("+5511999990000"));
    check_text(json_object_get(request, "biz_opaque_callback_data"), callback);
    const json_t *inner = json_object_get(request, "template");
    check_text(json_object_get(inner, "name"), tpl->name);
    check_components(tpl, filled, json_object_get(inner, "components"));
    json_decref(request);
    pr_buf_reset(buf);
    pr_render_preview(tpl, filled, buf);
    pr_assert(!buf->failed && pr_utf8_valid(pr_buf_span(buf)));
}

static void render(const struct pr_template *tpl, const struct pr_rule *rule, const struct pr_record *record,
                   const char *locale, struct pr_arena *arena) {
    struct pr_filled filled;
    struct pr_render_fault fault = {"", ""};
    struct pr_buf buf;
    enum pr_render_status status = pr_render_fill(tpl, rule, record, pr_span_of(locale), arena, &filled, &fault);
    if (status != PR_RENDER_OK) {
        pr_assert(fault.param[0] != '\0' && fault.text[0] != '\0');
        pr_assert(pr_utf8_valid(pr_span_of(fault.param)) && pr_utf8_valid(pr_span_of(fault.text)));
        return;
    }
    pr_buf_init(&buf, BODY_MAX);
    check_request(tpl, &filled, &buf);
    pr_buf_free(&buf);
}

static void run(uint8_t choice, struct pr_span rest, struct pr_arena *arena) {
    struct pr_template tpl;
    struct pr_rule rule;
    struct pr_record record;
    struct pr_template_fault fault;
    struct pr_record_fault record_fault;
    size_t pair = choice % (sizeof(built_in) / sizeof(built_in[0]));
    struct pr_span tpl_json = choice & 0x80U ? take_part(&rest) : pr_span_of(built_in[pair].tpl);
    struct pr_span rule_json = choice & 0x80U ? take_part(&rest) : pr_span_of(built_in[pair].rule);
    struct pr_record_input in = {.value = rest};
    const char *locale = locales[(choice & 0x7fU) / 4 % (sizeof(locales) / sizeof(locales[0]))];
    bool ok = pr_template_compile(tpl_json, arena, &tpl, &fault) && pr_rule_compile(rule_json, arena, &rule, &fault);
    pr_assert(ok || choice & 0x80U);
    if (ok && pr_record_decode(&in, arena, &record, &record_fault) == PR_RECORD_OK) {
        render(&tpl, &rule, &record, locale, arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pr_arena arena;
    if (size == 0) {
        return 0;
    }
    pr_arena_init(&arena, ARENA_MAX);
    run(data[0], pr_span_make(data + 1, size - 1), &arena);
    pr_arena_free(&arena);
    return 0;
}
