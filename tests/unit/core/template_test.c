/* Tests the template compiler: what is taken from the Graph API's form, and a fault at each limit of the platform. */
#include "core/template.h"

#include "compile_fixture.h"

static struct pr_template tpl;

static void must_compile(const char *json) {
    memset(&fault, 0, sizeof(fault));
    if (!pr_template_compile(pr_span_of(json), &arena, &tpl, &fault)) {
        fail_msg("%s: %s\n%s", fault.path, fault.text, json);
    }
}

/* The fault must be at `path` and speak of `word`. */
static void must_fault(const char *json, const char *path, const char *word) {
    memset(&fault, 0, sizeof(fault));
    if (pr_template_compile(pr_span_of(json), &arena, &tpl, &fault)) {
        fail_msg("compiled: %s", json);
    }
    check_fault(json, path, word);
}

#define HEAD "{\"name\":\"t\",\"language\":\"pt_BR\",\"category\":\"UTILITY\",\"status\":\"APPROVED\","
#define NAMED HEAD "\"parameter_format\":\"NAMED\","
#define BODY "{\"type\":\"BODY\",\"text\":\"Oi\"}"

/* A template with `components` after a plain body. */
static const char *with(const char *components) {
    static char json[16384];
    (void)snprintf(json, sizeof(json), HEAD "\"components\":[" BODY ",%s]}", components);
    return json;
}

static const char *with_body(const char *head, const char *text) {
    static char json[16384];
    (void)snprintf(json, sizeof(json), "%s\"components\":[{\"type\":\"BODY\",\"text\":\"%s\"}]}", head, text);
    return json;
}

static const char *repeat(const char *piece, size_t times) {
    static char text[2][8192];
    static unsigned turn;
    char *out = text[turn++ % 2];
    size_t n = strlen(piece);
    assert_true(n * times < sizeof(text[0]));
    for (size_t i = 0; i < times; i++) {
        memcpy(out + i * n, piece, n);
    }
    out[n * times] = '\0';
    return out;
}

static void the_graph_apis_form_is_taken_whole(void **state) {
    (void)state;
    must_compile("{\"id\":\"123\",\"name\":\"order_confirmation\",\"language\":\"pt_BR\",\"category\":\"UTILITY\","
                 "\"status\":\"APPROVED\","
                 "\"parameter_format\":\"POSITIONAL\",\"quality_score\":{\"score\":\"GREEN\"},\"components\":["
                 "{\"type\":\"HEADER\",\"format\":\"DOCUMENT\",\"example\":{\"header_handle\":[\"x\"]}},"
                 "{\"type\":\"BODY\",\"text\":\"Oi {{1}}, seu pedido {{2}} de "
                 "{{1}}.\",\"example\":{\"body_text\":[[\"a\",\"b\"]]}},"
                 "{\"type\":\"FOOTER\",\"text\":\"Loja Aurora\"},"
                 "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"URL\",\"text\":\"Ver\",\"url\":\"https://loja.example/"
                 "p/{{1}}\"},"
                 "{\"type\":\"QUICK_REPLY\",\"text\":\"Sim\"},{\"type\":\"PHONE_NUMBER\",\"text\":\"Ligar\",\"phone_"
                 "number\":\"+551140028922\"}]}]}");
    assert_int_equal(tpl.id, 0);
    assert_span(tpl.name, "order_confirmation");
    assert_span(tpl.language, "pt_BR");
    assert_int_equal(tpl.category, PR_CATEGORY_UTILITY);
    assert_int_equal(tpl.status, PR_TEMPLATE_APPROVED);
    assert_false(tpl.is_named);
    assert_int_equal(tpl.header_format, PR_HEADER_DOCUMENT);
    assert_span(tpl.footer, "Loja Aurora");
    assert_int_equal(tpl.params_n, 2);
    assert_int_equal(tpl.body.holes, 3);
    assert_span(tpl.body.literal[0], "Oi ");
    assert_span(tpl.body.literal[3], ".");
    assert_int_equal(tpl.body.param[2], 0);
    assert_int_equal(tpl.body.literal_chars, strlen("Oi , seu pedido  de ."));
    assert_int_equal(tpl.buttons_n, 3);
    assert_int_equal(tpl.buttons[0].kind, PR_BUTTON_URL);
    assert_span(tpl.buttons[0].url.literal[0], "https://loja.example/p/");
    assert_int_equal(tpl.buttons[1].kind, PR_BUTTON_QUICK_REPLY);
    assert_int_equal(tpl.buttons[2].kind, PR_BUTTON_PHONE);
    assert_span(tpl.buttons[2].phone, "+551140028922");
}

