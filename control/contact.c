/* `postrider contact import` and `contact show`: people, their language, zone and tags. */
#include "command.h"
#include "db.h"
#include "import.h"
#include "output.h"

#include "base/clock.h"
#include "core/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 5000,
    BATCH_BYTES_MAX = 64 * 1024 * 1024,
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
    struct pr_import import;
    PGconn *db;
    int32_t tenant;
    struct pr_span country;
    int64_t at_us; /* PR_TIME_NONE: now */
    bool is_dry;
    int to, locale, zone, tags, suppressed; /* columns */
    char **zones;                           /* sorted; only when there is a column of them */
    size_t zones_n;
    struct person *people;
    size_t people_n;
    struct pr_arena arena;
    int64_t created, changed;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The database's own list: what it takes is what quiet hours will be computed with. */
static bool load_zones(struct job *job) {
    PGresult *r = pr_db_query(job->db, "select name from pg_timezone_names", 0, NULL);
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
    char *out = pr_arena_alloc(&job->arena, text.n + 1);
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
        pr_import_reject(&job->import, row, "locale: %.*s is not like pt_BR", PR_SPAN_ARG(locale));
        return false;
    }
    if (zone.p && !is_zone(job, zone)) {
        pr_import_reject(&job->import, row, "zone: %.*s is not like America/Sao_Paulo", PR_SPAN_ARG(zone));
        return false;
    }
    if (flag.p && p->suppressed < 0) {
        pr_import_reject(&job->import, row, "suppressed: %.*s is neither true nor false", PR_SPAN_ARG(flag));
        return false;
    }
    p->locale = locale.p ? pr_arena_copy(&job->arena, locale) : locale;
    p->zone = zone.p ? pr_arena_copy(&job->arena, zone) : zone;
    p->tags = tags.p ? take_tags(job, tags) : tags;
    if (tags_in(p->tags) > TAGS_MAX) {
        pr_import_reject(&job->import, row, "tags: more than %d", TAGS_MAX);
        return false;
    }
    return true;
}

/* False: the row was rejected. */
static bool take_person(struct job *job, const struct pr_csv_row *row, struct person *p) {
    const char *why = "";
    struct pr_span to = pr_import_field(row, job->to);
    if (!to.p) {
        pr_import_reject(&job->import, row, "to: is empty");
        return false;
    }
    if (!pr_address_import(to, job->country, &p->to, &why)) {
        pr_import_reject(&job->import, row, "to: %.*s: %s", PR_SPAN_ARG(to), why);
        return false;
    }
    if (!take_fields(job, row, p)) {
        return false;
    }
    return !pr_import_is_duplicate(&job->import, row, pr_span_make(p->to.text, p->to.n));
}

static void put_arrays(const struct job *job, struct pr_params *params) {
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < job->people_n; i++) {
        pr_item_text(params, pr_span_make(job->people[i].to.text, job->people[i].to.n));
    }
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < job->people_n; i++) {
        pr_item_text(params, job->people[i].locale);
    }
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < job->people_n; i++) {
        pr_item_text(params, job->people[i].zone);
    }
    pr_params_array(params, PR_OID_TEXT);
    for (size_t i = 0; i < job->people_n; i++) {
        pr_item_text(params, job->people[i].tags);
    }
    pr_params_array(params, PR_OID_BOOL);
    for (size_t i = 0; i < job->people_n; i++) {
        if (job->people[i].suppressed < 0) {
            pr_item_null(params);
        } else {
            pr_item_bool(params, job->people[i].suppressed == 1);
        }
    }
}

static bool flush(struct job *job) {
    if (job->people_n == 0) {
        return true;
    }
    struct pr_params params;
    pr_params_init(&params, 2 * BATCH_BYTES_MAX);
    pr_params_int4(&params, job->tenant);
    put_arrays(job, &params);
    pr_params_time(&params, job->at_us);
    bool ok = pr_db_run(job->db, "begin");
    PGresult *r = ok ? pr_db_query_params(
                           job->db, "select * from postrider.contact_import_v1($1, $2, $3, $4, $5, $6, $7)", &params)
                     : NULL;
    ok = r && pr_db_run(job->db, job->is_dry ? "rollback" : "commit");
    if (ok) {
        job->created += pr_db_int(r, 0, 0);
        job->changed += pr_db_int(r, 0, 1);
    }
    PQclear(r);
    pr_params_free(&params);
    job->people_n = 0;
    pr_arena_reset(&job->arena);
    return ok;
}

static bool import_rows(struct job *job) {
    struct pr_csv_row row;
    while (pr_import_next(&job->import, &row)) {
        if (take_person(job, &row, &job->people[job->people_n])) {
            job->people_n++;
        }
        if (job->arena.failed || job->import.failed) {
            pr_error("stopped on line %lld", (long long)row.line);
            return false;
        }
        if (job->people_n == BATCH && !flush(job)) {
            return false;
        }
    }
    return flush(job);
}

