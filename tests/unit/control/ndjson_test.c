/* Tests of the NDJSON reader: every way a file, a gzip stream or a pipe can end, and the bound on a line. */
#include "ndjson.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

struct fixture {
    char path[64];
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    if (!f) {
        return -1;
    }
    snprintf(f->path, sizeof f->path, "/tmp/postrider-ndjson-XXXXXX");
    int fd = mkstemp(f->path);
    *state = f;
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    unlink(f->path);
    free(f);
    return 0;
}

static void write_file(const struct fixture *f, const void *p, size_t n) {
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(p, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* One gzip member of `text` in a block of its own, for the caller to free. */
static unsigned char *packed(const char *text, size_t n, size_t *packed_n) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, n);
    unsigned char *out = malloc(room);
    char *copy = malloc(n + 1);
    assert_non_null(out);
    assert_non_null(copy);
    memcpy(copy, text, n);
    z.next_in = (unsigned char *)copy;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *packed_n = room - z.avail_out;
    deflateEnd(&z);
    free(copy);
    return out;
}

static struct pr_ndjson *opened(const struct fixture *f) {
    char error[PR_NDJSON_ERROR_TEXT];
    struct pr_ndjson *in = pr_ndjson_open(f->path, error);
    assert_non_null(in);
    return in;
}

static void expect_line(struct pr_ndjson *in, const char *text) {
    struct pr_span line;
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_LINE);
    assert_int_equal(line.n, strlen(text));
    assert_memory_equal(line.p, text, line.n);
}

static void expect_end(struct pr_ndjson *in) {
    struct pr_span line;
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_END);
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_END);
    assert_string_equal(pr_ndjson_error(in), "");
}

static void an_empty_file_has_no_line(void **state) {
    write_file(*state, "", 0);
    struct pr_ndjson *in = opened(*state);
    expect_end(in);
    assert_int_equal(pr_ndjson_line(in), 0);
    assert_int_equal(pr_ndjson_size(in), 0);
    assert_int_equal(pr_ndjson_percent(in), 100);
    pr_ndjson_close(in);
}

static void blank_lines_count_so_that_numbers_are_an_editors(void **state) {
    write_file(*state, "a\n\n \t\r\nb\n", 9);
    struct pr_ndjson *in = opened(*state);
    expect_line(in, "a");
    expect_line(in, "");
    expect_line(in, " \t\r");
    expect_line(in, "b");
    assert_int_equal(pr_ndjson_line(in), 4);
    expect_end(in);
    assert_int_equal(pr_ndjson_line(in), 4);
    pr_ndjson_close(in);
}

static void a_last_line_without_newline_is_a_line(void **state) {
    write_file(*state, "a\nbc", 4);
    struct pr_ndjson *in = opened(*state);
    expect_line(in, "a");
    expect_line(in, "bc");
    expect_end(in);
    pr_ndjson_close(in);
}

static void bytes_that_are_no_text_come_through(void **state) {
    write_file(*state, "a\0b\xff\n\x1f", 6);
    struct pr_ndjson *in = opened(*state);
    struct pr_span line;
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_LINE);
    assert_int_equal(line.n, 4);
    assert_memory_equal(line.p, "a\0b\xff", 4);
    expect_line(in, "\x1f");
    expect_end(in);
    pr_ndjson_close(in);
}

static void a_single_byte_1f_is_not_gzip(void **state) {
    write_file(*state, "\x1f", 1);
    struct pr_ndjson *in = opened(*state);
    expect_line(in, "\x1f");
    expect_end(in);
    pr_ndjson_close(in);
}

static void a_line_of_the_longest_length_is_whole(void **state) {
    char *text = malloc(PR_NDJSON_LINE_MAX + 2);
    assert_non_null(text);
    memset(text, 'x', PR_NDJSON_LINE_MAX);
    text[PR_NDJSON_LINE_MAX] = '\n';
    text[PR_NDJSON_LINE_MAX + 1] = 'b';
    write_file(*state, text, PR_NDJSON_LINE_MAX + 2);
    struct pr_ndjson *in = opened(*state);
    struct pr_span line;
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_LINE);
    assert_int_equal(line.n, PR_NDJSON_LINE_MAX);
    expect_line(in, "b");
    expect_end(in);
    pr_ndjson_close(in);
    free(text);
}

