/* Tests rendering: the exact bytes of requests, how values become text, and a status at each limit. */
#include "core/render.h"

#include "arena_fixture.h"

#include <jansson.h>

#define NBSP "\xc2\xa0"

static struct pr_buf buf;
static struct pr_template tpl;
static struct pr_rule rule;
static struct pr_record record;
static struct pr_filled filled;
static struct pr_render_fault fault;

static int set_up(void **state) {
    (void)state;
    pr_arena_init(&arena, 4U * 1024 * 1024);
    pr_buf_init(&buf, 1024 * 1024);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pr_buf_free(&buf);
    pr_arena_free(&arena);
    return 0;
}

static void take_template(const char *json) {
    struct pr_template_fault at;
    if (!pr_template_compile(pr_span_of(json), &arena, &tpl, &at)) {
        fail_msg("%s: %s\n%s", at.path, at.text, json);
    }
}

static void take_rule(const char *keys) {
    struct pr_template_fault at;
    char json[4096];
    (void)snprintf(json, sizeof(json), "{\"name\":\"r\",\"on\":\"a\",\"template\":\"t\"%s%s}", keys[0] ? "," : "", keys);
    if (!pr_rule_compile(pr_span_of(json), &arena, &rule, &at)) {
        fail_msg("%s: %s\n%s", at.path, at.text, json);
    }
}

/* An event of 2026-11-20 with `data`. */
static void take_event(const char *data) {
    struct pr_record_fault at;
    static char json[70000];
    (void)snprintf(
        json, sizeof(json),
        "{\"specversion\":\"1.0\",\"id\":\"i-1\",\"source\":\"/s\",\"type\":\"a\",\"time\":\"2026-11-20T12:00:00Z\","
        "\"subject\":\"1001\",\"to\":\"+5511999990000\",\"data\":{%s}}",
        data);
    struct pr_record_input in = {.value = pr_span_of(json)};
    if (pr_record_decode(&in, &arena, &record, &at) != PR_RECORD_OK) {
        fail_msg("%s: %s\n%s", at.field, at.text, json);
    }
}

static enum pr_render_status fill(const char *locale) {
    memset(&fault, 0, sizeof(fault));
    return pr_render_fill(&tpl, &rule, &record, pr_span_of(locale), &arena, &filled, &fault);
}

static void must_fill(void) {
    enum pr_render_status status = fill("pt_BR");
    if (status != PR_RENDER_OK) {
        fail_msg("%s at %s: %s", pr_render_status_name(status), fault.param, fault.text);
    }
}

static void must_not_fill(enum pr_render_status want, const char *param) {
    enum pr_render_status status = fill("pt_BR");
    if (status != want || strcmp(fault.param, param) != 0 || fault.text[0] == '\0') {
        fail_msg("%s at \"%s\": %s", pr_render_status_name(status), fault.param, fault.text);
    }
}

static const char *body_for(const char *to, const char *callback) {
    struct pr_address address;
    assert_true(pr_address_parse(pr_span_of(to), &address));
    pr_buf_reset(&buf);
    pr_render_body(&tpl, &filled, &address, pr_span_of(callback), &buf);
    assert_false(buf.failed);
    return pr_buf_text(&buf);
}

#define HEAD "{\"name\":\"order_confirmation\",\"language\":\"pt_BR\",\"category\":\"UTILITY\",\"status\":\"APPROVED\","
#define ONE HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"{{1}}\"}]}"
#define ORDER                                                                                           \
    HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"DOCUMENT\"},{\"type\":\"BODY\",\"text\":"   \
         "\"Oi {{1}}, seu pedido {{2}} de {{3}} foi confirmado. Entrega até {{4}}.\"},"                \
         "{\"type\":\"FOOTER\",\"text\":\"Loja Aurora\"},"                                              \
         "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"URL\",\"text\":\"Acompanhar pedido\",\"url\":" \
         "\"https://loja.example/p/{{1}}\"},{\"type\":\"QUICK_REPLY\",\"text\":\"Ajuda\"},"             \
         "{\"type\":\"PHONE_NUMBER\",\"text\":\"Ligar\",\"phone_number\":\"+551140028922\"}]}]}"
