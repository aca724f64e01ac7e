/* Jobs as the arrays that the functions in schema/functions/settle.sql take, in the order of their parameters. */
#include "settle/write.h"

#include "base/check.h"
#include "base/clock.h"
#include "core/record.h"

enum { PR_PAYLOAD_MAX = 4 * PR_RECORD_BYTES_MAX };

/* One array parameter: a value of each job, which is called `j`. */
#define COLUMN(element, statement)            \
    do {                                      \
        pr_params_array(params, element);     \
        for (size_t i = 0; i < n; i++) {      \
            const struct pr_job *j = jobs[i]; \
            statement;                        \
        }                                     \
    } while (0)

static struct pr_span span_of(const char *text) {
    return text ? pr_span_of(text) : (struct pr_span){NULL, 0};
}

static void owner(const struct pr_lane *lane, struct pr_job *const *jobs, struct pr_params *params) {
    pr_params_int4(params, jobs[0]->tenant->id);
    pr_params_date(params, jobs[0]->identity.day);
    pr_params_int4(params, atomic_load(&lane->process->owner));
    pr_params_int4(params, jobs[0]->epoch);
}

static void payload(struct pr_params *params, const struct pr_job *job) {
    struct pr_buf bytes;
    pr_buf_init(&bytes, PR_PAYLOAD_MAX);
    pr_record_encode_msgpack(&job->record, &bytes);
    params->failed = params->failed || bytes.failed;
    pr_item_text(params, pr_buf_span(&bytes));
    pr_buf_free(&bytes);
}

static void park_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    owner(lane, jobs, params);
    COLUMN(PR_OID_UUID, pr_item_uuid(params, &j->identity.id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->gen));
    COLUMN(PR_OID_INT2, pr_item_int2(params, j->parking.state));
    COLUMN(PR_OID_BOOL, pr_item_bool(params, j->parking.is_orphan));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->parking.reason)));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->parking.due_us));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->parking.wait_ms));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->expiry_us));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->since_us));
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->origin.kafka_us));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->attempt));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->tries));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->waited_ms + j->lane_wait_us / 1000));
    COLUMN(PR_OID_BYTEA, payload(params, j));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->claim_no));
}

static int16_t outcome_number(enum pr_outcome_kind kind) {
    return (int16_t)(kind + 1); /* postrider.outcome.kind counts from 1 */
}

static void outcome_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    (void)lane;
    pr_params_int4(params, jobs[0]->tenant->id);
    pr_params_date(params, jobs[0]->identity.day);
    COLUMN(PR_OID_UUID, pr_item_uuid(params, &j->identity.id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->attempt));
    COLUMN(PR_OID_INT2, pr_item_int2(params, outcome_number(j->outcome.kind)));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->outcome.code));
    COLUMN(PR_OID_INT2, pr_item_int2(params, j->http_status));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->sender->id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->choice.tpl->id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->latency_ms));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->outcome.reason)));
    COLUMN(PR_OID_TEXT,
           pr_item_text(params, j->outcome.wamid[0] ? pr_span_of(j->outcome.wamid) : (struct pr_span){NULL, 0}));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->gen));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->outcome.is_opt_out ? j->contact : 0));
}

static void refuse_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    owner(lane, jobs, params);
    COLUMN(PR_OID_UUID, pr_item_uuid(params, &j->identity.id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->gen));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->aside_reason)));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->claim_no));
}

static void unclaim_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    owner(lane, jobs, params);
    COLUMN(PR_OID_UUID, pr_item_uuid(params, &j->identity.id));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->gen));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->claim_no));
}

static void aside_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    (void)lane;
    COLUMN(PR_OID_TIMESTAMPTZ, pr_item_time(params, j->origin.kafka_us));
    COLUMN(PR_OID_INT2, pr_item_int2(params, j->origin.topic));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->origin.part));
    COLUMN(PR_OID_INT8, pr_item_int8(params, j->origin.off));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->aside_kind)));
    COLUMN(PR_OID_TEXT, pr_item_text(params, span_of(j->aside_reason)));
    COLUMN(PR_OID_INT4, pr_item_int4(params, j->tenant ? j->tenant->id : 0));
    COLUMN(PR_OID_TEXT, pr_item_text(params, j->record.type));
    pr_params_array(params, PR_OID_UUID);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->tenant) {
            pr_item_uuid(params, &jobs[i]->identity.id);
        } else {
            pr_item_null(params);
        }
    }
}

