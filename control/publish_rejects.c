/* Rejected lines as NDJSON, with the line itself, so that it can be mended and published again. */
#include "publish.h"

#include "core/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum {
    SHOWN_MAX = 10,             /* rejects on stderr; the file has all */
    TEXT_MAX = 8 * 1024 * 1024, /* a line of 1 MiB, each byte escaped to six at the worst */
};

bool pr_rejects_open(struct pr_rejects *rejects, const char *path, bool is_more) {
    *rejects = (struct pr_rejects){.path = path};
    pr_buf_init(&rejects->text, TEXT_MAX);
    if (!path) {
        return true;
    }
    rejects->file = fopen(path, is_more ? "ae" : "we");
    if (!rejects->file) {
        pr_error("--rejects %s: %s", path, strerrordesc_np(errno));
    }
    return rejects->file != NULL;
}

static bool is_json(struct pr_span text) {
    json_error_t error;
    json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    json_decref(v);
    return v != NULL;
}

/* Bytes that are no UTF-8 become "?", as no JSON could hold them. */
static void put_bytes(struct pr_buf *out, struct pr_span record) {
    struct pr_span left = record;
    pr_buf_put_char(out, '"');
    while (left.n > 0) {
        unsigned char c = (unsigned char)*left.p;
        if (c < 0x20 || c == '"' || c == '\\') {
            pr_buf_printf(out, "\\u%04x", c);
        } else {
            pr_buf_put_char(out, c < 0x80 ? (char)c : '?');
        }
        left = pr_span_skip(left, 1);
    }
    pr_buf_put_char(out, '"');
}

static void put_record(struct pr_buf *out, struct pr_span record) {
    if (is_json(record)) {
        pr_buf_put_span(out, record);
    } else if (pr_utf8_valid(record)) {
        pr_buf_put_json(out, record);
    } else {
        put_bytes(out, record);
    }
}

static void show(const struct pr_rejects *rejects, int64_t line, const char *reason,
                 const struct pr_record_fault *fault) {
    if (rejects->n > SHOWN_MAX) {
        return;
    }
    if (rejects->n == SHOWN_MAX) {
        pr_error("… further rejects are not shown%s%s",
                 rejects->path ? "; all are in " : ", --rejects FILE collects them", rejects->path ? rejects->path : "");
        return;
    }
    pr_error("line %" PRId64 ": %s%s%s: %s", line, reason, *fault->field ? " " : "", fault->field, fault->text);
}

void pr_rejects_add(struct pr_rejects *rejects, int64_t line, const char *reason, const struct pr_record_fault *fault,
                    struct pr_span record) {
    show(rejects, line, reason, fault);
    rejects->n++;
    if (!rejects->file) {
        return;
    }
    struct pr_buf *out = &rejects->text;
    pr_buf_reset(out);
    pr_buf_printf(out, "{\"line\":%" PRId64 ",\"field\":", line);
    pr_buf_put_json(out, pr_span_of(fault->field));
    pr_buf_put_text(out, ",\"reason\":");
    pr_buf_put_json(out, pr_span_of(reason));
    pr_buf_put_text(out, ",\"text\":");
    pr_buf_put_json(out, pr_span_of(fault->text));
    pr_buf_put_text(out, ",\"record\":");
    put_record(out, record);
    pr_buf_put_text(out, "}\n");
    if (!out->failed) {
        fwrite(out->p, 1, out->n, rejects->file);
    }
}

bool pr_rejects_close(struct pr_rejects *rejects) {
    bool is_written = !rejects->file || !ferror(rejects->file);
    if (rejects->file && fclose(rejects->file) != 0) {
        is_written = false;
    }
    rejects->file = NULL;
    if (rejects->text.bytes_max > 0) { /* 0: never opened */
        pr_buf_free(&rejects->text);
    }
    if (!is_written) {
        pr_error("--rejects %s: could not be written", rejects->path);
    }
    return is_written;
}
