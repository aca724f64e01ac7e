/* The sandbox's HTTP/1.1 server: keep-alive, one request of a connection at a time, answers that wait, and ends made on purpose. */
#ifndef PR_SANDBOX_HTTP_H
#define PR_SANDBOX_HTTP_H

#include "answer.h"
#include "head.h"
#include "sandbox.h"

#include <stdbool.h>
#include <stdint.h>

struct pr_server;

/* Builds the answer of one whole request. */
typedef void pr_http_handler(struct pr_sandbox *sandbox, const struct pr_request *request, struct pr_answer *answer);

/* NULL on want of memory. */
struct pr_server *pr_server_new(struct pr_sandbox *sandbox, pr_http_handler *handler);

/*
 * Listens on "ADDRESS:PORT" ("127.0.0.1:0", "[::1]:8080"); port 0 takes a free one. Returns the port, or -1 with `why`. An `is_admin`
 * listener is not closed by pr_server_set_accepting. May be called several times.
 */
int pr_server_listen(struct pr_server *server, const char *address, bool is_admin, char *why, size_t why_n);

/* Closes the listeners (then connecting is refused) or opens them again on their ports. Open connections live on. False: could not. */
bool pr_server_set_accepting(struct pr_server *server, bool accepting);

/* Ends every connection on which a message waits for its answer (`all`: every one but the caller's). Returns how many. */
uint32_t pr_server_cut(struct pr_server *server, bool by_reset, bool all);

void pr_server_free(struct pr_server *server);

#endif
