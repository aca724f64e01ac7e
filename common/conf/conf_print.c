/* Texts made from the table, so that help, man page and sample file cannot differ from what is read. */
#include "conf/conf_private.h"

#include "base/check.h"

#include <strings.h>

enum { WIDTH = 100 };

/* Breaks `text` at blanks into lines that begin with `indent`. */
static void put_wrapped(struct pr_buf *out, const char *indent, const char *text) {
    size_t room = WIDTH - strlen(indent);
    while (*text) {
        size_t n = strlen(text);
        if (n > room) {
            n = room;
            while (n > 0 && text[n] != ' ') {
                n--;
            }
            n = n > 0 ? n : strcspn(text, " ");
        }
        pr_buf_printf(out, "%s%.*s\n", indent, (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

/* True at the first row of each section. */
static bool begins_section(const struct pr_conf_table *table, size_t i) {
    return i == 0 || !pr_span_eq(pr_conf_section(table->rows[i].name), pr_conf_section(table->rows[i - 1].name));
}

/* "Takes a whole number from 1 to 256, or auto; threads. Default: auto." Nothing for PAIRS, whose help says it all. */
static void put_facts(struct pr_buf *out, const struct pr_conf_row *row) {
    if (row->type == PR_CONF_PAIRS) {
        return;
    }
    bool empty = !row->fallback || !row->fallback[0];
    pr_buf_put_text(out, "Takes ");
    pr_conf_describe(row, out);
    pr_buf_printf(out, ". Default: %s.",
                  !empty                          ? row->fallback
                  : row->flags & PR_CONF_REQUIRED ? "none, required"
                                                  : "empty");
    if (row->flags & PR_CONF_SECRET) {
        pr_buf_put_text(out, " A secret: may be read from a file by KEY_file.");
    }
    if (row->flags & PR_CONF_RELOADABLE) {
        pr_buf_put_text(out, " A change is taken over on SIGHUP.");
    }
}

/* Calls for facts need a text of their own to wrap; it is freed here. */
static void put_facts_wrapped(struct pr_buf *out, const char *indent, const struct pr_conf_row *row) {
    struct pr_buf facts;
    pr_buf_init(&facts, 4096);
    put_facts(&facts, row);
    put_wrapped(out, indent, pr_buf_text(&facts));
    pr_buf_free(&facts);
}

void pr_conf_help(const struct pr_conf_table *table, const char *flags_help, struct pr_buf *out) {
    pr_buf_printf(out, "Usage: %s [-c FILE] [--SECTION.KEY=VALUE]...\n\n%s", table->program, flags_help);
    pr_buf_put_text(
        out, "  -c FILE, --config=FILE\n      Reads options from FILE: lines of key = value below a [section].\n\n");
    put_wrapped(out, "",
                "Every option may stand in the file, in the environment as POSTRIDER_SECTION_KEY (dots and dashes "
                "become _; over the file) and on the "
                "command line (over both). A secret is read from a file with _file behind its key, or _FILE behind its "
                "variable.");
    for (size_t i = 0; i < table->n; i++) {
        const struct pr_conf_row *row = &table->rows[i];
        if (begins_section(table, i)) {
            pr_buf_printf(out, "\n[%.*s]\n", PR_SPAN_ARG(pr_conf_section(row->name)));
        }
        pr_buf_printf(out, "  --%s=%s\n", row->name, row->type == PR_CONF_PAIRS ? "VALUE" : "...");
        put_wrapped(out, "      ", row->help);
        put_facts_wrapped(out, "      ", row);
    }
}

void pr_conf_sample(const struct pr_conf_table *table, struct pr_buf *out) {
    pr_buf_printf(
        out, "# %s: every option with its default. Lines that begin with # are comments: remove it to set an option.\n",
        table->program);
    for (size_t i = 0; i < table->n; i++) {
        const struct pr_conf_row *row = &table->rows[i];
        const char *key = row->name + pr_conf_section(row->name).n + 1;
        if (begins_section(table, i)) {
            pr_buf_printf(out, "\n[%.*s]\n", PR_SPAN_ARG(pr_conf_section(row->name)));
        }
        pr_buf_put_text(out, "\n");
        put_wrapped(out, "# ", row->help);
        put_facts_wrapped(out, "# ", row);
        if (row->type != PR_CONF_PAIRS) {
            pr_buf_printf(out, "#%s =%s%s\n", key, row->fallback && row->fallback[0] ? " " : "",
                          row->fallback ? row->fallback : "");
        }
    }
}

/* The length of the next word with what escapes take, up to a blank. */
static size_t mdoc_word(const char *c) {
    size_t n = 0;
    for (; *c && *c != ' '; c++) {
        n += *c == '\\' || *c == '-' ? 2 : 1;
    }
    return n;
}

static void put_mdoc_char(struct pr_buf *out, char c, bool line_start) {
    if (line_start && (c == '.' || c == '\'')) {
        pr_buf_put_text(out, "\\&"); /* would begin a macro */
    }
    if (c == '\\') {
        pr_buf_put_text(out, "\\e");
    } else if (c == '-') {
        pr_buf_put_text(out, "\\-");
    } else {
        pr_buf_put_char(out, c);
    }
}

/* Text for mdoc: escaped, each sentence on a line of its own, lines below 80 bytes. */
static void put_mdoc_text(struct pr_buf *out, const char *text) {
    enum { MDOC_WIDTH = 78 };
    size_t column = 0;
    for (const char *c = text; *c; c++) {
        bool sentence = *c == ' ' && c > text && c[-1] == '.';
        if (*c != ' ') {
            put_mdoc_char(out, *c, column == 0);
            column++;
        } else if (sentence || column + 1 + mdoc_word(c + 1) > MDOC_WIDTH) {
            pr_buf_put_char(out, '\n');
            column = 0;
        } else {
            pr_buf_put_char(out, ' ');
            column++;
        }
    }
    if (column > 0) {
        pr_buf_put_char(out, '\n');
    }
}

void pr_conf_mdoc(const struct pr_conf_table *table, struct pr_buf *out) {
    for (size_t i = 0; i < table->n; i++) {
        const struct pr_conf_row *row = &table->rows[i];
        if (begins_section(table, i)) {
            pr_buf_printf(out, "%s.Ss Section %.*s\n.Bl -tag -width Ds\n", i == 0 ? "" : ".El\n",
                          PR_SPAN_ARG(pr_conf_section(row->name)));
        }
        struct pr_buf facts;
        pr_buf_init(&facts, 4096);
        put_facts(&facts, row);
        pr_buf_printf(out, ".It Ic %s\n", row->name + pr_conf_section(row->name).n + 1);
        put_mdoc_text(out, row->help);
        put_mdoc_text(out, pr_buf_text(&facts));
        pr_buf_free(&facts);
    }
    pr_buf_put_text(out, ".El\n");
}

/* Keys of librdkafka whose value nobody should see. */
static bool pair_is_secret(const char *key) {
    static const char *const words[] = {"password", "secret", "pem", "oauthbearer.config", "token"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(key, words[i])) {
            return true;
        }
    }
    return false;
}

void pr_conf_effective(const struct pr_conf *conf, struct pr_buf *out) {
    for (size_t i = 0; i < conf->table->n; i++) {
        const struct pr_conf_row *row = &conf->table->rows[i];
        const struct pr_conf_value *value = &conf->values[i];
        if (row->type != PR_CONF_PAIRS) {
            bool hide = (row->flags & PR_CONF_SECRET) && value->raw[0];
            pr_buf_printf(out, "%s = %s  (%s)\n", row->name, hide ? "(set)" : value->raw, value->where);
        }
    }
    for (size_t i = 0; i < conf->entries_n; i++) {
        const struct pr_conf_entry *entry = &conf->entries[i];
        if (entry->value.raw) {
            pr_buf_printf(out, "%.*s%s = %s  (%s)\n", (int)pr_conf_prefix_len(entry->row), entry->row->name, entry->key,
                          pair_is_secret(entry->key) ? "(set)" : entry->value.raw, entry->value.where);
        }
    }
}
