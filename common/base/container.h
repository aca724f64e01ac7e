/* From a member embedded in an object back to the object: how intrusive lists and heaps reach their owners. */
#ifndef PR_BASE_CONTAINER_H
#define PR_BASE_CONTAINER_H

#include <stddef.h>

/* The `type` whose `member` `ptr` points to; `ptr` may not be NULL. Through void, as alignment is the owner's by construction. */
#define PR_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
