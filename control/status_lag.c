/* How far the group has come on each partition, asked without joining it. */
#include "status.h"

#include <string.h>

enum { WAIT_MS = 10000 };

static bool add_topic(rd_kafka_t *client, const char *topic, rd_kafka_topic_partition_list_t *list) {
    int n = pr_kafka_partitions(client, topic, WAIT_MS);
    if (n > 0) {
        rd_kafka_topic_partition_list_add_range(list, topic, 0, n - 1);
    }
    return n > 0;
}

/* `topics` is a list with commas, as in the dispatcher's configuration. */
static bool add_topics(rd_kafka_t *client, const char *topics, rd_kafka_topic_partition_list_t *list) {
    while (*topics) {
        char topic[PR_KAFKA_TEXT];
        size_t n = strcspn(topics, ",");
        size_t blanks = strspn(topics, " ");
        if (n > blanks) {
            snprintf(topic, sizeof topic, "%.*s", (int)(n - blanks), topics + blanks);
            if (!add_topic(client, topic, list)) {
                return false;
            }
        }
        topics += n + (topics[n] == ',');
    }
    return true;
}

/* One partition; its records consumed and still there, or -1 after a message. */
static json_int_t add_partition(rd_kafka_t *client, const rd_kafka_topic_partition_t *tp, json_t *lag) {
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(client, tp->topic, tp->partition, &low, &high, WAIT_MS);
    err = err == RD_KAFKA_RESP_ERR_NO_ERROR ? tp->err : err;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_error("topic %s partition %d: %s", tp->topic, (int)tp->partition, rd_kafka_err2str(err));
        return -1;
    }
    bool is_committed = tp->offset >= 0; /* RD_KAFKA_OFFSET_INVALID: the group has committed nothing here */
    int64_t next = is_committed && tp->offset > low ? tp->offset : low;
    json_array_append_new(lag, json_pack("{s:s, s:i, s:I, s:I, s:o, s:I}", "topic", tp->topic, "partition",
                                         (int)tp->partition, "low", (json_int_t)low, "high", (json_int_t)high,
                                         "committed", is_committed ? json_integer(tp->offset) : json_null(), "lag",
                                         (json_int_t)(high > next ? high - next : 0)));
    return next - low;
}

static bool add_partitions(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list, json_t *root) {
    json_t *lag = json_array();
    json_int_t events_in = 0;
    json_object_set_new(root, "lag", lag);
    rd_kafka_resp_err_t err = rd_kafka_committed(client, list, WAIT_MS);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pr_error("the group's offsets: %s", rd_kafka_err2str(err));
        return false;
    }
    for (int i = 0; i < list->cnt; i++) {
        json_int_t n = add_partition(client, &list->elems[i], lag);
        if (n < 0) {
            return false;
        }
        events_in += n;
    }
    json_object_set_new(root, "events_in", json_integer(events_in));
    return true;
}

bool pr_status_lag(rd_kafka_t *client, const char *topics, json_t *root) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    bool is_read = add_topics(client, topics, list) && add_partitions(client, list, root);
    rd_kafka_topic_partition_list_destroy(list);
    return is_read;
}
