/* Fuzzes the template compiler: any bytes give a template within the platform's limits, or a fault that can be stored.
 */
#include "base/check.h"
#include "core/template.h"
#include "core/utf8.h"
#include "fault.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 4 * 1024 * 1024 };

static void check_pattern(const struct pr_pattern *pattern, uint16_t params_n) {
    size_t chars = 0;
    for (uint32_t i = 0; i <= pattern->holes; i++) {
        chars += pr_utf8_count(pattern->literal[i]);
        pr_assert(i == pattern->holes || pattern->param[i] < params_n);
    }
    pr_assert(chars == pattern->literal_chars);
}

static void check_button(const struct pr_button *button) {
    pr_assert(button->text.n > 0 && pr_utf8_count(button->text) <= PR_TEMPLATE_BUTTON_TEXT_MAX);
    if (button->kind != PR_BUTTON_URL) {
        return;
    }
    check_pattern(&button->url, 1);
    pr_assert(button->url.holes == 0 || (button->url.holes == 1 && button->url.literal[1].n == 0));
    pr_assert((button->url.holes > 0) == (button->json_start.p != NULL));
}

static void check_template(const struct pr_template *tpl) {
    pr_assert(tpl->name.n > 0 && tpl->name.n <= PR_TEMPLATE_NAME_MAX);
    pr_assert(tpl->category != PR_CATEGORY_SERVICE);
    pr_assert(tpl->params_n <= PR_TEMPLATE_PARAMS_MAX);
    check_pattern(&tpl->body, tpl->params_n);
    for (uint16_t i = 0; i < tpl->params_n; i++) {
        pr_assert(tpl->params[i].n > 0);
    }
    if (tpl->header_format == PR_HEADER_TEXT) {
        check_pattern(&tpl->header, 1);
        pr_assert(tpl->header.holes <= 1 && (tpl->header.holes == 1) == (tpl->header_param.p != NULL));
    }
    pr_assert(pr_utf8_count(tpl->footer) <= PR_TEMPLATE_FOOTER_MAX);
    pr_assert(tpl->buttons_n <= PR_TEMPLATE_BUTTONS_MAX);
    for (uint16_t i = 0; i < tpl->buttons_n; i++) {
        check_button(&tpl->buttons[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pr_arena arena;
    struct pr_template tpl;
    struct pr_template_fault fault = {"", ""};
    pr_arena_init(&arena, ARENA_MAX);
    if (pr_template_compile(pr_span_make(data, size), &arena, &tpl, &fault)) {
        check_template(&tpl);
    } else {
        check_fault(&fault);
    }
    pr_arena_free(&arena);
    return 0;
}
