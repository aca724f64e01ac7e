/* What the two files of the rule compiler share. */
#ifndef PR_CORE_RULE_PRIVATE_H
#define PR_CORE_RULE_PRIVATE_H

#include "core/compile.h"
#include "core/rule.h"

/* One compilation of one rule. */
struct pr_rule_builder {
    struct pr_compile c;
    struct pr_rule *rule;
};

/* "data." and at least one key, none empty. */
bool pr_rule_is_data_path(struct pr_span path) PR_MUST_CHECK;

/* A path, or a fault. */
bool pr_rule_take_path(const struct pr_rule_builder *b, const struct pr_place *at, const json_t *value,
                       struct pr_span *out) PR_MUST_CHECK;

/* The three keys that hold parameters. */
bool pr_rule_take_header(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) PR_MUST_CHECK;
bool pr_rule_take_body(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) PR_MUST_CHECK;
bool pr_rule_take_buttons(struct pr_rule_builder *b, const struct pr_place *at, json_t *value) PR_MUST_CHECK;

#endif
