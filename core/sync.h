/* sync: mutexes, conditions and threads that abort on misuse instead of returning codes nobody
 * reads. Conditions wait on the monotonic clock. Threads start with every signal blocked (main
 * takes them) and a name that `top -H` shows. */
#ifndef FUT_CORE_SYNC_H
#define FUT_CORE_SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

struct mutex {
    pthread_mutex_t m;
};

struct cond {
    pthread_cond_t c;
};

/* Whether a thread still takes what it is sent: somebody asks now and then, the thread answers in
 * its turn. Zeroed: never asked. */
struct thread_probe {
    atomic_bool is_asked;
};

/* Makes m, unlocked. */
void mutex_init(struct mutex *m);
/* Ends m, which nobody holds. */
void mutex_destroy(struct mutex *m);
/* Blocks until m is the caller's, who must not hold it yet. */
void mutex_lock(struct mutex *m);
/* Gives m back; the caller holds it. */
void mutex_unlock(struct mutex *m);

/* Makes c, on which nobody waits. */
void cond_init(struct cond *c);
/* Ends c, on which nobody waits. */
void cond_destroy(struct cond *c);
/* Wakes one thread that waits. */
void cond_signal(struct cond *c);
/* Wakes all threads that wait. */
void cond_broadcast(struct cond *c);
/* Waits; the caller holds m. May return without a signal: check the condition again. */
void cond_wait(struct cond *c, struct mutex *m);
/* Returns false once deadline_mono_us has passed; a negative deadline waits for ever. */
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_mono_us);

/* Starts a thread. name: at most 15 bytes. FUT_ERR_AGAIN: the system has none to give now. */
FUT_MUST_CHECK int thread_try_start(pthread_t *out, const char *name, void *(*fn)(void *),
                                    void *arg);
/* Starts a thread that the daemon cannot do without: aborts when there is none to be had. */
void thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg);
/* Blocks until the thread has ended. */
void thread_join(pthread_t t);
/* Nobody will wait for the end of the thread. */
void thread_abandon(pthread_t t);

/* False when the last question has had no answer. Else it is asked again, which the caller must
 * bring to the thread. One caller at a time. */
bool thread_probe_ask(struct thread_probe *p);
/* The thread's answer. Cheap when nobody has asked. */
void thread_probe_answer(struct thread_probe *p);

#endif
