/* The verdict table as data: a line per state, a column per relation between the gen of the work and that of the row. */
#include "core/verdict.h"

#include <stddef.h>

enum { STATES = PR_STATE_SHADOW + 1 };

/* What stands in a cell: a verdict, or which facts decide. */
enum cell { EVALUATE, DUPLICATE, NO_ROW, BY_OWNER, BY_CLAIM, BY_RESEND };

enum relation { SMALLER, EQUAL, LARGER };

struct line {
    const char *name;
    bool is_settled_by_outcome; /* a definite outcome makes it as good as accepted or refused */
    enum cell cell[3];          /* by enum relation: the work's gen against the row's */
};

static const struct line table[STATES] = {
    [PR_STATE_NONE] = {"none", false, {NO_ROW, EVALUATE, NO_ROW}}, /* the relation is to 0 here */
    [PR_STATE_CLAIMED] = {"claimed", true, {DUPLICATE, BY_OWNER, NO_ROW}},
    [PR_STATE_UNCLAIMED] = {"unclaimed", true, {DUPLICATE, EVALUATE, NO_ROW}},
    [PR_STATE_DEFERRED] = {"deferred", false, {DUPLICATE, EVALUATE, NO_ROW}},
    [PR_STATE_UNKNOWN] = {"unknown", true, {DUPLICATE, BY_RESEND, NO_ROW}},
    [PR_STATE_REDRIVEN] = {"redriven", false, {DUPLICATE, EVALUATE, NO_ROW}},
    [PR_STATE_ACCEPTED] = {"accepted", false, {DUPLICATE, BY_CLAIM, NO_ROW}},
    [PR_STATE_REFUSED] = {"refused", false, {DUPLICATE, BY_CLAIM, NO_ROW}},
    [PR_STATE_CANCELLED] = {"cancelled", false, {DUPLICATE, BY_CLAIM, NO_ROW}},
    [PR_STATE_SUPERSEDED] = {"superseded", false, {DUPLICATE, BY_CLAIM, NO_ROW}},
    [PR_STATE_DEAD] = {"dead", false, {DUPLICATE, BY_CLAIM, NO_ROW}},
    [PR_STATE_SHADOW] = {"shadow", false, {DUPLICATE, DUPLICATE, DUPLICATE}},
};

static const char *const verdict_names[] = {
    [PR_VERDICT_EVALUATE] = "evaluate", [PR_VERDICT_SEND] = "send",           [PR_VERDICT_DUPLICATE] = "duplicate",
    [PR_VERDICT_REFUSED] = "refused",   [PR_VERDICT_CANCELLED] = "cancelled", [PR_VERDICT_SUPERSEDED] = "superseded",
    [PR_VERDICT_DEFER] = "defer",       [PR_VERDICT_HELD] = "held",           [PR_VERDICT_ORPHAN] = "orphan",
    [PR_VERDICT_WAITING] = "waiting",   [PR_VERDICT_NO_ROW] = "no_row",       [PR_VERDICT_STORED] = "stored",
};

/* The number may come from the database, so one that is not in the table has a name too. */
const char *pr_message_state_name(enum pr_message_state state) {
    return (size_t)state < STATES ? table[state].name : "invalid";
}

const char *pr_verdict_name(enum pr_verdict verdict) {
    return (size_t)verdict < sizeof verdict_names / sizeof verdict_names[0] ? verdict_names[verdict] : "invalid";
}

static enum relation relate(int32_t gen, int32_t row_gen) {
    return gen < row_gen ? SMALLER : gen > row_gen ? LARGER : EQUAL;
}

static enum pr_verdict by_owner(const struct pr_verdict_facts *facts) {
    if (facts->is_own_claim)
        return PR_VERDICT_STORED;
    if (facts->is_owner_alive)
        return PR_VERDICT_HELD;
    return facts->is_wire_clear ? PR_VERDICT_EVALUATE : PR_VERDICT_ORPHAN;
}

enum pr_verdict pr_verdict_of(const struct pr_verdict_facts *facts) {
    if ((size_t)facts->state >= STATES)
        return PR_VERDICT_NO_ROW; /* a state of a newer schema: never sent, kept for a person to see */
    const struct line *line = &table[facts->state];
    int32_t row_gen = facts->state == PR_STATE_NONE ? 0 : facts->row_gen;
    enum relation relation = relate(facts->gen, row_gen);
    if (relation == EQUAL && line->is_settled_by_outcome && facts->has_definite_outcome)
        return PR_VERDICT_DUPLICATE;
    switch (line->cell[relation]) {
    case EVALUATE: return PR_VERDICT_EVALUATE;
    case DUPLICATE: return PR_VERDICT_DUPLICATE;
    case NO_ROW: return PR_VERDICT_NO_ROW;
    case BY_OWNER: return by_owner(facts);
    case BY_CLAIM: /* the batch that settled it, repeated because its commit was not heard of */
        return facts->is_own_claim ? PR_VERDICT_STORED : PR_VERDICT_DUPLICATE;
    case BY_RESEND: return facts->is_resend_allowed ? PR_VERDICT_EVALUATE : PR_VERDICT_WAITING;
    }
    return PR_VERDICT_NO_ROW; /* not reached: the switch is closed */
}
