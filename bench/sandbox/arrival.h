/* When bytes came: by the kernel's stamp, so that what waits for a sandbox that has no CPU does not count as if it came all at once. */
#ifndef PR_SANDBOX_ARRIVAL_H
#define PR_SANDBOX_ARRIVAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Asks for stamps; what is accepted from a listener has them too. Without them `waited_us` below is 0. */
void pr_arrival_stamp(int fd);

/* recv; `waited_us` is how long the last of the bytes lay in the kernel, 0 to 10 s (0 if the clock was set meanwhile, or nothing was read). */
ssize_t pr_arrival_recv(int fd, void *room, size_t n, int64_t *waited_us);

#endif
