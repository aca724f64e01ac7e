/* Tests of the journal: what a killed process leaves, what counts as no journal, who may have it, and a disk without room. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LANES = 2, PLACES = 3, HEADER = 4096, PLACE = 32, KILLS = 200, WIDE = 2000 };

static char dir[64], path[128], why[512];
static const char *fault;
static struct pr_journal_left left;
static const struct pr_uuid boot = {{1, 2, 3}}, other_boot = {{1, 2, 4}}, key = {{7, 7, 7}}, other_key = {{8, 8, 8}};

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/pr-journal.XXXXXX");
    left = (struct pr_journal_left){.n = 0};
    return mkdtemp(dir) && pr_journal_path(dir, "d1", path, sizeof(path)) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    pr_journal_left_free(&left);
    (void)unlink(path);
    return rmdir(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct pr_journal *open_as(uint32_t lanes, uint32_t places, const struct pr_uuid *this_boot) {
    const struct pr_journal_options options = {
        .dir = dir, .name = "d1", .lanes = lanes, .places = places, .boot = *this_boot};
    return pr_journal_open(&options, why, sizeof(why));
}

static struct pr_journal *must_open(void) {
    struct pr_journal *journal = open_as(LANES, PLACES, &boot);
    if (!journal) {
        fail_msg("%s", why);
    }
    return journal;
}

static struct pr_uuid id_of(uint64_t n) {
    struct pr_uuid id = {{0x80}};
    memcpy(id.b + 8, &n, sizeof(n));
    return id;
}

static uint32_t mark(struct pr_journal *journal, uint32_t lane, uint64_t n) {
    struct pr_uuid id = id_of(n);
    return pr_journal_mark(journal, lane, &id);
}

static bool has_left(uint64_t n) {
    struct pr_uuid id = id_of(n);
    for (size_t i = 0; i < left.n; i++) {
        if (memcmp(&left.ids[i], &id, sizeof(id)) == 0) {
            return true;
        }
    }
    return false;
}

/* Opens it as the next process does and reads what is left; the fault as text, "" when all is well. */
static const char *next_finds(uint32_t lanes, uint32_t places, const struct pr_uuid *this_boot) {
    struct pr_journal *journal = open_as(lanes, places, this_boot);
    assert_non_null(journal);
    pr_journal_left_free(&left);
    bool is_ok = pr_journal_read(journal, &left, &fault);
    assert_int_equal(is_ok, fault == NULL);
    pr_journal_close(journal);
    return is_ok ? "" : fault;
}

/* A journal of owner 5 and epoch 9 with three marked ids, of which the second is cleared, closed. */
static void leave_two(void) {
    struct pr_journal *journal = must_open();
    pr_journal_begin(journal, 5, 9, &key);
    (void)mark(journal, 0, 1);
    uint32_t second = mark(journal, 0, 2);
    (void)mark(journal, 1, 3);
    pr_journal_clear(journal, 0, &second);
    assert_int_equal(second, 0);
    pr_journal_close(journal);
}

static void what_is_marked_and_not_cleared_is_left(void **state) {
    (void)state;
    leave_two();
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    assert_int_equal(left.n, 2);
    assert_true(has_left(1) && has_left(3));
    assert_int_equal(left.owner, 5);
    assert_int_equal(left.epoch, 9);
    assert_memory_equal(&left.key, &key, sizeof(key));
}

static void a_new_file_has_nothing_to_rely_on(void **state) {
    (void)state;
    assert_string_equal(next_finds(LANES, PLACES, &boot), "there was none");
    assert_string_equal(next_finds(LANES, PLACES, &boot),
                        "the file is no journal"); /* its room was taken, and nothing begun */
}

static void an_empty_journal_is_one_too(void **state) {
    (void)state;
    struct pr_journal *journal = must_open();
    pr_journal_begin(journal, 5, 9, &key);
    pr_journal_close(journal);
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    assert_int_equal(left.n, 0);
}