#define ORDER_RULE                                                                                                \
    "\"header\":{\"document\":{\"link\":\"data.invoice.url\",\"filename\":\"data.invoice.name\"}},"               \
    "\"body\":[{\"path\":\"data.customer.first_name\",\"default\":\"cliente\",\"max\":20},\"data.order.number\"," \
    "{\"path\":\"data.order.total\",\"money\":\"data.order.currency\"},"                                          \
    "{\"path\":\"data.order.estimated_delivery\",\"date\":\"long\",\"default\":\"breve\"}],"                      \
    "\"buttons\":{\"0\":\"data.order.number\",\"1\":\"id\"}"
#define ORDER_DATA                                                            \
    "\"invoice\":{\"url\":\"https://loja.example/nf/1.pdf\",\"name\":\"Nota " \
    "\\\"1\\\".pdf\"},\"customer\":{\"first_name\":\"Ana\"},"                 \
    "\"order\":{\"number\":\"1001\",\"total\":101.81,\"currency\":\"BRL\",\"estimated_delivery\":\"2026-11-30\"}"

static void take_order(void) {
    take_template(ORDER);
    take_rule(ORDER_RULE);
    take_event(ORDER_DATA);
    struct pr_template_fault at;
    assert_true(pr_rule_fits(&rule, &tpl, &at));
}

static void a_request_has_the_platforms_shape_to_the_byte(void **state) {
    (void)state;
    take_order();
    must_fill();
    assert_string_equal(
        body_for("+5511999990000", "p1.abc"),
        "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"to\":\"+5511999990000\",\"type\":"
        "\"template\","
        "\"template\":{\"name\":\"order_confirmation\",\"language\":{\"code\":\"pt_BR\"},\"components\":["
        "{\"type\":\"header\",\"parameters\":[{\"type\":\"document\",\"document\":{\"link\":\"https://loja.example/nf/"
        "1.pdf\","
        "\"filename\":\"Nota \\\"1\\\".pdf\"}}]},"
        "{\"type\":\"body\",\"parameters\":[{\"type\":\"text\",\"text\":\"Ana\"},{\"type\":\"text\",\"text\":\"1001\"},"
        "{\"type\":\"text\",\"text\":\"R$" NBSP "101,81\"},{\"type\":\"text\",\"text\":\"30 de novembro\"}]},"
        "{\"type\":\"button\",\"sub_type\":\"url\",\"index\":\"0\",\"parameters\":[{\"type\":\"text\",\"text\":"
        "\"1001\"}]},"
        "{\"type\":\"button\",\"sub_type\":\"quick_reply\",\"index\":\"1\",\"parameters\":[{\"type\":\"payload\","
        "\"payload\":\"i-1\"}]}]},"
        "\"biz_opaque_callback_data\":\"p1.abc\"}");
}

static void a_named_template_names_its_parameters(void **state) {
    (void)state;
    take_template(HEAD "\"parameter_format\":\"NAMED\",\"components\":[{\"type\":\"HEADER\",\"format\":\"TEXT\","
                       "\"text\":\"Pedido {{number}}\"},"
                       "{\"type\":\"BODY\",\"text\":\"{{first_name}}: {{items}}, {{first_name}}\"}]}");
    take_rule("\"header\":{\"text\":\"subject\"},\"body\":{\"items\":\"data.items\",\"first_name\":\"data.name\"}");
    take_event("\"items\":3,\"name\":\"Ana\"");
    must_fill();
    assert_string_equal(
        body_for("US.13491208655302741918", ""),
        "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"recipient\":\"US."
        "13491208655302741918\",\"type\":\"template\","
        "\"template\":{\"name\":\"order_confirmation\",\"language\":{\"code\":\"pt_BR\"},\"components\":["
        "{\"type\":\"header\",\"parameters\":[{\"type\":\"text\",\"parameter_name\":\"number\",\"text\":\"1001\"}]},"
        "{\"type\":\"body\",\"parameters\":[{\"type\":\"text\",\"parameter_name\":\"first_name\",\"text\":\"Ana\"},"
        "{\"type\":\"text\",\"parameter_name\":\"items\",\"text\":\"3\"}]}]}}");
}

