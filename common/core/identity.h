/* The message id: what makes two records the same message, whoever publishes them again. */
#ifndef PR_CORE_IDENTITY_H
#define PR_CORE_IDENTITY_H

#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct pr_uuid {
    uint8_t b[16];
};

enum { PR_UUID_TEXT = 37 };

/* Which clock the ledger's day was taken from. */
enum pr_day_source { PR_DAY_FROM_ID, PR_DAY_FROM_TIME, PR_DAY_FROM_KAFKA };

struct pr_identity {
    struct pr_uuid id; /* UUIDv8, RFC 9562 section 5.8 */
    int64_t us;        /* the moment the day comes from, microseconds since 1970 */
    int32_t day;       /* days since 1970-01-01: the ledger's partition */
    int32_t day_other; /* the neighbouring day whose midnight is less than an hour away, or `day`: see pr_identity_make */
    enum pr_day_source from;
};

/*
 * UUIDv8 of the length-prefixed (tenant, source, id, rule, step) by SHA-256. If `id` is a UUIDv7 or a ULID its 48 bits
 * of milliseconds lead and give the day; otherwise the day comes from `time_us`, or `kafka_us` when that is
 * PR_TIME_NONE, and an id less than an hour from midnight also gets the neighbouring day in `day_other` (an id with a
 * time of its own never does).
 */
void pr_identity_make(struct pr_span tenant, struct pr_span source, struct pr_span id, struct pr_span rule,
                      uint32_t step, int64_t time_us, int64_t kafka_us, struct pr_identity *out);

/*
 * False is `bad_time`: more than an hour ahead of `now_us`, older than `retention_days` times 24 h, or with a day whose
 * partition may already be dropped (before the day of `now_us` minus `retention_days`; `day_other` counts too).
 */
bool pr_identity_time_ok(const struct pr_identity *identity, int64_t now_us, int retention_days);

/* Lower-case hex with dashes and a NUL. */
void pr_uuid_format(const struct pr_uuid *uuid, char out[PR_UUID_TEXT]);

/* Exactly 36 characters, hex in any case, dashes in place, any version. False leaves `out` unspecified. */
bool pr_uuid_parse(struct pr_span text, struct pr_uuid *out) PR_MUST_CHECK;

/* What the platform echoes in its receipts, so that a receipt finds its row without an index on the platform's id. */
struct pr_callback {
    int32_t tenant;
    int32_t day;
    struct pr_uuid id;
    uint32_t attempt; /* 1 and up */
    uint16_t partition;
};

/*
 * "p1." + base64url, under 120 characters (the platform takes 512), and a NUL. Returns the length without it: always
 * 43.
 */
enum { PR_CALLBACK_TEXT = 120 };
int pr_callback_format(const struct pr_callback *callback, char out[PR_CALLBACK_TEXT]);

/*
 * Strict, because receipts come from outside: this version, this length, no padding, attempt over 0. False leaves `out`
 * unspecified.
 */
bool pr_callback_parse(struct pr_span text, struct pr_callback *out) PR_MUST_CHECK;

#endif
