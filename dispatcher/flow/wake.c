/* One statement a portion, the next when it was full. */
#include "flow/wake.h"

#include "base/log.h"

#include <stdlib.h>

enum { PR_WAKE_LIMIT = 2000, PR_WAKE_BYTES_MAX = 1024 * 1024 };

struct pr_wake {
    struct pr_lane *lane;
    struct pr_book *book; /* a reference */
    const struct pr_tenant *tenant;
    const struct pr_sender *sender;
    const struct pr_template *tpl;
    struct pr_params params;
};

static void wake_free(struct pr_wake *wake) {
    pr_params_free(&wake->params);
    pr_book_unref(wake->book);
    free(wake);
}

static bool sends(const struct pr_rule *rule, const struct pr_template *tpl) {
    for (uint16_t i = 0; i < rule->on_n; i++) {
        if (pr_span_eq(rule->on[i].template_name, tpl->name)) {
            return true;
        }
    }
    return false;
}

static void put_rules(struct pr_wake *wake) {
    if (!wake->tpl) {
        pr_params_null(&wake->params, PR_OID_TEXT_ARRAY);
        return;
    }
    pr_params_array(&wake->params, PR_OID_TEXT);
    for (uint32_t i = 0; i < wake->tenant->rules_n; i++) {
        if (sends(&wake->tenant->rules[i], wake->tpl)) {
            pr_item_text(&wake->params, wake->tenant->rules[i].name);
        }
    }
}

static void wake_done(void *arg, const struct pr_pg_result *result);

static void ask(struct pr_wake *wake) {
    static const char by_sender[] = "select postrider.wake_sender_v1($1, $2, $3)";
    static const char by_template[] = "select postrider.wake_template_v1($1, $2, $3)";
    pr_params_reset(&wake->params);
    if (wake->tenant) {
        pr_params_int4(&wake->params, wake->tenant->id);
    } else {
        pr_params_null(&wake->params, PR_OID_INT4);
    }
    if (wake->sender) {
        pr_params_int4(&wake->params, wake->sender->id);
    } else {
        put_rules(wake);
    }
    pr_params_int4(&wake->params, PR_WAKE_LIMIT);
    if (!pr_link_send(&wake->lane->settle_link, wake->sender ? "wake_sender" : "wake_template",
                      wake->sender ? by_sender : by_template, &wake->params, wake_done, wake)) {
        pr_log_debug("wake_later", "lane=%d", wake->lane->index);
        wake_free(wake);
    }
}

static void wake_done(void *arg, const struct pr_pg_result *result) {
    struct pr_wake *wake = arg;
    if (result->class == PR_PG_OK && pr_pg_int4(result->rows, 0, 0) == PR_WAKE_LIMIT && !wake->lane->is_draining) {
        ask(wake);
    } else {
        wake_free(wake);
    }
}

void pr_wake_waiting(struct pr_lane *lane, struct pr_book *book, const struct pr_tenant *tenant,
                     const struct pr_sender *sender, const struct pr_template *tpl) {
    struct pr_wake *wake = calloc(1, sizeof(*wake));
    if (!wake) {
        return;
    }
    *wake = (struct pr_wake){.lane = lane, .book = pr_book_ref(book), .tenant = tenant, .sender = sender, .tpl = tpl};
    pr_params_init(&wake->params, PR_WAKE_BYTES_MAX);
    ask(wake);
}
