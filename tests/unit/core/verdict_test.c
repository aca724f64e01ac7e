/* Tests of the verdict table: every state, every relation of gens, every combination of facts, against the table written out again. */
#include "core/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What the facts of one bit pattern say. */
static struct pr_verdict_facts facts_of(enum pr_message_state state, int32_t row_gen, int32_t gen, unsigned bits) {
    return (struct pr_verdict_facts){
        .state = state,
        .row_gen = row_gen,
        .gen = gen,
        .is_own_claim = bits & 1,
        .is_owner_alive = bits & 2,
        .is_resend_allowed = bits & 4,
        .has_definite_outcome = bits & 8,
        .is_wire_clear = bits & 16,
    };
}

/* The design's table for work of the row's own gen, as plain conditions: deliberately not the shape of the code under test. */
static enum pr_verdict expected_of_equal_gens(const struct pr_verdict_facts *f) {
    bool is_open = f->state == PR_STATE_UNCLAIMED || f->state == PR_STATE_DEFERRED || f->state == PR_STATE_REDRIVEN;
    bool is_settled_by_it =
        f->state == PR_STATE_CLAIMED || f->state == PR_STATE_UNCLAIMED || f->state == PR_STATE_UNKNOWN;
    if (f->has_definite_outcome && is_settled_by_it)
        return PR_VERDICT_DUPLICATE;
    if (is_open)
        return PR_VERDICT_EVALUATE;
    if (f->state == PR_STATE_UNKNOWN)
        return f->is_resend_allowed ? PR_VERDICT_EVALUATE : PR_VERDICT_WAITING;
    if (f->is_own_claim)
        return PR_VERDICT_STORED;
    if (f->state != PR_STATE_CLAIMED)
        return PR_VERDICT_DUPLICATE;
    if (f->is_owner_alive)
        return PR_VERDICT_HELD;
    return f->is_wire_clear ? PR_VERDICT_EVALUATE : PR_VERDICT_ORPHAN;
}

static enum pr_verdict expected(const struct pr_verdict_facts *f) {
    if (f->state == PR_STATE_NONE)
        return f->gen == 0 ? PR_VERDICT_EVALUATE : PR_VERDICT_NO_ROW;
    if (f->gen < f->row_gen || f->state == PR_STATE_SHADOW)
        return PR_VERDICT_DUPLICATE;
    return f->gen > f->row_gen ? PR_VERDICT_NO_ROW : expected_of_equal_gens(f);
}

static void every_cell_is_as_the_design_says(void **state) {
    (void)state;
    int cells = 0;
    for (int row_state = PR_STATE_NONE; row_state <= PR_STATE_SHADOW; row_state++) {
        for (int32_t row_gen = 0; row_gen <= 3; row_gen++) {
            for (int32_t gen = 0; gen <= 3; gen++) {
                for (unsigned bits = 0; bits < 32; bits++, cells++) {
                    struct pr_verdict_facts facts = facts_of((enum pr_message_state)row_state, row_gen, gen, bits);
                    if (pr_verdict_of(&facts) != expected(&facts))
                        fail_msg("%s row %d work %d bits %x: %s", pr_message_state_name(facts.state), row_gen, gen,
                                 bits, pr_verdict_name(pr_verdict_of(&facts)));
                }
            }
        }
    }
    assert_int_equal(cells, 12 * 4 * 4 * 32);
}

static enum pr_verdict verdict(enum pr_message_state state, int32_t row_gen, int32_t gen, unsigned bits) {
    struct pr_verdict_facts facts = facts_of(state, row_gen, gen, bits);
    return pr_verdict_of(&facts);
}

static void a_new_message_is_evaluated(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_NONE, 0, 0, 0), PR_VERDICT_EVALUATE);
}

static void what_comes_back_to_no_row_is_a_dead_letter(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_NONE, 0, 1, 0), PR_VERDICT_NO_ROW);
}

static void work_from_the_future_is_a_dead_letter_and_never_sent(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_DEFERRED, 1, 2, 0), PR_VERDICT_NO_ROW);
    assert_int_equal(verdict(PR_STATE_CLAIMED, 1, 2, 1), PR_VERDICT_NO_ROW);
}

static void a_publisher_who_repeats_a_deferred_message_makes_a_duplicate(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_DEFERRED, 1, 0, 0), PR_VERDICT_DUPLICATE);
}

