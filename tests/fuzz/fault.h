/* What every fault of a compiler must be, whatever it was given: something to read that the database can store. */
#ifndef PR_TESTS_FUZZ_FAULT_H
#define PR_TESTS_FUZZ_FAULT_H

#include "base/check.h"
#include "core/template.h"
#include "core/utf8.h"

static inline void check_fault(const struct pr_template_fault *fault) {
    pr_assert(fault->text[0] != '\0');
    pr_assert(pr_utf8_valid(pr_span_of(fault->path)));
    pr_assert(pr_utf8_valid(pr_span_of(fault->text)));
}

#endif
