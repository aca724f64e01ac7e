/* Tests of a job's life: which steps exist, that no other is taken, and that lists and counts are its state. */
#include "flow/job.h"

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

/* The table once more, as it is drawn in the documents: rows are where from, columns where to, in the order of the enum. */
static const char *const drawn[PR_JOB_STATES] = {
    /*            F G C R S W T D */
    /* fetched  */ ".G....TD",
    /* gated    */ "..C...TD",
    /* claiming */ ".G.R..TD",
    /* ready    */ "....S.T.",
    /* sending  */ "......T.",
    /* waiting  */ "...R..T.",
    /* settling */ ".G...W.D",
    /* settled  */ "........",
};

static void exactly_the_drawn_steps_exist(void **state) {
    (void)state;
    for (unsigned from = 0; from < PR_JOB_STATES; from++) {
        for (unsigned to = 0; to < PR_JOB_STATES; to++) {
            bool is_legal = pr_job_may_move((enum pr_job_state)from, (enum pr_job_state)to);
            if (is_legal != (drawn[from][to] != '.')) {
                fail_msg("%s to %s", pr_job_state_name((enum pr_job_state)from),
                         pr_job_state_name((enum pr_job_state)to));
            }
        }
    }
}

static void no_state_leads_to_itself_and_settled_leads_nowhere(void **state) {
    (void)state;
    for (unsigned s = 0; s < PR_JOB_STATES; s++) {
        assert_false(pr_job_may_move((enum pr_job_state)s, (enum pr_job_state)s));
        assert_false(pr_job_may_move(PR_JOB_SETTLED, (enum pr_job_state)s));
        assert_false(pr_job_may_move((enum pr_job_state)s, PR_JOB_FETCHED));
    }
}

static void a_job_is_sent_only_after_its_claim(void **state) {
    (void)state;
    for (unsigned s = 0; s < PR_JOB_STATES; s++) {
        assert_int_equal(pr_job_may_move((enum pr_job_state)s, PR_JOB_SENDING), s == PR_JOB_READY);
        assert_int_equal(pr_job_may_move((enum pr_job_state)s, PR_JOB_READY),
                         s == PR_JOB_CLAIMING || s == PR_JOB_WAITING);
    }
}

static void what_was_on_the_wire_is_settled_before_anything_else(void **state) {
    (void)state;
    for (unsigned s = 0; s < PR_JOB_STATES; s++) {
        assert_int_equal(pr_job_may_move(PR_JOB_SENDING, (enum pr_job_state)s), s == PR_JOB_SETTLING);
        assert_int_equal(pr_job_may_move((enum pr_job_state)s, PR_JOB_WAITING), s == PR_JOB_SETTLING);
    }
}

/* From each state some way leads to SETTLED, so that no job can be stuck by the table alone. */
static void every_state_can_end(void **state) {
    (void)state;
    unsigned ends = 1U << PR_JOB_SETTLED;
    for (int round = 0; round < PR_JOB_STATES; round++) {
        for (unsigned from = 0; from < PR_JOB_STATES; from++) {
            for (unsigned to = 0; to < PR_JOB_STATES; to++) {
                if (((ends >> to) & 1U) && pr_job_may_move((enum pr_job_state)from, (enum pr_job_state)to)) {
                    ends |= 1U << from;
                }
            }
        }
    }
    assert_int_equal(ends, (1U << PR_JOB_STATES) - 1);
}

static size_t length_of(const struct pr_jobs *jobs, enum pr_job_state s) {
    size_t n = 0;
    const struct pr_job *job = NULL;
    TAILQ_FOREACH (job, &jobs->list[s], link) {
        assert_int_equal(job->state, s);
        n++;
    }
    return n;
}

static void expect_counts(const struct pr_jobs *jobs, size_t all) {
    size_t n = 0;
    for (unsigned s = 0; s < PR_JOB_STATES; s++) {
        assert_int_equal(jobs->n[s], length_of(jobs, (enum pr_job_state)s));
        n += jobs->n[s];
    }
    assert_int_equal(n, all);
}

static void live(struct pr_jobs *jobs, struct pr_job *job, const enum pr_job_state *steps, size_t n) {
    for (size_t i = 0; i < n; i++) {
        pr_job_move(jobs, job, steps[i]);
        assert_int_equal(job->state, steps[i]);
        assert_ptr_equal(TAILQ_LAST(&jobs->list[steps[i]], pr_job_list), job);
        expect_counts(jobs, 1);
    }
}

static void the_life_of_the_design_can_be_lived(void **state) {
    static const enum pr_job_state steps[] = {PR_JOB_GATED,    PR_JOB_CLAIMING, PR_JOB_READY,    PR_JOB_SENDING,
                                              PR_JOB_SETTLING, PR_JOB_WAITING,  PR_JOB_READY,    PR_JOB_SENDING,
                                              PR_JOB_SETTLING, PR_JOB_WAITING,  PR_JOB_SETTLING, PR_JOB_GATED,
                                              PR_JOB_CLAIMING, PR_JOB_SETTLED};
    struct pr_jobs jobs;
    (void)state;
    pr_jobs_init(&jobs);
    struct pr_job *job = pr_job_new(&jobs);
    assert_non_null(job);
    live(&jobs, job, steps, sizeof(steps) / sizeof(steps[0]));
    pr_job_free(&jobs, job);
    expect_counts(&jobs, 0);
}

