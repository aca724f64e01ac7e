/* Time, read in one place and passed on: monotonic for delays, boot time for leases, real time for what people see. */
#ifndef PR_BASE_CLOCK_H
#define PR_BASE_CLOCK_H

#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since 1970-01-01 UTC, or "not given". */
#define PR_TIME_NONE INT64_MIN

/* CLOCK_MONOTONIC in ns: for delays and timers. */
int64_t pr_clock_mono_ns(void);

/* CLOCK_BOOTTIME in ns: goes on while the machine sleeps, so a lease cannot outlive a suspend unnoticed. */
int64_t pr_clock_boot_ns(void);

/* CLOCK_REALTIME in microseconds since 1970. */
int64_t pr_clock_real_us(void);

/*
 * RFC 3339 date-time ("2026-11-20T16:32:00.123Z", "…-03:00"; 'T' may be a space, seconds may be left out) to microseconds
 * since 1970. Years 1970 to 9999. False leaves `us` alone.
 */
bool pr_time_parse(struct pr_span text, int64_t *us) PR_MUST_CHECK;

/* Writes "2026-11-20T16:32:00.123456Z" (the fraction only when it is not 0) and a NUL; returns the length, at most 27. */
enum { PR_TIME_TEXT = 32 };
int pr_time_format(int64_t us, char out[PR_TIME_TEXT]);

/* Days since 1970-01-01 of a civil date (proleptic Gregorian), and back. */
int64_t pr_days_from_civil(int year, int month, int day);
void pr_civil_from_days(int64_t days, int *year, int *month, int *day);

/* "90s", "30m", "1h", "24h", "7d", "250ms" to microseconds; whole numbers only, at most 3650 d. */
bool pr_duration_parse(struct pr_span text, int64_t *us) PR_MUST_CHECK;

#endif
