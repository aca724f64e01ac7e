/* Tests cutting, one-line text and percent-encoding at the edges where a byte more would break a character. */
#include "core/text.h"

#include "arena_fixture.h"

static void a_cut_counts_characters_and_not_bytes(void **state) {
    (void)state;
    assert_span(pr_text_cut(PR_SPAN("João Ávila"), 4), "João");
    assert_span(pr_text_cut(PR_SPAN("João"), 4), "João");
    assert_span(pr_text_cut(PR_SPAN("João"), 3), "Joã");
    assert_span(pr_text_cut(PR_SPAN(""), 3), "");
    assert_span(pr_text_cut(PR_SPAN("日本語"), 1), "日");
}

static void a_cut_leaves_no_space_at_the_end(void **state) {
    (void)state;
    assert_span(pr_text_cut(PR_SPAN("Ana Maria"), 4), "Ana");
    assert_span(pr_text_cut(PR_SPAN("Ana Maria"), 5), "Ana M");
}

static void a_cut_keeps_marks_and_joined_emoji_whole(void **state) {
    (void)state;
    assert_span(pr_text_cut(PR_SPAN("cafe\xcc\x81 au lait"), 4), "caf");
    assert_span(pr_text_cut(PR_SPAN("cafe\xcc\x81 au lait"), 5), "cafe\xcc\x81");
    assert_span(pr_text_cut(PR_SPAN("a👩‍🚀b"), 2), "a"); /* woman, joiner, rocket */
    assert_span(pr_text_cut(PR_SPAN("a👩‍🚀b"), 3), "a");
    assert_span(pr_text_cut(PR_SPAN("a👩‍🚀b"), 4), "a👩‍🚀");
    assert_span(pr_text_cut(PR_SPAN("ok👍🏽!"), 3), "ok");
}

static void a_cut_inside_the_first_character_still_leaves_something(void **state) {
    (void)state;
    assert_span(pr_text_cut(PR_SPAN("e\xcc\x81\xcc\x82 fin"), 1), "e");
    assert_span(pr_text_cut(PR_SPAN("e\xcc\x81\xcc\x82 fin"), 2), "e\xcc\x81");
}

static void a_clean_line_is_not_copied(void **state) {
    (void)state;
    struct pr_span s = PR_SPAN("Rua das Flores 12");
    assert_ptr_equal(pr_text_line(s, &arena).p, s.p);
    assert_int_equal(arena.used, 0);
    struct pr_span trimmed = pr_text_line(PR_SPAN("  Rua \t\n"), &arena);
    assert_span(trimmed, "Rua");
    assert_int_equal(arena.used, 0);
}

static void white_space_of_all_kinds_becomes_one_space(void **state) {
    (void)state;
    assert_span(pr_text_line(PR_SPAN("a\nb"), &arena), "a b");
    assert_span(pr_text_line(PR_SPAN("a\r\n\tb"), &arena), "a b");
    assert_span(pr_text_line(PR_SPAN("a     b"), &arena), "a b");
    assert_span(pr_text_line(PR_SPAN("a  b"), &arena), "a b");
    assert_span(pr_text_line(PR_SPAN("a\x01\x7f"
                                     "b"),
                             &arena),
                "a b");
    assert_span(pr_text_line(PR_SPAN("a\xc2\x85"
                                     "b"),
                             &arena),
                "a b");
    assert_span(pr_text_line(PR_SPAN("\xe2\x80\xa9 a\xe2\x80\xa8"
                                     "b\xe2\x80\xa9"),
                             &arena),
                "a b");
    assert_span(pr_text_line(PR_SPAN(" \n\t "), &arena), "");
    assert_non_null(pr_text_line(PR_SPAN(" \n\t "), &arena).p);
}

static void no_break_spaces_and_other_text_stay(void **state) {
    (void)state;
    assert_span(pr_text_line(PR_SPAN("R$\xc2\xa0"
                                     "5"),
                             &arena),
                "R$\xc2\xa0"
                "5");
    assert_span(pr_text_line(PR_SPAN("â €\xc2\xa9"), &arena), "â €\xc2\xa9");
}

static void a_line_that_does_not_fit_the_arena_has_no_bytes(void **state) {
    (void)state;
    pr_arena_free(&arena);
    pr_arena_init(&arena, 2);
    assert_null(pr_text_line(PR_SPAN("a\nbc"), &arena).p);
    assert_null(pr_text_url(PR_SPAN("a b"), &arena).p);
    assert_true(arena.failed);
}

static void a_url_keeps_what_rfc_3986_allows(void **state) {
    (void)state;
    struct pr_span s = PR_SPAN("p/1001?a=b&c=d#e-._~:@!$'()*+,;%2F");
    assert_ptr_equal(pr_text_url(s, &arena).p, s.p);
    assert_int_equal(arena.used, 0);
}

static void a_url_loses_everything_else(void **state) {
    (void)state;
    assert_span(pr_text_url(PR_SPAN("a b"), &arena), "a%20b");
    assert_span(pr_text_url(PR_SPAN("São"), &arena), "S%C3%A3o");
    assert_span(pr_text_url(PR_SPAN("\"<>[]{}|\\^`"), &arena), "%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60");
    assert_span(pr_text_url(PR_SPAN("50%"), &arena), "50%25");
    assert_span(pr_text_url(PR_SPAN("%2"), &arena), "%252");
    assert_span(pr_text_url(pr_span_make("%2F", 2), &arena), "%252"); /* what follows is not ours */
    assert_span(pr_text_url(PR_SPAN("%zz%2f"), &arena), "%25zz%2f");
    assert_span(pr_text_url(PR_SPAN("\x7f"), &arena), "%7F");
}

static void scrubbing_replaces_only_broken_bytes(void **state) {
    (void)state;
    char whole[] = "endereço 👍";
    pr_text_scrub(whole);
    assert_string_equal(whole, "endereço 👍");
    char cut[] = "endere\xc3";
    pr_text_scrub(cut);
    assert_string_equal(cut, "endere?");
    char odd[] = "\xa7"
                 "a\xf0\x9f\x91"
                 "b\xff";
    pr_text_scrub(odd);
    assert_string_equal(odd, "?a???b?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_counts_characters_and_not_bytes),
        cmocka_unit_test(a_cut_leaves_no_space_at_the_end),
        cmocka_unit_test(a_cut_keeps_marks_and_joined_emoji_whole),
        cmocka_unit_test(a_cut_inside_the_first_character_still_leaves_something),
        cmocka_unit_test_setup_teardown(a_clean_line_is_not_copied, set_up_arena, tear_down_arena),
        cmocka_unit_test_setup_teardown(white_space_of_all_kinds_becomes_one_space, set_up_arena, tear_down_arena),
        cmocka_unit_test_setup_teardown(no_break_spaces_and_other_text_stay, set_up_arena, tear_down_arena),
        cmocka_unit_test_setup_teardown(a_line_that_does_not_fit_the_arena_has_no_bytes, set_up_arena, tear_down_arena),
        cmocka_unit_test_setup_teardown(a_url_keeps_what_rfc_3986_allows, set_up_arena, tear_down_arena),
        cmocka_unit_test_setup_teardown(a_url_loses_everything_else, set_up_arena, tear_down_arena),
        cmocka_unit_test(scrubbing_replaces_only_broken_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
