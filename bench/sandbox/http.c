/* Requests are parsed where they were read; only what is incomplete or must wait is copied into the connection. */
#include "http.h"

#include "arrival.h"

#include "base/buf.h"
#include "base/check.h"

#include <arpa/inet.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    READ_BYTES = 1 << 18,
    ADDRESS_CHARS = 80,
};

struct connection {
    LIST_ENTRY(connection) link;
    struct pr_server *server;
    struct event readable;
    struct event writable;
    int fd;
    uint64_t number;
    uint32_t requests;
    bool is_local;
    bool is_message; /* the request being answered is a message: it counts as open */
    bool is_taken;   /* and it was accepted */
    bool is_pending; /* an answer waits, is being written, or will never come */
    bool close_after;
    bool continued; /* "100 Continue" was sent for the request being read */
    enum pr_act act;
    int64_t hold_us;
    int64_t waited_us; /* how long what was read last lay in the kernel */
    struct pr_timer timer;
    struct pr_buf in;  /* bytes of requests to come */
    struct pr_buf out; /* answer not yet handed to the kernel */
    size_t out_sent;
};

struct listener {
    struct listener *next;
    struct pr_server *server;
    struct event *event; /* NULL while closed */
    struct sockaddr_storage address;
    socklen_t address_n;
    bool is_admin;
};

struct pr_server {
    struct pr_sandbox *sandbox;
    pr_http_handler *handler;
    struct listener *listeners;
    LIST_HEAD(, connection) connections;
    struct connection *current; /* whose request is being handled */
    uint64_t numbers;
    char *room; /* READ_BYTES */
};

static void connection_process(struct connection *c, struct pr_span bytes);
static void connection_next(struct connection *c);

/* The request is off the wire: answered, or its connection gone. */
static void message_done(struct connection *c, bool answered) {
    if (c->is_message) {
        c->is_message = false;
        c->server->sandbox->stats.open--;
        c->server->sandbox->stats.unanswered += !answered && c->is_taken;
    }
}

