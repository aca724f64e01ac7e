/* Compiler attributes that turn contracts into warnings. */
#ifndef PR_BASE_ATTR_H
#define PR_BASE_ATTR_H

/* The result says whether the call worked; ignoring it is a warning. */
#define PR_MUST_CHECK __attribute__((warn_unused_result))

/* Argument `fmt` is a printf format whose values start at argument `first`. */
#define PR_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#define PR_NORETURN __attribute__((noreturn))

#define PR_UNUSED __attribute__((unused))

#endif
