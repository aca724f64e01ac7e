/* A rule: which event becomes which template, how its parameters are filled, what cancels it and what replaces it. */
#ifndef PR_CORE_RULE_H
#define PR_CORE_RULE_H

#include "base/arena.h"
#include "base/span.h"
#include "core/record.h"
#include "core/template.h"

#include <stdbool.h>
#include <stdint.h>

/* How a value becomes text. */
enum pr_format { PR_FORMAT_PLAIN, PR_FORMAT_MONEY, PR_FORMAT_DATE_SHORT, PR_FORMAT_DATE_LONG };

/* Limits of ours on what a person writes. */
enum {
    PR_RULE_NAME_MAX = 100, /* bytes: letters, digits, '.', '_', '-' */
    PR_RULE_PATH_MAX = 256, /* bytes of a path */
    PR_RULE_TYPE_MAX = 256, /* bytes of an event type */
    PR_RULE_TYPES_MAX = 64, /* entries of `on`, of `cancel_on`, of `senders` */
};

/*
 * One parameter of a rule: a path into the event, and how to show it. A path is "data." and keys with dots between
 * ("data.items.0.name"; a number indexes an array), or one of the attributes subject, to, id, type, time, locale.
 */
struct pr_param {
    struct pr_span name;     /* positional "1"…, or the named parameter; "" in header and buttons */
    struct pr_span path;     /* p NULL: the parameter is not given */
    struct pr_span fallback; /* `default`, never empty; p NULL: the parameter is required */
    uint32_t max;            /* `max` characters (code points) of the text, cut at a character; 0: no limit */
    enum pr_format format;
    struct pr_span currency_path; /* MONEY: path of the ISO 4217 code, or a code of three capitals itself */
};

/* What the event of a type turns into; the index in `pr_rule.on` is the rank used by `supersede`. */
struct pr_rule_on {
    struct pr_span type; /* exact event type */
    struct pr_span template_name;
};

enum pr_match { PR_MATCH_RECIPIENT, PR_MATCH_SUBJECT, PR_MATCH_PATH };

/*
 * One line of `cancel_on`: events of `type` ("order.confirmed", or a prefix "order.*") cancel this rule's messages.
 * `match` is recipient when not given.
 */
struct pr_cancel {
    struct pr_span type;
    enum pr_match match;
    struct pr_span path; /* PATH: where the other event carries our subject; always in its data */
};

struct pr_rule_header {
    enum pr_header_format format; /* NONE when the rule gives none */
    struct pr_param text;         /* TEXT */
    struct pr_param link;         /* IMAGE, DOCUMENT: https address */
    struct pr_param filename;     /* DOCUMENT; path p NULL when not given. When given it is required like any other */
};

struct pr_rule_button {
    uint8_t index;         /* 0 to 9 */
    struct pr_param value; /* URL suffix, or quick reply payload */
};

/* Immutable once compiled; lives in the arena it was compiled into. */
struct pr_rule {
    struct pr_span name;
    uint16_t on_n;
    struct pr_rule_on *on;
    bool is_superseding;
    uint16_t cancels_n;
    struct pr_cancel *cancels;
    int64_t delay_us;       /* waits this long after the event's time; 0 or more */
    int64_t max_age_us;     /* counted from the event's time too: older is expired; over delay_us; 0: no limit */
    struct pr_span to_path; /* where the recipient stands when not in `to`; p NULL otherwise */
    uint16_t senders_n;
    struct pr_span *senders; /* names; none: every sender of the tenant */
    struct pr_rule_header header;
    uint16_t body_n;
    struct pr_param *body;
    uint16_t buttons_n;
    struct pr_rule_button *buttons; /* by rising index, each once */
    uint32_t line;                  /* in its file, from 1; set by who reads the file, 0 when not known */
};

/*
 * Compiles one object of the `rules` array. Unknown keys are a fault, so that a misspelt one is not ignored.
 * `fault.path` is relative to the rule ("body[2].money"). All of `out` lives in `arena`; on a fault, false, what was
 * taken from the arena stays until its rewind, and `out` is unspecified. Pure; jansson allocates during the call and
 * frees before it returns.
 */
bool pr_rule_compile(struct pr_span json, struct pr_arena *arena, struct pr_rule *out,
                     struct pr_template_fault *fault) PR_MUST_CHECK;

/*
 * What the record has at a rule's path (a parameter's, `to_path`, a cancel's). NULL when absent or null. An attribute
 * is put into `scratch` and points there; data points into the record.
 */
const struct pr_value *pr_rule_value(const struct pr_record *record, struct pr_span path, struct pr_value *scratch);

/* Whether events of `type` change contacts and consent (contact.updated, consent.*): no rule can make a message of them. */
bool pr_rule_is_control(struct pr_span type) PR_MUST_CHECK;

/* The rank of `type` in the rule (its place in `on`), or -1 when the rule does not take it. */
int pr_rule_rank(const struct pr_rule *rule, struct pr_span type);

/* Whether a cancel type ("order.*" or exact) takes an event type. */
bool pr_cancel_takes(const struct pr_cancel *cancel, struct pr_span type);

/*
 * Checks a rule against a template it names: each parameter of the template is filled and no other given, the header's
 * kind fits, each button with a variable gets a value. A quick reply's payload may be left out. `fault.path` is
 * relative to the rule.
 */
bool pr_rule_fits(const struct pr_rule *rule, const struct pr_template *tpl,
                  struct pr_template_fault *fault) PR_MUST_CHECK;

/* The rule's entry for a parameter of the template's body; `hint` is where it probably is. NULL when there is none. */
const struct pr_param *pr_rule_body_param(const struct pr_rule *rule, struct pr_span name, uint16_t hint);

/* The rule's entry for the button at `index`; NULL when there is none. */
const struct pr_rule_button *pr_rule_button_at(const struct pr_rule *rule, unsigned index);

#endif