static void every_place_can_be_taken_and_taken_again(void **state) {
    (void)state;
    struct pr_journal *journal = must_open();
    pr_journal_begin(journal, 5, 9, &key);
    uint32_t place[LANES][PLACES];
    for (uint64_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < LANES * PLACES; i++) {
            place[i % LANES][i / LANES] = mark(journal, i % LANES, round * 100 + i);
        }
        assert_true(pr_journal_read(journal, &left, &fault));
        assert_int_equal(left.n, LANES * PLACES);
        for (uint64_t i = 0; i < (uint64_t)LANES * PLACES; i++) {
            assert_true(has_left(round * 100 + i));
        }
        pr_journal_left_free(&left);
        for (uint32_t i = 0; i < LANES * PLACES; i++) {
            pr_journal_clear(journal, i % LANES, &place[i % LANES][i / LANES]);
        }
    }
    assert_true(pr_journal_read(journal, &left, &fault));
    assert_int_equal(left.n, 0);
    pr_journal_close(journal);
}

static void without_a_journal_nothing_is_marked(void **state) {
    (void)state;
    uint32_t place = mark(NULL, 0, 1);
    assert_int_equal(place, 0);
    pr_journal_clear(NULL, 0, &place);
    pr_journal_close(NULL);
}

static void a_new_epoch_in_the_same_process_forgets_and_frees_what_the_old_one_marked(void **state) {
    (void)state;
    struct pr_journal *journal = must_open();
    pr_journal_begin(journal, 5, 9, &key);
    uint32_t old = mark(journal, 0, 1);
    pr_journal_begin(journal, 5, 10, &other_key);
    (void)mark(journal, 0, 2);
    (void)mark(journal, 0, 3);
    pr_journal_clear(journal, 0, &old); /* its job of the old epoch is settled only now: it had kept its place */
    (void)mark(journal, 0, 4);
    pr_journal_close(journal);
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    assert_int_equal(left.epoch, 10);
    assert_int_equal(left.n, 3);
    assert_true(has_left(2) && has_left(3) && has_left(4));
}

static void more_or_fewer_lanes_and_places_read_what_was_left(void **state) {
    (void)state;
    static const uint32_t shapes[][2] = {{1, 1}, {1, PLACES}, {LANES, 1}, {7, 500}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        leave_two();
        assert_string_equal(next_finds(shapes[i][0], shapes[i][1], &boot), "");
        assert_int_equal(left.n, 2);
        struct pr_journal *journal = open_as(shapes[i][0], shapes[i][1], &boot);
        assert_non_null(journal);
        pr_journal_begin(journal, 5, 10, &other_key);
        (void)mark(journal, shapes[i][0] - 1, 77);
        pr_journal_close(journal);
        assert_string_equal(next_finds(LANES, PLACES, &boot), "");
        assert_int_equal(left.n, 1);
        assert_true(has_left(77));
    }
}

static void another_boot_finds_nothing(void **state) {
    (void)state;
    leave_two();
    assert_string_equal(next_finds(LANES, PLACES, &other_boot), "the journal is of another boot or machine");
    assert_string_equal(next_finds(LANES, PLACES, &boot), ""); /* looking changed nothing */
}

static size_t slurp(uint8_t *bytes, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, room);
    close(fd);
    assert_true(n > 0 && (size_t)n < room);
    return (size_t)n;
}

static void put_at(off_t at, const void *bytes, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && pwrite(fd, bytes, n, at) == (ssize_t)n);
    close(fd);
}

static void a_copy_finds_nothing(void **state) {
    (void)state;
    static uint8_t bytes[2 * HEADER];
    char kept[160];
    leave_two();
    size_t n = slurp(bytes, sizeof(bytes));
    (void)snprintf(kept, sizeof(kept), "%s.kept", path); /* the first inode stays taken */
    assert_int_equal(rename(path, kept), 0);
    put_at(0, bytes, n);
    assert_string_equal(next_finds(LANES, PLACES, &boot), "the journal is a copy");
    assert_int_equal(unlink(kept), 0);
}

