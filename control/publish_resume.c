/* The resume file: JSON that a person can read, replaced as a whole. */
#include "publish.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESUME_FORMAT = 1 };

static bool fault(char error[PR_RESUME_TEXT], const char *fmt, ...) PR_PRINTF(2, 3);

static bool fault(char error[PR_RESUME_TEXT], const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(error, PR_RESUME_TEXT, fmt, args);
    va_end(args);
    return false;
}

void pr_resume_identify(struct pr_resume *resume, struct pr_span head) {
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned n = 0;
    EVP_Digest(head.p, head.n, digest, &n, EVP_sha256(), NULL);
    for (size_t i = 0; i < 32; i++) {
        resume->input_sha[2 * i] = hex[digest[i] >> 4];
        resume->input_sha[2 * i + 1] = hex[digest[i] & 15];
    }
    resume->input_sha[64] = '\0';
}

static json_t *time_json(int64_t us) {
    char text[PR_TIME_TEXT];
    if (us == PR_TIME_NONE) {
        return json_null();
    }
    pr_time_format(us, text);
    return json_string(text);
}

/* null is "not yet". */
static bool time_of(const json_t *v, int64_t *us) {
    if (!v || json_is_null(v)) {
        *us = PR_TIME_NONE;
        return true;
    }
    return json_is_string(v) && pr_time_parse(pr_span_of(json_string_value(v)), us);
}

static bool take_progress(struct pr_resume *resume, const json_t *root) {
    json_int_t line = json_integer_value(json_object_get(root, "line"));
    json_int_t published = json_integer_value(json_object_get(root, "published"));
    json_int_t rejected = json_integer_value(json_object_get(root, "rejected"));
    if (line < 0 || published < 0 || rejected < 0 || !json_is_integer(json_object_get(root, "line"))) {
        return false;
    }
    resume->line = line;
    resume->published = published;
    resume->rejected = rejected;
    resume->is_finished = json_is_true(json_object_get(root, "finished"));
    return time_of(json_object_get(root, "base"), &resume->retime->base_us) &&
           time_of(json_object_get(root, "first"), &resume->retime->first_us);
}

static bool is_text(const json_t *v, const char *expected) {
    return json_is_string(v) && strcmp(json_string_value(v), expected) == 0;
}

static bool take_all(struct pr_resume *resume, const json_t *root, char error[PR_RESUME_TEXT]) {
    const json_t *input = json_object_get(root, "input");
    const json_t *size = json_object_get(input, "size");
    if (json_integer_value(json_object_get(root, "format")) != RESUME_FORMAT) {
        return fault(error, "%s: is no resume file of this version", resume->path);
    }
    if (!is_text(json_object_get(input, "sha256"), resume->input_sha) ||
        (json_is_integer(size) ? json_integer_value(size) : -1) != resume->input_size) {
        return fault(
            error, "%s was written for another input, or the input has changed since; --again begins anew, --resume names another file",
            resume->path);
    }
    if (!is_text(json_object_get(root, "topic"), resume->topic)) {
        return fault(error, "%s was written for topic %s; --again begins anew, --resume names another file",
                     resume->path, json_string_value(json_object_get(root, "topic")));
    }
    if (!is_text(json_object_get(root, "retime"), resume->retime_text)) {
        return fault(error, "%s was written with --retime \"%s\": give the same, or --again to begin anew",
                     resume->path, json_string_value(json_object_get(root, "retime")));
    }
    return take_progress(resume, root) || fault(error, "%s: is damaged; --again begins anew", resume->path);
}

bool pr_resume_read(struct pr_resume *resume, char error[PR_RESUME_TEXT]) {
    json_error_t json_error;
    FILE *file = fopen(resume->path, "re");
    if (!file) {
        return errno == ENOENT || fault(error, "%s: %s", resume->path, strerrordesc_np(errno));
    }
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &json_error);
    fclose(file);
    if (!root) {
        return fault(error, "%s: %s; --again begins anew", resume->path, json_error.text);
    }
    bool is_taken = take_all(resume, root, error);
    json_decref(root);
    return is_taken;
}

static json_t *resume_json(const struct pr_resume *resume) {
    return json_pack("{s:i, s:{s:o, s:s}, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:b}", "format", RESUME_FORMAT, "input",
                     "size", resume->input_size < 0 ? json_null() : json_integer(resume->input_size), "sha256",
                     resume->input_sha, "topic", resume->topic, "retime", resume->retime_text, "base",
                     time_json(resume->retime->base_us), "first", time_json(resume->retime->first_us), "line",
                     (json_int_t)resume->line, "published", (json_int_t)resume->published, "rejected",
                     (json_int_t)resume->rejected, "finished", (int)resume->is_finished);
}

static bool write_whole(const char *path, const char *text, char error[PR_RESUME_TEXT]) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && dprintf(fd, "%s\n", text) > 0 && fsync(fd) == 0;
    if (!is_written) {
        fault(error, "%s: %s; --resume names another place", path, strerrordesc_np(errno));
    }
    return (fd < 0 || close(fd) == 0) && is_written;
}

bool pr_resume_write(const struct pr_resume *resume, char error[PR_RESUME_TEXT]) {
    char draft[PATH_MAX];
    json_t *root = resume_json(resume);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) {
        return fault(error, "no memory for the resume file");
    }
    int n = snprintf(draft, sizeof draft, "%s.new", resume->path);
    bool is_written = n > 0 && (size_t)n < sizeof draft && write_whole(draft, text, error);
    free(text);
    if (is_written && rename(draft, resume->path) != 0) {
        is_written = fault(error, "%s: %s", resume->path, strerrordesc_np(errno));
    }
    return is_written;
}
