/* list: an intrusive doubly linked list. The node lives in its owner; the list owns nothing.
 * Not thread-safe: the owner's lock guards it. */
#ifndef FUT_CORE_LIST_H
#define FUT_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct list_node {
    struct list_node *prev, *next; /* NULL, NULL while in no list */
};

struct list {
    struct list_node head;
    size_t len;
};

static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->len = 0;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->len == 0;
}

static inline bool list_is_linked(const struct list_node *n)
{
    return n->next != NULL;
}

static inline void list_push_back(struct list *l, struct list_node *n)
{
    n->prev = l->head.prev;
    n->next = &l->head;
    n->prev->next = n;
    l->head.prev = n;
    l->len++;
}

static inline void list_push_front(struct list *l, struct list_node *n)
{
    n->next = l->head.next;
    n->prev = &l->head;
    n->next->prev = n;
    l->head.next = n;
    l->len++;
}

static inline void list_remove(struct list *l, struct list_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = NULL;
    l->len--;
}

/* First node, or NULL. */
static inline struct list_node *list_first(const struct list *l)
{
    return l->len ? l->head.next : NULL;
}

/* First node of a list that is known not to be empty. */
static inline struct list_node *list_front(const struct list *l)
{
    FUT_ASSERT(l->len && l->head.next);
    return l->head.next;
}

static inline struct list_node *list_pop_front(struct list *l)
{
    struct list_node *n = list_first(l);
    if (n)
        list_remove(l, n);
    return n;
}

/* Next node after n, or NULL at the end. */
static inline struct list_node *list_next(const struct list *l, const struct list_node *n)
{
    return n->next == &l->head ? NULL : n->next;
}

/* Moves everything from src to the end of dst; src is empty afterwards. */
static inline void list_take_all(struct list *dst, struct list *src)
{
    if (!src->len)
        return;
    src->head.next->prev = dst->head.prev;
    dst->head.prev->next = src->head.next;
    src->head.prev->next = &dst->head;
    dst->head.prev = src->head.prev;
    dst->len += src->len;
    list_init(src);
}

#endif
