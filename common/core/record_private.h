/* What the parts of the record decoder share: faults, exact memory for values, and the two parsers behind one shape. */
#ifndef PR_CORE_RECORD_PRIVATE_H
#define PR_CORE_RECORD_PRIVATE_H

#include "base/attr.h"
#include "core/record.h"

/*
 * Memory of one parsed tree, measured before it is taken: one allocation, handed out piece by piece, never more than
 * promised. So a record takes from its arena what it needs and no rounding, and a hostile length reserves nothing.
 */
struct pr_pool {
    char *p;
    size_t left;
};

/* Takes `n` bytes from the arena for the pool; false when it has no room. */
bool pr_pool_init(struct pr_pool *pool, struct pr_arena *arena, size_t n) PR_MUST_CHECK;

/* The next `n` bytes. Aborts when the measuring was wrong. Aligned as long as every piece so far was a multiple of 8.
 */
void *pr_pool_take(struct pr_pool *pool, size_t n);

/* Writes the fault and gives back `status`, so that a refusal is one statement. `fault->text` is cut at a character. */
enum pr_record_status pr_record_fail(struct pr_record_fault *fault, enum pr_record_status status, struct pr_span field,
                                     const char *fmt, ...) PR_PRINTF(4, 5);

/* The arena's ceiling or malloc said no. */
enum pr_record_status pr_record_no_memory(struct pr_record_fault *fault);

/* Puts one more step in front of the fault's path: "name" becomes "customer.name". `step` must be valid UTF-8. */
void pr_record_fault_prepend(struct pr_record_fault *fault, struct pr_span step);

/*
 * Parse one document into `out`, everything in `arena`. `depth_used` is the nesting that already stands around the
 * document: 0 for a record, 1 for the `data` of binary mode.
 */
enum pr_record_status pr_record_parse_json(struct pr_span text, uint32_t depth_used, struct pr_arena *arena,
                                           struct pr_value *out, struct pr_record_fault *fault) PR_MUST_CHECK;
enum pr_record_status pr_record_parse_msgpack(struct pr_span text, uint32_t depth_used, struct pr_arena *arena,
                                              struct pr_value *out, struct pr_record_fault *fault) PR_MUST_CHECK;

/* Fills `out` from a map of attributes and `data`; reuses the memory of the map's members for `extra`. */
enum pr_record_status pr_record_from_map(struct pr_value *map, struct pr_arena *arena, struct pr_record *out,
                                         struct pr_record_fault *fault) PR_MUST_CHECK;

#endif
