/* Turns: tables take them one after another, and at each table its seats do, so that who has many seats gets no more than who has one. */
#ifndef PR_FLOW_ROUND_H
#define PR_FLOW_ROUND_H

#include <bsd/sys/queue.h>
#include <stdbool.h>

struct pr_round_table;

/* A sender that has work. Cleared: it has none. */
struct pr_round_seat {
    TAILQ_ENTRY(pr_round_seat) link;
    struct pr_round_table *table;
    bool is_taken;
};
TAILQ_HEAD(pr_round_seats, pr_round_seat);

/* A tenant. In the round as long as a seat of it is taken. */
struct pr_round_table {
    TAILQ_ENTRY(pr_round_table) link;
    struct pr_round_seats seats;
};

/* Only those with work are in it, so nothing here costs more with more senders. */
struct pr_round {
    TAILQ_HEAD(, pr_round_table) tables;
};

void pr_round_init(struct pr_round *round);
void pr_round_table_init(struct pr_round_table *table);

/* Takes a seat at its table, behind the others there; nothing happens when it has one. */
void pr_round_join(struct pr_round *round, struct pr_round_table *table, struct pr_round_seat *seat);

/* Nothing happens when it has no seat. */
void pr_round_leave(struct pr_round *round, struct pr_round_seat *seat);

/* Whose turn it is; its table and, at it, the seat go behind the others. NULL when nobody has work. */
struct pr_round_seat *pr_round_next(struct pr_round *round);

/* Cannot go on for now: it leaves the round and waits in `aside` until pr_round_return brings all of them back, in their order. */
void pr_round_sit_out(struct pr_round *round, struct pr_round_seats *aside, struct pr_round_seat *seat);
void pr_round_return(struct pr_round *round, struct pr_round_seats *aside);

#endif
