/* Text as people see it: cut without harm, and made to fit where the platform refuses line breaks or raw URLs. */
#ifndef PR_CORE_TEXT_H
#define PR_CORE_TEXT_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/span.h"

#include <stddef.h>

/*
 * All functions here take valid UTF-8 (records and compiled files are checked when read), are pure and safe on any
 * thread. A character is a Unicode code point; the platform's pages do not say what they count.
 */

/*
 * The first `max` characters, without a space at the end; `s` itself when it is not longer. A letter is dropped rather
 * than shown without its accent, and a joined emoji rather than in half, unless nothing would be left. Points into `s`.
 */
struct pr_span pr_text_cut(struct pr_span s, size_t max) PR_MUST_CHECK;

/*
 * One line of text: each run of white space and control characters becomes one space, none at the ends. No-break spaces
 * are text. Returns `s` or a part of it when nothing inside has to change, else a copy in the arena; p NULL when the
 * arena failed.
 */
struct pr_span pr_text_line(struct pr_span s, struct pr_arena *arena) PR_MUST_CHECK;

/*
 * Percent-encodes what RFC 3986 does not allow after the host of a URL (spaces, quotes, brackets, everything not
 * ASCII). What is reserved ("/?#&=" and so on) and complete escapes ("%2F") stay: a value may be a path, a query or
 * already encoded. Returns `s` when nothing has to change, else a copy in the arena; p NULL when the arena failed.
 */
struct pr_span pr_text_url(struct pr_span s, struct pr_arena *arena) PR_MUST_CHECK;

/*
 * Puts '?' for each byte of `text`, a C string of any bytes, that is part of no whole character: a fault that quotes
 * what a person wrote and was cut by its size can then still be stored.
 */
void pr_text_scrub(char *text);

#endif
