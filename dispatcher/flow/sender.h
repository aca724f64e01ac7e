/* A lane's senders and their tenants: the lines of their jobs, whose turn it is, and what each holds of the room that all share. */
#ifndef PR_FLOW_SENDER_H
#define PR_FLOW_SENDER_H

#include "flow/book.h"
#include "flow/line.h"
#include "flow/round.h"

struct pr_senders;

/* Where jobs stand in line. */
enum pr_line_kind {
    PR_LINE_GATED, /* passed the gate, wait for room to be claimed */
    PR_LINE_READY, /* claimed, wait for a token and a place on the wire */
};
enum { PR_LINES = 2 };

/* Two kinds of room that all share. */
enum pr_room_kind {
    PR_ROOM_AHEAD, /* in a claim, claimed and ready, or not written back yet: dispatch.claim_ahead */
    PR_ROOM_WIRE,  /* handed to curl, and the fate not durable yet: what a crash makes unknown; dispatch.in_flight */
};
enum { PR_ROOMS = 2 };

/* A tenant's part; a turn at the rounds is the tenant's first and then one of its senders'. */
struct pr_lane_tenant {
    int32_t id;
    struct pr_round_table table[PR_LINES];
    uint32_t held[PR_ROOMS];
};

/* A sender's jobs in this lane. */
struct pr_lane_sender {
    struct pr_senders *all;
    struct pr_lane_tenant *tenant;
    struct pr_book *book; /* a reference: `sender` points into it */
    const struct pr_sender *sender;
    int32_t id;
    struct pr_line line[PR_LINES];
    struct pr_round_seat seat[PR_LINES]; /* taken while there is a job in the line */
    uint32_t held[PR_ROOMS];
    int64_t short_ns; /* when it last had ready jobs that its own limits held back */
    uint64_t secret_version;
    int64_t held_us[PR_CLASSES]; /* until when those it has no room for were last deferred */
};

/* One lane's. `sender` is in order of their ids; entries stay until the end. */
struct pr_senders {
    struct pr_lane_sender **sender;
    struct pr_lane_tenant **tenant;
    size_t n, tenants_n;
    struct pr_round round[PR_LINES];
    uint32_t held[PR_ROOMS];
    bool is_shared, has_tenants; /* the book has more than one sender that may send; more than one tenant with such */
};

void pr_senders_init(struct pr_senders *all);
void pr_senders_free(struct pr_senders *all);

/* The entry of the job's sender, made when it is new; NULL without memory. */
struct pr_lane_sender *pr_sender_of(struct pr_senders *all, const struct pr_job *job);

/* Entries point into the new book from now on; those whose sender is no more in it keep the old one. */
void pr_senders_read(struct pr_senders *all, struct pr_book *book);

/* A job joins, goes as the next one, or leaves a line of its sender. Who is ready holds a place of PR_ROOM_AHEAD, until it goes as the next one. */
void pr_sender_push(struct pr_lane_sender *entry, enum pr_line_kind kind, struct pr_job *job);
void pr_sender_take(struct pr_lane_sender *entry, enum pr_line_kind kind, struct pr_job *job);
void pr_sender_remove(struct pr_lane_sender *entry, enum pr_line_kind kind, struct pr_job *job);

/* A job that stands in the gated line leaves it and its sender: it is decided anew. */
void pr_sender_leave_gated(struct pr_job *job);

/* A job takes a place of PR_ROOM_AHEAD or on the wire unless it has one. */
void pr_sender_claims(struct pr_job *job);
void pr_sender_on_wire(struct pr_job *job);

/* No claim of the job is in the ledger any more, or its fate is: it gives its places back, and lane_sender is NULL. */
void pr_sender_leave(struct pr_job *job);

/*
 * Whether the sender may take one more of a room of `all` places: one is free, the sender stays within `percent` of what it holds and what is free
 * (pr_share_has_room), and its tenant leaves at least the same part of what a sender leaves. With one sender in the book all of it is its own.
 */
bool pr_sender_has_room(const struct pr_lane_sender *entry, enum pr_room_kind kind, int64_t all, int64_t percent);

#endif
