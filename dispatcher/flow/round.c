/* Two levels of rotating lists. */
#include "flow/round.h"

#include <stddef.h>

void pr_round_init(struct pr_round *round) {
    TAILQ_INIT(&round->tables);
}

void pr_round_table_init(struct pr_round_table *table) {
    TAILQ_INIT(&table->seats);
}

void pr_round_join(struct pr_round *round, struct pr_round_table *table, struct pr_round_seat *seat) {
    if (seat->is_taken) {
        return;
    }
    if (TAILQ_EMPTY(&table->seats)) {
        TAILQ_INSERT_TAIL(&round->tables, table, link);
    }
    TAILQ_INSERT_TAIL(&table->seats, seat, link);
    seat->table = table;
    seat->is_taken = true;
}

void pr_round_leave(struct pr_round *round, struct pr_round_seat *seat) {
    if (!seat->is_taken) {
        return;
    }
    TAILQ_REMOVE(&seat->table->seats, seat, link);
    seat->is_taken = false;
    if (TAILQ_EMPTY(&seat->table->seats)) {
        TAILQ_REMOVE(&round->tables, seat->table, link);
    }
}

struct pr_round_seat *pr_round_next(struct pr_round *round) {
    struct pr_round_table *table = TAILQ_FIRST(&round->tables);
    if (!table) {
        return NULL;
    }
    struct pr_round_seat *seat = TAILQ_FIRST(&table->seats);
    TAILQ_REMOVE(&table->seats, seat, link);
    TAILQ_INSERT_TAIL(&table->seats, seat, link);
    TAILQ_REMOVE(&round->tables, table, link);
    TAILQ_INSERT_TAIL(&round->tables, table, link);
    return seat;
}

void pr_round_sit_out(struct pr_round *round, struct pr_round_seats *aside, struct pr_round_seat *seat) {
    pr_round_leave(round, seat);
    TAILQ_INSERT_TAIL(aside, seat, link);
}

void pr_round_return(struct pr_round *round, struct pr_round_seats *aside) {
    struct pr_round_seat *seat = NULL;
    while ((seat = TAILQ_FIRST(aside)) != NULL) {
        TAILQ_REMOVE(aside, seat, link);
        pr_round_join(round, seat->table, seat);
    }
}
