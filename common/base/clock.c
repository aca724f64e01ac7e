/* Reads the clocks, and turns date-times and durations of the outside into microseconds and back. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum { HOUR_S = 3600, DAY_S = 86400, FRACTION_DIGITS = 6 };

static const int64_t second_us = 1000000;
static const int64_t duration_us_max = (int64_t)3650 * DAY_S * 1000000;

static int64_t clock_ns(clockid_t id) {
    struct timespec ts = {0, 0};
    clock_gettime(id, &ts); /* cannot fail for the three clocks used here */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t pr_clock_mono_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t pr_clock_boot_ns(void) {
    return clock_ns(CLOCK_BOOTTIME);
}

int64_t pr_clock_real_us(void) {
    return clock_ns(CLOCK_REALTIME) / 1000;
}

/*
 * Years are counted from March, so that the leap day is the last of its year and a month's first day is a linear formula; a cycle of
 * 400 years has 146,097 days. Method: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
int64_t pr_days_from_civil(int year, int month, int day) {
    int64_t y = (int64_t)year - (month <= 2);
    int64_t cycle = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_cycle = y - cycle * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    return cycle * 146097 + day_of_cycle - 719468;
}

void pr_civil_from_days(int64_t days, int *year, int *month, int *day) {
    int64_t z = days + 719468;
    int64_t cycle = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_cycle = z - cycle * 146097;
    int64_t year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    int64_t day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = (int)(year_of_cycle + cycle * 400 + (*month <= 2));
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Takes exactly `digits` digits off the front of `text`. */
static bool take_number(struct pr_span *text, size_t digits, int *value) {
    if (text->n < digits)
        return false;
    int sum = 0;
    for (size_t i = 0; i < digits; i++) {
        if (!is_digit(text->p[i]))
            return false;
        sum = sum * 10 + (text->p[i] - '0');
    }
    *value = sum;
    *text = pr_span_skip(*text, digits);
    return true;
}

static bool take_char(struct pr_span *text, const char *any_of) {
    if (text->n == 0 || text->p[0] == '\0' || !strchr(any_of, text->p[0]))
        return false;
    *text = pr_span_skip(*text, 1);
    return true;
}

static int days_of_month(int year, int month) {
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

static bool take_date(struct pr_span *text, int64_t *days) {
    int year, month, day;
    if (!take_number(text, 4, &year) || !take_char(text, "-") || !take_number(text, 2, &month) ||
        !take_char(text, "-") || !take_number(text, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
        return false;
    *days = pr_days_from_civil(year, month, day);
    return true;
}

/* The digits after the point; those behind the microseconds are read and dropped. */
static bool take_fraction(struct pr_span *text, int64_t *us) {
    int64_t sum = 0, unit = second_us / 10;
    size_t n = 0;
    for (; n < text->n && is_digit(text->p[n]); n++) {
        if (n < FRACTION_DIGITS)
            sum += (text->p[n] - '0') * unit;
        unit /= 10;
    }
    *us = sum;
    *text = pr_span_skip(*text, n);
    return n > 0;
}

/* Second 60 is a leap second (RFC 3339 section 5.6): taken as the first moment of the next minute, as POSIX time does. */
static bool take_time_of_day(struct pr_span *text, int64_t *us) {
    int hour, minute, second = 0;
    int64_t fraction = 0;
    if (!take_number(text, 2, &hour) || !take_char(text, ":") || !take_number(text, 2, &minute))
        return false;
    if (take_char(text, ":")) {
        if (!take_number(text, 2, &second))
            return false;
        if (take_char(text, ".") && !take_fraction(text, &fraction))
            return false;
    }
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *us = ((int64_t)hour * HOUR_S + minute * 60 + second) * second_us + (second == 60 ? 0 : fraction);
    return true;
}

static bool take_offset(struct pr_span *text, int64_t *us) {
    *us = 0;
    if (take_char(text, "Zz"))
        return true;
    bool is_west = text->n > 0 && text->p[0] == '-';
    int hours, minutes;
    if (!take_char(text, "+-") || !take_number(text, 2, &hours) || !take_char(text, ":") ||
        !take_number(text, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    int64_t offset = ((int64_t)hours * HOUR_S + minutes * 60) * second_us;
    *us = is_west ? -offset : offset;
    return true;
}

bool pr_time_parse(struct pr_span text, int64_t *us) {
    int64_t days, time_of_day, offset;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") || !take_time_of_day(&text, &time_of_day) ||
        !take_offset(&text, &offset) || text.n > 0)
        return false;
    int64_t sum = days * DAY_S * second_us + time_of_day - offset;
    /* An offset may carry the moment over either end of the range. */
    if (sum < 0 || sum >= pr_days_from_civil(10000, 1, 1) * DAY_S * second_us)
        return false;
    *us = sum;
    return true;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

int pr_time_format(int64_t us, char out[PR_TIME_TEXT]) {
    int64_t seconds = floor_div(us, second_us), fraction = (us % second_us + second_us) % second_us;
    int64_t days = floor_div(seconds, DAY_S);
    int rest = (int)(seconds - days * DAY_S);
    int year, month, day;
    pr_civil_from_days(days, &year, &month, &day);
    int n = snprintf(out, PR_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, rest / HOUR_S,
                     rest / 60 % 60, rest % 60);
    if (n < 0 || n >= PR_TIME_TEXT)
        return 0;
    if (fraction != 0)
        n += snprintf(out + n, (size_t)(PR_TIME_TEXT - n), ".%06d", (int)fraction);
    return n + snprintf(out + n, (size_t)(PR_TIME_TEXT - n), "Z");
}

struct unit {
    const char *name;
    int64_t us;
};

static const struct unit units[] = {
    {"ms", 1000},
    {"s", 1000000},
    {"m", 60 * (int64_t)1000000},
    {"h", HOUR_S *(int64_t)1000000},
    {"d", DAY_S *(int64_t)1000000},
};

bool pr_duration_parse(struct pr_span text, int64_t *us) {
    int64_t number = 0;
    size_t n = 0;
    for (; n < text.n && is_digit(text.p[n]); n++) {
        number = number * 10 + (text.p[n] - '0');
        if (number > duration_us_max) /* far from overflow, and too large in every unit */
            return false;
    }
    struct pr_span name = pr_span_skip(text, n);
    for (size_t i = 0; n > 0 && i < sizeof units / sizeof units[0]; i++) {
        if (!pr_span_is(name, units[i].name))
            continue;
        if (number > duration_us_max / units[i].us)
            return false;
        *us = number * units[i].us;
        return true;
    }
    return false;
}
