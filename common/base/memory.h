/* What becomes of a process that gets no memory. A program that says nothing goes on, and its arenas and buffers only say that they failed. */
#ifndef PR_BASE_MEMORY_H
#define PR_BASE_MEMORY_H

#include "base/attr.h"

/* Logs `what` could not be had and ends the process with 1. For a place that can neither go on rightly without it nor put the work back. */
void pr_out_of_memory(const char *what) PR_NORETURN;

/*
 * From now on an arena or a buffer that gets no memory below its ceiling ends the process as above. Otherwise its owner cannot tell that from a
 * record or text that is larger than it may be, and would refuse for good what only needs another try.
 */
void pr_memory_is_vital(void);

/* Told by arenas and buffers. */
void pr_memory_failed(const char *what);

#endif