static void connection_close(struct connection *c, bool by_reset) {
    if (by_reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    message_done(c, false);
    pr_wheel_stop(&c->server->sandbox->wheel, &c->timer);
    (void)event_del(&c->readable);
    (void)event_del(&c->writable);
    (void)close(c->fd);
    LIST_REMOVE(c, link);
    c->server->sandbox->stats.connected--;
    if (c->server->current == c) {
        c->server->current = NULL;
    }
    pr_buf_free(&c->in);
    pr_buf_free(&c->out);
    free(c);
}

static struct connection *of_timer(struct pr_timer *timer) {
    return (struct connection *)(void *)((char *)timer - offsetof(struct connection, timer));
}

static void on_end(struct pr_timer *timer) {
    struct connection *c = of_timer(timer);
    struct pr_stats *stats = &c->server->sandbox->stats;
    bool by_reset = c->act == PR_ACT_SEND_RESET;
    (*(by_reset ? &stats->reset : &stats->cut))++;
    connection_close(c, by_reset);
}

/* The whole answer is with the kernel. */
static void answer_sent(struct connection *c) {
    message_done(c, true);
    pr_buf_reset(&c->out);
    c->out_sent = 0;
    if (c->act == PR_ACT_SEND_CUT || c->act == PR_ACT_SEND_RESET) {
        pr_wheel_start(&c->server->sandbox->wheel, &c->timer, c->hold_us, on_end);
        return;
    }
    if (c->close_after) {
        connection_close(c, false);
        return;
    }
    c->is_pending = false;
}

/* Sends what it can; the rest waits in `out` for the socket. The connection may be gone afterwards. */
static void send_bytes(struct connection *c, struct pr_span bytes) {
    size_t sent = 0;
    while (sent < bytes.n) {
        ssize_t n = send(c->fd, bytes.p + sent, bytes.n - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno != EINTR) {
            break;
        }
    }
    if (sent == bytes.n) {
        answer_sent(c);
        return;
    }
    if (errno != EAGAIN) {
        connection_close(c, false);
        return;
    }
    if (bytes.p == c->out.p + c->out_sent) {
        c->out_sent += sent;
    } else {
        pr_buf_put(&c->out, bytes.p + sent, bytes.n - sent);
    }
    (void)event_add(&c->writable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct connection *c = arg;
    struct pr_server *server = c->server;
    server->current = c;
    send_bytes(c, (struct pr_span){c->out.p + c->out_sent, c->out.n - c->out_sent});
    if (server->current == c) {
        server->current = NULL;
        connection_next(c);
    }
}

static void on_hold_over(struct pr_timer *timer) {
    connection_close(of_timer(timer), false);
}

/* Silence until the client leaves, or for as long as the fault says. */
static void hang(struct connection *c) {
    c->server->sandbox->stats.hung++;
    if (c->hold_us > 0) {
        pr_wheel_start(&c->server->sandbox->wheel, &c->timer, c->hold_us, on_hold_over);
    }
}

static void send_half(struct connection *c, struct pr_span bytes) {
    ssize_t n;
    do {
        n = send(c->fd, bytes.p, bytes.n / 2, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
}

/* Lets the answer leave in its way. The connection may be gone afterwards. */
static void perform(struct connection *c, struct pr_span bytes) {
    struct pr_stats *stats = &c->server->sandbox->stats;
    switch (c->act) {
    case PR_ACT_SEND:
    case PR_ACT_SEND_CUT:
    case PR_ACT_SEND_RESET: send_bytes(c, bytes); return;
    case PR_ACT_HALF_CUT:
        send_half(c, bytes);
        stats->cut++;
        connection_close(c, false);
        return;
    case PR_ACT_CUT:
        stats->cut++;
        connection_close(c, false);
        return;
    case PR_ACT_HALF_RESET:
        send_half(c, bytes);
        stats->reset++;
        connection_close(c, true);
        return;
    case PR_ACT_RESET:
        stats->reset++;
        connection_close(c, true);
        return;
    case PR_ACT_HALF_HANG:
        send_half(c, bytes);
        hang(c);
        return;
    case PR_ACT_HANG: hang(c); return;
    }
}

static void on_answer_due(struct pr_timer *timer) {
    struct connection *c = of_timer(timer);
    struct pr_server *server = c->server;
    server->current = c;
    perform(c, pr_buf_span(&c->out));
    if (server->current == c) {
        server->current = NULL;
        connection_next(c);
    }
}

static void answer_leaves(struct connection *c, const struct pr_answer *answer) {
    struct pr_stats *stats = &c->server->sandbox->stats;
    c->act = answer->act;
    c->hold_us = answer->hold_us;
    c->close_after = answer->close;
    c->is_pending = true;
    c->is_message = answer->is_message;
    c->is_taken = answer->is_taken;
    if (answer->is_message) {
        stats->open++;
        stats->open_max = stats->open > stats->open_max ? stats->open : stats->open_max;
    }
    if (answer->delay_us > 0) {
        pr_buf_put_span(&c->out, pr_buf_span(answer->bytes));
        pr_wheel_start(&c->server->sandbox->wheel, &c->timer, answer->delay_us, on_answer_due);
    } else {
        perform(c, pr_buf_span(answer->bytes));
    }
}

static void refuse_bytes(struct connection *c, int http) {
    struct pr_answer answer = {.act = PR_ACT_SEND, .close = true, .bytes = &c->server->sandbox->scratch};
    c->server->sandbox->stats.bad_requests++;
    pr_answer_status(&answer, http, NULL);
    answer_leaves(c, &answer);
}

static void handle(struct connection *c, struct pr_request *request) {
    struct pr_sandbox *sandbox = c->server->sandbox;
    struct pr_answer answer = {.act = PR_ACT_SEND, .close = !request->keep_alive, .bytes = &sandbox->scratch};
    c->requests++;
    c->continued = false;
    sandbox->stats.requests++;
    request->connection = c->number;
    request->nth = c->requests;
    request->is_local = c->is_local;
    request->waited_us = c->waited_us;
    c->waited_us = 0; /* the next one waits for its turn here */
    c->server->handler(sandbox, request, &answer);
    answer_leaves(c, &answer);
}

/* "100 Continue" once, for a client that waits for it before it sends its body. */
static void send_continue(struct connection *c) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!c->continued && send(c->fd, line, sizeof line - 1, MSG_NOSIGNAL) > 0) {
        c->continued = true;
    }
}

/* Keeps what is not used yet; `bytes` may lie in the very buffer it goes to. */
static void keep(struct connection *c, struct pr_span bytes) {
    if (c->in.p && bytes.p >= c->in.p && bytes.p <= c->in.p + c->in.n) {
        memmove(c->in.p, bytes.p, bytes.n);
        c->in.n = bytes.n;
        return;
    }
    pr_buf_put_span(&c->in, bytes);
    pr_assert(!c->in.failed);
}

/* Handles whole requests until one has to wait. The connection may be gone afterwards. */
static void connection_process(struct connection *c, struct pr_span bytes) {
    struct pr_server *server = c->server;
    server->current = c;
    while (bytes.n > 0 && !c->is_pending) {
        struct pr_request request;
        size_t head_n = 0;
        size_t used = 0;
        int status = pr_head_parse(bytes, &request, &head_n, &used);
        if (status < 0) {
            if (head_n && request.expects_continue) {
                send_continue(c);
            }
            break;
        }
        if (status > 0) {
            refuse_bytes(c, status);
            bytes.n = 0;
        } else {
            handle(c, &request);
            bytes = pr_span_skip(bytes, used);
        }
        if (server->current != c) {
            return;
        }
    }
    keep(c, bytes);
    server->current = NULL;
}

/* An answer has left: requests that came meanwhile are next. */
static void connection_next(struct connection *c) {
    if (!c->is_pending && c->in.n > 0) {
        connection_process(c, pr_buf_span(&c->in));
        return;
    }
    if (!c->is_pending) {
        (void)event_add(&c->readable, NULL);
    }
}

static void client_left(struct connection *c) {
    c->server->sandbox->stats.half_requests += !c->is_pending && c->in.n > 0;
    connection_close(c, false);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct connection *c = arg;
    struct pr_server *server = c->server;
    ssize_t n = pr_arrival_recv((int)fd, server->room, READ_BYTES, &c->waited_us);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        client_left(c);
        return;
    }
    if (c->is_pending) {
        /* A client that pipelines: its bytes wait, and no more are read before the answer is out. */
        keep(c, (struct pr_span){server->room, (size_t)n});
        c->waited_us = 0;
        (void)event_del(&c->readable);
        return;
    }
    if (c->in.n == 0) {
        connection_process(c, (struct pr_span){server->room, (size_t)n});
        return;
    }
    keep(c, (struct pr_span){server->room, (size_t)n});
    connection_process(c, pr_buf_span(&c->in));
}

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static void connection_open(struct pr_server *server, int fd, bool is_local) {
    struct connection *c = calloc(1, sizeof *c);
    pr_assert(c);
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->server = server;
    c->fd = fd;
    c->number = ++server->numbers;
    c->is_local = is_local;
    pr_buf_init(&c->in, (size_t)PR_HEAD_BYTES_MAX + PR_BODY_BYTES_MAX + READ_BYTES);
    pr_buf_init(&c->out, SIZE_MAX / 2);
    (void)event_assign(&c->readable, server->sandbox->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    (void)event_assign(&c->writable, server->sandbox->base, fd, EV_WRITE, on_writable, c);
    (void)event_add(&c->readable, NULL);
    LIST_INSERT_HEAD(&server->connections, c, link);
    server->sandbox->stats.connections++;
    server->sandbox->stats.connected++;
}

static void on_accept(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct pr_server *server = arg;
    for (int i = 0; i < BACKLOG; i++) { /* all: who is left over would be read after those that came later */
        struct sockaddr_storage peer;
        socklen_t peer_n = sizeof peer;
        int accepted = accept4((int)fd, (struct sockaddr *)&peer, &peer_n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) {
            return;
        }
        connection_open(server, accepted, is_loopback(&peer));
    }
}

/* Splits "127.0.0.1:80" or "[::1]:80"; the port, or -1. */
static long split_address(const char *text, char host[ADDRESS_CHARS], bool *is_bracketed) {
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || n >= ADDRESS_CHARS) {
        return -1;
    }
    *is_bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    size_t skip = *is_bracketed ? 1 : 0;
    memcpy(host, text + skip, n - 2 * skip);
    host[n - 2 * skip] = '\0';
    char *end = NULL;
    long port = strtol(colon + 1, &end, 10);
    return end == colon + 1 || *end || port < 0 || port > 65535 ? -1 : port;
}

static bool parse_address(const char *text, struct sockaddr_storage *address, socklen_t *address_n) {
    char host[ADDRESS_CHARS];
    bool is_bracketed = false;
    long port = split_address(text, host, &is_bracketed);
    if (port < 0) {
        return false;
    }
    *address = (struct sockaddr_storage){0};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)address;
    if (!is_bracketed && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *address_n = sizeof *in;
        return true;
    }
    if (is_bracketed && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *address_n = sizeof *in6;
        return true;
    }
    return false;
}

