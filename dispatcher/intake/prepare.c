/* What can be decided without the database, in the order in which it can be known. */
#include "intake/prepare.h"

#include "base/clock.h"

/* A sender that pauses for less keeps its messages in its queue. */
static const int64_t hour_us = INT64_C(3600) * 1000000;
static const int64_t sender_paused_wait_ns = INT64_C(60) * 1000000000;

static struct pr_span text_at(struct pr_job *job, struct pr_span path) {
    struct pr_span text;
    struct pr_value scratch;
    const struct pr_value *value = pr_rule_value(&job->record, path, &scratch);
    return pr_value_text(value, &job->arena, &text) ? text : (struct pr_span){NULL, 0};
}

/* ---- fences ---- */

static size_t fences_max(const struct pr_tenant *tenant) {
    size_t n = 1;
    for (uint32_t i = 0; i < tenant->rules_n; i++) {
        n += tenant->rules[i].cancels_n;
    }
    return n;
}

static void add_cancel(struct pr_job *job, const struct pr_rule *rule, const struct pr_cancel *cancel) {
    struct pr_fence fence = {.kind = PR_FENCE_CANCEL_RECIPIENT, .group = rule->name};
    switch (cancel->match) {
    case PR_MATCH_RECIPIENT: break;
    case PR_MATCH_SUBJECT:
        fence.kind = PR_FENCE_CANCEL_SUBJECT;
        fence.subject = job->record.subject;
        break;
    case PR_MATCH_PATH:
        fence.kind = PR_FENCE_CANCEL_SUBJECT;
        fence.subject = text_at(job, cancel->path);
        break;
    }
    bool is_possible = fence.kind == PR_FENCE_CANCEL_RECIPIENT ? job->to.n > 0 : fence.subject.n > 0;
    if (is_possible) {
        job->fences[job->fences_n++] = fence;
    }
}

static bool add_fences(struct pr_job *job) {
    job->fences_n = 0;
    job->fences = pr_arena_calloc(&job->arena, fences_max(job->tenant), sizeof(struct pr_fence));
    if (!job->fences) {
        return false;
    }
    for (uint32_t i = 0; i < job->tenant->rules_n; i++) {
        const struct pr_rule *rule = &job->tenant->rules[i];
        for (uint16_t k = 0; k < rule->cancels_n; k++) {
            if (pr_cancel_takes(&rule->cancels[k], job->record.type)) {
                add_cancel(job, rule, &rule->cancels[k]);
            }
        }
    }
    if (job->rule && job->rule->is_superseding && (job->record.subject.n > 0 || job->to.n > 0)) {
        job->fences[job->fences_n++] = (struct pr_fence){
            .kind = job->record.subject.n > 0 ? PR_FENCE_SUPERSEDE_SUBJECT : PR_FENCE_SUPERSEDE_RECIPIENT,
            .subject = job->record.subject,
            .group = job->rule->name,
            .rank = job->rank,
        };
    }
    return true;
}

/* ---- who, when, by whom ---- */

static const char *find_recipient(struct pr_job *job) {
    struct pr_span to = job->record.to;
    if (to.n == 0 && job->rule && job->rule->to_path.n > 0) {
        to = text_at(job, job->rule->to_path);
    }
    job->to.n = 0;
    if (to.n == 0) {
        return "no_recipient";
    }
    if (!pr_address_parse(to, &job->to)) {
        job->to.n = 0;
        return "bad_address";
    }
    return NULL;
}

static void find_times(struct pr_job *job) {
    const struct pr_record *record = &job->record;
    job->event_us = record->time_us != PR_TIME_NONE ? record->time_us : job->origin.kafka_us;
    job->not_before_us = record->notbefore_us;
    job->expiry_us = record->expiry_us;
    if (!job->rule || job->event_us == PR_TIME_NONE) {
        return;
    }
    int64_t delayed = job->event_us + job->rule->delay_us;
    if (job->rule->delay_us > 0 && (job->not_before_us == PR_TIME_NONE || delayed > job->not_before_us)) {
        job->not_before_us = delayed;
    }
    int64_t too_old = job->event_us + job->rule->max_age_us;
    if (job->rule->max_age_us > 0 && (job->expiry_us == PR_TIME_NONE || too_old < job->expiry_us)) {
        job->expiry_us = too_old;
    }
}

