/* Reads and unpacks with zlib, not with its gzFile layer: that one waits on a pipe until its buffer is full. */
#include "ndjson.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    RAW_ROOM = 64 * 1024,
    TEXT_ROOM = PR_NDJSON_LINE_MAX + 4 * RAW_ROOM, /* a whole line and some to come, so that lines are rarely moved */
    GZIP_WINDOW = 15 + 16,                         /* zlib.h: largest window, gzip framing only */
};

enum fill { FILL_MORE, FILL_WAIT, FILL_END, FILL_FAILED };

struct pr_ndjson {
    int fd;
    bool owns_fd;
    bool is_probed; /* whether it is gzip is known */
    bool is_gzip;
    bool is_in_member; /* gzip: between a member's header and its end */
    bool is_raw_over;  /* the descriptor has no more */
    bool is_over;      /* nothing will be added to `text` */
    bool is_skipping;  /* inside a line that was too long */
    z_stream z;
    unsigned char raw[RAW_ROOM];
    size_t raw_at, raw_n;
    char text[TEXT_ROOM];
    size_t at, n;    /* what is not yet returned stands in [at, n) */
    size_t searched; /* of those, bytes known to hold no newline */
    int64_t line;
    int64_t size;
    int64_t bytes_read;
    const char *path;
    char error[PR_NDJSON_ERROR_TEXT];
};

static enum fill fail(struct pr_ndjson *in, const char *what) {
    snprintf(in->error, sizeof in->error, "%s: %s", in->path, what);
    return FILL_FAILED;
}

struct pr_ndjson *pr_ndjson_open(const char *path, char error[PR_NDJSON_ERROR_TEXT]) {
    bool is_stdin = strcmp(path, "-") == 0;
    struct pr_ndjson *in = calloc(1, sizeof *in);
    if (!in) {
        snprintf(error, PR_NDJSON_ERROR_TEXT, "no memory");
        return NULL;
    }
    struct stat st;
    in->path = is_stdin ? "standard input" : path;
    in->owns_fd = !is_stdin;
    in->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0 || fstat(in->fd, &st) != 0) {
        snprintf(error, PR_NDJSON_ERROR_TEXT, "%s: %s", path, strerrordesc_np(errno));
        pr_ndjson_close(in);
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        snprintf(error, PR_NDJSON_ERROR_TEXT, "%s: is a folder, not a file", path);
        pr_ndjson_close(in);
        return NULL;
    }
    in->size = S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
    return in;
}

void pr_ndjson_close(struct pr_ndjson *in) {
    if (!in) {
        return;
    }
    if (in->is_gzip) {
        inflateEnd(&in->z);
    }
    if (in->owns_fd && in->fd >= 0) {
        close(in->fd);
    }
    free(in);
}

/* More bytes behind those of `raw` that are not used yet. */
static enum fill read_raw(struct pr_ndjson *in, int wait_ms) {
    if (in->is_raw_over) {
        return FILL_END;
    }
    memmove(in->raw, in->raw + in->raw_at, in->raw_n - in->raw_at);
    in->raw_n -= in->raw_at;
    in->raw_at = 0;
    struct pollfd ready = {.fd = in->fd, .events = POLLIN};
    int n_ready = poll(&ready, 1, wait_ms);
    if (n_ready == 0 || (n_ready < 0 && errno == EINTR)) {
        return FILL_WAIT;
    }
    ssize_t got = read(in->fd, in->raw + in->raw_n, RAW_ROOM - in->raw_n);
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN ? FILL_WAIT : fail(in, strerrordesc_np(errno));
    }
    in->is_raw_over = got == 0;
    in->raw_n += (size_t)got;
    in->bytes_read += got;
    return got == 0 ? FILL_END : FILL_MORE;
}

/* gzip begins with 1f 8b (RFC 1952); no JSON does. */
static enum fill probe(struct pr_ndjson *in, int wait_ms) {
    while (in->raw_n < 2) {
        enum fill got = read_raw(in, wait_ms);
        if (got == FILL_END) {
            break;
        }
        if (got != FILL_MORE) {
            return got;
        }
    }
    if (in->raw_n >= 2 && in->raw[0] == 0x1f && in->raw[1] == 0x8b) {
        if (inflateInit2(&in->z, GZIP_WINDOW) != Z_OK) {
            return fail(in, "no memory to unpack it");
        }
        in->is_gzip = true;
        in->is_in_member = true;
    }
    in->is_probed = true;
    return FILL_MORE;
}

/* What follows a member: another one, as `cat a.gz b.gz` makes them, or padding that gzip(1) ignores too. */
static void next_member(struct pr_ndjson *in) {
    in->is_in_member = in->raw_at < in->raw_n && in->raw[in->raw_at] == 0x1f && inflateReset(&in->z) == Z_OK;
    if (!in->is_in_member) {
        in->raw_at = in->raw_n;
    }
}

static enum fill unpack(struct pr_ndjson *in) {
    in->z.next_in = in->raw + in->raw_at;
    in->z.avail_in = (uInt)(in->raw_n - in->raw_at);
    in->z.next_out = (unsigned char *)in->text + in->n;
    in->z.avail_out = (uInt)(TEXT_ROOM - in->n);
    int result = inflate(&in->z, Z_NO_FLUSH);
    in->raw_at = in->raw_n - in->z.avail_in;
    in->n = TEXT_ROOM - in->z.avail_out;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return fail(in, in->z.msg ? in->z.msg : "the gzip stream is broken");
    }
    if (result == Z_STREAM_END) {
        in->is_in_member = false;
    }
    return FILL_MORE;
}