/* Each byte of the header and of the places, damaged: never a crash, and never another list than the one that was left. */
static void a_damaged_byte_is_seen_or_of_no_matter(void **state) {
    (void)state;
    static uint8_t bytes[2 * HEADER];
    leave_two();
    size_t n = slurp(bytes, sizeof(bytes));
    size_t seen = 0;
    for (size_t i = 0; i < n; i = i == 127 ? HEADER : i + 1) {
        uint8_t damaged = bytes[i] ^ 0x5a;
        put_at((off_t)i, &damaged, 1);
        if (next_finds(LANES, PLACES, &boot)[0] == '\0') {
            assert_int_equal(left.n, 2);
            assert_true(has_left(1) && has_left(3));
        } else {
            seen++;
        }
        put_at((off_t)i, &bytes[i], 1);
    }
    assert_true(seen >= 80 + LANES * PLACES * 8); /* the header, and each place's mark */
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
}

static void a_file_that_was_cut_at_any_length_finds_nothing(void **state) {
    (void)state;
    static uint8_t bytes[2 * HEADER];
    leave_two();
    size_t n = slurp(bytes, sizeof(bytes));
    for (size_t length = 0; length < n; length = length == 80 ? HEADER - 1 : length + 1) {
        assert_int_equal(truncate(path, (off_t)length), 0);
        assert_string_not_equal(next_finds(LANES, PLACES, &boot), "");
        put_at(0, bytes, n);
        assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    }
}

/* Cut and made long again by somebody: zeros are no free places. */
static void a_hole_finds_nothing(void **state) {
    (void)state;
    leave_two();
    for (off_t from = HEADER; from < HEADER + LANES * PLACES * PLACE; from += PLACE) {
        leave_two();
        assert_int_equal(truncate(path, from), 0);
        assert_int_equal(truncate(path, HEADER + LANES * PLACES * PLACE), 0);
        assert_string_equal(next_finds(LANES, PLACES, &boot), "the journal is damaged");
    }
}

static void garbage_of_any_length_finds_nothing_and_is_written_over(void **state) {
    (void)state;
    static uint8_t bytes[3 * HEADER];
    unsigned seed = 4711;
    static const size_t lengths[] = {1, 7, 72, 80, HEADER - 1, HEADER, HEADER + 31, sizeof(bytes)};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (size_t k = 0; k < sizeof(bytes); k++) {
            seed = seed * 1664525 + 1013904223;
            bytes[k] = (uint8_t)(seed >> 24);
        }
        (void)unlink(path);
        put_at(0, bytes, lengths[i]);
        assert_string_equal(next_finds(LANES, PLACES, &boot), "the file is no journal");
        leave_two();
        assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    }
}

static void a_larger_file_than_any_journal_is_not_followed(void **state) {
    (void)state;
    leave_two();
    assert_int_equal(truncate(path, (off_t)1 << 34), 0);
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    assert_int_equal(left.n, 2);
}

static void a_second_process_of_the_name_is_refused_with_the_reason(void **state) {
    (void)state;
    struct pr_journal *journal = must_open();
    pr_journal_begin(journal, 5, 9, &key);
    (void)mark(journal, 0, 1);
    assert_null(open_as(LANES, PLACES, &boot)); /* another opening of the file is another lock, in one process too */
    assert_non_null(strstr(why, "is in use"));
    assert_non_null(strstr(why, "dispatch.name"));
    assert_true(pr_journal_read(journal, &left, &fault) && left.n == 1);
    pr_journal_close(journal);
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
}

