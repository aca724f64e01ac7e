/* Lines are written once, into chunks; memory, file and the reader all use those bytes. */
#include "record.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    LINE_FIXED = 768, /* names, numbers and quotes of a line; generous */
};

bool pr_record_open(struct pr_record *record, const char *path, bool with_bodies, size_t bytes_max) {
    *record = (struct pr_record){.fd = -1, .with_bodies = with_bodies, .bytes_max = bytes_max};
    if (path) {
        record->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    }
    return !path || record->fd >= 0;
}

static struct pr_chunk *last_chunk(struct pr_record *record) {
    return record->chunks_n > record->kept_from ? &record->chunk[record->chunks_n - 1] : NULL;
}

static void chunk_write(struct pr_record *record, struct pr_chunk *chunk) {
    while (record->fd >= 0 && chunk->bytes && chunk->written < chunk->n) {
        ssize_t n = write(record->fd, chunk->bytes + chunk->written, chunk->n - chunk->written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (!record->failed) {
                perror("postrider-sandbox: cannot write the record");
            }
            record->failed = true;
            return;
        }
        chunk->written += (size_t)n;
        record->file_n += n;
    }
}

/* Drops the oldest lines from memory; what the file has stays readable through it. */
static void record_trim(struct pr_record *record) {
    while (record->bytes > record->bytes_max && record->kept_from + 1 < record->chunks_n) {
        struct pr_chunk *chunk = &record->chunk[record->kept_from++];
        chunk_write(record, chunk);
        record->bytes -= chunk->room;
        free(chunk->bytes);
        chunk->bytes = NULL;
    }
}

static struct pr_chunk *new_chunk(struct pr_record *record, size_t room) {
    struct pr_chunk *last = last_chunk(record);
    if (last) {
        chunk_write(record, last);
    }
    if (record->chunks_n == record->chunks_room) {
        record->chunks_room = record->chunks_room ? record->chunks_room * 2 : 64;
        record->chunk = realloc(record->chunk, record->chunks_room * sizeof *record->chunk);
        pr_assert(record->chunk);
    }
    room = room > PR_RECORD_CHUNK ? room : PR_RECORD_CHUNK;
    struct pr_chunk *chunk = &record->chunk[record->chunks_n++];
    *chunk = (struct pr_chunk){
        .first = record->seq + 1, .offset = record->fd >= 0 ? record->file_n : -1, .room = room, .bytes = malloc(room)};
    pr_assert(chunk->bytes);
    record->bytes += room;
    record_trim(record);
    return chunk;
}

static char *put(char *to, struct pr_span s) {
    memcpy(to, s.n ? s.p : "", s.n);
    return to + s.n;
}

static char *put_text(char *to, const char *text) {
    return put(to, pr_span_of(text));
}

static char *put_number(char *to, int64_t v) {
    char digits[20];
    size_t n = 0;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (v < 0) {
        *to++ = '-';
    }
    while (n) {
        *to++ = digits[--n];
    }
    return to;
}

/* Of a body: 128 bits, so that two bodies with one hash are one body. */
static char *put_hash(char *to, struct pr_span body) {
    static const char hex[] = "0123456789abcdef";
    XXH128_hash_t hash = XXH3_128bits(body.n ? body.p : "", body.n);
    uint64_t half[2] = {hash.high64, hash.low64};
    for (int i = 0; i < 2; i++) {
        for (int shift = 60; shift >= 0; shift -= 4) {
            *to++ = hex[half[i] >> shift & 15];
        }
    }
    return to;
}

#define LITERAL(to, text) put((to), PR_SPAN(text))

static char *put_who(char *to, const struct pr_entry *e) {
    to = put(LITERAL(to, ",\"phone_number_id\":\""), e->phone_number_id);
    to = put(LITERAL(to, "\",\"to\":\""), e->to);
    to = put(LITERAL(to, "\",\"wa_id\":\""), e->wa_id);
    to = put(LITERAL(to, "\",\"type\":\""), e->type);
    to = put(LITERAL(to, "\",\"template\":\""), e->template_name);
    to = put(LITERAL(to, "\",\"language\":\""), e->language);
    to = put(LITERAL(to, "\",\"callback\":"), e->callback.p ? PR_SPAN("\"") : PR_SPAN("null"));
    return put(put(to, e->callback), e->callback.p ? PR_SPAN("\"") : PR_SPAN(""));
}

static char *put_verdict(char *to, const struct pr_entry *e) {
    to = put(LITERAL(to, ",\"wamid\":\""), e->wamid);
    to = put_text(LITERAL(to, "\",\"verdict\":\""), e->verdict);
    to = put_number(LITERAL(to, "\",\"code\":"), e->code);
    to = put_number(LITERAL(to, ",\"http\":"), e->http);
    to = put_text(LITERAL(to, ",\"reason\":\""), e->reason);
    to = put_text(LITERAL(to, "\",\"cut\":\""), e->fault);
    return put_hash(LITERAL(to, "\",\"hash\":\""), e->body);
}

