/* `postrider NOUN VERB`: finds the command in the table and runs it. */
#include "command.h"

#include "base/check.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the help text. */
static const struct pr_command *const commands[] = {
    &pr_command_migrate,          &pr_command_apply,           &pr_command_rule_test,
    &pr_command_publish,          &pr_command_contact_import,  &pr_command_contact_show,
    &pr_command_consent_import,   &pr_command_consent_grant,   &pr_command_consent_revoke,
    &pr_command_consent_show,     &pr_command_message_list,    &pr_command_message_show,
    &pr_command_deadletter_list,  &pr_command_deadletter_show, &pr_command_deadletter_redrive,
    &pr_command_deadletter_purge, &pr_command_unknown_list,    &pr_command_unknown_resolve,
    &pr_command_status,
};
enum { COMMANDS = (int)(sizeof(commands) / sizeof(commands[0])) };

void pr_error(const char *fmt, ...) {
    va_list args;
    fflush(stdout); /* so that both streams stay in order on a terminal */
    fputs("postrider: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

enum pr_exit pr_usage_error(const struct pr_call *call, const char *fmt, ...) {
    const struct pr_command *command = call->command;
    va_list args;
    fflush(stdout);
    fputs("postrider: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nSee: postrider %s%s%s --help\n", command->noun, *command->verb ? " " : "", command->verb);
    return PR_EXIT_USAGE;
}

static bool take_int(const struct pr_call *call, const struct pr_option *option, const char *text) {
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < option->min || v > option->max) {
        pr_usage_error(call, "--%s %s: a whole number from %lld to %lld is needed", option->name, text,
                       (long long)option->min, (long long)option->max);
        return false;
    }
    *(int64_t *)option->target = v;
    return true;
}

static bool take(struct pr_call *call, const struct pr_option *option, char *text) {
    switch (option->kind) {
    case PR_OPTION_FLAG: *(bool *)option->target = true; return true;
    case PR_OPTION_TEXT: *(const char **)option->target = text; return true;
    case PR_OPTION_INT: return take_int(call, option, text);
    }
    return false;
}

/* Our table in getopt's form, --db first. Returns the number of rows. */
static int long_options(const struct pr_option *options, struct option out[PR_OPTIONS_MAX + 2]) {
    int n = 0;
    out[n++] = (struct option){"db", required_argument, NULL, 0};
    for (const struct pr_option *o = options; o && o->name; o++) {
        pr_assert(n <= PR_OPTIONS_MAX);
        out[n++] = (struct option){o->name, o->kind == PR_OPTION_FLAG ? no_argument : required_argument, NULL, 0};
    }
    out[n] = (struct option){0};
    return n;
}

static bool bad_option(struct pr_call *call, int answer, int at) {
    const char *word = at > 0 && at < call->argc ? call->argv[at] : "";
    if (answer == ':') {
        pr_usage_error(call, "%s: a value is missing", word);
    } else {
        pr_usage_error(call, "%s: no such option, or one that takes no value", word);
    }
    return false;
}

bool pr_call_options(struct pr_call *call, const struct pr_option *options, int words_min, int words_max) {
    struct option table[PR_OPTIONS_MAX + 2];
    long_options(options, table);
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    for (;;) {
        int index = -1;
        int answer = getopt_long(call->argc, call->argv, ":", table, &index);
        if (answer == -1) {
            break;
        }
        if (answer != 0 || index < 0) {
            return bad_option(call, answer, optind - 1);
        }
        if (index == 0) {
            call->db = optarg;
        } else if (!take(call, &options[index - 1], optarg)) {
            return false;
        }
    }
    call->argc -= optind;
    call->argv += optind;
    if (call->argc < words_min) {
        pr_usage_error(call, "something is missing");
        return false;
    }
    if (words_max >= 0 && call->argc > words_max) {
        pr_usage_error(call, "%s: one word too many", call->argv[words_max]);
        return false;
    }
    return true;
}

static void print_commands(FILE *out, const char *noun) {
    fputs("Usage: postrider NOUN VERB …\n\n", out);
    for (int i = 0; i < COMMANDS; i++) {
        const struct pr_command *c = commands[i];
        if (!noun || strcmp(noun, c->noun) == 0) {
            char name[64];
            snprintf(name, sizeof(name), "%s%s%s", c->noun, *c->verb ? " " : "", c->verb);
            fprintf(out, "  postrider %-19s %s\n", name, c->summary);
        }
    }
    fputs("\npostrider NOUN VERB --help tells more. Every command that uses the database takes --db CONNINFO; without "
          "it\n"
          "POSTRIDER_POSTGRES_CONNINFO or the PG* variables hold.\n"
          "Exit codes: 0 done, 1 failed, 2 usage, 3 done with rejects, 4 nothing matched.\n",
          out);
}

static void print_help(const struct pr_command *command) {
    printf("%s.\n\nUsage: %s", command->summary, command->usage);
    fputs("  --db CONNINFO          PostgreSQL, as keywords or URI (else POSTRIDER_POSTGRES_CONNINFO, else PG* "
          "variables)\n"
          "  --help                 this text\n",
          stdout);
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* --help anywhere before "--": it wins over whatever else is wrong with the line. */
static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (is_help(argv[i])) {
            return true;
        }
    }
    return false;
}

/* The command whose words the line begins with; `words` gets how many there are. NULL: none. */
static const struct pr_command *find(int argc, char **argv, int *words) {
    for (int i = 0; i < COMMANDS; i++) {
        const struct pr_command *c = commands[i];
        if (strcmp(argv[1], c->noun) != 0) {
            continue;
        }
        if (!*c->verb) {
            *words = 1;
            return c;
        }
        if (argc > 2 && strcmp(argv[2], c->verb) == 0) {
            *words = 2;
            return c;
        }
    }
    return NULL;
}

static bool is_noun(const char *word) {
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(word, commands[i]->noun) == 0) {
            return true;
        }
    }
    return false;
}

/* No command: help when asked for, else what was wrong. */
static enum pr_exit no_command(int argc, char **argv) {
    const char *noun = argc > 1 && is_noun(argv[1]) ? argv[1] : NULL;
    if (argc > 1 && (wants_help(argc, argv) || strcmp(argv[1], "help") == 0)) {
        print_commands(stdout, noun);
        return PR_EXIT_DONE;
    }
    if (argc > 1) {
        pr_error("%s%s%s: no such command", argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    }
    print_commands(stderr, noun);
    return PR_EXIT_USAGE;
}

int main(int argc, char **argv) {
    int words = 0;
    const struct pr_command *command = argc > 1 ? find(argc, argv, &words) : NULL;
    if (!command) {
        return (int)no_command(argc, argv);
    }
    if (wants_help(argc - words, argv + words)) {
        print_help(command);
        return PR_EXIT_DONE;
    }
    struct pr_call call = {.command = command, .argc = argc - words, .argv = argv + words, .db = NULL};
    enum pr_exit code = command->run(&call);
    /* A full disk behind stdout must not look like success. */
    if (fflush(stdout) != 0 && code == PR_EXIT_DONE) {
        pr_error("standard output: %s", strerrordesc_np(errno));
        code = PR_EXIT_FAILED;
    }
    return (int)code;
}
