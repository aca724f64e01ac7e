/* An import of rows into a table: the options, the batches and their transactions, which are the same for every kind of row. */
#ifndef PR_CONTROL_IMPORT_BATCH_H
#define PR_CONTROL_IMPORT_BATCH_H

#include "base/arena.h"
#include "base/attr.h"
#include "command.h"
#include "core/address.h"
#include "db.h"
#include "import.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pr_batch;

enum { PR_BATCH_COUNTS = 3 };

/* What one kind of import does; all static. `item` is kept until its batch is stored. */
struct pr_batch_kind {
    size_t item_bytes;
    const char *sql;     /* takes the tenant, then what `put` adds; answers one row of counts */
    int counts_n;        /* of that row, PR_BATCH_COUNTS at most */
    const char *at_hint; /* what --at needs: "a time like … is needed" */
    bool (*at)(struct pr_span text, int64_t *us);
    bool (*begin)(struct pr_batch *batch); /* finds columns; false after a message */
    bool (*take)(struct pr_batch *batch, const struct pr_csv_row *row, void *item); /* false: the row was rejected */
    void (*put)(struct pr_batch *batch, struct pr_params *params);
    void (*print)(struct pr_batch *batch); /* the counts, without the end of the line */
};

/* One import. Zero it but for the kind. One thread. */
struct pr_batch {
    const struct pr_batch_kind *kind;
    struct pr_import import;
    PGconn *db;
    int32_t tenant;
    char label[PR_TENANT_NAME]; /* the tenant's name */
    struct pr_span country;     /* --default-country; empty: none */
    int64_t at_us;              /* --at; PR_TIME_NONE: not given */
    bool is_dry;
    char *items; /* of the batch */
    size_t n;
    struct pr_arena arena;           /* of the batch */
    int64_t counts[PR_BATCH_COUNTS]; /* sums of what the statements answered */
};

/* The whole command: options, rows, counts. */
enum pr_exit pr_batch_run(struct pr_batch *batch, struct pr_call *call) PR_MUST_CHECK;

/* The recipient in a column. False: the row was rejected. */
bool pr_batch_address(struct pr_batch *batch, const struct pr_csv_row *row, int column,
                      struct pr_address *to) PR_MUST_CHECK;

/* The next parameter: an array of the items' addresses, or texts (p NULL: null), which lie `offset` bytes into an item. */
void pr_batch_put_addresses(const struct pr_batch *batch, struct pr_params *params, size_t offset);
void pr_batch_put_texts(const struct pr_batch *batch, struct pr_params *params, size_t offset);

#endif
