/* Reading values out of a settings document, with the first fault kept as one sentence. */
#ifndef PR_SANDBOX_SETTINGS_H
#define PR_SANDBOX_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first fault is written to `why` as "where.name problem" and `failed` set; later ones are ignored. */
struct pr_reading {
    char *why;
    size_t why_n;
    const char *where; /* what is being read, for the sentence */
    bool failed;
};

void pr_read_fault(struct pr_reading *r, const char *name, const char *problem);

/* False with a fault unless `object` is one and each member's name is in `names`, which ends with NULL. */
bool pr_read_object(struct pr_reading *r, const json_t *object, const char *const *names);

/* A member, or `otherwise` when it is absent or null; another type, or a value outside `min`..`max`, is a fault. */
int64_t pr_read_number(struct pr_reading *r, const json_t *object, const char *name, int64_t otherwise, int64_t min,
                       int64_t max);
double pr_read_real(struct pr_reading *r, const json_t *object, const char *name, double otherwise, double min,
                    double max);
bool pr_read_bool(struct pr_reading *r, const json_t *object, const char *name, bool otherwise);

/* The same for a string: a copy that the caller frees; NULL when absent and `otherwise` is NULL. */
char *pr_read_text(struct pr_reading *r, const json_t *object, const char *name, const char *otherwise);

/* A string with everything but letters, digits and dots taken out: "+55 11 9" becomes "55119", "US.12" stays. */
char *pr_read_address(struct pr_reading *r, const json_t *object, const char *name, char *otherwise);

#endif
