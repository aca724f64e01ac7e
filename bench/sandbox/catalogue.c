/* Compiles each template into the counts that its parameters are checked against. */
#include "catalogue.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <xxhash.h>

/* Where a fault is written, and of what. */
struct reader {
    char *fault;
    size_t fault_n;
    const char *name;
};

static bool reader_fault(struct reader *r, const char *fmt, ...) PR_PRINTF(2, 3);

static bool reader_fault(struct reader *r, const char *fmt, ...) {
    int n = snprintf(r->fault, r->fault_n, "template %s: ", r->name);
    size_t used = n < 0 || (size_t)n >= r->fault_n ? 0 : (size_t)n;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->fault + used, r->fault_n - used, fmt, args);
    va_end(args);
    return false;
}

static char *copy_text(const char *text, size_t n) {
    char *copy = malloc(n + 1);
    pr_assert(copy);
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

static char *copy_member(const json_t *object, const char *name, const char *otherwise) {
    const char *text = json_string_value(json_object_get(object, name));
    text = text ? text : otherwise;
    return copy_text(text, strlen(text));
}

static uint64_t form_key(struct pr_span waba_id, struct pr_span name, struct pr_span language) {
    uint64_t key = XXH3_64bits(waba_id.n ? waba_id.p : "", waba_id.n);
    key = XXH3_64bits_withSeed(name.n ? name.p : "", name.n, key);
    return XXH3_64bits_withSeed(language.n ? language.p : "", language.n, key);
}

static bool text_add_hole(struct pr_form_text *text, const char *name, size_t n) {
    for (uint32_t i = 0; i < text->holes_n; i++) {
        if (strlen(text->hole[i].name) == n && memcmp(text->hole[i].name, name, n) == 0) {
            text->hole[i].times++;
            return true;
        }
    }
    if (text->holes_n == PR_HOLES_MAX) {
        return false;
    }
    text->hole[text->holes_n++] = (struct pr_hole){.name = copy_text(name, n), .times = 1};
    return true;
}

/* Counts characters outside {{…}} and collects what stands inside. */
static bool text_compile(struct reader *r, struct pr_form_text *text, const char *from) {
    for (const char *p = from; *p;) {
        const char *close = p[0] == '{' && p[1] == '{' ? strstr(p, "}}") : NULL;
        if (!close) {
            text->literal_chars += ((unsigned char)*p & 0xc0) != 0x80;
            p++;
            continue;
        }
        const char *name = p + 2;
        size_t n = (size_t)(close - name);
        while (n > 0 && *name == ' ') {
            name++;
            n--;
        }
        while (n > 0 && name[n - 1] == ' ') {
            n--;
        }
        if (n == 0 || !text_add_hole(text, name, n)) {
            return reader_fault(r, n == 0 ? "empty {{}} in a text" : "more than %d parameters in a text",
                                (int)PR_HOLES_MAX);
        }
        p = close + 2;
    }
    return true;
}

static int hole_order(const void *a, const void *b) {
    const struct pr_hole *x = a;
    const struct pr_hole *y = b;
    return (int)strtol(x->name, NULL, 10) - (int)strtol(y->name, NULL, 10);
}

/* Positional parameters are 1 to n without a gap; sorted, so that the i-th value belongs to hole i. */
static bool text_number(struct reader *r, struct pr_form_text *text) {
    qsort(text->hole, text->holes_n, sizeof text->hole[0], hole_order);
    for (uint32_t i = 0; i < text->holes_n; i++) {
        char *end = NULL;
        long number = strtol(text->hole[i].name, &end, 10);
        if (*end || number != (long)i + 1) {
            return reader_fault(r, "positional parameters must be {{1}}, {{2}}, … without a gap");
        }
    }
    return true;
}

static bool read_header(struct reader *r, struct pr_form *form, const json_t *component) {
    static const struct {
        const char *name;
        enum pr_form_header kind;
    } kinds[] = {{"TEXT", PR_FORM_TEXT},
                 {"IMAGE", PR_FORM_IMAGE},
                 {"VIDEO", PR_FORM_VIDEO},
                 {"DOCUMENT", PR_FORM_DOCUMENT},
                 {"LOCATION", PR_FORM_LOCATION}};
    const char *format = json_string_value(json_object_get(component, "format"));
    for (size_t i = 0; format && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcasecmp(format, kinds[i].name) == 0) {
            form->header_kind = kinds[i].kind;
        }
    }
    if (form->header_kind == PR_FORM_NONE) {
        return reader_fault(r, "header format \"%s\" is not known", format ? format : "");
    }
    const char *text = json_string_value(json_object_get(component, "text"));
    if (form->header_kind == PR_FORM_TEXT && text && !text_compile(r, &form->header, text)) {
        return false;
    }
    return form->header.holes_n <= 1 ? true : reader_fault(r, "a header has at most one parameter");
}

