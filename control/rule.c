/* `postrider rule test`: what an event would say and what would become of it, from the database or from files alone. */
#include "command.h"
#include "db.h"
#include "rule_test.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BODY_BYTES_MAX = 256 * 1024, RETENTION_DAYS = 30 };

/* Reads the event; the record points into the arena. False after a message. */
static bool read_event(struct pr_rule_test *t, const char *path) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!in) {
        pr_error("%s: %s", path, strerrordesc_np(errno));
        return false;
    }
    char *bytes = pr_arena_alloc(&t->catalog.arena, PR_RECORD_BYTES_MAX + 1);
    size_t n = bytes ? fread(bytes, 1, PR_RECORD_BYTES_MAX + 1, in) : 0;
    bool is_read = bytes && !ferror(in);
    if (in != stdin) {
        fclose(in);
    }
    if (!is_read) {
        pr_error("%s: cannot be read", path);
        return false;
    }
    struct pr_record_input input = {.value = {bytes, n}};
    struct pr_record_fault fault = {{0}, {0}};
    enum pr_record_status status = pr_record_decode(&input, &t->catalog.arena, &t->record, &fault);
    if (status != PR_RECORD_OK) {
        pr_error("%s: would be a dead letter: %s: %s%s%s", path, pr_record_status_name(status), fault.field,
                 *fault.field ? ": " : "", fault.text);
    }
    return status == PR_RECORD_OK;
}

/* Without --rules, --templates and --business the database says it all. */
static bool load(struct pr_rule_test *t, struct pr_call *call, const char *const files[3]) {
    bool is_offline = files[0] || files[1] || files[2];
    for (int i = 0; i < 3; i++) {
        if (files[i]) {
            pr_catalog_read(&t->catalog, files[i]);
        }
    }
    if (!is_offline) {
        t->db = pr_db_open_ready(call->db);
        if (!t->db || !pr_catalog_load_tenants(&t->catalog, t->db)) {
            return false;
        }
    }
    pr_catalog_assign(&t->catalog, t->tenant_option);
    if (t->db && !pr_catalog_load_rest(&t->catalog, t->db, true)) {
        return false;
    }
    pr_catalog_check(&t->catalog);
    return pr_catalog_report(&t->catalog);
}

/* The event's tenant, else --tenant, else the only one there is. */
static bool find_tenant(struct pr_rule_test *t) {
    struct pr_span name = t->record.tenant.n > 0 ? t->record.tenant : pr_span_of(t->tenant_option);
    struct pr_catalog_business *first = STAILQ_FIRST(&t->catalog.businesses);
    const struct pr_catalog_rule *rule = STAILQ_FIRST(&t->catalog.rules);
    if (name.n == 0 && first && !STAILQ_NEXT(first, next)) {
        name = first->tenant;
    } else if (name.n == 0 && !first && rule) {
        name = rule->tenant;
    }
    t->business = pr_catalog_find(&t->catalog, name);
    if (name.n == 0) {
        pr_error("there are several tenants (or none): the event's \"tenant\" or --tenant must say which");
    } else if (!t->business && (t->db || first)) {
        pr_error("unknown_tenant: there is no tenant %.*s", PR_SPAN_ARG(name));
        return false;
    }
    return name.n > 0 && pr_rule_view_make(&t->catalog, name, t->business, &t->view);
}

static void print_known_types(const struct pr_tenant *tenant) {
    const char *before = "  rules take: ";
    for (uint32_t k = 0; k < tenant->rules_n; k++) {
        for (uint16_t i = 0; i < tenant->rules[k].on_n; i++) {
            printf("%s%.*s", before, PR_SPAN_ARG(tenant->rules[k].on[i].type));
            before = ", ";
        }
    }
    puts(*before == ',' ? "" : "  there are no rules");
}

/* Other rules whose waiting messages this event ends. */
static void print_cancels(const struct pr_rule_test *t) {
    for (uint32_t k = 0; k < t->view.tenant.rules_n; k++) {
        const struct pr_rule *rule = &t->view.tenant.rules[k];
        for (uint16_t i = 0; i < rule->cancels_n; i++) {
            if (pr_cancel_takes(&rule->cancels[i], t->record.type)) {
                printf("  would cancel what waits of rule %.*s (%.*s)\n", PR_SPAN_ARG(rule->name),
                       PR_SPAN_ARG(t->view.where[k]));
                break;
            }
        }
    }
}