static enum fill fill_gzip(struct pr_ndjson *in, int wait_ms) {
    if (in->raw_at == in->raw_n) {
        enum fill got = read_raw(in, wait_ms);
        if (got == FILL_END && in->is_in_member) {
            return fail(in, "the gzip stream is cut off before its end");
        }
        if (got != FILL_MORE) {
            return got;
        }
    }
    if (!in->is_in_member) {
        next_member(in);
        return FILL_MORE;
    }
    return unpack(in);
}

static enum fill fill_plain(struct pr_ndjson *in, int wait_ms) {
    if (in->raw_at == in->raw_n) {
        enum fill got = read_raw(in, wait_ms);
        if (got != FILL_MORE) {
            return got;
        }
    }
    size_t room = TEXT_ROOM - in->n;
    size_t n = in->raw_n - in->raw_at;
    n = n < room ? n : room;
    memcpy(in->text + in->n, in->raw + in->raw_at, n);
    in->n += n;
    in->raw_at += n;
    return FILL_MORE;
}

/* Adds to `text`; the caller sees to it that there is room after what is not returned yet was moved to the front. */
static enum fill fill(struct pr_ndjson *in, int wait_ms) {
    if (in->error[0]) {
        return FILL_FAILED;
    }
    if (in->is_over) {
        return FILL_END;
    }
    if (!in->is_probed) {
        enum fill got = probe(in, wait_ms);
        if (got != FILL_MORE) {
            return got;
        }
    }
    memmove(in->text, in->text + in->at, in->n - in->at);
    in->n -= in->at;
    in->at = 0;
    enum fill got = in->is_gzip ? fill_gzip(in, wait_ms) : fill_plain(in, wait_ms);
    in->is_over = got == FILL_END;
    return got;
}

/* Takes `n` bytes out as a line, and the newline behind them when there is one. */
static enum pr_ndjson_status take(struct pr_ndjson *in, size_t n, bool has_newline, struct pr_span *text) {
    *text = pr_span_make(in->text + in->at, n);
    in->at += n + has_newline;
    in->searched = 0;
    in->line++;
    return PR_NDJSON_LINE;
}

/* A line from what is there; false: more has to be read. */
static bool line_in_text(struct pr_ndjson *in, struct pr_span *text, enum pr_ndjson_status *status) {
    char *from = in->text + in->at;
    size_t n = in->n - in->at;
    char *end = n > in->searched ? memchr(from + in->searched, '\n', n - in->searched) : NULL;
    if (in->is_skipping) {
        in->at = end ? (size_t)(end + 1 - in->text) : in->n;
        in->is_skipping = !end;
        in->searched = 0;
        return end && line_in_text(in, text, status);
    }
    size_t length = end ? (size_t)(end - from) : n;
    if (length > PR_NDJSON_LINE_MAX) {
        take(in, PR_NDJSON_LINE_MAX, false, text);
        in->is_skipping = true;
        *status = PR_NDJSON_LONG;
        return true;
    }
    in->searched = length;
    if (!end) {
        return false;
    }
    *status = take(in, length, true, text);
    return true;
}

enum pr_ndjson_status pr_ndjson_next(struct pr_ndjson *in, int wait_ms, struct pr_span *text) {
    enum pr_ndjson_status status = PR_NDJSON_LINE;
    *text = (struct pr_span){NULL, 0};
    while (!line_in_text(in, text, &status)) {
        switch (fill(in, wait_ms)) {
        case FILL_MORE: break;
        case FILL_WAIT: return PR_NDJSON_WAIT;
        case FILL_FAILED: return PR_NDJSON_FAILED;
        case FILL_END: return in->n > in->at ? take(in, in->n - in->at, false, text) : PR_NDJSON_END;
        }
    }
    return status;
}

int64_t pr_ndjson_line(const struct pr_ndjson *in) {
    return in->line;
}

bool pr_ndjson_head(struct pr_ndjson *in, struct pr_span *head) {
    enum fill got = FILL_MORE;
    while (got == FILL_MORE && in->n < PR_NDJSON_HEAD_MAX) {
        got = fill(in, -1);
    }
    *head = pr_span_make(in->text, in->n < PR_NDJSON_HEAD_MAX ? in->n : PR_NDJSON_HEAD_MAX);
    return got == FILL_MORE || got == FILL_END;
}

int64_t pr_ndjson_size(const struct pr_ndjson *in) {
    return in->size;
}

int pr_ndjson_percent(const struct pr_ndjson *in) {
    if (in->size < 0) {
        return -1;
    }
    return in->bytes_read >= in->size ? 100 : (int)(in->bytes_read * 100 / in->size);
}

const char *pr_ndjson_error(const struct pr_ndjson *in) {
    return in->error;
}

bool pr_ndjson_is_blank(struct pr_span text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != ' ' && text.p[i] != '\t' && text.p[i] != '\r') {
            return false;
        }
    }
    return true;
}
