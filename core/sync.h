/* sync: mutexes, conditions and threads that abort on misuse instead of returning codes nobody
 * reads. Conditions wait on the monotonic clock. Threads start with every signal blocked (main
 * takes them) and a name that `top -H` shows. */
#ifndef FUT_CORE_SYNC_H
#define FUT_CORE_SYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

struct mutex {
    pthread_mutex_t m;
};

struct cond {
    pthread_cond_t c;
};

void mutex_init(struct mutex *m);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
/* m is held; both may wake without a reason: check the condition again. */
void cond_wait(struct cond *c, struct mutex *m);
/* Returns false once deadline_mono_us has passed; a negative deadline waits for ever. */
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_mono_us);

/* Starts a thread. name: at most 15 bytes. FUT_ERR_AGAIN: the system has none to give now. */
FUT_MUST_CHECK int thread_try_start(pthread_t *out, const char *name, void *(*fn)(void *),
                                    void *arg);
/* Starts a thread that the daemon cannot do without: aborts when there is none to be had. */
void thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg);
void thread_join(pthread_t t);

#endif
