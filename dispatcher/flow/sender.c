/* The entries of a lane's senders, and the counts that every step of a job keeps right. */
#include "flow/sender.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

void pr_senders_init(struct pr_senders *all) {
    *all = (struct pr_senders){.n = 0};
    for (int k = 0; k < PR_LINES; k++) {
        pr_round_init(&all->round[k]);
    }
}

void pr_senders_free(struct pr_senders *all) {
    for (size_t i = 0; i < all->n; i++) {
        pr_book_unref(all->sender[i]->book);
        free(all->sender[i]);
    }
    for (size_t i = 0; i < all->tenants_n; i++) {
        free(all->tenant[i]);
    }
    free(all->sender);
    free(all->tenant);
    pr_senders_init(all);
}

/* Where the sender stands, or would. */
static size_t place_of(const struct pr_senders *all, int32_t id) {
    size_t low = 0, high = all->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (all->sender[mid]->id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static struct pr_lane_tenant *tenant_of(struct pr_senders *all, int32_t id) {
    for (size_t i = 0; i < all->tenants_n; i++) {
        if (all->tenant[i]->id == id) {
            return all->tenant[i];
        }
    }
    struct pr_lane_tenant **grown = realloc(all->tenant, (all->tenants_n + 1) * sizeof(struct pr_lane_tenant *));
    struct pr_lane_tenant *tenant = grown ? calloc(1, sizeof(*tenant)) : NULL;
    all->tenant = grown ? grown : all->tenant;
    if (tenant) {
        tenant->id = id;
        for (int k = 0; k < PR_LINES; k++) {
            pr_round_table_init(&tenant->table[k]);
        }
        all->tenant[all->tenants_n++] = tenant;
    }
    return tenant;
}

/* A sender comes once, so the walk over the tenants and the move behind its place are no cost of a message. */
struct pr_lane_sender *pr_sender_of(struct pr_senders *all, const struct pr_job *job) {
    size_t at = place_of(all, job->sender->id);
    if (at < all->n && all->sender[at]->id == job->sender->id) {
        return all->sender[at];
    }
    struct pr_lane_tenant *tenant = tenant_of(all, job->tenant->id);
    struct pr_lane_sender **grown = tenant ? realloc(all->sender, (all->n + 1) * sizeof(struct pr_lane_sender *)) : NULL;
    struct pr_lane_sender *entry = grown ? calloc(1, sizeof(*entry)) : NULL;
    all->sender = grown ? grown : all->sender;
    if (!entry) {
        return NULL;
    }
    entry->all = all;
    entry->tenant = tenant;
    entry->book = pr_book_ref(job->book);
    entry->sender = job->sender;
    entry->id = job->sender->id;
    for (int k = 0; k < PR_LINES; k++) {
        pr_line_init(&entry->line[k]);
    }
    memmove(all->sender + at + 1, all->sender + at, (all->n - at) * sizeof(struct pr_lane_sender *));
    all->sender[at] = entry;
    all->n++;
    return entry;
}

void pr_senders_read(struct pr_senders *all, struct pr_book *book) {
    uint32_t connected = 0, tenants = 0;
    for (uint32_t t = 0; t < book->tenants_n; t++) {
        uint32_t before = connected;
        for (uint32_t s = 0; s < book->tenants[t].senders_n; s++) {
            const struct pr_sender *sender = &book->tenants[t].senders[s];
            size_t at = place_of(all, sender->id);
            connected += sender->is_connected;
            if (at < all->n && all->sender[at]->id == sender->id) {
                pr_book_unref(all->sender[at]->book);
                all->sender[at]->book = pr_book_ref(book);
                all->sender[at]->sender = sender;
            }
        }
        tenants += connected > before;
    }
    all->is_shared = connected > 1;
    all->has_tenants = tenants > 1;
}

static void hold(struct pr_lane_sender *entry, enum pr_room_kind kind) {
    entry->held[kind]++;
    entry->tenant->held[kind]++;
    entry->all->held[kind]++;
}

static void let_go(struct pr_lane_sender *entry, enum pr_room_kind kind) {
    pr_assert(entry->held[kind] > 0);
    entry->held[kind]--;
    entry->tenant->held[kind]--;
    entry->all->held[kind]--;
}

void pr_sender_push(struct pr_lane_sender *entry, enum pr_line_kind kind, struct pr_job *job) {
    pr_line_push(&entry->line[kind], job);
    pr_round_join(&entry->all->round[kind], &entry->tenant->table[kind], &entry->seat[kind]);
    job->lane_sender = entry;
    if (kind == PR_LINE_READY) {
        pr_sender_claims(job);
    }
}

static void left(struct pr_lane_sender *entry, enum pr_line_kind kind) {
    if (entry->line[kind].all == 0) {
        pr_round_leave(&entry->all->round[kind], &entry->seat[kind]);
    }
}

static void leave_ahead(struct pr_job *job) {
    if (job->is_ahead) {
        job->is_ahead = false;
        let_go(job->lane_sender, PR_ROOM_AHEAD);
    }
}

static void leave_wire(struct pr_job *job) {
    if (job->is_on_wire) {
        job->is_on_wire = false;
        let_go(job->lane_sender, PR_ROOM_WIRE);
    }
}

void pr_sender_take(struct pr_lane_sender *entry, enum pr_line_kind kind, struct pr_job *job) {
    pr_line_take(&entry->line[kind], job);
    left(entry, kind);
    if (kind == PR_LINE_READY) {
        leave_ahead(job);
    }
}

void pr_sender_remove(struct pr_lane_sender *entry, enum pr_line_kind kind, struct pr_job *job) {
    pr_line_remove(&entry->line[kind], job);
    left(entry, kind);
}

void pr_sender_leave_gated(struct pr_job *job) {
    pr_sender_remove(job->lane_sender, PR_LINE_GATED, job);
    job->lane_sender = NULL;
}

void pr_sender_claims(struct pr_job *job) {
    if (!job->is_ahead) {
        job->is_ahead = true;
        hold(job->lane_sender, PR_ROOM_AHEAD);
    }
}

void pr_sender_on_wire(struct pr_job *job) {
    if (!job->is_on_wire) {
        job->is_on_wire = true;
        hold(job->lane_sender, PR_ROOM_WIRE);
    }
}

void pr_sender_leave(struct pr_job *job) {
    leave_ahead(job);
    leave_wire(job);
    job->lane_sender = NULL;
}

bool pr_sender_has_room(const struct pr_lane_sender *entry, enum pr_room_kind kind, int64_t all, int64_t percent) {
    const struct pr_senders *senders = entry->all;
    uint64_t used = senders->held[kind], most = (uint64_t)all, left = 100 - (uint64_t)percent;
    if (senders->is_shared && !pr_share_has_room(entry->held[kind], used, most, 10000 - 100 * left)) {
        return false;
    }
    if (senders->has_tenants && !pr_share_has_room(entry->tenant->held[kind], used, most, 10000 - left * left)) {
        return false;
    }
    return used < most;
}
