/* Writing a checked catalog into the database. */
#ifndef PR_CONTROL_APPLY_STORE_H
#define PR_CONTROL_APPLY_STORE_H

#include "catalog.h"
#include "output.h"

struct pr_apply_counts {
    unsigned created, changed, unchanged, removed;
};

/*
 * Writes what the files give, in one transaction that is rolled back when `is_dry`, and adds a row (kind, name,
 * what became of it) an object to `table`, whose columns are tenant, kind, name, result. False after a message;
 * nothing is changed then.
 */
bool pr_apply_store(const struct pr_catalog *catalog, PGconn *db, bool is_dry, struct pr_table *table,
                    struct pr_apply_counts *counts) PR_MUST_CHECK;

#endif
