/* What business.json, templates.json, rules.json and the database say: read, compiled, checked against each other. */
#ifndef PR_CONTROL_CATALOG_H
#define PR_CONTROL_CATALOG_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "core/compile.h"
#include "core/rule.h"
#include "core/template.h"

#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct pr_catalog_file {
    STAILQ_ENTRY(pr_catalog_file) next;
    const char *path;    /* as given on the command line */
    struct pr_span text; /* NUL-terminated; in the arena */
    json_t *root;
};

struct pr_catalog_sender {
    struct pr_span name, address, account, waba, provider, secret; /* account and waba may be empty */
    double rate;                                                   /* messages a second */
    bool is_of_file;                                               /* else only of the database */
    bool is_connected;                                             /* as the database says; true when it does not */
    int32_t id, pool;                                              /* of their rows; 0 when there are none (yet) */
};

enum { PR_CATALOG_CAPS_MAX = 4 };

struct pr_catalog_cap {
    int32_t n, seconds;
};

/* What a business.json asks for in one category; nothing where it says nothing. */
struct pr_catalog_policy {
    size_t caps_n;
    struct pr_catalog_cap caps[PR_CATALOG_CAPS_MAX];
    int32_t quiet_from, quiet_to; /* minutes of the day; -1: none */
};

/* A tenant: of a business.json, or of the database. */
struct pr_catalog_business {
    STAILQ_ENTRY(pr_catalog_business) next;
    const struct pr_catalog_file *file; /* NULL: of the database */
    int32_t id;                         /* of its row; 0 when there is none (yet) */
    bool is_named;                      /* a file of this call is about it */
    struct pr_span tenant, name, locale, time_zone, country;
    struct pr_span pool, tier;
    int32_t people_max; /* 0: unlimited */
    int32_t reserve_pct;
    struct pr_catalog_policy policy[PR_CATEGORIES]; /* of a file only */
    size_t senders_n;
    struct pr_catalog_sender *senders;
};

struct pr_catalog_template {
    STAILQ_ENTRY(pr_catalog_template) next;
    const struct pr_catalog_file *file; /* NULL: of the database */
    struct pr_span tenant;              /* p NULL until pr_catalog_assign */
    char prefix[32];                    /* "data[3]" */
    struct pr_span definition;
    struct pr_template tpl;
    bool is_compiled; /* else `fault` says why not; only name and language are there */
    struct pr_template_fault fault;
};

struct pr_catalog_rule {
    STAILQ_ENTRY(pr_catalog_rule) next;
    const struct pr_catalog_file *file; /* NULL: of the database */
    struct pr_span tenant;
    char prefix[32];      /* "rules[3]" */
    struct pr_span where; /* "rules.json:5" */
    struct pr_span file_name;
    int32_t position; /* in its file, from 0 */
    struct pr_span definition;
    struct pr_rule rule;
};

/* A tenant whose rules a file gives, also when it gives none: what is absent is removed. */
struct pr_catalog_ruled {
    STAILQ_ENTRY(pr_catalog_ruled) next;
    const struct pr_catalog_file *file;
    struct pr_span tenant;
};

/* Everything lives in the arena until pr_catalog_free. One thread. */
struct pr_catalog {
    struct pr_arena arena;
    STAILQ_HEAD(, pr_catalog_file) files;
    STAILQ_HEAD(, pr_catalog_business) businesses;
    STAILQ_HEAD(, pr_catalog_template) templates;
    STAILQ_HEAD(, pr_catalog_rule) rules;
    STAILQ_HEAD(, pr_catalog_ruled) ruled;
    struct pr_buf faults; /* "file:line: field: what", a line each */
    struct pr_buf notes;  /* the same, for what does not stop anything */
    unsigned faults_n;
    unsigned left_out; /* templates of files that do not compile and no rule names */
    bool is_complete;  /* the database was looked at: what is not here is nowhere */
};

void pr_catalog_init(struct pr_catalog *catalog);
void pr_catalog_free(struct pr_catalog *catalog);

/* Reads a file of any of the three kinds; what is wrong becomes faults. `path` must outlive the catalog. */
void pr_catalog_read(struct pr_catalog *catalog, const char *path);

/* catalog_business.c: takes a business object; for pr_catalog_read. */
void pr_catalog_take_business(struct pr_catalog *catalog, const struct pr_catalog_file *file);

/* A fault for every key of `object` that is not one of `known` (ended by NULL); catalog_business.c. */
void pr_catalog_check_keys(struct pr_catalog *catalog, const struct pr_catalog_file *file,
                           const struct pr_place *parent, json_t *object, const char *const *known);

/* catalog_policy.c: its policy, which may be absent. */
void pr_catalog_take_policy(struct pr_catalog *catalog, const struct pr_catalog_file *file,
                            struct pr_catalog_business *business);

/*
 * Gives the templates whose file names no tenant to one: `option` (--tenant, NULL: not given), or the only one of
 * the business files, of the rules files, of the database. A fault when there is none of them.
 */
void pr_catalog_assign(struct pr_catalog *catalog, const char *option);

/*
 * catalog_db.c: adds from the database every tenant with its senders (before pr_catalog_assign); then the
 * templates and rules that the files do not replace, of the tenants that the files are about, or of all. False
 * after a message.
 */
bool pr_catalog_load_tenants(struct pr_catalog *catalog, PGconn *db) PR_MUST_CHECK;
bool pr_catalog_load_rest(struct pr_catalog *catalog, PGconn *db, bool is_all) PR_MUST_CHECK;

/*
 * Checks rules, templates and senders against each other: faults and notes. Templates that do not compile and no
 * rule names are left out.
 */
void pr_catalog_check(struct pr_catalog *catalog);

/* A fault (or a note) at `path` of a file: "file:line: path: text". `file` NULL: "database: …". */
void pr_catalog_fault(struct pr_catalog *catalog, const struct pr_catalog_file *file, const char *path, const char *fmt,
                      ...) PR_PRINTF(4, 5);
void pr_catalog_note(struct pr_catalog *catalog, const struct pr_catalog_file *file, const char *path, const char *fmt,
                     ...) PR_PRINTF(4, 5);

/* Prints notes and faults on stderr; false when there are faults, or memory ran out. */
bool pr_catalog_report(const struct pr_catalog *catalog) PR_MUST_CHECK;

/* The tenant by name, a file's before the database's; NULL: unknown. */
struct pr_catalog_business *pr_catalog_find(const struct pr_catalog *catalog, struct pr_span tenant);

/*
 * Whether a file of the catalog gives this template, or the rules of this tenant, so that the database's are
 * replaced.
 */
bool pr_catalog_has_template(const struct pr_catalog *catalog, struct pr_span tenant, struct pr_span name,
                             struct pr_span language);
bool pr_catalog_has_rules(const struct pr_catalog *catalog, struct pr_span tenant);

#endif
