/* `postrider contact import` and `contact show`: people, their language, zone and tags. */
#include "command.h"
#include "import_batch.h"
#include "output.h"
#include "person.h"

#include "base/clock.h"
#include "base/container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCALE_MAX = 35, /* BCP 47's longest without extensions */
    TAGS_MAX = 64,
};

/* One person of the file. Spans are in the batch's arena; p NULL leaves the field alone. */
struct person {
    struct pr_address to;
    struct pr_span locale, zone, tags;
    int suppressed; /* -1: not given */
};

struct job {
    struct pr_batch batch;
    int to, locale, zone, tags, suppressed; /* columns */
    char **zones;                           /* sorted; only when there is a column of them */
    size_t zones_n;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The database's own list: what it takes is what quiet hours will be computed with. */
static bool load_zones(struct job *job) {
    PGresult *r = pr_db_query(job->batch.db, "select name from pg_timezone_names", 0, NULL);
    size_t n = r ? (size_t)PQntuples(r) : 0;
    job->zones = n ? calloc(n, sizeof(*job->zones)) : NULL;
    for (size_t i = 0; job->zones && i < n; i++) {
        job->zones[i] = strdup(PQgetvalue(r, (int)i, 0));
        if (job->zones[i]) {
            job->zones_n++;
        }
    }
    PQclear(r);
    if (!job->zones || job->zones_n != n) {
        pr_error("the database names no time zones, or memory ran out");
        return false;
    }
    qsort(job->zones, job->zones_n, sizeof(*job->zones), compare_names);
    return true;
}

static bool is_zone(const struct job *job, struct pr_span zone) {
    char name[64];
    const char *key = name;
    if (zone.n >= sizeof(name)) {
        return false;
    }
    memcpy(name, zone.p, zone.n);
    name[zone.n] = '\0';
    return bsearch(&key, job->zones, job->zones_n, sizeof(*job->zones), compare_names) != NULL;
}

static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The length of the run of letters (and digits) that `text` begins with. */
static size_t run_of(struct pr_span text, bool with_digits) {
    size_t n = 0;
    while (n < text.n && (is_alpha(text.p[n]) || (with_digits && text.p[n] >= '0' && text.p[n] <= '9'))) {
        n++;
    }
    return n;
}

/* "pt_BR", "pt-BR", "en", "es_419": two or three letters, then parts of two to eight letters or digits. */
static bool is_locale(struct pr_span text) {
    size_t n = run_of(text, false);
    bool is_fine = n >= 2 && n <= 3 && text.n <= LOCALE_MAX;
    for (text = pr_span_skip(text, n); is_fine && text.n > 0; text = pr_span_skip(text, n + 1)) {
        n = run_of(pr_span_skip(text, 1), true);
        is_fine = (text.p[0] == '_' || text.p[0] == '-') && n >= 2 && n <= 8;
    }
    return is_fine;
}

/* "vip  loja-1|sp" as "vip|loja-1|sp". */
static struct pr_span take_tags(struct job *job, struct pr_span text) {
    char *out = pr_arena_alloc(&job->batch.arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < text.n; i++) {
        bool is_gap = text.p[i] == ' ' || text.p[i] == '|';
        if (!is_gap) {
            out[n++] = text.p[i];
        } else if (n > 0 && out[n - 1] != '|') {
            out[n++] = '|';
        }
    }
    n -= n > 0 && out[n - 1] == '|';
    return pr_span_make(out, n);
}

static size_t tags_in(struct pr_span tags) {
    size_t n = tags.n > 0;
    for (size_t i = 0; i < tags.n; i++) {
        n += tags.p[i] == '|';
    }
    return n;
}

static int take_flag(struct pr_span text) {
    static const char *const yes[] = {"true", "yes", "1", "t", "y", NULL}, *const no[] = {"false", "no", "0",
                                                                                          "f",     "n",  NULL};
    for (int i = 0; yes[i]; i++) {
        if (text.n == strlen(yes[i]) && strncasecmp(text.p, yes[i], text.n) == 0) {
            return 1;
        }
        if (text.n == strlen(no[i]) && strncasecmp(text.p, no[i], text.n) == 0) {
            return 0;
        }
    }
    return -1;
}

static bool take_fields(struct job *job, const struct pr_csv_row *row, struct person *p) {
    struct pr_span locale = pr_import_field(row, job->locale), zone = pr_import_field(row, job->zone);
    struct pr_span tags = pr_import_field(row, job->tags), flag = pr_import_field(row, job->suppressed);
    p->suppressed = flag.p ? take_flag(flag) : -1;
    if (locale.p && !is_locale(locale)) {
        pr_import_reject(&job->batch.import, row, "locale: %.*s is not like pt_BR", PR_SPAN_ARG(locale));
        return false;
    }
    if (zone.p && !is_zone(job, zone)) {
        pr_import_reject(&job->batch.import, row, "zone: %.*s is not like America/Sao_Paulo", PR_SPAN_ARG(zone));
        return false;
    }
    if (flag.p && p->suppressed < 0) {
        pr_import_reject(&job->batch.import, row, "suppressed: %.*s is neither true nor false", PR_SPAN_ARG(flag));
        return false;
    }
    p->locale = locale.p ? pr_arena_copy(&job->batch.arena, locale) : locale;
    p->zone = zone.p ? pr_arena_copy(&job->batch.arena, zone) : zone;
    p->tags = tags.p ? take_tags(job, tags) : tags;
    if (tags_in(p->tags) > TAGS_MAX) {
        pr_import_reject(&job->batch.import, row, "tags: more than %d", TAGS_MAX);
        return false;
    }
    return true;
}

static bool take_person(struct pr_batch *batch, const struct pr_csv_row *row, void *item) {
    struct job *job = PR_CONTAINER_OF(batch, struct job, batch);
    struct person *p = item;
    return pr_batch_address(batch, row, job->to, &p->to) && take_fields(job, row, p) &&
           !pr_import_is_duplicate(&batch->import, row, pr_span_make(p->to.text, p->to.n));
}

static void put_people(struct pr_batch *batch, struct pr_params *params) {
    const struct person *people = (const void *)batch->items;
    pr_batch_put_addresses(batch, params, offsetof(struct person, to));
    pr_batch_put_texts(batch, params, offsetof(struct person, locale));
    pr_batch_put_texts(batch, params, offsetof(struct person, zone));
    pr_batch_put_texts(batch, params, offsetof(struct person, tags));
    pr_params_array(params, PR_OID_BOOL);
    for (size_t i = 0; i < batch->n; i++) {
        if (people[i].suppressed < 0) {
            pr_item_null(params);
        } else {
            pr_item_bool(params, people[i].suppressed == 1);
        }
    }
    pr_params_time(params, batch->at_us); /* none: now */
}

static bool begin(struct pr_batch *batch) {
    static const char *const locale[] = {"locale", "language", NULL}, *const tags[] = {"tags", "tag", NULL};
    static const char *const zone[] = {"zone", "time_zone", "timezone", NULL}, *const suppressed[] = {"suppressed",
                                                                                                      NULL};
    struct job *job = PR_CONTAINER_OF(batch, struct job, batch);
    const struct pr_import_column wanted[] = {{pr_import_to_names, true, &job->to},
                                              {locale, false, &job->locale},
                                              {zone, false, &job->zone},
                                              {tags, false, &job->tags},
                                              {suppressed, false, &job->suppressed}};
    return pr_import_columns(&batch->import, wanted, sizeof(wanted) / sizeof(wanted[0])) &&
           (job->zone < 0 || load_zones(job));
}

enum { CREATED, CHANGED, COUNTS };

static void print_counts(struct pr_batch *batch) {
    char n[5][PR_COUNT_TEXT];
    const struct pr_import *import = &batch->import;
    int64_t taken = import->rows - import->rejected - import->duplicates;
    int64_t created = batch->counts[CREATED], changed = batch->counts[CHANGED];
    printf("%s rows: %s contacts (%s new, %s changed, %s as they were)", pr_count(import->rows, n[0]),
           pr_count(taken, n[1]), pr_count(created, n[2]), pr_count(changed, n[3]),
           pr_count(taken - created - changed, n[4]));
    printf(", %s duplicates, %s rejected", pr_count(import->duplicates, n[0]), pr_count(import->rejected, n[1]));
}

static enum pr_exit run_import(struct pr_call *call) {
    static const struct pr_batch_kind people = {
        .item_bytes = sizeof(struct person),
        .sql = "select * from postrider.contact_import_v1($1, $2, $3, $4, $5, $6, $7)",
        .counts_n = COUNTS,
        .at_hint = "a time like 2026-08-01T12:00:00Z is needed",
        .at = pr_time_parse,
        .begin = begin,
        .take = take_person,
        .put = put_people,
        .print = print_counts,
    };
    struct job job = {.batch.kind = &people};
    enum pr_exit code = pr_batch_run(&job.batch, call);
    for (size_t i = 0; i < job.zones_n; i++) {
        free(job.zones[i]);
    }
    free(job.zones);
    return code;
}

const struct pr_command pr_command_contact_import = {
    .noun = "contact",
    .verb = "import",
    .summary = "Read contacts from a CSV file",
    .usage = "postrider contact import FILE.csv [--tenant NAME] [--default-country BR] [--rejects BAD.csv] [--at TIME] "
             "[--dry-run]\n\n"
             "Columns, by name in the first line: to (or phone, phone_number, whatsapp), locale, zone, tags (parted by "
             "spaces or |), suppressed.\n"
             "An empty field leaves what is stored. Separators , ; tab | are found out; UTF-8 only. The first row of a "
             "recipient counts.\n\n"
             "  --tenant NAME          whose contacts; not needed when there is one tenant\n"
             "  --default-country CC   completes national numbers, with the calling code of that country\n"
             "  --rejects FILE         writes the rows that were turned down there, each with its line and why\n"
             "  --at TIME              when the file was true (RFC 3339): what was stored later stays; default now\n"
             "  --dry-run              check and count, change nothing\n",
    .run = run_import,
};

static enum pr_exit show(PGconn *db, int32_t tenant, const struct pr_address *to, bool is_json) {
    static const struct pr_column columns[] = {
        {"contact", PR_COLUMN_NUMBER},  {"to", PR_COLUMN_TEXT},           {"locale", PR_COLUMN_TEXT},
        {"zone", PR_COLUMN_TEXT},       {"tags", PR_COLUMN_TEXT},         {"consent", PR_COLUMN_TEXT},
        {"suppressed", PR_COLUMN_JSON}, {"window_until", PR_COLUMN_TEXT}, {"updated_at", PR_COLUMN_TEXT}};
    enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
    char id[16];
    (void)snprintf(id, sizeof(id), "%d", (int)tenant);
    const char *const values[] = {id, to->text};
    PGresult *r = pr_db_query(
        db,
        "select id, address, locale, zone, array_to_string(tags, ' '), concat_ws(' ', case when consent & 1 <> 0 then "
        "'utility' end, "
        "case when consent & 2 <> 0 then 'marketing' end, case when consent & 4 <> 0 then 'authentication' end, "
        "case when consent & 8 <> 0 then 'service' end), is_suppressed::text, window_until, nullif(updated_at, "
        "'-infinity') "
        "from postrider.contact where tenant = $1::int and address = $2",
        2, values);
    if (!r) {
        return PR_EXIT_FAILED;
    }
    enum pr_exit code = PR_EXIT_NOTHING;
    if (PQntuples(r) == 0) {
        pr_error("there is no contact %s", to->text);
    } else {
        struct pr_table table;
        pr_table_init(&table, columns, COLUMNS);
        for (int i = 0; i < COLUMNS; i++) {
            pr_table_text(&table, pr_db_text(r, 0, i));
        }
        code = pr_table_print_long(&table, stdout, is_json) ? PR_EXIT_DONE : PR_EXIT_FAILED;
        pr_table_free(&table);
    }
    PQclear(r);
    return code;
}

static enum pr_exit run_show(struct pr_call *call) {
    return pr_person_run(call, show);
}

const struct pr_command pr_command_contact_show = {
    .noun = "contact",
    .verb = "show",
    .summary = "Show what is known of a contact",
    .usage = "postrider contact show --to +5511999990000 [--tenant NAME] [--json]\n\n"
             "  --to ADDRESS           number with '+' and country code, or user id\n"
             "  --tenant NAME          whose contact; not needed when there is one tenant\n"
             "  --json                 one object\n",
    .run = run_show,
};
