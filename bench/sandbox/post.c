/* A small HTTP/1.1 client on bufferevents; any answer but 2xx, and none, is a reason to try again later. */
#include "post.h"

#include "base/check.h"
#include "base/span.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10000,
    HOST_CHARS = 256,
    PATH_CHARS = 1024,
    SECRET_CHARS = 256,
    HEAD_BYTES_MAX = 65536,
};

struct poster {
    struct pr_post *post;
    struct bufferevent *bev; /* NULL while not connected */
    struct pr_timer timer;   /* until the next try */
    struct pr_buf body;
    uint32_t tries;
    bool is_busy;
    bool is_waiting; /* for an answer */
};

struct pr_post {
    struct event_base *base;
    struct pr_wheel *wheel;
    pr_post_free_place *free_place;
    void *arg;
    char host[HOST_CHARS]; /* as in the Host header; "" without a target */
    char path[PATH_CHARS];
    char secret[SECRET_CHARS];
    struct sockaddr_storage address;
    socklen_t address_n;
    uint32_t places;
    uint32_t attempts;
    int64_t timeout_ms;
    struct pr_post_stats stats;
    struct poster poster[PR_POSTERS_MAX];
};

static void poster_try(struct poster *p);

static void poster_hang_up(struct poster *p) {
    if (p->bev) {
        bufferevent_free(p->bev);
        p->bev = NULL;
    }
}

static void poster_done(struct poster *p) {
    struct pr_post *post = p->post;
    p->is_busy = false;
    p->tries = 0;
    post->stats.busy--;
    pr_buf_free(&p->body);
    post->free_place(post->arg);
}

static void on_again(struct pr_timer *timer) {
    poster_try((struct poster *)(void *)((char *)timer - offsetof(struct poster, timer)));
}

static void poster_failed(struct poster *p) {
    struct pr_post *post = p->post;
    p->is_waiting = false;
    poster_hang_up(p);
    p->tries++;
    if (post->attempts && p->tries >= post->attempts) {
        post->stats.dropped++;
        poster_done(p);
        return;
    }
    int64_t ms = BACKOFF_FIRST_MS;
    for (uint32_t i = 1; i < p->tries && ms < BACKOFF_MAX_MS; i++) {
        ms *= 2;
    }
    post->stats.repeated++;
    pr_wheel_start(post->wheel, &p->timer, (ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS) * 1000, on_again);
}

/* The value of Content-Length in a head, or -1. */
static long head_length(const char *head) {
    for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, "Content-Length:", 15) == 0) {
            return strtol(line + 16, NULL, 10);
        }
    }
    return -1;
}

/* Looks at what has come. 0: more is needed. Else the status; `keep` says whether the connection can be used again. */
static int read_answer(struct evbuffer *in, bool *keep) {
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos < 0) {
        return evbuffer_get_length(in) > HEAD_BYTES_MAX ? 599 : 0;
    }
    size_t head_n = (size_t)end.pos + 4;
    char head[2048];
    size_t n = head_n < sizeof head ? head_n : sizeof head - 1;
    (void)evbuffer_copyout(in, head, n);
    head[n] = '\0';
    int status = strncmp(head, "HTTP/1.", 7) == 0 && n > 12 ? (int)strtol(head + 9, NULL, 10) : 599;
    long length = head_length(head);
    *keep = length >= 0 && head[7] == '1' && !strcasestr(head, "\nConnection: close");
    if (*keep && evbuffer_get_length(in) < head_n + (size_t)length) {
        return 0;
    }
    if (*keep) {
        (void)evbuffer_drain(in, head_n + (size_t)length);
    }
    return status > 0 ? status : 599;
}

static void on_answer(struct bufferevent *bev, void *arg) {
    struct poster *p = arg;
    bool keep = false;
    int status = p->is_waiting ? read_answer(bufferevent_get_input(bev), &keep) : 599;
    if (status == 0) {
        return;
    }
    if (!p->is_waiting) {
        poster_hang_up(p);
        return;
    }
    if (status < 200 || status > 299) {
        poster_failed(p);
        return;
    }
    p->is_waiting = false;
    if (!keep) {
        poster_hang_up(p);
    }
    p->post->stats.posted++;
    poster_done(p);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
    (void)bev;
    struct poster *p = arg;
    if (what & BEV_EVENT_CONNECTED) {
        return;
    }
    if (p->is_waiting) {
        poster_failed(p);
    } else {
        poster_hang_up(p);
    }
}

static bool poster_connect(struct poster *p) {
    struct pr_post *post = p->post;
    p->bev = bufferevent_socket_new(post->base, -1, BEV_OPT_CLOSE_ON_FREE);
    pr_assert(p->bev);
    bufferevent_setcb(p->bev, on_answer, NULL, on_event, p);
    (void)bufferevent_enable(p->bev, EV_READ | EV_WRITE);
    return bufferevent_socket_connect(p->bev, (struct sockaddr *)&post->address, (int)post->address_n) == 0;
}

