/* Rows as schema/queries/book.sql answers them, made without a server, so that tests can have any book. */
#ifndef PR_TESTS_BOOK_FIXTURE_H
#define PR_TESTS_BOOK_FIXTURE_H

#include "flow/book.h"
#include "pg/params.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOOK_COLUMNS = 11 };

static inline PGresult *rows_new(void) {
    static const struct {
        const char *name;
        Oid type;
    } columns[BOOK_COLUMNS] = {{"kind", PR_OID_INT4}, {"tenant", PR_OID_INT4}, {"id", PR_OID_INT4},
                               {"pool", PR_OID_INT4}, {"rate", 701},           {"a", PR_OID_TEXT},
                               {"b", PR_OID_TEXT},    {"c", PR_OID_TEXT},      {"d", PR_OID_TEXT},
                               {"e", PR_OID_TEXT},    {"f", PR_OID_TEXT}};
    PGresAttDesc description[BOOK_COLUMNS] = {0};
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    for (int i = 0; i < BOOK_COLUMNS; i++) {
        char *name = strdup(columns[i].name);
        if (!name) {
            abort();
        }
        description[i] = (PGresAttDesc){.name = name, .format = 1, .typid = columns[i].type, .typlen = -1};
    }
    if (!rows || !PQsetResultAttrs(rows, BOOK_COLUMNS, description)) {
        abort();
    }
    for (int i = 0; i < BOOK_COLUMNS; i++) {
        free(description[i].name);
    }
    return rows;
}

static inline void put_bytes(PGresult *rows, int row, int col, const void *p, size_t n) {
    char copy[8192]; /* libpq takes it as writable */
    if (n >= sizeof(copy)) {
        abort();
    }
    memcpy(copy, p, n);
    copy[n] = '\0';
    if (!PQsetvalue(rows, row, col, copy, (int)n)) {
        abort();
    }
}

static inline void put_int4(PGresult *rows, int row, int col, int32_t v) {
    uint32_t be = htobe32((uint32_t)v);
    put_bytes(rows, row, col, &be, sizeof(be));
}

static inline void put_row(PGresult *rows, int32_t kind, int32_t tenant, int32_t id, int32_t pool, double rate,
                           const char *const text[6]) {
    int row = PQntuples(rows);
    uint64_t bits;
    memcpy(&bits, &rate, sizeof(bits));
    bits = htobe64(bits);
    put_int4(rows, row, 0, kind);
    put_int4(rows, row, 1, tenant);
    put_int4(rows, row, 2, id);
    put_int4(rows, row, 3, pool);
    put_bytes(rows, row, 4, &bits, sizeof(bits));
    for (int i = 0; i < 6; i++) {
        const char *p = text[i] ? text[i] : "";
        put_bytes(rows, row, 5 + i, p, strlen(p));
    }
}

static inline void put_tenant(PGresult *rows, int32_t id, const char *name, const char *locale) {
    put_row(rows, 1, id, 0, 0, 0, (const char *const[6]){name, locale});
}

static inline void put_sender_as(PGresult *rows, int32_t tenant, int32_t id, int32_t pool, const char *name,
                                 const char *status) {
    put_row(rows, 2, tenant, id, pool, 80,
            (const char *const[6]){name, "cloud-api", "+551133330000", "1055", "token", status});
}

static inline void put_sender(PGresult *rows, int32_t tenant, int32_t id, int32_t pool, const char *name) {
    put_sender_as(rows, tenant, id, pool, name, "connected");
}

/* `status` stands in the row and in the definition; pass another definition's by put_template_row. */
static inline void put_template_row(PGresult *rows, int32_t tenant, int32_t id, const char *name, const char *language,
                                    const char *category, const char *status, const char *defined_status) {
    char definition[1024];
    enum pr_category number = PR_CATEGORY_UTILITY;
    if (!pr_category_parse(pr_span_of(category), &number)) {
        abort();
    }
    (void)snprintf(definition, sizeof(definition),
                   "{\"name\": \"%s\", \"language\": \"%s\", \"category\": \"%s\", \"status\": \"%s\", "
                   "\"components\": [{\"type\": \"BODY\", \"text\": \"Hello\"}]}",
                   name, language, category, defined_status);
    put_row(rows, 3, tenant, id, (int32_t)number, 0, (const char *const[6]){name, language, status, definition});
}

static inline void put_template(PGresult *rows, int32_t tenant, int32_t id, const char *name, const char *language,
                                const char *category, const char *status) {
    put_template_row(rows, tenant, id, name, language, category, status, status);
}

static inline void put_rule(PGresult *rows, int32_t tenant, int32_t position, const char *definition) {
    put_row(rows, 4, tenant, 0, 0, position, (const char *const[6]){"rule", definition});
}

/* Takes the rows. */
static inline struct pr_book *book_of(PGresult *rows) {
    struct pr_book *book = pr_book_new(rows);
    PQclear(rows);
    if (!book) {
        abort();
    }
    return book;
}

#endif
