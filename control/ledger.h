/* What the commands that look into the ledger share: spans of time, addresses that are not for every eye, and where a message is. */
#ifndef PR_CONTROL_LEDGER_H
#define PR_CONTROL_LEDGER_H

#include "base/attr.h"
#include "command.h"
#include "db.h"
#include "output.h"

#include <stdbool.h>
#include <stdint.h>

enum { PR_LEDGER_TEXT = 64 };

/* "24h" of an option into what PostgreSQL reads as an interval. False after a message: return PR_EXIT_USAGE then. */
bool pr_ledger_ago(const struct pr_call *call, const char *option, const char *ago,
                   char interval[PR_LEDGER_TEXT]) PR_MUST_CHECK;
bool pr_ledger_since(const struct pr_call *call, const char *since, char interval[PR_LEDGER_TEXT]) PR_MUST_CHECK;

/* The next cell: an address, masked unless `is_shown`; NULL is null. */
void pr_ledger_address(struct pr_table *table, const char *address, bool is_shown);

/*
 * Prints rows whose first column is an address (masked unless `is_shown`). FAILED after a message; NOTHING when
 * there are no rows.
 */
enum pr_exit pr_ledger_print(const PGresult *r, const struct pr_column *columns, int columns_n, bool is_json,
                             bool is_shown) PR_MUST_CHECK;

/* The next cells: columns `from` to `to` of a row of text results, nulls kept. */
void pr_ledger_cells(struct pr_table *table, const PGresult *r, int row, int from, int to);

/* The days that the ledger can have, for lateral look-ups that touch one partition each: `d (day)`. */
#define PR_LEDGER_DAYS \
    "(select g::date as day from generate_series(current_date - 60, current_date + 10, interval '1 day') g) d"

#endif
