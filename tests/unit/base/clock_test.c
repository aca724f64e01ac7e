/* Tests of the clocks, of RFC 3339 date-times, civil dates and durations, at the edges of each. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND INT64_C(1000000)

static void clocks_do_not_go_back(void **state) {
    (void)state;
    int64_t mono = pr_clock_mono_ns(), boot = pr_clock_boot_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t mono_now = pr_clock_mono_ns(), boot_now = pr_clock_boot_ns();
        assert_true(mono_now >= mono && boot_now >= boot);
        mono = mono_now;
        boot = boot_now;
    }
    assert_true(boot >= mono - 1000000000);
    assert_true(pr_clock_real_us() > 1700000000 * SECOND);
}

static void date_times_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"2026-11-20T16:32:00.123Z", 1795192320 * SECOND + 123000},
        {"2026-11-20T16:32:00.123456789Z", 1795192320 * SECOND + 123456},
        {"2026-11-20 16:32:00Z", 1795192320 * SECOND},
        {"2026-11-20t16:32:00z", 1795192320 * SECOND},
        {"2026-11-20T16:32Z", 1795192320 * SECOND},
        {"2026-11-20T13:32:00-03:00", 1795192320 * SECOND},
        {"2026-11-20T22:02:00+05:30", 1795192320 * SECOND},
        {"2026-11-21T02:32+10:00", 1795192320 * SECOND},
        {"2024-02-29T00:00:00Z", 1709164800 * SECOND},
        {"2000-02-29T23:59:59Z", 951868799 * SECOND},
        {"2016-12-31T23:59:60Z", 1483228800 * SECOND}, /* a leap second */
        {"1969-12-31T23:00:00Z", PR_TIME_NONE},
        {"9999-12-31T23:59:59.999999Z", 253402300799 * SECOND + 999999},
        {"1970-01-01T00:00:00-00:01", 60 * SECOND},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t us = PR_TIME_NONE;
        bool ok = pr_time_parse(pr_span_of(good[i].text), &us);
        if (ok != (good[i].us != PR_TIME_NONE) || us != good[i].us)
            fail_msg("%s gave %d, %lld", good[i].text, ok, (long long)us);
    }
}

static void what_is_no_date_time_is_refused_and_leaves_the_result_alone(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11-20",
        "2026-11-20T",
        "2026-11-20T16",
        "2026-11-20T16:32",
        "2026-11-20T16:32:00",
        "2026-11-20T16:32:00.Z",
        "2026-11-20T16:32:0Z",
        "2026-1-20T16:32:00Z",
        "2026-00-20T16:32:00Z",
        "2026-13-20T16:32:00Z",
        "2026-11-00T16:32:00Z",
        "2026-11-31T16:32:00Z",
        "2023-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T16:60:00Z",
        "2026-11-20T16:32:61Z",
        "2026-11-20T16:32:00+0300",
        "2026-11-20T16:32:00+24:00",
        "2026-11-20T16:32:00+01:60",
        "2026-11-20T16:32:00Z ",
        " 2026-11-20T16:32:00Z",
        "2026-11-20_16:32:00Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "+026-11-20T16:32:00Z",
        "2026-11-20T16:-2:00Z",
        "0000-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t us = 77;
        if (pr_time_parse(pr_span_of(bad[i]), &us) || us != 77)
            fail_msg("'%s' was taken", bad[i]);
    }
    int64_t us = 77;
    assert_false(pr_time_parse(PR_SPAN("2026-11-20\0"
                                       "16:32:00Z"),
                               &us));
}

