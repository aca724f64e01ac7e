/* What the commands of consent share: reading the words that people use for it, and the identity of a statement. */
#ifndef PR_CONTROL_CONSENT_H
#define PR_CONTROL_CONSENT_H

#include "base/attr.h"
#include "base/span.h"
#include "core/address.h"
#include "core/identity.h"

#include <stdbool.h>
#include <stdint.h>

/* Bit 1 << enum pr_category for each of the four; PR_CONSENT_ALL for "all". */
enum { PR_CONSENT_ALL = 15 };

/* "marketing", "utility,marketing", "utility|marketing" or "all", in any case. False when a word is none. */
bool pr_consent_categories(struct pr_span text, int16_t *mask) PR_MUST_CHECK;

/* RFC 3339, or a day alone ("2026-08-01": its first moment in UTC). */
bool pr_consent_time(struct pr_span text, int64_t *us) PR_MUST_CHECK;

/*
 * The same statement gets the same id whenever it is given again, so that repeating an import or a command records
 * nothing twice. `tenant` is the tenant's name; `to` canonical.
 */
struct pr_uuid pr_consent_event(struct pr_span tenant, const struct pr_address *to, int16_t mask, bool is_granted,
                                int64_t at_us);

#endif
