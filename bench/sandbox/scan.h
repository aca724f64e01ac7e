/* A strict JSON reader that allocates nothing: one pass over a body fills a flat list of tokens that validation walks. */
#ifndef PR_SANDBOX_SCAN_H
#define PR_SANDBOX_SCAN_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum pr_token_kind { PR_TOKEN_OBJECT, PR_TOKEN_ARRAY, PR_TOKEN_STRING, PR_TOKEN_NUMBER, PR_TOKEN_BOOL, PR_TOKEN_NULL };

enum {
    PR_SCAN_TOKENS = 4096, /* of one body; a list message with all its rows has about 150 */
    PR_SCAN_DEPTH = 24,    /* nesting; the deepest documented body has 11 */
};

struct pr_token {
    uint32_t at;   /* byte offset in the text; strings: after the quote */
    uint32_t n;    /* bytes; strings: without the quotes, escapes as written */
    uint32_t next; /* index of the token after this one and all that it contains */
    uint32_t size; /* OBJECT: members (each a key token, then a value), ARRAY: elements */
    enum pr_token_kind kind;
    bool is_escaped; /* STRING with at least one backslash */
};

/* Filled by pr_scan; points into the text, which must outlive it. Token 0 is the root. */
struct pr_doc {
    struct pr_span text;
    uint32_t n;
    const char *fault; /* why pr_scan said no: a static sentence */
    uint32_t fault_at; /* byte offset of it */
    struct pr_token token[PR_SCAN_TOKENS];
};

/* False for anything but one RFC 8259 value in valid UTF-8 within the limits above. */
bool pr_scan(struct pr_doc *doc, struct pr_span text);

/* Bytes of a token as written; strings without quotes, escapes not undone. */
static inline struct pr_span pr_doc_raw(const struct pr_doc *doc, uint32_t token) {
    return (struct pr_span){doc->text.p + doc->token[token].at, doc->token[token].n};
}

static inline bool pr_doc_is(const struct pr_doc *doc, uint32_t token, enum pr_token_kind kind) {
    return doc->token[token].kind == kind;
}

/*
 * A string with its escapes undone: its own bytes when there are none, else written to `room` (NULL and false when it
 * does not fit). Token must be a string.
 */
bool pr_doc_text(const struct pr_doc *doc, uint32_t token, char *room, size_t room_n, struct pr_span *out);

/* Characters (code points) of a string once its escapes are undone. */
uint32_t pr_doc_chars(const struct pr_doc *doc, uint32_t token);

/*
 * Members of an object by name: slot[i] becomes the value token of names[i], or 0. False when the object has a member
 * of another name, which `unknown` then shows. Of a repeated name the last counts.
 */
bool pr_doc_pick(const struct pr_doc *doc, uint32_t object, const struct pr_span *names, uint32_t names_n,
                 uint32_t *slot, struct pr_span *unknown);

#endif
