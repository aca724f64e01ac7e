/* Assertions for invariants that hold in release builds too. Never for input: bad input gets an error, not an abort. */
#ifndef PR_BASE_CHECK_H
#define PR_BASE_CHECK_H

#include "base/attr.h"

/* Prints where and what to stderr and aborts. Thread-safe. */
void pr_check_failed(const char *file, int line, const char *what) PR_NORETURN;

#define pr_assert(cond) ((cond) ? (void)0 : pr_check_failed(__FILE__, __LINE__, #cond))

#endif
