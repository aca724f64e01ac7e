/* Tests of the log lines as a machine reads them: quoting, JSON, cutting, limits, and a reader that is gone. */
#include "base/log.h"
#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static int ends[2];

static int open_pipe(void **state) {
    (void)state;
    return pipe2(ends, O_NONBLOCK | O_CLOEXEC);
}

static int close_pipe(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What was written since the last call, without the newline; "" when nothing was. */
static const char *written(void) {
    static char text[2 * PR_LOG_LINE_MAX];
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n > 0 ? n - 1 : 0] = '\0';
    return text;
}

/* The line behind its time stamp. */
static const char *written_fields(void) {
    const char *text = written();
    assert_memory_equal(text, "ts=2", 4);
    return strstr(text, "level=");
}

static void a_line_has_time_level_event_and_fields(void **state) {
    (void)state;
    pr_log_init(PR_LOG_DEBUG, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("lane_started", "lane=%u topic=%s", 3U, "postrider.events");
    assert_string_equal(written_fields(), "level=info event=lane_started lane=3 topic=postrider.events");
    pr_log_error("gone", "at=%s:%d share=%.2f", "db", -1, 0.5);
    assert_string_equal(written_fields(), "level=error event=gone at=db:-1 share=0.50");
    pr_log_debug("d", "x=%x", 255U);
    assert_string_equal(written_fields(), "level=debug event=d x=ff");
}

static void lines_below_the_level_are_not_written(void **state) {
    (void)state;
    pr_log_init(PR_LOG_WARN, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("quiet", "a=%d", 1);
    pr_log_debug("quiet", "a=%d", 1);
    assert_string_equal(written(), "");
    assert_true(pr_log_enabled(PR_LOG_WARN));
    assert_false(pr_log_enabled(PR_LOG_INFO));
    pr_log_warn("loud", "a=%d", 1);
    assert_string_equal(written_fields(), "level=warn event=loud a=1");
}

static void values_that_need_it_are_quoted(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("e", "a=%s b=%s c=%s d=%s", "two words", "", "x=y", "say \"hi\"\\\n\t\x01");
    assert_string_equal(written_fields(),
                        "level=info event=e a=\"two words\" b=\"\" c=\"x=y\" d=\"say \\\"hi\\\"\\\\\\n\\t\\u0001\"");
    pr_log_info("e", "a=%s b=%s", "Olá", "plain/1.2:3,4@x");
    assert_string_equal(written_fields(), "level=info event=e a=\"Olá\" b=plain/1.2:3,4@x");
}

static void a_value_cannot_forge_a_second_line_or_field(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("e", "name=%s", "x\nts=2026 level=error event=fake");
    const char *text = written();
    assert_null(strchr(text, '\n'));
    assert_non_null(strstr(text, "name=\"x\\nts=2026 level=error event=fake\""));
}

static void every_length_and_conversion_is_read_right(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("e", "a=%ld b=%lld c=%zu d=%" PRIi64 " e=%" PRIu64 " f=%jd g=%c h=%% i=%.3s j=%.*s k=%g l=%lx m=%zd",
                LONG_MIN, LLONG_MAX, SIZE_MAX, INT64_MIN, UINT64_MAX, INTMAX_MIN, 'c', "abcdef", 2, "xyz", 1e100,
                ULONG_MAX, (ssize_t)-5);
    assert_string_equal(
        written_fields(),
        "level=info event=e a=-9223372036854775808 b=9223372036854775807 c=18446744073709551615 "
        "d=-9223372036854775808 e=18446744073709551615 f=-9223372036854775808 g=c h=% i=abc j=xy k=1e+100 "
        "l=ffffffffffffffff m=-5");
}

static void spans_and_null_strings_are_safe(void **state) {
    (void)state;
    const char *volatile none = NULL; /* or the compiler sees it and warns */
    const volatile struct pr_span empty = {NULL, 0};
    struct pr_span span = pr_span_make("abcdef", 3);
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("e", "a=%s b=%.*s c=%.*s d=%d", none, PR_SPAN_ARG(span), PR_SPAN_ARG(empty), 1);
    assert_string_equal(written_fields(), "level=info event=e a=- b=abc c=- d=1");
}

static void errno_is_kept(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    errno = ENOENT;
    pr_log_info("e", "error=%s n=%d", strerrordesc_np(errno), 5);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(written_fields(), "level=info event=e error=\"No such file or directory\" n=5");
}

static json_t *written_json(void) {
    const char *text = written();
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("not JSON: %s in %s", error.text, text);
    return root;
}

static void json_lines_are_json_with_numbers_as_numbers(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_JSON, ends[1]);
    pr_log_info("e", "n=%d f=%.1f hex=%x s=%s mixed=%d/%d nan=%f digits=%s", -7, 2.5, 16U, "a \"b\"\\\n", 1, 2,
                (double)NAN, "12");
    json_t *root = written_json();
    assert_string_equal(json_string_value(json_object_get(root, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(root, "event")), "e");
    assert_int_equal(json_integer_value(json_object_get(root, "n")), -7);
    assert_true(json_is_real(json_object_get(root, "f")));
    assert_string_equal(json_string_value(json_object_get(root, "hex")), "10");
    assert_string_equal(json_string_value(json_object_get(root, "s")), "a \"b\"\\\n");
    assert_string_equal(json_string_value(json_object_get(root, "mixed")), "1/2");
    assert_true(json_is_string(json_object_get(root, "nan")));
    assert_string_equal(json_string_value(json_object_get(root, "digits")), "12");
    json_decref(root);
}

static void invalid_utf8_becomes_the_replacement_character(void **state) {
    (void)state;
    static const struct {
        const char *raw, *shown;
    } cases[] = {
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe0\x9f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x8f\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"é\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", "é\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"},
    };
    pr_log_init(PR_LOG_INFO, PR_LOG_JSON, ends[1]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pr_log_info("e", "s=%s", cases[i].raw);
        json_t *root = written_json();
        assert_string_equal(json_string_value(json_object_get(root, "s")), cases[i].shown);
        json_decref(root);
    }
}

static void a_long_value_is_cut_and_what_follows_is_kept(void **state) {
    (void)state;
    char big[3 * PR_LOG_VALUE_MAX];
    memset(big, 'a', sizeof big);
    big[sizeof big - 1] = '\0';
    pr_log_init(PR_LOG_INFO, PR_LOG_JSON, ends[1]);
    pr_log_info("e", "big=%s after=%d", big, 9);
    json_t *root = written_json();
    assert_int_equal(json_string_length(json_object_get(root, "big")), PR_LOG_VALUE_MAX);
    assert_int_equal(json_integer_value(json_object_get(root, "after")), 9);
    assert_true(json_is_true(json_object_get(root, "cut")));
    json_decref(root);
}

/* What was written is JSON that has its last field, or says that it was cut. */
static void check_whole_or_cut(void) {
    const char *text = written();
    assert_true(strlen(text) < PR_LOG_LINE_MAX);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_true(json_object_get(root, "f") || json_is_true(json_object_get(root, "cut")));
    json_decref(root);
}

static void a_full_line_is_cut_and_still_whole_json_at_every_length(void **state) {
    (void)state;
    char big[PR_LOG_VALUE_MAX];
    pr_log_init(PR_LOG_INFO, PR_LOG_JSON, ends[1]);
    for (size_t n = 0; n < sizeof big; n++) {
        memset(big, n % 3 == 0 ? '"' : n % 3 == 1 ? 'a' : '\x02', n);
        big[n] = '\0';
        pr_log_info("e", "a=%s b=%s c=%s d=%s e=%d f=%s", big, big, big, big, 12345, "end");
        check_whole_or_cut();
    }
}

static void a_line_may_fill_up_to_the_last_byte(void **state) {
    (void)state;
    char three[1000], last[PR_LOG_VALUE_MAX];
    memset(three, 'a', sizeof three);
    three[sizeof three - 1] = '\0';
    pr_log_init(PR_LOG_INFO, PR_LOG_JSON, ends[1]);
    for (size_t n = 800; n < sizeof last; n++) {
        memset(last, 'b', n);
        last[n] = '\0';
        pr_log_info("e", "a=%s b=%s c=%s d=%s e=%d f=%s", three, three, three, last, 1, "end");
        check_whole_or_cut();
    }
}

static void a_full_logfmt_line_ends_with_the_mark(void **state) {
    (void)state;
    char big[PR_LOG_VALUE_MAX];
    memset(big, ' ', sizeof big);
    big[sizeof big - 1] = '\0';
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    pr_log_info("e", "a=%s b=%s c=%s d=%s e=%d", big, big, big, big, 1);
    const char *text = written();
    assert_string_equal(text + strlen(text) - 11, " \" cut=true");
}

static void a_reader_that_is_gone_costs_only_the_line(void **state) {
    (void)state;
    int gone[2];
    assert_int_equal(pipe(gone), 0);
    close(gone[0]);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, gone[1]);
    uint64_t before = pr_log_dropped();
    errno = ENOENT;
    pr_log_info("e", "a=%d", 1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(pr_log_dropped(), before + 1);
    close(gone[1]);
}

static void a_full_pipe_drops_lines_and_does_not_block(void **state) {
    (void)state;
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    uint64_t before = pr_log_dropped();
    for (int i = 0; i < 5000; i++)
        pr_log_info("e", "text=%s", "filling the pipe until it takes no more");
    assert_true(pr_log_dropped() > before);
    while (*written() != '\0')
        ;
}

static void repeats_are_summed_over_the_interval(void **state) {
    (void)state;
    struct pr_log_limit limit = PR_LOG_LIMIT(3600);
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    pr_log_limited(&limit, PR_LOG_WARN, "down", "host=%s", "a");
    assert_string_equal(written_fields(), "level=warn event=down host=a");
    for (int i = 0; i < 41; i++)
        pr_log_limited(&limit, PR_LOG_WARN, "down", "host=%s", "a");
    pr_log_limit_flush(&limit, PR_LOG_WARN, "down");
    assert_string_equal(written(), "");
    atomic_store(&limit.next_ns, 0); /* the interval is over */
    pr_log_limited(&limit, PR_LOG_WARN, "down", "host=%s", "b");
    assert_string_equal(written_fields(), "level=warn event=down repeated=41 host=b");
}

static void the_last_repeats_are_told_by_the_flush(void **state) {
    (void)state;
    struct pr_log_limit limit = PR_LOG_LIMIT(3600);
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, ends[1]);
    for (int i = 0; i < 3; i++)
        pr_log_limited(&limit, PR_LOG_WARN, "down", "host=%s", "a");
    written();
    atomic_store(&limit.next_ns, 0);
    pr_log_limit_flush(&limit, PR_LOG_WARN, "down");
    assert_string_equal(written_fields(), "level=warn event=down repeated=2");
    atomic_store(&limit.next_ns, 0);
    pr_log_limit_flush(&limit, PR_LOG_WARN, "down");
    assert_string_equal(written(), "");
}

