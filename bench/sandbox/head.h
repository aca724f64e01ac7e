/* The head of an HTTP/1.1 request, taken apart in place. */
#ifndef PR_SANDBOX_HEAD_H
#define PR_SANDBOX_HEAD_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PR_HEAD_BYTES_MAX = 16384,   /* request line and headers */
    PR_BODY_BYTES_MAX = 4 << 20, /* an admin's template file; messages have a limit of their own */
};

/* Spans point into the bytes that were parsed. */
struct pr_request {
    struct pr_span method, path, query;
    struct pr_span bearer;  /* of Authorization: Bearer; p NULL when absent */
    struct pr_span api_key; /* of D360-API-KEY; p NULL when absent */
    struct pr_span content_type;
    struct pr_span body;
    size_t length; /* of the body, as announced */
    bool has_length;
    bool keep_alive;
    bool expects_continue;
    bool is_chunked;
    uint64_t connection; /* its number */
    uint32_t nth;        /* request of that connection, from 1 */
    bool is_local;       /* the peer's address is a loopback one */
    int64_t waited_us;   /* how long it lay in the kernel before it was read */
};

/*
 * 0: `bytes` holds a whole request, `used` bytes of it. -1: more bytes are needed; `head_n` is 0 as long as the head is not
 * whole. Else the HTTP status to refuse it with.
 */
int pr_head_parse(struct pr_span bytes, struct pr_request *request, size_t *head_n, size_t *used);

#endif
