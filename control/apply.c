/* `postrider apply FILE…`: businesses, templates and rules from files into the database, all or nothing. */
#include "apply_store.h"
#include "catalog.h"
#include "command.h"
#include "db.h"
#include "output.h"

#include <stdio.h>

struct apply {
    const char *tenant;
    bool is_dry, is_json;
};

static const struct pr_column columns[] = {
    {"tenant", PR_COLUMN_TEXT}, {"kind", PR_COLUMN_TEXT}, {"name", PR_COLUMN_TEXT}, {"result", PR_COLUMN_TEXT}};

static bool print_result(const struct apply *a, const struct pr_table *table, const struct pr_apply_counts *counts) {
    if (!pr_table_print(table, stdout, a->is_json)) {
        return false;
    }
    if (!a->is_json) {
        printf("%u created, %u changed, %u unchanged, %u removed%s\n", counts->created, counts->changed,
               counts->unchanged, counts->removed, a->is_dry ? ". Nothing was changed: --dry-run" : "");
    }
    return true;
}

static enum pr_exit store(const struct apply *a, const struct pr_catalog *catalog, PGconn *db) {
    struct pr_apply_counts counts = {0};
    struct pr_table table;
    pr_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
    bool ok = pr_apply_store(catalog, db, a->is_dry, &table, &counts) && print_result(a, &table, &counts);
    pr_table_free(&table);
    if (!ok) {
        return PR_EXIT_FAILED;
    }
    return catalog->left_out > 0 ? PR_EXIT_REJECTS : PR_EXIT_DONE;
}

static enum pr_exit apply(const struct apply *a, struct pr_call *call, struct pr_catalog *catalog) {
    for (int i = 0; i < call->argc; i++) {
        pr_catalog_read(catalog, call->argv[i]);
    }
    PGconn *db = pr_db_open_ready(call->db);
    bool ok = db && pr_catalog_load_tenants(catalog, db);
    if (ok) {
        pr_catalog_assign(catalog, a->tenant);
        ok = pr_catalog_load_rest(catalog, db, false);
    }
    if (ok) {
        pr_catalog_check(catalog);
    }
    /* Also without a database: whoever writes the files should see every fault of theirs. */
    ok = pr_catalog_report(catalog) && ok;
    if (catalog->faults_n > 0) {
        pr_error("%u fault%s; nothing was changed", catalog->faults_n, catalog->faults_n == 1 ? "" : "s");
    }
    enum pr_exit code = ok ? store(a, catalog, db) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}

static enum pr_exit run(struct pr_call *call) {
    struct apply a = {0};
    const struct pr_option options[] = {{"tenant", PR_OPTION_TEXT, &a.tenant, 0, 0},
                                        {"dry-run", PR_OPTION_FLAG, &a.is_dry, 0, 0},
                                        {"json", PR_OPTION_FLAG, &a.is_json, 0, 0},
                                        {0}};
    if (!pr_call_options(call, options, 1, -1)) {
        return PR_EXIT_USAGE;
    }
    struct pr_catalog catalog;
    pr_catalog_init(&catalog);
    enum pr_exit code = apply(&a, call, &catalog);
    pr_catalog_free(&catalog);
    return code;
}

const struct pr_command pr_command_apply = {
    .noun = "apply",
    .verb = "",
    .summary = "Put businesses, templates and rules from files into the database",
    .usage = "postrider apply FILE... [--tenant NAME] [--dry-run] [--json]\n\n"
             "Takes business.json, templates.json (as the Graph API answers) and rules.json in any order and tells "
             "them apart by content.\n"
             "Everything is checked first; with any fault nothing is changed. Rules that the rules file of a tenant no "
             "longer has are removed;\n"
             "templates and senders that are not in a file stay. Running dispatchers follow within a second.\n\n"
             "  --tenant NAME          whose the templates are, when neither their file nor another one of the call "
             "says it\n"
             "  --dry-run              check and show what would change, change nothing\n"
             "  --json                 an object a line\n",
    .run = run,
};