static enum pr_form_button button_kind(const char *type) {
    static const struct {
        const char *name;
        enum pr_form_button kind;
    } kinds[] = {{"QUICK_REPLY", PR_FORM_QUICK_REPLY}, {"URL", PR_FORM_URL}, {"PHONE_NUMBER", PR_FORM_PHONE},
                 {"COPY_CODE", PR_FORM_COPY_CODE},     {"OTP", PR_FORM_OTP}, {"FLOW", PR_FORM_FLOW},
                 {"CATALOG", PR_FORM_CATALOG},         {"MPM", PR_FORM_MPM}};
    for (size_t i = 0; type && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcasecmp(type, kinds[i].name) == 0) {
            return kinds[i].kind;
        }
    }
    return PR_FORM_OTHER;
}

static bool read_buttons(struct reader *r, struct pr_form *form, const json_t *buttons) {
    size_t i;
    json_t *button;
    if (json_array_size(buttons) > PR_BUTTONS_MAX) {
        return reader_fault(r, "more than %d buttons", (int)PR_BUTTONS_MAX);
    }
    json_array_foreach (buttons, i, button) {
        const char *url = json_string_value(json_object_get(button, "url"));
        struct pr_form_text text = {0};
        if (url && !text_compile(r, &text, url)) {
            return false;
        }
        form->button[i].kind = button_kind(json_string_value(json_object_get(button, "type")));
        form->button[i].has_hole = text.holes_n > 0;
        form->button[i].literal_chars = text.literal_chars;
        for (uint32_t hole = 0; hole < text.holes_n; hole++) {
            free(text.hole[hole].name);
        }
    }
    form->buttons_n = (uint32_t)json_array_size(buttons);
    return true;
}

static bool read_component(struct reader *r, struct pr_form *form, const json_t *component) {
    const char *type = json_string_value(json_object_get(component, "type"));
    if (!type) {
        return reader_fault(r, "a component has no type");
    }
    if (strcasecmp(type, "HEADER") == 0) {
        return read_header(r, form, component);
    }
    if (strcasecmp(type, "BODY") == 0) {
        const char *text = json_string_value(json_object_get(component, "text"));
        return text_compile(r, &form->body, text ? text : "");
    }
    if (strcasecmp(type, "BUTTONS") == 0) {
        return read_buttons(r, form, json_object_get(component, "buttons"));
    }
    return strcasecmp(type, "FOOTER") == 0 ? true : reader_fault(r, "component type %s is not known here", type);
}

static void text_free(struct pr_form_text *text) {
    for (uint32_t i = 0; i < text->holes_n; i++) {
        free(text->hole[i].name);
    }
}

static void form_free(struct pr_form *form) {
    text_free(&form->header);
    text_free(&form->body);
    free(form->waba_id);
    free(form->name);
    free(form->language);
    free(form->status);
    free(form->category);
    free(form);
}

static bool form_read(struct reader *r, struct pr_form *form, const json_t *object) {
    size_t i;
    json_t *component;
    json_array_foreach (json_object_get(object, "components"), i, component) {
        if (!read_component(r, form, component)) {
            return false;
        }
    }
    if (form->is_named) {
        return true;
    }
    return text_number(r, &form->header) && text_number(r, &form->body);
}

