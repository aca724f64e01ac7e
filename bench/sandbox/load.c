/* postrider-sandbox-load: sends template messages over kept-alive connections and prints what one costs the sandbox in CPU. */
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY_BYTES = 1024, REQUEST_BYTES = 2048, ANSWER_BYTES = 65536, EVENTS = 512, STALL_MS = 10000 };

struct load {
    int epoll;
    uint16_t port;
    uint64_t total, sent, done, refused;
};

/* A body of the usual size: an order confirmation with four parameters, a button and 100 bytes of callback data. */
static int make_request(char out[REQUEST_BYTES], uint64_t number) {
    char body[BODY_BYTES];
    int n = snprintf(
        body, sizeof body,
        "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"to\":\"+55%011llu\",\"type\":"
        "\"template\","
        "\"template\":{\"name\":\"order_confirmation\",\"language\":{\"code\":\"pt_BR\"},\"components\":["
        "{\"type\":\"body\",\"parameters\":[{\"type\":\"text\",\"text\":\"Nat\xc3\xa1lia\"},{\"type\":\"text\","
        "\"text\":"
        "\"E5FA5A72\"},{\"type\":\"text\",\"text\":\"R$ 101,81\"},{\"type\":\"text\",\"text\":\"30 de novembro\"}]},"
        "{\"type\":\"button\",\"sub_type\":\"url\",\"index\":\"0\",\"parameters\":[{\"type\":\"text\",\"text\":"
        "\"E5FA5A72\"}]}]},"
        "\"biz_opaque_callback_data\":\"p1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4"
        "%010llu\"}",
        (unsigned long long)(11000000000 + number), (unsigned long long)number);
    return snprintf(out, REQUEST_BYTES,
                    "POST /v25.0/106540352242922/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nAuthorization: "
                    "Bearer sandbox-token\r\n"
                    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                    n, body);
}

static bool send_next(struct load *load, int fd) {
    char request[REQUEST_BYTES];
    if (load->sent == load->total) {
        return true;
    }
    int n = make_request(request, load->sent++);
    return write(fd, request, (size_t)n) == n;
}

static bool open_one(struct load *load) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
           epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) == 0 && send_next(load, fd);
}

static bool take_answers(struct load *load) {
    static char answer[ANSWER_BYTES];
    struct epoll_event event[EVENTS];
    int n = epoll_wait(load->epoll, event, EVENTS, STALL_MS);
    for (int i = 0; i < n; i++) {
        ssize_t got = read(event[i].data.fd, answer, sizeof answer);
        if (got < 12) {
            return false;
        }
        load->refused += memcmp(answer + 9, "200", 3) != 0;
        load->done++;
        if (!send_next(load, event[i].data.fd)) {
            return false;
        }
    }
    return n > 0;
}

/* User and system time of a process in clock ticks: fields 14 and 15 of its stat line. */
static bool read_ticks(const char *pid, double ticks[2]) {
    char path[64];
    char line[1024];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(line, 1, sizeof line - 1, file) : 0;
    line[n] = '\0';
    if (file) {
        (void)fclose(file);
    }
    char *at = strrchr(line, ')');
    for (int field = 2; at && field < 14; field++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        return false;
    }
    ticks[0] = (double)strtoull(at, &at, 10);
    ticks[1] = (double)strtoull(at, &at, 10);
    return true;
}

static bool run(struct load *load, uint64_t connections) {
    for (uint64_t i = 0; i < connections; i++) {
        if (!open_one(load)) {
            return false;
        }
    }
    while (load->done < load->total) {
        if (!take_answers(load)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "Usage: postrider-sandbox-load PORT CONNECTIONS REQUESTS SANDBOX_PID\n");
        return 2;
    }
    struct load load = {.port = (uint16_t)strtoul(argv[1], NULL, 10), .total = strtoull(argv[3], NULL, 10)};
    double before[2];
    double after[2];
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    int64_t began = pr_clock_mono_ns();
    if (load.total == 0 || !read_ticks(argv[4], before) || !run(&load, strtoull(argv[2], NULL, 10)) ||
        !read_ticks(argv[4], after)) {
        perror("postrider-sandbox-load");
        return 1;
    }
    double seconds = (double)(pr_clock_mono_ns() - began) / 1e9;
    double us = 1e6 / (double)sysconf(_SC_CLK_TCK) / (double)load.total;
    printf("%llu requests, %llu not 200, %.0f/s; sandbox CPU a request: %.2f us user + %.2f us system = %.2f us\n",
           (unsigned long long)load.total, (unsigned long long)load.refused, (double)load.total / seconds,
           (after[0] - before[0]) * us, (after[1] - before[1]) * us, (after[0] - before[0] + after[1] - before[1]) * us);
    return load.refused ? 1 : 0;
}
