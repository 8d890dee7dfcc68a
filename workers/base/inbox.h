/* inbox: calls that other threads hand to the scheduler's loop, through a mailbox. An item is
 * intrusive and carries the function that the loop is to run. */
#ifndef FUT_WORKERS_BASE_INBOX_H
#define FUT_WORKERS_BASE_INBOX_H

#include "core/mailbox.h"

struct inbox_item {
    struct list_node link;
    void (*fn)(struct inbox_item *item); /* runs on the loop's thread */
};

struct inbox {
    struct mailbox mailbox; /* its wake_fd is for the owner's epoll, edge-triggered */
};

/* FUT_ERR_IO, errno set, when no descriptor can be had: inbox_release is then all that is left. */
FUT_MUST_CHECK int inbox_init(struct inbox *in);
/* The inbox must be empty. */
void inbox_release(struct inbox *in);
/* Any thread; blocks for a lock only. item is the loop's until its fn has run. */
void inbox_push(struct inbox *in, struct inbox_item *item);
/* Like inbox_push for what can wait until the loop wakes for another reason. Any thread. */
void inbox_push_quietly(struct inbox *in, struct inbox_item *item);
/* The loop's thread: runs all items that are there. False when there was none: the loop may sleep,
 * the next push wakes it. */
bool inbox_run(struct inbox *in);

#endif
