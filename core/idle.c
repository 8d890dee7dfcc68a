#include "core/idle.h"

#include <stddef.h>

#include "core/mem.h"

void idle_init(struct idle *i)
{
    list_init(&i->threads);
}

void idle_thread_init(struct idle_thread *t)
{
    t->link = (struct list_node){NULL, NULL};
    cond_init(&t->wake);
}

void idle_thread_destroy(struct idle_thread *t)
{
    cond_destroy(&t->wake);
}

void idle_wait(struct idle *i, struct idle_thread *t, struct mutex *m)
{
    list_push_front(&i->threads, &t->link);
    while (list_is_linked(&t->link))
        cond_wait(&t->wake, m);
}

struct idle_thread *idle_take(struct idle *i)
{
    struct list_node *n = list_pop_front(&i->threads);
    return n ? FUT_CONTAINER(n, struct idle_thread, link) : NULL;
}

void idle_wake_all(struct idle *i)
{
    for (struct idle_thread *t; (t = idle_take(i));)
        cond_signal(&t->wake);
}
