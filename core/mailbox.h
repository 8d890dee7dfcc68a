/* mailbox: a queue with many producers and one owner, who sleeps on a descriptor when it is empty.
 *
 * A push writes to the eventfd only when the owner may be asleep: at most once per sleep, however
 * much arrives. Items are intrusive (a list_node in their owner); the mailbox owns none of them.
 * The owner's turn: mailbox_take and handle everything; before it sleeps, mailbox_may_sleep. */
#ifndef FUT_CORE_MAILBOX_H
#define FUT_CORE_MAILBOX_H

#include "core/err.h"
#include "core/list.h"
#include "core/sync.h"

struct mailbox {
    struct mutex mu;
    struct list items;   /* guarded by mu */
    bool owner_is_awake; /* guarded by mu: the owner looks again without being woken */
    int wake_fd;         /* for the owner's epoll, edge-triggered: nobody reads it; -1: none */
};

/* A call that other threads hand to the owner (mailbox_run). */
struct mailbox_call {
    struct list_node link;
    void (*fn)(struct mailbox_call *call); /* runs on the owner's thread */
};

/* The owner counts as asleep. FUT_ERR_IO when there is no descriptor for it: the mailbox is then
 * usable by nobody but mailbox_release. */
FUT_MUST_CHECK int mailbox_init(struct mailbox *m);
/* Closes the descriptor. The mailbox must be empty. */
void mailbox_release(struct mailbox *m);
/* Any thread; blocks for the lock only. n is in no list; it is the owner's from here on. */
void mailbox_push(struct mailbox *m, struct list_node *n);
/* Like mailbox_push for what may wait until the owner wakes for another reason. Any thread. */
void mailbox_push_quietly(struct mailbox *m, struct list_node *n);
/* Owner: moves everything to the end of out and counts as awake until mailbox_may_sleep. */
void mailbox_take(struct mailbox *m, struct list *out);
/* Owner, before it sleeps: true when the mailbox is empty; the next push then wakes it. */
bool mailbox_may_sleep(struct mailbox *m);
/* Owner of a mailbox that gets nothing but links of calls: runs all that are there. False when
 * there was none: the owner may sleep, the next push wakes it. */
bool mailbox_run(struct mailbox *m);

#endif
