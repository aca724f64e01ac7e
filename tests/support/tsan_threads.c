/* C11 threads on top of POSIX ones for the thread sanitizer, which knows only those: Debian's librdkafka uses C11's and would crash it. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

/*
 * Linked into programs of the tsan preset only, whose symbols go before glibc's for all libraries (cmake/Options.cmake). glibc's C11
 * types are its POSIX ones under another name, of at least their size and alignment (nptl, thrd_priv.h).
 */
_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a C11 mutex holds a POSIX one");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a C11 condition holds a POSIX one");

static pthread_mutex_t *mutex_of(mtx_t *mutex) {
    return (pthread_mutex_t *)(void *)mutex;
}

static pthread_cond_t *cond_of(cnd_t *cond) {
    return (pthread_cond_t *)(void *)cond;
}

static int answer(int error) {
    switch (error) {
    case 0: return thrd_success;
    case ENOMEM: return thrd_nomem;
    case ETIMEDOUT: return thrd_timedout;
    case EBUSY: return thrd_busy;
    default: return thrd_error;
    }
}

struct start {
    thrd_start_t run;
    void *arg;
};

static void *run(void *arg) {
    struct start start = *(struct start *)arg;
    free(arg);
    return (void *)(intptr_t)start.run(start.arg);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *arg) {
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        return thrd_nomem;
    }
    *start = (struct start){function, arg};
    int error = pthread_create(thread, NULL, run, start);
    if (error != 0) {
        free(start);
    }
    return answer(error);
}

int thrd_join(thrd_t thread, int *result) {
    void *value = NULL;
    int error = pthread_join(thread, &value);
    if (error == 0 && result != NULL) {
        *result = (int)(intptr_t)value;
    }
    return answer(error);
}

int thrd_detach(thrd_t thread) {
    return answer(pthread_detach(thread));
}

int mtx_init(mtx_t *mutex, int type) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    if (type & mtx_recursive) {
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    }
    int error = pthread_mutex_init(mutex_of(mutex), &attr);
    pthread_mutexattr_destroy(&attr);
    return answer(error);
}

void mtx_destroy(mtx_t *mutex) {
    pthread_mutex_destroy(mutex_of(mutex));
}

int mtx_lock(mtx_t *mutex) {
    return answer(pthread_mutex_lock(mutex_of(mutex)));
}

int mtx_trylock(mtx_t *mutex) {
    return answer(pthread_mutex_trylock(mutex_of(mutex)));
}

int mtx_unlock(mtx_t *mutex) {
    return answer(pthread_mutex_unlock(mutex_of(mutex)));
}

int cnd_init(cnd_t *cond) {
    return answer(pthread_cond_init(cond_of(cond), NULL));
}

void cnd_destroy(cnd_t *cond) {
    pthread_cond_destroy(cond_of(cond));
}

int cnd_signal(cnd_t *cond) {
    return answer(pthread_cond_signal(cond_of(cond)));
}

int cnd_broadcast(cnd_t *cond) {
    return answer(pthread_cond_broadcast(cond_of(cond)));
}

int cnd_wait(cnd_t *cond, mtx_t *mutex) {
    return answer(pthread_cond_wait(cond_of(cond), mutex_of(mutex)));
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict until) {
    return answer(pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), until));
}
