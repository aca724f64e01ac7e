/* From the blame of an outcome to marks of breakers; each change is one line of the log. */
#include "send/health.h"

#include "base/clock.h"
#include "base/log.h"
#include "flow/wake.h"
#include "metrics.h"

static const int64_t minute_ns = INT64_C(60) * 1000000000;
static const int64_t template_rest_ns = INT64_C(600) * 1000000000;

enum { NAME_MAX_TEXT = 192 };

bool pr_health_is_up(const struct pr_lane *lane, const struct pr_job *job) {
    return pr_breakers_is_up(&lane->process->senders, job->sender->id, lane->now_ns) &&
           pr_breakers_is_up(&lane->process->templates, job->choice.tpl->id, lane->now_ns);
}

bool pr_health_pass(struct pr_lane *lane, const struct pr_job *job) {
    struct pr_process *process = lane->process;
    if (!pr_breakers_pass(&process->senders, job->sender->id, lane->now_ns)) {
        return false;
    }
    if (!pr_breakers_pass(&process->templates, job->choice.tpl->id, lane->now_ns)) {
        pr_breakers_unpass(&process->senders, job->sender->id, lane->now_ns, lane->now_ns);
        return false;
    }
    return true;
}

void pr_health_unpass(struct pr_lane *lane, const struct pr_job *job) {
    pr_breakers_unpass(&lane->process->senders, job->sender->id, job->started_ns, lane->now_ns);
    pr_breakers_unpass(&lane->process->templates, job->choice.tpl->id, job->started_ns, lane->now_ns);
}

const char *pr_health_hold(const struct pr_lane *lane, const struct pr_job *job, int64_t *hold_us) {
    int64_t hold_ns = 0;
    const char *reason = pr_process_sender_hold(lane->process, job->sender->id, lane->now_ns, &hold_ns);
    if (!reason) {
        reason = pr_process_template_hold(lane->process, job->choice.tpl->id, lane->now_ns, &hold_ns);
    }
    *hold_us = hold_ns / 1000;
    return reason;
}

/* ---- what is told ---- */

static void tell(struct pr_lane *lane, const char *kind, enum pr_breaker_kind cell, const char *name,
                 const struct pr_breaker_report *report) {
    switch (report->change) {
    case PR_BREAKER_SAME: break;
    case PR_BREAKER_OPENED:
        pr_log_warn("breaker_open", "kind=%s name=%s failures=%u answers=%u seconds=%lld reasons=%s", kind, name,
                    report->bad, report->all, (long long)(report->shut_ns / 1000000000), report->reasons);
        pr_metric_add(lane->metric, PR_METRIC_BREAKER_OPENS, pr_metrics_breaker_cell(cell, name), 1);
        break;
    case PR_BREAKER_REOPENED:
        pr_log_debug("breaker_probe_failed", "kind=%s name=%s seconds=%lld reasons=%s", kind, name,
                     (long long)(report->shut_ns / 1000000000), report->reasons);
        break;
    case PR_BREAKER_RECOVERED:
        pr_log_info("breaker_closed", "kind=%s name=%s seconds=%lld reasons=%s", kind, name,
                    (long long)(report->shut_ns / 1000000000), report->reasons);
        break;
    }
}

static void name_sender(const struct pr_job *job, char name[NAME_MAX_TEXT]) {
    (void)snprintf(name, NAME_MAX_TEXT, "%.*s/%.*s", PR_SPAN_ARG(job->tenant->name), PR_SPAN_ARG(job->sender->name));
}

static void name_template(const struct pr_job *job, char name[NAME_MAX_TEXT]) {
    (void)snprintf(name, NAME_MAX_TEXT, "%.*s/%.*s/%.*s", PR_SPAN_ARG(job->tenant->name),
                   PR_SPAN_ARG(job->choice.tpl->name), PR_SPAN_ARG(job->choice.tpl->language));
}

/* ---- senders ---- */

/* A sender goes on: slowly at first, and what waits for it need not wait out its time. */
static void resume(struct pr_lane *lane, struct pr_book *book, const struct pr_tenant *tenant,
                   const struct pr_sender *sender, bool was_stopped) {
    pr_shapes_restart(&lane->process->shapes, sender->id, lane->now_ns);
    if (was_stopped) {
        pr_log_info("sender_resumed", "sender=%.*s", PR_SPAN_ARG(sender->name));
    }
    pr_wake_waiting(lane, book, tenant, sender, NULL);
}

static void stop_sender(struct pr_lane *lane, const struct pr_job *job) {
    int64_t rest_ns = job->outcome.wait_us * 1000 > minute_ns ? job->outcome.wait_us * 1000 : minute_ns;
    if (pr_breakers_stop(&lane->process->senders, job->sender->id, job->started_ns, pr_clock_mono_ns(), rest_ns)) {
        pr_log_error("sender_stopped", "sender=%.*s reason=%s code=%d seconds=%lld text=%s",
                     PR_SPAN_ARG(job->sender->name), job->outcome.reason, job->outcome.code,
                     (long long)(rest_ns / 1000000000),
                     "nothing but a probe each time is sent by it until one is accepted or its token file changes");
    }
}

