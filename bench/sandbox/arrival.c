/* SO_TIMESTAMPNS on a TCP socket: recvmsg hands out the stamp of the last segment that it read. */
#include "arrival.h"

#include "base/clock.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

static const int64_t waited_max_us = 10 * 1000 * 1000;

void pr_arrival_stamp(int fd) {
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
}

static int64_t waited(struct msghdr *message) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(c), sizeof at);
            int64_t us = pr_clock_real_us() - ((int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000);
            return us > 0 && us <= waited_max_us ? us : 0;
        }
    }
    return 0;
}

ssize_t pr_arrival_recv(int fd, void *room, size_t n, int64_t *waited_us) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec bytes = {.iov_base = room, .iov_len = n};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, 0);
    *waited_us = got > 0 ? waited(&message) : 0;
    return got;
}
