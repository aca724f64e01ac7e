/* Where a broken invariant ends the process, saying which one it was. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void pr_check_failed(const char *file, int line, const char *what) {
    fprintf(stderr, "postrider: %s:%d: invariant broken: %s\n", file, line, what);
    abort();
}
