/* Tests of the gate: one job a person and one an id, in order of arrival; by hand, and at random against all pairs of jobs. */
#include "gate/gate.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct pr_tenant shop = {.id = 1}, other_shop = {.id = 2};
static struct pr_gate gate;
static struct pr_job_list passed;

static int set_up(void **state) {
    (void)state;
    pr_gate_init(&gate);
    TAILQ_INIT(&passed);
    return 0;
}

/* Every test leaves the gate empty; one that failed in the middle is not worth an abort. */
static int tear_down(void **state) {
    (void)state;
    if (gate.table[0] || gate.table[1] || gate.waiting > 0) {
        return -1;
    }
    pr_gate_free(&gate);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Only what the gate looks at. `person` 0: no recipient. */
static struct pr_job job_of(const struct pr_tenant *tenant, unsigned person, unsigned id) {
    struct pr_job job = {.tenant = tenant};
    if (person > 0) {
        job.to.n = (uint8_t)snprintf(job.to.text, sizeof(job.to.text), "+55119%08u", person);
    }
    memcpy(job.identity.id.b, &id, sizeof(id));
    return job;
}

static struct pr_job *next_passed(void) {
    struct pr_job *job = TAILQ_FIRST(&passed);
    if (job) {
        assert_true(job->is_queued && job->is_entered);
        TAILQ_REMOVE(&passed, job, queue);
        job->is_queued = false;
    }
    return job;
}

/* What leaves lets exactly this one through; NULL: nobody. */
static void leave(struct pr_job *job, const struct pr_job *through) {
    pr_gate_leave(&gate, job, &passed);
    assert_false(job->is_entered || job->is_queued || job->gate_wait || job->gate_keys[0] || job->gate_keys[1]);
    assert_ptr_equal(next_passed(), through);
    assert_true(TAILQ_EMPTY(&passed));
}

static void people_pass_beside_each_other(void **state) {
    struct pr_job a = job_of(&shop, 1, 1), b = job_of(&shop, 2, 2), c = job_of(&other_shop, 1, 3);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &c), PR_GATE_PASSED); /* the same number at another business */
    assert_int_equal(gate.waiting, 0);
    assert_false(a.is_queued); /* the caller puts it where it goes */
    leave(&b, NULL);
    leave(&a, NULL);
    leave(&c, NULL);
}

static void jobs_of_a_person_pass_one_by_one_in_their_order(void **state) {
    struct pr_job job[5];
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        job[i] = job_of(&shop, 7, i + 1);
        assert_int_equal(pr_gate_enter(&gate, &job[i]), i == 0 ? PR_GATE_PASSED : PR_GATE_WAITS);
        assert_int_equal(gate.waiting, i);
    }
    for (unsigned i = 0; i < 5; i++) {
        leave(&job[i], i < 4 ? &job[i + 1] : NULL);
    }
}

static void one_id_for_two_people_passes_one_by_one(void **state) {
    struct pr_job a = job_of(&shop, 1, 9), b = job_of(&shop, 2, 9), c = job_of(&shop, 3, 9);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_WAITS);
    assert_int_equal(pr_gate_enter(&gate, &c), PR_GATE_WAITS);
    leave(&a, &b);
    leave(&b, &c);
    leave(&c, NULL);
}

static void a_redelivered_record_waits_for_the_first(void **state) {
    struct pr_job a = job_of(&shop, 1, 9), again = job_of(&shop, 1, 9);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &again), PR_GATE_WAITS);
    leave(&a, &again);
    leave(&again, NULL);
}

static void who_waits_for_both_keys_passes_with_the_second(void **state) {
    struct pr_job person = job_of(&shop, 1, 1), id = job_of(&shop, 2, 2), both = job_of(&shop, 1, 2);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &person), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &id), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &both), PR_GATE_WAITS);
    leave(&person, NULL);
    assert_int_equal(gate.waiting, 1);
    leave(&id, &both);
    leave(&both, NULL);
}

