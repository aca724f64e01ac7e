/* Follows a path through JSON text that is known to be valid, counting lines. */
#include "locate.h"

#include <stdbool.h>
#include <stdlib.h>

struct walk {
    const char *p, *end;
    int line;
};

static void pass_space(struct walk *w) {
    while (w->p < w->end &&
           (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r' || *w->p == ',' || *w->p == ':')) {
        w->line += *w->p++ == '\n';
    }
}

/* Passes a string and returns what stands between its quotes, escapes as they are. */
static struct pr_span pass_string(struct walk *w) {
    const char *start = ++w->p;
    while (w->p < w->end && *w->p != '"') {
        w->p += *w->p == '\\' && w->end - w->p > 1 ? 2 : 1;
    }
    struct pr_span text = pr_span_make(start, (size_t)(w->p - start));
    if (w->p < w->end) {
        w->p++;
    }
    return text;
}

/* Passes one value with all that is in it. */
static void pass_value(struct walk *w) {
    int depth = 0;
    do {
        pass_space(w);
        if (w->p >= w->end) {
            return;
        }
        if (*w->p == '"') {
            (void)pass_string(w);
        } else if (*w->p == '{' || *w->p == '[') {
            depth++;
            w->p++;
        } else if (*w->p == '}' || *w->p == ']') {
            depth--;
            w->p++;
        } else {
            while (w->p < w->end && !strchr(" \t\n\r,:]}", *w->p)) {
                w->p++;
            }
        }
    } while (depth > 0);
}

/* How many bytes of `path` the key takes: all of the key, and then a part ends. 0: it does not fit. */
static size_t key_fits(struct pr_span key, const char *path) {
    if (key.n == 0 || strncmp(key.p, path, key.n) != 0) {
        return 0;
    }
    char next = path[key.n];
    return next == '\0' || next == '.' || next == '[' ? key.n : 0;
}

/* Inside an object: goes to the value of the longest key that fits. False: none does. */
static bool enter_member(struct walk *w, const char **path) {
    struct walk best = *w;
    size_t best_n = 0;
    w->p++;
    for (;;) {
        pass_space(w);
        if (w->p >= w->end || *w->p != '"') {
            break;
        }
        struct pr_span key = pass_string(w);
        size_t n = key_fits(key, *path);
        pass_space(w);
        if (n > best_n) {
            best = *w;
            best_n = n;
        }
        pass_value(w);
    }
    *w = best;
    *path += best_n;
    return best_n > 0;
}

static bool enter_item(struct walk *w, const char **path) {
    char *after = NULL;
    long index = strtol(*path + 1, &after, 10);
    struct walk at = *w;
    at.p++;
    pass_space(&at);
    while (index-- > 0 && at.p < at.end && *at.p != ']') {
        pass_value(&at);
        pass_space(&at);
    }
    if (at.p >= at.end || *at.p == ']' || *after != ']') {
        return false;
    }
    *w = at;
    *path = after + 1;
    return true;
}

int pr_locate(struct pr_span json, const char *path) {
    struct walk w = {json.p, json.p + json.n, 1};
    if (pr_span_starts(json, PR_SPAN("\xef\xbb\xbf"))) {
        w.p += 3;
    }
    pass_space(&w);
    while (*path && w.p < w.end) {
        path += *path == '.';
        bool is_in = *path == '[' ? *w.p == '[' && enter_item(&w, &path) : *w.p == '{' && enter_member(&w, &path);
        if (!is_in) {
            break;
        }
    }
    return w.line;
}
