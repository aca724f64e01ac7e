/* `postrider deadletter purge`: empties letters that nobody needs any more. */
#include "command.h"
#include "letter.h"
#include "output.h"
#include "pace.h"

#include <inttypes.h>

struct purge {
    struct pr_letters letters;
    bool is_all, is_yes, is_dry, is_json;
    PGconn *db;
    int64_t purged;
    bool is_failed;
};

static enum pr_exit read_options(struct purge *p, struct pr_call *call) {
    const struct pr_option options[] = {
        {"where", PR_OPTION_TEXT, &p->letters.where, 0, 0},
        {"since", PR_OPTION_TEXT, &p->letters.since, 0, 0},
        {"before", PR_OPTION_TEXT, &p->letters.before, 0, 0},
        {"max", PR_OPTION_INT, &p->letters.max, 1, INT64_MAX},
        {"all", PR_OPTION_FLAG, &p->is_all, 0, 0},
        {"yes", PR_OPTION_FLAG, &p->is_yes, 0, 0},
        {"dry-run", PR_OPTION_FLAG, &p->is_dry, 0, 0},
        {"json", PR_OPTION_FLAG, &p->is_json, 0, 0},
        {NULL, PR_OPTION_FLAG, NULL, 0, 0},
    };
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    bool is_said = p->letters.where || p->letters.since || p->letters.before;
    if (p->is_all == is_said) {
        return pr_usage_error(call, is_said ? "--all goes with none of --where, --since and --before"
                                            : "which: --where, --since or --before, or --all of them?");
    }
    p->letters.redrives = INT64_MAX;
    return PR_EXIT_DONE;
}

static void purge_all(struct purge *p) {
    bool is_more = true;
    while (is_more && !p->is_failed && !pr_is_interrupted()) {
        int rows[PR_LETTERS_CHUNK];
        PGresult *chunk = pr_letters_next(p->db, PR_LETTERS_CHUNK);
        int n = chunk ? PQntuples(chunk) : 0;
        for (int row = 0; row < n; row++) {
            rows[row] = row;
        }
        int64_t purged = n > 0 ? pr_letters_call(p->db, "purge_v1", chunk, rows, n) : 0;
        p->is_failed = !chunk || purged < 0;
        p->purged += purged > 0 ? purged : 0;
        is_more = n > 0;
        PQclear(chunk);
        pr_letters_progress(&p->letters, "purged", p->purged);
    }
    pr_letters_progress_end(&p->letters);
}

static enum pr_exit report(const struct purge *p) {
    char n[PR_COUNT_TEXT], of[PR_COUNT_TEXT], open[PR_COUNT_TEXT];
    if (p->is_json) {
        json_t *root =
            json_pack("{s:b, s:I, s:I, s:I, s:b, s:o}", "dry_run", (int)p->is_dry, "letters", (json_int_t)p->letters.n,
                      "open", (json_int_t)p->letters.open, "purged", (json_int_t)p->purged, "interrupted",
                      (int)pr_is_interrupted(), "histogram", pr_letters_json(&p->letters));
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
    } else if (p->letters.n == 0) {
        pr_error("no dead letter matches");
    } else if (p->is_dry) {
        printf("would purge %s letters, %s of them open; nothing was changed\n", pr_count(p->letters.n, n),
               pr_count(p->letters.open, open));
    } else {
        printf("purged %s of %s letters\n", pr_count(p->purged, n), pr_count(p->letters.n, of));
    }
    if (p->is_failed || pr_is_interrupted()) {
        return PR_EXIT_FAILED;
    }
    return p->letters.n > 0 ? PR_EXIT_DONE : PR_EXIT_NOTHING;
}

static enum pr_exit run(struct purge *p, const struct pr_call *call) {
    char n[PR_COUNT_TEXT], open[PR_COUNT_TEXT];
    enum pr_exit code = pr_letters_open(p->db, call, &p->letters);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    if (!p->is_json && !pr_letters_print(&p->letters)) {
        return PR_EXIT_FAILED;
    }
    if (p->is_dry || p->letters.n == 0) {
        return report(p);
    }
    if (!pr_confirm(p->is_yes, "Delete the bytes of %s letters, %s of them open? [y/N] ", pr_count(p->letters.n, n),
                    pr_count(p->letters.open, open))) {
        return PR_EXIT_FAILED;
    }
    pr_interrupt_catch();
    purge_all(p);
    return report(p);
}

static enum pr_exit purge(struct pr_call *call) {
    struct purge p = {.is_all = false};
    enum pr_exit code = read_options(&p, call);
    if (code != PR_EXIT_DONE) {
        return code;
    }
    p.db = pr_db_open_ready(call->db);
    code = p.db ? run(&p, call) : PR_EXIT_FAILED;
    pr_letters_free(&p.letters);
    PQfinish(p.db);
    return code;
}

const struct pr_command pr_command_deadletter_purge = {
    .noun = "deadletter",
    .verb = "purge",
    .summary = "Delete the bytes of dead letters that nobody needs any more",
    .usage = "postrider deadletter purge --where EXPR|--since 24h|--before 7d|--all [OPTION]…\n" PR_LETTERS_USAGE
             "  --all                  all there are\n"
             "  --yes                  do not ask\n"
             "  --dry-run              count them by reason, topic, type and day; change nothing\n"
             "  --json                 the result as one JSON object\n"
             "Key, value, headers and detail go; a line without them stays until its day is dropped, so that each "
             "offset keeps its fate and a record\n"
             "that is read again does not come back. What was purged cannot be redriven.\n",
    .run = purge,
};