static void who_waits_for_both_keys_passes_in_the_other_order_too(void **state) {
    struct pr_job person = job_of(&shop, 1, 1), id = job_of(&shop, 2, 2), both = job_of(&shop, 1, 2);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &person), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &id), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &both), PR_GATE_WAITS);
    leave(&id, NULL);
    leave(&person, &both);
    leave(&both, NULL);
}

static void one_that_leaves_may_let_two_through(void **state) {
    struct pr_job a = job_of(&shop, 1, 1), same_person = job_of(&shop, 1, 2), same_id = job_of(&shop, 2, 1);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &same_person), PR_GATE_WAITS);
    assert_int_equal(pr_gate_enter(&gate, &same_id), PR_GATE_WAITS);
    pr_gate_leave(&gate, &a, &passed);
    const struct pr_job *first = next_passed(), *second = next_passed();
    assert_true((first == &same_person && second == &same_id) || (first == &same_id && second == &same_person));
    assert_null(next_passed());
    leave(&same_person, NULL);
    leave(&same_id, NULL);
}

static void who_gives_up_in_the_middle_of_the_line_lets_nobody_through(void **state) {
    struct pr_job a = job_of(&shop, 1, 1), b = job_of(&shop, 1, 2), c = job_of(&shop, 1, 3);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_WAITS);
    assert_int_equal(pr_gate_enter(&gate, &c), PR_GATE_WAITS);
    leave(&b, NULL);
    assert_int_equal(gate.waiting, 1);
    leave(&a, &c);
    leave(&c, NULL);
}

/* `held` has one key and waits for the other; what it has goes to the next in that line. */
static void who_gives_up_holding_one_key_hands_it_on(void **state) {
    struct pr_job a = job_of(&shop, 1, 1), b = job_of(&shop, 2, 2), held = job_of(&shop, 1, 2);
    struct pr_job person_next = job_of(&shop, 1, 3), id_next = job_of(&shop, 3, 2);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &held), PR_GATE_WAITS);
    assert_int_equal(pr_gate_enter(&gate, &person_next), PR_GATE_WAITS);
    assert_int_equal(pr_gate_enter(&gate, &id_next), PR_GATE_WAITS);
    leave(&held, NULL);
    leave(&a, &person_next);
    leave(&b, &id_next);
    leave(&person_next, NULL);
    leave(&id_next, NULL);
}

static void a_job_that_left_may_enter_again_behind_the_others(void **state) {
    struct pr_job a = job_of(&shop, 1, 1), b = job_of(&shop, 1, 2);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_WAITS);
    leave(&a, &b);
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_WAITS);
    leave(&b, &a);
    leave(&a, NULL);
}

static void those_without_a_recipient_wait_for_their_id_only(void **state) {
    struct pr_job a = job_of(&shop, 0, 1), b = job_of(&shop, 0, 2), again = job_of(&shop, 0, 1);
    struct pr_job no_tenant = job_of(NULL, 4, 4), with = job_of(&shop, 5, 1);
    (void)state;
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &no_tenant), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &again), PR_GATE_WAITS);
    assert_int_equal(pr_gate_enter(&gate, &with), PR_GATE_WAITS);
    leave(&b, NULL);
    leave(&no_tenant, NULL);
    pr_gate_leave(&gate, &a, &passed);
    struct pr_job *first = next_passed();
    assert_null(next_passed());
    assert_true(first == &again || first == &with);
    leave(first, first == &again ? &with : &again);
    leave(first == &again ? &with : &again, NULL);
}

