/* The parts of a request that no message changes, written when a template is compiled so that the hot path only copies
 * them. */
#include "core/template_private.h"

#include "base/buf.h"

#include <strings.h>

/* Above all that the platform's limits allow in one part: a name of 512 or a parameter name of 1,024 bytes, with what
 * surrounds it. */
enum { PART_BYTES_MAX = 4096 };

size_t pr_url_scheme(struct pr_span url) {
    if (url.n >= 8 && strncasecmp(url.p, "https://", 8) == 0) {
        return 8;
    }
    return url.n >= 7 && strncasecmp(url.p, "http://", 7) == 0 ? 7 : 0;
}

/* Moves the text into the arena and empties the buffer; what went wrong shows in the end. */
static struct pr_span keep(const struct pr_compile *c, struct pr_buf *part) {
    c->arena->failed = c->arena->failed || part->failed;
    struct pr_span kept = pr_arena_copy(c->arena, pr_buf_span(part));
    pr_buf_reset(part);
    return kept;
}

static void put_text_parameter(const struct pr_template *tpl, struct pr_span name, struct pr_buf *part) {
    pr_buf_put_text(part, "{\"type\":\"text\",");
    if (tpl->is_named) {
        pr_buf_put_text(part, "\"parameter_name\":");
        pr_buf_put_json(part, name);
        pr_buf_put_char(part, ',');
    }
    pr_buf_put_text(part, "\"text\":");
}

static void put_start(const struct pr_template *tpl, struct pr_buf *part) {
    pr_buf_put_text(part, ",\"type\":\"template\",\"template\":{\"name\":");
    pr_buf_put_json(part, tpl->name);
    pr_buf_put_text(part, ",\"language\":{\"code\":");
    pr_buf_put_json(part, tpl->language);
    pr_buf_put_char(part, '}');
}

static void put_header(const struct pr_template *tpl, struct pr_buf *part) {
    pr_buf_put_text(part, "{\"type\":\"header\",\"parameters\":[");
    switch (tpl->header_format) {
    case PR_HEADER_TEXT: put_text_parameter(tpl, tpl->header_param, part); break;
    case PR_HEADER_IMAGE: pr_buf_put_text(part, "{\"type\":\"image\",\"image\":{\"link\":"); break;
    case PR_HEADER_DOCUMENT: pr_buf_put_text(part, "{\"type\":\"document\",\"document\":{\"link\":"); break;
    case PR_HEADER_NONE: break;
    }
}

static void put_button(const struct pr_button *button, unsigned index, struct pr_buf *part) {
    bool is_url = button->kind == PR_BUTTON_URL;
    pr_buf_printf(part,
                  "{\"type\":\"button\",\"sub_type\":\"%s\",\"index\":\"%u\",\"parameters\":[{\"type\":\"%s\",\"%s\":",
                  is_url ? "url" : "quick_reply", index, is_url ? "text" : "payload", is_url ? "text" : "payload");
}

static bool takes_value(const struct pr_button *button) {
    return button->kind == PR_BUTTON_QUICK_REPLY || (button->kind == PR_BUTTON_URL && button->url.holes > 0);
}

bool pr_template_write_json(const struct pr_compile *c, struct pr_template *tpl) {
    struct pr_buf part;
    tpl->json_params = pr_arena_calloc(c->arena, tpl->params_n, sizeof(struct pr_span));
    if (!tpl->json_params) {
        return pr_compile_no_memory(c);
    }
    pr_buf_init(&part, PART_BYTES_MAX);
    put_start(tpl, &part);
    tpl->json_start = keep(c, &part);
    for (uint16_t i = 0; i < tpl->params_n; i++) {
        put_text_parameter(tpl, tpl->params[i], &part);
        tpl->json_params[i] = keep(c, &part);
    }
    if (tpl->header_format > PR_HEADER_TEXT || tpl->header.holes > 0) {
        put_header(tpl, &part);
        tpl->json_header = keep(c, &part);
    }
    for (uint16_t i = 0; i < tpl->buttons_n; i++) {
        if (takes_value(&tpl->buttons[i])) {
            put_button(&tpl->buttons[i], i, &part);
            tpl->buttons[i].json_start = keep(c, &part);
        }
    }
    pr_buf_free(&part);
    return c->arena->failed ? pr_compile_no_memory(c) : true;
}
