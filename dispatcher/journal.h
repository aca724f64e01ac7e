/* The journal: the ids of messages that curl has, kept where a process that is killed cannot take them along. */
#ifndef PR_DISPATCHER_JOURNAL_H
#define PR_DISPATCHER_JOURNAL_H

#include "base/attr.h"
#include "core/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A file of a name, mapped and shared: stores into it are in the system's page cache, so they outlive the process and not the machine. It is of use
 * only to the next process under the same name on the same boot; everything else in it is treated as if it were not there, and said.
 *
 * It belongs to one epoch of one owner under one key, which the database knows too. A place holds one id from before its bytes may leave until its
 * outcome is durable. So what a dead epoch claimed and its journal does not have was never handed over, or its answer is recorded.
 */
struct pr_journal;

struct pr_journal_options {
    const char *dir;        /* dispatch.state_dir */
    const char *name;       /* dispatch.name */
    uint32_t lanes, places; /* places a lane: requests that may be on the wire */
    struct pr_uuid boot;
};

/* What the file says of the epoch it was begun for. */
struct pr_journal_left {
    int32_t owner, epoch;
    struct pr_uuid key;
    struct pr_uuid *ids; /* owned: pr_journal_left_free */
    size_t n;
};

/* The machine's present boot. False with a sentence in `why`. */
bool pr_journal_boot(struct pr_uuid *boot, char *why, size_t why_size) PR_MUST_CHECK;

/* The file of a name; false when it is longer than a path may be. */
bool pr_journal_path(const char *dir, const char *name, char *path, size_t path_size) PR_MUST_CHECK;

/*
 * Opens or makes the file, locks it for the life of the process and takes its room on the disk, so that no store can fail later. What it holds of
 * the process before stays readable until pr_journal_begin. NULL with a sentence and its cure in `why`: in use, no room, no right.
 */
struct pr_journal *pr_journal_open(const struct pr_journal_options *options, char *why, size_t why_size) PR_MUST_CHECK;

/* NULL is accepted. The file stays as it is. */
void pr_journal_close(struct pr_journal *journal);

/*
 * Reads what the epoch that the file was last begun for may have left unanswered. False: nothing that may be relied on; `why` is a static sentence.
 * While lanes run: only when none of them may mark.
 */
bool pr_journal_read(const struct pr_journal *journal, struct pr_journal_left *left, const char **why) PR_MUST_CHECK;
void pr_journal_left_free(struct pr_journal_left *left);

/* Forgets all that was and begins an epoch's journal. While lanes run: only when none of them may mark; they may clear. */
void pr_journal_begin(struct pr_journal *journal, int32_t owner, int32_t epoch, const struct pr_uuid *key);

/*
 * Marks an id in a free place of the lane, of which there must be one; returns the place. One thread a lane. From the return on, a kill at any
 * instruction leaves the id in the file. Without a journal (NULL) nothing happens and the place is 0.
 */
uint32_t pr_journal_mark(struct pr_journal *journal, uint32_t lane, const struct pr_uuid *id);

/* Frees a place and sets it to 0; nothing happens when it is 0 already. The same thread. */
void pr_journal_clear(struct pr_journal *journal, uint32_t lane, uint32_t *place);

#endif
