/* The producer: idempotent, keyed as Java would, and a tracker that knows up to which line everything arrived. */
#include "publish.h"

#include "base/check.h"

#include <string.h>

enum {
    METADATA_WAIT_MS = 10000,
    QUEUE_FULL_WAIT_MS = 100,
};

/* Called from pr_sink_poll and pr_sink_flush. A line that failed is never settled, so the resume file stays before it. */
static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    struct pr_sink *sink = opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (sink->failed++ == 0 || message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE) {
            snprintf(sink->error, sizeof sink->error, "%s", rd_kafka_err2str(message->err));
        }
        return;
    }
    sink->delivered++;
    (void)pr_tracker_settle(&sink->tracker, (uint32_t)(uintptr_t)message->_private);
}

bool pr_sink_init(struct pr_sink *sink, const struct pr_kafka_options *kafka, const char *topic) {
    *sink = (struct pr_sink){.topic = topic};
    if (!pr_tracker_init(&sink->tracker, PR_SINK_WINDOW)) {
        pr_error("no memory");
        return false;
    }
    sink->client = pr_kafka_producer(kafka, on_delivery, sink);
    return sink->client && pr_kafka_partitions(sink->client, topic, METADATA_WAIT_MS) > 0;
}

void pr_sink_free(struct pr_sink *sink) {
    if (sink->client) {
        rd_kafka_destroy(sink->client);
    }
    pr_tracker_free(&sink->tracker);
}

bool pr_sink_has_room(const struct pr_sink *sink) {
    return pr_tracker_has_room(&sink->tracker, sink->tracker.end); /* no line is left out */
}

void pr_sink_skip(struct pr_sink *sink, int64_t line) {
    (void)pr_tracker_settle(&sink->tracker, pr_tracker_deliver(&sink->tracker, line));
}

static struct pr_span content_type(enum pr_sink_format format) {
    switch (format) {
    case PR_SINK_MSGPACK: return PR_SPAN("application/cloudevents+msgpack");
    case PR_SINK_JSON: return PR_SPAN("application/cloudevents+json");
    case PR_SINK_RAW: break;
    }
    return (struct pr_span){NULL, 0};
}

static rd_kafka_resp_err_t produce(struct pr_sink *sink, uint32_t slot, struct pr_span type, struct pr_span key,
                                   struct pr_span value) {
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_vu_t vu[6] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = sink->topic},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {pr_kafka_loose(value.p), value.n}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {pr_kafka_loose(key.p), key.n}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)slot},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
    };
    size_t n = 5;
    if (type.n > 0) {
        headers = rd_kafka_headers_new(1);
        rd_kafka_header_add(headers, "content-type", -1, type.p, (ssize_t)type.n);
        vu[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers};
    }
    rd_kafka_error_t *error = rd_kafka_produceva(sink->client, vu, n);
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (error) {
        snprintf(sink->error, sizeof sink->error, "%s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        if (headers) {
            rd_kafka_headers_destroy(headers); /* ours again when the call failed */
        }
    }
    return code;
}

bool pr_sink_put(struct pr_sink *sink, int64_t line, enum pr_sink_format format, struct pr_span key,
                 struct pr_span value) {
    uint32_t slot = pr_tracker_deliver(&sink->tracker, line);
    for (;;) {
        rd_kafka_resp_err_t code = produce(sink, slot, content_type(format), key, value);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return true;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || sink->failed > 0) {
            sink->failed++;
            return false;
        }
        rd_kafka_poll(sink->client, QUEUE_FULL_WAIT_MS);
    }
}

void pr_sink_poll(struct pr_sink *sink, int wait_ms) {
    rd_kafka_poll(sink->client, wait_ms);
}

void pr_sink_flush(struct pr_sink *sink, int wait_ms) {
    if (rd_kafka_flush(sink->client, wait_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_purge(sink->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(sink->client, 1000);
    }
}

int64_t pr_sink_line(const struct pr_sink *sink) {
    return sink->tracker.next < 0 ? 0 : sink->tracker.next - 1;
}