static void dead_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    const struct pr_job *job = jobs[0];
    bool has_row = job->tenant && (job->gen > 0 || job->claim_no != 0);
    pr_assert(n == 1);
    pr_params_time(params, job->origin.kafka_us);
    pr_params_int2(params, job->origin.topic);
    pr_params_int4(params, job->origin.part);
    pr_params_int8(params, job->origin.off);
    pr_params_text(params, span_of(job->aside_reason));
    pr_params_text(params, job->dead_detail.p ? job->dead_detail : PR_SPAN(""));
    pr_params_bytea(params, job->raw.key);
    pr_params_bytea(params, job->raw.value);
    pr_params_array(params, PR_OID_BYTEA); /* names too: a stranger's may be no UTF-8 */
    for (size_t i = 0; i < job->raw.headers_n; i++) {
        pr_item_text(params, job->raw.headers[i].name);
    }
    pr_params_array(params, PR_OID_BYTEA);
    for (size_t i = 0; i < job->raw.headers_n; i++) {
        pr_item_text(params, job->raw.headers[i].value);
    }
    pr_params_text(params, job->kind == PR_JOB_DEAD ? (struct pr_span){NULL, 0} : job->record.type);
    if (job->tenant) {
        pr_params_int4(params, job->tenant->id);
    } else {
        pr_params_null(params, PR_OID_INT4);
    }
    if (has_row) {
        pr_params_date(params, job->identity.day);
        pr_params_uuid(params, &job->identity.id);
    } else {
        pr_params_null(params, PR_OID_DATE);
        pr_params_null(params, PR_OID_UUID);
    }
    pr_params_int4(params, job->gen);
    pr_params_int4(params, atomic_load(&lane->process->owner));
    pr_params_int4(params, job->epoch);
    pr_params_int8(params, job->claim_no);
}

/* ---- control events ---- */

static struct pr_span data_text(struct pr_job *job, const char *key) {
    struct pr_span text;
    const struct pr_value *v = pr_value_get(job->record.data, pr_span_of(key));
    return pr_value_text(v, &job->arena, &text) ? text : (struct pr_span){NULL, 0};
}

static int16_t mask_of(const struct pr_value *v) {
    enum pr_category category = PR_CATEGORY_UTILITY;
    if (!v || v->kind != PR_VALUE_STRING) {
        return 0;
    }
    if (pr_span_is(v->u.s, "all")) {
        return (1 << PR_CATEGORIES) - 1;
    }
    int mask = pr_category_parse(v->u.s, &category) ? 1 << category : 0;
    return (int16_t)mask;
}

/* `category` (a word or "all") or `categories` (a list of words); a revocation that names none revokes all, a grant grants nothing. */
static int16_t categories_of(const struct pr_job *job, bool is_grant) {
    const struct pr_value *list = pr_value_get(job->record.data, PR_SPAN("categories"));
    const struct pr_value *one = pr_value_get(job->record.data, PR_SPAN("category"));
    int16_t mask = mask_of(one);
    for (uint32_t i = 0; list && list->kind == PR_VALUE_ARRAY && i < list->u.array.n; i++) {
        mask = (int16_t)(mask | mask_of(&list->u.array.items[i]));
    }
    return !one && !list && !is_grant ? (1 << PR_CATEGORIES) - 1 : mask;
}

static void control_params(const struct pr_lane *lane, struct pr_job *const *jobs, size_t n, struct pr_params *params) {
    struct pr_job *job = jobs[0];
    const struct pr_value *suppressed = pr_value_get(job->record.data, PR_SPAN("suppressed"));
    int32_t kind = pr_span_is(job->record.type, "contact.updated")   ? 1
                   : pr_span_is(job->record.type, "consent.granted") ? 2
                                                                     : 3;
    (void)lane;
    pr_assert(n == 1);
    pr_params_int4(params, kind);
    pr_params_int4(params, job->tenant->id);
    pr_params_text(params, pr_span_make(job->to.text, job->to.n));
    pr_params_uuid(params, &job->identity.id);
    pr_params_time(params, job->event_us);
    pr_params_int2(params, categories_of(job, kind == 2));
    pr_params_text(params, data_text(job, "how"));
    pr_params_text(params, data_text(job, "evidence"));
    pr_params_text(params, data_text(job, "business_name"));
    pr_params_text(params, job->record.locale.n > 0 ? job->record.locale : data_text(job, "locale"));
    pr_params_text(params, data_text(job, "zone"));
    if (suppressed && suppressed->kind == PR_VALUE_BOOL) {
        pr_params_bool(params, suppressed->u.b);
    } else {
        pr_params_null(params, PR_OID_BOOL);
    }
    pr_params_time(params, job->origin.kafka_us);
    pr_params_int2(params, job->origin.topic);
    pr_params_int4(params, job->origin.part);
    pr_params_int8(params, job->origin.off);
    pr_params_text(params, job->record.type);
}

static const struct pr_write writes[] = {
    {PR_WRITE_PARK,
     "park", "select id from postrider.park_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
     true, false, park_params},
    {PR_WRITE_OUTCOME, "settle",
     "select postrider.settle_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)", true, false,
     outcome_params},
    {PR_WRITE_REFUSE, "refuse", "select postrider.refuse_v1($1, $2, $3, $4, $5, $6, $7, $8)", true, false, refuse_params},
    {PR_WRITE_UNCLAIM, "unclaim", "select postrider.unclaim_v1($1, $2, $3, $4, $5, $6, $7)", true, false, unclaim_params},
    {PR_WRITE_ASIDE, "aside", "select postrider.aside_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)", false, false,
     aside_params},
    {PR_WRITE_DEAD, "dead",
     "select postrider.dead_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)", false,
     true, dead_params},
    {PR_WRITE_CONTROL, "control",
     "select postrider.apply_event_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
     false, true, control_params},
};

const struct pr_write *pr_write_of(unsigned bits) {
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        if (bits & writes[i].bit) {
            return &writes[i];
        }
    }
    pr_assert(!"a job in a statement has something to write");
    return NULL;
}
