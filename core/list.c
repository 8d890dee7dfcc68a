#include "core/list.h"

#include "core/err.h"

void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->len = 0;
}

void list_insert_after(struct list *l, struct list_node *at, struct list_node *n)
{
    n->prev = at;
    n->next = at->next;
    at->next->prev = n;
    at->next = n;
    l->len++;
}

void list_push_back(struct list *l, struct list_node *n)
{
    list_insert_after(l, l->head.prev, n);
}

void list_push_front(struct list *l, struct list_node *n)
{
    list_insert_after(l, &l->head, n);
}

void list_remove(struct list *l, struct list_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = NULL;
    l->len--;
}

struct list_node *list_first(const struct list *l)
{
    return l->len ? l->head.next : NULL;
}

struct list_node *list_front(const struct list *l)
{
    FUT_ASSERT(l->len);
    return l->head.next;
}

struct list_node *list_pop_front(struct list *l)
{
    struct list_node *n = list_first(l);
    if (n)
        list_remove(l, n);
    return n;
}

struct list_node *list_next(const struct list *l, const struct list_node *n)
{
    return n->next == &l->head ? NULL : n->next;
}

struct list_node *list_previous(const struct list *l, const struct list_node *n)
{
    struct list_node *before = n ? n->prev : l->head.prev;
    return before == &l->head ? NULL : before;
}

void list_take_all(struct list *dst, struct list *src)
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