/* A new one that was answered. */
static struct pr_job *answered(struct pr_jobs *jobs) {
    static const enum pr_job_state steps[] = {PR_JOB_GATED, PR_JOB_CLAIMING, PR_JOB_READY, PR_JOB_SENDING,
                                              PR_JOB_SETTLING};
    struct pr_job *job = pr_job_new(jobs);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pr_job_move(jobs, job, steps[i]);
    }
    return job;
}

static void a_retry_counts_from_its_decision_until_it_is_ready_or_gone(void **state) {
    struct pr_jobs jobs;
    (void)state;
    pr_jobs_init(&jobs);
    struct pr_job *goes_on = answered(&jobs), *is_dropped = answered(&jobs), *is_taken_back = answered(&jobs);
    pr_job_retries(&jobs, goes_on);
    pr_job_retries(&jobs, is_dropped);
    pr_job_retries(&jobs, is_taken_back);
    assert_int_equal(jobs.retrying, 3);
    pr_job_move(&jobs, goes_on, PR_JOB_WAITING);
    pr_job_move(&jobs, is_taken_back, PR_JOB_WAITING);
    assert_int_equal(jobs.retrying, 3);
    pr_job_move(&jobs, is_dropped, PR_JOB_SETTLED);
    assert_int_equal(jobs.retrying, 2);
    pr_job_move(&jobs, goes_on, PR_JOB_READY);
    assert_int_equal(jobs.retrying, 1);
    pr_job_move(&jobs, is_taken_back, PR_JOB_SETTLING);
    assert_int_equal(jobs.retrying, 0);
    pr_job_free(&jobs, is_dropped);
    pr_job_move(&jobs, is_taken_back, PR_JOB_SETTLED);
    pr_job_free(&jobs, is_taken_back);
    pr_job_move(&jobs, goes_on, PR_JOB_SETTLING);
    pr_job_move(&jobs, goes_on, PR_JOB_SETTLED);
    pr_job_free(&jobs, goes_on);
    expect_counts(&jobs, 0);
}

static void what_the_claim_refuses_goes_straight_to_settled(void **state) {
    static const enum pr_job_state steps[] = {PR_JOB_GATED, PR_JOB_CLAIMING, PR_JOB_SETTLED};
    struct pr_jobs jobs;
    (void)state;
    pr_jobs_init(&jobs);
    struct pr_job *job = pr_job_new(&jobs);
    live(&jobs, job, steps, sizeof(steps) / sizeof(steps[0]));
    pr_job_free(&jobs, job);
    expect_counts(&jobs, 0);
}

static void a_new_job_is_fetched_empty_and_holds_nothing(void **state) {
    struct pr_jobs jobs;
    (void)state;
    pr_jobs_init(&jobs);
    expect_counts(&jobs, 0);
    struct pr_job *job = pr_job_new(&jobs);
    assert_int_equal(job->state, PR_JOB_FETCHED);
    assert_int_equal(jobs.n[PR_JOB_FETCHED], 1);
    assert_null(job->book);
    assert_null(job->part);
    assert_int_equal(job->claim_no, 0);
    assert_int_equal(job->body.n, 0);
    assert_false(job->is_entered || job->is_queued || job->is_dropped || job->has_row || pr_heap_has(&job->timer));
    assert_non_null(pr_arena_alloc(&job->arena, PR_RECORD_ARENA_MAX)); /* any legal record fits */
    pr_job_move(&jobs, job, PR_JOB_SETTLED);
    pr_job_free(&jobs, job);
}

/* A fixed sequence of numbers, so that a failure comes again. */
static uint32_t next_of(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static void lists_and_counts_agree_after_any_legal_steps(void **state) {
    enum { JOBS = 20, STEPS = 20000 };
    struct pr_jobs jobs;
    struct pr_job *job[JOBS] = {NULL};
    uint64_t seed = 1;
    size_t alive = 0;
    (void)state;
    pr_jobs_init(&jobs);
    for (int step = 0; step < STEPS; step++) {
        struct pr_job **j = &job[next_of(&seed) % JOBS];
        enum pr_job_state to = (enum pr_job_state)(next_of(&seed) % PR_JOB_STATES);
        if (!*j) {
            *j = pr_job_new(&jobs);
            alive++;
        } else if ((*j)->state == PR_JOB_SETTLED) {
            pr_job_free(&jobs, *j);
            *j = NULL;
            alive--;
        } else if (pr_job_may_move((*j)->state, to)) {
            pr_job_move(&jobs, *j, to);
        }
        expect_counts(&jobs, alive);
    }
    for (int i = 0; i < JOBS; i++) {
        while (job[i] && job[i]->state != PR_JOB_SETTLED) {
            pr_job_move(&jobs, job[i],
                        job[i]->state == PR_JOB_FETCHED                  ? PR_JOB_SETTLED
                        : pr_job_may_move(job[i]->state, PR_JOB_SETTLED) ? PR_JOB_SETTLED
                                                                         : PR_JOB_SETTLING);
        }
        if (job[i]) {
            pr_job_free(&jobs, job[i]);
        }
    }
    expect_counts(&jobs, 0);
}

/* Runs `act` in a child; true when it ended by abort. */
static bool aborts(void (*act)(void *), void *arg) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) {
            _exit(1);
        }
        act(arg);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