static void an_id_is_known_while_its_job_holds_or_waits(void **state) {
    struct pr_job a = job_of(&shop, 1, 1), b = job_of(&shop, 1, 2), c = job_of(&shop, 2, 1);
    (void)state;
    assert_false(pr_gate_has_id(&gate, &a.identity.id));
    assert_int_equal(pr_gate_enter(&gate, &a), PR_GATE_PASSED);
    assert_int_equal(pr_gate_enter(&gate, &b), PR_GATE_WAITS); /* for its person */
    assert_int_equal(pr_gate_enter(&gate, &c), PR_GATE_WAITS); /* for its id */
    assert_true(pr_gate_has_id(&gate, &a.identity.id));
    assert_true(pr_gate_has_id(&gate, &b.identity.id));
    leave(&c, NULL);
    assert_true(pr_gate_has_id(&gate, &a.identity.id));
    leave(&a, &b);
    assert_false(pr_gate_has_id(&gate, &a.identity.id));
    assert_true(pr_gate_has_id(&gate, &b.identity.id));
    leave(&b, NULL);
    assert_false(pr_gate_has_id(&gate, &b.identity.id));
}

/* ---- what may never be asked ---- */

static bool aborts(void (*act)(void)) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) {
            _exit(1);
        }
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void enter_twice(void) {
    static struct pr_job job;
    job = job_of(&shop, 1, 1);
    if (pr_gate_enter(&gate, &job) == PR_GATE_PASSED) {
        (void)!pr_gate_enter(&gate, &job);
    }
}

static void leave_outside(void) {
    static struct pr_job job;
    job = job_of(&shop, 1, 1);
    pr_gate_leave(&gate, &job, &passed);
}

static void free_taken(void) {
    static struct pr_job job;
    job = job_of(&shop, 1, 1);
    if (pr_gate_enter(&gate, &job) == PR_GATE_PASSED) {
        pr_gate_free(&gate);
    }
}

static void entering_twice_leaving_outside_and_freeing_what_is_taken_end_the_process(void **state) {
    (void)state;
    assert_true(aborts(enter_twice));
    assert_true(aborts(leave_outside));
    assert_true(aborts(free_taken));
}

/* ---- at random ---- */

enum { JOBS = 60, STEPS = 100000, PEOPLE = 12, IDS = 25 };
enum where { OUT, WAITS, PASSED };

/* The naive model: every job with its two keys, where it is and when it came; all is judged by looking at all of them. */
static struct model {
    struct pr_job job;
    unsigned person, id;
    enum where where;
    uint64_t came;
    bool found_id_taken;
} model[JOBS];
static uint64_t clock_of_model;

