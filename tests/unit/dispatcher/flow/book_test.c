/* Tests of the book: rows into tenants, the choice of a template by locale, and of a sender by recipient. */
#include "unit/dispatcher/book_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pr_book *book;

static int set_up(void **state) {
    (void)state;
    book = NULL;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pr_book_unref(book);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct pr_tenant *shop(void) {
    const struct pr_tenant *tenant = pr_book_tenant(book, PR_SPAN("shop"));
    assert_non_null(tenant);
    return tenant;
}

/* ---- rows ---- */

static void rows_become_tenants_with_what_is_theirs(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "pt_BR");
    put_tenant(rows, 2, "bakery", "es");
    put_sender(rows, 1, 11, 5, "main");
    put_sender_as(rows, 2, 12, 6, "oven", "banned");
    put_template(rows, 1, 21, "order", "pt_BR", "UTILITY", "APPROVED");
    put_rule(rows, 2, 0, "{\"name\": \"bread\", \"on\": \"bread.ready\", \"template\": \"bread\"}");
    book = book_of(rows);
    assert_int_equal(book->tenants_n, 2);
    assert_int_equal(book->faults, 0);
    const struct pr_tenant *bakery = pr_book_tenant_of(book, 2);
    assert_ptr_equal(pr_book_tenant(book, PR_SPAN("bakery")), bakery);
    assert_true(pr_span_is(bakery->locale, "es"));
    assert_int_equal(shop()->senders_n, 1);
    const struct pr_sender *main_sender = &shop()->senders[0];
    assert_int_equal(main_sender->id, 11);
    assert_int_equal(main_sender->pool, 5);
    assert_true(fabs(main_sender->rate - 80) < 1e-9);
    assert_true(pr_span_is(main_sender->name, "main") && pr_span_is(main_sender->address, "+551133330000"));
    assert_true(pr_span_is(main_sender->account, "1055") && pr_span_is(main_sender->secret, "token"));
    assert_int_equal(main_sender->provider, PR_PROVIDER_CLOUD_API);
    assert_true(main_sender->is_connected);
    assert_false(bakery->senders[0].is_connected);
    assert_int_equal(shop()->templates_n, 1);
    assert_int_equal(shop()->templates[0].id, 21);
    assert_int_equal(shop()->rules_n, 0);
    assert_int_equal(bakery->rules_n, 1);
    assert_true(pr_span_is(bakery->rules[0].name, "bread"));
}

static void a_provider_is_known_by_its_word(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "pt_BR");
    put_row(rows, 2, 1, 1, 1, 20, (const char *const[6]){"a", "360dialog", "+551133330000", "", "token", "connected"});
    book = book_of(rows);
    assert_int_equal(shop()->senders[0].provider, PR_PROVIDER_360DIALOG);
}

static void an_empty_database_is_a_book_without_tenants(void **state) {
    (void)state;
    book = book_of(rows_new());
    assert_int_equal(book->tenants_n, 0);
    assert_null(pr_book_tenant(book, PR_SPAN("shop")));
    assert_null(pr_book_tenant_of(book, 1));
}

static void what_does_not_compile_is_left_out_and_counted(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "pt_BR");
    put_row(rows, 3, 1, 1, 0, 0, (const char *const[6]){"bad", "pt_BR", "APPROVED", "{"});
    put_template(rows, 1, 2, "good", "pt_BR", "UTILITY", "APPROVED");
    put_rule(rows, 1, 0, "{\"name\": \"bad\", \"onn\": \"x\"}");
    put_rule(rows, 1, 1, "{\"name\": \"good\", \"on\": \"x\", \"template\": \"good\"}");
    book = book_of(rows);
    assert_int_equal(book->faults, 2);
    assert_int_equal(shop()->templates_n, 1);
    assert_int_equal(shop()->templates[0].id, 2);
    assert_int_equal(shop()->rules_n, 1);
    assert_true(pr_span_is(shop()->rules[0].name, "good"));
}

