/* Prints what pr_verdict_of says for every combination of facts, a line each, so that a test can ask the SQL the same. */
#include "core/verdict.h"

#include <stdio.h>

enum { GENS = 3, FLAGS = 32 };

static void print_cell(int state, int row_gen, int gen, unsigned flags) {
    const struct pr_verdict_facts facts = {
        .state = (enum pr_message_state)state,
        .row_gen = row_gen,
        .gen = gen,
        .is_own_claim = (flags & 1) != 0,
        .is_owner_alive = (flags & 2) != 0,
        .is_wire_clear = (flags & 4) != 0,
        .is_resend_allowed = (flags & 8) != 0,
        .has_definite_outcome = (flags & 16) != 0,
    };
    printf("%d %d %d %d %d %d %d %d %d\n", state, row_gen, gen, facts.is_own_claim, facts.is_owner_alive,
           facts.is_wire_clear, facts.is_resend_allowed, facts.has_definite_outcome, (int)pr_verdict_of(&facts));
}

/* One state more than there are: a row that a newer schema wrote. */
int main(void) {
    for (int state = PR_STATE_NONE; state <= PR_STATE_SHADOW + 1; state++) {
        for (int gens = 0; gens < GENS * GENS; gens++) {
            for (unsigned flags = 0; flags < FLAGS; flags++) {
                print_cell(state, gens / GENS, gens % GENS, flags);
            }
        }
    }
    return 0;
}
