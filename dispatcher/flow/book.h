/* The book: tenants, senders, templates and rules as they stand now, compiled; replaced as a whole when something changes. */
#ifndef PR_FLOW_BOOK_H
#define PR_FLOW_BOOK_H

#include "base/arena.h"
#include "core/business.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* Immutable; one lane's thread only, which counts its references. */
struct pr_book {
    int refs;
    struct pr_arena arena;
    uint32_t tenants_n;
    struct pr_tenant *tenants;
    uint32_t faults; /* rows that did not compile and are left out */
};

/* Builds a book from the rows of schema/queries/book.sql (binary results), with one reference. NULL without memory. */
struct pr_book *pr_book_new(const PGresult *rows) PR_MUST_CHECK;
struct pr_book *pr_book_ref(struct pr_book *book);
void pr_book_unref(struct pr_book *book); /* NULL is accepted */

const struct pr_tenant *pr_book_tenant(const struct pr_book *book, struct pr_span name);
const struct pr_tenant *pr_book_tenant_of(const struct pr_book *book, int32_t id);

#endif
