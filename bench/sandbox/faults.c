/* Faults are data: a table of kinds, and lists of them with conditions. */
#include "faults.h"

#include "base/check.h"

#include "hash.h"
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pr_fault_kind kinds[] = {
    {"ok", true, PR_ACT_SEND, PR_SAY_RESULT, 0},
    {"delay", true, PR_ACT_SEND, PR_SAY_RESULT, 0},
    {"held", true, PR_ACT_SEND, PR_SAY_HELD, 0},
    {"error", false, PR_ACT_SEND, PR_SAY_ERROR, 0},
    {"status", false, PR_ACT_SEND, PR_SAY_STATUS, 503},
    {"429_before", false, PR_ACT_SEND, PR_SAY_STATUS, 429},
    {"500_before", false, PR_ACT_SEND, PR_SAY_STATUS, 500},
    {"502_before", false, PR_ACT_SEND, PR_SAY_STATUS, 502},
    {"503_before", false, PR_ACT_SEND, PR_SAY_STATUS, 503},
    {"garbage_before", false, PR_ACT_SEND, PR_SAY_GARBAGE, 0},
    {"cut_before", false, PR_ACT_CUT, PR_SAY_EMPTY, 0},
    {"reset_before", false, PR_ACT_RESET, PR_SAY_EMPTY, 0},
    {"hang_before", false, PR_ACT_HANG, PR_SAY_EMPTY, 0},
    {"accept_then_cut", true, PR_ACT_CUT, PR_SAY_RESULT, 0},
    {"accept_then_reset", true, PR_ACT_RESET, PR_SAY_RESULT, 0},
    {"accept_then_hang", true, PR_ACT_HANG, PR_SAY_RESULT, 0},
    {"cut_after_read", true, PR_ACT_CUT, PR_SAY_RESULT, 0},
    {"reset_after_read", true, PR_ACT_RESET, PR_SAY_RESULT, 0},
    {"accept_then_half_cut", true, PR_ACT_HALF_CUT, PR_SAY_RESULT, 0},
    {"accept_then_half_reset", true, PR_ACT_HALF_RESET, PR_SAY_RESULT, 0},
    {"accept_then_half_hang", true, PR_ACT_HALF_HANG, PR_SAY_RESULT, 0},
    {"accept_then_500", true, PR_ACT_SEND, PR_SAY_STATUS, 500},
    {"accept_then_502", true, PR_ACT_SEND, PR_SAY_STATUS, 502},
    {"accept_then_503", true, PR_ACT_SEND, PR_SAY_STATUS, 503},
    {"accept_then_status", true, PR_ACT_SEND, PR_SAY_STATUS, 504},
    {"accept_then_error", true, PR_ACT_SEND, PR_SAY_ERROR, 0},
    {"accept_then_garbage", true, PR_ACT_SEND, PR_SAY_GARBAGE, 0},
    {"accept_then_empty", true, PR_ACT_SEND, PR_SAY_EMPTY, 0},
    {"accept_then_oversize", true, PR_ACT_SEND, PR_SAY_OVERSIZE, 0},
    {"answer_then_cut", true, PR_ACT_SEND_CUT, PR_SAY_RESULT, 0},
    {"answer_then_reset", true, PR_ACT_SEND_RESET, PR_SAY_RESULT, 0},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct pr_person_faults {
    char *to;
    struct pr_fault *fault;
    UT_hash_handle hh;
};

const struct pr_fault_kind *pr_fault_kind_find(const char *name) {
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

const char *pr_fault_kind_name(size_t i) {
    return i < KINDS ? kinds[i].name : NULL;
}

/* splitmix64: one addition and three mixes a draw, good enough to pick faults and to be repeated from a seed. */
double pr_faults_random(struct pr_faults *faults) {
    uint64_t z = faults->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

static void fault_free(struct pr_fault *fault) {
    free(fault->details);
    free(fault->to);
    free(fault->phone_number_id);
    free(fault->template_name);
    free(fault);
}

static void list_free(struct pr_fault *list) {
    while (list) {
        struct pr_fault *next = list->next;
        fault_free(list);
        list = next;
    }
}

static void list_append(struct pr_fault **list, struct pr_fault *fault) {
    while (*list) {
        list = &(*list)->next;
    }
    *list = fault;
}

static void read_match(struct pr_reading *r, const json_t *match, struct pr_fault *fault) {
    static const char *const names[] = {"to", "phone_number_id", "template", "nth", "every", "on_connection", NULL};
    if (!match || !pr_read_object(r, match, names)) {
        return;
    }
    fault->to = pr_read_address(r, match, "to", fault->to);
    fault->phone_number_id = pr_read_text(r, match, "phone_number_id", NULL);
    fault->template_name = pr_read_text(r, match, "template", NULL);
    fault->nth = (uint64_t)pr_read_number(r, match, "nth", 0, 0, INT64_MAX);
    fault->every = (uint64_t)pr_read_number(r, match, "every", 0, 0, INT64_MAX);
    char *scope = pr_read_text(r, match, "on_connection", NULL);
    if (scope && strcmp(scope, "same") != 0 && strcmp(scope, "any") != 0) {
        pr_read_fault(r, "on_connection", "must be \"same\" or \"any\"");
    }
    fault->on_connection = scope && strcmp(scope, "same") == 0;
    free(scope);
}

static struct pr_fault *fault_read(struct pr_reading *r, const json_t *object, uint64_t times_default) {
    static const char *const names[] = {"what",    "probability", "weight",        "code",  "http",  "ms", "bytes",
                                        "details", "retry_after", "usage_minutes", "times", "match", "to", NULL};
    struct pr_fault *fault = calloc(1, sizeof *fault);
    pr_assert(fault);
    if (!pr_read_object(r, object, names)) {
        return fault;
    }
    char *what = pr_read_text(r, object, "what", "");
    fault->kind = pr_fault_kind_find(what);
    if (!fault->kind) {
        pr_read_fault(r, "what", "is no known fault: see --faults");
    }
    free(what);
    fault->probability = pr_read_real(r, object, "probability", 1.0, 0.0, 1.0);
    fault->weight = pr_read_real(r, object, "weight", -1.0, 0.0, 1e9);
    bool is_error = fault->kind && fault->kind->saying == PR_SAY_ERROR;
    fault->code = (int)pr_read_number(r, object, "code", is_error ? 131000 : 0, 0, INT32_MAX);
    fault->http = (int)pr_read_number(r, object, "http", 0, 0, 599);
    fault->ms = pr_read_number(r, object, "ms", 0, 0, 86400000);
    fault->bytes = pr_read_number(r, object, "bytes", 4 * 1024 * 1024, 1, 256 * 1024 * 1024);
    fault->retry_after = (int)pr_read_number(r, object, "retry_after", -1, 0, 86400);
    fault->usage_minutes = (int)pr_read_number(r, object, "usage_minutes", -1, 0, 1440);
    fault->times = (uint64_t)pr_read_number(r, object, "times", (int64_t)times_default, 0, INT64_MAX);
    fault->details = pr_read_text(r, object, "details", NULL);
    fault->to = pr_read_address(r, object, "to", NULL);
    read_match(r, json_object_get(object, "match"), fault);
    return fault;
}

/* Weights become probabilities; the two ways of saying it do not mix. */
static void mix_normalise(struct pr_reading *r, struct pr_fault *mix) {
    double weights = 0;
    double probabilities = 0;
    for (struct pr_fault *f = mix; f; f = f->next) {
        bool is_mixed = (f->weight >= 0) != (mix->weight >= 0);
        if (is_mixed) {
            pr_read_fault(r, "weight", "either all of a mix have one or none");
        }
        weights += f->weight > 0 ? f->weight : 0;
        probabilities += f->probability;
    }
    if (!mix || mix->weight < 0) {
        if (probabilities > 1.000001) {
            pr_read_fault(r, "probability", "sum of the mix is above 1");
        }
        return;
    }
    for (struct pr_fault *f = mix; f; f = f->next) {
        f->probability = weights > 0 ? f->weight / weights : 0;
    }
}

bool pr_faults_set_mix(struct pr_faults *faults, const json_t *array, char *why, size_t why_n) {
    struct pr_reading r = {.why = why, .why_n = why_n, .where = "mix"};
    struct pr_fault *mix = NULL;
    if (!json_is_array(array)) {
        pr_read_fault(&r, "", "must be an array");
    }
    size_t i;
    json_t *object;
    json_array_foreach (array, i, object) {
        list_append(&mix, fault_read(&r, object, 0));
    }
    mix_normalise(&r, mix);
    if (r.failed) {
        list_free(mix);
        return false;
    }
    list_free(faults->mix);
    faults->mix = mix;
    return true;
}

static bool is_of_person(const struct pr_fault *fault) {
    return fault->to && !fault->phone_number_id && !fault->template_name && !fault->on_connection;
}

static void add_person(struct pr_faults *faults, struct pr_fault *fault) {
    struct pr_person_faults *person = NULL;
    HASH_FIND_STR(faults->people, fault->to, person);
    if (!person) {
        person = calloc(1, sizeof *person);
        char *to = strdup(fault->to);
        pr_assert(person && to);
        person->to = to;
        HASH_ADD_KEYPTR(hh, faults->people, person->to, strlen(person->to), person);
    }
    list_append(&person->fault, fault);
}

bool pr_faults_add(struct pr_faults *faults, const json_t *object, uint64_t times_default, char *why, size_t why_n) {
    struct pr_reading r = {.why = why, .why_n = why_n, .where = "fault"};
    struct pr_fault *fault = fault_read(&r, object, times_default);
    if (fault->weight >= 0) {
        pr_read_fault(&r, "weight", "is for a mix");
    }
    if (r.failed) {
        fault_free(fault);
        return false;
    }
    if (is_of_person(fault)) {
        add_person(faults, fault);
    } else {
        list_append(&faults->script, fault);
    }
    return true;
}

static bool text_fits(const char *wanted, struct pr_span got) {
    return !wanted || pr_span_is(got, wanted);
}

/* Counts the request and says whether the fault strikes it. */
static bool fault_strikes(struct pr_faults *faults, struct pr_fault *f, const struct pr_fault_query *q) {
    if (!text_fits(f->to, q->to) || !text_fits(f->phone_number_id, q->phone_number_id) ||
        !text_fits(f->template_name, q->template_name) || (f->times && f->struck >= f->times)) {
        return false;
    }
    f->seen++;
    uint64_t nth = f->nth ? f->nth : 1;
    uint64_t every = f->every ? f->every : 1;
    uint64_t number = f->on_connection ? q->nth_on_connection : f->seen;
    bool is_turn = number >= nth && (number - nth) % every == 0;
    if (!is_turn || (f->probability < 1.0 && pr_faults_random(faults) >= f->probability)) {
        return false;
    }
    f->struck++;
    return true;
}

static struct pr_fault *list_pick(struct pr_faults *faults, struct pr_fault *list, const struct pr_fault_query *q) {
    for (struct pr_fault *f = list; f; f = f->next) {
        if (fault_strikes(faults, f, q)) {
            return f;
        }
    }
    return NULL;
}

/* One draw for the whole mix; a fault of it with a match counts only for what it matches. */
static struct pr_fault *mix_pick(struct pr_faults *faults, const struct pr_fault_query *q) {
    double draw = faults->mix ? pr_faults_random(faults) : 1.0;
    for (struct pr_fault *f = faults->mix; f; f = f->next) {
        bool fits = text_fits(f->to, q->to) && text_fits(f->phone_number_id, q->phone_number_id) &&
                    text_fits(f->template_name, q->template_name);
        if (fits && draw < f->probability && (!f->times || f->struck < f->times)) {
            f->struck++;
            return f;
        }
        draw -= f->probability;
        if (draw < 0) {
            return NULL;
        }
    }
    return NULL;
}

const struct pr_fault *pr_faults_pick(struct pr_faults *faults, const struct pr_fault_query *query) {
    struct pr_fault *fault = list_pick(faults, faults->script, query);
    if (!fault && faults->people) {
        struct pr_person_faults *person = NULL;
        HASH_FIND(hh, faults->people, query->to.p, query->to.n, person);
        fault = person ? list_pick(faults, person->fault, query) : NULL;
    }
    return fault ? fault : mix_pick(faults, query);
}

static void list_show(json_t *array, const struct pr_fault *list, const char *where) {
    for (const struct pr_fault *f = list; f; f = f->next) {
        json_t *shown = json_pack("{s:s, s:s, s:i, s:f, s:I, s:I, s:I, s:s*, s:s*, s:s*}", "in", where, "what",
                                  f->kind->name, "code", f->code, "probability", f->probability, "times",
                                  (json_int_t)f->times, "seen", (json_int_t)f->seen, "struck", (json_int_t)f->struck,
                                  "to", f->to, "phone_number_id", f->phone_number_id, "template", f->template_name);
        (void)json_array_append_new(array, shown);
    }
}

json_t *pr_faults_list(const struct pr_faults *faults) {
    json_t *array = json_array();
    list_show(array, faults->script, "script");
    for (const struct pr_person_faults *p = faults->people; p; p = p->hh.next) {
        list_show(array, p->fault, "recipient");
    }
    list_show(array, faults->mix, "mix");
    return array;
}

void pr_faults_clear(struct pr_faults *faults, bool mix_too) {
    list_free(faults->script);
    faults->script = NULL;
    struct pr_person_faults *person;
    struct pr_person_faults *next;
    HASH_ITER (hh, faults->people, person, next) {
        HASH_DEL(faults->people, person);
        list_free(person->fault);
        free(person->to);
        free(person);
    }
    if (mix_too) {
        list_free(faults->mix);
        faults->mix = NULL;
    }
}
