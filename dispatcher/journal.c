/* A header and a place for each request, mapped and shared; whatever is not exactly as it was written counts as no journal. */
#include "journal.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { VERSION = 1, HEADER_BYTES = 4096, LANES_MAX = 256, PLACES_MAX = 16384 };
enum { LOCK_TRIES = 40, LOCK_WAIT_MS = 50 }; /* a process that was just killed keeps its lock until it is gone */

static const char magic[8] = "PR-JRNL";
static const uint64_t free_mark = UINT64_C(0x6672656520706c00);

/* At the beginning of the file. `check` is written last and taken away first: without it nothing here counts. */
struct header {
    char magic[8];
    uint32_t version, lanes, places;
    int32_t owner, epoch;
    uint32_t unused;
    struct pr_uuid boot, key;
    uint64_t inode; /* a copy of the file is not the file: what happened since is not in it */
    _Atomic uint64_t check;
};

/* `mark` says free or is that of the id; any other value is damage, a hole of zeros included. */
struct place {
    struct pr_uuid id;
    _Atomic uint64_t mark;
    uint64_t unused;
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES && sizeof(struct place) == 32, "the layout of version 1");

/* A lane's places that are free, by number. */
struct spare {
    uint32_t *free;
    uint32_t n;
};

struct pr_journal {
    int fd;
    uint8_t *map;
    size_t map_n;
    size_t whole_n; /* bytes that were in the file before we gave it room: what lies behind was never written */
    uint32_t lanes, places;
    struct pr_uuid boot;
    uint64_t inode;
    uint64_t seed; /* of this epoch's marks */
    struct spare spare[LANES_MAX];
};

static struct header *header_of(const struct pr_journal *journal) {
    return (struct header *)(void *)journal->map;
}

static struct place *place_of(const struct pr_journal *journal, size_t i) {
    return (struct place *)(void *)(journal->map + HEADER_BYTES) + i;
}

static size_t bytes_for(uint32_t lanes, uint32_t places) {
    return HEADER_BYTES + (size_t)lanes * places * sizeof(struct place);
}

static uint64_t check_of(const struct header *header) {
    return XXH3_64bits(header, offsetof(struct header, check)) | 1;
}

static uint64_t seed_of(const struct pr_uuid *key) {
    return XXH3_64bits(key->b, sizeof(key->b));
}

/* Depends on the epoch's key, so that one left from another epoch is damage; the lowest bit parts it from the free mark. */
static uint64_t mark_of(uint64_t seed, const struct pr_uuid *id) {
    return XXH3_64bits_withSeed(id->b, sizeof(id->b), seed) | 1;
}

/* ---- opening ---- */

bool pr_journal_boot(struct pr_uuid *boot, char *why, size_t why_size) {
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    char text[PR_UUID_TEXT] = "";
    FILE *file = fopen(path, "re");
    bool is_ok = file && fread(text, 1, PR_UUID_TEXT - 1, file) == PR_UUID_TEXT - 1 &&
                 pr_uuid_parse(pr_span_make(text, PR_UUID_TEXT - 1), boot);
    if (file) {
        fclose(file);
    }
    if (!is_ok) {
        (void)snprintf(why, why_size,
                       "cannot read %s, without which no journal can be kept: leave dispatch.state_dir empty", path);
    }
    return is_ok;
}

/* A name may hold anything; what is not plain in a file's name is written as %XX. */
bool pr_journal_path(const char *dir, const char *name, char *path, size_t path_size) {
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    static const char suffix[] = ".journal";
    char file[256];
    size_t n = 0;
    for (const char *c = name; *c; c++) {
        if (n + 3 + sizeof(suffix) > sizeof(file)) {
            return false;
        }
        if (strchr(plain, *c) || (*c == '.' && n > 0)) {
            file[n++] = *c;
        } else {
            file[n++] = '%';
            file[n++] = hex[(unsigned char)*c >> 4];
            file[n++] = hex[(unsigned char)*c & 15];
        }
    }
    memcpy(file + n, suffix, sizeof(suffix));
    int length = snprintf(path, path_size, "%s/%s", dir, file);
    return length > 0 && (size_t)length < path_size;
}

