/* Portions and rests as arithmetic: what others suffer from a portion is its length, and a rest in proportion to it follows the database's speed. */
#include "flow/portion.h"

#include "base/check.h"

void pr_portion_begin(struct pr_portion *portion, int64_t now_ns) {
    if (portion->open == 0) {
        portion->begun_ns = now_ns;
    }
    portion->begun++;
    portion->open++;
}

void pr_portion_end(struct pr_portion *portion, int64_t now_ns) {
    pr_assert(portion->open > 0);
    if (--portion->open > 0) {
        return;
    }
    int64_t rest_ns = (now_ns - portion->begun_ns) * PR_PORTION_REST;
    portion->next_ns = now_ns + (rest_ns < PR_PORTION_REST_MAX_NS ? rest_ns : PR_PORTION_REST_MAX_NS);
    portion->begun = 0;
}

bool pr_portion_may_take(const struct pr_portion *portion, int64_t now_ns) {
    bool has_room = portion->begun < PR_PORTION_JOBS || now_ns - portion->begun_ns >= PR_PORTION_STUCK_NS;
    return has_room && now_ns >= portion->next_ns;
}
