/* idle: threads that wait for work, each on a condition of its own. A condition for which several
 * threads wait may lose a signal in the C library (glibc before 2.41, its bug 25847), and work
 * would then wait for the next signal. The caller's mutex guards all of it. */
#ifndef FUT_CORE_IDLE_H
#define FUT_CORE_IDLE_H

#include "core/list.h"
#include "core/sync.h"

struct idle {
    struct list threads; /* that wait */
};

struct idle_thread {
    struct list_node link; /* while it waits and nobody has taken it */
    struct cond wake;
};

/* Nobody waits. */
void idle_init(struct idle *i);
void idle_thread_init(struct idle_thread *t);
/* t does not wait. */
void idle_thread_destroy(struct idle_thread *t);
/* Waits, as t, until somebody has taken it; m is held before and after. */
void idle_wait(struct idle *i, struct idle_thread *t, struct mutex *m);
/* The thread that came last, which has the warmest caches; NULL: none waits. From now on it is not
 * idle; the caller wakes it by cond_signal(&t->wake), which it may do once the mutex is free, while
 * t is there. */
struct idle_thread *idle_take(struct idle *i);
/* Takes and wakes all. */
void idle_wake_all(struct idle *i);

#endif