static bool lock(const struct pr_journal *journal) {
    struct timespec pause = {.tv_nsec = LOCK_WAIT_MS * 1000 * 1000};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(journal->fd, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

/* A store into a mapped file that has no room on the disk ends the process, so the room is taken now. */
static int take_room(struct pr_journal *journal) {
    struct stat st;
    size_t need = bytes_for(journal->lanes, journal->places);
    if (fstat(journal->fd, &st) != 0) {
        return errno;
    }
    int fault = 0;
    do {
        fault = posix_fallocate(journal->fd, 0, (off_t)need);
    } while (fault == EINTR);
    if (fault != 0) {
        return fault;
    }
    journal->inode = (uint64_t)st.st_ino;
    size_t most = bytes_for(LANES_MAX, PLACES_MAX);
    journal->whole_n = (size_t)st.st_size < most ? (size_t)st.st_size : most;
    journal->map_n = journal->whole_n > need ? journal->whole_n : need;
    void *map = mmap(NULL, journal->map_n, PROT_READ | PROT_WRITE, MAP_SHARED, journal->fd, 0);
    journal->map = map == MAP_FAILED ? NULL : map;
    return journal->map ? 0 : errno;
}

static bool take_file(struct pr_journal *journal, const char *path, char *why, size_t why_size) {
    journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;
    if (journal->fd < 0 || fstat(journal->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)snprintf(why, why_size,
                       "dispatch.state_dir: cannot open %s: %s; make the folder, for this user to write in", path,
                       journal->fd < 0 ? strerrordesc_np(errno) : "it is no file");
        return false;
    }
    if (!lock(journal)) {
        (void)snprintf(why, why_size, "%s is in use (%s): is another dispatcher running as this dispatch.name?", path,
                       strerrordesc_np(errno));
        return false;
    }
    int fault = take_room(journal);
    if (fault != 0) {
        (void)snprintf(why, why_size, "dispatch.state_dir: no room for %s (%zu bytes): %s", path,
                       bytes_for(journal->lanes, journal->places), strerrordesc_np(fault));
        return false;
    }
    return true;
}

static bool make_spare(struct pr_journal *journal) {
    for (uint32_t lane = 0; lane < journal->lanes; lane++) {
        struct spare *spare = &journal->spare[lane];
        spare->free = calloc(journal->places, sizeof(*spare->free));
        if (!spare->free) {
            return false;
        }
        while (spare->n < journal->places) {
            spare->free[spare->n] = journal->places - spare->n; /* the first places are taken first */
            spare->n++;
        }
    }
    return true;
}

struct pr_journal *pr_journal_open(const struct pr_journal_options *options, char *why, size_t why_size) {
    char path[4096];
    pr_assert(options->lanes > 0 && options->lanes <= LANES_MAX && options->places > 0 && options->places <= PLACES_MAX);
    struct pr_journal *journal = calloc(1, sizeof(*journal));
    (void)snprintf(why, why_size, "no memory for the journal");
    if (!journal) {
        return NULL;
    }
    *journal = (struct pr_journal){.fd = -1, .lanes = options->lanes, .places = options->places, .boot = options->boot};
    if (!pr_journal_path(options->dir, options->name, path, sizeof(path))) {
        (void)snprintf(why, why_size, "dispatch.name and dispatch.state_dir are too long for the name of a file");
    } else if (make_spare(journal) && take_file(journal, path, why, why_size)) {
        return journal;
    }
    pr_journal_close(journal);
    return NULL;
}

void pr_journal_close(struct pr_journal *journal) {
    if (!journal) {
        return;
    }
    if (journal->map) {
        (void)munmap(journal->map, journal->map_n);
    }
    if (journal->fd >= 0) {
        close(journal->fd);
    }
    for (uint32_t lane = 0; lane < journal->lanes; lane++) {
        free(journal->spare[lane].free);
    }
    free(journal);
}

/* ---- reading ---- */

/* NULL: the header is whole, of this boot and of this very file. */
static const char *fault_of(const struct pr_journal *journal) {
    const struct header *header = header_of(journal);
    if (journal->whole_n == 0) {
        return "there was none";
    }
    if (journal->whole_n < HEADER_BYTES || memcmp(header->magic, magic, sizeof(magic)) != 0) {
        return "the file is no journal";
    }
    if (header->version != VERSION) {
        return "the file is a journal of another version";
    }
    if (atomic_load_explicit(&header->check, memory_order_acquire) != check_of(header)) {
        return "the journal's header is damaged or was never finished";
    }
    if (memcmp(&header->boot, &journal->boot, sizeof(journal->boot)) != 0) {
        return "the journal is of another boot or machine";
    }
    if (header->inode != journal->inode) {
        return "the journal is a copy";
    }
    if (header->lanes == 0 || header->lanes > LANES_MAX || header->places == 0 || header->places > PLACES_MAX ||
        bytes_for(header->lanes, header->places) > journal->whole_n) {
        return "the journal is cut off";
    }
    return NULL;
}

bool pr_journal_read(const struct pr_journal *journal, struct pr_journal_left *left, const char **why) {
    *left = (struct pr_journal_left){.n = 0};
    *why = fault_of(journal);
    if (*why) {
        return false;
    }
    const struct header *header = header_of(journal);
    const size_t n = (size_t)header->lanes * header->places;
    const uint64_t seed = seed_of(&header->key);
    left->ids = calloc(n, sizeof(*left->ids));
    *why = left->ids ? NULL : "there is no memory to read the journal";
    for (size_t i = 0; !*why && i < n; i++) {
        const struct place *place = place_of(journal, i);
        uint64_t mark = atomic_load_explicit(&place->mark, memory_order_acquire);
        if (mark == free_mark) {
            continue;
        }
        left->ids[left->n++] = place->id;
        *why = mark == mark_of(seed, &place->id) ? NULL : "the journal is damaged";
    }
    if (*why) {
        pr_journal_left_free(left);
        return false;
    }
    left->owner = header->owner;
    left->epoch = header->epoch;
    left->key = header->key;
    return true;
}

void pr_journal_left_free(struct pr_journal_left *left) {
    free(left->ids);
    *left = (struct pr_journal_left){.n = 0};
}

/* ---- writing ---- */

/*
 * A killed process leaves all stores of the instructions before the kill and none of those behind it, so only the compiler could change the order.
 */
static void keep_order(void) {
    atomic_signal_fence(memory_order_seq_cst);
}

void pr_journal_begin(struct pr_journal *journal, int32_t owner, int32_t epoch, const struct pr_uuid *key) {
    struct header *header = header_of(journal);
    atomic_store_explicit(&header->check, 0, memory_order_release);
    keep_order();
    journal->seed = seed_of(key);
    for (size_t i = 0; i < (size_t)journal->lanes * journal->places; i++) {
        atomic_store_explicit(&place_of(journal, i)->mark, free_mark, memory_order_relaxed);
    }
    memcpy(header->magic, magic, sizeof(magic));
    header->version = VERSION;
    header->lanes = journal->lanes;
    header->places = journal->places;
    header->owner = owner;
    header->epoch = epoch;
    header->unused = 0;
    header->boot = journal->boot;
    header->key = *key;
    header->inode = journal->inode;
    journal->whole_n = journal->map_n;
    keep_order();
    atomic_store_explicit(&header->check, check_of(header), memory_order_release);
}

uint32_t pr_journal_mark(struct pr_journal *journal, uint32_t lane, const struct pr_uuid *id) {
    if (!journal) {
        return 0;
    }
    struct spare *spare = &journal->spare[lane];
    pr_assert(lane < journal->lanes && spare->n > 0);
    uint32_t number = spare->free[--spare->n];
    struct place *place = place_of(journal, (size_t)lane * journal->places + number - 1);
    place->id = *id;
    keep_order();
    atomic_store_explicit(&place->mark, mark_of(journal->seed, id), memory_order_release);
    keep_order();
    return number;
}

void pr_journal_clear(struct pr_journal *journal, uint32_t lane, uint32_t *number) {
    if (*number == 0) {
        return;
    }
    struct spare *spare = &journal->spare[lane];
    struct place *place = place_of(journal, (size_t)lane * journal->places + *number - 1);
    atomic_store_explicit(&place->mark, free_mark, memory_order_release);
    keep_order(); /* before the next id is written here */
    spare->free[spare->n++] = *number;
    *number = 0;
}
