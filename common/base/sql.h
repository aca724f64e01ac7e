/* An SQL file inside a binary; cmake/Sql.cmake generates tables of these from schema/. */
#ifndef PR_BASE_SQL_H
#define PR_BASE_SQL_H

/* Both are static strings. `name` is the file's name without folder and ".sql"; a table ends with {NULL, NULL}. */
struct pr_sql_file {
    const char *name;
    const char *text;
};

#endif
