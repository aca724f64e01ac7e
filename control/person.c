/* Reads whom a command is about. */
#include "person.h"

enum pr_exit pr_person_run(struct pr_call *call, pr_person_show *show) {
    const char *tenant = NULL, *to = NULL;
    bool is_json = false;
    const struct pr_option options[] = {{"to", PR_OPTION_TEXT, &to, 0, 0},
                                        {"tenant", PR_OPTION_TEXT, &tenant, 0, 0},
                                        {"json", PR_OPTION_FLAG, &is_json, 0, 0},
                                        {0}};
    struct pr_address address;
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (!to || !pr_address_parse(pr_span_of(to), &address)) {
        return pr_usage_error(call, PR_PERSON_TO_HINT);
    }
    PGconn *db = pr_db_open_ready(call->db);
    int32_t id = db ? pr_db_tenant(db, tenant, NULL) : 0;
    enum pr_exit code = id > 0 ? show(db, id, &address, is_json) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
}
