/* Settings as one JSON document: the same keys from a file at the start and from the admin endpoint while running. */
#ifndef PR_SANDBOX_CONFIG_H
#define PR_SANDBOX_CONFIG_H

#include "sandbox.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * Applies what `object` says and leaves the rest as it is; numbers, portfolios and templates are added or changed by their names.
 * Template paths are taken from `folder` ("." at run time). False with `why`; what stood before the fault is in force.
 */
bool pr_config_apply(struct pr_sandbox *sandbox, const json_t *object, const char *folder, char *why, size_t why_n);

/* Reads a file and applies it. */
bool pr_config_load(struct pr_sandbox *sandbox, const char *path, char *why, size_t why_n);

/* Without a file: token "sandbox-token", number 106540352242922 (key "sandbox-key", 80 a second), portfolio of 10,000 people. */
bool pr_config_default(struct pr_sandbox *sandbox, char *why, size_t why_n);

/* Opens or closes service windows: {"to", "phone_number_id"?, "open_ms"?} or an array of them. */
bool pr_config_window(struct pr_sandbox *sandbox, const json_t *object, char *why, size_t why_n);

#endif
