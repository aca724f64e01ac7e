/* Waits with poll instead of in libpq, which knows no deadline. */
#include "pg/ask.h"

#include "base/clock.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

/* False: no answer by then, or the connection broke. */
static bool wait_for_answer(PGconn *pg, int64_t end_ns) {
    while (PQisBusy(pg)) {
        int64_t left_ms = (end_ns - pr_clock_mono_ns()) / 1000000;
        struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};
        if (left_ms < 0 || poll(&fd, 1, (int)left_ms) == 0 || !PQconsumeInput(pg)) {
            return false;
        }
    }
    return true;
}

PGresult *pr_pg_ask(PGconn *pg, const char *sql, int n, const char *const *values, int64_t within_ms) {
    int64_t end_ns = pr_clock_mono_ns() + within_ms * 1000000;
    if (!PQsendQueryParams(pg, sql, n, NULL, values, NULL, NULL, 0)) {
        return NULL;
    }
    if (!wait_for_answer(pg, end_ns) && PQsocket(pg) >= 0) {
        (void)shutdown(PQsocket(pg), SHUT_RDWR); /* so that libpq reads its end and says so in the result */
    }
    PGresult *answer = PQgetResult(pg);
    PGresult *more = NULL;
    while ((more = PQgetResult(pg)) != NULL) {
        PQclear(more);
    }
    return answer;
}
