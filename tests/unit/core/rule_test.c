/* Tests the rule compiler key by key, the look-up of values, and the fit of rule and template. */
#include "core/rule.h"

#include "base/clock.h"
#include "compile_fixture.h"

static struct pr_rule rule;

static void must_compile(const char *json) {
    memset(&fault, 0, sizeof(fault));
    if (!pr_rule_compile(pr_span_of(json), &arena, &rule, &fault)) {
        fail_msg("%s: %s\n%s", fault.path, fault.text, json);
    }
}

static void must_fault(const char *json, const char *path, const char *word) {
    memset(&fault, 0, sizeof(fault));
    if (pr_rule_compile(pr_span_of(json), &arena, &rule, &fault)) {
        fail_msg("compiled: %s", json);
    }
    check_fault(json, path, word);
}

/* A sound rule with more keys. */
static const char *with(const char *keys) {
    static char json[16384];
    (void)snprintf(json, sizeof(json), "{\"name\":\"r\",\"on\":\"order.confirmed\",\"template\":\"t\"%s%s}",
                   keys[0] ? "," : "", keys);
    return json;
}

static void the_order_rule_of_the_manual_is_taken_whole(void **state) {
    (void)state;
    must_compile(
        "{\"name\":\"order-confirmed\",\"on\":\"order.confirmed\",\"template\":\"order_confirmation\","
        "\"header\":{\"document\":{\"link\":\"data.invoice.url\",\"filename\":\"data.invoice.name\"}},"
        "\"body\":[{\"path\":\"data.customer.first_name\",\"default\":\"cliente\",\"max\":20},\"data.order.number\","
        "{\"path\":\"data.order.total\",\"money\":\"data.order.currency\"},"
        "{\"path\":\"data.order.estimated_delivery\",\"date\":\"long\",\"default\":\"breve\"}],\"buttons\":{\"0\":"
        "\"data.order.number\"}}");
    assert_span(rule.name, "order-confirmed");
    assert_int_equal(rule.on_n, 1);
    assert_span(rule.on[0].type, "order.confirmed");
    assert_span(rule.on[0].template_name, "order_confirmation");
    assert_int_equal(rule.header.format, PR_HEADER_DOCUMENT);
    assert_span(rule.header.link.path, "data.invoice.url");
    assert_span(rule.header.filename.path, "data.invoice.name");
    assert_int_equal(rule.body_n, 4);
    assert_span(rule.body[0].name, "1");
    assert_span(rule.body[0].fallback, "cliente");
    assert_int_equal(rule.body[0].max, 20);
    assert_null(rule.body[1].fallback.p);
    assert_int_equal(rule.body[2].format, PR_FORMAT_MONEY);
    assert_span(rule.body[2].currency_path, "data.order.currency");
    assert_int_equal(rule.body[3].format, PR_FORMAT_DATE_LONG);
    assert_span(rule.body[3].name, "4");
    assert_int_equal(rule.buttons_n, 1);
    assert_int_equal(rule.buttons[0].index, 0);
    assert_int_equal(rule.delay_us, 0);
    assert_int_equal(rule.max_age_us, 0);
    assert_null(rule.to_path.p);
    assert_false(rule.is_superseding);
}

static void the_shipping_rule_ranks_its_types_in_the_order_written(void **state) {
    (void)state;
    must_compile(
        "{\"name\":\"shipping\",\"on\":{\"shipping.dispatched\":\"order_shipped\",\"shipping.out_for_delivery\":"
        "\"out\","
        "\"shipping.delivered\":\"order_delivered\",\"a\":\"z\"},\"supersede\":true,\"body\":[\"data.order.number\"]}");
    assert_true(rule.is_superseding);
    assert_int_equal(pr_rule_rank(&rule, PR_SPAN("shipping.dispatched")), 0);
    assert_int_equal(pr_rule_rank(&rule, PR_SPAN("shipping.out_for_delivery")), 1);
    assert_int_equal(pr_rule_rank(&rule, PR_SPAN("shipping.delivered")), 2);
    assert_int_equal(pr_rule_rank(&rule, PR_SPAN("a")), 3);
    assert_int_equal(pr_rule_rank(&rule, PR_SPAN("shipping")), -1);
    assert_int_equal(pr_rule_rank(&rule, PR_SPAN("")), -1);
    assert_span(rule.on[2].template_name, "order_delivered");
}

