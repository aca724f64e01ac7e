/* A record as one map, in MessagePack (what is stored and published) and in JSON (what the tools read). */
#include "base/clock.h"
#include "core/record.h"

#include <float.h>
#include <math.h>
#include <msgpack.h>

static int buf_write(void *data, const char *p, size_t n) {
    struct pr_buf *out = data;
    pr_buf_put(out, p, n);
    return out->failed ? -1 : 0;
}

/* Every pack call reports through the buffer's sticky `failed`, so results of the single calls are not looked at. */
static void pack_text(msgpack_packer *packer, struct pr_span s) {
    (void)msgpack_pack_str(packer, s.n);
    (void)msgpack_pack_str_body(packer, s.p, s.n);
}

static void pack_time(msgpack_packer *packer, int64_t us) {
    int64_t seconds = us / 1000000 - (us % 1000000 < 0);
    const msgpack_timestamp t = {.tv_sec = seconds, .tv_nsec = (uint32_t)(us - seconds * 1000000) * 1000};
    (void)msgpack_pack_timestamp(packer, &t);
}

/* Four bytes when they hold the same number: most prices of a round amount do. */
static void pack_double(msgpack_packer *packer, double d) {
    const bool is_in_range = fabs(d) <= (double)FLT_MAX;
    const float f = is_in_range ? (float)d : 0.0f;
    if (is_in_range && (double)f >= d && (double)f <= d) {
        (void)msgpack_pack_float(packer, f);
    } else {
        (void)msgpack_pack_double(packer, d);
    }
}

static void pack_value(msgpack_packer *packer, const struct pr_value *v);

static void pack_members(msgpack_packer *packer, const struct pr_value *map) {
    for (uint32_t i = 0; map && i < map->u.map.n; i++) {
        pack_text(packer, map->u.map.members[i].key);
        pack_value(packer, &map->u.map.members[i].value);
    }
}

static void pack_value(msgpack_packer *packer, const struct pr_value *v) {
    switch (v->kind) {
    case PR_VALUE_NULL: (void)msgpack_pack_nil(packer); break;
    case PR_VALUE_BOOL: (void)(v->u.b ? msgpack_pack_true(packer) : msgpack_pack_false(packer)); break;
    case PR_VALUE_INT: (void)msgpack_pack_int64(packer, v->u.i); break;
    case PR_VALUE_DOUBLE: pack_double(packer, v->u.d); break;
    case PR_VALUE_STRING: pack_text(packer, v->u.s); break;
    case PR_VALUE_TIME: pack_time(packer, v->u.i); break;
    case PR_VALUE_ARRAY:
        (void)msgpack_pack_array(packer, v->u.array.n);
        for (uint32_t i = 0; i < v->u.array.n; i++) {
            pack_value(packer, &v->u.array.items[i]);
        }
        break;
    case PR_VALUE_MAP:
        (void)msgpack_pack_map(packer, v->u.map.n);
        pack_members(packer, v);
        break;
    }
}

/* The attributes in the order both encodings have. */
struct encode_text {
    const char *name;
    struct pr_span value; /* p NULL: left out */
};
struct encode_time {
    const char *name;
    int64_t us; /* PR_TIME_NONE: left out */
};
enum { ENCODE_TEXTS = 8, ENCODE_TIMES = 3 };
struct encode {
    struct encode_text texts[ENCODE_TEXTS];
    struct encode_time times[ENCODE_TIMES];
};

static struct encode encode_of(const struct pr_record *record) {
    return (struct encode){
        .texts = {{"specversion", PR_SPAN("1.0")},
                  {"id", record->id},
                  {"source", record->source},
                  {"type", record->type},
                  {"subject", record->subject},
                  {"to", record->to},
                  {"tenant", record->tenant},
                  {"locale", record->locale}},
        .times = {{"time", record->time_us}, {"notbefore", record->notbefore_us}, {"expirytime", record->expiry_us}},
    };
}

static size_t encode_count(const struct encode *e, const struct pr_record *record) {
    size_t n = (record->extra ? record->extra->u.map.n : 0u) + (record->data ? 1u : 0u);
    for (size_t i = 0; i < ENCODE_TEXTS; i++) {
        n += e->texts[i].value.p != NULL;
    }
    for (size_t i = 0; i < ENCODE_TIMES; i++) {
        n += e->times[i].us != PR_TIME_NONE;
    }
    return n;
}

void pr_record_encode_msgpack(const struct pr_record *record, struct pr_buf *out) {
    const struct encode e = encode_of(record);
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, buf_write);
    (void)msgpack_pack_map(&packer, encode_count(&e, record));
    for (size_t i = 0; i < ENCODE_TEXTS; i++) {
        if (e.texts[i].value.p) {
            pack_text(&packer, pr_span_of(e.texts[i].name));
            pack_text(&packer, e.texts[i].value);
        }
    }
    for (size_t i = 0; i < ENCODE_TIMES; i++) {
        if (e.times[i].us != PR_TIME_NONE) {
            pack_text(&packer, pr_span_of(e.times[i].name));
            pack_time(&packer, e.times[i].us);
        }
    }
    pack_members(&packer, record->extra);
    if (record->data) {
        pack_text(&packer, PR_SPAN("data"));
        pack_value(&packer, record->data);
    }
}

static void json_key(struct pr_buf *out, const char *name) {
    pr_buf_put_char(out, ',');
    pr_buf_put_json(out, pr_span_of(name));
    pr_buf_put_char(out, ':');
}

static void json_time(struct pr_buf *out, int64_t us) {
    char text[PR_TIME_TEXT];
    int n = pr_time_format(us, text);
    pr_buf_put_json(out, pr_span_make(text, (size_t)n));
}

void pr_record_encode_json(const struct pr_record *record, struct pr_buf *out) {
    const struct encode e = encode_of(record);
    pr_buf_put_text(out, "{\"specversion\":\"1.0\"");
    for (size_t i = 1; i < ENCODE_TEXTS; i++) {
        if (e.texts[i].value.p) {
            json_key(out, e.texts[i].name);
            pr_buf_put_json(out, e.texts[i].value);
        }
    }
    for (size_t i = 0; i < ENCODE_TIMES; i++) {
        if (e.times[i].us != PR_TIME_NONE) {
            json_key(out, e.times[i].name);
            json_time(out, e.times[i].us);
        }
    }
    for (uint32_t i = 0; record->extra && i < record->extra->u.map.n; i++) {
        pr_buf_put_char(out, ',');
        pr_buf_put_json(out, record->extra->u.map.members[i].key);
        pr_buf_put_char(out, ':');
        pr_value_json(&record->extra->u.map.members[i].value, out);
    }
    if (record->data) {
        json_key(out, "data");
        pr_value_json(record->data, out);
    }
    pr_buf_put_char(out, '}');
}