/* `tail` bytes over the longest length, then another line unless it is the last. */
static void check_long_line(void **state, size_t tail, bool has_next) {
    size_t n = PR_NDJSON_LINE_MAX + tail;
    char *text = malloc(n + 2);
    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\n';
    text[n + 1] = 'b';
    write_file(*state, text, n + (has_next ? 2 : 0));
    struct pr_ndjson *in = opened(*state);
    struct pr_span line;
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_LONG);
    assert_int_equal(line.n, PR_NDJSON_LINE_MAX);
    assert_int_equal(pr_ndjson_line(in), 1);
    if (has_next) {
        expect_line(in, "b");
        assert_int_equal(pr_ndjson_line(in), 2);
    }
    expect_end(in);
    pr_ndjson_close(in);
    free(text);
}

static void a_longer_line_is_cut_and_the_next_one_is_whole(void **state) {
    check_long_line(state, 1, true);
    check_long_line(state, 5 * 1024 * 1024, true);
}

static void a_longer_last_line_ends_the_file(void **state) {
    check_long_line(state, 1, false);
    check_long_line(state, 3 * 1024 * 1024, false);
}

static void gzip_is_unpacked(void **state) {
    size_t n;
    unsigned char *gz = packed("a\nb\n", 4, &n);
    write_file(*state, gz, n);
    struct pr_ndjson *in = opened(*state);
    expect_line(in, "a");
    expect_line(in, "b");
    expect_end(in);
    assert_int_equal(pr_ndjson_size(in), n);
    pr_ndjson_close(in);
    free(gz);
}

static void gzip_that_unpacks_to_a_thousand_times_its_size_is_read_to_its_end(void **state) {
    size_t lines = 8 * 1024 * 1024 / 64;
    char *text = malloc(lines * 64);
    assert_non_null(text);
    for (size_t i = 0; i < lines; i++) {
        memset(text + i * 64, 'x', 63);
        text[i * 64 + 63] = '\n';
    }
    size_t n;
    unsigned char *gz = packed(text, lines * 64, &n);
    assert_true(n < 64 * 1024); /* one read takes it whole, so all the rest is zlib's to hand over */
    write_file(*state, gz, n);
    struct pr_ndjson *in = opened(*state);
    struct pr_span line;
    for (size_t i = 0; i < lines; i++) {
        assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_LINE);
        assert_int_equal(line.n, 63);
    }
    expect_end(in);
    pr_ndjson_close(in);
    free(gz);
    free(text);
}

static void members_behind_each_other_are_one_file_and_padding_is_ignored(void **state) {
    size_t n, m;
    unsigned char *gz = packed("a\nb", 3, &n);
    unsigned char *more = packed("c\nd\n", 4, &m);
    unsigned char *all = calloc(1, n + m + 512);
    assert_non_null(all);
    memcpy(all, gz, n);
    memcpy(all + n, more, m);
    write_file(*state, all, n + m + 512);
    struct pr_ndjson *in = opened(*state);
    expect_line(in, "a");
    expect_line(in, "bc");
    expect_line(in, "d");
    expect_end(in);
    pr_ndjson_close(in);
    free(gz);
    free(more);
    free(all);
}

static void gzip_cut_anywhere_fails_and_gives_no_half_line(void **state) {
    size_t n;
    unsigned char *gz = packed("first line\nsecond line\n", 23, &n);
    for (size_t cut = 2; cut < n; cut++) {
        write_file(*state, gz, cut);
        struct pr_ndjson *in = opened(*state);
        struct pr_span line;
        enum pr_ndjson_status status;
        while ((status = pr_ndjson_next(in, 0, &line)) == PR_NDJSON_LINE) {
            assert_true(line.n == 10 || line.n == 11);
        }
        assert_int_equal(status, PR_NDJSON_FAILED);
        assert_non_null(strstr(pr_ndjson_error(in), "cut off"));
        assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_FAILED);
        pr_ndjson_close(in);
    }
    free(gz);
}

static void gzip_with_a_wrong_checksum_fails(void **state) {
    size_t n;
    unsigned char *gz = packed("a\n", 2, &n);
    gz[n - 8] ^= 1; /* CRC32, RFC 1952 */
    write_file(*state, gz, n);
    struct pr_ndjson *in = opened(*state);
    struct pr_span line;
    enum pr_ndjson_status status = pr_ndjson_next(in, 0, &line);
    if (status == PR_NDJSON_LINE) {
        status = pr_ndjson_next(in, 0, &line);
    }
    assert_int_equal(status, PR_NDJSON_FAILED);
    pr_ndjson_close(in);
    free(gz);
}