static void the_cart_rule_has_durations_cancels_and_names(void **state) {
    (void)state;
    must_compile("{\"name\":\"cart-reminder\",\"on\":\"cart.abandoned\",\"template\":\"cart_reminder\",\"delay\":"
                 "\"1h\",\"max_age\":\"24h\","
                 "\"to\":\"data.customer.phone\",\"senders\":[\"a\",\"b\"],"
                 "\"cancel_on\":[{\"type\":\"order.confirmed\",\"match\":\"recipient\"},{\"type\":\"order.*\","
                 "\"match\":\"data.order.cart_id\"},"
                 "{\"type\":\"x\",\"match\":\"subject\"},{\"type\":\"y\"}],"
                 "\"body\":{\"first_name\":{\"path\":\"data.customer.first_name\",\"default\":\" \\n cliente "
                 "\",\"max\":20},\"items\":\"data.cart.items\"}}");
    assert_int_equal(rule.delay_us, INT64_C(3600000000));
    assert_int_equal(rule.max_age_us, INT64_C(86400000000));
    assert_span(rule.to_path, "data.customer.phone");
    assert_int_equal(rule.senders_n, 2);
    assert_span(rule.senders[1], "b");
    assert_int_equal(rule.cancels_n, 4);
    assert_int_equal(rule.cancels[0].match, PR_MATCH_RECIPIENT);
    assert_int_equal(rule.cancels[1].match, PR_MATCH_PATH);
    assert_span(rule.cancels[1].path, "data.order.cart_id");
    assert_int_equal(rule.cancels[2].match, PR_MATCH_SUBJECT);
    assert_int_equal(rule.cancels[3].match, PR_MATCH_RECIPIENT);
    assert_span(rule.body[0].name, "first_name");
    assert_span(rule.body[0].fallback, "cliente");
    assert_span(rule.body[1].name, "items");
}

static void a_misspelt_key_is_a_fault_wherever_it_stands(void **state) {
    (void)state;
    must_fault(with("\"dealy\":\"1h\""), "dealy", "misspelt");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"fallback\":\"x\"}]"), "body[0].fallback", "misspelt");
    must_fault(with("\"cancel_on\":[{\"type\":\"a\",\"on\":\"b\"}]"), "cancel_on[0].on", "misspelt");
    must_fault(with("\"header\":{\"image\":{\"link\":\"data.a\",\"filename\":\"data.b\"}}"), "header.image.filename",
               "misspelt");
}

static void a_name_is_required_and_plain(void **state) {
    (void)state;
    must_fault("{\"on\":\"a\",\"template\":\"t\"}", "name", "missing");
    must_fault("{\"name\":\"a b\",\"on\":\"a\",\"template\":\"t\"}", "name", "letters");
    must_fault("{\"name\":7,\"on\":\"a\",\"template\":\"t\"}", "name", "string");
}

static void on_and_template_belong_together(void **state) {
    (void)state;
    must_fault("{\"name\":\"r\",\"template\":\"t\"}", "on", "missing");
    must_fault("{\"name\":\"r\",\"on\":\"a\"}", "template", "missing");
    must_fault("{\"name\":\"r\",\"on\":{\"a\":\"t\"},\"template\":\"t\"}", "template", "names its templates");
    must_fault("{\"name\":\"r\",\"on\":{}}", "on", "1 to 64");
    must_fault("{\"name\":\"r\",\"on\":{\"a\":\"T\"}}", "on.a", "lowercase");
    must_fault("{\"name\":\"r\",\"on\":{\"\":\"t\"}}", "on.", "1 to 256");
    must_fault("{\"name\":\"r\",\"on\":[\"a\"],\"template\":\"t\"}", "on", "event type");
    must_fault("{\"name\":\"r\",\"on\":\"\",\"template\":\"t\"}", "on", "empty");
}

static void durations_make_sense_together(void **state) {
    (void)state;
    must_fault(with("\"delay\":\"soon\""), "delay", "duration");
    must_fault(with("\"delay\":3600"), "delay", "duration");
    must_fault(with("\"max_age\":\"0s\""), "max_age", "over 0");
    must_compile(with("\"delay\":\"0s\",\"max_age\":\"1s\""));
    must_compile(with("\"delay\":\"1h\",\"max_age\":\"61m\""));
    must_fault(with("\"delay\":\"1h\",\"max_age\":\"60m\""), "max_age", "longer");
    must_fault(with("\"supersede\":\"yes\""), "supersede", "true or false");
}

