/* Whether a body is a message that the platform takes, and if not with which code it says so. */
#ifndef PR_SANDBOX_CHECK_H
#define PR_SANDBOX_CHECK_H

#include "sandbox.h"

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum { PR_PERSON_CHARS = 160 }; /* digits, or a business-scoped id of at most 131 characters */

/* What a valid body says; spans point into the body or into `room`. Raw: inside of a JSON string as written. */
struct pr_message {
    struct pr_span to;     /* raw, `to` or `recipient` */
    struct pr_span person; /* digits or business-scoped id */
    bool is_scoped;        /* a business-scoped id */
    bool is_read_mark;     /* marks an inbound message as read; nothing else is set */
    struct pr_span type;
    struct pr_span template_name; /* raw */
    struct pr_span language;      /* raw */
    struct pr_span callback;      /* raw; p NULL: none */
    const struct pr_form *form;   /* NULL: no template, or one that is not known (any_template) */
    char room[PR_PERSON_CHARS];
};

/* A body on its way through the checks. Zeroed but for `sandbox`, `number` and `is_marketing_path`. */
struct pr_check {
    struct pr_sandbox *sandbox;
    const struct pr_number *number;
    bool is_marketing_path; /* sent to /marketing_messages */
    const struct pr_doc *doc;
    struct pr_message message;
    int code; /* of the refusal */
    enum pr_reason reason;
    bool has_details;
    char details[320]; /* ASCII */
};

/* Sets code and details (fmt NULL: none) unless set before; returns false. */
bool pr_check_refuse(struct pr_check *check, int code, enum pr_reason reason, const char *fmt, ...) PR_PRINTF(4, 5);

/* Fills `message`, or refuses: false. The scanned body stays in sandbox->doc until the next request. */
bool pr_check_body(struct pr_check *check, struct pr_span body);

/* The `template` object at `token`. */
bool pr_check_template(struct pr_check *check, uint32_t token);

/* The member `name` of a type other than template and text, at `token`. */
bool pr_check_other(struct pr_check *check, struct pr_span name, uint32_t token);

/* {"id"} or {"link"} with what else the medium may carry. `where` is for the details. */
bool pr_check_media(struct pr_check *check, uint32_t token, struct pr_span medium, const char *where);

/*
 * Members of an object, unknown ones refused with code 100 like the platform does. slot[i] is the value of names[i], 0 when absent.
 */
bool pr_check_pick(struct pr_check *check, uint32_t object, const char *where, const struct pr_span *names,
                   uint32_t names_n, uint32_t *slot);

/* A string of 1 to `chars_max` characters at `token` (0: absent, 131008). Longer: `code_long`. */
bool pr_check_text(struct pr_check *check, uint32_t token, const char *where, uint32_t chars_max, int code_long);

#endif
