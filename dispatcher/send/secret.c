/* One entry a (file, provider): its headers, and the file's time and size by which a change is seen. */
#include "send/secret.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PR_SECRET_MAX = 8192, PR_SECRET_LOOK_NS = 1000000000 };

struct pr_secret {
    struct pr_secret *next;
    enum pr_provider provider;
    char *path;
    struct timespec mtime;
    off_t size;
    ino_t inode;
    int64_t look_ns;  /* when the file was last looked at */
    uint64_t version; /* times it was read */
    char why[256];
    struct curl_slist *headers; /* newest; older lists hang behind `retired` because requests may still use them */
    struct curl_slist **retired;
    size_t retired_n;
};

void pr_secrets_init(struct pr_secrets *secrets, const char *dir) {
    *secrets = (struct pr_secrets){.dir = dir};
}

void pr_secrets_free(struct pr_secrets *secrets) {
    while (secrets->first) {
        struct pr_secret *secret = secrets->first;
        secrets->first = secret->next;
        curl_slist_free_all(secret->headers);
        for (size_t i = 0; i < secret->retired_n; i++) {
            curl_slist_free_all(secret->retired[i]);
        }
        free(secret->retired);
        free(secret->path);
        free(secret);
    }
}

static struct pr_secret *entry_new(struct pr_secrets *secrets, const struct pr_sender *sender, const char *path) {
    struct pr_secret *secret = calloc(1, sizeof(*secret));
    if (!secret || !(secret->path = strdup(path))) {
        free(secret);
        return NULL;
    }
    secret->provider = sender->provider;
    secret->next = secrets->first;
    secrets->first = secret;
    return secret;
}

/* NULL without memory. */
static struct pr_secret *entry_of(struct pr_secrets *secrets, const struct pr_sender *sender) {
    struct pr_buf path;
    pr_buf_init(&path, 4096);
    if (sender->secret.n > 0 && sender->secret.p[0] != '/' && secrets->dir[0] != '\0') {
        pr_buf_printf(&path, "%s/", secrets->dir);
    }
    pr_buf_put_span(&path, sender->secret);
    struct pr_secret *secret = secrets->first;
    while (secret && (secret->provider != sender->provider || strcmp(secret->path, pr_buf_text(&path)) != 0)) {
        secret = secret->next;
    }
    if (!secret && !path.failed) {
        secret = entry_new(secrets, sender, pr_buf_text(&path));
    }
    pr_buf_free(&path);
    return secret;
}

/* Reads the token without the white space at its end; its length, or -1 with the reason. */
static ssize_t read_token(struct pr_secret *secret, char token[PR_SECRET_MAX]) {
    int fd = open(secret->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, token, PR_SECRET_MAX - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        (void)snprintf(secret->why, sizeof(secret->why), "cannot read the token in %s: %s", secret->path,
                       strerrordesc_np(errno));
        return -1;
    }
    if (n == PR_SECRET_MAX - 1) {
        (void)snprintf(secret->why, sizeof(secret->why), "%s is longer than any token", secret->path);
        return -1;
    }
    while (n > 0 && strchr(" \t\r\n", token[n - 1])) {
        n--;
    }
    token[n] = '\0';
    if (n == 0 || strpbrk(token, "\r\n")) {
        (void)snprintf(secret->why, sizeof(secret->why), "%s must hold one token on one line", secret->path);
        return -1;
    }
    return n;
}

static bool load(struct pr_secret *secret) {
    char token[PR_SECRET_MAX];
    if (read_token(secret, token) < 0) {
        return false;
    }
    char line[PR_SECRET_MAX + 32];
    (void)snprintf(line, sizeof(line),
                   secret->provider == PR_PROVIDER_360DIALOG ? "D360-API-KEY: %s" : "Authorization: Bearer %s", token);
    struct curl_slist *headers = curl_slist_append(NULL, line);
    struct curl_slist **retired = realloc(secret->retired, (secret->retired_n + 1) * sizeof(*retired));
    explicit_bzero(token, sizeof(token));
    explicit_bzero(line, sizeof(line));
    if (retired) {
        secret->retired = retired;
    }
    if (!headers || !retired || !curl_slist_append(headers, "Content-Type: application/json") ||
        !curl_slist_append(headers, "Expect:")) {
        curl_slist_free_all(headers);
        (void)snprintf(secret->why, sizeof(secret->why), "no memory");
        return false;
    }
    if (secret->headers) {
        secret->retired[secret->retired_n++] = secret->headers;
    }
    secret->headers = headers;
    return true;
}

/* Looks at the file and reads it when it is not the one that was read. */
static void look(struct pr_secret *secret, int64_t now_ns) {
    struct stat st = {0};
    if (secret->look_ns != 0 && now_ns - secret->look_ns < PR_SECRET_LOOK_NS) {
        return;
    }
    secret->look_ns = now_ns;
    if (stat(secret->path, &st) != 0) {
        (void)snprintf(secret->why, sizeof(secret->why), "cannot read the token in %s: %s", secret->path,
                       strerrordesc_np(errno));
        return;
    }
    bool is_same = st.st_mtim.tv_sec == secret->mtime.tv_sec && st.st_mtim.tv_nsec == secret->mtime.tv_nsec &&
                   st.st_size == secret->size && st.st_ino == secret->inode;
    if ((secret->version > 0 && is_same) || !load(secret)) {
        return;
    }
    secret->version++;
    secret->mtime = st.st_mtim;
    secret->size = st.st_size;
    secret->inode = st.st_ino;
}

struct curl_slist *pr_secrets_headers(struct pr_secrets *secrets, const struct pr_sender *sender, int64_t now_ns,
                                      const char **why) {
    struct pr_secret *secret = entry_of(secrets, sender);
    if (!secret) {
        *why = "no memory";
        return NULL;
    }
    look(secret, now_ns);
    *why = secret->why;
    return secret->headers;
}

uint64_t pr_secrets_version(struct pr_secrets *secrets, const struct pr_sender *sender, int64_t now_ns) {
    struct pr_secret *secret = entry_of(secrets, sender);
    if (!secret) {
        return 0;
    }
    look(secret, now_ns);
    return secret->version;
}