static enum pr_mark mark_of_sender(enum pr_blame blame) {
    switch (blame) {
    case PR_BLAME_NONE:
    case PR_BLAME_TEMPLATE: return PR_MARK_GOOD;
    case PR_BLAME_SENDER: return PR_MARK_BAD;
    case PR_BLAME_RATE:
    case PR_BLAME_UNCLEAR: break;
    }
    return PR_MARK_NONE;
}

static void judge_sender(struct pr_lane *lane, const struct pr_job *job) {
    struct pr_breaker_report report;
    char name[NAME_MAX_TEXT];
    if (job->outcome.kind == PR_OUTCOME_STOP_SENDER) {
        stop_sender(lane, job);
        return;
    }
    if (job->outcome.blame == PR_BLAME_RATE &&
        pr_shapes_too_fast(&lane->process->shapes, job->sender->id, job->started_ns, pr_clock_mono_ns())) {
        pr_log_warn("rate_halved", "sender=%.*s reason=%s per_s=%.3f", PR_SPAN_ARG(job->sender->name),
                    job->outcome.reason, pr_shapes_per_s(&lane->process->shapes, job->sender->id, lane->now_ns));
        pr_metric_add(lane->metric, PR_METRIC_HALVED, 0, 1);
    }
    pr_breakers_mark(&lane->process->senders, job->sender->id, mark_of_sender(job->outcome.blame), job->outcome.reason,
                     job->started_ns, pr_clock_mono_ns(), &report);
    if (report.change == PR_BREAKER_SAME) {
        return;
    }
    name_sender(job, name);
    tell(lane, "sender", PR_BREAKER_OF_SENDER, name, &report);
    if (report.change == PR_BREAKER_RECOVERED) {
        resume(lane, job->book, job->tenant, job->sender, report.was_stopped);
    }
}

/* ---- templates ---- */

static void stop_template(struct pr_lane *lane, const struct pr_job *job) {
    if (pr_breakers_stop(&lane->process->templates, job->choice.tpl->id, job->started_ns, pr_clock_mono_ns(),
                         template_rest_ns)) {
        pr_log_error("template_stopped", "template=%.*s language=%.*s reason=%s code=%d",
                     PR_SPAN_ARG(job->choice.tpl->name), PR_SPAN_ARG(job->choice.tpl->language), job->outcome.reason,
                     job->outcome.code);
    }
}

/* Only what was accepted, or refused for the template's own sake, says something about it. */
static void judge_template(struct pr_lane *lane, const struct pr_job *job) {
    struct pr_breaker_report report;
    char name[NAME_MAX_TEXT];
    if (job->outcome.kind == PR_OUTCOME_STOP_TEMPLATE) {
        stop_template(lane, job);
        return;
    }
    enum pr_mark mark = job->outcome.kind == PR_OUTCOME_ACCEPTED  ? PR_MARK_GOOD
                        : job->outcome.blame == PR_BLAME_TEMPLATE ? PR_MARK_BAD
                                                                  : PR_MARK_NONE;
    pr_breakers_mark(&lane->process->templates, job->choice.tpl->id, mark, job->outcome.reason, job->started_ns,
                     pr_clock_mono_ns(), &report);
    if (report.change == PR_BREAKER_SAME) {
        return;
    }
    name_template(job, name);
    tell(lane, "template", PR_BREAKER_OF_TEMPLATE, name, &report);
    if (report.change == PR_BREAKER_RECOVERED) {
        pr_wake_waiting(lane, job->book, job->tenant, NULL, job->choice.tpl);
    }
}

void pr_health_answer(struct pr_lane *lane, const struct pr_job *job) {
    judge_sender(lane, job);
    judge_template(lane, job);
}

/* ---- tokens ---- */

void pr_health_no_token(struct pr_lane *lane, const struct pr_lane_sender *entry, const char *why) {
    if (pr_breakers_stop(&lane->process->senders, entry->id, lane->now_ns, lane->now_ns, minute_ns)) {
        pr_log_error("sender_stopped", "sender=%.*s text=%s", PR_SPAN_ARG(entry->sender->name), why);
    }
}

static const struct pr_tenant *tenant_of(const struct pr_book *book, const struct pr_sender *sender) {
    for (uint32_t i = 0; i < book->tenants_n; i++) {
        const struct pr_tenant *tenant = &book->tenants[i];
        if (sender >= tenant->senders && sender < tenant->senders + tenant->senders_n) {
            return tenant;
        }
    }
    return NULL;
}

void pr_health_new_token(struct pr_lane *lane, const struct pr_lane_sender *entry) {
    const struct pr_tenant *tenant = tenant_of(entry->book, entry->sender);
    if (tenant && pr_breakers_clear(&lane->process->senders, entry->id, lane->now_ns)) {
        resume(lane, entry->book, tenant, entry->sender, true);
    }
}
