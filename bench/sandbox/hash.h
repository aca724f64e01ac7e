/* uthash with XXH3 as its hash: faster than its own, and already linked. Include this instead of uthash.h. */
#ifndef PR_SANDBOX_HASH_H
#define PR_SANDBOX_HASH_H

#include <xxhash.h>

#define HASH_FUNCTION(key, key_n, hash) ((hash) = (unsigned)XXH3_64bits(key, key_n))

#include <uthash.h>

#endif