static void a_template_without_values_has_no_components(void **state) {
    (void)state;
    take_template(HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"Oi\"},{\"type\":\"BODY\","
                       "\"text\":\"Até logo\"},"
                       "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"QUICK_REPLY\",\"text\":\"Ok\"},"
                       "{\"type\":\"URL\",\"text\":\"Loja\",\"url\":\"https://loja.example\"}]}]}");
    take_rule("");
    take_event("");
    must_fill();
    assert_string_equal(body_for("+5511999990000", ""),
                        "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"to\":\"+"
                        "5511999990000\",\"type\":\"template\","
                        "\"template\":{\"name\":\"order_confirmation\",\"language\":{\"code\":\"pt_BR\"}}}");
}

static void an_image_header_and_a_lone_button_stand_for_themselves(void **state) {
    (void)state;
    take_template(HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"IMAGE\"},{\"type\":\"BODY\",\"text\":\"Oi\"},"
                       "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"QUICK_REPLY\",\"text\":\"Ok\"},"
                       "{\"type\":\"URL\",\"text\":\"Loja\",\"url\":\"https://loja.example/{{1}}\"}]}]}");
    take_rule("\"header\":{\"image\":{\"link\":\"data.image\"}},\"buttons\":{\"1\":\"subject\"}");
    take_event("\"image\":\"https://loja.example/a.jpg\"");
    must_fill();
    assert_non_null(strstr(
        body_for("+5511999990000", ""),
        ",\"components\":[{\"type\":\"header\",\"parameters\":[{\"type\":\"image\",\"image\":{\"link\":"
        "\"https://loja.example/a.jpg\"}}]},{\"type\":\"button\",\"sub_type\":\"url\",\"index\":\"1\",\"parameters\":["
        "{\"type\":\"text\",\"text\":\"1001\"}]}]}}"));
}

static void whatever_a_value_holds_the_json_stays_whole(void **state) {
    (void)state;
    take_template(ONE);
    take_rule("\"body\":[\"data.a\"]");
    take_event("\"a\":\"\\\"},{\\\\ \\u0001 </script> \\ud83d\\ude00\"");
    must_fill();
    json_error_t error;
    json_t *json = json_loads(body_for("+5511999990000", "p1.\"\\"), 0, &error);
    assert_non_null(json);
    const json_t *component = json_array_get(json_object_get(json_object_get(json, "template"), "components"), 0);
    const json_t *text = json_object_get(json_array_get(json_object_get(component, "parameters"), 0), "text");
    assert_string_equal(json_string_value(text), "\"},{\\ </script> 😀");
    assert_string_equal(json_string_value(json_object_get(json, "biz_opaque_callback_data")), "p1.\"\\");
    json_decref(json);
}

static void the_preview_is_what_the_person_reads(void **state) {
    (void)state;
    take_order();
    must_fill();
    pr_render_preview(&tpl, &filled, &buf);
    assert_string_equal(pr_buf_text(&buf),
                        "[document] Nota \"1\".pdf https://loja.example/nf/1.pdf\n"
                        "Oi Ana, seu pedido 1001 de R$" NBSP "101,81 foi confirmado. Entrega até 30 de novembro.\n"
                        "Loja Aurora\n"
                        "[Acompanhar pedido] https://loja.example/p/1001\n"
                        "[Ajuda] i-1\n"
                        "[Ligar] +551140028922\n");
}

static void a_preview_without_values_is_the_template(void **state) {
    (void)state;
    take_template(HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"Oi\"},{\"type\":\"BODY\","
                       "\"text\":\"Até logo\"},"
                       "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"QUICK_REPLY\",\"text\":\"Ok\"},"
                       "{\"type\":\"URL\",\"text\":\"Loja\",\"url\":\"https://loja.example\"}]}]}");
    take_rule("");
    take_event("");
    must_fill();
    pr_render_preview(&tpl, &filled, &buf);
    assert_string_equal(pr_buf_text(&buf), "Oi\nAté logo\n[Ok]\n[Loja] https://loja.example\n");
}

/* One parameter under `keys` beside its path, shown for `data`. */
static void check_value(const char *keys, const char *data, const char *want) {
    char json[512];
    take_template(ONE);
    (void)snprintf(json, sizeof(json), "\"body\":[{\"path\":\"data.a\"%s%s}]", keys[0] ? "," : "", keys);
    take_rule(json);
    take_event(data);
    must_fill();
    assert_span(filled.body[0], want);
}

static void check_refused(const char *keys, const char *data, enum pr_render_status want) {
    char json[512];
    take_template(ONE);
    (void)snprintf(json, sizeof(json), "\"body\":[{\"path\":\"data.a\"%s%s}]", keys[0] ? "," : "", keys);
    take_rule(json);
    take_event(data);
    must_not_fill(want, "body.1");
}

