/* Tests of the look-ups over a business: rule by type, template by locale, sender by recipient. */
#include "core/business.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEMPLATES_MAX = 8, SENDERS_MAX = 40 };

static struct pr_template templates[TEMPLATES_MAX];
static struct pr_sender senders[SENDERS_MAX];
static struct pr_tenant shop;

/* A business with nothing yet. */
static void open_shop(const char *locale) {
    shop = (struct pr_tenant){
        .id = 1, .name = PR_SPAN("shop"), .locale = pr_span_of(locale), .templates = templates, .senders = senders};
}

static int set_up(void **state) {
    (void)state;
    open_shop("en");
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

/* ---- rules ---- */

static void the_first_rule_that_takes_a_type_wins_and_says_its_rank(void **state) {
    struct pr_rule_on ship[] = {{PR_SPAN("sent"), PR_SPAN("a")}, {PR_SPAN("near"), PR_SPAN("b")}};
    struct pr_rule_on late[] = {{PR_SPAN("near"), PR_SPAN("d")}}, pay[] = {{PR_SPAN("paid"), PR_SPAN("e")}};
    struct pr_rule rules[] = {{.on = ship, .on_n = 2}, {.on = late, .on_n = 1}, {.on = pay, .on_n = 1}};
    int rank = 7;
    (void)state;
    shop.rules = rules;
    shop.rules_n = 3;
    assert_ptr_equal(pr_tenant_rule(&shop, PR_SPAN("near"), &rank), &rules[0]);
    assert_int_equal(rank, 1);
    assert_ptr_equal(pr_tenant_rule(&shop, PR_SPAN("paid"), &rank), &rules[2]);
    assert_int_equal(rank, 0);
    assert_null(pr_tenant_rule(&shop, PR_SPAN("nobody.asks"), &rank));
}

static void a_business_without_rules_takes_nothing(void **state) {
    int rank = 0;
    (void)state;
    assert_null(pr_tenant_rule(&shop, PR_SPAN("paid"), &rank));
}

/* ---- templates ---- */

static void put_template(const char *name, const char *language, enum pr_category category,
                         enum pr_template_status status) {
    assert_true(shop.templates_n < TEMPLATES_MAX);
    templates[shop.templates_n++] = (struct pr_template){
        .name = pr_span_of(name), .language = pr_span_of(language), .category = category, .status = status};
}

/* "order" in these languages, all approved. */
static void put_languages(const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        put_template("order", list[i], PR_CATEGORY_UTILITY, PR_TEMPLATE_APPROVED);
    }
    put_template("other", "fr", PR_CATEGORY_UTILITY, PR_TEMPLATE_APPROVED);
}

/* The language that "order" is sent in, or why not. */
static const char *language_for(const char *locale) {
    static char text[32];
    struct pr_template_choice choice = pr_tenant_template(&shop, PR_SPAN("order"), pr_span_of(locale));
    if (!choice.tpl) {
        return choice.refusal;
    }
    (void)snprintf(text, sizeof(text), "%.*s", PR_SPAN_ARG(choice.tpl->language));
    return text;
}

static void a_locale_falls_back_to_its_language_then_the_shops(void **state) {
    static const char *const list[] = {"es", "pt", "pt_PT", "pt_BR", "en", "fr-CA"};
    (void)state;
    open_shop("en_US");
    put_languages(list, 6);
    assert_string_equal(language_for("pt_BR"), "pt_BR");
    assert_string_equal(language_for("pt-BR"), "pt_BR"); /* written the other way */
    assert_string_equal(language_for("fr_CA"), "fr-CA");
    assert_string_equal(language_for("pt_AO"), "pt"); /* never another country's */
    assert_string_equal(language_for("es_MX"), "es");
    assert_string_equal(language_for("es"), "es");
    assert_string_equal(language_for("de_DE"), "en");
    assert_string_equal(language_for(""), "en");
    assert_string_equal(language_for("fr"), "en"); /* another template has it */
}

static void the_shops_own_locale_comes_before_its_language(void **state) {
    static const char *const list[] = {"en", "en_US"};
    (void)state;
    open_shop("en_US");
    put_languages(list, 2);
    assert_string_equal(language_for("de"), "en_US");
    assert_string_equal(language_for("en_GB"), "en");
}

static void without_a_fitting_language_there_is_a_refusal(void **state) {
    static const char *const list[] = {"ja", "ko"};
    (void)state;
    put_languages(list, 2);
    assert_string_equal(language_for("pt_BR"), "no_template_language");
    assert_string_equal(language_for(""), "no_template_language");
    assert_string_equal(language_for("j"), "no_template_language");
    struct pr_template_choice choice = pr_tenant_template(&shop, PR_SPAN("unheard"), PR_SPAN("ja"));
    assert_null(choice.tpl);
    assert_false(choice.has_name);
    assert_string_equal(choice.refusal, "no_template");
}