static void every_prefix_of_a_date_time_is_refused(void **state) {
    (void)state;
    const char *text = "2026-11-20T16:32:00.123456-03:00";
    int64_t us;
    for (size_t n = 0; n < strlen(text); n++) {
        char *copy = malloc(n ? n : 1); /* so that the sanitizer sees a read behind the end */
        memcpy(copy, text, n);
        assert_false(pr_time_parse(pr_span_make(copy, n), &us));
        free(copy);
    }
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    static const int64_t moments[] = {0,
                                      1,
                                      999999,
                                      SECOND,
                                      1795192320 * SECOND + 123456,
                                      253402300799 * SECOND + 999999,
                                      951782400 * SECOND,
                                      86399 * SECOND,
                                      86400 * SECOND};
    for (size_t i = 0; i < COUNT(moments); i++) {
        char text[PR_TIME_TEXT];
        int64_t us = -1;
        int n = pr_time_format(moments[i], text);
        assert_int_equal(n, strlen(text));
        assert_true(n <= 27);
        assert_true(pr_time_parse(pr_span_of(text), &us));
        assert_int_equal(us, moments[i]);
    }
}

static void the_fraction_is_written_only_when_there_is_one(void **state) {
    (void)state;
    char text[PR_TIME_TEXT];
    pr_time_format(1795192320 * SECOND, text);
    assert_string_equal(text, "2026-11-20T16:32:00Z");
    pr_time_format(1795192320 * SECOND + 5, text);
    assert_string_equal(text, "2026-11-20T16:32:00.000005Z");
    pr_time_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

static void moments_out_of_all_bounds_do_not_overrun_the_text(void **state) {
    (void)state;
    char text[PR_TIME_TEXT];
    assert_true(pr_time_format(INT64_MAX, text) <= PR_TIME_TEXT - 1);
    assert_true(pr_time_format(INT64_MIN, text) <= PR_TIME_TEXT - 1);
}

static void days_and_civil_dates_are_inverse_over_ten_thousand_years(void **state) {
    (void)state;
    static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 0, month = 1, day = 1;
    for (int64_t days = pr_days_from_civil(0, 1, 1); year < 10000; days++) {
        int y, m, d;
        pr_civil_from_days(days, &y, &m, &d);
        if (y != year || m != month || d != day || pr_days_from_civil(y, m, d) != days)
            fail_msg("day %lld is %04d-%02d-%02d, not %04d-%02d-%02d", (long long)days, y, m, d, year, month, day);
        bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (++day > length[month - 1] + (month == 2 && is_leap)) {
            day = 1;
            month = month == 12 ? 1 : month + 1;
            year += month == 1;
        }
    }
    assert_int_equal(pr_days_from_civil(1970, 1, 1), 0);
}

static void durations_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"0s", 0},
        {"1ms", 1000},
        {"250ms", 250000},
        {"90s", 90 * SECOND},
        {"30m", 1800 * SECOND},
        {"24h", 86400 * SECOND},
        {"7d", 7 * 86400 * SECOND},
        {"3650d", 3650 * 86400 * SECOND},
        {"007s", 7 * SECOND},
        {"315360000000ms", 3650 * 86400 * SECOND},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t us = -1;
        assert_true(pr_duration_parse(pr_span_of(good[i].text), &us));
        assert_int_equal(us, good[i].us);
    }
}

static void what_is_no_duration_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "s",
                                      "5",
                                      "-5s",
                                      "+5s",
                                      "1.5h",
                                      "5 s",
                                      " 5s",
                                      "5S",
                                      "5w",
                                      "5sm",
                                      "5us",
                                      "3651d",
                                      "87601h",
                                      "5s ",
                                      "1h30m",
                                      "315360000001ms",
                                      "99999999999999999999s",
                                      "18446744073709551617s"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t us = 77;
        if (pr_duration_parse(pr_span_of(bad[i]), &us) || us != 77)
            fail_msg("'%s' was taken", bad[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_do_not_go_back),
        cmocka_unit_test(date_times_are_read),
        cmocka_unit_test(what_is_no_date_time_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(every_prefix_of_a_date_time_is_refused),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_fraction_is_written_only_when_there_is_one),
        cmocka_unit_test(moments_out_of_all_bounds_do_not_overrun_the_text),
        cmocka_unit_test(days_and_civil_dates_are_inverse_over_ten_thousand_years),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(what_is_no_duration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