static void a_folder_that_is_not_there_is_named(void **state) {
    (void)state;
    const struct pr_journal_options options = {
        .dir = "/tmp/pr-journal-none", .name = "d1", .lanes = 1, .places = 1, .boot = boot};
    assert_null(pr_journal_open(&options, why, sizeof(why)));
    assert_non_null(strstr(why, "/tmp/pr-journal-none/d1.journal"));
    assert_non_null(strstr(why, "No such file"));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_null(open_as(1, 1, &boot));
    assert_int_equal(rmdir(path), 0);
}

/* RLIMIT_FSIZE refuses the room as a full disk does; the old content must still be there. */
static void a_disk_without_room_is_said_at_the_start_and_keeps_what_was_left(void **state) {
    (void)state;
    struct rlimit old, small = {.rlim_cur = 2 * HEADER};
    leave_two();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct pr_journal *journal = open_as(LANES, 1000, &boot);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_null(journal);
    assert_non_null(strstr(why, "no room for"));
    assert_string_equal(next_finds(LANES, PLACES, &boot), "");
    assert_int_equal(left.n, 2);
}

static void a_name_may_hold_anything_but_too_much(void **state) {
    char long_name[256], made[512];
    (void)state;
    assert_true(pr_journal_path("/d", "web-1.example_A", made, sizeof(made)));
    assert_string_equal(made, "/d/web-1.example_A.journal");
    assert_true(pr_journal_path("/d", "../x y\n%", made, sizeof(made)));
    assert_string_equal(made, "/d/%2E.%2Fx%20y%0A%25.journal");
    memset(long_name, 'a', sizeof(long_name));
    long_name[244] = '\0';
    assert_true(pr_journal_path("/d", long_name, made, sizeof(made)));
    assert_true(strlen(made) - 3 <= 255);
    long_name[244] = 'a';
    long_name[255] = '\0';
    assert_false(pr_journal_path("/d", long_name, made, sizeof(made)));
    assert_false(pr_journal_path("/d", "name", made, 8));
}

static void this_boot_has_an_id(void **state) {
    struct pr_uuid a, b;
    (void)state;
    assert_true(pr_journal_boot(&a, why, sizeof(why)) && pr_journal_boot(&b, why, sizeof(why)));
    assert_memory_equal(&a, &b, sizeof(a));
}

/* ---- kills ---- */

/* How far the child is: each number is written before the step and after it. */
struct progress {
    _Atomic uint64_t marking, marked, clearing, cleared;
    _Atomic uint32_t epoch_beginning;
};

/* The first id is marked, the second is marked, the first is cleared, and so on: one or two are in it at any moment. */
static _Noreturn void mark_and_clear_for_ever(struct progress *p) {
    struct pr_journal *journal = open_as(1, 2, &boot);
    if (!journal) {
        _exit(1);
    }
    pr_journal_begin(journal, 5, 9, &key);
    uint32_t place[2] = {0, 0};
    for (uint64_t n = 1;; n++) {
        atomic_store(&p->marking, n);
        place[n % 2] = mark(journal, 0, n);
        atomic_store(&p->marked, n);
        atomic_store(&p->clearing, n - 1);
        pr_journal_clear(journal, 0, &place[(n - 1) % 2]);
        atomic_store(&p->cleared, n - 1);
    }
}

/* Each epoch has one id of its own, which is there when the next one begins: that must take it away whole or not at all. */
static _Noreturn void begin_for_ever(struct progress *p) {
    struct pr_journal *journal = open_as(1, WIDE, &boot);
    if (!journal) {
        _exit(1);
    }
    uint32_t place = 0;
    for (uint32_t epoch = 1;; epoch++) {
        struct pr_uuid its_key = id_of(epoch);
        atomic_store(&p->epoch_beginning, epoch);
        pr_journal_begin(journal, 5, (int32_t)epoch, &its_key);
        pr_journal_clear(journal, 0, &place);
        place = mark(journal, 0, epoch);
        atomic_store(&p->marked, epoch);
    }
}