/* The body as a JSON string; bytes above 0x7f of one that is no valid JSON become U+0080 to U+00FF, so that a line stays UTF-8. */
static char *put_body(char *to, struct pr_span body, bool is_json) {
    static const char hex[] = "0123456789abcdef";
    to = LITERAL(to, ",\"body\":\"");
    for (size_t i = 0; i < body.n; i++) {
        unsigned char c = (unsigned char)body.p[i];
        if (c < 0x20 || c == 0x7f || (c > 0x7f && !is_json)) {
            to = LITERAL(to, "\\u00");
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
            continue;
        }
        if (c == '"' || c == '\\') {
            *to++ = '\\';
        }
        *to++ = (char)c;
    }
    return LITERAL(to, "\"");
}

uint64_t pr_record_add(struct pr_record *record, const struct pr_entry *entry) {
    size_t most = LINE_FIXED + entry->to.n + entry->wa_id.n + entry->template_name.n + entry->language.n +
                  entry->callback.n + entry->wamid.n + entry->phone_number_id.n +
                  (record->with_bodies ? entry->body.n * 6 : 0);
    struct pr_chunk *chunk = last_chunk(record);
    if (!chunk || chunk->room - chunk->n < most) {
        chunk = new_chunk(record, most);
    }
    char *to = chunk->bytes + chunk->n;
    record->seq++;
    to = put_number(LITERAL(to, "{\"seq\":"), (int64_t)record->seq);
    to = put_number(LITERAL(to, ",\"at\":"), entry->at_us);
    to = put_number(LITERAL(to, ",\"real\":"), entry->real_us);
    to = put_number(LITERAL(to, ",\"conn\":"), (int64_t)entry->connection);
    to = put_number(LITERAL(to, ",\"nth\":"), entry->nth);
    to = put_verdict(put_who(to, entry), entry);
    to = LITERAL(to, "\"");
    if (record->with_bodies) {
        to = put_body(to, entry->body, entry->is_json);
    }
    to = LITERAL(to, "}\n");
    chunk->n = (size_t)(to - chunk->bytes);
    chunk->lines++;
    return record->seq;
}

void pr_record_flush(struct pr_record *record) {
    struct pr_chunk *chunk = last_chunk(record);
    if (chunk) {
        chunk_write(record, chunk);
    }
}

/* The bytes of a chunk: its own, or read back into `room`, which the caller frees. */
static const char *chunk_bytes(const struct pr_record *record, const struct pr_chunk *chunk, char **room) {
    *room = NULL;
    if (chunk->bytes || chunk->offset < 0) {
        return chunk->bytes;
    }
    *room = malloc(chunk->n);
    size_t got = 0;
    while (*room && got < chunk->n) {
        ssize_t n = pread(record->fd, *room + got, chunk->n - got, chunk->offset + (off_t)got);
        if (n <= 0) {
            free(*room);
            *room = NULL;
            break;
        }
        got += (size_t)n;
    }
    return *room;
}

/* Copies the lines of one chunk after `since`, at most `lines`; returns how many. */
static uint64_t chunk_read(const struct pr_chunk *chunk, const char *bytes, uint64_t since, uint64_t lines,
                           struct pr_buf *out) {
    const char *from = bytes;
    const char *end = bytes + chunk->n;
    uint64_t seq = chunk->first;
    for (; seq <= since && from < end; seq++) {
        from = (const char *)memchr(from, '\n', (size_t)(end - from)) + 1;
    }
    const char *to = from;
    uint64_t n = 0;
    for (; n < lines && to < end; n++) {
        to = (const char *)memchr(to, '\n', (size_t)(end - to)) + 1;
    }
    pr_buf_put(out, from, (size_t)(to - from));
    return n;
}

uint64_t pr_record_read(struct pr_record *record, uint64_t since, uint64_t lines_max, struct pr_buf *out,
                        bool *is_complete) {
    *is_complete = true;
    for (size_t i = 0; i < record->chunks_n && lines_max > 0; i++) {
        const struct pr_chunk *chunk = &record->chunk[i];
        if (chunk->first + chunk->lines <= since + 1) {
            continue;
        }
        char *room;
        const char *bytes = chunk_bytes(record, chunk, &room);
        if (!bytes) {
            *is_complete = false;
            continue;
        }
        uint64_t n = chunk_read(chunk, bytes, since, lines_max, out);
        free(room);
        since = (chunk->first > since ? chunk->first - 1 : since) + n;
        lines_max -= n;
    }
    return since;
}

void pr_record_clear(struct pr_record *record) {
    pr_record_flush(record);
    for (size_t i = 0; i < record->chunks_n; i++) {
        free(record->chunk[i].bytes);
    }
    record->chunks_n = 0;
    record->kept_from = 0;
    record->bytes = 0;
}

void pr_record_close(struct pr_record *record) {
    pr_record_clear(record);
    free(record->chunk);
    record->chunk = NULL;
    if (record->fd >= 0) {
        (void)close(record->fd);
        record->fd = -1;
    }
}
