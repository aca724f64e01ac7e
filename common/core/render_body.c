/* The request and its preview, from a compiled template and filled parameters. Strings go out escaped; the rest is
 * constant. */
#include "core/render.h"

#include "core/pattern.h"

/* Separates the components: nothing before the first, a comma before the others. */
struct components {
    struct pr_buf *out;
    bool is_open;
};

static void start_component(struct components *c, struct pr_span json_start) {
    pr_buf_put_text(c->out, c->is_open ? "," : ",\"components\":[");
    pr_buf_put_span(c->out, json_start);
    c->is_open = true;
}

static void put_header(struct components *c, const struct pr_template *tpl, const struct pr_filled *filled) {
    if (!tpl->json_header.p) {
        return;
    }
    bool is_text = tpl->header_format == PR_HEADER_TEXT;
    start_component(c, tpl->json_header);
    pr_buf_put_json(c->out, is_text ? filled->header_text : filled->header_link);
    if (filled->header_filename.p) {
        pr_buf_put_text(c->out, ",\"filename\":");
        pr_buf_put_json(c->out, filled->header_filename);
    }
    pr_buf_put_text(c->out, is_text ? "}]}" : "}}]}");
}

static void put_body(struct components *c, const struct pr_template *tpl, const struct pr_filled *filled) {
    if (tpl->params_n == 0) {
        return;
    }
    start_component(c, PR_SPAN("{\"type\":\"body\",\"parameters\":["));
    for (uint16_t i = 0; i < tpl->params_n; i++) {
        pr_buf_put_text(c->out, i > 0 ? "," : "");
        pr_buf_put_span(c->out, tpl->json_params[i]);
        pr_buf_put_json(c->out, filled->body[i]);
        pr_buf_put_char(c->out, '}');
    }
    pr_buf_put_text(c->out, "]}");
}

static void put_buttons(struct components *c, const struct pr_template *tpl, const struct pr_filled *filled) {
    for (uint16_t i = 0; i < tpl->buttons_n; i++) {
        if (filled->buttons[i].p) {
            start_component(c, tpl->buttons[i].json_start);
            pr_buf_put_json(c->out, filled->buttons[i]);
            pr_buf_put_text(c->out, "}]}");
        }
    }
}

void pr_render_body(const struct pr_template *tpl, const struct pr_filled *filled, const struct pr_address *to,
                    struct pr_span callback, struct pr_buf *out) {
    struct components c = {out, false};
    pr_buf_put_text(out, "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",");
    pr_buf_put_text(out, to->is_user_id ? "\"recipient\":" : "\"to\":");
    pr_buf_put_json(out, pr_span_make(to->text, to->n));
    pr_buf_put_span(out, tpl->json_start);
    put_header(&c, tpl, filled);
    put_body(&c, tpl, filled);
    put_buttons(&c, tpl, filled);
    pr_buf_put_text(out, c.is_open ? "]}" : "}");
    if (callback.n > 0) {
        pr_buf_put_text(out, ",\"biz_opaque_callback_data\":");
        pr_buf_put_json(out, callback);
    }
    pr_buf_put_char(out, '}');
}

static void preview_header(const struct pr_template *tpl, const struct pr_filled *filled, struct pr_buf *out) {
    if (tpl->header_format == PR_HEADER_NONE) {
        return;
    }
    if (tpl->header_format == PR_HEADER_TEXT) {
        pr_pattern_put(&tpl->header, &filled->header_text, out);
    } else {
        pr_buf_put_text(out, tpl->header_format == PR_HEADER_IMAGE ? "[image] " : "[document] ");
        pr_buf_put_span(out, filled->header_filename);
        pr_buf_put_text(out, filled->header_filename.n ? " " : "");
        pr_buf_put_span(out, filled->header_link);
    }
    pr_buf_put_char(out, '\n');
}

static void preview_button(const struct pr_button *button, struct pr_span value, struct pr_buf *out) {
    pr_buf_put_char(out, '[');
    pr_buf_put_span(out, button->text);
    pr_buf_put_char(out, ']');
    switch (button->kind) {
    case PR_BUTTON_URL:
        pr_buf_put_char(out, ' ');
        pr_pattern_put(&button->url, &value, out);
        break;
    case PR_BUTTON_PHONE:
        pr_buf_put_char(out, ' ');
        pr_buf_put_span(out, button->phone);
        break;
    case PR_BUTTON_QUICK_REPLY:
        pr_buf_put_text(out, value.n ? " " : "");
        pr_buf_put_span(out, value);
        break;
    }
    pr_buf_put_char(out, '\n');
}

void pr_render_preview(const struct pr_template *tpl, const struct pr_filled *filled, struct pr_buf *out) {
    preview_header(tpl, filled, out);
    pr_pattern_put(&tpl->body, filled->body, out);
    pr_buf_put_char(out, '\n');
    if (tpl->footer.n) {
        pr_buf_put_span(out, tpl->footer);
        pr_buf_put_char(out, '\n');
    }
    for (uint16_t i = 0; i < tpl->buttons_n; i++) {
        preview_button(&tpl->buttons[i], filled->buttons[i], out);
    }
}