static struct pr_form *form_make(struct reader *r, const json_t *object, const char *waba_id) {
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *language = json_string_value(json_object_get(object, "language"));
    r->name = name ? name : "?";
    if (!name || !language) {
        (void)reader_fault(r, "name and language are required");
        return NULL;
    }
    struct pr_form *form = calloc(1, sizeof *form);
    pr_assert(form);
    form->waba_id = copy_member(object, "waba_id", waba_id);
    form->name = copy_member(object, "name", "");
    form->language = copy_member(object, "language", "");
    form->status = copy_member(object, "status", "APPROVED");
    form->category = copy_member(object, "category", "UTILITY");
    const char *format = json_string_value(json_object_get(object, "parameter_format"));
    form->is_named = format && strcasecmp(format, "NAMED") == 0;
    form->key = form_key(pr_span_of(form->waba_id), pr_span_of(form->name), pr_span_of(form->language));
    if (!form_read(r, form, object)) {
        form_free(form);
        return NULL;
    }
    return form;
}

static uint32_t *index_slot(const struct pr_catalogue *c, uint64_t key) {
    uint32_t i = (uint32_t)key & (c->index_n - 1);
    while (c->index[i] && c->form[c->index[i] - 1]->key != key) {
        i = (i + 1) & (c->index_n - 1);
    }
    return &c->index[i];
}

static void catalogue_grow(struct pr_catalogue *c) {
    c->room = c->room ? c->room * 2 : 16;
    c->form = realloc(c->form, c->room * sizeof *c->form);
    free(c->index);
    c->index_n = c->room * 4;
    c->index = calloc(c->index_n, sizeof *c->index);
    pr_assert(c->form && c->index);
    for (uint32_t i = 0; i < c->n; i++) {
        *index_slot(c, c->form[i]->key) = i + 1;
    }
}

static void catalogue_put(struct pr_catalogue *c, struct pr_form *form) {
    if (c->n == c->room) {
        catalogue_grow(c);
    }
    uint32_t *slot = index_slot(c, form->key);
    if (*slot) {
        form_free(c->form[*slot - 1]);
        c->form[*slot - 1] = form;
        return;
    }
    c->form[c->n++] = form;
    *slot = c->n;
}

bool pr_catalogue_add(struct pr_catalogue *catalogue, const json_t *list, const char *waba_id, char *fault,
                      size_t fault_n) {
    struct reader r = {.fault = fault, .fault_n = fault_n, .name = "?"};
    const json_t *data = json_object_get(list, "data");
    const json_t *array = data ? data : list;
    if (json_is_object(array)) {
        struct pr_form *one = form_make(&r, array, waba_id);
        if (one) {
            catalogue_put(catalogue, one);
        }
        return one != NULL;
    }
    if (!json_is_array(array)) {
        return reader_fault(&r, "expected {\"data\": [...]}, an array or one template");
    }
    size_t i;
    json_t *object;
    json_array_foreach (array, i, object) {
        struct pr_form *form = form_make(&r, object, waba_id);
        if (!form) {
            return false;
        }
        catalogue_put(catalogue, form);
    }
    return true;
}

static struct pr_form *find_key(const struct pr_catalogue *c, uint64_t key) {
    uint32_t number = *index_slot(c, key);
    return number ? c->form[number - 1] : NULL;
}

struct pr_form *pr_catalogue_find(const struct pr_catalogue *catalogue, struct pr_span waba_id, struct pr_span name,
                                  struct pr_span language) {
    if (catalogue->n == 0) {
        return NULL;
    }
    struct pr_form *form = waba_id.n ? find_key(catalogue, form_key(waba_id, name, language)) : NULL;
    return form ? form : find_key(catalogue, form_key(PR_SPAN(""), name, language));
}

uint32_t pr_catalogue_set_status(struct pr_catalogue *catalogue, const char *name, const char *language,
                                 const char *status) {
    uint32_t changed = 0;
    for (uint32_t i = 0; i < catalogue->n; i++) {
        struct pr_form *form = catalogue->form[i];
        if (strcmp(form->name, name) == 0 && (!language || strcmp(form->language, language) == 0)) {
            free(form->status);
            form->status = copy_text(status, strlen(status));
            changed++;
        }
    }
    return changed;
}

void pr_catalogue_free(struct pr_catalogue *catalogue) {
    for (uint32_t i = 0; i < catalogue->n; i++) {
        form_free(catalogue->form[i]);
    }
    free(catalogue->form);
    free(catalogue->index);
    *catalogue = (struct pr_catalogue){0};
}