static void a_cancel_names_a_type_or_a_prefix(void **state) {
    (void)state;
    must_fault(with("\"cancel_on\":[]"), "cancel_on", "1 to 64");
    must_fault(with("\"cancel_on\":{}"), "cancel_on", "array");
    must_fault(with("\"cancel_on\":[\"order.confirmed\"]"), "cancel_on[0]", "object");
    must_fault(with("\"cancel_on\":[{\"match\":\"subject\"}]"), "cancel_on[0].type", "missing");
    static const char *const bad[] = {"*", ".*", "order*", "order.*.x", "*.x", "a.**"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char keys[128];
        (void)snprintf(keys, sizeof(keys), "\"cancel_on\":[{\"type\":\"%s\"}]", bad[i]);
        must_fault(with(keys), "cancel_on[0].type", "'*'");
    }
    must_fault(with("\"cancel_on\":[{\"type\":\"a\",\"match\":\"to\"}]"), "cancel_on[0].match", "recipient");
    must_fault(with("\"cancel_on\":[{\"type\":\"a\",\"match\":\"data.\"}]"), "cancel_on[0].match", "recipient");
}

static void a_cancel_takes_its_type_or_all_below_its_prefix(void **state) {
    (void)state;
    must_compile(with("\"cancel_on\":[{\"type\":\"order.*\"},{\"type\":\"order.paid\"}]"));
    assert_true(pr_cancel_takes(&rule.cancels[0], PR_SPAN("order.paid")));
    assert_true(pr_cancel_takes(&rule.cancels[0], PR_SPAN("order.paid.late")));
    assert_false(pr_cancel_takes(&rule.cancels[0], PR_SPAN("order.")));
    assert_false(pr_cancel_takes(&rule.cancels[0], PR_SPAN("order")));
    assert_false(pr_cancel_takes(&rule.cancels[0], PR_SPAN("orders.paid")));
    assert_true(pr_cancel_takes(&rule.cancels[1], PR_SPAN("order.paid")));
    assert_false(pr_cancel_takes(&rule.cancels[1], PR_SPAN("order.paid.late")));
}

static void a_path_begins_with_data_or_is_an_attribute(void **state) {
    (void)state;
    static const char *const good[] = {
        "data.a", "data.items.0.name", "data.endereço", "subject", "to", "id", "type", "time", "locale"};
    static const char *const bad[] = {"data",         "data.",  ".a",      "data..a", "data.a.",
                                      "order.number", "source", "Subject", "BRL"};
    char keys[128];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        (void)snprintf(keys, sizeof(keys), "\"body\":[\"%s\"],\"to\":\"%s\"", good[i], good[i]);
        must_compile(with(keys));
        assert_span(rule.to_path, good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(keys, sizeof(keys), "\"body\":[\"%s\"]", bad[i]);
        must_fault(with(keys), "body[0]", "path");
        (void)snprintf(keys, sizeof(keys), "\"to\":\"%s\"", bad[i]);
        must_fault(with(keys), "to", "path");
    }
}

static void money_is_a_path_or_a_code(void **state) {
    (void)state;
    must_compile(with("\"body\":[{\"path\":\"data.a\",\"money\":\"BRL\"}]"));
    assert_span(rule.body[0].currency_path, "BRL");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"money\":\"brl\"}]"), "body[0].money", "code");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"money\":\"BRLX\"}]"), "body[0].money", "code");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"money\":true}]"), "body[0].money", "string");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"money\":\"BRL\",\"date\":\"long\"}]"), "body[0].date", "exclude");
}

static void a_date_is_short_or_long(void **state) {
    (void)state;
    must_compile(with("\"body\":[{\"path\":\"data.a\",\"date\":\"short\"}]"));
    assert_int_equal(rule.body[0].format, PR_FORMAT_DATE_SHORT);
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"date\":\"medium\"}]"), "body[0].date", "short");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"date\":1}]"), "body[0].date", "short");
}

static void defaults_and_limits_are_sound(void **state) {
    (void)state;
    must_fault(with("\"body\":[{\"default\":\"x\"}]"), "body[0].path", "missing");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"default\":\"\"}]"), "body[0].default", "empty");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"default\":\" \\n\"}]"), "body[0].default", "blank");
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"default\":7}]"), "body[0].default", "string");
    must_compile(with("\"body\":[{\"path\":\"data.a\",\"default\":\"João\",\"max\":4}]"));
    must_fault(with("\"body\":[{\"path\":\"data.a\",\"default\":\"João\",\"max\":3}]"), "body[0].default", "max");
    must_compile(with("\"body\":[{\"path\":\"data.a\",\"max\":1024}]"));
    static const char *const bad[] = {"0", "-1", "1025", "1.5", "\"5\"", "true"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char keys[128];
        (void)snprintf(keys, sizeof(keys), "\"body\":[{\"path\":\"data.a\",\"max\":%s}]", bad[i]);
        must_fault(with(keys), "body[0].max", "1 to 1024");
    }
}

