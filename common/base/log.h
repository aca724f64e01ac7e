/* The program's own words to its operator: one line an event, as key=value or JSON, on standard error. */
#ifndef PR_BASE_LOG_H
#define PR_BASE_LOG_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum pr_log_level { PR_LOG_DEBUG, PR_LOG_INFO, PR_LOG_WARN, PR_LOG_ERROR };
enum pr_log_style { PR_LOG_LOGFMT, PR_LOG_JSON };

/* Lines end here, newline included: what a pipe takes in one piece (PIPE_BUF), so that lines of several threads never mix. */
enum { PR_LOG_LINE_MAX = 4096, PR_LOG_VALUE_MAX = 1024 };

/*
 * Says what is written from now on, and where: `fd` is borrowed for the life of the process. Any thread, but meant for the start; before
 * it, info and above go to standard error as logfmt. SIGPIPE is set to ignored for the whole process (unless it has a handler): a reader
 * of our log that goes away may not end us.
 */
void pr_log_init(enum pr_log_level level, enum pr_log_style style, int fd);

/* Whether lines of `level` are written: to spare work that only a line needs. */
bool pr_log_enabled(enum pr_log_level level);

/*
 * Writes   ts=2026-11-20T16:32:00.123456Z level=info event=EVENT key=value …   with one write(2). Any thread; never fails, never waits
 * for a lock; keeps errno. `event` is a static word or two ("claim_failed"). `fmt` is "key=%s other=%d": pairs parted by one space, each
 * value made of conversions and letters ("at=%s:%d"). Conversions: d i u x c s f g %, lengths l ll z j, a precision on s, f and g
 * (".3", ".*"); no flags, no width. For errno say strerrordesc_np(errno). A NULL for %s shows as "-". Values are quoted and escaped as
 * needed, whatever is in them; invalid UTF-8 becomes U+FFFD. A value over PR_LOG_VALUE_MAX bytes or a line that is full is cut, and the
 * line says cut=true. In JSON, a value that is one decimal number stays a number. A line that cannot be written is dropped and counted.
 */
void pr_log(enum pr_log_level level, const char *event, const char *fmt, ...) PR_PRINTF(3, 4);

#define pr_log_error(...) pr_log(PR_LOG_ERROR, __VA_ARGS__)
#define pr_log_warn(...) pr_log(PR_LOG_WARN, __VA_ARGS__)
#define pr_log_info(...) pr_log(PR_LOG_INFO, __VA_ARGS__)
/* Its arguments are not evaluated unless debug is on. */
#define pr_log_debug(...) (pr_log_enabled(PR_LOG_DEBUG) ? pr_log(PR_LOG_DEBUG, __VA_ARGS__) : (void)0)

/* Lines dropped since the start because the descriptor took no more. */
uint64_t pr_log_dropped(void);

/* Sums what repeats: the first line goes out, the rest of the interval is counted. One per kind of event, shared by any threads. */
struct pr_log_limit {
    int64_t interval_ns;
    _Atomic int64_t next_ns; /* private: monotonic time from which a line may go out */
    _Atomic uint64_t held;   /* private: lines kept back */
};
#define PR_LOG_LIMIT(seconds) \
    { .interval_ns = INT64_C(1000000000) * (seconds) }

/* As pr_log, but once an interval; the line says repeated=N when N were kept back since the one before. */
void pr_log_limited(struct pr_log_limit *limit, enum pr_log_level level, const char *event, const char *fmt, ...)
    PR_PRINTF(4, 5);

/* From a timer: says "event=EVENT repeated=N" when the interval is over and N lines were kept back, so that the last ones are told. */
void pr_log_limit_flush(struct pr_log_limit *limit, enum pr_log_level level, const char *event);

#endif
