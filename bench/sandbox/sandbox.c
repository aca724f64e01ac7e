/* Life and death of the shared state. */
#include "sandbox.h"

#include "receipts.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdlib.h>
#include <xxhash.h>

const char *pr_reason_name(enum pr_reason reason) {
    static const char *const names[PR_REASONS] = {"",       "token", "number", "body", "template", "parameter",
                                                  "window", "rate",  "pair",   "tier", "fault"};
    return names[reason];
}

int64_t pr_sandbox_now_us(const struct pr_sandbox *sandbox) {
    return pr_clock_real_us() + sandbox->clock_offset_us;
}

struct pr_number *pr_sandbox_number(const struct pr_sandbox *sandbox, struct pr_span phone_number_id) {
    struct pr_number *number = NULL;
    if (phone_number_id.n) {
        HASH_FIND(hh, sandbox->numbers, phone_number_id.p, phone_number_id.n, number);
    }
    return number;
}

struct pr_portfolio *pr_sandbox_portfolio(const struct pr_sandbox *sandbox, const char *id) {
    struct pr_portfolio *portfolio = NULL;
    HASH_FIND_STR(sandbox->portfolios, id, portfolio);
    return portfolio;
}

static char *copy(struct pr_span text) {
    char *to = malloc(text.n + 1);
    pr_assert(to);
    memcpy(to, text.n ? text.p : "", text.n);
    to[text.n] = '\0';
    return to;
}

struct pr_number *pr_sandbox_add_number(struct pr_sandbox *sandbox, struct pr_span phone_number_id) {
    struct pr_number *number = calloc(1, sizeof *number);
    pr_assert(number);
    number->phone_number_id = copy(phone_number_id);
    number->waba_id = copy(PR_SPAN(""));
    number->display = copy(PR_SPAN(""));
    number->country_code = copy(PR_SPAN(""));
    number->quality = copy(PR_SPAN("GREEN"));
    number->salt = XXH3_64bits(number->phone_number_id, phone_number_id.n);
    HASH_ADD_KEYPTR(hh, sandbox->numbers, number->phone_number_id, phone_number_id.n, number);
    return number;
}

uint64_t pr_sandbox_pair_key(const struct pr_number *number, struct pr_span person) {
    return XXH3_64bits_withSeed(person.p, person.n, number->salt);
}

void pr_sandbox_count_code(struct pr_sandbox *sandbox, int code) {
    struct pr_stats *stats = &sandbox->stats;
    uint32_t i = 0;
    while (i < stats->codes_n && stats->by_code[i].code != code) {
        i++;
    }
    if (code == 0 || i == PR_CODES_MAX) {
        return;
    }
    stats->codes_n = i == stats->codes_n ? i + 1 : stats->codes_n;
    stats->by_code[i].code = code;
    stats->by_code[i].n++;
}

static void reset_limits(struct pr_sandbox *sandbox) {
    pr_map_clear(&sandbox->pairs);
    for (struct pr_number *number = sandbox->numbers; number; number = number->hh.next) {
        pr_rate_clear(&number->rate);
    }
    for (struct pr_portfolio *portfolio = sandbox->portfolios; portfolio; portfolio = portfolio->hh.next) {
        pr_tier_clear(&portfolio->tier);
    }
}

static void reset_stats(struct pr_sandbox *sandbox) {
    sandbox->stats = (struct pr_stats){.open = sandbox->stats.open, .connected = sandbox->stats.connected};
    pr_map_clear(&sandbox->callbacks);
    for (uint32_t i = 0; i < sandbox->callback_samples_n; i++) {
        free(sandbox->callback_sample[i]);
    }
    sandbox->callback_samples_n = 0;
    for (struct pr_number *number = sandbox->numbers; number; number = number->hh.next) {
        number->accepted = 0;
    }
}

void pr_sandbox_reset(struct pr_sandbox *sandbox, unsigned what) {
    if (what & PR_RESET_LIMITS) {
        reset_limits(sandbox);
    }
    if (what & PR_RESET_WINDOWS) {
        pr_map_clear(&sandbox->windows);
    }
    if (what & PR_RESET_RECORD) {
        pr_record_clear(&sandbox->record);
    }
    if (what & PR_RESET_STATS) {
        reset_stats(sandbox);
    }
    if (what & PR_RESET_FAULTS) {
        pr_faults_clear(&sandbox->faults, false);
    }
    if (what & PR_RESET_CLOCK) {
        sandbox->clock_offset_us = 0;
    }
    if ((what & PR_RESET_RECEIPTS) && sandbox->receipts) {
        pr_receipts_clear(sandbox->receipts);
    }
}

static void free_numbers(struct pr_sandbox *sandbox) {
    struct pr_number *number;
    struct pr_number *next;
    HASH_CLEAR(by_key, sandbox->numbers_by_key);
    HASH_ITER (hh, sandbox->numbers, number, next) {
        HASH_DEL(sandbox->numbers, number);
        free(number->phone_number_id);
        free(number->token);
        free(number->d360_key);
        free(number->waba_id);
        free(number->display);
        free(number->country_code);
        free(number->quality);
        free(number);
    }
}

void pr_sandbox_free(struct pr_sandbox *sandbox) {
    pr_sandbox_reset(sandbox, PR_RESET_ALL & ~(unsigned)PR_RESET_RECEIPTS);
    pr_faults_clear(&sandbox->faults, true);
    free_numbers(sandbox);
    struct pr_portfolio *portfolio;
    struct pr_portfolio *next_portfolio;
    HASH_ITER (hh, sandbox->portfolios, portfolio, next_portfolio) {
        HASH_DEL(sandbox->portfolios, portfolio);
        free(portfolio->id);
        free(portfolio);
    }
    struct pr_token_entry *token;
    struct pr_token_entry *next_token;
    HASH_ITER (hh, sandbox->tokens, token, next_token) {
        HASH_DEL(sandbox->tokens, token);
        free(token->token);
        free(token);
    }
    pr_catalogue_free(&sandbox->catalogue);
    pr_record_close(&sandbox->record);
    pr_wheel_free(&sandbox->wheel);
    pr_buf_free(&sandbox->scratch);
    free(sandbox->doc);
}