static void scalars_are_shown_plainly(void **state) {
    (void)state;
    check_value("", "\"a\":\"Ana\"", "Ana");
    check_value("", "\"a\":1001", "1001");
    check_value("", "\"a\":-2.5", "-2.5");
    check_value("", "\"a\":true", "true");
    check_value("", "\"a\":\" Rua A,\\n\\t 12     fundos \"", "Rua A, 12 fundos");
}

static void what_has_nothing_to_show_is_missing_or_its_default(void **state) {
    (void)state;
    static const char *const nothing[] = {"",         "\"a\":null", "\"a\":\"\"", "\"a\":\" \\n\\t\"",
                                          "\"a\":{}", "\"a\":[1]",  "\"b\":1"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        check_refused("", nothing[i], PR_RENDER_MISSING_PARAMETER);
        check_value("\"default\":\"cliente\"", nothing[i], "cliente");
        check_refused("\"money\":\"BRL\"", nothing[i], PR_RENDER_MISSING_PARAMETER);
        check_value("\"date\":\"long\",\"default\":\"breve\"", nothing[i], "breve");
    }
}

static void max_cuts_characters(void **state) {
    (void)state;
    check_value("\"max\":4", "\"a\":\"João Carlos\"", "João");
    check_value("\"max\":5", "\"a\":\"João Carlos\"", "João");
    check_value("\"max\":11", "\"a\":\"João Carlos\"", "João Carlos");
    check_value("\"max\":2", "\"a\":12345", "12");
}

static void money_takes_numbers_and_decimal_strings(void **state) {
    (void)state;
    check_value("\"money\":\"BRL\"", "\"a\":101.81", "R$" NBSP "101,81");
    check_value("\"money\":\"BRL\"", "\"a\":101", "R$" NBSP "101,00");
    check_value("\"money\":\"BRL\"", "\"a\":\" 101.8 \"", "R$" NBSP "101,80");
    check_value("\"money\":\"data.c\"", "\"a\":1234.5,\"c\":\"usd\"", "US$" NBSP "1.234,50");
}

static void money_that_is_none_is_bad_even_with_a_default(void **state) {
    (void)state;
    static const char *const bad[] = {"\"a\":\"101,81\"", "\"a\":\"R$ 5\"", "\"a\":true", "\"a\":1e12",
                                      "\"a\":1000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_refused("\"money\":\"BRL\",\"default\":\"x\"", bad[i], PR_RENDER_BAD_PARAMETER);
    }
    check_refused("\"money\":\"data.c\"", "\"a\":1,\"c\":\"R$\"", PR_RENDER_BAD_PARAMETER);
    check_refused("\"money\":\"data.c\"", "\"a\":1,\"c\":\"reais\"", PR_RENDER_BAD_PARAMETER);
}

static void money_without_its_currency_is_missing(void **state) {
    (void)state;
    check_refused("\"money\":\"data.c\"", "\"a\":1", PR_RENDER_MISSING_PARAMETER);
    check_refused("\"money\":\"data.c\"", "\"a\":1,\"c\":986", PR_RENDER_MISSING_PARAMETER);
    check_value("\"money\":\"data.c\",\"default\":\"o total\"", "\"a\":1", "o total");
}

static void a_long_date_names_the_year_only_when_it_is_far(void **state) {
    (void)state; /* the event is of 2026-11-20 */
    check_value("\"date\":\"long\"", "\"a\":\"2026-11-30\"", "30 de novembro");
    check_value("\"date\":\"long\"", "\"a\":\"2027-01-03T08:00:00-03:00\"", "3 de janeiro");
    check_value("\"date\":\"long\"", "\"a\":\"2027-05-21\"", "21 de maio");
    check_value("\"date\":\"long\"", "\"a\":\"2027-05-22\"", "22 de maio de 2027");
    check_value("\"date\":\"long\"", "\"a\":\"2026-05-22\"", "22 de maio");
    check_value("\"date\":\"long\"", "\"a\":\"2026-05-21\"", "21 de maio de 2026");
    check_value("\"date\":\"short\"", "\"a\":\"2026-11-30\"", "30/11/2026");
}