static void a_body_is_an_array_or_an_object_of_at_most_64(void **state) {
    (void)state;
    char keys[2048] = "\"body\":[\"to\"";
    size_t n = strlen(keys);
    for (int i = 1; i < 65; i++) {
        if (i == 64) {
            char whole[2056];
            (void)snprintf(whole, sizeof(whole), "%s]", keys);
            must_compile(with(whole));
            assert_int_equal(rule.body_n, 64);
            assert_span(rule.body[63].name, "64");
        }
        n += (size_t)snprintf(keys + n, sizeof(keys) - n, ",\"to\"");
    }
    (void)snprintf(keys + n, sizeof(keys) - n, "]");
    must_fault(with(keys), "body", "65");
    must_fault(with("\"body\":\"data.a\""), "body", "array");
    must_fault(with("\"body\":{\"First\":\"data.a\"}"), "body.First", "lowercase");
    must_fault(with("\"body\":[7]"), "body[0]", "path");
    must_compile(with("\"body\":[]"));
    assert_int_equal(rule.body_n, 0);
}

static void a_header_is_one_of_three(void **state) {
    (void)state;
    must_compile(with("\"header\":{\"text\":{\"path\":\"data.a\",\"max\":10}}"));
    assert_int_equal(rule.header.format, PR_HEADER_TEXT);
    must_compile(with("\"header\":{\"image\":{\"link\":\"data.a\"}}"));
    assert_int_equal(rule.header.format, PR_HEADER_IMAGE);
    must_compile(with("\"header\":{\"document\":{\"link\":{\"path\":\"data.a\",\"default\":\"https://a.example\"}}}"));
    assert_null(rule.header.filename.path.p);
    must_fault(with("\"header\":{}"), "header", "one of");
    must_fault(with("\"header\":{\"video\":{\"link\":\"data.a\"}}"), "header", "one of");
    must_fault(with("\"header\":{\"text\":\"data.a\",\"image\":{\"link\":\"data.a\"}}"), "header", "one of");
    must_fault(with("\"header\":\"data.a\""), "header", "one of");
    must_fault(with("\"header\":{\"image\":\"data.a\"}"), "header.image", "link");
    must_fault(with("\"header\":{\"document\":{\"filename\":\"data.a\"}}"), "header.document.link", "missing");
    must_fault(with("\"header\":{\"image\":{\"link\":{\"path\":\"data.a\",\"max\":9}}}"), "header.image.link", "max");
    must_fault(with("\"header\":{\"image\":{\"link\":{\"path\":\"data.a\",\"date\":\"long\"}}}"), "header.image.link",
               "no date");
}

static void buttons_go_by_number(void **state) {
    (void)state;
    must_compile(with("\"buttons\":{\"9\":\"data.b\",\"0\":\"data.a\"}"));
    assert_int_equal(rule.buttons_n, 2);
    assert_int_equal(rule.buttons[0].index, 0);
    assert_int_equal(rule.buttons[1].index, 9);
    assert_span(pr_rule_button_at(&rule, 9)->value.path, "data.b");
    assert_null(pr_rule_button_at(&rule, 1));
    must_fault(with("\"buttons\":{\"10\":\"data.a\"}"), "buttons.10", "number");
    must_fault(with("\"buttons\":{\"a\":\"data.a\"}"), "buttons.a", "number");
    must_fault(with("\"buttons\":{\"\":\"data.a\"}"), "buttons.", "number");
    must_fault(with("\"buttons\":[\"data.a\"]"), "buttons", "object");
    must_fault(with("\"buttons\":{\"0\":{\"path\":\"data.a\",\"money\":\"BRL\"}}"), "buttons.0", "no money");
}

static void a_fault_cut_inside_a_letter_is_still_valid_text(void **state) {
    (void)state;
    must_fault(with("\"çççççççççççççççççççççççççççççç\":1"), "çççççççççççççççç", "misspelt");
    must_fault(with("\"açççççççççççççççççççççççççççççç\":1"), "aççççççççççççççç?", "?\"");
}

