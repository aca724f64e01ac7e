/* What a command of `postrider NOUN VERB` is, how it reads its options, and the table that main.c looks in. */
#ifndef PR_CONTROL_COMMAND_H
#define PR_CONTROL_COMMAND_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the shell sees. A command returns one of these from its run function. */
enum pr_exit {
    PR_EXIT_DONE = 0,
    PR_EXIT_FAILED = 1,
    PR_EXIT_USAGE = 2,
    PR_EXIT_REJECTS = 3, /* done, but some of the input was rejected */
    PR_EXIT_NOTHING = 4, /* nothing matched */
};

struct pr_command;

/* One call from the shell. Lives as long as the program runs; one thread. */
struct pr_call {
    const struct pr_command *command;
    int argc; /* of argv */
    /* Before pr_call_options [0] is the command's last word; after it the words that are no options, [0] the first. */
    char **argv;
    const char *db; /* --db, NULL when it was not given: what pr_db_open takes */
};

/* A row of the command table; all texts are static. */
struct pr_command {
    const char *noun;    /* "contact" */
    const char *verb;    /* "import"; "" for commands of one word */
    const char *summary; /* one line for the list of commands, no full stop */
    /* What --help prints: "postrider contact import FILE.csv …\n", an empty line, some sentences, and a line an option;
     * ends with a newline. --db and --help are added by main.c and need no line. */
    const char *usage;
    enum pr_exit (*run)(struct pr_call *call);
};

/* How the value of an option is read. */
enum pr_option_kind {
    PR_OPTION_FLAG, /* bool: no value, sets true */
    PR_OPTION_TEXT, /* const char *: points into argv */
    PR_OPTION_INT,  /* int64_t: whole number in min..max */
};

/* One option of a command, "--name". `target` keeps its value, the default, when the option is not given. */
struct pr_option {
    const char *name; /* without the dashes; NULL ends a table */
    enum pr_option_kind kind;
    void *target;
    int64_t min, max; /* INT */
};

enum { PR_OPTIONS_MAX = 32 }; /* rows of a table, without --db */

/*
 * Reads the options out of call->argv ("--name value" or "--name=value", anywhere among the words; "--" ends them)
 * and leaves the other words there. --db is read for every command. `words_min` and `words_max` bound the words
 * that are left (-1: no upper bound). False after a message and a hint on stderr: return PR_EXIT_USAGE then.
 */
bool pr_call_options(struct pr_call *call, const struct pr_option *options, int words_min, int words_max) PR_MUST_CHECK;

/* "postrider: " and the text on stderr, with a newline. Texts say what is wrong and, where there is one, the cure. */
void pr_error(const char *fmt, ...) PR_PRINTF(1, 2);

/* The same, and a hint at --help of the command. Always PR_EXIT_USAGE, so that a command can end with it. */
enum pr_exit pr_usage_error(const struct pr_call *call, const char *fmt, ...) PR_PRINTF(2, 3);

/* control/migrate.c, apply.c, contact.c, consent.c, rule.c */
extern const struct pr_command pr_command_migrate, pr_command_apply, pr_command_contact_import, pr_command_contact_show,
    pr_command_consent_import, pr_command_consent_grant, pr_command_consent_revoke, pr_command_consent_show,
    pr_command_rule_test;

/* control/publish.c, message.c, deadletter.c, deadletter_redrive.c, deadletter_purge.c, unknown.c, status.c */
extern const struct pr_command pr_command_publish, pr_command_message_list, pr_command_message_show,
    pr_command_deadletter_list, pr_command_deadletter_show, pr_command_deadletter_redrive, pr_command_deadletter_purge,
    pr_command_unknown_list, pr_command_unknown_resolve, pr_command_status;

#endif
