/* Values of every type: their bounds, their units, and the fault that says what would have fitted. */
#include "unit/conf/conf_fixture.h"

/* Loads [section] key = value and says whether it was taken. */
static bool takes(struct loaded *l, const char *section, const char *key, const char *value) {
    char text[256];
    (void)snprintf(text, sizeof text, "[%s]\n%s = %s\n", section, key, value);
    load_text(l, text);
    bool ok = l->ok;
    pr_conf_free(&l->conf);
    return ok;
}

static void numbers_have_their_bounds(void **state) {
    (void)state;
    struct loaded l;
    assert_true(takes(&l, "shop", "count", "1"));
    assert_int_equal(l.t.count, 1);
    assert_true(takes(&l, "shop", "count", "10"));
    assert_int_equal(l.t.count, 10);
    static const char *const bad[] = {"0",   "11", "-1", "+5", "5x", "5.0", "0x5", "five", "", "99999999999999999999",
                                      "auto"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(takes(&l, "shop", "count", bad[i]));
    }
    assert_true(takes(&l, "work", "lanes", "AUTO"));
    assert_int_equal(l.t.lanes, 0);
    assert_false(takes(&l, "work", "lanes", "0"));
}

static void sizes_durations_and_rates_have_units(void **state) {
    (void)state;
    struct loaded l;
    assert_true(takes(&l, "work", "max-size", "1024"));
    assert_int_equal(l.t.size, 1024);
    assert_true(takes(&l, "work", "max-size", "1024GiB"));
    assert_int_equal(l.t.size, INT64_C(1) << 40);
    assert_true(takes(&l, "work", "max-size", "3mib"));
    assert_int_equal(l.t.size, 3 << 20);
    static const char *const bad_sizes[] = {"1023", "1025GiB", "1MB", "1 MiB", "MiB", "9223372036854775807GiB"};
    for (size_t i = 0; i < sizeof bad_sizes / sizeof bad_sizes[0]; i++) {
        assert_false(takes(&l, "work", "max-size", bad_sizes[i]));
    }
    assert_true(takes(&l, "work", "wait.time", "100ms"));
    assert_int_equal(l.t.wait, 100);
    assert_true(takes(&l, "work", "wait.time", "1m"));
    assert_int_equal(l.t.wait, 60000);
    assert_false(takes(&l, "work", "wait.time", "99ms"));
    assert_false(takes(&l, "work", "wait.time", "61s"));
    assert_false(takes(&l, "work", "wait.time", "5"));
    assert_true(takes(&l, "work", "rate", "600/min"));
    assert_int_equal(l.t.rate, 36000);
    assert_true(takes(&l, "work", "rate", "1/h"));
    assert_int_equal(l.t.rate, 1);
    assert_true(takes(&l, "work", "rate", "1000/s"));
    assert_false(takes(&l, "work", "rate", "1001/s"));
    assert_false(takes(&l, "work", "rate", "0/s"));
    assert_false(takes(&l, "work", "rate", "80"));
}

static void switches_words_and_lists_are_read(void **state) {
    (void)state;
    struct loaded l;
    assert_true(takes(&l, "work", "on", "No"));
    assert_false(l.t.on);
    assert_true(takes(&l, "work", "on", "on"));
    assert_true(l.t.on);
    assert_false(takes(&l, "work", "on", "1"));
    assert_true(takes(&l, "log", "level", "WARN"));
    assert_int_equal(l.t.level, 2);
    assert_false(takes(&l, "log", "level", "war"));
    load_text(&l, "[log]\ntypes = a.b ,, c\t,d,\n");
    expect_ok(&l);
    assert_int_equal(l.t.types.n, 3);
    assert_string_equal(l.t.types.v[0], "a.b");
    assert_string_equal(l.t.types.v[1], "c");
    assert_string_equal(l.t.types.v[2], "d");
    pr_conf_free(&l.conf);
}

static void a_value_that_does_not_fit_is_told_with_what_would(void **state) {
    (void)state;
    expect_fault("[shop]\n\ncount = 11\n",
                 "test.conf:3: shop.count: '11' does not fit; write a whole number from 1 to 10; things\n");
    expect_fault("[work]\nlanes = 5\n",
                 "test.conf:2: work.lanes: '5' does not fit; write a whole number from 1 to 4, or auto\n");
    expect_fault("[work]\nmax-size = 1\n",
                 "test.conf:2: work.max-size: '1' does not fit; write a size (KiB, MiB, GiB) from 1KiB to 1024GiB\n");
    expect_fault("[work]\nwait.time = 1\n",
                 "test.conf:2: work.wait.time: '1' does not fit; write a duration (ms, s, m, h, d) from 100ms to 1m\n");
    expect_fault("[work]\nrate = 1\n",
                 "test.conf:2: work.rate: '1' does not fit; write a rate (/s, /min, /h) from 1/h to 1000/s\n");
    expect_fault("[work]\non = 1\n", "test.conf:2: work.on: '1' does not fit; write true or false\n");
    expect_fault("[log]\nlevel = 1\n", "test.conf:2: log.level: '1' does not fit; write debug, info or warn\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_bounds),
        cmocka_unit_test(sizes_durations_and_rates_have_units),
        cmocka_unit_test(switches_words_and_lists_are_read),
        cmocka_unit_test(a_value_that_does_not_fit_is_told_with_what_would),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