/* Nothing waits for ever: its category's age counts from when it could first go, and what the record or its rule says may only be sooner. */
static void limit_age(const struct pr_lane *lane, struct pr_job *job) {
    int64_t age_us = lane->process->opt->retry.max_age_ms[job->category] * 1000;
    int64_t from_us = job->event_us;
    if (job->not_before_us != PR_TIME_NONE && job->not_before_us > from_us) {
        from_us = job->not_before_us;
    }
    if (job->event_us != PR_TIME_NONE && (job->expiry_us == PR_TIME_NONE || from_us + age_us < job->expiry_us)) {
        job->expiry_us = from_us + age_us;
    }
}

static bool sender_is_up(void *arg, const struct pr_sender *sender) {
    struct pr_lane *lane = arg;
    return pr_process_sender_is_up(lane->process, sender->id, lane->now_ns, PR_PATIENCE_GATED_NS);
}

static bool any_sender(void *arg, const struct pr_sender *sender) {
    (void)arg, (void)sender;
    return true;
}

/* Until its breaker lets one try again; one that only pauses is looked at again after a minute. */
static void wait_for_sender(struct pr_lane *lane, struct pr_job *job) {
    int64_t hold_ns = 0;
    job->hold_reason = pr_process_sender_hold(lane->process, job->sender->id, lane->now_ns, &hold_ns);
    if (!job->hold_reason && sender_is_up(lane, job->sender)) {
        return; /* another lane's answer cured it a moment ago */
    }
    if (!job->hold_reason) {
        job->hold_reason = "sender_stopped";
        hold_ns = sender_paused_wait_ns;
    }
    job->hold_us = lane->now_us + hold_ns / 1000;
}

static void find_sender(struct pr_lane *lane, struct pr_job *job) {
    struct pr_span to = pr_span_make(job->to.text, job->to.n);
    job->hold_us = PR_TIME_NONE;
    job->sender = pr_tenant_sender(job->tenant, job->rule, to, job->senders_tried, sender_is_up, lane);
    if (!job->sender) {
        job->sender = pr_tenant_sender(job->tenant, job->rule, to, job->senders_tried, any_sender, lane);
        if (job->sender) {
            wait_for_sender(lane, job);
        } else {
            job->refusal = "no_sender";
        }
    }
}

static bool is_allowed(const struct pr_lane *lane, const struct pr_job *job) {
    const struct pr_conf_list *only = &lane->process->opt->dispatch.only_to;
    struct pr_address address;
    for (size_t i = 0; i < only->n; i++) {
        bool is_one = pr_address_parse(pr_span_of(only->v[i]), &address);
        if (is_one && pr_span_eq(pr_span_make(job->to.text, job->to.n), pr_span_make(address.text, address.n))) {
            return true;
        }
    }
    return only->n == 0;
}

/* ---- kinds ---- */

static bool is_ignored(const struct pr_lane *lane, struct pr_span type) {
    const struct pr_conf_list *ignore = &lane->process->opt->intake.ignore;
    for (size_t i = 0; i < ignore->n; i++) {
        if (pr_span_is(type, ignore->v[i])) {
            return true;
        }
    }
    return false;
}

/* Set aside, or a fence-only job when it ends others; of a message that came back, a refusal. */
static void refuse_early(const struct pr_lane *lane, struct pr_job *job, const char *reason) {
    if (job->gen > 0 || job->has_row) {
        job->kind = PR_JOB_MESSAGE;
        job->refusal = reason;
        limit_age(lane, job); /* an unknown stays one, and ends some day all the same */
        return;
    }
    job->kind = job->fences_n > 0 ? PR_JOB_FENCES : PR_JOB_ASIDE;
    job->aside_kind = "refused";
    job->aside_reason = reason;
}

static bool find_tenant(struct pr_lane *lane, struct pr_job *job) {
    struct pr_span name = job->record.tenant;
    if (name.n == 0) {
        name = pr_span_of(lane->process->opt->dispatch.tenant);
    }
    job->tenant = pr_book_tenant(job->book, name);
    if (!job->tenant && name.n == 0 && job->book->tenants_n == 1) {
        job->tenant = &job->book->tenants[0]; /* a shop of one business need not name it */
    }
    return job->tenant != NULL;
}