static void values_come_from_data_and_attributes(void **state) {
    (void)state;
    struct pr_member members[] = {{PR_SPAN("a"), {.kind = PR_VALUE_INT, .u.i = 7}},
                                  {PR_SPAN("n"), {.kind = PR_VALUE_NULL}}};
    struct pr_value data = {.kind = PR_VALUE_MAP, .u.map = {2, members}};
    struct pr_record record = {.id = PR_SPAN("i"),
                               .source = PR_SPAN("s"),
                               .type = PR_SPAN("t"),
                               .to = PR_SPAN("+55"),
                               .time_us = 5,
                               .data = &data};
    struct pr_value scratch;
    assert_ptr_equal(pr_rule_value(&record, PR_SPAN("data.a"), &scratch), &members[0].value);
    assert_null(pr_rule_value(&record, PR_SPAN("data.n"), &scratch));
    assert_null(pr_rule_value(&record, PR_SPAN("data.b"), &scratch));
    assert_span(pr_rule_value(&record, PR_SPAN("id"), &scratch)->u.s, "i");
    assert_span(pr_rule_value(&record, PR_SPAN("type"), &scratch)->u.s, "t");
    assert_span(pr_rule_value(&record, PR_SPAN("to"), &scratch)->u.s, "+55");
    assert_null(pr_rule_value(&record, PR_SPAN("subject"), &scratch));
    assert_null(pr_rule_value(&record, PR_SPAN("locale"), &scratch));
    assert_int_equal(pr_rule_value(&record, PR_SPAN("time"), &scratch)->u.i, 5);
    record.time_us = PR_TIME_NONE;
    record.data = NULL;
    assert_null(pr_rule_value(&record, PR_SPAN("time"), &scratch));
    assert_null(pr_rule_value(&record, PR_SPAN("data.a"), &scratch));
}

#define HEAD "{\"name\":\"t\",\"language\":\"pt_BR\",\"category\":\"UTILITY\",\"status\":\"APPROVED\","
#define POSITIONAL                                                                                                     \
    HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"{{1}} {{2}}\"},{\"type\":\"HEADER\",\"format\":\"DOCUMENT\"}," \
         "{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"QUICK_REPLY\",\"text\":\"a\"},{\"type\":\"URL\",\"text\":"    \
         "\"b\","                                                                                                      \
         "\"url\":\"https://a.example/{{1}}\"},{\"type\":\"URL\",\"text\":\"c\",\"url\":\"https://a.example\"},"       \
         "{\"type\":\"PHONE_NUMBER\",\"text\":\"d\",\"phone_number\":\"1\"}]}]}"
#define NAMED HEAD "\"parameter_format\":\"NAMED\",\"components\":[{\"type\":\"BODY\",\"text\":\"{{a}} {{b}}\"}]}"
#define DOCUMENT "\"header\":{\"document\":{\"link\":\"data.l\"}}"

/* `word` NULL: the rule must fit. */
static void check_fit(const char *template_json, const char *keys, const char *path, const char *word) {
    struct pr_template tpl;
    must_compile(with(keys));
    if (!pr_template_compile(pr_span_of(template_json), &arena, &tpl, &fault)) {
        fail_msg("%s: %s", fault.path, fault.text);
    }
    memset(&fault, 0, sizeof(fault));
    if (pr_rule_fits(&rule, &tpl, &fault) != (word == NULL)) {
        fail_msg("%s: %s\n%s", fault.path, fault.text, keys);
    }
    if (word) {
        check_fault(keys, path, word);
    }
}

static void a_rule_fits_when_all_is_filled_and_nothing_else(void **state) {
    (void)state;
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"id\"],\"buttons\":{\"1\":\"id\"}", "", NULL);
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"id\"],\"buttons\":{\"0\":\"to\",\"1\":\"id\"}", "", NULL);
    check_fit(POSITIONAL, DOCUMENT ",\"body\":{\"2\":\"to\",\"1\":\"id\"},\"buttons\":{\"1\":\"id\"}", "", NULL);
    check_fit(NAMED, "\"body\":{\"b\":\"to\",\"a\":\"id\"}", "", NULL);
    check_fit(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"}]}", "", "", NULL);
    check_fit(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"},{\"type\":\"HEADER\",\"format\":\"TEXT\","
                   "\"text\":\"{{1}}\"}]}",
              "\"header\":{\"text\":\"to\"}", "", NULL);
}

