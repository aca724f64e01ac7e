/* Tests of the senders' tokens: what a file must hold, when a change is seen, and that lists in use stay valid. */
#include "send/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t second = 1000000000;
static const int64_t start = 7000000000;
static char dir[64];
static struct pr_secrets secrets;
static const char *why;
static int64_t written; /* counts writes, for times of change that differ whatever the file system's grain */

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/pr-secret.XXXXXX");
    if (!mkdtemp(dir) || chmod(dir, 0755) != 0) {
        return -1;
    }
    pr_secrets_init(&secrets, dir);
    why = "";
    return 0;
}

static const char *path_of(const char *name) {
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static int tear_down(void **state) {
    static const char *const names[] = {"a", "b"};
    (void)state;
    pr_secrets_free(&secrets);
    for (size_t i = 0; i < 2; i++) {
        if (unlink(path_of(names[i])) != 0 && errno == EISDIR) {
            (void)rmdir(path_of(names[i]));
        }
    }
    return rmdir(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void put_n(const char *name, const char *text, size_t n) {
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1700000000 + ++written}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void put(const char *name, const char *text) {
    put_n(name, text, strlen(text));
}

static const struct pr_sender cloud = {.id = 1, .provider = PR_PROVIDER_CLOUD_API, .secret = {"a", 1}};
static const struct pr_sender d360 = {.id = 2, .provider = PR_PROVIDER_360DIALOG, .secret = {"a", 1}};
static const struct pr_sender other = {.id = 3, .provider = PR_PROVIDER_CLOUD_API, .secret = {"b", 1}};

/* The first header at a moment, "" when there is none. */
static const char *token_at(const struct pr_sender *sender, int64_t now_ns) {
    const struct curl_slist *headers = pr_secrets_headers(&secrets, sender, now_ns, &why);
    return headers ? headers->data : "";
}

static void a_token_becomes_the_headers_of_its_provider(void **state) {
    (void)state;
    put("a", "EAA1");
    const struct curl_slist *headers = pr_secrets_headers(&secrets, &cloud, start, &why);
    assert_non_null(headers);
    assert_string_equal(headers->data, "Authorization: Bearer EAA1");
    assert_string_equal(headers->next->data, "Content-Type: application/json");
    assert_string_equal(headers->next->next->data, "Expect:"); /* no waiting for 100 Continue */
    assert_null(headers->next->next->next);
    headers = pr_secrets_headers(&secrets, &d360, start, &why);
    assert_string_equal(headers->data, "D360-API-KEY: EAA1");
    assert_string_equal(headers->next->data, "Content-Type: application/json");
}

static void white_space_at_the_end_does_not_count(void **state) {
    (void)state;
    put("a", "EAA1 \t\r\n\n");
    assert_string_equal(token_at(&cloud, start), "Authorization: Bearer EAA1");
}

static void an_absolute_name_is_not_looked_up_in_the_folder(void **state) {
    (void)state;
    put("b", "EAA2");
    char path[128];
    (void)snprintf(path, sizeof(path), "%s", path_of("b"));
    struct pr_sender sender = {.id = 4, .provider = PR_PROVIDER_CLOUD_API, .secret = pr_span_of(path)};
    secrets.dir = "/nonexistent";
    assert_string_equal(token_at(&sender, start), "Authorization: Bearer EAA2");
}

static void each_file_has_its_own_token_and_senders_may_share_one(void **state) {
    struct pr_sender twin = cloud;
    (void)state;
    twin.id = 9;
    put("a", "EAA1");
    put("b", "EAA2");
    assert_string_equal(token_at(&cloud, start), "Authorization: Bearer EAA1");
    assert_string_equal(token_at(&other, start), "Authorization: Bearer EAA2");
    assert_ptr_equal(token_at(&twin, start), token_at(&cloud, start));
}

static void a_change_is_seen_within_a_second(void **state) {
    (void)state;
    put("a", "EAA1");
    assert_string_equal(token_at(&cloud, start), "Authorization: Bearer EAA1");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start), 1);
    put("a", "EAA2"); /* of the same length */
    assert_string_equal(token_at(&cloud, start + second - 1), "Authorization: Bearer EAA1");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + second - 1), 1);
    assert_string_equal(token_at(&cloud, start + second), "Authorization: Bearer EAA2");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + second), 2);
}

static void the_version_sees_a_change_too_when_nobody_asks_for_headers(void **state) {
    (void)state;
    put("a", "EAA1");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start), 1);
    put("a", "EAA2");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + second), 2);
}

static void a_file_put_in_place_of_another_is_a_change(void **state) {
    (void)state;
    put("a", "EAA1");
    assert_string_equal(token_at(&cloud, start), "Authorization: Bearer EAA1");
    put("b", "EAA2");
    char from[128];
    (void)snprintf(from, sizeof(from), "%s", path_of("b"));
    struct stat st;
    assert_int_equal(stat(path_of("a"), &st), 0);
    struct timespec times[2] = {st.st_atim, st.st_mtim}; /* even one with the same time of change */
    assert_int_equal(utimensat(AT_FDCWD, from, times, 0), 0);
    assert_int_equal(rename(from, path_of("a")), 0);
    assert_string_equal(token_at(&cloud, start + second), "Authorization: Bearer EAA2");
}

static void a_file_that_stays_is_read_once(void **state) {
    (void)state;
    put("a", "EAA1");
    const char *first = token_at(&cloud, start);
    for (int i = 1; i < 20; i++) {
        assert_ptr_equal(token_at(&cloud, start + i * second), first);
    }
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + 20 * second), 1);
}

