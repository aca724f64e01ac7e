/* What commands share that put many things somewhere, one after the other: a rate, and Ctrl-C between two of them. */
#ifndef PR_CONTROL_PACE_H
#define PR_CONTROL_PACE_H

#include "base/attr.h"

#include <stdbool.h>

/* "500/s", "30/min", "100/h", or a bare number a second. False when it is neither. */
bool pr_pace_parse(const char *text, double *per_second) PR_MUST_CHECK;

/* From here on SIGINT and SIGTERM only set the flag below, once: a second Ctrl-C ends the program at once. */
void pr_interrupt_catch(void);
bool pr_is_interrupted(void);

#endif