static void a_book_lives_as_long_as_its_references(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "pt_BR");
    book = book_of(rows);
    assert_ptr_equal(pr_book_ref(book), book);
    pr_book_unref(book);
    assert_non_null(pr_book_tenant(book, PR_SPAN("shop")));
    pr_book_unref(NULL);
}

/* What the platform says of a template later (paused, disabled) is written to its row; the definition is what was once uploaded. */
static void the_status_of_the_row_counts_not_that_of_the_definition(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "pt_BR");
    put_template_row(rows, 1, 1, "order", "pt_BR", "UTILITY", "paused", "APPROVED");
    book = book_of(rows);
    struct pr_template_choice choice = pr_tenant_template(shop(), PR_SPAN("order"), PR_SPAN("pt_BR"));
    assert_null(choice.tpl);
    assert_string_equal(choice.refusal, "template_paused");
}

/* ---- rules ---- */

static void the_first_rule_that_takes_a_type_wins_and_says_its_rank(void **state) {
    PGresult *rows = rows_new();
    int rank = 7;
    (void)state;
    put_tenant(rows, 1, "shop", "pt_BR");
    put_rule(rows, 1, 0, "{\"name\": \"ship\", \"on\": {\"sent\": \"a\", \"near\": \"b\", \"there\": \"c\"}}");
    put_rule(rows, 1, 1, "{\"name\": \"late\", \"on\": \"near\", \"template\": \"d\"}");
    put_rule(rows, 1, 2, "{\"name\": \"pay\", \"on\": \"paid\", \"template\": \"e\"}");
    book = book_of(rows);
    const struct pr_rule *rule = pr_tenant_rule(shop(), PR_SPAN("near"), &rank);
    assert_non_null(rule);
    assert_true(pr_span_is(rule->name, "ship"));
    assert_int_equal(rank, 1);
    rule = pr_tenant_rule(shop(), PR_SPAN("paid"), &rank);
    assert_non_null(rule);
    assert_true(pr_span_is(rule->name, "pay"));
    assert_int_equal(rank, 0);
    assert_null(pr_tenant_rule(shop(), PR_SPAN("nobody.asks"), &rank));
}

/* ---- templates ---- */

static void languages(const char *const *list, size_t n, const char *locale) {
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", locale);
    for (size_t i = 0; i < n; i++) {
        put_template(rows, 1, (int32_t)i + 1, "order", list[i], "UTILITY", "APPROVED");
    }
    put_template(rows, 1, 100, "other", "fr", "UTILITY", "APPROVED");
    book = book_of(rows);
}

static const char *language_for(const char *locale) {
    static char text[32];
    struct pr_template_choice choice = pr_tenant_template(shop(), PR_SPAN("order"), pr_span_of(locale));
    if (!choice.tpl) {
        return choice.refusal;
    }
    (void)snprintf(text, sizeof(text), "%.*s", PR_SPAN_ARG(choice.tpl->language));
    return text;
}

static void a_locale_falls_back_to_its_language_then_the_shops(void **state) {
    static const char *const list[] = {"es", "pt", "pt_PT", "pt_BR", "en"};
    (void)state;
    languages(list, 5, "en_US");
    assert_string_equal(language_for("pt_BR"), "pt_BR");
    assert_string_equal(language_for("pt-BR"), "pt_BR"); /* written the other way */
    assert_string_equal(language_for("pt_AO"), "pt");    /* never another country's */
    assert_string_equal(language_for("es_MX"), "es");
    assert_string_equal(language_for("es"), "es");
    assert_string_equal(language_for("de_DE"), "en");
    assert_string_equal(language_for(""), "en");
    assert_string_equal(language_for("fr"), "en"); /* another template has it */
}

