/* The templates the sandbox knows, read from the Graph API's own list form. */
#ifndef PR_SANDBOX_CATALOGUE_H
#define PR_SANDBOX_CATALOGUE_H

#include "base/span.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    PR_HOLES_MAX = 64, /* parameters of one text; above any template Meta would approve */
    PR_TEMPLATE_NAME_CHARS = 512,
    PR_BODY_CHARS = 1024,   /* body after the parameters are in; Meta, "Template components" */
    PR_HEADER_CHARS = 60,   /* text header, the same way */
    PR_URL_CHARS = 2000,    /* URL of a button, the same way */
    PR_PAYLOAD_CHARS = 256, /* quick reply payload */
    PR_COUPON_CHARS = 15,   /* code of a copy-code button */
    PR_BUTTONS_MAX = 10,
};

enum pr_form_header { PR_FORM_NONE, PR_FORM_TEXT, PR_FORM_IMAGE, PR_FORM_VIDEO, PR_FORM_DOCUMENT, PR_FORM_LOCATION };

enum pr_form_button {
    PR_FORM_QUICK_REPLY,
    PR_FORM_URL,
    PR_FORM_PHONE,
    PR_FORM_COPY_CODE,
    PR_FORM_OTP,
    PR_FORM_FLOW,
    PR_FORM_CATALOG,
    PR_FORM_MPM,
    PR_FORM_OTHER, /* takes no parameter here */
};

/* A parameter of a text: the name between the braces ("1" when positional) and how often it occurs. */
struct pr_hole {
    char *name;
    uint32_t times;
};

struct pr_form_text {
    uint32_t literal_chars; /* characters outside the braces */
    uint32_t holes_n;
    struct pr_hole hole[PR_HOLES_MAX];
};

/* Owned by the catalogue, lives as long as it does; `status` alone changes. */
struct pr_form {
    uint64_t key;  /* hash of account, name and language */
    char *waba_id; /* "" for every account */
    char *name, *language, *status, *category;
    bool is_named;
    enum pr_form_header header_kind;
    struct pr_form_text header;
    struct pr_form_text body;
    uint32_t buttons_n;
    struct {
        enum pr_form_button kind;
        bool has_hole;
        uint32_t literal_chars; /* of its URL */
    } button[PR_BUTTONS_MAX];
};

struct pr_catalogue {
    struct pr_form **form;
    uint32_t n, room;
    uint32_t *index; /* open addressing over keys: form number + 1 */
    uint32_t index_n;
};

/*
 * Adds or replaces templates. `list` is {"data": […]}, an array, or one template; "" as `waba_id` makes them known to every
 * account, unless a template names its own. False with `fault` (at most `fault_n` bytes) naming the element and what is
 * wrong with it; those before it stay added.
 */
bool pr_catalogue_add(struct pr_catalogue *catalogue, const json_t *list, const char *waba_id, char *fault,
                      size_t fault_n);

/* By name and language, as they stand in the body: an account's own first, then those of every account. NULL if none. */
struct pr_form *pr_catalogue_find(const struct pr_catalogue *catalogue, struct pr_span waba_id, struct pr_span name,
                                  struct pr_span language);

/* Sets the status of each template of that name (and language, unless NULL); how many there were. */
uint32_t pr_catalogue_set_status(struct pr_catalogue *catalogue, const char *name, const char *language,
                                 const char *status);

void pr_catalogue_free(struct pr_catalogue *catalogue);

#endif