static void a_body_that_does_not_fit_is_a_fault(void **state) {
    (void)state;
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\"],\"buttons\":{\"1\":\"id\"}", "body", "{{2}}");
    check_fit(POSITIONAL, DOCUMENT ",\"buttons\":{\"1\":\"id\"}", "body", "{{1}}");
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"to\",\"to\"],\"buttons\":{\"1\":\"id\"}", "body", "{{3}}");
    check_fit(NAMED, "\"body\":[\"to\",\"id\"]", "body", "must be an object");
    check_fit(NAMED, "\"body\":{\"a\":\"to\",\"c\":\"id\"}", "body", "{{b}}");
    check_fit(NAMED, "\"body\":{\"a\":\"to\",\"b\":\"id\",\"c\":\"id\"}", "body", "{{c}}");
}

static void a_header_that_does_not_fit_is_a_fault(void **state) {
    (void)state;
    check_fit(POSITIONAL, "\"body\":[\"to\",\"id\"],\"buttons\":{\"1\":\"id\"}", "header", "\"document\"");
    check_fit(POSITIONAL,
              "\"header\":{\"image\":{\"link\":\"data.l\"}},\"body\":[\"to\",\"id\"],\"buttons\":{\"1\":\"id\"}",
              "header", "gives image");
    check_fit(NAMED, DOCUMENT ",\"body\":{\"a\":\"to\",\"b\":\"id\"}", "header", "no header");
    check_fit(HEAD "\"components\":[{\"type\":\"BODY\",\"text\":\"Oi\"},{\"type\":\"HEADER\",\"format\":\"TEXT\","
                   "\"text\":\"x\"}]}",
              "\"header\":{\"text\":\"to\"}", "header", "no header");
}

static void buttons_that_do_not_fit_are_faults(void **state) {
    (void)state;
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"id\"]", "buttons", "no value for button 1");
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"id\"],\"buttons\":{\"1\":\"id\",\"2\":\"id\"}", "buttons",
              "button 2");
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"id\"],\"buttons\":{\"1\":\"id\",\"3\":\"id\"}", "buttons",
              "takes none");
    check_fit(POSITIONAL, DOCUMENT ",\"body\":[\"to\",\"id\"],\"buttons\":{\"1\":\"id\",\"4\":\"id\"}", "buttons",
              "has 4");
}

static void a_small_arena_is_a_fault_and_not_a_crash(void **state) {
    (void)state;
    static const char json[] = "{\"name\":\"r\",\"on\":{\"a\":\"t\"},\"to\":\"id\",\"senders\":[\"s\"],\"cancel_on\":[{"
                               "\"type\":\"x\",\"match\":\"data.a\"}],"
                               "\"header\":{\"text\":\"id\"},\"body\":{\"a\":{\"path\":\"id\",\"default\":\"a  "
                               "b\",\"money\":\"BRL\"}},\"buttons\":{\"0\":\"id\"}}";
    bool ok = false;
    for (size_t room = 1; !ok && room < 8192; room++) {
        pr_arena_free(&arena);
        pr_arena_init(&arena, room);
        ok = pr_rule_compile(pr_span_of(json), &arena, &rule, &fault);
        if (!ok) {
            assert_non_null(strstr(fault.text, "out of memory"));
        }
    }
    assert_true(ok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_order_rule_of_the_manual_is_taken_whole),
        TEST(the_shipping_rule_ranks_its_types_in_the_order_written),
        TEST(the_cart_rule_has_durations_cancels_and_names),
        TEST(a_misspelt_key_is_a_fault_wherever_it_stands),
        TEST(a_name_is_required_and_plain),
        TEST(on_and_template_belong_together),
        TEST(durations_make_sense_together),
        TEST(a_cancel_names_a_type_or_a_prefix),
        TEST(a_cancel_takes_its_type_or_all_below_its_prefix),
        TEST(a_path_begins_with_data_or_is_an_attribute),
        TEST(money_is_a_path_or_a_code),
        TEST(a_date_is_short_or_long),
        TEST(defaults_and_limits_are_sound),
        TEST(a_body_is_an_array_or_an_object_of_at_most_64),
        TEST(a_header_is_one_of_three),
        TEST(buttons_go_by_number),
        TEST(a_fault_cut_inside_a_letter_is_still_valid_text),
        TEST(values_come_from_data_and_attributes),
        TEST(a_rule_fits_when_all_is_filled_and_nothing_else),
        TEST(a_body_that_does_not_fit_is_a_fault),
        TEST(a_header_that_does_not_fit_is_a_fault),
        TEST(buttons_that_do_not_fit_are_faults),
        TEST(a_small_arena_is_a_fault_and_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
