/* A TCP server for tests that serves one connection after the other by a script of the test, and counts the bodies it took. */
#ifndef PR_TESTS_SCRIPT_SERVER_H
#define PR_TESTS_SCRIPT_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRIPT_BYTES_MAX = 256 * 1024 };

struct script_server;

/* Serves one connection; it is closed when the script returns. `number` counts from 0. Runs in the server's thread. */
typedef void script_serve(struct script_server *server, int fd, int number);

struct script_server {
    int fd;
    int port;
    pthread_t thread;
    script_serve *serve;
    atomic_int connections; /* accepted so far */
    atomic_int closed;      /* and done with */
    atomic_int bodies;      /* complete requests read so far */
    atomic_long bytes;      /* read in all */
    pthread_mutex_t lock;
    char request[SCRIPT_BYTES_MAX]; /* the last complete one; script_last copies it */
    char reading[SCRIPT_BYTES_MAX]; /* the server's thread only */
};

/* Reads one request with its body. False when the other side ended first. */
static inline bool script_read(struct script_server *server, int fd) {
    size_t n = 0, want = 0;
    for (;;) {
        ssize_t got = read(fd, server->reading + n, SCRIPT_BYTES_MAX - 1 - n);
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
        atomic_fetch_add(&server->bytes, got);
        server->reading[n] = '\0';
        const char *end = strstr(server->reading, "\r\n\r\n");
        const char *length = strcasestr(server->reading, "\r\nContent-Length:");
        if (end && want == 0) {
            want = (size_t)(end + 4 - server->reading) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
        }
        if (want > 0 && n >= want) {
            (void)pthread_mutex_lock(&server->lock);
            memcpy(server->request, server->reading, n + 1);
            (void)pthread_mutex_unlock(&server->lock);
            atomic_fetch_add(&server->bodies, 1);
            return true;
        }
    }
}

/* The last complete request, until the next call; for the test's thread. */
static inline const char *script_last(struct script_server *server) {
    static char copy[SCRIPT_BYTES_MAX];
    (void)pthread_mutex_lock(&server->lock);
    memcpy(copy, server->request, sizeof(copy));
    (void)pthread_mutex_unlock(&server->lock);
    return copy;
}

static inline void script_write(int fd, const void *p, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t put = send(fd, (const char *)p + done, n - done, MSG_NOSIGNAL);
        if (put <= 0) {
            return;
        }
        done += (size_t)put;
    }
}

static inline void script_say(int fd, const char *text) {
    script_write(fd, text, strlen(text));
}

/* A whole answer; `more` are header lines, each with its end. */
static inline void script_answer(int fd, int status, const char *more, const char *body, size_t body_n) {
    char head[512];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", status, body_n, more);
    script_say(fd, head);
    script_write(fd, body, body_n);
}

/* Waits until the other side gives up. */
static inline void script_until_closed(int fd) {
    char bytes[4096];
    while (read(fd, bytes, sizeof(bytes)) > 0) {
    }
}

/* The close that follows is a reset. */
static inline void script_reset(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static inline void *script_main(void *arg) {
    struct script_server *server = arg;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        server->serve(server, fd, atomic_fetch_add(&server->connections, 1));
        close(fd);
        atomic_fetch_add(&server->closed, 1);
    }
}

static inline bool script_start(struct script_server *server, script_serve *serve) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_n = sizeof(at);
    memset(server, 0, sizeof(*server));
    server->serve = serve;
    (void)pthread_mutex_init(&server->lock, NULL);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(server->fd, 1024) != 0 ||
        getsockname(server->fd, (struct sockaddr *)&at, &at_n) != 0) {
        return false;
    }
    server->port = ntohs(at.sin_port);
    return pthread_create(&server->thread, NULL, script_main, server) == 0;
}

/* After all connections to it were closed on the other side. */
static inline void script_stop(struct script_server *server) {
    (void)shutdown(server->fd, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)pthread_mutex_destroy(&server->lock);
    close(server->fd);
}

#endif
