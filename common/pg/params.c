/* Writes parameters in PostgreSQL's binary formats (src/backend/utils/adt/{arrayfuncs,timestamp,date,uuid}.c: the *_recv functions). */
#include "pg/params.h"

#include "base/check.h"
#include "base/clock.h"

#include <endian.h>

/* PostgreSQL counts from 2000-01-01. */
#define EPOCH_SHIFT_US INT64_C(946684800000000)
enum { EPOCH_SHIFT_DAYS = 10957 };

/* ndim, has-null flag, element type, size, lower bound; an empty array has the first three only (array_recv). */
enum { ARRAY_HEADER = 20, ARRAY_HEADER_EMPTY = 12, ARRAY_FLAG_AT = 4, ARRAY_COUNT_AT = 12 };

void pr_params_init(struct pr_params *params, size_t bytes_max) {
    pr_buf_init(&params->bytes, bytes_max);
    pr_params_reset(params);
}

void pr_params_reset(struct pr_params *params) {
    pr_buf_reset(&params->bytes);
    params->n = 0;
    params->open_array = SIZE_MAX;
    params->open_count = 0;
    params->open_has_null = false;
    params->failed = false;
}

void pr_params_free(struct pr_params *params) {
    pr_buf_free(&params->bytes);
    pr_params_reset(params);
}

static void put_be32(char *at, uint32_t v) {
    uint32_t be = htobe32(v);
    memcpy(at, &be, sizeof be);
}

/* Lengths travel as int32, so no parameter may be longer, whatever the buffer's ceiling. */
static void close_param(struct pr_params *params) {
    params->failed |= params->bytes.failed;
    if (params->n == 0 || params->failed || params->length[params->n - 1] < 0) {
        return;
    }
    size_t length = params->bytes.n - params->start[params->n - 1];
    params->failed |= length > INT32_MAX;
    params->length[params->n - 1] = params->failed ? 0 : (int)length;
}

static void close_array(struct pr_params *params) {
    if (params->open_array == SIZE_MAX) {
        return;
    }
    params->failed |= params->bytes.failed;
    if (!params->failed) {
        char *header = params->bytes.p + params->open_array;
        put_be32(header, params->open_count > 0 ? 1 : 0);
        put_be32(header + ARRAY_FLAG_AT, params->open_has_null ? 1 : 0);
        if (params->open_count == 0) {
            params->bytes.n = params->open_array + ARRAY_HEADER_EMPTY;
        } else {
            put_be32(header + ARRAY_COUNT_AT, (uint32_t)params->open_count);
        }
    }
    params->open_array = SIZE_MAX;
}

/* Ends the parameter before and begins the next one. */
static bool next_param(struct pr_params *params, Oid type) {
    close_array(params);
    close_param(params);
    if (params->n == PR_PARAMS_MAX) {
        params->failed = true;
    }
    if (params->failed) {
        return false;
    }
    params->types[params->n] = type;
    params->start[params->n] = params->bytes.n;
    params->length[params->n] = 0;
    params->n++;
    return true;
}

static void put_param(struct pr_params *params, Oid type, const void *p, size_t n) {
    if (next_param(params, type)) {
        pr_buf_put(&params->bytes, p, n);
    }
}

void pr_params_null(struct pr_params *params, Oid type) {
    if (next_param(params, type)) {
        params->length[params->n - 1] = -1;
    }
}

void pr_params_int2(struct pr_params *params, int16_t v) {
    uint16_t be = htobe16((uint16_t)v);
    put_param(params, PR_OID_INT2, &be, sizeof be);
}

void pr_params_int4(struct pr_params *params, int32_t v) {
    uint32_t be = htobe32((uint32_t)v);
    put_param(params, PR_OID_INT4, &be, sizeof be);
}

void pr_params_int8(struct pr_params *params, int64_t v) {
    uint64_t be = htobe64((uint64_t)v);
    put_param(params, PR_OID_INT8, &be, sizeof be);
}

void pr_params_bool(struct pr_params *params, bool v) {
    char byte = v ? 1 : 0;
    put_param(params, PR_OID_BOOL, &byte, 1);
}

static void put_bytes(struct pr_params *params, Oid type, struct pr_span v) {
    if (!v.p) {
        pr_params_null(params, type);
    } else {
        put_param(params, type, v.p, v.n);
    }
}

void pr_params_text(struct pr_params *params, struct pr_span v) {
    put_bytes(params, PR_OID_TEXT, v);
}

void pr_params_bytea(struct pr_params *params, struct pr_span v) {
    put_bytes(params, PR_OID_BYTEA, v);
}

void pr_params_uuid(struct pr_params *params, const struct pr_uuid *v) {
    put_param(params, PR_OID_UUID, v->b, sizeof v->b);
}

/* Infinity stays infinity; what a shift would carry out of range cannot be a timestamp either, so it becomes infinity too. */
static uint64_t time_bits(int64_t us) {
    int64_t shifted;
    if (us == INT64_MAX || us <= INT64_MIN + 1) {
        shifted = us == INT64_MAX ? INT64_MAX : INT64_MIN;
    } else if (__builtin_sub_overflow(us, EPOCH_SHIFT_US, &shifted)) {
        shifted = INT64_MIN;
    }
    return htobe64((uint64_t)shifted);
}

void pr_params_time(struct pr_params *params, int64_t us) {
    if (us == PR_TIME_NONE) {
        pr_params_null(params, PR_OID_TIMESTAMPTZ);
        return;
    }
    uint64_t be = time_bits(us);
    put_param(params, PR_OID_TIMESTAMPTZ, &be, sizeof be);
}

