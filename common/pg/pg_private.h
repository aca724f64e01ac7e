/* The connection's insides, shared by pg.c (statements) and pg_open.c (connecting); nobody else includes this. */
#ifndef PR_PG_PG_PRIVATE_H
#define PR_PG_PG_PRIVATE_H

#include "pg/pg.h"

enum { PR_PG_ERROR_BYTES = 512 };

/* Process numbers are used again, so the start goes with them; as text, as the server wrote it. Number 0: none yet. */
struct pr_pg_session {
    int pid;
    char start[48];
};

enum pr_pg_state {
    PR_PG_CLOSED,  /* waiting for retry_ns */
    PR_PG_OPENING, /* see enum pr_pg_step */
    PR_PG_READY,
};

/* Opening, in this order. The three steps of the probe are skipped when the server session is ours alone by its process number. */
enum pr_pg_step {
    PR_PG_STEP_CONNECT,
    PR_PG_STEP_IDENTIFY,      /* marks the session, asks its process number */
    PR_PG_STEP_PROBE_CONNECT, /* a second connection … */
    PR_PG_STEP_PROBE_HOLD, /* … opens a transaction, and with a transaction-mode pooler takes our session with it */
    PR_PG_STEP_RECHECK,    /* is the session still the one we marked? */
    PR_PG_STEP_END_LAST,   /* the session before this one may still be at work for us: it is ended first */
    PR_PG_STEP_CLEAN,      /* what a pooler's former client prepared */
    PR_PG_STEP_TIMEOUT,
    PR_PG_STEP_SETUP,
};

/* A statement name known to this connection. The server's name gets a serial, so that a statement can be prepared anew beside a stale one. */
struct pr_pg_name {
    const char *name;
    uint32_t serial;
    bool prepared; /* or its Parse is on the way */
};

/* A statement in flight. */
struct pr_pg_open {
    pr_pg_done *done;
    void *arg;
    PGresult *rows;  /* the command's result; proves nothing before the SYNC */
    PGresult *error; /* the first one */
    uint32_t name;   /* index */
    uint32_t serial;
    bool parses; /* carries its own Parse */
    bool parsed; /* which succeeded */
};

struct pr_pg {
    struct pr_pg_options options;
    PGconn *conn;
    PGconn *probe;
    enum pr_pg_state state;
    enum pr_pg_step step;
    PostgresPollingStatusType polling; /* CONNECT steps: what PQconnectPoll waits for */
    bool want_write;                   /* libpq has bytes that the socket did not take */
    bool broken; /* found while sending; torn down by the next pr_pg_timer, since done callbacks may be up the stack */
    int64_t retry_ns; /* CLOSED: when to try again */
    int64_t backoff_ms;
    int64_t open_until_ns;
    int64_t step_until_ns;
    int64_t head_since_ns;              /* when the oldest statement in flight became that */
    int rotation;                       /* how many hosts of conninfo are put last */
    struct pr_pg_session session, last; /* on the server: the present one, and one before it that is still to be ended */
    PGresult *answer;                   /* of the step's query so far */
    uint64_t socket;
    uint64_t generation;
    struct pr_pg_open *ring;
    uint32_t ring_first, ring_n;
    struct pr_pg_name names[PR_PG_NAMES_MAX];
    uint32_t names_n;
    char error[PR_PG_ERROR_BYTES];
};

/* Begins to connect. */
void pr_pg_open_begin(struct pr_pg *pg, int64_t now_ns);

/* The socket is ready, or was just opened: goes as far as it can without waiting. */
void pr_pg_open_advance(struct pr_pg *pg, int64_t now_ns);

/* A deadline of opening has passed, or may have. */
void pr_pg_open_timer(struct pr_pg *pg, int64_t now_ns);

/* The connection that the current step waits for. */
PGconn *pr_pg_open_conn(const struct pr_pg *pg);

/* Opening came to its end: statements may be sent. */
void pr_pg_opened(struct pr_pg *pg);

/* Decrypted bytes wait in OpenSSL, for which no socket event will come: read again. */
bool pr_pg_has_buffered(PGconn *conn);

/* Closes, notes why (made one line), plans the next try and fails what is in flight. */
void pr_pg_drop(struct pr_pg *pg, int64_t now_ns, const char *why);

#endif