static void words_may_be_in_any_case(void **state) {
    (void)state;
    must_compile(
        "{\"name\":\"t\",\"language\":\"en\",\"category\":\"Marketing\",\"status\":\"paused\",\"parameter_format\":"
        "\"named\","
        "\"components\":[{\"type\":\"header\",\"format\":\"image\"},{\"type\":\"body\",\"text\":\"Oi {{nome}}\"}]}");
    assert_int_equal(tpl.category, PR_CATEGORY_MARKETING);
    assert_int_equal(tpl.status, PR_TEMPLATE_PAUSED);
    assert_true(tpl.is_named);
}

static void what_is_compiled_does_not_point_into_the_file(void **state) {
    (void)state;
    char json[16384];
    (void)snprintf(json, sizeof(json), "%s", with_body(NAMED, "Oi {{nome}}"));
    must_compile(json);
    memset(json, 'x', sizeof(json));
    assert_span(tpl.params[0], "nome");
    assert_span(tpl.body.literal[0], "Oi ");
}

static void a_name_has_lowercase_digits_and_underscores(void **state) {
    (void)state;
    char json[2048];
    static const char rest[] =
        "\"language\":\"en\",\"category\":\"UTILITY\",\"status\":\"APPROVED\",\"components\":[" BODY "]}";
    (void)snprintf(json, sizeof(json), "{\"name\":\"%s\",%s", repeat("a", 512), rest);
    must_compile(json);
    (void)snprintf(json, sizeof(json), "{\"name\":\"%s\",%s", repeat("a", 513), rest);
    must_fault(json, "name", "513");
    static const char *const bad[] = {"Order", "a-b", "a b", "ação"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(json, sizeof(json), "{\"name\":\"%s\",%s", bad[i], rest);
        must_fault(json, "name", "lowercase");
    }
    (void)snprintf(json, sizeof(json), "{\"name\":\"\",%s", rest);
    must_fault(json, "name", "empty");
    (void)snprintf(json, sizeof(json), "{%s", rest);
    must_fault(json, "name", "missing");
}

static void category_and_status_are_required_and_closed(void **state) {
    (void)state;
    must_fault("{\"name\":\"t\",\"language\":\"en\",\"status\":\"APPROVED\",\"components\":[]}", "category", "missing");
    must_fault("{\"name\":\"t\",\"language\":\"en\",\"category\":\"UTILITY\",\"components\":[]}", "status", "missing");
    must_fault(
        "{\"name\":\"t\",\"language\":\"en\",\"category\":\"SERVICE\",\"status\":\"APPROVED\",\"components\":[]}",
        "category", "MARKETING");
    must_fault("{\"name\":\"t\",\"language\":\"en\",\"category\":\"OTP\",\"status\":\"APPROVED\",\"components\":[]}",
               "category", "MARKETING");
    must_compile(
        "{\"name\":\"t\",\"language\":\"en\",\"category\":\"UTILITY\",\"status\":\"IN_APPEAL\",\"components\":[" BODY
        "]}");
    assert_int_equal(tpl.status, PR_TEMPLATE_OTHER);
}

static void a_language_is_a_code(void **state) {
    (void)state;
    must_fault("{\"name\":\"t\",\"category\":\"UTILITY\",\"status\":\"APPROVED\",\"components\":[]}", "language",
               "missing");
    must_fault(
        "{\"name\":\"t\",\"language\":\"pt BR\",\"category\":\"UTILITY\",\"status\":\"APPROVED\",\"components\":[]}",
        "language", "pt_BR");
    must_fault("{\"name\":\"t\",\"language\":{\"code\":\"en\"},\"category\":\"UTILITY\",\"status\":\"APPROVED\","
               "\"components\":[]}",
               "language", "string");
}

static void a_body_is_required_once(void **state) {
    (void)state;
    must_fault(HEAD "\"components\":[]}", "components", "no BODY");
    must_fault(HEAD "\"components\":[{\"type\":\"FOOTER\",\"text\":\"x\"}]}", "components", "no BODY");
    must_fault(with(BODY), "components[1]", "second body");
    must_fault(with("{\"type\":\"FOOTER\",\"text\":\"a\"},{\"type\":\"FOOTER\",\"text\":\"b\"}"), "components[2]",
               "second footer");
    must_fault(HEAD "\"components\":{}}", "components", "array");
    must_fault("{\"name\":\"t\",\"language\":\"en\",\"category\":\"UTILITY\",\"status\":\"APPROVED\"}", "components",
               "missing");
}

