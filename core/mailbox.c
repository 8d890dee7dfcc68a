#include "core/mailbox.h"

#include "core/fd.h"
#include "core/mem.h"

int mailbox_init(struct mailbox *m)
{
    mutex_init(&m->mu);
    list_init(&m->items);
    m->owner_is_awake = false;
    m->wake_fd = fd_wake_new();
    return m->wake_fd >= 0 ? 0 : FUT_ERR_IO;
}

void mailbox_release(struct mailbox *m)
{
    fd_close(&m->wake_fd);
    mutex_destroy(&m->mu);
}

void mailbox_push(struct mailbox *m, struct list_node *n)
{
    mutex_lock(&m->mu);
    FUT_ASSERT(!list_is_linked(n));
    list_push_back(&m->items, n);
    bool must_wake = !m->owner_is_awake;
    m->owner_is_awake = true;
    mutex_unlock(&m->mu);
    if (must_wake)
        fd_wake(m->wake_fd);
}

void mailbox_push_quietly(struct mailbox *m, struct list_node *n)
{
    mutex_lock(&m->mu);
    FUT_ASSERT(!list_is_linked(n));
    list_push_back(&m->items, n);
    mutex_unlock(&m->mu);
}

void mailbox_take(struct mailbox *m, struct list *out)
{
    mutex_lock(&m->mu);
    m->owner_is_awake = true;
    list_take_all(out, &m->items);
    mutex_unlock(&m->mu);
}

bool mailbox_may_sleep(struct mailbox *m)
{
    mutex_lock(&m->mu);
    bool is_empty = list_is_empty(&m->items);
    m->owner_is_awake = !is_empty;
    mutex_unlock(&m->mu);
    return is_empty;
}

bool mailbox_run(struct mailbox *m)
{
    struct list calls;
    struct list_node *n;
    list_init(&calls);
    mailbox_take(m, &calls);
    if (list_is_empty(&calls))
        return !mailbox_may_sleep(m);
    while ((n = list_pop_front(&calls)) != NULL) {
        struct mailbox_call *call = FUT_CONTAINER(n, struct mailbox_call, link);
        call->fn(call);
    }
    return true;
}
