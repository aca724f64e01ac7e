/* The mailbox: a list under a lock that is held for a few instructions, and an eventfd (one descriptor where a pipe needs two). */
#include "base/mailbox.h"

#include "base/check.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

void pr_mail_list_init(struct pr_mail_list *list) {
    list->first = NULL;
    list->last = &list->first;
    list->n = 0;
}

void pr_mail_list_add(struct pr_mail_list *list, struct pr_mail *mail) {
    mail->next = NULL;
    *list->last = mail;
    list->last = &mail->next;
    list->n++;
}

bool pr_mailbox_init(struct pr_mailbox *box, size_t max) {
    pr_mail_list_init(&box->list);
    box->max = max;
    box->is_signalled = false;
    box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->fd < 0)
        return false;
    pr_assert(pthread_mutex_init(&box->lock, NULL) == 0); /* default attributes: cannot fail on Linux */
    return true;
}

void pr_mailbox_free(struct pr_mailbox *box) {
    close(box->fd);
    box->fd = -1;
    pthread_mutex_destroy(&box->lock);
}

int pr_mailbox_fd(const struct pr_mailbox *box) {
    return box->fd;
}

/* The counter never gets near its limit, as there is one wake-up at a time: the write cannot block or fail. */
static void wake(const struct pr_mailbox *box) {
    uint64_t one = 1;
    ssize_t n = write(box->fd, &one, sizeof one);
    pr_assert(n == (ssize_t)sizeof one);
}

/* Appends under the lock; tells whether the caller must wake the receiver. */
static bool append(struct pr_mailbox *box, struct pr_mail_list *list, bool *must_wake) {
    pthread_mutex_lock(&box->lock);
    bool fits = box->max == 0 || list->n <= box->max - box->list.n;
    if (fits) {
        *box->list.last = list->first;
        box->list.last = list->last;
        box->list.n += list->n;
        *must_wake = !box->is_signalled;
        box->is_signalled = true;
    }
    pthread_mutex_unlock(&box->lock);
    return fits;
}

bool pr_mailbox_post_list(struct pr_mailbox *box, struct pr_mail_list *list) {
    bool must_wake = false;
    if (list->n == 0)
        return true;
    if (!append(box, list, &must_wake))
        return false;
    pr_mail_list_init(list);
    if (must_wake)
        wake(box);
    return true;
}

bool pr_mailbox_post(struct pr_mailbox *box, struct pr_mail *mail) {
    struct pr_mail_list list;
    pr_mail_list_init(&list);
    pr_mail_list_add(&list, mail);
    return pr_mailbox_post_list(box, &list);
}

/*
 * The descriptor is read before the list is taken. The other way round, the wake-up of a message posted in between would be
 * swallowed while `is_signalled` stays set: nobody would ever wake the receiver again. This way the worst is one wake-up for nothing.
 */
struct pr_mail *pr_mailbox_take(struct pr_mailbox *box) {
    uint64_t count;
    ssize_t n = read(box->fd, &count, sizeof count);
    (void)n; /* EAGAIN: asked without a wake-up, which is allowed */
    pthread_mutex_lock(&box->lock);
    struct pr_mail *first = box->list.first;
    pr_mail_list_init(&box->list);
    box->is_signalled = false;
    pthread_mutex_unlock(&box->lock);
    return first;
}