static void the_head_is_the_beginning_and_takes_nothing_away(void **state) {
    char *text = malloc(3 * PR_NDJSON_HEAD_MAX);
    assert_non_null(text);
    memset(text, 'x', 3 * PR_NDJSON_HEAD_MAX);
    text[1] = '\n';
    write_file(*state, text, 3 * PR_NDJSON_HEAD_MAX);
    struct pr_ndjson *in = opened(*state);
    struct pr_span head;
    assert_true(pr_ndjson_head(in, &head));
    assert_int_equal(head.n, PR_NDJSON_HEAD_MAX);
    assert_memory_equal(head.p, text, head.n);
    expect_line(in, "x");
    struct pr_span line;
    assert_int_equal(pr_ndjson_next(in, 0, &line), PR_NDJSON_LINE);
    assert_int_equal(line.n, 3 * PR_NDJSON_HEAD_MAX - 2);
    expect_end(in);
    pr_ndjson_close(in);
    free(text);
}

static void the_head_of_a_short_file_is_all_of_it(void **state) {
    write_file(*state, "a\nb", 3);
    struct pr_ndjson *in = opened(*state);
    struct pr_span head;
    assert_true(pr_ndjson_head(in, &head));
    assert_int_equal(head.n, 3);
    assert_memory_equal(head.p, "a\nb", 3);
    expect_line(in, "a");
    expect_line(in, "b");
    expect_end(in);
    pr_ndjson_close(in);
}

static void a_pipe_gives_lines_as_they_come(void **state) {
    (void)state;
    int ends[2];
    int keep = dup(STDIN_FILENO);
    char error[PR_NDJSON_ERROR_TEXT];
    struct pr_span line;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    struct pr_ndjson *in = pr_ndjson_open("-", error);
    assert_non_null(in);
    assert_int_equal(pr_ndjson_size(in), -1);
    assert_int_equal(pr_ndjson_percent(in), -1);
    assert_int_equal(pr_ndjson_next(in, 1, &line), PR_NDJSON_WAIT);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    expect_line(in, "a");
    assert_int_equal(pr_ndjson_next(in, 1, &line), PR_NDJSON_WAIT);
    assert_int_equal(write(ends[1], "c\n", 2), 2);
    expect_line(in, "bc");
    close(ends[1]);
    expect_end(in);
    pr_ndjson_close(in);
    close(ends[0]);
    assert_int_equal(dup2(keep, STDIN_FILENO), STDIN_FILENO);
    close(keep);
}

static void what_is_not_there_or_no_file_is_refused_by_name(void **state) {
    (void)state;
    char error[PR_NDJSON_ERROR_TEXT];
    assert_null(pr_ndjson_open("/nonexistent/x.ndjson", error));
    assert_non_null(strstr(error, "/nonexistent/x.ndjson: No such file"));
    assert_null(pr_ndjson_open("/tmp", error));
    assert_non_null(strstr(error, "/tmp: is a folder"));
}

static void only_white_space_is_blank(void **state) {
    (void)state;
    assert_true(pr_ndjson_is_blank(PR_SPAN("")));
    assert_true(pr_ndjson_is_blank(PR_SPAN(" \t\r")));
    assert_false(pr_ndjson_is_blank(PR_SPAN(" {")));
    assert_false(pr_ndjson_is_blank(PR_SPAN("\0")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_file_has_no_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blank_lines_count_so_that_numbers_are_an_editors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_last_line_without_newline_is_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_text_come_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_single_byte_1f_is_not_gzip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_of_the_longest_length_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_longer_line_is_cut_and_the_next_one_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_longer_last_line_ends_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gzip_is_unpacked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gzip_that_unpacks_to_a_thousand_times_its_size_is_read_to_its_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(members_behind_each_other_are_one_file_and_padding_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gzip_cut_anywhere_fails_and_gives_no_half_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gzip_with_a_wrong_checksum_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_head_is_the_beginning_and_takes_nothing_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_head_of_a_short_file_is_all_of_it, set_up, tear_down),
        cmocka_unit_test(a_pipe_gives_lines_as_they_come),
        cmocka_unit_test(what_is_not_there_or_no_file_is_refused_by_name),
        cmocka_unit_test(only_white_space_is_blank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
