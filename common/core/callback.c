/* Callback data: a fixed layout of 30 bytes, so that base64url has no padding and no bits to spare. */
#include "core/identity.h"

#include <openssl/evp.h>

/* tenant 4, day 4, id 16, attempt 4, partition 2, big-endian: a multiple of 3. */
enum { PACKED = 30, ENCODED = PACKED / 3 * 4, PREFIX = 3 };

static const char prefix[] = "p1.";

static uint8_t *put(uint8_t *at, uint32_t v, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) {
        *at++ = (uint8_t)(v >> (8 * i));
    }
    return at;
}

static uint32_t get(const uint8_t **at, unsigned bytes) {
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | *(*at)++;
    }
    return v;
}

int pr_callback_format(const struct pr_callback *callback, char out[PR_CALLBACK_TEXT]) {
    uint8_t packed[PACKED], *at = packed;
    at = put(at, (uint32_t)callback->tenant, 4);
    at = put(at, (uint32_t)callback->day, 4);
    memcpy(at, callback->id.b, sizeof(callback->id.b));
    at = put(at + sizeof(callback->id.b), callback->attempt, 4);
    (void)put(at, callback->partition, 2);
    memcpy(out, prefix, PREFIX);
    (void)EVP_EncodeBlock((unsigned char *)out + PREFIX, packed, PACKED);
    for (char *c = out + PREFIX; *c; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    return PREFIX + ENCODED;
}

/* OpenSSL decodes the other alphabet, and forgives white space and padding, so the alphabet is checked here. */
static bool to_plain_base64(struct pr_span text, unsigned char out[ENCODED]) {
    for (size_t i = 0; i < ENCODED; i++) {
        const char c = text.p[i];
        const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_plain && c != '-' && c != '_') {
            return false;
        }
        out[i] = (unsigned char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    return true;
}

bool pr_callback_parse(struct pr_span text, struct pr_callback *out) {
    unsigned char encoded[ENCODED];
    uint8_t packed[PACKED];
    if (text.n != PREFIX + ENCODED || !pr_span_starts(text, PR_SPAN("p1.")) ||
        !to_plain_base64(pr_span_skip(text, PREFIX), encoded) || EVP_DecodeBlock(packed, encoded, ENCODED) != PACKED) {
        return false;
    }
    const uint8_t *at = packed;
    out->tenant = (int32_t)get(&at, 4);
    out->day = (int32_t)get(&at, 4);
    memcpy(out->id.b, at, sizeof(out->id.b));
    at += sizeof(out->id.b);
    out->attempt = get(&at, 4);
    out->partition = (uint16_t)get(&at, 2);
    return out->attempt > 0;
}