/* Opens the listener's socket; afterwards its address holds the port that was given. */
static bool listener_open(struct listener *listener) {
    int on = 1;
    int fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    pr_arrival_stamp(fd);
    struct sockaddr *address = (struct sockaddr *)&listener->address;
    if (bind(fd, address, listener->address_n) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, address, &listener->address_n) != 0) {
        (void)close(fd);
        return false;
    }
    listener->event = event_new(listener->server->sandbox->base, fd, EV_READ | EV_PERSIST, on_accept, listener->server);
    pr_assert(listener->event);
    return event_add(listener->event, NULL) == 0;
}

static void listener_close(struct listener *listener) {
    if (listener->event) {
        int fd = event_get_fd(listener->event);
        event_free(listener->event);
        (void)close(fd);
        listener->event = NULL;
    }
}

struct pr_server *pr_server_new(struct pr_sandbox *sandbox, pr_http_handler *handler) {
    struct pr_server *server = calloc(1, sizeof *server);
    char *room = malloc(READ_BYTES);
    if (!server || !room) {
        free(server);
        free(room);
        return NULL;
    }
    server->sandbox = sandbox;
    server->handler = handler;
    server->room = room;
    LIST_INIT(&server->connections);
    return server;
}

int pr_server_listen(struct pr_server *server, const char *address, bool is_admin, char *why, size_t why_n) {
    struct listener *listener = calloc(1, sizeof *listener);
    pr_assert(listener);
    listener->server = server;
    listener->is_admin = is_admin;
    if (!parse_address(address, &listener->address, &listener->address_n)) {
        (void)snprintf(why, why_n, "\"%s\" is not ADDRESS:PORT", address);
        free(listener);
        return -1;
    }
    if (!listener_open(listener)) {
        char room[128];
        (void)snprintf(why, why_n, "cannot listen on %s: %s", address, strerror_r(errno, room, sizeof room));
        free(listener);
        return -1;
    }
    listener->next = server->listeners;
    server->listeners = listener;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&listener->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&listener->address;
    return ntohs(listener->address.ss_family == AF_INET ? in->sin_port : in6->sin6_port);
}

bool pr_server_set_accepting(struct pr_server *server, bool accepting) {
    bool done = true;
    for (struct listener *listener = server->listeners; listener; listener = listener->next) {
        if (listener->is_admin) {
            continue;
        }
        if (!accepting) {
            listener_close(listener);
        } else if (!listener->event) {
            done = listener_open(listener) && done;
        }
    }
    return done;
}

uint32_t pr_server_cut(struct pr_server *server, bool by_reset, bool all) {
    uint32_t n = 0;
    struct connection *c;
    struct connection *next;
    LIST_FOREACH_SAFE (c, &server->connections, link, next) {
        if (c != server->current && (all || c->is_message)) {
            struct pr_stats *stats = &server->sandbox->stats;
            (*(by_reset ? &stats->reset : &stats->cut))++;
            connection_close(c, by_reset);
            n++;
        }
    }
    return n;
}

void pr_server_free(struct pr_server *server) {
    while (!LIST_EMPTY(&server->connections)) {
        connection_close(LIST_FIRST(&server->connections), false);
    }
    while (server->listeners) {
        struct listener *next = server->listeners->next;
        listener_close(server->listeners);
        free(server->listeners);
        server->listeners = next;
    }
    free(server->room);
    free(server);
}