enum { THREADS = 4, LINES = 2000 };
static struct pr_log_limit shared_limit = PR_LOG_LIMIT(3600);

static void *write_lines(void *arg) {
    (void)arg;
    for (int i = 0; i < LINES; i++) {
        pr_log_info("thread", "name=%s n=%d", "some words here", i);
        pr_log_limited(&shared_limit, PR_LOG_INFO, "once", "a=%d", 1);
    }
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state) {
    (void)state;
    char path[] = "/tmp/pr_log_test_XXXXXX";
    int fd = mkostemp(path, O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    pr_log_init(PR_LOG_INFO, PR_LOG_LOGFMT, fd);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, write_lines, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(atomic_load(&shared_limit.held), THREADS * LINES - 1);
    FILE *file = fdopen(fd, "r");
    char line[PR_LOG_LINE_MAX];
    int lines = 0, once = 0;
    for (rewind(file); fgets(line, sizeof line, file); lines++) {
        once += strstr(line, "event=once") != NULL;
        assert_true(strncmp(line, "ts=", 3) == 0 &&
                    (strstr(line, "event=once") || strstr(line, "name=\"some words here\" n=")));
    }
    assert_int_equal(lines, THREADS * LINES + 1);
    assert_int_equal(once, 1);
    fclose(file);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_pipe, close_pipe)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_time_level_event_and_fields),
        TEST(lines_below_the_level_are_not_written),
        TEST(values_that_need_it_are_quoted),
        TEST(a_value_cannot_forge_a_second_line_or_field),
        TEST(every_length_and_conversion_is_read_right),
        TEST(spans_and_null_strings_are_safe),
        TEST(errno_is_kept),
        TEST(json_lines_are_json_with_numbers_as_numbers),
        TEST(invalid_utf8_becomes_the_replacement_character),
        TEST(a_long_value_is_cut_and_what_follows_is_kept),
        TEST(a_full_line_is_cut_and_still_whole_json_at_every_length),
        TEST(a_line_may_fill_up_to_the_last_byte),
        TEST(a_full_logfmt_line_ends_with_the_mark),
        TEST(a_reader_that_is_gone_costs_only_the_line),
        TEST(a_full_pipe_drops_lines_and_does_not_block),
        TEST(repeats_are_summed_over_the_interval),
        TEST(the_last_repeats_are_told_by_the_flush),
        TEST(lines_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
