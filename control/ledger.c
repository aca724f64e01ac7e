/* The small parts of message, deadletter and unknown. */
#include "ledger.h"

#include "base/clock.h"
#include "core/address.h"

#include <inttypes.h>
#include <stdio.h>

bool pr_ledger_ago(const struct pr_call *call, const char *option, const char *ago, char interval[PR_LEDGER_TEXT]) {
    int64_t us = 0;
    if (!pr_duration_parse(pr_span_of(ago), &us)) {
        pr_usage_error(call, "--%s %s: something like 90m, 24h or 7d is needed", option, ago);
        return false;
    }
    snprintf(interval, PR_LEDGER_TEXT, "%" PRId64 " microseconds", us);
    return true;
}

bool pr_ledger_since(const struct pr_call *call, const char *since, char interval[PR_LEDGER_TEXT]) {
    return pr_ledger_ago(call, "since", since, interval);
}

void pr_ledger_address(struct pr_table *table, const char *address, bool is_shown) {
    char masked[PR_ADDRESS_MAX + 1];
    if (!address || is_shown) {
        pr_table_text(table, address);
        return;
    }
    pr_address_mask(pr_span_of(address), masked);
    pr_table_text(table, masked);
}

void pr_ledger_cells(struct pr_table *table, const PGresult *r, int row, int from, int to) {
    for (int col = from; col <= to; col++) {
        pr_table_text(table, pr_db_text(r, row, col));
    }
}

enum pr_exit pr_ledger_print(const PGresult *r, const struct pr_column *columns, int columns_n, bool is_json,
                             bool is_shown) {
    struct pr_table table;
    pr_table_init(&table, columns, (size_t)columns_n);
    for (int row = 0; row < PQntuples(r); row++) {
        pr_ledger_address(&table, pr_db_text(r, row, 0), is_shown);
        pr_ledger_cells(&table, r, row, 1, columns_n - 1);
    }
    bool is_printed = pr_table_print(&table, stdout, is_json);
    pr_table_free(&table);
    return !is_printed ? PR_EXIT_FAILED : PQntuples(r) > 0 ? PR_EXIT_DONE : PR_EXIT_NOTHING;
}
