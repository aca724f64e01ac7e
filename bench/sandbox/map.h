/* A map from 64-bit hashes to 64-bit numbers, for the sandbox's counts of people, pairs and callback strings. */
#ifndef PR_SANDBOX_MAP_H
#define PR_SANDBOX_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Open addressing, at most 70 % full: 16 bytes a slot (8 as a set). Keys are hashes that the caller made (XXH3); two different
 * things with one hash are taken for one, which at 5 M keys happens with probability 1e-6. One thread. Running out of
 * memory ends the program: a stand-in that forgets what it took is worse than none.
 */
struct pr_map {
    uint64_t *key;  /* 0: free slot */
    int64_t *value; /* NULL in a set */
    size_t room;    /* slots, a power of two, or 0 */
    size_t n;       /* keys held */
    bool is_set;
};

/* The value of `key` (0 when it was not there yet); valid until the next call. `is_new` may be NULL. Not for sets. */
int64_t *pr_map_at(struct pr_map *map, uint64_t key, bool *is_new);

/* The value of `key`, or NULL; valid until the next call. Not for sets. */
int64_t *pr_map_find(const struct pr_map *map, uint64_t key);

/* Adds `key` to a set (`is_set` true before the first call); false when it was there already. */
bool pr_map_add(struct pr_map *map, uint64_t key);

/* Removes `key` if it is there. */
void pr_map_remove(struct pr_map *map, uint64_t key);

/* Removes every key whose value is at most `floor`. */
void pr_map_sweep(struct pr_map *map, int64_t floor);

/* Empties the map and gives its memory back; `is_set` stays. */
void pr_map_clear(struct pr_map *map);

#endif
