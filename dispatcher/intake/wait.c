/*
 * librdkafka's timed waits, on the monotonic clock. It waits by C11's cnd_timedwait until a time of day (librdkafka issue 2145): set back by an hour, the
 * machine's clock would stop commits, heartbeats and the end of the process for an hour. A program's own symbol goes before the C library's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <threads.h>
#include <time.h>

/* glibc's cnd_t and mtx_t are the POSIX ones; the thread sanitizer's build brings its own (tests/support/tsan_threads.c). */
#if !defined(__SANITIZE_THREAD__)
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a C11 condition is a POSIX one");

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec now, end;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t ns = (until->tv_sec - now.tv_sec) * INT64_C(1000000000) + until->tv_nsec - now.tv_nsec + end.tv_nsec;
    ns = ns < end.tv_nsec ? end.tv_nsec : ns;
    end.tv_sec += ns / 1000000000;
    end.tv_nsec = ns % 1000000000;
    switch (pthread_cond_clockwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, CLOCK_MONOTONIC, &end)) {
    case 0: return thrd_success;
    case ETIMEDOUT: return thrd_timedout;
    default: return thrd_error;
    }
}
#endif
