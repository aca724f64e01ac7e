/* What the compilers of templates and rules share: JSON in, copies in an arena out, and faults that name their place.
 */
#ifndef PR_CORE_COMPILE_H
#define PR_CORE_COMPILE_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/span.h"
#include "core/template.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Where in the file: "components[1].text"; longer paths are cut. A value, so that each level makes its own. */
struct pr_place {
    char text[96];
};
struct pr_place pr_place_root(void);
struct pr_place pr_place_key(const struct pr_place *parent, const char *key);
struct pr_place pr_place_item(const struct pr_place *parent, size_t index);

/* One compilation: where results go and where the first fault is described. Borrowed for the call. */
struct pr_compile {
    struct pr_arena *arena;
    struct pr_template_fault *fault;
};

/* Ours: no template or rule of the platform's limits comes near, and it bounds what jansson takes. */
enum { PR_COMPILE_BYTES_MAX = 256 * 1024 };

/* Describes a fault. Always false, so that a check can end with it. */
bool pr_compile_fault(const struct pr_compile *c, const struct pr_place *at, const char *fmt, ...) PR_PRINTF(3, 4);

/* "out of memory", when the arena's ceiling is reached. Always false. */
bool pr_compile_no_memory(const struct pr_compile *c);

/* Parses one JSON object; keys must be unique. NULL with a fault otherwise; the caller gives it back with json_decref.
 */
json_t *pr_compile_load(const struct pr_compile *c, struct pr_span json) PR_MUST_CHECK;

/* A string of 1 to `chars_max` characters, copied into the arena. `value` may be NULL: a fault, it is required. */
bool pr_compile_text(const struct pr_compile *c, const struct pr_place *at, const json_t *value, size_t chars_max,
                     struct pr_span *out) PR_MUST_CHECK;

/* Whether `key` is one of `known` (ended by NULL). */
bool pr_compile_is_known(const char *key, const char *const *known) PR_MUST_CHECK;

/* Every key of `object` is one of `known` (ended by NULL), so that a misspelt key is not ignored. */
bool pr_compile_keys(const struct pr_compile *c, const struct pr_place *at, json_t *object,
                     const char *const *known) PR_MUST_CHECK;

/* The bytes of a jansson string. Borrowed from `value`. */
struct pr_span pr_compile_string(const json_t *value);

/* Whether `text` is 1 to `n_max` bytes of [a-z0-9_]: names of templates and of parameters. */
bool pr_compile_is_name(struct pr_span text, size_t n_max) PR_MUST_CHECK;

/* Equal but for the case of ASCII letters: Meta writes its words in either. */
bool pr_compile_is_word(struct pr_span text, const char *word) PR_MUST_CHECK;

#endif
