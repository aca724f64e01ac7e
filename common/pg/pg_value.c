/* Reads values of a result in PostgreSQL's binary formats; a column of another size than its type's is a bug of ours and aborts. */
#include "pg/pg.h"

#include "base/check.h"
#include "base/clock.h"

#include <endian.h>

/* PostgreSQL counts from 2000-01-01. */
#define EPOCH_SHIFT_US INT64_C(946684800000000)
enum { EPOCH_SHIFT_DAYS = 10957 };

bool pr_pg_is_null(const PGresult *r, int row, int col) {
    return PQgetisnull(r, row, col) != 0;
}

/* Copies a value of exactly `n` bytes; false for NULL. */
static bool fixed(const PGresult *r, int row, int col, void *out, int n) {
    if (pr_pg_is_null(r, row, col)) {
        pr_assert(row < PQntuples(r) && col < PQnfields(r)); /* libpq calls what is out of range NULL */
        return false;
    }
    pr_assert(PQgetlength(r, row, col) == n && PQfformat(r, col) == 1);
    memcpy(out, PQgetvalue(r, row, col), (size_t)n);
    return true;
}

int16_t pr_pg_int2(const PGresult *r, int row, int col) {
    uint16_t be;
    return fixed(r, row, col, &be, sizeof be) ? (int16_t)be16toh(be) : 0;
}

int32_t pr_pg_int4(const PGresult *r, int row, int col) {
    uint32_t be;
    return fixed(r, row, col, &be, sizeof be) ? (int32_t)be32toh(be) : 0;
}

int64_t pr_pg_int8(const PGresult *r, int row, int col) {
    uint64_t be;
    return fixed(r, row, col, &be, sizeof be) ? (int64_t)be64toh(be) : 0;
}

bool pr_pg_bool(const PGresult *r, int row, int col) {
    char byte;
    return fixed(r, row, col, &byte, 1) && byte != 0;
}

double pr_pg_float8(const PGresult *r, int row, int col) {
    uint64_t be;
    if (!fixed(r, row, col, &be, sizeof be)) {
        return 0;
    }
    uint64_t bits = be64toh(be);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

struct pr_span pr_pg_bytes(const PGresult *r, int row, int col) {
    if (pr_pg_is_null(r, row, col)) {
        pr_assert(row < PQntuples(r) && col < PQnfields(r));
        return (struct pr_span){NULL, 0};
    }
    return pr_span_make(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}

int64_t pr_pg_time_us(const PGresult *r, int row, int col) {
    uint64_t be;
    if (!fixed(r, row, col, &be, sizeof be)) {
        return PR_TIME_NONE;
    }
    int64_t v = (int64_t)be64toh(be);
    int64_t us;
    if (v == INT64_MIN) {
        return INT64_MIN + 1;
    }
    return __builtin_add_overflow(v, EPOCH_SHIFT_US, &us) ? INT64_MAX : us;
}

int32_t pr_pg_date_days(const PGresult *r, int row, int col) {
    uint32_t be;
    if (!fixed(r, row, col, &be, sizeof be)) {
        return 0;
    }
    int32_t v = (int32_t)be32toh(be);
    int32_t days;
    if (v == INT32_MIN) {
        return INT32_MIN;
    }
    return __builtin_add_overflow(v, (int32_t)EPOCH_SHIFT_DAYS, &days) ? INT32_MAX : days;
}
