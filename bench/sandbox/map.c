/* Linear probing with removal by shifting back, so that no tombstones pile up over days of injected clock. */
#include "map.h"

#include "base/check.h"

#include <stdlib.h>

/* A hash of 0 would read as a free slot. */
static uint64_t map_key(uint64_t key) {
    return key ? key : 1;
}

static size_t map_slot(const struct pr_map *map, uint64_t key) {
    size_t i = (size_t)key & (map->room - 1);
    while (map->key[i] && map->key[i] != key) {
        i = (i + 1) & (map->room - 1);
    }
    return i;
}

static void map_alloc(struct pr_map *map, size_t room) {
    map->key = calloc(room, sizeof *map->key);
    map->value = map->is_set ? NULL : calloc(room, sizeof *map->value);
    pr_assert(map->key && (map->value || map->is_set));
    map->room = room;
    map->n = 0;
}

/* Moves what is worth more than `floor` into `room` slots. */
static void map_rebuild(struct pr_map *map, size_t room, int64_t floor) {
    struct pr_map old = *map;
    map_alloc(map, room);
    for (size_t i = 0; i < old.room; i++) {
        if (!old.key[i] || (old.value && old.value[i] <= floor)) {
            continue;
        }
        size_t slot = map_slot(map, old.key[i]);
        map->key[slot] = old.key[i];
        if (old.value) {
            map->value[slot] = old.value[i];
        }
        map->n++;
    }
    free(old.key);
    free(old.value);
}

static size_t map_insert(struct pr_map *map, uint64_t key, bool *is_new) {
    if ((map->n + 1) * 10 > map->room * 7) {
        map_rebuild(map, map->room ? map->room * 2 : 64, INT64_MIN);
    }
    size_t i = map_slot(map, key);
    *is_new = map->key[i] == 0;
    if (*is_new) {
        map->key[i] = key;
        map->n++;
    }
    return i;
}

int64_t *pr_map_at(struct pr_map *map, uint64_t key, bool *is_new) {
    bool fresh = false;
    size_t i = map_insert(map, map_key(key), &fresh);
    if (fresh) {
        map->value[i] = 0;
    }
    if (is_new) {
        *is_new = fresh;
    }
    return &map->value[i];
}

int64_t *pr_map_find(const struct pr_map *map, uint64_t key) {
    if (map->room == 0) {
        return NULL;
    }
    size_t i = map_slot(map, map_key(key));
    return map->key[i] ? &map->value[i] : NULL;
}

bool pr_map_add(struct pr_map *map, uint64_t key) {
    bool fresh = false;
    (void)map_insert(map, map_key(key), &fresh);
    return fresh;
}

void pr_map_remove(struct pr_map *map, uint64_t key) {
    if (map->room == 0) {
        return;
    }
    size_t mask = map->room - 1;
    size_t hole = map_slot(map, map_key(key));
    if (!map->key[hole]) {
        return;
    }
    map->n--;
    for (size_t i = (hole + 1) & mask; map->key[i]; i = (i + 1) & mask) {
        size_t home = (size_t)map->key[i] & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->key[hole] = map->key[i];
            if (map->value) {
                map->value[hole] = map->value[i];
            }
            hole = i;
        }
    }
    map->key[hole] = 0;
}

void pr_map_sweep(struct pr_map *map, int64_t floor) {
    if (map->room > 0) {
        map_rebuild(map, map->room, floor);
    }
}

void pr_map_clear(struct pr_map *map) {
    free(map->key);
    free(map->value);
    *map = (struct pr_map){.is_set = map->is_set};
}