static void lists_in_use_stay_valid_whatever_changes(void **state) {
    const struct curl_slist *list[5];
    char text[16], expected[64];
    (void)state;
    for (int i = 0; i < 5; i++) {
        (void)snprintf(text, sizeof(text), "EAA%d", i);
        put("a", text);
        list[i] = pr_secrets_headers(&secrets, &cloud, start + i * second, &why);
        assert_non_null(list[i]);
    }
    for (int i = 0; i < 5; i++) {
        (void)snprintf(expected, sizeof(expected), "Authorization: Bearer EAA%d", i);
        assert_string_equal(list[i]->data, expected);
    }
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + 5 * second), 5);
}

static void expect_none(const struct pr_sender *sender, int64_t now_ns, const char *said) {
    assert_null(pr_secrets_headers(&secrets, sender, now_ns, &why));
    assert_non_null(strstr(why, said));
    assert_non_null(strstr(why, path_of("a")));
    assert_int_equal(pr_secrets_version(&secrets, sender, now_ns), 0);
}

static void a_missing_file_is_named_and_found_when_it_comes(void **state) {
    (void)state;
    expect_none(&cloud, start, "No such file");
    put("a", "EAA1");
    assert_string_equal(token_at(&cloud, start + second - 1), ""); /* looked at once a second at most */
    assert_string_equal(token_at(&cloud, start + second), "Authorization: Bearer EAA1");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + second), 1);
}

static void a_file_that_went_away_leaves_the_last_token(void **state) {
    (void)state;
    put("a", "EAA1");
    assert_string_equal(token_at(&cloud, start), "Authorization: Bearer EAA1");
    assert_int_equal(unlink(path_of("a")), 0);
    assert_string_equal(token_at(&cloud, start + second), "Authorization: Bearer EAA1");
    put("a", "EAA2");
    assert_string_equal(token_at(&cloud, start + 2 * second), "Authorization: Bearer EAA2");
}

static void two_lines_are_no_token(void **state) {
    static const char *const texts[] = {"EAA1\nEAA2", "EAA1\nEAA2\n", "\nEAA1", "EAA1\rEAA2", "EAA1\r\nX: y"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put("a", texts[i]);
        expect_none(&cloud, start + (int64_t)i * second, "one token on one line");
    }
    put("a", "EAA3\n");
    assert_string_equal(token_at(&cloud, start + 10 * second), "Authorization: Bearer EAA3");
}

static void an_empty_file_is_no_token(void **state) {
    (void)state;
    put("a", "");
    expect_none(&cloud, start, "one token on one line");
    put("a", " \r\n\t\n");
    expect_none(&cloud, start + second, "one token on one line");
}

static void a_file_spoilt_later_leaves_the_last_token(void **state) {
    (void)state;
    put("a", "EAA1");
    assert_string_equal(token_at(&cloud, start), "Authorization: Bearer EAA1");
    put("a", "EAA2\nEAA3");
    assert_string_equal(token_at(&cloud, start + second), "Authorization: Bearer EAA1");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + second), 1);
    put("a", "EAA2");
    assert_string_equal(token_at(&cloud, start + 2 * second), "Authorization: Bearer EAA2");
    assert_int_equal(pr_secrets_version(&secrets, &cloud, start + 2 * second), 2);
}

static void a_token_of_4096_bytes_is_whole_and_a_file_beyond_any_token_is_refused(void **state) {
    static char text[20000];
    (void)state;
    memset(text, 'x', sizeof(text));
    put_n("a", text, 4096);
    assert_int_equal(strlen(token_at(&cloud, start)), strlen("Authorization: Bearer ") + 4096);
    put_n("b", text, sizeof(text));
    assert_int_equal(strlen(token_at(&other, start)), 0); /* not its first part: nobody could say why that is no good */
    assert_non_null(strstr(why, path_of("b")));
}

static void a_folder_is_no_token(void **state) {
    (void)state;
    assert_int_equal(mkdir(path_of("a"), 0700), 0);
    expect_none(&cloud, start, "Is a directory");
}

static void a_file_that_may_not_be_read_is_named_and_read_when_it_may(void **state) {
    (void)state;
    bool is_root = geteuid() == 0;
    put("a", "EAA1");
    assert_int_equal(chmod(path_of("a"), 0), 0);
    if (is_root) {
        assert_int_equal(seteuid(65534), 0); /* root may read everything */
    }
    const struct curl_slist *headers = pr_secrets_headers(&secrets, &cloud, start, &why);
    if (is_root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_null(headers);
    assert_non_null(strstr(why, "Permission denied"));
    assert_int_equal(chmod(path_of("a"), 0600), 0);
    assert_string_equal(token_at(&cloud, start + second), "Authorization: Bearer EAA1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_token_becomes_the_headers_of_its_provider),
        TEST(white_space_at_the_end_does_not_count),
        TEST(an_absolute_name_is_not_looked_up_in_the_folder),
        TEST(each_file_has_its_own_token_and_senders_may_share_one),
        TEST(a_change_is_seen_within_a_second),
        TEST(the_version_sees_a_change_too_when_nobody_asks_for_headers),
        TEST(a_file_put_in_place_of_another_is_a_change),
        TEST(a_file_that_stays_is_read_once),
        TEST(lists_in_use_stay_valid_whatever_changes),
        TEST(a_missing_file_is_named_and_found_when_it_comes),
        TEST(a_file_that_went_away_leaves_the_last_token),
        TEST(two_lines_are_no_token),
        TEST(an_empty_file_is_no_token),
        TEST(a_file_spoilt_later_leaves_the_last_token),
        TEST(a_token_of_4096_bytes_is_whole_and_a_file_beyond_any_token_is_refused),
        TEST(a_folder_is_no_token),
        TEST(a_file_that_may_not_be_read_is_named_and_read_when_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
