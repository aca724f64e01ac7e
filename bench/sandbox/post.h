/* Posts one signed document after another to the webhook URL: bounded in number, kept alive, repeated until it is taken. */
#ifndef PR_SANDBOX_POST_H
#define PR_SANDBOX_POST_H

#include "wheel.h"

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

enum { PR_POSTERS_MAX = 64 };

struct pr_post_stats {
    uint64_t posted;   /* documents taken with a 2xx */
    uint64_t repeated; /* tries after the first */
    uint64_t dropped;  /* given up after `attempts` */
    uint32_t busy;     /* on the wire or waiting to be repeated now */
};

struct pr_post;

/* Called when a place is free again, for the next document. */
typedef void pr_post_free_place(void *arg);

struct pr_post *pr_post_new(struct event_base *base, struct pr_wheel *wheel, pr_post_free_place *free_place, void *arg);
void pr_post_free(struct pr_post *post);

/* "http://HOST[:PORT]/PATH" is looked up now; the secret signs X-Hub-Signature-256 (NULL leaves it as it is). False with `why`. */
bool pr_post_target(struct pr_post *post, const char *url, const char *secret, char *why, size_t why_n);

/* At most `places` (1..PR_POSTERS_MAX) at once, each try ends after `timeout_ms`, `attempts` tries in all (0: no end). */
void pr_post_bounds(struct pr_post *post, uint32_t places, int64_t timeout_ms, uint32_t attempts);

/* Whether a target is known and a place is free. */
bool pr_post_has_place(const struct pr_post *post);

/* Takes the bytes of `body` (left empty) and posts them. Only when pr_post_has_place. */
void pr_post_start(struct pr_post *post, struct pr_buf *body);

struct pr_post_stats pr_post_stats(const struct pr_post *post);

#endif