static bool find_columns(struct job *job) {
    static const char *const locale[] = {"locale", "language", NULL}, *const zone[] = {"zone", "time_zone", "timezone",
                                                                                       NULL};
    static const char *const tags[] = {"tags", "tag", NULL}, *const suppressed[] = {"suppressed", NULL};
    struct pr_import *import = &job->import;
    if (!pr_import_column(import, pr_import_to_names, true, &job->to) ||
        !pr_import_column(import, locale, false, &job->locale) || !pr_import_column(import, zone, false, &job->zone) ||
        !pr_import_column(import, tags, false, &job->tags) ||
        !pr_import_column(import, suppressed, false, &job->suppressed)) {
        return false;
    }
    const int known[] = {job->to, job->locale, job->zone, job->tags, job->suppressed};
    pr_import_note_unknown(import, known, sizeof(known) / sizeof(known[0]));
    return true;
}

static void print_counts(const struct job *job) {
    char n[5][PR_COUNT_TEXT];
    int64_t taken = job->import.rows - job->import.rejected - job->import.duplicates;
    printf("%s rows: %s contacts (%s new, %s changed, %s as they were)", pr_count(job->import.rows, n[0]),
           pr_count(taken, n[1]), pr_count(job->created, n[2]), pr_count(job->changed, n[3]),
           pr_count(taken - job->created - job->changed, n[4]));
    printf(", %s duplicates, %s rejected", pr_count(job->import.duplicates, n[0]), pr_count(job->import.rejected, n[1]));
    if (job->import.rejects_path && job->import.rejected > 0) {
        printf(" (%s)", job->import.rejects_path);
    }
    puts(job->is_dry ? ". Nothing was changed: --dry-run" : "");
}

static enum pr_exit import_file(struct job *job) {
    if (!pr_import_open(&job->import)) {
        return PR_EXIT_FAILED;
    }
    job->people = calloc(BATCH, sizeof(*job->people));
    pr_arena_init(&job->arena, BATCH_BYTES_MAX);
    bool ok = job->people && find_columns(job) && (job->zone < 0 || load_zones(job)) && import_rows(job);
    ok = pr_import_close(&job->import) && ok;
    for (size_t i = 0; i < job->zones_n; i++) {
        free(job->zones[i]);
    }
    free(job->zones);
    free(job->people);
    pr_arena_free(&job->arena);
    if (ok || job->created + job->changed > 0) {
        print_counts(job);
    }
    if (!ok) {
        return PR_EXIT_FAILED;
    }
    return job->import.rejected > 0 ? PR_EXIT_REJECTS : PR_EXIT_DONE;
}

static enum pr_exit run_import(struct pr_call *call) {
    struct job job = {.at_us = PR_TIME_NONE};
    const char *tenant = NULL, *country = "", *at = NULL;
    const struct pr_option options[] = {{"tenant", PR_OPTION_TEXT, &tenant, 0, 0},
                                        {"default-country", PR_OPTION_TEXT, &country, 0, 0},
                                        {"rejects", PR_OPTION_TEXT, &job.import.rejects_path, 0, 0},
                                        {"at", PR_OPTION_TEXT, &at, 0, 0},
                                        {"dry-run", PR_OPTION_FLAG, &job.is_dry, 0, 0},
                                        {0}};
    if (!pr_call_options(call, options, 1, 1)) {
        return PR_EXIT_USAGE;
    }
    if (at && !pr_time_parse(pr_span_of(at), &job.at_us)) {
        return pr_usage_error(call, "--at %s: a time like 2026-08-01T12:00:00Z is needed", at);
    }
    job.country = pr_span_of(country);
    if (job.country.n != 0 && job.country.n != 2) {
        return pr_usage_error(call, "--default-country %s: two letters of ISO 3166 are needed, like BR", country);
    }
    job.import.path = call->argv[0];
    job.db = pr_db_open_ready(call->db);
    job.tenant = job.db ? pr_db_tenant(job.db, tenant, NULL) : 0;
    enum pr_exit code = job.tenant > 0 ? import_file(&job) : PR_EXIT_FAILED;
    PQfinish(job.db);
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
    const char *tenant = NULL, *to = NULL;
    bool is_json = false;
    const struct pr_option options[] = {{"to", PR_OPTION_TEXT, &to, 0, 0},
                                        {"tenant", PR_OPTION_TEXT, &tenant, 0, 0},
                                        {"json", PR_OPTION_FLAG, &is_json, 0, 0},
                                        {0}};
    struct pr_address address;
    if (!pr_call_options(call, options, 0, 0)) {
        return PR_EXIT_USAGE;
    }
    if (!to || !pr_address_parse(pr_span_of(to), &address)) {
        return pr_usage_error(call, "--to: a number with '+' and country code, or a user id, is needed");
    }
    PGconn *db = pr_db_open_ready(call->db);
    int32_t id = db ? pr_db_tenant(db, tenant, NULL) : 0;
    enum pr_exit code = id > 0 ? show(db, id, &address, is_json) : PR_EXIT_FAILED;
    PQfinish(db);
    return code;
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
