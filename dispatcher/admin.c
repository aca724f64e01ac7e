/* Three pages by libmicrohttpd, which has a thread of its own and so cannot disturb a lane. */
#include "admin.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PR_PAGE_MAX = 16 * 1024 * 1024, PR_HEALTHY_S = 10 };

struct pr_admin {
    struct MHD_Daemon *daemon;
    struct pr_process *process;
    struct pr_lane *lanes;
    size_t lanes_n;
    const struct pr_consumer *consumer;
};

static unsigned healthz(const struct pr_admin *admin, struct pr_buf *page) {
    unsigned status = MHD_HTTP_OK;
    for (size_t i = 0; i < admin->lanes_n; i++) {
        int64_t idle_ns = pr_clock_mono_ns() - atomic_load_explicit(&admin->lanes[i].turned_ns, memory_order_relaxed);
        if (idle_ns > PR_HEALTHY_S * INT64_C(1000000000)) {
            pr_buf_printf(page, "lane %zu has not turned for %lld s\n", i, (long long)(idle_ns / 1000000000));
            status = MHD_HTTP_SERVICE_UNAVAILABLE;
        }
    }
    if (status == MHD_HTTP_OK) {
        pr_buf_put_text(page, "ok\n");
    }
    return status;
}

static unsigned readyz(const struct pr_admin *admin, struct pr_buf *page) {
    bool has_lease = pr_process_has_lease(admin->process);
    int assigned = pr_consumer_assigned(admin->consumer);
    bool is_stopping = atomic_load(&admin->process->is_stopping);
    pr_buf_printf(page, "lease %s\npartitions %d\n%s", has_lease ? "held" : "lost", assigned,
                  is_stopping ? "stopping\n" : "");
    return has_lease && assigned > 0 && !is_stopping ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned page_of(const struct pr_admin *admin, const char *url, struct pr_buf *page) {
    if (strcmp(url, "/metrics") == 0) {
        pr_metrics_write(admin->process->metrics, page);
        return page->failed ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_OK;
    }
    if (strcmp(url, "/healthz") == 0) {
        return healthz(admin, page);
    }
    if (strcmp(url, "/readyz") == 0) {
        return readyz(admin, page);
    }
    pr_buf_put_text(page, "pages: /metrics /healthz /readyz\n");
    return MHD_HTTP_NOT_FOUND;
}

static enum MHD_Result serve(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *data, size_t *data_n, void **state) {
    const struct pr_admin *admin = arg;
    (void)version, (void)data, (void)data_n, (void)state;
    struct pr_buf page;
    pr_buf_init(&page, PR_PAGE_MAX);
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, "GET") == 0) {
        status = page_of(admin, url, &page);
    }
    struct pr_span text = pr_buf_span(&page);
    struct MHD_Response *response = MHD_create_response_from_buffer(text.n, page.p, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_NO;
    if (response) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                      "text/plain; version=0.0.4; charset=utf-8");
        result = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
    }
    pr_buf_free(&page);
    return result;
}

static bool address_of(const char *listen, struct sockaddr_in *at) {
    const char *colon = strrchr(listen, ':');
    char host[64];
    if (!colon || (size_t)(colon - listen) >= sizeof(host)) {
        return false;
    }
    memcpy(host, listen, (size_t)(colon - listen));
    host[colon - listen] = '\0';
    char *end = NULL;
    long port = strtol(colon + 1, &end, 10);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return *end == '\0' && port >= 0 && port <= 65535 && inet_pton(AF_INET, host, &at->sin_addr) == 1;
}

struct pr_admin *pr_admin_new(const char *listen, struct pr_process *process, struct pr_lane *lanes, size_t lanes_n,
                              const struct pr_consumer *consumer, char *why, size_t why_size) {
    struct sockaddr_in at;
    if (!address_of(listen, &at)) {
        (void)snprintf(why, why_size, "admin.listen = %s: must be an IPv4 address and a port, such as 127.0.0.1:9464",
                       listen);
        return NULL;
    }
    struct pr_admin *admin = calloc(1, sizeof(*admin));
    if (!admin) {
        return NULL;
    }
    *admin = (struct pr_admin){.process = process, .lanes = lanes, .lanes_n = lanes_n, .consumer = consumer};
    admin->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, ntohs(at.sin_port), NULL, NULL, serve, admin,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_CONNECTION_LIMIT, 32U,
                         MHD_OPTION_CONNECTION_TIMEOUT, 10U, MHD_OPTION_END);
    if (!admin->daemon) {
        (void)snprintf(why, why_size, "cannot listen on %s: %s: choose another admin.listen, or \"\" for none", listen,
                       strerrordesc_np(errno));
        free(admin);
        return NULL;
    }
    return admin;
}

void pr_admin_free(struct pr_admin *admin) {
    if (admin) {
        MHD_stop_daemon(admin->daemon);
        free(admin);
    }
}
