/* list: an intrusive doubly linked list. The node lives in its owner; the list owns nothing.
 * Not thread-safe: the owner's lock guards it. */
#ifndef FUT_CORE_LIST_H
#define FUT_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next; /* NULL, NULL while in no list */
};

struct list {
    struct list_node head;
    size_t len;
};

/* Makes an empty list. */
void list_init(struct list *l);
/* Adds n, which is in no list, at the end. */
void list_push_back(struct list *l, struct list_node *n);
/* Adds n, which is in no list, in front. */
void list_push_front(struct list *l, struct list_node *n);
/* n becomes the node after at; at == &l->head puts it in front. */
void list_insert_after(struct list *l, struct list_node *at, struct list_node *n);
/* n must be in l. */
void list_remove(struct list *l, struct list_node *n);
/* First node, or NULL. */
struct list_node *list_first(const struct list *l);
/* First node of a list that is known not to be empty. */
struct list_node *list_front(const struct list *l);
/* Removes and returns the first node, or NULL. */
struct list_node *list_pop_front(struct list *l);
/* Next node after n, or NULL at the end. */
struct list_node *list_next(const struct list *l, const struct list_node *n);
/* Node before n, or NULL at the begin; n NULL: the last one, or NULL. */
struct list_node *list_previous(const struct list *l, const struct list_node *n);
/* Moves everything from src to the end of dst; src is empty afterwards. */
void list_take_all(struct list *dst, struct list *src);

static inline bool list_is_empty(const struct list *l)
{
    return l->len == 0;
}

static inline bool list_is_linked(const struct list_node *n)
{
    return n->next != NULL;
}

#endif
