/* Rendering: a compiled template, a rule and an event give the JSON body of one request. Escaped by construction. */
#ifndef PR_CORE_RENDER_H
#define PR_CORE_RENDER_H

#include "base/arena.h"
#include "base/buf.h"
#include "core/address.h"
#include "core/record.h"
#include "core/rule.h"
#include "core/template.h"

enum pr_render_status {
    PR_RENDER_OK,
    PR_RENDER_MISSING_PARAMETER, /* a required value is absent, null, blank or no scalar */
    PR_RENDER_BAD_PARAMETER, /* no number or currency for money, no date for a date, no http(s) address for a link */
    PR_RENDER_TOO_LONG,      /* over a limit of the platform after filling in */
    PR_RENDER_NO_MEMORY,     /* the arena's ceiling */
};
const char *pr_render_status_name(enum pr_render_status status); /* "ok", "missing_parameter", … */

/*
 * The parameters of one message as text, in the template's order. Spans live in the arena, or point into the record or
 * the rule where a value is shown as it is: all four must stay as long as this.
 */
struct pr_filled {
    struct pr_span *body;                                     /* tpl->params_n */
    struct pr_span header_text, header_link, header_filename; /* p NULL where the header takes none */
    struct pr_span *buttons; /* tpl->buttons_n; p NULL where the button takes no value */
};

struct pr_render_fault {
    char param[64]; /* "body.2", "body.first_name", "header.link", "buttons.0", or "body" for the whole; names may be cut */
    char text[160]; /* a sentence; names paths, never shows values */
};

/*
 * Takes the values out of the record, formats them in `locale` (the recipient's, "pt_BR"; locale.h has the plain
 * default of those that are not known), applies `default` and `max`, and checks every limit. `fault` is filled unless
 * OK. Pure.
 *
 * The platform refuses parameters with line breaks, tabs or more than four spaces together. That is no reason to lose a
 * message: each run of white space and control characters becomes one space, none at the ends. What is blank then is
 * missing, and `default` steps in.
 *
 * Money is a number, or a string such as "101.81", in main units (not cents); its code comes from `money`'s path, or is
 * what `money` says.
 *
 * A date is "YYYY-MM-DD", RFC 3339 (the date as written, in its own zone), or a MessagePack timestamp (its day in UTC).
 * `long` shows day and month, and the year too when that is over 182 days from the event's `time`, or there is none.
 *
 * A link is http or https with a host. What RFC 3986 does not allow is percent-encoded; in the host it is a fault. A URL
 * suffix is percent-encoded likewise, because the platform appends it as it is; '/', '?', '&', "%2F" and the like stay.
 *
 * A rule that does not fit the template (pr_rule_fits; either may have changed meanwhile) gives MISSING_PARAMETER; what
 * it gives too much is left out.
 */
enum pr_render_status pr_render_fill(const struct pr_template *tpl, const struct pr_rule *rule,
                                     const struct pr_record *record, struct pr_span locale, struct pr_arena *arena,
                                     struct pr_filled *out, struct pr_render_fault *fault) PR_MUST_CHECK;

/*
 * Appends the body of POST /messages: messaging_product, recipient_type, to or recipient, type, template, and, unless
 * `callback` is empty, biz_opaque_callback_data. All spans must be valid UTF-8, which those of pr_render_fill are. What
 * did not fit shows in `out->failed`.
 */
void pr_render_body(const struct pr_template *tpl, const struct pr_filled *filled, const struct pr_address *to,
                    struct pr_span callback, struct pr_buf *out);

/*
 * Appends what the person will read, for `rule test`: header, body, footer and each button ("[Acompanhar pedido]
 * https://…") on lines of their own, each ended by a newline. A media header is "[document] name address".
 */
void pr_render_preview(const struct pr_template *tpl, const struct pr_filled *filled, struct pr_buf *out);

#endif