static void sign(const struct pr_post *post, struct pr_span body, char out[65]) {
    static const char hex[] = "0123456789abcdef";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_n = 0;
    pr_assert(HMAC(EVP_sha256(), post->secret, (int)strlen(post->secret), (const unsigned char *)body.p, body.n, mac,
                   &mac_n));
    for (unsigned i = 0; i < 32; i++) {
        out[2 * i] = hex[mac[i] >> 4];
        out[2 * i + 1] = hex[mac[i] & 15];
    }
    out[64] = '\0';
}

static void poster_try(struct poster *p) {
    struct pr_post *post = p->post;
    p->is_waiting = true;
    if (!p->bev && !poster_connect(p)) {
        poster_failed(p);
        return;
    }
    struct timeval timeout = {.tv_sec = post->timeout_ms / 1000, .tv_usec = (post->timeout_ms % 1000) * 1000};
    (void)bufferevent_set_timeouts(p->bev, &timeout, &timeout);
    char signature[65];
    sign(post, pr_buf_span(&p->body), signature);
    struct evbuffer *out = bufferevent_get_output(p->bev);
    (void)evbuffer_add_printf(
        out,
        "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: facebookexternalua\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\nX-Hub-Signature-256: sha256=%s\r\n\r\n",
        post->path, post->host, p->body.n, signature);
    (void)evbuffer_add(out, p->body.p, p->body.n);
}

struct pr_post *pr_post_new(struct event_base *base, struct pr_wheel *wheel, pr_post_free_place *free_place, void *arg) {
    struct pr_post *post = calloc(1, sizeof *post);
    if (!post) {
        return NULL;
    }
    post->base = base;
    post->wheel = wheel;
    post->free_place = free_place;
    post->arg = arg;
    pr_post_bounds(post, 4, 10000, 0);
    for (int i = 0; i < PR_POSTERS_MAX; i++) {
        post->poster[i].post = post;
        pr_buf_init(&post->poster[i].body, 1);
    }
    return post;
}

void pr_post_free(struct pr_post *post) {
    for (int i = 0; post && i < PR_POSTERS_MAX; i++) {
        pr_wheel_stop(post->wheel, &post->poster[i].timer);
        poster_hang_up(&post->poster[i]);
        pr_buf_free(&post->poster[i].body);
    }
    free(post);
}

static bool look_up(struct pr_post *post, const char *name, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(name, port, &hints, &found) != 0) {
        return false;
    }
    memcpy(&post->address, found->ai_addr, found->ai_addrlen);
    post->address_n = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool pr_post_target(struct pr_post *post, const char *url, const char *secret, char *why, size_t why_n) {
    if (secret) {
        (void)snprintf(post->secret, sizeof post->secret, "%s", secret);
    }
    if (!url) {
        return true;
    }
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    size_t host_n = host ? strcspn(host, "/") : 0;
    if (host_n == 0 || host_n >= HOST_CHARS || strlen(host + host_n) >= PATH_CHARS) {
        (void)snprintf(why, why_n, "receipts URL must be http://HOST[:PORT]/PATH");
        return false;
    }
    char name[HOST_CHARS];
    memcpy(name, host, host_n);
    name[host_n] = '\0';
    char *colon = strrchr(name, ':');
    if (colon) {
        *colon = '\0';
    }
    if (!look_up(post, name, colon ? colon + 1 : "80")) {
        (void)snprintf(why, why_n, "receipts URL: cannot look up %s", name);
        return false;
    }
    memcpy(post->host, host, host_n);
    post->host[host_n] = '\0';
    (void)snprintf(post->path, sizeof post->path, "%s", host[host_n] ? host + host_n : "/");
    for (int i = 0; i < PR_POSTERS_MAX; i++) {
        if (!post->poster[i].is_waiting) {
            poster_hang_up(&post->poster[i]);
        }
    }
    return true;
}

void pr_post_bounds(struct pr_post *post, uint32_t places, int64_t timeout_ms, uint32_t attempts) {
    post->places = places;
    post->timeout_ms = timeout_ms;
    post->attempts = attempts;
}

bool pr_post_has_place(const struct pr_post *post) {
    return post->host[0] && post->stats.busy < post->places;
}

void pr_post_start(struct pr_post *post, struct pr_buf *body) {
    for (int i = 0; i < PR_POSTERS_MAX; i++) {
        struct poster *p = &post->poster[i];
        if (!p->is_busy) {
            p->is_busy = true;
            post->stats.busy++;
            p->body = *body;
            pr_buf_init(body, body->bytes_max);
            poster_try(p);
            return;
        }
    }
}

struct pr_post_stats pr_post_stats(const struct pr_post *post) {
    return post->stats;
}