static void the_status_says_why_a_template_cannot_go(void **state) {
    static const struct {
        enum pr_template_status status;
        const char *refusal;
    } cases[] = {{PR_TEMPLATE_PAUSED, "template_paused"},
                 {PR_TEMPLATE_DISABLED, "template_disabled"},
                 {PR_TEMPLATE_REJECTED, "template_rejected"},
                 {PR_TEMPLATE_PENDING, "template_pending"},
                 {PR_TEMPLATE_OTHER, "template_not_approved"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_shop("pt_BR");
        put_template("order", "pt_BR", PR_CATEGORY_UTILITY, cases[i].status);
        struct pr_template_choice choice = pr_tenant_template(&shop, PR_SPAN("order"), PR_SPAN("pt_BR"));
        assert_null(choice.tpl);
        assert_true(choice.has_name);
        assert_false(choice.has_approved);
        assert_string_equal(choice.refusal, cases[i].refusal);
    }
}

static void a_language_that_is_not_approved_is_passed_over(void **state) {
    (void)state;
    put_template("order", "pt_BR", PR_CATEGORY_UTILITY, PR_TEMPLATE_PAUSED);
    put_template("order", "pt", PR_CATEGORY_UTILITY, PR_TEMPLATE_REJECTED);
    put_template("order", "en", PR_CATEGORY_UTILITY, PR_TEMPLATE_APPROVED);
    assert_string_equal(language_for("pt_BR"), "en");
    assert_true(pr_tenant_template(&shop, PR_SPAN("order"), PR_SPAN("pt_BR")).has_approved);
}

/* Whoever waits for a template must learn that it is only paused, in whatever order its languages come. */
static void a_paused_language_is_the_refusal_that_is_told(void **state) {
    static const enum pr_template_status statuses[][2] = {{PR_TEMPLATE_PAUSED, PR_TEMPLATE_REJECTED},
                                                          {PR_TEMPLATE_REJECTED, PR_TEMPLATE_PAUSED}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_shop("en");
        put_template("order", "pt_BR", PR_CATEGORY_UTILITY, statuses[i][0]);
        put_template("order", "pt", PR_CATEGORY_UTILITY, statuses[i][1]);
        assert_string_equal(language_for("pt_BR"), "template_paused");
    }
}

static enum pr_category category_of(const enum pr_category *categories, size_t n) {
    static const char *const languages[] = {"la", "lb", "lc"};
    open_shop("en");
    for (size_t i = 0; i < n; i++) {
        put_template("order", languages[i], categories[i], i == 0 ? PR_TEMPLATE_APPROVED : PR_TEMPLATE_REJECTED);
    }
    put_template("other", "la", PR_CATEGORY_MARKETING, PR_TEMPLATE_APPROVED);
    return pr_tenant_template(&shop, PR_SPAN("order"), PR_SPAN("la")).category;
}

static void the_strictest_category_of_all_languages_counts(void **state) {
    const enum pr_category U = PR_CATEGORY_UTILITY, M = PR_CATEGORY_MARKETING, A = PR_CATEGORY_AUTHENTICATION;
    (void)state;
    assert_int_equal(category_of((const enum pr_category[]){U}, 1), U);
    assert_int_equal(category_of((const enum pr_category[]){U, M}, 2), M);
    assert_int_equal(category_of((const enum pr_category[]){M, U}, 2), M);
    assert_int_equal(category_of((const enum pr_category[]){U, A, U}, 3), A);
    assert_int_equal(category_of((const enum pr_category[]){A, M}, 2), M);
    assert_int_equal(category_of((const enum pr_category[]){A, U}, 2), A);
}

/* ---- senders ---- */

static const struct pr_rule any_sender;

static bool everyone_is_up(void *arg, const struct pr_sender *sender) {
    (void)arg, (void)sender;
    return true;
}

static bool all_but(void *arg, const struct pr_sender *sender) {
    const int32_t *down = arg;
    return sender->id != *down;
}

/* Senders 100, 101, … called s0, s1, …, all connected. */
static void put_senders(uint32_t n) {
    static char names[SENDERS_MAX][8];
    for (uint32_t i = 0; i < n; i++) {
        size_t length = (size_t)snprintf(names[i], sizeof(names[i]), "s%u", i);
        senders[i] =
            (struct pr_sender){.id = (int32_t)(100 + i), .name = pr_span_make(names[i], length), .is_connected = true};
    }
    shop.senders_n = n;
}

static struct pr_span person(int i) {
    static char text[24];
    return pr_span_make(text, (size_t)snprintf(text, sizeof(text), "+55119%08d", i));
}

static int32_t sender_of(int i, const struct pr_rule *rule, uint32_t skip) {
    const struct pr_sender *sender = pr_tenant_sender(&shop, rule, person(i), skip, everyone_is_up, NULL);
    return sender ? sender->id : 0;
}

static void recipients_spread_evenly_over_the_senders(void **state) {
    enum { N = 5, PEOPLE = 20000 };
    int count[N] = {0};
    (void)state;
    put_senders(N);
    for (int i = 0; i < PEOPLE; i++) {
        count[sender_of(i, &any_sender, 0) - 100]++;
        assert_int_equal(sender_of(i, &any_sender, 0), sender_of(i, &any_sender, 0));
    }
    for (int s = 0; s < N; s++) {
        assert_in_range(count[s], PEOPLE / N * 9 / 10, PEOPLE / N * 11 / 10);
    }
}

static void a_new_sender_moves_only_its_own_share_of_people(void **state) {
    enum { PEOPLE = 10000 };
    static int32_t before[PEOPLE];
    int moved = 0;
    (void)state;
    put_senders(4);
    for (int i = 0; i < PEOPLE; i++) {
        before[i] = sender_of(i, &any_sender, 0);
    }
    put_senders(5);
    for (int i = 0; i < PEOPLE; i++) {
        int32_t now = sender_of(i, &any_sender, 0);
        assert_true(now == before[i] || now == 104); /* nobody moves between the old ones */
        moved += now != before[i];
    }
    assert_in_range(moved, PEOPLE / 5 * 9 / 10, PEOPLE / 5 * 11 / 10);
}

static void only_the_people_of_a_sender_that_is_down_move(void **state) {
    int32_t down = 102;
    (void)state;
    put_senders(4);
    for (int i = 0; i < 2000; i++) {
        const struct pr_sender *sender = pr_tenant_sender(&shop, &any_sender, person(i), 0, all_but, &down);
        assert_non_null(sender);
        int32_t usual = sender_of(i, &any_sender, 0);
        assert_true(sender->id != down);
        assert_true(usual == down || sender->id == usual);
    }
}

static void a_skipped_place_is_not_chosen_and_all_skipped_is_nobody(void **state) {
    (void)state;
    put_senders(3);
    for (int i = 0; i < 500; i++) {
        int32_t first = sender_of(i, &any_sender, 0);
        uint32_t skip = 1U << (first - 100);
        int32_t second = sender_of(i, &any_sender, skip);
        assert_true(second != 0 && second != first);
        skip |= 1U << (second - 100);
        int32_t third = sender_of(i, &any_sender, skip);
        assert_int_equal(first + second + third, 100 + 101 + 102);
        assert_int_equal(sender_of(i, &any_sender, 7), 0);
    }
}

static void places_behind_the_mask_cannot_be_skipped_and_do_not_disturb_it(void **state) {
    (void)state;
    put_senders(40);
    bool has_far = false;
    for (int i = 0; i < 500; i++) {
        int32_t sender = sender_of(i, &any_sender, UINT32_MAX);
        assert_in_range(sender, 132, 139);
        has_far = has_far || sender_of(i, &any_sender, 0) >= 132;
    }
    assert_true(has_far);
}

static void a_rule_that_names_senders_takes_only_those(void **state) {
    struct pr_span names[] = {PR_SPAN("s1"), PR_SPAN("s3"), PR_SPAN("unheard")};
    const struct pr_rule rule = {.senders_n = 3, .senders = names}, unheard = {.senders_n = 1, .senders = &names[2]};
    bool is_taken[4] = {false};
    (void)state;
    put_senders(4);
    for (int i = 0; i < 500; i++) {
        is_taken[sender_of(i, &rule, 0) - 100] = true;
        assert_int_equal(sender_of(i, &unheard, 0), 0);
    }
    assert_true(is_taken[1] && is_taken[3]);
    assert_false(is_taken[0] || is_taken[2]);
}

static void a_sender_that_is_not_connected_is_never_chosen(void **state) {
    (void)state;
    put_senders(2);
    senders[0].is_connected = false;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sender_of(i, &any_sender, 0), 101);
    }
    assert_int_equal(sender_of(0, &any_sender, 2), 0);
}

static void a_business_without_senders_has_nobody(void **state) {
    (void)state;
    assert_int_equal(sender_of(0, &any_sender, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_rule_that_takes_a_type_wins_and_says_its_rank),
        TEST(a_business_without_rules_takes_nothing),
        TEST(a_locale_falls_back_to_its_language_then_the_shops),
        TEST(the_shops_own_locale_comes_before_its_language),
        TEST(without_a_fitting_language_there_is_a_refusal),
        TEST(the_status_says_why_a_template_cannot_go),
        TEST(a_language_that_is_not_approved_is_passed_over),
        TEST(a_paused_language_is_the_refusal_that_is_told),
        TEST(the_strictest_category_of_all_languages_counts),
        TEST(recipients_spread_evenly_over_the_senders),
        TEST(a_new_sender_moves_only_its_own_share_of_people),
        TEST(only_the_people_of_a_sender_that_is_down_move),
        TEST(a_skipped_place_is_not_chosen_and_all_skipped_is_nobody),
        TEST(places_behind_the_mask_cannot_be_skipped_and_do_not_disturb_it),
        TEST(a_rule_that_names_senders_takes_only_those),
        TEST(a_sender_that_is_not_connected_is_never_chosen),
        TEST(a_business_without_senders_has_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
