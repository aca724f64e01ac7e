/* The state of the stand-in for the platform: one struct that its parts share on one thread. */
#ifndef PR_SANDBOX_SANDBOX_H
#define PR_SANDBOX_SANDBOX_H

#include "catalogue.h"
#include "faults.h"
#include "hash.h"
#include "limits.h"
#include "map.h"
#include "record.h"
#include "scan.h"
#include "wheel.h"

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct pr_receipts;
struct pr_server;

enum {
    PR_LATENCY_STEPS = 1024, /* quantiles that the latency is drawn from */
    PR_CALLBACK_CHARS = 512, /* biz_opaque_callback_data; Meta's OpenAPI description */
    PR_CODES_MAX = 96,       /* different codes that the counters tell apart */
    PR_SAMPLES_MAX = 100,    /* repeated callback strings that are kept to be shown */
};

/* Why something was refused, as the record and the counters say it. */
enum pr_reason {
    PR_REASON_NONE,
    PR_REASON_TOKEN,     /* bearer or API key */
    PR_REASON_NUMBER,    /* no such phone_number_id */
    PR_REASON_BODY,      /* JSON, envelope, message of a type other than template */
    PR_REASON_TEMPLATE,  /* unknown, not approved */
    PR_REASON_PARAMETER, /* its parameters */
    PR_REASON_WINDOW,    /* no open service window */
    PR_REASON_RATE,
    PR_REASON_PAIR,
    PR_REASON_TIER,
    PR_REASON_FAULT, /* on purpose */
};
enum { PR_REASONS = PR_REASON_FAULT + 1 };
const char *pr_reason_name(enum pr_reason reason); /* "tier"; "" for none */

/* A business portfolio: the scope of the messaging limit. */
struct pr_portfolio {
    char *id;
    struct pr_tier tier;
    UT_hash_handle hh;
};

/* A business phone number. */
struct pr_number {
    char *phone_number_id;
    char *token;    /* NULL: only the business tokens open it */
    char *d360_key; /* NULL: not reachable as 360dialog */
    char *waba_id;
    char *display;                  /* digits: who must not be the recipient; "" unknown */
    char *country_code;             /* put before a `to` without '+'; "" to take such a `to` as it is */
    char *quality;                  /* shown by GET /{id} */
    struct pr_portfolio *portfolio; /* NULL: no messaging limit */
    bool marketing_off;             /* marketing templates only on /marketing_messages: 131063 */
    struct pr_rate rate;
    uint64_t accepted;
    uint64_t salt; /* seeds the hashes of pairs and windows */
    UT_hash_handle hh;
    UT_hash_handle by_key;
};

struct pr_token_entry {
    char *token;
    UT_hash_handle hh;
};

/* Counters since the start or the last reset. */
struct pr_stats {
    uint64_t connections, requests, bad_requests, half_requests; /* half: the client left before its request was whole */
    uint64_t accepted, refused, unanswered; /* unanswered: accepted, and the client left or was cut before the answer */
    uint64_t callbacks_repeated, accepted_without_callback;
    uint64_t cut, reset, hung; /* connections ended or silenced on purpose */
    uint64_t mark_read;
    uint64_t by_reason[PR_REASONS];
    struct {
        int code;
        uint64_t n;
    } by_code[PR_CODES_MAX];
    uint32_t codes_n;
    uint32_t open; /* requests read whole and not yet answered: on the wire now; not cleared by a reset */
    uint32_t open_max;
    uint32_t connected; /* connections now; not cleared either */
};

struct pr_sandbox {
    struct event_base *base;
    struct pr_wheel wheel;
    struct pr_catalogue catalogue;
    struct pr_faults faults;
    struct pr_record record;
    struct pr_receipts *receipts;
    struct pr_server *server;
    struct pr_number *numbers;        /* by phone_number_id */
    struct pr_number *numbers_by_key; /* by d360_key */
    struct pr_portfolio *portfolios;
    struct pr_token_entry *tokens; /* business tokens */
    struct pr_map pairs;           /* (number, person) to when the bucket is full */
    struct pr_map windows;         /* (number, person) to when the service window ends, platform's clock */
    struct pr_map callbacks;       /* set: callback strings of accepted messages */
    char *callback_sample[PR_SAMPLES_MAX];
    uint32_t callback_samples_n;
    struct pr_stats stats;
    int64_t latency_us[PR_LATENCY_STEPS];
    bool has_latency;
    int64_t clock_offset_us;
    int64_t moment_us;     /* monotonic: when the last request that was handled came */
    uint64_t run;          /* random, so that message ids of two runs differ */
    uint64_t taken;        /* accepted messages of this run; the message id's number; never cleared */
    bool lenient;          /* unknown numbers are made on the fly, any token opens them */
    bool any_template;     /* templates that are not known are taken unchecked */
    bool enforce_window;   /* non-template messages need an open service window */
    struct pr_buf scratch; /* the answer being built */
    struct pr_doc *doc;    /* the body being read */
};

/* The platform's clock: real time plus the offset, in microseconds since 1970. */
int64_t pr_sandbox_now_us(const struct pr_sandbox *sandbox);

/* By their names; NULL if none. */
struct pr_number *pr_sandbox_number(const struct pr_sandbox *sandbox, struct pr_span phone_number_id);
struct pr_portfolio *pr_sandbox_portfolio(const struct pr_sandbox *sandbox, const char *id);

/* A new number with nothing set but its id, no rate and no portfolio. Never NULL. */
struct pr_number *pr_sandbox_add_number(struct pr_sandbox *sandbox, struct pr_span phone_number_id);

/* Key of (number, person) in `pairs` and `windows`. `person` are digits or a business-scoped id. */
uint64_t pr_sandbox_pair_key(const struct pr_number *number, struct pr_span person);

/* Counts an answer's provider code; 0 is not counted. */
void pr_sandbox_count_code(struct pr_sandbox *sandbox, int code);

/* What a reset forgets. */
enum pr_reset {
    PR_RESET_LIMITS = 1,
    PR_RESET_WINDOWS = 2,
    PR_RESET_RECORD = 4,
    PR_RESET_STATS = 8,
    PR_RESET_FAULTS = 16, /* script and recipients; the mix stays */
    PR_RESET_CLOCK = 32,
    PR_RESET_RECEIPTS = 64,
    PR_RESET_ALL = 127,
};
void pr_sandbox_reset(struct pr_sandbox *sandbox, unsigned what);

/* Gives everything back but `base`, `server` and `receipts`. */
void pr_sandbox_free(struct pr_sandbox *sandbox);

#endif
