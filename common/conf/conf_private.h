/* What the parts of conf share; nobody else includes this. */
#ifndef PR_CONF_CONF_PRIVATE_H
#define PR_CONF_CONF_PRIVATE_H

#include "base/span.h"
#include "conf/conf.h"

enum { PR_CONF_NAME_MAX = 128 };

/* NULL when there is no such option; PAIRS rows are not found by name. */
const struct pr_conf_row *pr_conf_find(const struct pr_conf_table *table, struct pr_span name);

/* The PAIRS row with the longest prefix of `name`, its rest in `key`; NULL when none takes it. */
const struct pr_conf_row *pr_conf_find_pairs(const struct pr_conf_table *table, struct pr_span name,
                                             struct pr_span *key);

/* The length of a PAIRS row's prefix with its dot: 6 for "kafka.*". */
size_t pr_conf_prefix_len(const struct pr_conf_row *row);

/* "dispatch" of "dispatch.memory.max". */
struct pr_span pr_conf_section(const char *name);

/*
 * Notes that `name` (or name_file) was set to `raw` at `where`, over what a weaker source said. Unknown names, a second mention in one source
 * and unreadable files are faults. All texts are copied.
 */
void pr_conf_set(struct pr_conf *conf, struct pr_span name, struct pr_span raw, enum pr_conf_source source,
                 const char *where);

/* The fault of a name that nobody knows, with the nearest one that somebody does. */
void pr_conf_unknown(struct pr_conf *conf, struct pr_span name, const char *where);

/* A fault with a place that is not an option's. */
void pr_conf_fault_at(struct pr_conf *conf, const char *where, const char *key, const char *fmt, ...) PR_PRINTF(4, 5);

/* The three sources. `text` is a whole file. */
void pr_conf_read_text(struct pr_conf *conf, struct pr_span text, const char *name);
void pr_conf_read_file(struct pr_conf *conf, const char *path);
void pr_conf_read_env(struct pr_conf *conf, char *const *environ_);
void pr_conf_read_words(struct pr_conf *conf, int argc,
                        char *const *argv); /* -c and what goes to `rest`: before the file */
void pr_conf_read_args(struct pr_conf *conf, int argc, char *const *argv); /* the options: after the environment */

/* The content of a file of at most `bytes_max` bytes, in the arena, NUL-terminated; false with errno set (EFBIG: longer). */
bool pr_conf_slurp(struct pr_conf *conf, const char *path, size_t bytes_max, struct pr_span *out);

/* The environment variable of a row, "" ended at PR_CONF_NAME_MAX; for PAIRS the prefix. */
void pr_conf_env_name(const struct pr_conf_row *row, char out[PR_CONF_NAME_MAX]);

/* Reads `raw` as the row's type into the target; false leaves it alone. */
bool pr_conf_store(struct pr_conf *conf, const struct pr_conf_row *row, const char *raw);

/* What may be written for a row: "a whole number from 1 to 256, or auto". */
void pr_conf_describe(const struct pr_conf_row *row, struct pr_buf *out);

#endif
