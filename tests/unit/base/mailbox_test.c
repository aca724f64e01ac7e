/* Tests of the mailbox: order, the bound, one wake-up for many posts, and four posters at once. */
#include "base/container.h"
#include "base/mailbox.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct letter {
    struct pr_mail mail;
    int poster;
    int number;
};

static bool is_awake(const struct pr_mailbox *box, int timeout_ms) {
    struct pollfd poller = {.fd = pr_mailbox_fd(box), .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1;
}

static size_t length_of(const struct pr_mail *mail) {
    size_t n = 0;
    for (; mail; mail = mail->next)
        n++;
    return n;
}

static void an_empty_box_gives_nothing_and_wakes_nobody(void **state) {
    (void)state;
    struct pr_mailbox box;
    assert_true(pr_mailbox_init(&box, 0));
    assert_false(is_awake(&box, 0));
    assert_null(pr_mailbox_take(&box));
    pr_mailbox_free(&box);
}

static void messages_come_in_the_order_of_posting(void **state) {
    (void)state;
    struct pr_mailbox box;
    struct pr_mail mail[5];
    struct pr_mail_list list;
    assert_true(pr_mailbox_init(&box, 0));
    assert_true(pr_mailbox_post(&box, &mail[0]));
    pr_mail_list_init(&list);
    for (int i = 1; i < 4; i++)
        pr_mail_list_add(&list, &mail[i]);
    assert_true(pr_mailbox_post_list(&box, &list));
    assert_int_equal(list.n, 0);
    assert_true(pr_mailbox_post(&box, &mail[4]));
    struct pr_mail *taken = pr_mailbox_take(&box);
    for (int i = 0; i < 5; i++, taken = taken->next)
        assert_ptr_equal(taken, &mail[i]);
    assert_null(taken);
    assert_null(pr_mailbox_take(&box));
    pr_mailbox_free(&box);
}

static void many_posts_make_one_wake_up_which_taking_clears(void **state) {
    (void)state;
    struct pr_mailbox box;
    struct pr_mail mail[3];
    uint64_t count = 0;
    assert_true(pr_mailbox_init(&box, 0));
    for (int i = 0; i < 3; i++)
        assert_true(pr_mailbox_post(&box, &mail[i]));
    assert_int_equal(read(pr_mailbox_fd(&box), &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    assert_int_equal(length_of(pr_mailbox_take(&box)), 3);
    assert_true(pr_mailbox_post(&box, &mail[0]));
    assert_true(is_awake(&box, 0));
    assert_int_equal(length_of(pr_mailbox_take(&box)), 1);
    assert_false(is_awake(&box, 0));
    pr_mailbox_free(&box);
}

static void a_full_box_refuses_and_leaves_the_message_with_its_owner(void **state) {
    (void)state;
    struct pr_mailbox box;
    struct pr_mail mail[4];
    struct pr_mail_list list;
    assert_true(pr_mailbox_init(&box, 3));
    assert_true(pr_mailbox_post(&box, &mail[0]));
    assert_true(pr_mailbox_post(&box, &mail[1]));
    pr_mail_list_init(&list);
    pr_mail_list_add(&list, &mail[2]);
    pr_mail_list_add(&list, &mail[3]);
    assert_false(pr_mailbox_post_list(&box, &list));
    assert_int_equal(list.n, 2);
    assert_ptr_equal(list.first, &mail[2]);
    assert_int_equal(length_of(pr_mailbox_take(&box)), 2);
    assert_true(pr_mailbox_post_list(&box, &list));
    assert_int_equal(length_of(pr_mailbox_take(&box)), 2);
    pr_mailbox_free(&box);
}

static void the_bound_is_taken_exactly(void **state) {
    (void)state;
    struct pr_mailbox box;
    struct pr_mail mail[2];
    assert_true(pr_mailbox_init(&box, 1));
    assert_true(pr_mailbox_post(&box, &mail[0]));
    assert_false(pr_mailbox_post(&box, &mail[1]));
    assert_int_equal(length_of(pr_mailbox_take(&box)), 1);
    assert_true(pr_mailbox_post(&box, &mail[1]));
    assert_int_equal(length_of(pr_mailbox_take(&box)), 1);
    pr_mailbox_free(&box);
}

static void an_empty_list_wakes_nobody(void **state) {
    (void)state;
    struct pr_mailbox box;
    struct pr_mail_list list;
    assert_true(pr_mailbox_init(&box, 0));
    pr_mail_list_init(&list);
    assert_true(pr_mailbox_post_list(&box, &list));
    assert_false(is_awake(&box, 0));
    pr_mailbox_free(&box);
}

enum { POSTERS = 4, LETTERS = 20000 };

static struct pr_mailbox shared;
static struct letter letters[POSTERS][LETTERS];

static void *post_all(void *arg) {
    int poster = *(const int *)arg;
    for (int i = 0; i < LETTERS; i++) {
        letters[poster][i].poster = poster;
        letters[poster][i].number = i;
        while (!pr_mailbox_post(&shared, &letters[poster][i].mail))
            usleep(100);
    }
    return NULL;
}

static void posters_at_once_lose_nothing_and_each_keeps_its_order(void **state) {
    (void)state;
    pthread_t thread[POSTERS];
    int name[POSTERS], next[POSTERS] = {0}, got = 0;
    assert_true(pr_mailbox_init(&shared, 1000));
    for (int i = 0; i < POSTERS; i++) {
        name[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, post_all, &name[i]), 0);
    }
    while (got < POSTERS * LETTERS) {
        if (!is_awake(&shared, 5000))
            break; /* a lost wake-up; asserted below, when the threads have ended or not */
        for (struct pr_mail *mail = pr_mailbox_take(&shared); mail; got++) {
            struct letter *letter = PR_CONTAINER_OF(mail, struct letter, mail);
            mail = mail->next;
            next[letter->poster] += letter->number == next[letter->poster];
        }
    }
    assert_int_equal(got, POSTERS * LETTERS);
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(next[i], LETTERS);
        pthread_join(thread[i], NULL);
    }
    pr_mailbox_free(&shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_box_gives_nothing_and_wakes_nobody),
        cmocka_unit_test(messages_come_in_the_order_of_posting),
        cmocka_unit_test(many_posts_make_one_wake_up_which_taking_clears),
        cmocka_unit_test(a_full_box_refuses_and_leaves_the_message_with_its_owner),
        cmocka_unit_test(the_bound_is_taken_exactly),
        cmocka_unit_test(an_empty_list_wakes_nobody),
        cmocka_unit_test(posters_at_once_lose_nothing_and_each_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
