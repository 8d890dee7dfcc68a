#include "core/sync.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "core/err.h"

static void must(int rc, const char *what)
{
    if (rc != 0)
        FUT_BUG(what);
}

void mutex_init(struct mutex *m)
{
    must(pthread_mutex_init(&m->m, NULL), "mutex_init");
}

void mutex_destroy(struct mutex *m)
{
    must(pthread_mutex_destroy(&m->m), "mutex_destroy");
}

void mutex_lock(struct mutex *m)
{
    must(pthread_mutex_lock(&m->m), "mutex_lock");
}

void mutex_unlock(struct mutex *m)
{
    must(pthread_mutex_unlock(&m->m), "mutex_unlock");
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr), "condattr_init");
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "condattr_setclock");
    must(pthread_cond_init(&c->c, &attr), "cond_init");
    must(pthread_condattr_destroy(&attr), "condattr_destroy");
}

void cond_destroy(struct cond *c)
{
    must(pthread_cond_destroy(&c->c), "cond_destroy");
}

void cond_signal(struct cond *c)
{
    must(pthread_cond_signal(&c->c), "cond_signal");
}

void cond_broadcast(struct cond *c)
{
    must(pthread_cond_broadcast(&c->c), "cond_broadcast");
}

void cond_wait(struct cond *c, struct mutex *m)
{
    must(pthread_cond_wait(&c->c, &m->m), "cond_wait");
}

bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_mono_us)
{
    if (deadline_mono_us < 0) {
        cond_wait(c, m);
        return true;
    }
    struct timespec ts = {.tv_sec = deadline_mono_us / 1000000,
                          .tv_nsec = deadline_mono_us % 1000000 * 1000};
    int rc = pthread_cond_timedwait(&c->c, &m->m, &ts);
    if (rc == ETIMEDOUT)
        return false;
    must(rc, "cond_timedwait");
    return true;
}

int thread_try_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &old), "sigmask");
    int rc = pthread_create(out, NULL, fn, arg);
    must(pthread_sigmask(SIG_SETMASK, &old, NULL), "sigmask");
    if (rc != 0)
        return FUT_ERR_AGAIN;
    (void)pthread_setname_np(*out, name); /* cosmetic */
    return 0;
}

void thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
    must(thread_try_start(out, name, fn, arg), "pthread_create");
}

void thread_join(pthread_t t)
{
    must(pthread_join(t, NULL), "pthread_join");
}

void thread_abandon(pthread_t t)
{
    must(pthread_detach(t), "pthread_detach");
}

bool thread_probe_ask(struct thread_probe *p)
{
    return !atomic_exchange(&p->is_asked, true);
}

void thread_probe_answer(struct thread_probe *p)
{
    if (atomic_load_explicit(&p->is_asked, memory_order_relaxed))
        atomic_store(&p->is_asked, false);
}
