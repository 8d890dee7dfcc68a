/* inbox: how other threads hand things to the scheduler's loop. One eventfd write per batch at
 * most: none while the loop is known to be awake. Items are intrusive and run themselves. */
#ifndef FUT_WORKERS_BASE_INBOX_H
#define FUT_WORKERS_BASE_INBOX_H

#include "core/list.h"
#include "core/sync.h"

struct inbox_item {
    struct list_node link;
    void (*fn)(struct inbox_item *item); /* runs on the loop's thread */
};

struct inbox {
    struct mutex mu;
    struct list items; /* guarded by mu */
    bool awake;        /* guarded by mu: the owner will look again without being woken */
    int wake_fd;       /* for the owner's epoll, edge-triggered: it is never read */
};

void inbox_init(struct inbox *in);
void inbox_release(struct inbox *in);
/* Any thread; never blocks for long. item stays untouched by the pusher until fn ran. */
void inbox_push(struct inbox *in, struct inbox_item *item);
/* The same for what can wait until the owner looks for another reason: it is not woken. */
void inbox_push_quietly(struct inbox *in, struct inbox_item *item);
/* Owner: runs all that is there. False when there was nothing: the next push will wake. */
bool inbox_run(struct inbox *in);

#endif
