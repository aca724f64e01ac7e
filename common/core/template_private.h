/* What template.c, template_json.c and render.c share and nobody else needs. */
#ifndef PR_CORE_TEMPLATE_PRIVATE_H
#define PR_CORE_TEMPLATE_PRIVATE_H

#include "core/compile.h"
#include "core/template.h"

/* Writes the constant parts of the request into the template: json_start, json_params, json_header, each button's
 * json_start. */
bool pr_template_write_json(const struct pr_compile *c, struct pr_template *tpl) PR_MUST_CHECK;

/* Length of "https://" or "http://" (any case) at the start of `url`; 0 when there is neither. */
size_t pr_url_scheme(struct pr_span url) PR_MUST_CHECK;

#endif