static void the_shops_own_locale_comes_before_its_language(void **state) {
    static const char *const list[] = {"en", "en_US"};
    (void)state;
    languages(list, 2, "en_US");
    assert_string_equal(language_for("de"), "en_US");
    assert_string_equal(language_for("en_GB"), "en");
}

static void without_a_fitting_language_there_is_a_refusal(void **state) {
    static const char *const list[] = {"ja", "ko"};
    (void)state;
    languages(list, 2, "en_US");
    assert_string_equal(language_for("pt_BR"), "no_template_language");
    assert_string_equal(language_for(""), "no_template_language");
    assert_string_equal(language_for("j"), "no_template_language");
    struct pr_template_choice choice = pr_tenant_template(shop(), PR_SPAN("unheard"), PR_SPAN("ja"));
    assert_null(choice.tpl);
    assert_false(choice.has_name);
    assert_string_equal(choice.refusal, "no_template");
}

static void the_status_says_why_a_template_cannot_go(void **state) {
    static const char *const cases[][2] = {{"PAUSED", "template_paused"},
                                           {"DISABLED", "template_disabled"},
                                           {"REJECTED", "template_rejected"},
                                           {"PENDING", "template_pending"},
                                           {"IN_APPEAL", "template_not_approved"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        PGresult *rows = rows_new();
        put_tenant(rows, 1, "shop", "pt_BR");
        put_template(rows, 1, 1, "order", "pt_BR", "UTILITY", cases[i][0]);
        book = book_of(rows);
        struct pr_template_choice choice = pr_tenant_template(shop(), PR_SPAN("order"), PR_SPAN("pt_BR"));
        assert_null(choice.tpl);
        assert_true(choice.has_name);
        assert_string_equal(choice.refusal, cases[i][1]);
        pr_book_unref(book);
        book = NULL;
    }
}

static void a_language_that_is_not_approved_is_passed_over(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "en");
    put_template(rows, 1, 1, "order", "pt_BR", "UTILITY", "PAUSED");
    put_template(rows, 1, 2, "order", "pt", "UTILITY", "REJECTED");
    put_template(rows, 1, 3, "order", "en", "UTILITY", "APPROVED");
    book = book_of(rows);
    assert_string_equal(language_for("pt_BR"), "en");
}

/* Whoever waits for a template must learn that it is only paused, in whatever order its languages come. */
static void a_paused_language_is_the_refusal_that_is_told(void **state) {
    static const char *const statuses[][2] = {{"PAUSED", "REJECTED"}, {"REJECTED", "PAUSED"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        PGresult *rows = rows_new();
        put_tenant(rows, 1, "shop", "en");
        put_template(rows, 1, 1, "order", "pt_BR", "UTILITY", statuses[i][0]);
        put_template(rows, 1, 2, "order", "pt", "UTILITY", statuses[i][1]);
        book = book_of(rows);
        assert_string_equal(language_for("pt_BR"), "template_paused");
        pr_book_unref(book);
        book = NULL;
    }
}

static enum pr_category category_of(const char *const *categories, size_t n) {
    PGresult *rows = rows_new();
    char language[8];
    put_tenant(rows, 1, "shop", "en");
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(language, sizeof(language), "l%c", (char)('a' + (int)i));
        put_template(rows, 1, (int32_t)i + 1, "order", language, categories[i], i == 0 ? "APPROVED" : "REJECTED");
    }
    put_template(rows, 1, 50, "other", "la", "MARKETING", "APPROVED");
    book = book_of(rows);
    enum pr_category category = pr_tenant_template(shop(), PR_SPAN("order"), PR_SPAN("la")).category;
    pr_book_unref(book);
    book = NULL;
    return category;
}

