/* Parameters of one statement in PostgreSQL's binary format; arrays are how a batch of a thousand rows is one statement. */
#ifndef PR_PG_PARAMS_H
#define PR_PG_PARAMS_H

#include "base/buf.h"
#include "base/span.h"
#include "core/identity.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum { PR_PARAMS_MAX = 64 };

/*
 * All values live in one buffer, kept for the next statement after a reset. Scalars and arrays are added in the order of $1, $2, …; an array is
 * opened with its element type, filled, and closed by opening the next parameter (or by pr_params_finish). `failed` is sticky (ceiling, malloc, too many).
 */
struct pr_params {
    struct pr_buf bytes;
    int n;
    Oid types[PR_PARAMS_MAX];
    size_t start[PR_PARAMS_MAX];
    int length[PR_PARAMS_MAX]; /* -1: NULL */
    size_t open_array;         /* where the open array's header stands, SIZE_MAX for none */
    int32_t open_count;
    bool open_has_null;
    bool failed;
};

void pr_params_init(struct pr_params *params, size_t bytes_max);
void pr_params_reset(struct pr_params *params);
void pr_params_free(struct pr_params *params);

void pr_params_null(struct pr_params *params, Oid type);
void pr_params_int2(struct pr_params *params, int16_t v);
void pr_params_int4(struct pr_params *params, int32_t v);
void pr_params_int8(struct pr_params *params, int64_t v);
void pr_params_bool(struct pr_params *params, bool v);
void pr_params_text(struct pr_params *params, struct pr_span v); /* p NULL: NULL */
void pr_params_bytea(struct pr_params *params, struct pr_span v);
void pr_params_uuid(struct pr_params *params, const struct pr_uuid *v);
void pr_params_time(struct pr_params *params, int64_t us);   /* timestamptz; PR_TIME_NONE: NULL; INT64_MAX: infinity */
void pr_params_date(struct pr_params *params, int32_t days); /* days since 1970-01-01 */

/* Opens an array parameter whose elements have the scalar type PR_OID_INT2, PR_OID_TEXT, … */
void pr_params_array(struct pr_params *params, Oid element);
void pr_item_null(struct pr_params *params);
void pr_item_int2(struct pr_params *params, int16_t v);
void pr_item_int4(struct pr_params *params, int32_t v);
void pr_item_int8(struct pr_params *params, int64_t v);
void pr_item_bool(struct pr_params *params, bool v);
void pr_item_text(struct pr_params *params, struct pr_span v); /* p NULL: NULL element; also for bytea arrays */
void pr_item_uuid(struct pr_params *params, const struct pr_uuid *v);
void pr_item_time(struct pr_params *params, int64_t us);
void pr_item_date(struct pr_params *params, int32_t days);

/* Closes an open array and gives what PQsendQueryPrepared takes; valid until the next change. False when `failed`. */
struct pr_params_view {
    int n;
    const Oid *types;
    const char *values[PR_PARAMS_MAX];
    const int *lengths;
    int formats[PR_PARAMS_MAX]; /* all 1 */
};
bool pr_params_finish(struct pr_params *params, struct pr_params_view *view) PR_MUST_CHECK;

/* Type numbers from PostgreSQL's catalog (pg_type.dat), which libpq's headers do not export. */
enum {
    PR_OID_BOOL = 16,
    PR_OID_BYTEA = 17,
    PR_OID_INT8 = 20,
    PR_OID_INT2 = 21,
    PR_OID_INT4 = 23,
    PR_OID_TEXT = 25,
    PR_OID_DATE = 1082,
    PR_OID_TIMESTAMPTZ = 1184,
    PR_OID_UUID = 2950,
    PR_OID_BOOL_ARRAY = 1000,
    PR_OID_BYTEA_ARRAY = 1001,
    PR_OID_INT2_ARRAY = 1005,
    PR_OID_INT4_ARRAY = 1007,
    PR_OID_TEXT_ARRAY = 1009,
    PR_OID_INT8_ARRAY = 1016,
    PR_OID_DATE_ARRAY = 1182,
    PR_OID_TIMESTAMPTZ_ARRAY = 1185,
    PR_OID_UUID_ARRAY = 2951,
};

#endif