/* The recipient's text: the attribute, or what the rule's path leads to. p NULL: none. */
static struct pr_span recipient(struct pr_rule_test *t) {
    struct pr_span path = t->rule->to_path, text = {NULL, 0};
    if (t->record.to.n > 0 || !path.p) {
        return t->record.to;
    }
    if (pr_span_starts(path, PR_SPAN("data."))) {
        path = pr_span_skip(path, 5);
    }
    return pr_value_text(pr_value_path(t->record.data, path), &t->catalog.arena, &text) ? text
                                                                                        : (struct pr_span){NULL, 0};
}

/* Prints why and returns false. */
static bool refuse(const char *reason, const char *field, const char *text) {
    printf("  would not be sent: %s: %s%s%s\n", reason, field, *field ? ": " : "", text);
    return false;
}

static bool find_recipient(struct pr_rule_test *t) {
    struct pr_span text = recipient(t);
    if (text.n == 0) {
        puts("");
        return refuse("no_recipient", "to",
                      "is missing: a number with '+' and country code, or in the rule a path to it");
    }
    if (pr_address_parse(text, &t->to)) {
        return true;
    }
    puts("");
    return refuse("bad_address", "to", "is neither a number with '+' and country code nor a user id");
}

/* The event's locale, else the contact's, else the tenant's. */
static bool find_template(struct pr_rule_test *t, struct pr_span *locale) {
    const struct pr_tenant *tenant = &t->view.tenant;
    struct pr_span own = {NULL, 0}, name = t->rule->on[t->rank].template_name;
    if (t->record.locale.n == 0 && !pr_rule_test_locale(t, &own)) {
        return false;
    }
    *locale = t->record.locale.n > 0 ? t->record.locale : own.n > 0 ? own : tenant->locale;
    /* Rules and templates only: the language that there is has to do. */
    for (uint32_t i = 0; i < tenant->templates_n && locale->n == 0; i++) {
        if (pr_span_eq(tenant->templates[i].name, name)) {
            *locale = tenant->templates[i].language;
        }
    }
    t->choice = pr_tenant_template(tenant, name, *locale);
    if (!t->choice.tpl) {
        printf("template %.*s\n", PR_SPAN_ARG(name));
        return refuse(t->choice.refusal, "template",
                      "nothing of that name can be sent in this language or the business's own");
    }
    printf("template %.*s %.*s, %s\n", PR_SPAN_ARG(name), PR_SPAN_ARG(t->choice.tpl->language),
           pr_category_name(t->choice.category));
    return true;
}

static void print_indented(struct pr_span text) {
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        printf("  %.*s\n", (int)n, text.p);
        text = pr_span_skip(text, n + 1);
    }
}

static bool render(struct pr_rule_test *t, struct pr_span locale) {
    struct pr_render_fault fault = {{0}, {0}};
    const struct pr_template *tpl = t->choice.tpl;
    enum pr_render_status status =
        pr_render_fill(tpl, t->rule, &t->record, locale, &t->catalog.arena, &t->filled, &fault);
    if (status != PR_RENDER_OK) {
        return refuse(pr_render_status_name(status), fault.param, fault.text);
    }
    struct pr_buf preview;
    pr_buf_init(&preview, BODY_BYTES_MAX);
    pr_render_preview(tpl, &t->filled, &preview);
    print_indented(pr_buf_span(&preview));
    pr_buf_free(&preview);
    return true;
}

/* As it would be sent the first time, but for the partition's number, which only Kafka knows. */
static void print_body(const struct pr_rule_test *t) {
    struct pr_callback callback = {
        .tenant = t->view.tenant.id, .day = t->identity.day, .id = t->identity.id, .attempt = 1, .partition = 0};
    char text[PR_CALLBACK_TEXT];
    int n = pr_callback_format(&callback, text);
    struct pr_buf body;
    pr_buf_init(&body, BODY_BYTES_MAX);
    pr_render_body(t->choice.tpl, &t->filled, &t->to, pr_span_make(text, (size_t)n), &body);
    puts(pr_buf_text(&body));
    pr_buf_free(&body);
}

/* What the clock says before anybody is asked. */
static bool check_time(struct pr_rule_test *t) {
    int64_t max_age = t->rule->max_age_us;
    if (!pr_identity_time_ok(&t->identity, t->now_us, RETENTION_DAYS)) {
        return refuse("bad_time", "time",
                      "is over an hour ahead, or older than the ledger is kept (30 days by default)");
    }
    if (t->record.expiry_us != PR_TIME_NONE && t->record.expiry_us <= t->now_us) {
        return refuse("expired", "expirytime", "has passed");
    }
    if (max_age > 0 && t->identity.us + max_age <= t->now_us) {
        return refuse("expired", "time", "is longer ago than the rule's max_age");
    }
    return true;
}