static void identify(struct pr_job *job) {
    if (job->gen == 0 && !job->has_row && !job->is_entered) { /* at the gate it is known by its id */
        struct pr_span rule = job->rule ? job->rule->name : (struct pr_span){"", 0};
        pr_identity_make(job->tenant->name, job->record.source, job->record.id, rule, 0, job->record.time_us,
                         job->origin.kafka_us, &job->identity);
    }
}

static void wait_for_template(struct pr_lane *lane, struct pr_job *job) {
    int64_t hold_ns = 0;
    const char *reason = pr_process_template_hold(lane->process, job->choice.tpl->id, lane->now_ns, &hold_ns);
    if (reason) {
        job->hold_us = lane->now_us + hold_ns / 1000;
        job->hold_reason = reason;
    }
}

static void prepare_message(struct pr_lane *lane, struct pr_job *job) {
    job->kind = PR_JOB_MESSAGE;
    struct pr_span locale = job->record.locale.n > 0 ? job->record.locale
                            : job->locale.n > 0      ? job->locale
                                                     : job->tenant->locale;
    job->choice = pr_tenant_template(job->tenant, job->rule->on[job->rank].template_name, locale);
    job->category = job->choice.category;
    limit_age(lane, job);
    find_sender(lane, job);
    if (!job->choice.has_approved) { /* which language, the contact's own locale may decide after the claim */
        /* A template that was paused while the message waited is waited for; a new message for it is refused at once. */
        if (job->gen > 0 && job->choice.has_name) {
            job->hold_us = lane->now_us + hour_us;
            job->hold_reason = job->choice.refusal;
        } else {
            job->refusal = job->choice.refusal;
        }
    } else if (!is_allowed(lane, job)) {
        job->refusal = "only_to";
    } else if (job->choice.tpl) {
        wait_for_template(lane, job);
    }
}

static bool has_row(const struct pr_job *job) {
    return job->gen > 0 || job->has_row;
}

/* Forgets what an earlier book said. */
static void start_over(struct pr_lane *lane, struct pr_job *job) {
    int32_t tenant = job->tenant ? job->tenant->id : 0; /* read before the old book goes */
    pr_book_ref(lane->book);
    pr_book_unref(job->book);
    job->book = lane->book;
    job->tenant = has_row(job) ? pr_book_tenant_of(job->book, tenant) : NULL;
    job->sender = NULL;
    job->senders_tried = 0; /* which pools were full at an earlier claim says nothing about now */
    job->choice = (struct pr_template_choice){.tpl = NULL};
    job->refusal = NULL;
    job->rule = NULL;
    job->rank = -1;
    job->fences_n = 0;
    job->hold_us = PR_TIME_NONE;
}

static bool is_time_ok(const struct pr_lane *lane, const struct pr_job *job) {
    int retention_days = (int)lane->process->opt->dispatch.retention_days;
    return has_row(job) || pr_identity_time_ok(&job->identity, lane->now_us, retention_days);
}

static void find_kind(struct pr_lane *lane, struct pr_job *job, const char *bad_recipient) {
    bool is_a_control = pr_rule_is_control(job->record.type);
    if (!is_time_ok(lane, job)) {
        job->fences_n = 0; /* a wild time must not move a fence forward for good */
        refuse_early(lane, job, "bad_time");
    } else if (is_a_control && !bad_recipient) {
        job->kind = PR_JOB_CONTROL;
    } else if (!is_a_control && !job->rule) {
        refuse_early(lane, job, "no_rule");
    } else if (bad_recipient) {
        refuse_early(lane, job, bad_recipient);
    } else {
        prepare_message(lane, job);
    }
}

bool pr_prepare(struct pr_lane *lane, struct pr_job *job) {
    start_over(lane, job);
    if (!has_row(job) && is_ignored(lane, job->record.type)) {
        refuse_early(lane, job, "ignored");
        return true;
    }
    if (!job->tenant && !find_tenant(lane, job)) {
        refuse_early(lane, job, "unknown_tenant");
        return !has_row(job); /* tenants are never removed: a row's is there, or nothing can be said of it */
    }
    if (!pr_rule_is_control(job->record.type)) {
        job->rule = pr_tenant_rule(job->tenant, job->record.type, &job->rank);
    }
    const char *bad_recipient = find_recipient(job);
    identify(job);
    find_times(job);
    if (!add_fences(job)) {
        return false;
    }
    find_kind(lane, job, bad_recipient);
    return true;
}
