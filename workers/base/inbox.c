#include "workers/base/inbox.h"

#include "core/fd.h"
#include "core/mem.h"

void inbox_init(struct inbox *in)
{
    mutex_init(&in->mu);
    list_init(&in->items);
    in->awake = false;
    in->wake_fd = fd_wake_new();
}

void inbox_release(struct inbox *in)
{
    fd_close(&in->wake_fd);
    mutex_destroy(&in->mu);
}

void inbox_push(struct inbox *in, struct inbox_item *item)
{
    mutex_lock(&in->mu);
    list_push_back(&in->items, &item->link);
    bool wake = !in->awake;
    in->awake = true;
    mutex_unlock(&in->mu);
    if (wake)
        fd_wake(in->wake_fd);
}

void inbox_push_quietly(struct inbox *in, struct inbox_item *item)
{
    mutex_lock(&in->mu);
    list_push_back(&in->items, &item->link);
    mutex_unlock(&in->mu);
}

bool inbox_run(struct inbox *in)
{
    struct list batch;
    list_init(&batch);
    mutex_lock(&in->mu);
    list_take_all(&batch, &in->items);
    /* Stays awake after a full batch: the owner comes back once more before it sleeps. */
    in->awake = !list_is_empty(&batch);
    mutex_unlock(&in->mu);
    if (list_is_empty(&batch))
        return false;
    struct list_node *n;
    while ((n = list_pop_front(&batch)) != NULL) {
        struct inbox_item *item = FUT_CONTAINER(n, struct inbox_item, link);
        item->fn(item);
    }
    return true;
}
