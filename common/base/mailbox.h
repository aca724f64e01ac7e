/* How threads meet: anyone posts messages, one receiver takes all that came in one go and is woken by a descriptor. */
#ifndef PR_BASE_MAILBOX_H
#define PR_BASE_MAILBOX_H

#include "base/attr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Embedded in the message; PR_CONTAINER_OF (base/container.h) leads back to it. A message is in one mailbox at most. */
struct pr_mail {
    struct pr_mail *next; /* the receiver follows it through what it took; NULL at the end */
};

/* A list of messages on its way, built by one thread. All zero is empty except `last`: start with pr_mail_list_init. */
struct pr_mail_list {
    struct pr_mail *first;
    struct pr_mail **last; /* private */
    size_t n;
};

void pr_mail_list_init(struct pr_mail_list *list);
void pr_mail_list_add(struct pr_mail_list *list, struct pr_mail *mail);

/* All fields private. May not move in memory between init and free. */
struct pr_mailbox {
    pthread_mutex_t lock;
    struct pr_mail_list list;
    size_t max;
    bool is_signalled; /* a wake-up is on its way: nobody need send another */
    int fd;
};

/* `max`: messages it holds at most, 0 for no bound. False when the descriptor could not be had (errno says why). */
bool pr_mailbox_init(struct pr_mailbox *box, size_t max) PR_MUST_CHECK;

/* After every poster has ended. The caller has taken what was in it: messages left are not freed. */
void pr_mailbox_free(struct pr_mailbox *box);

/* The descriptor to wait on for reading (an eventfd, non-blocking); owned by the mailbox. Level-triggered: take clears it. */
int pr_mailbox_fd(const struct pr_mailbox *box);

/* Any thread. The mailbox owns the message until it is taken; false when full, the message then stays with the caller. */
bool pr_mailbox_post(struct pr_mailbox *box, struct pr_mail *mail) PR_MUST_CHECK;

/*
 * Any thread. Posts all of `list` in its order, side by side, and empties it; with one wake-up at most. False when not all fit: nothing
 * is posted and the list is unchanged; a list longer than the bound never fits. An empty list posts nothing and wakes nobody.
 */
bool pr_mailbox_post_list(struct pr_mailbox *box, struct pr_mail_list *list) PR_MUST_CHECK;

/*
 * The receiver only. Everything posted so far, in order of posting, linked by `next`; NULL when there is nothing, which may also
 * happen right after a wake-up. The messages are the caller's.
 */
struct pr_mail *pr_mailbox_take(struct pr_mailbox *box) PR_MUST_CHECK;

#endif
