/* The verdict table: what a record means for the message row that is already there. Mirrored by SQL, tested cell by cell. */
#ifndef PR_CORE_VERDICT_H
#define PR_CORE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* message.state; the numbers are stored and never change. */
enum pr_message_state {
    PR_STATE_NONE = 0, /* no row */
    PR_STATE_CLAIMED = 1,
    PR_STATE_UNCLAIMED = 2, /* written back before curl had it */
    PR_STATE_DEFERRED = 3,
    PR_STATE_UNKNOWN = 4,
    PR_STATE_REDRIVEN = 5,
    PR_STATE_ACCEPTED = 6,
    PR_STATE_REFUSED = 7,
    PR_STATE_CANCELLED = 8,
    PR_STATE_SUPERSEDED = 9,
    PR_STATE_DEAD = 10,
    PR_STATE_SHADOW = 11, /* the second day of an id near midnight: only keeps the key */
};
const char *pr_message_state_name(enum pr_message_state state);

/* What the claim does with the job. The numbers are what claim_v1 returns. */
enum pr_verdict {
    PR_VERDICT_EVALUATE = 0, /* internal to the claim: looks at consent, quota, … and becomes one of the others */
    PR_VERDICT_SEND = 1,
    PR_VERDICT_DUPLICATE = 2, /* another record already made this message */
    PR_VERDICT_REFUSED = 3,
    PR_VERDICT_CANCELLED = 4,
    PR_VERDICT_SUPERSEDED = 5,
    PR_VERDICT_DEFER = 6, /* until a time, or until a pool has room */
    PR_VERDICT_HELD = 7,
    PR_VERDICT_ORPHAN = 8,
    PR_VERDICT_WAITING = 9, /* unknown, and no resend allowed now */
    PR_VERDICT_NO_ROW = 10, /* dead letter `no ledger row` */
    PR_VERDICT_STORED = 11, /* internal: the row is this very claim's; its stored verdict again */
};
const char *pr_verdict_name(enum pr_verdict verdict);

/* What the statement sees. */
struct pr_verdict_facts {
    enum pr_message_state state;
    int32_t row_gen;
    int32_t gen;       /* of the work */
    bool is_own_claim; /* same owner, epoch and claim number */
    bool is_owner_alive;
    bool is_wire_clear; /* the dead owner's journal is known, and no request of this claim is without a recorded answer */
    bool is_resend_allowed;    /* unknown only */
    bool has_definite_outcome; /* an accepted or rejected attempt is recorded: counts as accepted/refused, but see below */
};

/*
 * The table of the design. What it leaves open is decided here:
 * - Work whose gen is larger than the row's cannot happen in order; the ledger went back (a restore, a fail-over that lost commits).
 *   It is NO_ROW: a dead letter that a person looks at. HELD would ask for ever, and evaluating could send a second time.
 * - A shadow row answers DUPLICATE to any gen: what comes back carries the day of its true row.
 * - A definite outcome settles what is claimed (even by this very claim: sending it would be a second time), written back or unknown; nothing else.
 *   A redriven row is evaluated all the same: who redrives a message has seen how it ended, and its rejected attempt is the very reason.
 * - A dead owner's claim is an orphan, because its request may be out, unless the owner's journal shows that it is not: then it is as good as written
 *   back. Of a living owner nothing is concluded.
 * - A row that this very claim inserted as refused, cancelled or superseded gives its stored verdict again, so that a batch repeated after
 *   a cut connection reports the same fate and not a duplicate.
 */
enum pr_verdict pr_verdict_of(const struct pr_verdict_facts *facts);

#endif