static void a_claim_of_a_live_owner_is_held_and_of_a_dead_one_is_an_orphan(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_CLAIMED, 0, 0, 2), PR_VERDICT_HELD);
    assert_int_equal(verdict(PR_STATE_CLAIMED, 0, 0, 0), PR_VERDICT_ORPHAN);
    assert_int_equal(verdict(PR_STATE_CLAIMED, 0, 0, 1), PR_VERDICT_STORED);
}

static void a_dead_owners_claim_that_never_left_is_evaluated_and_a_live_ones_is_held(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_CLAIMED, 0, 0, 16), PR_VERDICT_EVALUATE);
    assert_int_equal(verdict(PR_STATE_CLAIMED, 0, 0, 16 | 2), PR_VERDICT_HELD);
    assert_int_equal(verdict(PR_STATE_CLAIMED, 1, 0, 16), PR_VERDICT_DUPLICATE);
    assert_int_equal(verdict(PR_STATE_UNKNOWN, 1, 1, 16), PR_VERDICT_WAITING);
}

static void a_definite_answer_is_never_sent_again_whoever_owns_the_row(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 32; bits++) {
        if (!(bits & 8))
            continue;
        assert_int_equal(verdict(PR_STATE_CLAIMED, 0, 0, bits), PR_VERDICT_DUPLICATE);
        assert_int_equal(verdict(PR_STATE_UNCLAIMED, 0, 0, bits), PR_VERDICT_DUPLICATE);
        assert_int_equal(verdict(PR_STATE_UNKNOWN, 1, 1, bits), PR_VERDICT_DUPLICATE);
    }
}

static void a_redriven_message_is_evaluated_in_spite_of_its_rejected_attempt(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_REDRIVEN, 2, 2, 8), PR_VERDICT_EVALUATE);
}

static void an_unknown_waits_unless_it_may_be_resent(void **state) {
    (void)state;
    assert_int_equal(verdict(PR_STATE_UNKNOWN, 1, 1, 0), PR_VERDICT_WAITING);
    assert_int_equal(verdict(PR_STATE_UNKNOWN, 1, 1, 4), PR_VERDICT_EVALUATE);
}

static void nothing_but_evaluate_and_stored_can_lead_to_a_send(void **state) {
    (void)state;
    for (int row_state = PR_STATE_NONE; row_state <= PR_STATE_SHADOW; row_state++) {
        for (unsigned bits = 0; bits < 32; bits++)
            assert_int_not_equal(verdict((enum pr_message_state)row_state, 0, 0, bits), PR_VERDICT_SEND);
    }
}

static void a_state_of_a_newer_schema_is_not_sent(void **state) {
    (void)state;
    assert_int_equal(verdict((enum pr_message_state)12, 0, 0, 0), PR_VERDICT_NO_ROW);
    assert_string_equal(pr_message_state_name((enum pr_message_state)12), "invalid");
}

static void every_state_and_verdict_has_a_name(void **state) {
    (void)state;
    for (int i = 0; i <= PR_STATE_SHADOW; i++)
        assert_string_not_equal(pr_message_state_name((enum pr_message_state)i), "invalid");
    for (int i = 0; i <= PR_VERDICT_STORED; i++)
        assert_string_not_equal(pr_verdict_name((enum pr_verdict)i), "invalid");
    assert_string_equal(pr_message_state_name(PR_STATE_UNCLAIMED), "unclaimed");
    assert_string_equal(pr_verdict_name(PR_VERDICT_NO_ROW), "no_row");
    assert_string_equal(pr_verdict_name((enum pr_verdict)99), "invalid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_as_the_design_says),
        cmocka_unit_test(a_new_message_is_evaluated),
        cmocka_unit_test(what_comes_back_to_no_row_is_a_dead_letter),
        cmocka_unit_test(work_from_the_future_is_a_dead_letter_and_never_sent),
        cmocka_unit_test(a_publisher_who_repeats_a_deferred_message_makes_a_duplicate),
        cmocka_unit_test(a_claim_of_a_live_owner_is_held_and_of_a_dead_one_is_an_orphan),
        cmocka_unit_test(a_dead_owners_claim_that_never_left_is_evaluated_and_a_live_ones_is_held),
        cmocka_unit_test(a_definite_answer_is_never_sent_again_whoever_owns_the_row),
        cmocka_unit_test(a_redriven_message_is_evaluated_in_spite_of_its_rejected_attempt),
        cmocka_unit_test(an_unknown_waits_unless_it_may_be_resent),
        cmocka_unit_test(nothing_but_evaluate_and_stored_can_lead_to_a_send),
        cmocka_unit_test(a_state_of_a_newer_schema_is_not_sent),
        cmocka_unit_test(every_state_and_verdict_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
