/* An approved template, compiled once from the Graph API's own form and checked against the platform's limits. */
#ifndef PR_CORE_TEMPLATE_H
#define PR_CORE_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* The platform's word for what a message is for; consent, caps, prices and resending go by it. */
enum pr_category { PR_CATEGORY_UTILITY, PR_CATEGORY_MARKETING, PR_CATEGORY_AUTHENTICATION, PR_CATEGORY_SERVICE };
enum { PR_CATEGORIES = 4 };
const char *pr_category_name(enum pr_category category);            /* "utility", … */
bool pr_category_parse(struct pr_span text, enum pr_category *out); /* any case; false leaves `out` alone */

/* The closed set we act on; what Meta may add is OTHER and is not sendable. */
enum pr_template_status {
    PR_TEMPLATE_APPROVED,
    PR_TEMPLATE_PENDING,
    PR_TEMPLATE_REJECTED,
    PR_TEMPLATE_PAUSED,
    PR_TEMPLATE_DISABLED,
    PR_TEMPLATE_OTHER,
};
const char *pr_template_status_name(enum pr_template_status status);   /* "approved", … */
enum pr_template_status pr_template_status_parse(struct pr_span text); /* any case; OTHER when it is none of ours */

enum pr_header_format { PR_HEADER_NONE, PR_HEADER_TEXT, PR_HEADER_IMAGE, PR_HEADER_DOCUMENT };
enum pr_button_kind { PR_BUTTON_QUICK_REPLY, PR_BUTTON_URL, PR_BUTTON_PHONE };

/* Limits of the platform, in characters unless said: Meta, "Template components" and "Utility templates" pages. */
enum {
    PR_TEMPLATE_NAME_MAX = 512,
    PR_TEMPLATE_BODY_MAX = 1024, /* as written, and again with the parameters filled in; so for header and URL */
    PR_TEMPLATE_HEADER_MAX = 60,
    PR_TEMPLATE_FOOTER_MAX = 60,
    PR_TEMPLATE_BUTTON_TEXT_MAX = 25,
    PR_TEMPLATE_BUTTONS_MAX = 10,
    PR_TEMPLATE_URL_BUTTONS_MAX = 2,
    PR_TEMPLATE_PHONE_BUTTONS_MAX = 1,
    PR_TEMPLATE_PHONE_MAX = 20,
    PR_TEMPLATE_URL_MAX = 2000,
    PR_TEMPLATE_PAYLOAD_MAX = 256,  /* quick reply payload */
    PR_TEMPLATE_FILENAME_MAX = 240, /* ours: what file systems keep, with room for a suffix */
    PR_TEMPLATE_PARAMS_MAX = 64,    /* ours: far above any real template */
    PR_TEMPLATE_LANGUAGE_MAX = 16,  /* ours: the longest of Meta's codes has 6 */
};

/* Text with holes: literal, hole, literal, hole, …, literal. Hole i shows parameter `param[i]`. */
struct pr_pattern {
    uint32_t holes;
    struct pr_span *literal; /* holes + 1 */
    uint16_t *param;         /* holes; index into the owner's parameter names */
    uint32_t literal_chars;  /* characters (code points) of all literals together */
};

struct pr_button {
    enum pr_button_kind kind;
    struct pr_span text;
    struct pr_pattern url;     /* URL only; at most one hole, at its end */
    struct pr_span phone;      /* PHONE only */
    struct pr_span json_start; /* its component up to the value; p NULL for PHONE and for a URL without a hole */
};

/* Immutable once compiled; lives in the arena it was compiled into; may be read by many threads. */
struct pr_template {
    int32_t id; /* of its row; 0 until stored */
    struct pr_span name, language;
    enum pr_category category;
    enum pr_template_status status;
    bool is_named;          /* parameter_format NAMED; positional otherwise */
    uint16_t params_n;      /* of the body */
    struct pr_span *params; /* names in order of first appearance; positional: "1", "2", … in order */
    struct pr_pattern body;
    enum pr_header_format header_format;
    struct pr_pattern header;    /* TEXT only; at most one hole */
    struct pr_span header_param; /* its name, p NULL when there is none */
    struct pr_span footer;
    uint16_t buttons_n;
    struct pr_button *buttons;

    /* Request JSON that is the same for every message; pr_render_body puts the values between. */
    struct pr_span json_start;   /* from ,"type":"template" to the language */
    struct pr_span *json_params; /* params_n: each parameter of the body up to its text */
    struct pr_span json_header;  /* the header's component up to its value; p NULL when it takes none */
};

/* A fault of a file that a person wrote: `path` is like "components[1].text", or "" for the whole. */
struct pr_template_fault {
    char path[128];
    char text[192];
};

/*
 * Compiles one template object of the Graph API (`json`: {"name", "language", "category", "status", "parameter_format",
 * "components"}); other keys are passed over, the Graph API has many. Words may be in any case. Component, header and
 * button kinds we do not send (video, location, carousel, copy code, catalog, flow, OTP, …) are a fault by name, and so
 * is what breaks a limit above. All of `out` lives in `arena`; on a fault, false, what was taken from the arena stays
 * until its rewind, and `out` is unspecified. `out->id` is 0. Pure; jansson and a scratch buffer allocate during the
 * call and free before it returns.
 */
bool pr_template_compile(struct pr_span json, struct pr_arena *arena, struct pr_template *out,
                         struct pr_template_fault *fault) PR_MUST_CHECK;

#endif
