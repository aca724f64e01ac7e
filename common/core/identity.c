/* Message ids from what names a message, and the ledger's day from the best clock at hand. */
#include "core/identity.h"

#include "base/check.h"
#include "base/clock.h"

#include <openssl/evp.h>

enum { UUID_CHARS = 36, ULID_CHARS = 26, ULID_TIME_CHARS = 10 };

static const int64_t hour_us = INT64_C(3600) * 1000000;
static const int64_t day_us = INT64_C(86400) * 1000000;

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_dash_place(size_t i) {
    return i == 8 || i == 13 || i == 18 || i == 23;
}

bool pr_uuid_parse(struct pr_span text, struct pr_uuid *out) {
    size_t nibbles = 0;
    if (text.n != UUID_CHARS) {
        return false;
    }
    *out = (struct pr_uuid){.b = {0}};
    for (size_t i = 0; i < UUID_CHARS; i++) {
        const int value = hex_value(text.p[i]);
        if (is_dash_place(i) ? text.p[i] != '-' : value < 0) {
            return false;
        }
        if (!is_dash_place(i)) {
            out->b[nibbles / 2] = (uint8_t)(out->b[nibbles / 2] << 4 | value);
            nibbles++;
        }
    }
    return true;
}

void pr_uuid_format(const struct pr_uuid *uuid, char out[PR_UUID_TEXT]) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0, nibble = 0; i < UUID_CHARS; i++) {
        if (is_dash_place(i)) {
            out[i] = '-';
            continue;
        }
        const uint8_t byte = uuid->b[nibble / 2];
        out[i] = hex[nibble % 2 ? byte & 15 : byte >> 4];
        nibble++;
    }
    out[UUID_CHARS] = '\0';
}

/* The value of a Crockford base32 digit, -1 for I, L, O, U and everything else. https://github.com/ulid/spec */
static int crockford_value(char c) {
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const char upper = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    const char *at = memchr(digits, upper, sizeof(digits) - 1);
    return at ? (int)(at - digits) : -1;
}

/* First digit at most 7: 26 digits hold 130 bits, a ULID has 128. */
static bool ulid_ms(struct pr_span id, int64_t *ms) {
    int64_t sum = 0;
    if (id.n != ULID_CHARS || id.p[0] < '0' || id.p[0] > '7') {
        return false;
    }
    for (size_t i = 0; i < ULID_CHARS; i++) {
        const int value = crockford_value(id.p[i]);
        if (value < 0) {
            return false;
        }
        sum = i < ULID_TIME_CHARS ? sum << 5 | value : sum;
    }
    *ms = sum;
    return true;
}

/* RFC 9562 section 5.7: 48 bits of milliseconds, version 7, variant 10. */
static bool uuid7_ms(struct pr_span id, int64_t *ms) {
    struct pr_uuid uuid;
    if (!pr_uuid_parse(id, &uuid) || uuid.b[6] >> 4 != 7 || uuid.b[8] >> 6 != 2) {
        return false;
    }
    int64_t sum = 0;
    for (size_t i = 0; i < 6; i++) {
        sum = sum << 8 | uuid.b[i];
    }
    *ms = sum;
    return true;
}

static void put_be32(uint8_t out[4], uint32_t v) {
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

/* The lengths keep ("ab", "c") and ("a", "bc") apart. */
static bool hash_span(EVP_MD_CTX *ctx, struct pr_span s) {
    uint8_t length[4];
    pr_assert(s.n <= UINT32_MAX);
    put_be32(length, (uint32_t)s.n);
    return EVP_DigestUpdate(ctx, length, sizeof(length)) == 1 && EVP_DigestUpdate(ctx, s.p, s.n) == 1;
}

static void hash_id(const struct pr_span parts[4], uint32_t step, struct pr_uuid *out) {
    uint8_t digest[EVP_MAX_MD_SIZE], number[4];
    put_be32(number, step);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_done = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < 4 && is_done; i++) {
        is_done = hash_span(ctx, parts[i]);
    }
    is_done =
        is_done && EVP_DigestUpdate(ctx, number, sizeof(number)) == 1 && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    pr_assert(is_done); /* only malloc can fail here, and an id that is not the hash would be sent twice */
    memcpy(out->b, digest, sizeof(out->b));
}

static int64_t floor_day(int64_t us) {
    return us / day_us - (us % day_us < 0);
}

/* A retry of the same event may carry a slightly other time, so near midnight both days get the key. */
static int32_t neighbour(int64_t us) {
    const int64_t day = floor_day(us), of_day = us % day_us + (us % day_us < 0 ? day_us : 0);
    if (of_day < hour_us) {
        return (int32_t)(day - 1);
    }
    return (int32_t)(day_us - of_day < hour_us ? day + 1 : day);
}

void pr_identity_make(struct pr_span tenant, struct pr_span source, struct pr_span id, struct pr_span rule,
                      uint32_t step, int64_t time_us, int64_t kafka_us, struct pr_identity *out) {
    const struct pr_span parts[4] = {tenant, source, id, rule};
    int64_t ms = 0;
    *out = (struct pr_identity){.from = PR_DAY_FROM_ID};
    hash_id(parts, step, &out->id);
    const bool has_time = uuid7_ms(id, &ms) || ulid_ms(id, &ms);
    if (has_time) {
        for (size_t i = 0; i < 6; i++) {
            out->id.b[i] = (uint8_t)(ms >> (40 - 8 * (int)i));
        }
        out->us = ms * 1000;
    } else {
        out->from = time_us != PR_TIME_NONE ? PR_DAY_FROM_TIME : PR_DAY_FROM_KAFKA;
        out->us = time_us != PR_TIME_NONE ? time_us : kafka_us;
    }
    out->id.b[6] = (uint8_t)(0x80 | (out->id.b[6] & 0x0F)); /* version 8 */
    out->id.b[8] = (uint8_t)(0x80 | (out->id.b[8] & 0x3F)); /* variant 10 */
    out->day = (int32_t)floor_day(out->us);
    out->day_other = has_time ? out->day : neighbour(out->us);
}

bool pr_identity_time_ok(const struct pr_identity *identity, int64_t now_us, int retention_days) {
    const int32_t earlier = identity->day < identity->day_other ? identity->day : identity->day_other;
    if (identity->us > now_us + hour_us || identity->us < now_us - retention_days * day_us) {
        return false;
    }
    return earlier >= floor_day(now_us) - retention_days;
}