static void a_long_date_names_the_year_when_the_event_has_no_time(void **state) {
    (void)state;
    take_template(ONE);
    take_rule("\"body\":[{\"path\":\"data.a\",\"date\":\"long\"}]");
    take_event("\"a\":\"2026-11-30\"");
    record.time_us = INT64_MIN;
    must_fill();
    assert_span(filled.body[0], "30 de novembro de 2026");
}

static void the_events_own_time_may_be_shown(void **state) {
    (void)state;
    take_template(ONE);
    take_rule("\"body\":[{\"path\":\"time\",\"date\":\"short\"}]");
    take_event("");
    must_fill();
    assert_span(filled.body[0], "20/11/2026");
}

static void a_date_that_is_none_is_bad(void **state) {
    (void)state;
    static const char *const bad[] = {"\"a\":\"30/11/2026\"", "\"a\":\"2026-02-29\"", "\"a\":1796083200",
                                      "\"a\":\"soon\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_refused("\"date\":\"long\",\"default\":\"breve\"", bad[i], PR_RENDER_BAD_PARAMETER);
    }
}

static void the_locale_is_the_recipients(void **state) {
    (void)state;
    take_template(ONE);
    take_rule("\"body\":[{\"path\":\"data.a\",\"money\":\"BRL\"}]");
    take_event("\"a\":101.81");
    assert_int_equal(fill("en_US"), PR_RENDER_OK);
    assert_span(filled.body[0], "R$101.81");
    assert_int_equal(fill(""), PR_RENDER_OK);
    assert_span(filled.body[0], "BRL" NBSP "101.81");
}

static const char *repeat(char c, size_t n) {
    static char text[4096];
    assert_true(n < sizeof(text));
    memset(text, c, n);
    text[n] = '\0';
    return text;
}

static void check_length(const char *template_json, const char *rule_keys, size_t fits, const char *param) {
    static char data[8192];
    take_template(template_json);
    take_rule(rule_keys);
    (void)snprintf(data, sizeof(data), "\"link\":\"https://a.example\",\"a\":\"%s\"", repeat('x', fits));
    take_event(data);
    must_fill();
    (void)snprintf(data, sizeof(data), "\"link\":\"https://a.example\",\"a\":\"%s\"", repeat('x', fits + 1));
    take_event(data);
    must_not_fill(PR_RENDER_TOO_LONG, param);
}

static void each_limit_holds_after_filling_in(void **state) {
    (void)state;
    check_length(ONE, "\"body\":[\"data.a\"]", 1024, "body");
    check_length(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"é{{1}}ã{{1}}\"}]}", "\"body\":[\"data.a\"]", 511,
                 "body");
    check_length(HEAD "\"components\":[{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"Olá "
                      "{{1}}\"},{\"type\":\"BODY\",\"text\":\"Oi\"}]}",
                 "\"header\":{\"text\":\"data.a\"}", 56, "header.text");
    check_length(HEAD
                 "\"components\":[{\"type\":\"HEADER\",\"format\":\"DOCUMENT\"},{\"type\":\"BODY\",\"text\":\"Oi\"}]}",
                 "\"header\":{\"document\":{\"link\":\"data.link\",\"filename\":\"data.a\"}}", 240, "header.filename");
    check_length(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"},{\"type\":\"BUTTONS\",\"buttons\":["
                      "{\"type\":\"URL\",\"text\":\"a\",\"url\":\"https://a.example/{{1}}\"}]}]}",
                 "\"buttons\":{\"0\":\"data.a\"}", 2000 - 18, "buttons.0");
    check_length(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"},{\"type\":\"BUTTONS\",\"buttons\":["
                      "{\"type\":\"URL\",\"text\":\"a\",\"url\":\"https://a.example/"
                      "\"},{\"type\":\"QUICK_REPLY\",\"text\":\"a\"}]}]}",
                 "\"buttons\":{\"1\":\"data.a\"}", 256, "buttons.1");
}

static void limits_count_characters_and_not_bytes(void **state) {
    (void)state;
    static char data[8192];
    size_t n = (size_t)snprintf(data, sizeof(data), "\"a\":\"");
    for (int i = 0; i < 1024; i++) {
        n += (size_t)snprintf(data + n, sizeof(data) - n, "é");
    }
    (void)snprintf(data + n, sizeof(data) - n, "\"");
    take_template(ONE);
    take_rule("\"body\":[\"data.a\"]");
    take_event(data);
    must_fill();
    (void)snprintf(data + n, sizeof(data) - n, "é\"");
    take_event(data);
    must_not_fill(PR_RENDER_TOO_LONG, "body");
}

