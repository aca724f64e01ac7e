/* A dead letter back onto its topic, with one header of ours that counts how often. */
#include "letter.h"

#include "core/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { QUEUE_FULL_WAIT_MS = 100, PURGE_WAIT_MS = 1000 };

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    struct pr_post *post = opaque;
    (void)client;
    *(rd_kafka_resp_err_t *)message->_private = message->err;
    post->pending--;
}

bool pr_post_open(struct pr_post *post, const struct pr_kafka_options *kafka) {
    *post = (struct pr_post){.client = pr_kafka_producer(kafka, on_delivery, post)};
    return post->client != NULL;
}

void pr_post_close(struct pr_post *post) {
    if (post->client) {
        rd_kafka_destroy(post->client);
    }
}

/* Ours in front; what stood there of ours before is replaced by it. */
static rd_kafka_headers_t *headers_of(const struct pr_letter *letter) {
    static const struct pr_span ours = {PR_LETTER_HEADER, sizeof PR_LETTER_HEADER - 1};
    char count[24];
    int count_n = snprintf(count, sizeof count, "%" PRId64, letter->redrives + 1);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(letter->headers_n + 1);
    rd_kafka_header_add(headers, ours.p, (ssize_t)ours.n, count, count_n);
    for (size_t i = 0; i < letter->headers_n; i++) {
        const struct pr_header *h = &letter->headers[i];
        if (!pr_span_is(h->name, PR_LETTER_HEADER)) {
            rd_kafka_header_add(headers, h->name.p, (ssize_t)h->name.n, h->value.p, (ssize_t)h->value.n);
        }
    }
    return headers;
}

/* Its old time, because a record without one of its own is known by Kafka's: another day would make it another message. */
static rd_kafka_resp_err_t produce(struct pr_post *post, const struct pr_letter *letter, rd_kafka_resp_err_t *end) {
    rd_kafka_headers_t *headers = headers_of(letter);
    const rd_kafka_vu_t vu[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = letter->topic},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {pr_kafka_loose(letter->value.p), letter->value.n}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {pr_kafka_loose(letter->key.p), letter->key.n}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = letter->kafka_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = end},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(post->client, vu, sizeof vu / sizeof vu[0]);
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (error) {
        rd_kafka_error_destroy(error);
        rd_kafka_headers_destroy(headers); /* ours again when the call failed */
    }
    return code;
}

void pr_post_put(struct pr_post *post, const struct pr_letter *letter, rd_kafka_resp_err_t *end) {
    for (;;) {
        *end = RD_KAFKA_RESP_ERR__IN_PROGRESS;
        rd_kafka_resp_err_t code = produce(post, letter, end);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            post->pending++;
            return;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            *end = code;
            return;
        }
        rd_kafka_poll(post->client, QUEUE_FULL_WAIT_MS);
    }
}

void pr_post_flush(struct pr_post *post, int wait_ms) {
    if (rd_kafka_flush(post->client, wait_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_purge(post->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(post->client, PURGE_WAIT_MS);
    }
}
