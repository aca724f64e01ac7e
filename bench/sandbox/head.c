/* One pass over the header lines; only those the sandbox acts on are looked at. */
#include "head.h"

#include <strings.h>

static struct pr_span trim(struct pr_span s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = pr_span_skip(s, 1);
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r')) {
        s.n--;
    }
    return s;
}

static bool is_nocase(struct pr_span s, struct pr_span text) {
    return s.n == text.n && strncasecmp(s.p, text.p, s.n) == 0;
}

static bool starts_nocase(struct pr_span s, struct pr_span text) {
    return s.n >= text.n && strncasecmp(s.p, text.p, text.n) == 0;
}

/* "POST /path?query HTTP/1.1" */
static int parse_line(struct pr_span line, struct pr_request *r) {
    const char *end = line.p + line.n;
    const char *space = memchr(line.p, ' ', line.n);
    const char *second = space ? memchr(space + 1, ' ', (size_t)(end - space - 1)) : NULL;
    if (!second) {
        return 400;
    }
    r->method = (struct pr_span){line.p, (size_t)(space - line.p)};
    r->path = (struct pr_span){space + 1, (size_t)(second - space - 1)};
    struct pr_span version = trim((struct pr_span){second + 1, (size_t)(end - second - 1)});
    bool is_old = pr_span_is(version, "HTTP/1.0");
    if (!is_old && !pr_span_is(version, "HTTP/1.1")) {
        return pr_span_starts(version, PR_SPAN("HTTP/")) ? 505 : 400;
    }
    r->keep_alive = !is_old;
    const char *mark = memchr(r->path.p, '?', r->path.n);
    if (mark) {
        r->query = pr_span_skip(r->path, (size_t)(mark - r->path.p) + 1);
        r->path.n = (size_t)(mark - r->path.p);
    }
    return r->path.n && r->path.p[0] == '/' ? 0 : 400;
}

static int parse_length(struct pr_span value, struct pr_request *r) {
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9' || n > PR_BODY_BYTES_MAX) {
            return value.p[i] >= '0' && value.p[i] <= '9' ? 413 : 400;
        }
        n = n * 10 + (size_t)(value.p[i] - '0');
    }
    if (value.n == 0 || (r->has_length && r->length != n)) {
        return 400;
    }
    r->length = n;
    r->has_length = true;
    return n > PR_BODY_BYTES_MAX ? 413 : 0;
}

/* Names are told apart by length first: most lines cost a few comparisons of numbers. */
static int parse_header(struct pr_span name, struct pr_span value, struct pr_request *r) {
    if (is_nocase(name, PR_SPAN("Content-Length"))) {
        return parse_length(value, r);
    }
    if (is_nocase(name, PR_SPAN("Authorization"))) {
        r->bearer = starts_nocase(value, PR_SPAN("Bearer ")) ? trim(pr_span_skip(value, 7)) : PR_SPAN("");
    } else if (is_nocase(name, PR_SPAN("D360-API-KEY"))) {
        r->api_key = value;
    } else if (is_nocase(name, PR_SPAN("Content-Type"))) {
        r->content_type = value;
    } else if (is_nocase(name, PR_SPAN("Connection"))) {
        r->keep_alive =
            is_nocase(value, PR_SPAN("keep-alive")) || (r->keep_alive && !is_nocase(value, PR_SPAN("close")));
    } else if (is_nocase(name, PR_SPAN("Transfer-Encoding"))) {
        r->is_chunked = true;
    } else if (is_nocase(name, PR_SPAN("Expect"))) {
        r->expects_continue = is_nocase(value, PR_SPAN("100-continue"));
    }
    return 0;
}

static int parse_lines(struct pr_span head, struct pr_request *r) {
    const char *end = head.p + head.n;
    const char *nl = memchr(head.p, '\n', head.n);
    int status = parse_line((struct pr_span){head.p, (size_t)(nl - head.p)}, r);
    for (const char *p = nl + 1; p < end && status == 0; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(end - p));
        struct pr_span line = trim((struct pr_span){p, (size_t)(nl - p)});
        const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
        if (line.n == 0) {
            break;
        }
        if (!colon || colon == line.p) {
            return 400;
        }
        size_t name_n = (size_t)(colon - line.p);
        status = parse_header((struct pr_span){line.p, name_n}, trim(pr_span_skip(line, name_n + 1)), r);
    }
    return status;
}

int pr_head_parse(struct pr_span bytes, struct pr_request *request, size_t *head_n, size_t *used) {
    *request = (struct pr_request){.path = {NULL, 0}};
    *head_n = 0;
    size_t look = bytes.n < PR_HEAD_BYTES_MAX ? bytes.n : PR_HEAD_BYTES_MAX;
    const char *end = memmem(bytes.p, look, "\r\n\r\n", 4);
    if (!end) {
        return bytes.n >= PR_HEAD_BYTES_MAX ? 431 : -1;
    }
    *head_n = (size_t)(end - bytes.p) + 4;
    int status = parse_lines((struct pr_span){bytes.p, *head_n}, request);
    if (status) {
        return status;
    }
    bool has_body = pr_span_is(request->method, "POST") || pr_span_is(request->method, "PUT");
    if (request->is_chunked || (has_body && !request->has_length)) {
        return 411;
    }
    if (bytes.n - *head_n < request->length) {
        return -1;
    }
    request->body = (struct pr_span){bytes.p + *head_n, request->length};
    *used = *head_n + request->length;
    return 0;
}
