#include "workers/base/inbox.h"

#include "core/err.h"
#include "core/mem.h"

int inbox_init(struct inbox *in)
{
    return mailbox_init(&in->mailbox);
}

void inbox_release(struct inbox *in)
{
    mailbox_release(&in->mailbox);
}

void inbox_push(struct inbox *in, struct inbox_item *item)
{
    mailbox_push(&in->mailbox, &item->link);
}

void inbox_push_quietly(struct inbox *in, struct inbox_item *item)
{
    mailbox_push_quietly(&in->mailbox, &item->link);
}

bool inbox_run(struct inbox *in)
{
    struct list batch;
    struct list_node *n;
    list_init(&batch);
    mailbox_take(&in->mailbox, &batch);
    if (list_is_empty(&batch))
        return !mailbox_may_sleep(&in->mailbox);
    while ((n = list_pop_front(&batch)) != NULL) {
        struct inbox_item *item = FUT_CONTAINER(n, struct inbox_item, link);
        item->fn(item);
    }
    return true;
}
