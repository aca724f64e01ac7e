/* Tests of the book: rows become tenants, and what does not compile is left out. */
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

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(rows_become_tenants_with_what_is_theirs),
        TEST(a_provider_is_known_by_its_word),
        TEST(an_empty_database_is_a_book_without_tenants),
        TEST(what_does_not_compile_is_left_out_and_counted),
        TEST(a_book_lives_as_long_as_its_references),
        TEST(the_status_of_the_row_counts_not_that_of_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