static void check_link(const char *link, const char *want) {
    char data[8256];
    take_template(HEAD
                  "\"components\":[{\"type\":\"HEADER\",\"format\":\"IMAGE\"},{\"type\":\"BODY\",\"text\":\"Oi\"}]}");
    take_rule("\"header\":{\"image\":{\"link\":\"data.a\"}}");
    (void)snprintf(data, sizeof(data), "\"a\":\"%s\"", link);
    take_event(data);
    if (want) {
        must_fill();
        assert_span(filled.header_link, want);
    } else {
        must_not_fill(PR_RENDER_BAD_PARAMETER, "header.link");
        assert_null(strstr(fault.text, ".example")); /* values stay out of logs */
    }
}

static void a_link_is_http_with_a_host(void **state) {
    (void)state;
    check_link("https://a.example/x?y=z#w", "https://a.example/x?y=z#w");
    check_link("http://a.example", "http://a.example");
    check_link("HTTPS://a.example:8443/", "HTTPS://a.example:8443/");
    check_link(" https://a.example/nota fiscal é.pdf ", "https://a.example/nota%20fiscal%20%C3%A9.pdf");
    check_link("ftp://a.example/x", NULL);
    check_link("//a.example/x", NULL);
    check_link("https://", NULL);
    check_link("https:///x", NULL);
    check_link("https://?x", NULL);
    check_link("https://caf\xc3\xa9.example/x", NULL);
    check_link("https://a b.example/x", NULL);
    check_link("javascript:alert(1)", NULL);
    take_event("\"b\":1");
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "header.link");
}

static void a_link_has_at_most_2000_characters(void **state) {
    (void)state;
    char link[8192];
    (void)snprintf(link, sizeof(link), "https://a.example/%s", repeat('x', 2000 - 18));
    check_link(link, link);
    char data[8256];
    (void)snprintf(data, sizeof(data), "\"a\":\"%sx\"", link);
    take_event(data);
    must_not_fill(PR_RENDER_TOO_LONG, "header.link");
}

static void a_url_suffix_is_percent_encoded_before_it_is_measured(void **state) {
    (void)state;
    take_template(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"},{\"type\":\"BUTTONS\",\"buttons\":["
                       "{\"type\":\"URL\",\"text\":\"a\",\"url\":\"https://a.example/{{1}}\"}]}]}");
    take_rule("\"buttons\":{\"0\":\"data.a\"}");
    take_event("\"a\":\"pedido 7/é?x=1&y=%2F\"");
    must_fill();
    assert_span(filled.buttons[0], "pedido%207/%C3%A9?x=1&y=%2F");
    char data[1024] = "\"a\":\"";
    for (int i = 0; i < 331; i++) {
        memcpy(data + 5 + (size_t)i * 2, "é", 2);
    }
    memcpy(data + 5 + 662, "\"", 2);
    take_event(data);
    must_not_fill(PR_RENDER_TOO_LONG, "buttons.0"); /* 331 letters are 1,986 bytes when encoded, and 18 stand before */
}

static void a_rule_that_no_longer_fits_is_a_refusal_and_not_a_crash(void **state) {
    (void)state;
    take_template(ORDER);
    take_rule("");
    take_event(ORDER_DATA);
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "header.link");
    take_rule("\"header\":{\"text\":\"id\"}");
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "header.link");
    take_rule("\"header\":{\"document\":{\"link\":\"data.invoice.url\"}},\"body\":{\"x\":\"id\"}");
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "body.1");
    take_rule(
        "\"header\":{\"document\":{\"link\":\"data.invoice.url\"}},\"body\":[\"id\",\"id\",\"id\",\"id\",\"id\"]");
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "buttons.0");
    take_rule("\"header\":{\"document\":{\"link\":\"data.invoice.url\"}},\"body\":[\"id\",\"id\",\"id\",\"id\",\"id\"],"
              "\"buttons\":{\"0\":\"id\",\"2\":\"id\",\"9\":\"id\"}");
    must_fill();
    assert_null(filled.buttons[2].p);
}

