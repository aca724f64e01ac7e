/* Fuzzes the rule compiler: any bytes give a rule that answers every question, or a fault that can be stored. */
#include "base/check.h"
#include "core/rule.h"
#include "fault.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 4 * 1024 * 1024 };

static void check_param(const struct pr_param *param, const struct pr_record *record) {
    struct pr_value scratch;
    pr_assert(param->path.n > 0);
    pr_assert(!param->fallback.p || param->fallback.n > 0);
    pr_assert((param->format == PR_FORMAT_MONEY) == (param->currency_path.p != NULL));
    const struct pr_value *v = pr_rule_value(record, param->path, &scratch);
    pr_assert(!v || v->kind != PR_VALUE_NULL);
}

static void check_rule(const struct pr_rule *rule) {
    struct pr_record record = {.id = PR_SPAN("i"), .source = PR_SPAN("s"), .type = PR_SPAN("t")};
    pr_assert(rule->name.n > 0 && rule->on_n > 0 && rule->delay_us >= 0);
    pr_assert(rule->max_age_us == 0 || rule->max_age_us > rule->delay_us);
    for (uint16_t i = 0; i < rule->on_n; i++) {
        pr_assert(pr_rule_rank(rule, rule->on[i].type) == i);
        pr_assert(rule->on[i].template_name.n > 0);
    }
    for (uint16_t i = 0; i < rule->cancels_n; i++) {
        const struct pr_cancel *cancel = &rule->cancels[i];
        pr_assert(!pr_cancel_takes(cancel, PR_SPAN("")));
        pr_assert((cancel->match == PR_MATCH_PATH) == (cancel->path.p != NULL));
    }
    for (uint16_t i = 0; i < rule->body_n; i++) {
        check_param(&rule->body[i], &record);
        pr_assert(pr_rule_body_param(rule, rule->body[i].name, i) == &rule->body[i]);
    }
    for (uint16_t i = 0; i < rule->buttons_n; i++) {
        check_param(&rule->buttons[i].value, &record);
        pr_assert(pr_rule_button_at(rule, rule->buttons[i].index) == &rule->buttons[i]);
    }
}

static void check_fit(const struct pr_rule *rule, struct pr_arena *arena) {
    static const char json[] =
        "{\"name\":\"t\",\"language\":\"en\",\"category\":\"UTILITY\",\"status\":\"APPROVED\",\"components\":["
        "{\"type\":\"BODY\",\"text\":\"{{1}}\"},{\"type\":\"BUTTONS\",\"buttons\":[{\"type\":\"QUICK_REPLY\",\"text\":"
        "\"a\"},"
        "{\"type\":\"URL\",\"text\":\"b\",\"url\":\"https://a.example/{{1}}\"}]}]}";
    struct pr_template tpl;
    struct pr_template_fault fault = {"", ""};
    pr_assert(pr_template_compile(pr_span_of(json), arena, &tpl, &fault));
    if (!pr_rule_fits(rule, &tpl, &fault)) {
        check_fault(&fault);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pr_arena arena;
    struct pr_rule rule;
    struct pr_template_fault fault = {"", ""};
    pr_arena_init(&arena, ARENA_MAX);
    if (pr_rule_compile(pr_span_make(data, size), &arena, &rule, &fault)) {
        check_rule(&rule);
        check_fit(&rule, &arena);
    } else {
        check_fault(&fault);
    }
    pr_arena_free(&arena);
    return 0;
}