struct step {
    enum pr_job_state from, to;
};

/* A job is brought to `from` by writing its state and list, so that every state can be a start. */
static void take_step(void *arg) {
    const struct step *step = arg;
    struct pr_jobs jobs;
    pr_jobs_init(&jobs);
    struct pr_job *job = pr_job_new(&jobs);
    TAILQ_REMOVE(&jobs.list[PR_JOB_FETCHED], job, link);
    jobs.n[PR_JOB_FETCHED]--;
    job->state = step->from;
    TAILQ_INSERT_TAIL(&jobs.list[step->from], job, link);
    jobs.n[step->from]++;
    pr_job_move(&jobs, job, step->to);
}

static void every_step_that_does_not_exist_ends_the_process(void **state) {
    (void)state;
    for (unsigned from = 0; from < PR_JOB_STATES; from++) {
        for (unsigned to = 0; to < PR_JOB_STATES; to++) {
            struct step step = {(enum pr_job_state)from, (enum pr_job_state)to};
            if (aborts(take_step, &step) != (drawn[from][to] == '.')) {
                fail_msg("%s to %s", pr_job_state_name(step.from), pr_job_state_name(step.to));
            }
        }
    }
}

static void free_it_gated(void *arg) {
    struct pr_jobs *jobs = arg;
    struct pr_job *job = pr_job_new(jobs);
    pr_job_move(jobs, job, PR_JOB_GATED);
    pr_job_free(jobs, job);
}

static void free_it_entered(void *arg) {
    struct pr_jobs *jobs = arg;
    struct pr_job *job = pr_job_new(jobs);
    pr_job_move(jobs, job, PR_JOB_SETTLED);
    job->is_entered = true;
    pr_job_free(jobs, job);
}

static void free_it_queued(void *arg) {
    struct pr_jobs *jobs = arg;
    struct pr_job *job = pr_job_new(jobs);
    pr_job_move(jobs, job, PR_JOB_SETTLED);
    job->is_queued = true;
    pr_job_free(jobs, job);
}

static void free_it_timed(void *arg) {
    struct pr_jobs *jobs = arg;
    struct pr_heap heap;
    struct pr_job *job = pr_job_new(jobs);
    pr_heap_init(&heap);
    pr_job_move(jobs, job, PR_JOB_SETTLED);
    if (pr_heap_push(&heap, &job->timer, 1)) {
        pr_job_free(jobs, job);
    }
}

static void only_a_settled_job_that_nothing_points_to_is_freed(void **state) {
    struct pr_jobs jobs;
    (void)state;
    pr_jobs_init(&jobs);
    assert_true(aborts(free_it_gated, &jobs));
    assert_true(aborts(free_it_entered, &jobs));
    assert_true(aborts(free_it_queued, &jobs));
    assert_true(aborts(free_it_timed, &jobs));
}

static void every_state_has_a_name_of_its_own(void **state) {
    (void)state;
    for (unsigned a = 0; a < PR_JOB_STATES; a++) {
        assert_true(strlen(pr_job_state_name((enum pr_job_state)a)) > 0);
        for (unsigned b = 0; b < a; b++) {
            assert_string_not_equal(pr_job_state_name((enum pr_job_state)a), pr_job_state_name((enum pr_job_state)b));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_drawn_steps_exist),
        cmocka_unit_test(no_state_leads_to_itself_and_settled_leads_nowhere),
        cmocka_unit_test(a_job_is_sent_only_after_its_claim),
        cmocka_unit_test(what_was_on_the_wire_is_settled_before_anything_else),
        cmocka_unit_test(every_state_can_end),
        cmocka_unit_test(the_life_of_the_design_can_be_lived),
        cmocka_unit_test(a_retry_counts_from_its_decision_until_it_is_ready_or_gone),
        cmocka_unit_test(what_the_claim_refuses_goes_straight_to_settled),
        cmocka_unit_test(a_new_job_is_fetched_empty_and_holds_nothing),
        cmocka_unit_test(lists_and_counts_agree_after_any_legal_steps),
        cmocka_unit_test(every_step_that_does_not_exist_ends_the_process),
        cmocka_unit_test(only_a_settled_job_that_nothing_points_to_is_freed),
        cmocka_unit_test(every_state_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