static uint32_t date_bits(int32_t days) {
    int32_t shifted;
    if (days == INT32_MAX || __builtin_sub_overflow(days, (int32_t)EPOCH_SHIFT_DAYS, &shifted)) {
        shifted = days > 0 ? INT32_MAX : INT32_MIN;
    }
    return htobe32((uint32_t)shifted);
}

void pr_params_date(struct pr_params *params, int32_t days) {
    uint32_t be = date_bits(days);
    put_param(params, PR_OID_DATE, &be, sizeof be);
}

static Oid array_of(Oid element) {
    switch (element) {
    case PR_OID_BOOL: return PR_OID_BOOL_ARRAY;
    case PR_OID_BYTEA: return PR_OID_BYTEA_ARRAY;
    case PR_OID_INT2: return PR_OID_INT2_ARRAY;
    case PR_OID_INT4: return PR_OID_INT4_ARRAY;
    case PR_OID_INT8: return PR_OID_INT8_ARRAY;
    case PR_OID_TEXT: return PR_OID_TEXT_ARRAY;
    case PR_OID_DATE: return PR_OID_DATE_ARRAY;
    case PR_OID_TIMESTAMPTZ: return PR_OID_TIMESTAMPTZ_ARRAY;
    case PR_OID_UUID: return PR_OID_UUID_ARRAY;
    }
    pr_check_failed(__FILE__, __LINE__, "an array element type that is in PR_OID_*");
}

void pr_params_array(struct pr_params *params, Oid element) {
    if (!next_param(params, array_of(element))) {
        return;
    }
    char header[ARRAY_HEADER] = {0};
    put_be32(header + 8, element);
    put_be32(header + 16, 1);
    params->open_array = params->bytes.n;
    params->open_count = 0;
    params->open_has_null = false;
    pr_buf_put(&params->bytes, header, sizeof header);
}

/* One element with its length in front: one write, because a batch has tens of thousands of them. */
static void put_item(struct pr_params *params, Oid element, const void *p, uint32_t n) {
    if (params->failed) {
        return;
    }
    pr_assert(params->open_array != SIZE_MAX && params->types[params->n - 1] == array_of(element));
    char bytes[4 + 16];
    pr_assert(n <= 16);
    put_be32(bytes, n);
    memcpy(bytes + 4, p, n);
    pr_buf_put(&params->bytes, bytes, 4 + (size_t)n);
    params->open_count++;
}

void pr_item_null(struct pr_params *params) {
    if (params->failed) {
        return;
    }
    pr_assert(params->open_array != SIZE_MAX);
    char length[4];
    put_be32(length, UINT32_MAX);
    pr_buf_put(&params->bytes, length, sizeof length);
    params->open_has_null = true;
    params->open_count++;
}

void pr_item_int2(struct pr_params *params, int16_t v) {
    uint16_t be = htobe16((uint16_t)v);
    put_item(params, PR_OID_INT2, &be, sizeof be);
}

void pr_item_int4(struct pr_params *params, int32_t v) {
    uint32_t be = htobe32((uint32_t)v);
    put_item(params, PR_OID_INT4, &be, sizeof be);
}

void pr_item_int8(struct pr_params *params, int64_t v) {
    uint64_t be = htobe64((uint64_t)v);
    put_item(params, PR_OID_INT8, &be, sizeof be);
}

void pr_item_bool(struct pr_params *params, bool v) {
    char byte = v ? 1 : 0;
    put_item(params, PR_OID_BOOL, &byte, 1);
}

void pr_item_text(struct pr_params *params, struct pr_span v) {
    if (!v.p) {
        pr_item_null(params);
        return;
    }
    if (params->failed) {
        return;
    }
    pr_assert(params->open_array != SIZE_MAX);
    Oid type = params->types[params->n - 1];
    pr_assert(type == PR_OID_TEXT_ARRAY || type == PR_OID_BYTEA_ARRAY);
    if (v.n > INT32_MAX) {
        params->failed = true;
        return;
    }
    char length[4];
    put_be32(length, (uint32_t)v.n);
    pr_buf_put(&params->bytes, length, sizeof length);
    pr_buf_put_span(&params->bytes, v);
    params->open_count++;
}

void pr_item_uuid(struct pr_params *params, const struct pr_uuid *v) {
    put_item(params, PR_OID_UUID, v->b, sizeof v->b);
}

void pr_item_time(struct pr_params *params, int64_t us) {
    if (us == PR_TIME_NONE) {
        pr_item_null(params);
        return;
    }
    uint64_t be = time_bits(us);
    put_item(params, PR_OID_TIMESTAMPTZ, &be, sizeof be);
}

void pr_item_date(struct pr_params *params, int32_t days) {
    uint32_t be = date_bits(days);
    put_item(params, PR_OID_DATE, &be, sizeof be);
}

bool pr_params_finish(struct pr_params *params, struct pr_params_view *view) {
    close_array(params);
    close_param(params);
    if (params->failed) {
        return false;
    }
    const char *base = pr_buf_text(&params->bytes); /* never NULL: to libpq a NULL pointer is a NULL value */
    view->n = params->n;
    view->types = params->types;
    view->lengths = params->length;
    for (int i = 0; i < params->n; i++) {
        view->values[i] = params->length[i] < 0 ? NULL : base + params->start[i];
        view->formats[i] = 1;
    }
    return true;
}