static uint32_t next_of(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static bool conflict(const struct model *a, const struct model *b) {
    return a != b && (a->person == b->person || a->id == b->id);
}

/* Whether another job in one of the two places has a key of this one. */
static bool meets(const struct model *m, bool with_waiting) {
    for (int i = 0; i < JOBS; i++) {
        bool counts = model[i].where == PASSED || (with_waiting && model[i].where == WAITS);
        if (counts && conflict(m, &model[i])) {
            return true;
        }
    }
    return false;
}

static bool is_id_taken(const struct model *m) {
    for (int i = 0; i < JOBS; i++) {
        if (&model[i] != m && model[i].where != OUT && model[i].id == m->id) {
            return true;
        }
    }
    return false;
}

/* Nobody overtakes one of the same person, unless that one found its id taken when it came. */
static void expect_in_order(const struct model *m) {
    for (int i = 0; i < JOBS; i++) {
        const struct model *o = &model[i];
        if (o->where == WAITS && o->came < m->came && o->person == m->person && !o->found_id_taken) {
            fail_msg("a job of person %u was overtaken", m->person);
        }
    }
}

static void note_passed(struct model *m) {
    assert_int_equal(m->where, WAITS);
    assert_false(meets(m, false));
    expect_in_order(m);
    m->where = PASSED;
}

static void model_leave(struct model *m) {
    enum where was = m->where;
    struct pr_job *job = NULL;
    pr_gate_leave(&gate, &m->job, &passed);
    m->where = OUT;
    int n = 0;
    while ((job = next_passed()) != NULL) {
        struct model *next = (struct model *)(void *)((char *)job - offsetof(struct model, job));
        assert_true(conflict(m, next)); /* nobody passes who did not wait for what became free */
        note_passed(next);
        n++;
    }
    assert_in_range(n, 0, was == PASSED ? 2 : 1);
}

static void model_enter(struct model *m, uint64_t *seed) {
    m->person = 1 + next_of(seed) % PEOPLE;
    m->id = next_of(seed) % IDS;
    m->job = job_of(&shop, m->person, m->id);
    m->came = ++clock_of_model;
    bool is_alone = !meets(m, true), is_free = !meets(m, false);
    m->found_id_taken = is_id_taken(m);
    enum pr_gate_answer answer = pr_gate_enter(&gate, &m->job);
    assert_true(answer == PR_GATE_PASSED || answer == PR_GATE_WAITS);
    assert_true(answer == PR_GATE_PASSED || !is_alone);
    assert_true(answer == PR_GATE_WAITS || is_free);
    m->where = WAITS;
    if (answer == PR_GATE_PASSED) {
        note_passed(m);
    }
}

static void expect_consistent(void) {
    size_t waiting = 0;
    for (int i = 0; i < JOBS; i++) {
        const struct model *m = &model[i];
        waiting += m->where == WAITS;
        assert_int_equal(m->job.is_entered, m->where != OUT);
        assert_int_equal(m->job.gate_wait != NULL, m->where == WAITS);
        assert_true(m->where != PASSED || !meets(m, false));
        assert_true(m->where != WAITS || meets(m, true));
        assert_true(m->where == OUT || pr_gate_has_id(&gate, &m->job.identity.id));
    }
    assert_int_equal(gate.waiting, waiting);
}

/* All who passed leave until nobody is left: a job that nobody lets through would show. */
static void drain_model(void) {
    size_t left = 1;
    for (int round = 0; left > 0; round++) {
        assert_true(round <= JOBS);
        left = 0;
        for (int i = 0; i < JOBS; i++) {
            if (model[i].where == PASSED) {
                model_leave(&model[i]);
            }
        }
        for (int i = 0; i < JOBS; i++) {
            left += model[i].where != OUT;
        }
        expect_consistent();
    }
    for (unsigned id = 0; id < IDS; id++) {
        struct pr_uuid uuid = job_of(&shop, 1, id).identity.id;
        assert_false(pr_gate_has_id(&gate, &uuid));
    }
}

static void whatever_comes_and_goes_the_invariants_hold(void **state) {
    uint64_t seed = 20240229;
    (void)state;
    memset(model, 0, sizeof(model));
    for (int step = 0; step < STEPS; step++) {
        struct model *m = &model[next_of(&seed) % JOBS];
        if (m->where == OUT) {
            model_enter(m, &seed);
        } else if (m->where == PASSED || next_of(&seed) % 8 == 0) {
            model_leave(m);
        }
        if (step % 64 == 0) {
            expect_consistent();
        }
        if (step % 5000 == 4999) {
            drain_model();
        }
    }
    drain_model();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(people_pass_beside_each_other),
        TEST(jobs_of_a_person_pass_one_by_one_in_their_order),
        TEST(one_id_for_two_people_passes_one_by_one),
        TEST(a_redelivered_record_waits_for_the_first),
        TEST(who_waits_for_both_keys_passes_with_the_second),
        TEST(who_waits_for_both_keys_passes_in_the_other_order_too),
        TEST(one_that_leaves_may_let_two_through),
        TEST(who_gives_up_in_the_middle_of_the_line_lets_nobody_through),
        TEST(who_gives_up_holding_one_key_hands_it_on),
        TEST(a_job_that_left_may_enter_again_behind_the_others),
        TEST(those_without_a_recipient_wait_for_their_id_only),
        TEST(an_id_is_known_while_its_job_holds_or_waits),
        TEST(entering_twice_leaving_outside_and_freeing_what_is_taken_end_the_process),
        TEST(whatever_comes_and_goes_the_invariants_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
