/* Where in a JSON text a path stands: jansson keeps no line numbers, and a fault without one is hard to find. Pure. */
#ifndef PR_CONTROL_LOCATE_H
#define PR_CONTROL_LOCATE_H

#include "base/span.h"

/*
 * The line, from 1, on which the value at `path` begins ("rules[2].body[0].money", keys as they are written); for
 * a path that does not lead to a value the line of the deepest part that does. `json` must be valid JSON. Keys may
 * hold dots: the longest that fits is taken.
 */
int pr_locate(struct pr_span json, const char *path);

#endif
