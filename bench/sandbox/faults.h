/* What goes wrong on purpose: a mix drawn at random, faults of one recipient, and scripted ones that strike at an exact request. */
#ifndef PR_SANDBOX_FAULTS_H
#define PR_SANDBOX_FAULTS_H

#include "base/span.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* How the answer leaves. */
enum pr_act {
    PR_ACT_SEND,       /* whole, and the connection lives on */
    PR_ACT_CUT,        /* nothing: FIN */
    PR_ACT_RESET,      /* nothing: RST */
    PR_ACT_HANG,       /* nothing, until the client gives up or `ms` have passed, then FIN */
    PR_ACT_HALF_CUT,   /* half of its bytes, then FIN */
    PR_ACT_HALF_RESET, /* half, then RST */
    PR_ACT_HALF_HANG,  /* half, then silence like PR_ACT_HANG */
    PR_ACT_SEND_CUT,   /* whole, without "Connection: close", then FIN */
    PR_ACT_SEND_RESET, /* the same, then RST */
};

/* What the answer says. */
enum pr_saying {
    PR_SAY_RESULT,   /* the message id */
    PR_SAY_HELD,     /* the message id, held_for_quality_assessment */
    PR_SAY_ERROR,    /* an error of the provider, by `code` */
    PR_SAY_STATUS,   /* an HTTP status with a proxy's HTML page, no provider code */
    PR_SAY_GARBAGE,  /* 200 with bytes that are not JSON */
    PR_SAY_EMPTY,    /* 200 with {} : no message id */
    PR_SAY_OVERSIZE, /* 200 with `bytes` of JSON */
};

/* One of the closed list of names in README.md; static. */
struct pr_fault_kind {
    const char *name;
    bool accepts; /* the message is taken (recorded, counted, receipts follow) before the answer goes wrong */
    enum pr_act act;
    enum pr_saying saying;
    int http; /* default status of PR_SAY_STATUS */
};

const struct pr_fault_kind *pr_fault_kind_find(const char *name); /* NULL if none */
const char *pr_fault_kind_name(size_t i);                         /* by number, for --help; NULL after the last */

struct pr_fault {
    const struct pr_fault_kind *kind;
    int code;           /* provider's: of the answer (PR_SAY_ERROR), else of a `failed` receipt to come (0: none) */
    int http;           /* 0: the kind's or the code's own */
    int64_t ms;         /* delay: added to the answer; hang: how long, 0 for ever; answer_then_*: pause before it */
    int64_t bytes;      /* size of PR_SAY_OVERSIZE */
    int retry_after;    /* header Retry-After in seconds; negative: none */
    int usage_minutes;  /* header X-Business-Use-Case-Usage; negative: none */
    char *details;      /* error_data.details; NULL: the code's own words */
    double probability; /* 0..1 */
    double weight;      /* of a mix given by weights; negative: given by probability */
    uint64_t nth;       /* strikes from the nth matching request on; 0 like 1 */
    uint64_t every;     /* and then at each such step; 0 like 1 */
    uint64_t times;     /* how often; 0: for ever */
    bool on_connection; /* nth counts the requests of one connection, not all that match */
    char *to;           /* digits or business-scoped id; NULL: any */
    char *phone_number_id;
    char *template_name;
    uint64_t seen, struck; /* counters */
    struct pr_fault *next;
};

/* The request that faults are matched against. Spans are the caller's. */
struct pr_fault_query {
    struct pr_span to; /* digits or business-scoped id */
    struct pr_span phone_number_id;
    struct pr_span template_name;
    uint64_t nth_on_connection; /* from 1 */
};

struct pr_person_faults; /* faults of one recipient, hashed by it */

struct pr_faults {
    struct pr_fault *script; /* in the order given */
    struct pr_person_faults *people;
    struct pr_fault *mix;
    uint64_t random; /* state of the generator */
};

/* Uniform in 0..1 (1 excluded), from the seed alone. */
double pr_faults_random(struct pr_faults *faults);

/* Replaces the mix: [{"what", "probability" | "weight", …}]. False with `why`. */
bool pr_faults_set_mix(struct pr_faults *faults, const json_t *array, char *why, size_t why_n);

/* Adds one fault: {"what", "match": {…}, "times", …}; one that only matches a recipient is found by hash. False with `why`. */
bool pr_faults_add(struct pr_faults *faults, const json_t *object, uint64_t times_default, char *why, size_t why_n);

/* The fault that strikes now (its counters move on), or NULL. Script first, then the recipient's, then the mix. */
const struct pr_fault *pr_faults_pick(struct pr_faults *faults, const struct pr_fault_query *query);

/* Array of what is set, with counters. A new reference. */
json_t *pr_faults_list(const struct pr_faults *faults);

/* Forgets script and recipients; the mix too when asked. */
void pr_faults_clear(struct pr_faults *faults, bool mix_too);

#endif
