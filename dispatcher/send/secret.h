/* Tokens of senders: read from their files, read again when a file changes, never written anywhere. */
#ifndef PR_SEND_SECRET_H
#define PR_SEND_SECRET_H

#include "flow/book.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct pr_secret;

/* The secrets of one lane. One thread. Header lists stay valid until pr_secrets_free, whatever changes. */
struct pr_secrets {
    const char *dir; /* where relative names are looked up; "" for the working directory */
    struct pr_secret *first;
};

void pr_secrets_init(struct pr_secrets *secrets, const char *dir);
void pr_secrets_free(struct pr_secrets *secrets);

/* The request headers for a sender, with its token. NULL when the file cannot be read; `why` is then a sentence with its name. */
struct curl_slist *pr_secrets_headers(struct pr_secrets *secrets, const struct pr_sender *sender, int64_t now_ns,
                                      const char **why);

/* Counts the times the sender's token was read: a sender that was stopped for its token may go on when it grows. Looks at most once a second. */
uint64_t pr_secrets_version(struct pr_secrets *secrets, const struct pr_sender *sender, int64_t now_ns);

#endif