static void a_file_name_that_is_asked_for_is_required(void **state) {
    (void)state;
    take_order();
    take_event("\"invoice\":{\"url\":\"https://loja.example/nf/1.pdf\"}");
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "header.filename");
}

static void a_named_parameter_is_named_in_its_fault(void **state) {
    (void)state;
    take_template(HEAD
                  "\"parameter_format\":\"NAMED\",\"components\":[{\"type\":\"BODY\",\"text\":\"{{first_name}}\"}]}");
    take_rule("\"body\":{\"first_name\":\"data.a\"}");
    take_event("");
    must_not_fill(PR_RENDER_MISSING_PARAMETER, "body.first_name");
    assert_non_null(strstr(fault.text, "data.a"));
}

static void what_is_shown_as_it_is_is_not_copied(void **state) {
    (void)state;
    take_template(ONE);
    take_rule("\"body\":[\"data.a\"]");
    take_event("\"a\":\"Ana\"");
    must_fill();
    assert_ptr_equal(filled.body[0].p, pr_value_get(record.data, PR_SPAN("a"))->u.s.p);
}

static void a_small_arena_is_no_memory_and_not_a_crash(void **state) {
    (void)state;
    take_order();
    take_event(
        "\"invoice\":{\"url\":\"https://loja.example/nf 1.pdf\",\"name\":\"a\\nb\"},\"customer\":{\"first_name\":7},"
        "\"order\":{\"number\":\"10 01\",\"total\":101.81,\"currency\":\"BRL\",\"estimated_delivery\":\"2026-11-30\"}");
    struct pr_arena small;
    enum pr_render_status status = PR_RENDER_NO_MEMORY;
    for (size_t room = 1; status == PR_RENDER_NO_MEMORY && room < 4096; room++) {
        pr_arena_init(&small, room);
        status = pr_render_fill(&tpl, &rule, &record, PR_SPAN("pt_BR"), &small, &filled, &fault);
        pr_arena_free(&small);
    }
    assert_int_equal(status, PR_RENDER_OK);
}

static void statuses_have_the_names_of_the_report(void **state) {
    (void)state;
    assert_string_equal(pr_render_status_name(PR_RENDER_OK), "ok");
    assert_string_equal(pr_render_status_name(PR_RENDER_MISSING_PARAMETER), "missing_parameter");
    assert_string_equal(pr_render_status_name(PR_RENDER_BAD_PARAMETER), "bad_parameter");
    assert_string_equal(pr_render_status_name(PR_RENDER_TOO_LONG), "too_long");
    assert_string_equal(pr_render_status_name(PR_RENDER_NO_MEMORY), "no_memory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_has_the_platforms_shape_to_the_byte),
        TEST(a_named_template_names_its_parameters),
        TEST(a_template_without_values_has_no_components),
        TEST(an_image_header_and_a_lone_button_stand_for_themselves),
        TEST(whatever_a_value_holds_the_json_stays_whole),
        TEST(the_preview_is_what_the_person_reads),
        TEST(a_preview_without_values_is_the_template),
        TEST(scalars_are_shown_plainly),
        TEST(what_has_nothing_to_show_is_missing_or_its_default),
        TEST(max_cuts_characters),
        TEST(money_takes_numbers_and_decimal_strings),
        TEST(money_that_is_none_is_bad_even_with_a_default),
        TEST(money_without_its_currency_is_missing),
        TEST(a_long_date_names_the_year_only_when_it_is_far),
        TEST(a_long_date_names_the_year_when_the_event_has_no_time),
        TEST(the_events_own_time_may_be_shown),
        TEST(a_date_that_is_none_is_bad),
        TEST(the_locale_is_the_recipients),
        TEST(each_limit_holds_after_filling_in),
        TEST(limits_count_characters_and_not_bytes),
        TEST(a_link_is_http_with_a_host),
        TEST(a_link_has_at_most_2000_characters),
        TEST(a_url_suffix_is_percent_encoded_before_it_is_measured),
        TEST(a_rule_that_no_longer_fits_is_a_refusal_and_not_a_crash),
        TEST(a_file_name_that_is_asked_for_is_required),
        TEST(a_named_parameter_is_named_in_its_fault),
        TEST(what_is_shown_as_it_is_is_not_copied),
        TEST(a_small_arena_is_no_memory_and_not_a_crash),
        TEST(statuses_have_the_names_of_the_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