static void a_body_has_at_most_1024_characters(void **state) {
    (void)state;
    must_compile(with_body(HEAD, repeat("ã", 1024)));
    assert_int_equal(tpl.body.literal_chars, 1024);
    must_fault(with_body(HEAD, repeat("ã", 1025)), "components[0].text", "1025");
    must_fault(with_body(HEAD, ""), "components[0].text", "empty");
}

static void positional_parameters_go_from_1_without_a_gap(void **state) {
    (void)state;
    must_compile(with_body(HEAD, "{{2}} {{1}}{{3}} {{2}}"));
    assert_int_equal(tpl.params_n, 3);
    assert_span(tpl.params[0], "1");
    assert_span(tpl.params[2], "3");
    assert_int_equal(tpl.body.param[0], 1);
    assert_int_equal(tpl.body.param[1], 0);
    must_fault(with_body(HEAD, "{{1}} {{3}}"), "components[0].text", "no {{2}}");
    must_fault(with_body(HEAD, "{{2}}"), "components[0].text", "no {{1}}");
    static const char *const bad[] = {"{{0}}",   "{{01}}",   "{{-1}}", "{{65}}", "{{100}}", "{{}}",
                                      "{{ 1 }}", "{{nome}}", "{{1}",   "{{",     "{{{1}}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        must_fault(with_body(HEAD, bad[i]), "components[0].text", "{{");
    }
}

static void there_may_be_64_positional_parameters(void **state) {
    (void)state;
    char text[1024] = "";
    size_t n = 0;
    for (int i = 1; i <= 64; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "{{%d}}", i);
    }
    must_compile(with_body(HEAD, text));
    assert_int_equal(tpl.params_n, 64);
    assert_span(tpl.params[63], "64");
}

static void there_may_be_64_named_parameters(void **state) {
    (void)state;
    char text[1024] = "";
    size_t n = 0;
    for (int i = 1; i <= 65; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "{{p%d}}", i);
        if (i == 64) {
            must_compile(with_body(NAMED, text));
            assert_int_equal(tpl.params_n, 64);
        }
    }
    must_fault(with_body(NAMED, text), "components[0].text", "64");
}

static void named_parameters_are_lowercase_names(void **state) {
    (void)state;
    must_compile(with_body(NAMED, "Oi {{first_name}}, {{order_2}} {{first_name}}"));
    assert_int_equal(tpl.params_n, 2);
    assert_span(tpl.params[1], "order_2");
    assert_int_equal(tpl.body.param[2], 0);
    static const char *const bad[] = {"{{First}}", "{{a b}}", "{{a-b}}", "{{1}}", "{{}}", "{{ação}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        must_fault(with_body(NAMED, bad[i]), "components[0].text", "named");
    }
}

static void a_single_brace_is_text(void **state) {
    (void)state;
    must_compile(with_body(HEAD, "{a} } }} {{1}}"));
    assert_int_equal(tpl.params_n, 1);
    assert_span(tpl.body.literal[0], "{a} } }} ");
}

static void a_parameter_format_is_one_of_two(void **state) {
    (void)state;
    must_fault(HEAD "\"parameter_format\":\"NUMBERED\",\"components\":[" BODY "]}", "parameter_format", "NUMBERED");
}

static void a_header_text_has_at_most_60_characters_and_one_parameter(void **state) {
    (void)state;
    char header[512];
    (void)snprintf(header, sizeof(header), "{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"%s\"}", repeat("é", 60));
    must_compile(with(header));
    assert_null(tpl.header_param.p);
    assert_null(tpl.json_header.p);
    (void)snprintf(header, sizeof(header), "{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"%s\"}", repeat("é", 61));
    must_fault(with(header), "components[1].text", "61");
    must_compile(with("{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"Pedido {{1}}!\"}"));
    assert_span(tpl.header_param, "1");
    must_fault(with("{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"{{1}} {{2}}\"}"), "components[1].text",
               "at most one");
    must_fault(with("{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"{{2}}\"}"), "components[1].text", "{{1}}");
    must_fault(with("{\"type\":\"HEADER\",\"format\":\"TEXT\"}"), "components[1].text", "missing");
    must_fault(with("{\"type\":\"HEADER\"}"), "components[1].format", "missing");
}

static void a_footer_has_at_most_60_characters_and_no_parameter(void **state) {
    (void)state;
    char footer[512];
    (void)snprintf(footer, sizeof(footer), "{\"type\":\"FOOTER\",\"text\":\"%s\"}", repeat("é", 60));
    must_compile(with(footer));
    (void)snprintf(footer, sizeof(footer), "{\"type\":\"FOOTER\",\"text\":\"%s\"}", repeat("é", 61));
    must_fault(with(footer), "components[1].text", "61");
    must_fault(with("{\"type\":\"FOOTER\",\"text\":\"{{1}}\"}"), "components[1].text", "parameter");
}