static void the_strictest_category_of_all_languages_counts(void **state) {
    (void)state;
    assert_int_equal(category_of((const char *const[]){"UTILITY"}, 1), PR_CATEGORY_UTILITY);
    assert_int_equal(category_of((const char *const[]){"UTILITY", "MARKETING"}, 2), PR_CATEGORY_MARKETING);
    assert_int_equal(category_of((const char *const[]){"MARKETING", "UTILITY"}, 2), PR_CATEGORY_MARKETING);
    assert_int_equal(category_of((const char *const[]){"UTILITY", "AUTHENTICATION", "UTILITY"}, 3),
                     PR_CATEGORY_AUTHENTICATION);
    assert_int_equal(category_of((const char *const[]){"AUTHENTICATION", "MARKETING"}, 2), PR_CATEGORY_MARKETING);
    assert_int_equal(category_of((const char *const[]){"AUTHENTICATION", "UTILITY"}, 2), PR_CATEGORY_AUTHENTICATION);
}

/* ---- senders ---- */

static bool everyone_is_up(void *arg, const struct pr_sender *sender) {
    (void)arg, (void)sender;
    return true;
}

static bool all_but(void *arg, const struct pr_sender *sender) {
    const int32_t *down = arg;
    return sender->id != *down;
}

static const struct pr_rule any_sender;

static void senders(int n) {
    PGresult *rows = rows_new();
    put_tenant(rows, 1, "shop", "en");
    for (int i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%d", i);
        put_sender(rows, 1, 100 + i, 1, name);
    }
    book = book_of(rows);
}

static struct pr_span person(int i) {
    static char text[24];
    return pr_span_make(text, (size_t)snprintf(text, sizeof(text), "+55119%08d", i));
}

static int32_t sender_of(int i, const struct pr_rule *rule, uint32_t skip) {
    const struct pr_sender *sender = pr_tenant_sender(shop(), rule, person(i), skip, everyone_is_up, NULL);
    return sender ? sender->id : 0;
}

static void recipients_spread_evenly_over_the_senders(void **state) {
    enum { N = 5, PEOPLE = 20000 };
    int count[N] = {0};
    (void)state;
    senders(N);
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
    senders(4);
    for (int i = 0; i < PEOPLE; i++) {
        before[i] = sender_of(i, &any_sender, 0);
    }
    pr_book_unref(book);
    senders(5);
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
    senders(4);
    for (int i = 0; i < 2000; i++) {
        const struct pr_sender *sender = pr_tenant_sender(shop(), &any_sender, person(i), 0, all_but, &down);
        assert_non_null(sender);
        int32_t usual = sender_of(i, &any_sender, 0);
        assert_true(sender->id != down);
        assert_true(usual == down || sender->id == usual);
    }
}

static void a_skipped_place_is_not_chosen_and_all_skipped_is_nobody(void **state) {
    (void)state;
    senders(3);
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
    senders(40);
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
    senders(4);
    for (int i = 0; i < 500; i++) {
        is_taken[sender_of(i, &rule, 0) - 100] = true;
        assert_int_equal(sender_of(i, &unheard, 0), 0);
    }
    assert_true(is_taken[1] && is_taken[3]);
    assert_false(is_taken[0] || is_taken[2]);
}

static void a_sender_that_is_not_connected_is_never_chosen(void **state) {
    PGresult *rows = rows_new();
    (void)state;
    put_tenant(rows, 1, "shop", "en");
    put_sender_as(rows, 1, 100, 1, "a", "pending");
    put_sender(rows, 1, 101, 1, "b");
    book = book_of(rows);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sender_of(i, &any_sender, 0), 101);
    }
    assert_int_equal(sender_of(0, &any_sender, 2), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(rows_become_tenants_with_what_is_theirs),
        TEST(a_provider_is_known_by_its_word),
        TEST(an_empty_database_is_a_book_without_tenants),
        TEST(what_does_not_compile_is_left_out_and_counted),
        TEST(a_book_lives_as_long_as_its_references),
        TEST(the_status_of_the_row_counts_not_that_of_the_definition),
        TEST(the_first_rule_that_takes_a_type_wins_and_says_its_rank),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
