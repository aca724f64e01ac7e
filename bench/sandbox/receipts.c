/* Each status of a message has a timer of its own, so that they may come in any order; what is due is posted in batches. */
#include "receipts.h"

#include "post.h"
#include "settings.h"

#include "answer.h"

#include "base/check.h"

#include <bsd/sys/queue.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 3,
    FAILURES_MAX = 32,
    PAYLOAD_BYTES_MAX = 3 << 20, /* Meta, "Webhooks": up to 3 MB */
    STEP_BYTES = 2048,           /* more than one status takes */
};

enum step_kind { STEP_SENT, STEP_DELIVERED, STEP_READ, STEP_FAILED };

struct note;

struct step {
    struct pr_timer timer;
    STAILQ_ENTRY(step) ready;
    struct note *note;
    enum step_kind kind;
    bool is_repeat;
};

/* A message whose statuses are on their way; freed with its last step. Its texts follow it in memory. */
struct note {
    LIST_ENTRY(note) link;
    struct pr_receipts *owner;
    const struct pr_number *number;
    struct step step[STEPS];
    uint32_t steps_open;
    int failed_code;
    bool is_scoped;
    bool has_callback;
    struct pr_span person, wamid, callback, category;
};

struct span_ms {
    int64_t min, max;
};

struct settings {
    bool enabled, paused;
    struct span_ms delay[STEP_FAILED + 1];
    double delivered, read, duplicate, lost;
    struct {
        double probability;
        int code;
    } failed[FAILURES_MAX];
    uint32_t failed_n;
    uint32_t batch, concurrency, attempts;
    int64_t gather_ms, timeout_ms, queue_max;
};

struct pr_receipts {
    struct pr_sandbox *sandbox;
    struct pr_post *post;
    struct settings set;
    LIST_HEAD(, note) notes;
    STAILQ_HEAD(ready_list, step) ready;
    struct pr_timer gather;
    uint64_t waiting; /* notes */
    uint64_t ready_n; /* steps */
    uint64_t statuses[STEP_FAILED + 1];
    uint64_t suppressed, lost, dropped;
};

static const char *const step_names[] = {"sent", "delivered", "read", "failed"};

static double draw(struct pr_receipts *r) {
    return pr_faults_random(&r->sandbox->faults);
}

static void step_done(struct pr_receipts *r, struct step *step) {
    struct note *note = step->note;
    if (--note->steps_open == 0) {
        LIST_REMOVE(note, link);
        r->waiting--;
        free(note);
    }
}

static void put_pricing(struct pr_buf *out, const struct note *note) {
    pr_buf_put_text(out,
                    ",\"pricing\":{\"billable\":true,\"pricing_model\":\"PMP\",\"type\":\"regular\",\"category\":");
    pr_buf_put_json(out, note->category);
    pr_buf_put_char(out, '}');
}

static void put_errors(struct pr_buf *out, const struct note *note) {
    struct pr_span text = pr_span_of(pr_error_kind(note->failed_code)->message);
    pr_buf_printf(out, ",\"errors\":[{\"code\":%d,\"title\":", note->failed_code);
    pr_buf_put_json(out, text);
    pr_buf_put_text(out, ",\"message\":");
    pr_buf_put_json(out, text);
    pr_buf_put_text(out, ",\"error_data\":{\"details\":");
    pr_buf_put_json(out, text);
    pr_buf_put_text(out, "}}]");
}

static void put_status(struct pr_receipts *r, struct pr_buf *out, const struct step *step) {
    const struct note *note = step->note;
    pr_buf_put_text(out, "{\"id\":\"");
    pr_buf_put_span(out, note->wamid);
    pr_buf_printf(out, "\",\"status\":\"%s\",\"timestamp\":\"%lld\",\"%s\":\"", step_names[step->kind],
                  (long long)(pr_sandbox_now_us(r->sandbox) / 1000000),
                  note->is_scoped ? "recipient_user_id" : "recipient_id");
    pr_buf_put_span(out, note->person);
    pr_buf_put_char(out, '"');
    if (note->has_callback) {
        pr_buf_put_text(out, ",\"biz_opaque_callback_data\":\"");
        pr_buf_put_span(out, note->callback);
        pr_buf_put_char(out, '"');
    }
    if (step->kind == STEP_SENT || step->kind == STEP_DELIVERED) {
        put_pricing(out, note);
    } else if (step->kind == STEP_FAILED) {
        put_errors(out, note);
    }
    pr_buf_put_char(out, '}');
}

