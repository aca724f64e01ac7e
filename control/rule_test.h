/* The parts of `postrider rule test`: what would become of one event. */
#ifndef PR_CONTROL_RULE_TEST_H
#define PR_CONTROL_RULE_TEST_H

#include "rule_view.h"

#include "core/address.h"
#include "core/identity.h"
#include "core/record.h"
#include "core/render.h"

/* One test. Everything lives in the catalog's arena. */
struct pr_rule_test {
    struct pr_catalog catalog;
    PGconn *db; /* NULL: from files only */
    const char *tenant_option;
    bool wants_body;
    int64_t now_us;
    struct pr_record record;
    struct pr_catalog_business *business; /* NULL when only rules and templates were given */
    struct pr_rule_view view;
    const struct pr_rule *rule; /* of the view */
    int rank;
    struct pr_address to;
    struct pr_identity identity;
    struct pr_template_choice choice;
    struct pr_filled filled;
    const struct pr_sender *sender; /* of the view; NULL when not known offline */
};

/*
 * What the database says about the person and the pool, as one line: "would send from …", "would wait …" or "would
 * not be sent: …". False when the event would be refused (or, after a message, when the database could not be
 * asked).
 */
bool pr_rule_test_facts(struct pr_rule_test *test) PR_MUST_CHECK;

/* The contact's own locale; p NULL when there is none. False after a message. */
bool pr_rule_test_locale(struct pr_rule_test *test, struct pr_span *locale) PR_MUST_CHECK;

#endif