/* How senders fare right now only the dispatchers know. */
static bool is_up(void *arg, const struct pr_sender *sender) {
    (void)arg, (void)sender;
    return true;
}

static bool print_sender(struct pr_rule_test *t) {
    const struct pr_tenant *tenant = &t->view.tenant;
    if (!t->business) {
        puts("  would be sent if consent and quota allow (files only; no business was given)");
        return true;
    }
    t->sender = pr_tenant_sender(tenant, t->rule, pr_span_make(t->to.text, t->to.n), 0, is_up, NULL);
    if (!t->sender) {
        return refuse("no_sender", "senders", "none of those the rule may use is connected");
    }
    if (!t->db) {
        printf("  would be sent%s%.*s if consent and quota allow (files only)\n", tenant->senders_n == 1 ? " from " : "",
               tenant->senders_n == 1 ? (int)t->sender->name.n : 0, t->sender->name.p);
        return true;
    }
    return pr_rule_test_facts(t);
}

/* True when it would be sent, now or later. */
static bool judge(struct pr_rule_test *t) {
    struct pr_span locale = {NULL, 0};
    printf("%.*s  %.*s  ", PR_SPAN_ARG(t->record.id), PR_SPAN_ARG(t->record.type));
    if (pr_rule_is_control(t->record.type)) {
        puts("changes the contact or its consent; makes no message");
        return true;
    }
    t->rule = pr_tenant_rule(&t->view.tenant, t->record.type, &t->rank);
    if (!t->rule) {
        puts("");
        print_cancels(t);
        refuse("no_rule", "type", "no rule takes it");
        print_known_types(&t->view.tenant);
        return false;
    }
    printf("rule %.*s (%.*s)  ", PR_SPAN_ARG(t->rule->name), PR_SPAN_ARG(t->view.where[t->rule - t->view.tenant.rules]));
    pr_identity_make(t->view.tenant.name, t->record.source, t->record.id, t->rule->name, 0, t->record.time_us,
                     t->now_us, &t->identity);
    if (!find_recipient(t) || !find_template(t, &locale) || !render(t, locale)) {
        return false;
    }
    if (t->wants_body) {
        print_body(t);
    }
    print_cancels(t);
    return check_time(t) && print_sender(t);
}

static enum pr_exit run(struct pr_call *call) {
    struct pr_rule_test t = {.wants_body = false};
    const char *event = NULL, *files[3] = {NULL, NULL, NULL};
    const struct pr_option options[] = {{"event", PR_OPTION_TEXT, &event, 0, 0},
                                        {"body", PR_OPTION_FLAG, &t.wants_body, 0, 0},
                                        {"rules", PR_OPTION_TEXT, &files[0], 0, 0},
                                        {"templates", PR_OPTION_TEXT, &files[1], 0, 0},
                                        {"business", PR_OPTION_TEXT, &files[2], 0, 0},
                                        {"tenant", PR_OPTION_TEXT, &t.tenant_option, 0, 0},
                                        {0}};
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (!event) {
        return pr_usage_error(call, "--event FILE is needed (- reads standard input)");
    }
    t.now_us = pr_clock_real_us();
    pr_catalog_init(&t.catalog);
    bool is_sent = read_event(&t, event) && load(&t, call, files) && find_tenant(&t) && judge(&t);
    if (t.catalog.arena.failed) {
        pr_error("out of memory");
        is_sent = false;
    }
    pr_catalog_free(&t.catalog);
    PQfinish(t.db);
    return is_sent ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

const struct pr_command pr_command_rule_test = {
    .noun = "rule",
    .verb = "test",
    .summary = "Show what an event would say, to whom, and whether it would be sent",
    .usage =
        "postrider rule test --event EVENT.json [--body] [--rules R.json --templates T.json --business B.json] "
        "[--tenant NAME]\n\n"
        "Nothing is sent, reserved or stored. With files the database is not asked; then consent and quota are not "
        "known. Exit code 1 when the event\n"
        "would be refused.\n\n"
        "  --event FILE           the event as it would be published, JSON or MessagePack; - reads standard input\n"
        "  --body                 also the request as the platform would get it\n"
        "  --rules FILE           rules.json, in place of the database's; so --templates and --business\n"
        "  --templates FILE\n"
        "  --business FILE\n"
        "  --tenant NAME          when the event names none and there are several\n",
    .run = run,
};