static void kinds_that_cannot_be_sent_are_faults_by_name(void **state) {
    (void)state;
    must_fault(with("{\"type\":\"HEADER\",\"format\":\"VIDEO\"}"), "components[1].format", "\"VIDEO\"");
    must_fault(with("{\"type\":\"HEADER\",\"format\":\"LOCATION\"}"), "components[1].format", "\"LOCATION\"");
    must_fault(with("{\"type\":\"CAROUSEL\",\"cards\":[]}"), "components[1].type", "\"CAROUSEL\"");
    must_fault(with("{\"type\":\"LIMITED_TIME_OFFER\"}"), "components[1].type", "\"LIMITED_TIME_OFFER\"");
    must_fault(with("{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"OTP\"}]}"), "components[1].buttons[0].type",
               "\"OTP\"");
    must_fault(with("{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"COPY_CODE\"}]}"), "components[1].buttons[0].type",
               "\"COPY_CODE\"");
    must_fault(with("{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"FLOW\",\"text\":\"x\"}]}"),
               "components[1].buttons[0].type", "\"FLOW\"");
    must_fault(with("7"), "components[1].type", "missing");
}

static const char *with_buttons(const char *button, size_t times) {
    static char component[8192];
    char list[4096] = "";
    size_t n = 0;
    for (size_t i = 0; i < times; i++) {
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? "," : "", button);
    }
    (void)snprintf(component, sizeof(component), "{\"type\":\"BUTTONS\",\"buttons\":[%s]}", list);
    return with(component);
}

static void there_are_1_to_10_buttons_two_urls_and_one_phone(void **state) {
    (void)state;
    static const char reply[] = "{\"type\":\"QUICK_REPLY\",\"text\":\"a\"}";
    static const char url[] = "{\"type\":\"URL\",\"text\":\"a\",\"url\":\"https://a.example\"}";
    static const char phone[] = "{\"type\":\"PHONE_NUMBER\",\"text\":\"a\",\"phone_number\":\"+5511\"}";
    must_compile(with_buttons(reply, 10));
    must_fault(with_buttons(reply, 11), "components[1].buttons", "1 to 10");
    must_fault(with_buttons(reply, 0), "components[1].buttons", "1 to 10");
    must_compile(with_buttons(url, 2));
    must_fault(with_buttons(url, 3), "components[1].buttons", "at most 2");
    must_compile(with_buttons(phone, 1));
    must_fault(with_buttons(phone, 2), "components[1].buttons", "1 with a phone");
    must_fault(with("{\"type\":\"BUTTONS\"}"), "components[1].buttons", "array");
}

static void a_button_text_has_at_most_25_characters(void **state) {
    (void)state;
    char button[256];
    (void)snprintf(button, sizeof(button), "{\"type\":\"QUICK_REPLY\",\"text\":\"%s\"}", repeat("ç", 25));
    must_compile(with_buttons(button, 1));
    (void)snprintf(button, sizeof(button), "{\"type\":\"QUICK_REPLY\",\"text\":\"%s\"}", repeat("ç", 26));
    must_fault(with_buttons(button, 1), "components[1].buttons[0].text", "26");
    must_fault(
        with_buttons("{\"type\":\"PHONE_NUMBER\",\"text\":\"a\",\"phone_number\":\"+55114002892212345678901\"}", 1),
        "components[1].buttons[0].phone_number", "20");
}

static void check_url(const char *url, const char *word) {
    char button[4096];
    (void)snprintf(button, sizeof(button), "{\"type\":\"URL\",\"text\":\"a\",\"url\":\"%s\"}", url);
    if (word) {
        must_fault(with_buttons(button, 1), "components[1].buttons[0].url", word);
    } else {
        must_compile(with_buttons(button, 1));
    }
}

static void a_url_has_one_parameter_at_its_end_only(void **state) {
    (void)state;
    check_url("https://a.example/", NULL);
    assert_null(tpl.buttons[0].json_start.p);
    check_url("HTTP://a.example/{{1}}", NULL);
    assert_non_null(tpl.buttons[0].json_start.p);
    check_url("https://a.example/{{1}}/x", "end only");
    check_url("https://a.example/{{1}}{{2}}", "end only");
    check_url("https://a.example/{{2}}", "{{1}}");
    check_url("https://{{1}}", "host");
    check_url("{{1}}", "https");
    check_url("ftp://a.example", "https");
    char url[2100];
    (void)snprintf(url, sizeof(url), "https://a.example/%s", repeat("x", 2000 - 18));
    check_url(url, NULL);
    (void)snprintf(url, sizeof(url), "https://a.example/%s", repeat("x", 2001 - 18));
    check_url(url, "2001");
}

