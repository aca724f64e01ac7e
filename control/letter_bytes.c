/* One dead letter with key, value and headers, byte for byte. */
#include "letter.h"

#include "core/record.h"

#include <stdlib.h>

static const char load_sql[] = "select t.name, l.key, l.value, case when isfinite(l.kafka_at) then (extract(epoch from "
                               "l.kafka_at) * 1000)::bigint end, l.redrives\n"
                               "from postrider.dead_letter l join postrider.topic t on t.id = l.topic\n"
                               "where l.day = $1::date and l.topic = $2::int and l.part = $3::int and l.off = "
                               "$4::bigint and l.redriven_at is null and l.purged_at is null";

static const char headers_sql[] =
    "select h.name, h.value from postrider.dead_letter l, unnest(l.header_names, l.header_values) with ordinality as h "
    "(name, value, n)\n"
    "where l.day = $1::date and l.topic = $2::int and l.part = $3::int and l.off = $4::bigint order by h.n";

unsigned char *pr_letter_bytes(const PGresult *r, int row, int col, struct pr_span *bytes) {
    size_t n = 0;
    unsigned char *p =
        PQgetisnull(r, row, col) ? NULL : PQunescapeBytea((const unsigned char *)PQgetvalue(r, row, col), &n);
    *bytes = pr_span_make(p, n);
    return p;
}

PGresult *pr_letter_headers(PGconn *db, const char *const key[4]) {
    return pr_db_query(db, headers_sql, 4, key);
}

/* Names and values stand in turns in header_bytes. */
static bool take_headers(struct pr_letter *letter) {
    size_t n = (size_t)PQntuples(letter->headers_rows);
    letter->headers = calloc(n + 1, sizeof *letter->headers);
    letter->header_bytes = calloc(2 * n + 1, sizeof *letter->header_bytes);
    if (!letter->headers || !letter->header_bytes) {
        pr_error("no memory");
        return false;
    }
    letter->headers_n = n;
    for (size_t i = 0; i < n; i++) {
        struct pr_header *header = &letter->headers[i];
        letter->header_bytes[2 * i] = pr_letter_bytes(letter->headers_rows, (int)i, 0, &header->name);
        letter->header_bytes[2 * i + 1] = pr_letter_bytes(letter->headers_rows, (int)i, 1, &header->value);
    }
    return true;
}

enum pr_exit pr_letter_load(PGconn *db, const char *const key[4], struct pr_letter *out) {
    *out = (struct pr_letter){.row = pr_db_query(db, load_sql, 4, key)};
    if (!out->row || PQntuples(out->row) == 0) {
        return out->row ? PR_EXIT_NOTHING : PR_EXIT_FAILED;
    }
    out->headers_rows = pr_letter_headers(db, key);
    out->topic = pr_db_text(out->row, 0, 0);
    out->key_bytes = pr_letter_bytes(out->row, 0, 1, &out->key);
    out->value_bytes = pr_letter_bytes(out->row, 0, 2, &out->value);
    out->kafka_ms = pr_db_int(out->row, 0, 3);
    out->redrives = pr_db_int(out->row, 0, 4);
    return out->headers_rows && take_headers(out) ? PR_EXIT_DONE : PR_EXIT_FAILED;
}

void pr_letter_free(struct pr_letter *letter) {
    for (size_t i = 0; i < 2 * letter->headers_n; i++) {
        PQfreemem(letter->header_bytes[i]);
    }
    free(letter->header_bytes);
    free(letter->headers);
    PQfreemem(letter->key_bytes);
    PQfreemem(letter->value_bytes);
    PQclear(letter->headers_rows);
    PQclear(letter->row);
    *letter = (struct pr_letter){0};
}
