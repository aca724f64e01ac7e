/* Lines of an NDJSON file, plain or gzip, or of a pipe: one at a time, numbered, with a bound on memory. */
#ifndef PR_CONTROL_NDJSON_H
#define PR_CONTROL_NDJSON_H

#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PR_NDJSON_LINE_MAX =
        1024 *
        1024, /* bytes of a line without its newline: far above a record's 64 KiB, so that a reject can be shown whole */
    PR_NDJSON_HEAD_MAX = 64 * 1024, /* bytes that identify an input */
    PR_NDJSON_ERROR_TEXT = 256,
};

enum pr_ndjson_status {
    PR_NDJSON_LINE, /* the next line is in `text` */
    PR_NDJSON_LONG, /* it has more than PR_NDJSON_LINE_MAX bytes; `text` is how it begins, the rest is skipped */
    PR_NDJSON_WAIT, /* a pipe has nothing yet, or a signal came: do something else and ask again */
    PR_NDJSON_END,
    PR_NDJSON_FAILED, /* unreadable, or a gzip stream that is broken or cut; pr_ndjson_error says what */
};

/* One thread. Takes about 1.5 MiB. */
struct pr_ndjson;

/* `path` "-" is stdin. NULL after filling `error` with a sentence that names the path. */
struct pr_ndjson *pr_ndjson_open(const char *path, char error[PR_NDJSON_ERROR_TEXT]) PR_MUST_CHECK;

/* NULL is accepted. Does not close stdin. */
void pr_ndjson_close(struct pr_ndjson *in);

/*
 * The next line, without its newline; also when it is blank, so that numbers are those of an editor. Waits at most `wait_ms` for a pipe.
 * `text` is valid until the next call.
 */
enum pr_ndjson_status pr_ndjson_next(struct pr_ndjson *in, int wait_ms, struct pr_span *text) PR_MUST_CHECK;

/* The number of the line returned last, from 1; 0 before the first. */
int64_t pr_ndjson_line(const struct pr_ndjson *in);

/*
 * The first PR_NDJSON_HEAD_MAX bytes of the (unpacked) content, fewer when it is shorter; waits for them. Only before the first line is taken, and
 * valid until then. False when reading failed or a signal came before they were there.
 */
bool pr_ndjson_head(struct pr_ndjson *in, struct pr_span *head) PR_MUST_CHECK;

/* Bytes of the file as it lies on disk; -1 for what is no regular file. */
int64_t pr_ndjson_size(const struct pr_ndjson *in);

/* How much of the file is read, 0 to 100; -1 when its size is not known. */
int pr_ndjson_percent(const struct pr_ndjson *in);

/* What went wrong; "" when nothing did. */
const char *pr_ndjson_error(const struct pr_ndjson *in);

/* Whether a line has nothing but spaces, tabs and carriage returns. */
bool pr_ndjson_is_blank(struct pr_span text);

#endif