static void a_named_template_may_number_or_name_its_url_parameter(void **state) {
    (void)state;
    must_compile(NAMED "\"components\":[" BODY ",{\"type\":\"BUTTONS\",\"buttons\":["
                       "{\"type\":\"URL\",\"text\":\"a\",\"url\":\"https://a.example/{{1}}\"},"
                       "{\"type\":\"URL\",\"text\":\"b\",\"url\":\"https://a.example/{{code}}\"}]}]}");
    assert_int_equal(tpl.buttons[0].url.holes, 1);
    assert_int_equal(tpl.buttons[1].url.holes, 1);
}

static void what_is_no_json_object_is_a_fault_of_the_whole(void **state) {
    (void)state;
    must_fault("", "", "not JSON");
    must_fault("{", "", "not JSON");
    must_fault("[]", "", "object");
    must_fault("{\"name\":\"a\",\"name\":\"b\"}", "", "not JSON");
    must_fault("{\"name\":\"\\u0000\"}", "", "not JSON");
    must_fault("{\"name\":\"\xff\"}", "", "not JSON");
    static char large[256 * 1024 + 2];
    memset(large, ' ', sizeof(large) - 1);
    must_fault(large, "", "262144");
}

static void a_small_arena_is_a_fault_and_not_a_crash(void **state) {
    (void)state;
    static const char json[] = NAMED
        "\"components\":[{\"type\":\"HEADER\",\"format\":\"TEXT\",\"text\":\"{{a}}\"},{\"type\":\"BODY\",\"text\":\"Oi "
        "{{nome}}\"},"
        "{\"type\":\"FOOTER\",\"text\":\"x\"},{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"URL\",\"text\":\"a\","
        "\"url\":\"https://a.example/{{1}}\"}]}]}";
    bool ok = false;
    for (size_t room = 1; !ok && room < 8192; room++) {
        pr_arena_free(&arena);
        pr_arena_init(&arena, room);
        ok = pr_template_compile(pr_span_of(json), &arena, &tpl, &fault);
        if (!ok) {
            assert_non_null(strstr(fault.text, "out of memory"));
        }
    }
    assert_true(ok);
}

static void names_of_categories_and_statuses_are_read_back(void **state) {
    (void)state;
    enum pr_category category;
    for (int i = 0; i < PR_CATEGORIES; i++) {
        assert_true(pr_category_parse(pr_span_of(pr_category_name((enum pr_category)i)), &category));
        assert_int_equal(category, i);
    }
    assert_false(pr_category_parse(PR_SPAN("utilit"), &category));
    assert_false(pr_category_parse(PR_SPAN(""), &category));
    for (int i = 0; i <= PR_TEMPLATE_OTHER; i++) {
        const char *name = pr_template_status_name((enum pr_template_status)i);
        assert_int_equal(pr_template_status_parse(pr_span_of(name)), i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_graph_apis_form_is_taken_whole),
        TEST(words_may_be_in_any_case),
        TEST(what_is_compiled_does_not_point_into_the_file),
        TEST(a_name_has_lowercase_digits_and_underscores),
        TEST(category_and_status_are_required_and_closed),
        TEST(a_language_is_a_code),
        TEST(a_body_is_required_once),
        TEST(a_body_has_at_most_1024_characters),
        TEST(positional_parameters_go_from_1_without_a_gap),
        TEST(there_may_be_64_positional_parameters),
        TEST(there_may_be_64_named_parameters),
        TEST(named_parameters_are_lowercase_names),
        TEST(a_single_brace_is_text),
        TEST(a_parameter_format_is_one_of_two),
        TEST(a_header_text_has_at_most_60_characters_and_one_parameter),
        TEST(a_footer_has_at_most_60_characters_and_no_parameter),
        TEST(kinds_that_cannot_be_sent_are_faults_by_name),
        TEST(there_are_1_to_10_buttons_two_urls_and_one_phone),
        TEST(a_button_text_has_at_most_25_characters),
        TEST(a_url_has_one_parameter_at_its_end_only),
        TEST(a_named_template_may_number_or_name_its_url_parameter),
        TEST(what_is_no_json_object_is_a_fault_of_the_whole),
        TEST(a_small_arena_is_a_fault_and_not_a_crash),
        TEST(names_of_categories_and_statuses_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