static void open_entry(struct pr_buf *out, const struct pr_number *number) {
    pr_buf_put_text(out, "{\"id\":");
    pr_buf_put_json(out, pr_span_of(number->waba_id));
    pr_buf_put_text(
        out, ",\"changes\":[{\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":");
    pr_buf_put_json(out, pr_span_of(number->display));
    pr_buf_put_text(out, ",\"phone_number_id\":");
    pr_buf_put_json(out, pr_span_of(number->phone_number_id));
    pr_buf_put_text(out, "},\"statuses\":[");
}

static int64_t draw_delay_us(struct pr_receipts *r, enum step_kind kind) {
    struct span_ms ms = r->set.delay[kind];
    return (int64_t)((double)ms.min * 1000 + draw(r) * (double)(ms.max - ms.min) * 1000);
}

static void on_step_due(struct pr_timer *timer);
static void on_gathered(struct pr_timer *timer);

static void step_start(struct pr_receipts *r, struct step *step) {
    pr_wheel_start(&r->sandbox->wheel, &step->timer, draw_delay_us(r, step->kind), on_step_due);
}

static void on_step_due(struct pr_timer *timer) {
    struct step *step = (struct step *)(void *)((char *)timer - offsetof(struct step, timer));
    struct pr_receipts *r = step->note->owner;
    if (!r->set.enabled) {
        r->suppressed++;
        step_done(r, step);
        return;
    }
    if (r->set.lost > 0 && draw(r) < r->set.lost) {
        r->lost++;
        step_done(r, step);
        return;
    }
    STAILQ_INSERT_TAIL(&r->ready, step, ready);
    r->ready_n++;
    if (!r->gather.is_set) {
        pr_wheel_start(&r->sandbox->wheel, &r->gather, r->set.gather_ms * 1000, on_gathered);
    }
}

/* A status is out. Some come twice, as the platform repeats what it is not sure about. */
static void step_posted(struct pr_receipts *r, struct step *step) {
    r->statuses[step->kind]++;
    if (!step->is_repeat && r->set.duplicate > 0 && draw(r) < r->set.duplicate) {
        step->is_repeat = true;
        step_start(r, step);
        return;
    }
    step_done(r, step);
}

/* One POST: up to `batch` statuses, an entry for each run of one number's. */
static void build_payload(struct pr_receipts *r, struct pr_buf *out) {
    const struct pr_number *number = NULL;
    pr_buf_put_text(out, "{\"object\":\"whatsapp_business_account\",\"entry\":[");
    for (uint32_t i = 0; i < r->set.batch && !STAILQ_EMPTY(&r->ready) && out->n < PAYLOAD_BYTES_MAX - STEP_BYTES; i++) {
        struct step *step = STAILQ_FIRST(&r->ready);
        STAILQ_REMOVE_HEAD(&r->ready, ready);
        r->ready_n--;
        bool same = step->note->number == number;
        if (number) {
            pr_buf_put_text(out, same ? "," : "]},\"field\":\"messages\"}]},");
        }
        if (!same) {
            number = step->note->number;
            open_entry(out, number);
        }
        put_status(r, out, step);
        step_posted(r, step);
    }
    pr_buf_put_text(out, "]},\"field\":\"messages\"}]}]}");
    pr_assert(!out->failed);
}

static void post_ready(struct pr_receipts *r) {
    while (!r->set.paused && !STAILQ_EMPTY(&r->ready) && pr_post_has_place(r->post)) {
        struct pr_buf payload;
        pr_buf_init(&payload, (size_t)PAYLOAD_BYTES_MAX + STEP_BYTES);
        build_payload(r, &payload);
        pr_post_start(r->post, &payload);
    }
}

static void on_free_place(void *arg) {
    struct pr_receipts *r = arg;
    if (!r->gather.is_set) {
        post_ready(r);
    }
}

static void on_gathered(struct pr_timer *timer) {
    post_ready((struct pr_receipts *)(void *)((char *)timer - offsetof(struct pr_receipts, gather)));
}

static struct pr_span keep(char **room, struct pr_span s) {
    struct pr_span kept = {*room, s.n};
    memcpy(*room, s.n ? s.p : "", s.n);
    *room += s.n;
    return kept;
}

static struct note *note_make(struct pr_receipts *r, const struct pr_receipt_of *of) {
    size_t category_n = strlen(of->category);
    struct note *note = calloc(1, sizeof *note + of->person.n + of->wamid.n + of->callback.n + category_n);
    pr_assert(note);
    char *room = (char *)(note + 1);
    note->owner = r;
    note->number = of->number;
    note->failed_code = of->failed_code;
    note->is_scoped = of->is_scoped;
    note->has_callback = of->callback.p != NULL;
    note->person = keep(&room, of->person);
    note->wamid = keep(&room, of->wamid);
    note->callback = keep(&room, of->callback);
    note->category = keep(&room, (struct pr_span){of->category, category_n});
    LIST_INSERT_HEAD(&r->notes, note, link);
    r->waiting++;
    return note;
}

static void note_step(struct pr_receipts *r, struct note *note, enum step_kind kind) {
    struct step *step = &note->step[note->steps_open++];
    step->note = note;
    step->kind = kind;
    step_start(r, step);
}

void pr_receipts_add(struct pr_receipts *receipts, const struct pr_receipt_of *of) {
    struct pr_receipts *r = receipts;
    if (!r->set.enabled) {
        return;
    }
    if (r->waiting >= (uint64_t)r->set.queue_max) {
        r->dropped++;
        return;
    }
    struct note *note = note_make(r, of);
    if (of->failed_code) {
        note_step(r, note, STEP_FAILED);
        return;
    }
    note_step(r, note, STEP_SENT);
    if (draw(r) < r->set.delivered) {
        note_step(r, note, STEP_DELIVERED);
        if (draw(r) < r->set.read) {
            note_step(r, note, STEP_READ);
        }
    }
}

int pr_receipts_draw_failure(struct pr_receipts *receipts) {
    const struct settings *set = &receipts->set;
    double share = set->failed_n ? draw(receipts) : 1.0;
    for (uint32_t i = 0; i < set->failed_n; i++) {
        if (share < set->failed[i].probability) {
            return set->failed[i].code;
        }
        share -= set->failed[i].probability;
    }
    return 0;
}

/* [min, max] in milliseconds, or one number for both. */
static struct span_ms read_span(struct pr_reading *r, const json_t *object, const char *name, struct span_ms otherwise) {
    const json_t *value = json_object_get(object, name);
    if (!value) {
        return otherwise;
    }
    const json_t *min = json_is_array(value) ? json_array_get(value, 0) : value;
    const json_t *max = json_is_array(value) ? json_array_get(value, 1) : value;
    struct span_ms span = {json_integer_value(min), json_integer_value(max)};
    if (!json_is_integer(min) || !json_is_integer(max) || span.min < 0 || span.max < span.min || span.max > 604800000) {
        pr_read_fault(r, name, "must be milliseconds, or [least, most]");
        return otherwise;
    }
    return span;
}

static void read_failed(struct pr_reading *r, const json_t *array, struct settings *set) {
    static const char *const names[] = {"probability", "code", NULL};
    size_t i;
    json_t *item;
    if (!array) {
        return;
    }
    if (!json_is_array(array) || json_array_size(array) > FAILURES_MAX) {
        pr_read_fault(r, "failed", "must be an array of at most 32");
        return;
    }
    set->failed_n = (uint32_t)json_array_size(array);
    json_array_foreach (array, i, item) {
        if (pr_read_object(r, item, names)) {
            set->failed[i].probability = pr_read_real(r, item, "probability", 0, 0, 1);
            set->failed[i].code = (int)pr_read_number(r, item, "code", 131026, 1, INT32_MAX);
        }
    }
}

static void read_settings(struct pr_reading *r, const json_t *o, struct settings *set) {
    set->enabled = pr_read_bool(r, o, "enabled", set->enabled);
    set->paused = pr_read_bool(r, o, "paused", set->paused);
    set->delay[STEP_SENT] = read_span(r, o, "sent_ms", set->delay[STEP_SENT]);
    set->delay[STEP_DELIVERED] = read_span(r, o, "delivered_ms", set->delay[STEP_DELIVERED]);
    set->delay[STEP_READ] = read_span(r, o, "read_ms", set->delay[STEP_READ]);
    set->delay[STEP_FAILED] = read_span(r, o, "failed_ms", set->delay[STEP_FAILED]);
    set->delivered = pr_read_real(r, o, "delivered", set->delivered, 0, 1);
    set->read = pr_read_real(r, o, "read", set->read, 0, 1);
    set->duplicate = pr_read_real(r, o, "duplicate", set->duplicate, 0, 1);
    set->lost = pr_read_real(r, o, "lost", set->lost, 0, 1);
    set->batch = (uint32_t)pr_read_number(r, o, "batch", set->batch, 1, 10000);
    set->concurrency = (uint32_t)pr_read_number(r, o, "concurrency", set->concurrency, 1, PR_POSTERS_MAX);
    set->attempts = (uint32_t)pr_read_number(r, o, "attempts", set->attempts, 0, 1000000);
    set->gather_ms = pr_read_number(r, o, "gather_ms", set->gather_ms, 1, 60000);
    set->timeout_ms = pr_read_number(r, o, "timeout_ms", set->timeout_ms, 1, 600000);
    set->queue_max = pr_read_number(r, o, "queue_max", set->queue_max, 1, 100000000);
    read_failed(r, json_object_get(o, "failed"), set);
}

bool pr_receipts_set(struct pr_receipts *receipts, const json_t *object, char *why, size_t why_n) {
    static const char *const names[] = {"enabled",      "paused",    "url",        "app_secret",  "sent_ms",
                                        "delivered_ms", "read_ms",   "failed_ms",  "read",        "delivered",
                                        "duplicate",    "lost",      "batch",      "concurrency", "attempts",
                                        "failed",       "gather_ms", "timeout_ms", "queue_max",   NULL};
    struct pr_reading r = {.why = why, .why_n = why_n, .where = "receipts"};
    struct settings set = receipts->set;
    if (!pr_read_object(&r, object, names)) {
        return false;
    }
    read_settings(&r, object, &set);
    char *url = pr_read_text(&r, object, "url", NULL);
    char *secret = pr_read_text(&r, object, "app_secret", NULL);
    bool done = !r.failed && ((!url && !secret) || pr_post_target(receipts->post, url, secret, why, why_n));
    free(url);
    free(secret);
    if (done) {
        receipts->set = set;
        pr_post_bounds(receipts->post, set.concurrency, set.timeout_ms, set.attempts);
        post_ready(receipts);
    }
    return done;
}

bool pr_receipts_target(struct pr_receipts *receipts, const char *url, const char *secret, char *why, size_t why_n) {
    bool done = pr_post_target(receipts->post, url, secret, why, why_n);
    receipts->set.enabled = receipts->set.enabled || (done && url);
    return done;
}

struct pr_receipts *pr_receipts_new(struct pr_sandbox *sandbox) {
    struct pr_receipts *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->sandbox = sandbox;
    r->set = (struct settings){.delay = {{20, 60}, {40, 200}, {200, 1000}, {40, 200}},
                               .delivered = 0.97,
                               .read = 0.6,
                               .batch = 100,
                               .concurrency = 4,
                               .gather_ms = 5,
                               .timeout_ms = 10000,
                               .queue_max = 1000000};
    LIST_INIT(&r->notes);
    STAILQ_INIT(&r->ready);
    r->post = pr_post_new(sandbox->base, &sandbox->wheel, on_free_place, r);
    if (!r->post) {
        free(r);
        return NULL;
    }
    pr_post_bounds(r->post, r->set.concurrency, r->set.timeout_ms, r->set.attempts);
    return r;
}

void pr_receipts_clear(struct pr_receipts *receipts) {
    while (!LIST_EMPTY(&receipts->notes)) {
        struct note *note = LIST_FIRST(&receipts->notes);
        for (int i = 0; i < STEPS; i++) {
            pr_wheel_stop(&receipts->sandbox->wheel, &note->step[i].timer);
        }
        LIST_REMOVE(note, link);
        free(note);
    }
    STAILQ_INIT(&receipts->ready);
    receipts->waiting = 0;
    receipts->ready_n = 0;
}

void pr_receipts_free(struct pr_receipts *receipts) {
    pr_receipts_clear(receipts);
    pr_wheel_stop(&receipts->sandbox->wheel, &receipts->gather);
    pr_post_free(receipts->post);
    free(receipts);
}

json_t *pr_receipts_show(const struct pr_receipts *receipts) {
    struct pr_post_stats posts = pr_post_stats(receipts->post);
    const uint64_t *n = receipts->statuses;
    return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "enabled",
                     receipts->set.enabled, "paused", receipts->set.paused, "waiting", (json_int_t)receipts->waiting,
                     "ready", (json_int_t)receipts->ready_n, "sent", (json_int_t)n[STEP_SENT], "delivered",
                     (json_int_t)n[STEP_DELIVERED], "read", (json_int_t)n[STEP_READ], "failed",
                     (json_int_t)n[STEP_FAILED], "suppressed", (json_int_t)receipts->suppressed, "lost",
                     (json_int_t)receipts->lost, "dropped", (json_int_t)(receipts->dropped + posts.dropped), "posts",
                     (json_int_t)posts.posted, "posts_repeated", (json_int_t)posts.repeated, "posts_open",
                     (json_int_t)posts.busy, "concurrency", (json_int_t)receipts->set.concurrency);
}