static void kill_at_random(void child(struct progress *), struct progress *p, unsigned *seed) {
    memset(p, 0, sizeof(*p));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child(p);
    }
    while (atomic_load(&p->marked) == 0 && waitpid(pid, NULL, WNOHANG) == 0) {
    }
    *seed = *seed * 1664525 + 1013904223;
    struct timespec pause = {.tv_nsec = *seed % 1000000};
    (void)nanosleep(&pause, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static struct progress *share_progress(void) {
    void *p = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static void a_kill_at_any_moment_leaves_exactly_what_was_marked(void **state) {
    (void)state;
    struct progress *p = share_progress();
    unsigned seed = 1;
    for (int i = 0; i < KILLS; i++) {
        kill_at_random(mark_and_clear_for_ever, p, &seed);
        uint64_t marking = atomic_load(&p->marking), marked = atomic_load(&p->marked);
        uint64_t clearing = atomic_load(&p->clearing), cleared = atomic_load(&p->cleared);
        assert_string_equal(next_finds(1, 2, &boot), "");
        for (uint64_t n = clearing + 1; n <= marked; n++) {
            assert_true(has_left(n)); /* marked, and its clearing not begun */
        }
        for (size_t k = 0; k < left.n; k++) {
            uint64_t n = 0;
            memcpy(&n, left.ids[k].b + 8, sizeof(n));
            assert_true(n > cleared && n <= marking); /* nothing that is cleared, nothing torn */
        }
    }
    assert_int_equal(munmap(p, sizeof(*p)), 0);
}

static void a_kill_while_an_epoch_begins_leaves_that_epoch_whole_or_nothing(void **state) {
    (void)state;
    struct progress *p = share_progress();
    unsigned seed = 2;
    for (int i = 0; i < KILLS; i++) {
        kill_at_random(begin_for_ever, p, &seed);
        uint32_t beginning = atomic_load(&p->epoch_beginning);
        uint64_t marked = atomic_load(&p->marked);
        if (next_finds(1, WIDE, &boot)[0] != '\0') {
            assert_string_equal(fault, "the journal's header is damaged or was never finished");
            continue;
        }
        struct pr_uuid its_key = id_of((uint64_t)left.epoch);
        assert_memory_equal(&left.key, &its_key, sizeof(its_key));
        assert_true((uint32_t)left.epoch == beginning || (uint32_t)left.epoch == beginning - 1);
        assert_true(left.n == 1 || (left.n == 0 && marked < (uint64_t)left.epoch));
        assert_true(left.n == 0 || has_left((uint64_t)left.epoch));
    }
    assert_int_equal(munmap(p, sizeof(*p)), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_marked_and_not_cleared_is_left),
        TEST(a_new_file_has_nothing_to_rely_on),
        TEST(an_empty_journal_is_one_too),
        TEST(every_place_can_be_taken_and_taken_again),
        TEST(without_a_journal_nothing_is_marked),
        TEST(a_new_epoch_in_the_same_process_forgets_and_frees_what_the_old_one_marked),
        TEST(more_or_fewer_lanes_and_places_read_what_was_left),
        TEST(another_boot_finds_nothing),
        TEST(a_copy_finds_nothing),
        TEST(a_damaged_byte_is_seen_or_of_no_matter),
        TEST(a_file_that_was_cut_at_any_length_finds_nothing),
        TEST(a_hole_finds_nothing),
        TEST(garbage_of_any_length_finds_nothing_and_is_written_over),
        TEST(a_larger_file_than_any_journal_is_not_followed),
        TEST(a_second_process_of_the_name_is_refused_with_the_reason),
        TEST(a_folder_that_is_not_there_is_named),
        TEST(a_disk_without_room_is_said_at_the_start_and_keeps_what_was_left),
        TEST(a_name_may_hold_anything_but_too_much),
        TEST(this_boot_has_an_id),
        TEST(a_kill_at_any_moment_leaves_exactly_what_was_marked),
        TEST(a_kill_while_an_epoch_begins_leaves_that_epoch_whole_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
