/* Commands that show one person: `--to ADDRESS [--tenant NAME] [--json]`. */
#ifndef PR_CONTROL_PERSON_H
#define PR_CONTROL_PERSON_H

#include "base/attr.h"
#include "command.h"
#include "core/address.h"
#include "db.h"

#include <stdbool.h>
#include <stdint.h>

/* Shows what there is of `to` in a tenant, on stdout. */
typedef enum pr_exit pr_person_show(PGconn *db, int32_t tenant, const struct pr_address *to, bool is_json);

/* Reads the options of `call`, finds the tenant and shows. */
enum pr_exit pr_person_run(struct pr_call *call, pr_person_show *show) PR_MUST_CHECK;

/* What --to has to be, for the message about another. */
#define PR_PERSON_TO_HINT "--to: a number with '+' and country code, or a user id, is needed"

#endif
