/* line_queues: the queues of the directory: when they come and go, and how long their
 * latest tasks waited. The writer thread alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "storage/engine/lines.h"

#define IDLE_QUEUES_MAX 1000 /* that are remembered for what they have had */
#define RAN_FIRST_US 100000  /* what is taken for the run time of a queue's first tasks */

/* ---- finding and making ---------------------------------------------------------------------- */

struct line_queue *line_queue_find(const struct lines *l, const char *name)
{
    uint64_t hash = hash_text(HASH_START, name);
    for (struct map_node *i = map_get(&l->queues, hash); i; i = map_next_same(i)) {
        struct line_queue *q = FUT_CONTAINER(i, struct line_queue, by_name);
        if (strcmp(q->name, name) == 0)
            return q;
    }
    return NULL;
}

struct store_queue line_queue_unsaid(const char *name)
{
    struct store_queue is = {.weight = 1, .limit = {.rate_per_ms = 1000, .rate_burst = 1}};
    (void)snprintf(is.name, sizeof(is.name), "%s", *name ? name : TASK_QUEUE_DEFAULT);
    return is;
}

bool line_queue_is_there(const struct line_queue *q)
{
    return q->n_lines || q->is_said || q->is_paused || !*q->name;
}

/* The default queue does not count. */
static bool is_full(const struct lines *l)
{
    size_t n = l->queues.len - l->idle_queues.len;
    return n > STORE_QUEUES_MAX || (n == STORE_QUEUES_MAX && !line_queue_find(l, ""));
}

struct line_queue *line_queue_get(struct lines *l, const char *name)
{
    struct line_queue *q = line_queue_find(l, name);
    bool is_there = q && !list_is_linked(&q->idle);
    if (!is_there && *name && is_full(l))
        return NULL;
    if (q)
        return q;
    q = xnew(struct line_queue);
    q->is_open = true;
    q->is = line_queue_unsaid(name);
    (void)snprintf(q->name, sizeof(q->name), "%s", name);
    list_push_back(&l->all_queues, &q->in_all);
    for_each_lane (lane) {
        q->parts[lane] = (struct line_part){.queue = q, .lane = lane, .ran_us = RAN_FIRST_US};
        list_init(&q->parts[lane].groups);
        list_init(&q->parts[lane].all_groups);
    }
    map_put(&l->queues, &q->by_name, hash_text(HASH_START, name));
    return q;
}

/* ---- their latest starts --------------------------------------------------------------------- */

void line_queue_add_start(struct line *line, int64_t up_ms, int64_t wait_ms)
{
    struct line_queue *q = line->group->part->queue;
    if (!q->starts)
        q->starts = xnew(struct line_starts);
    size_t at = q->starts->n++ % STORE_QUEUE_STARTS;
    q->starts->ring[at].at_ds = (uint32_t)(up_ms / 100);
    q->starts->ring[at].wait_ms = (uint32_t)(wait_ms < 0            ? 0
                                             : wait_ms > UINT32_MAX ? UINT32_MAX
                                                                    : wait_ms);
}

/* ---- letting go ------------------------------------------------------------------------------ */

void line_queue_free_key(struct lines *l, struct line_key *k)
{
    map_remove(&l->keys, &k->by_name);
    free(k);
}

void line_queue_free_group(struct map_node *n)
{
    struct line_group *g = FUT_CONTAINER(n, struct line_group, by_name);
    heap_release(&g->root.lines);
    heap_release(&g->root.nodes);
    free(g);
}

void line_queue_free(struct map_node *n)
{
    struct line_queue *q = FUT_CONTAINER(n, struct line_queue, by_name);
    for_each_lane (lane)
        heap_release(&q->parts[lane].idle_keys);
    free(q->fair);
    free(q->starts);
    free(q);
}

/* Its two parts have had no more than others. */
static bool may_be_forgotten(const struct lines *l, const struct line_queue *q)
{
    bool may = true;
    for_each_lane (lane)
        may = may && q->parts[lane].turn_us <= l->turn_us[lane];
    return may;
}

static void forget_queue(struct lines *l, struct line_queue *q)
{
    for_each_lane (lane) {
        struct line_part *part = &q->parts[lane];
        struct heap_node *key;
        struct list_node *i;
        while ((key = heap_min(&part->idle_keys))) {
            heap_remove(&part->idle_keys, key);
            line_queue_free_key(l, FUT_CONTAINER(key, struct line_key, idle));
        }
        while ((i = list_pop_front(&part->all_groups))) {
            struct line_group *g = FUT_CONTAINER(i, struct line_group, in_all);
            map_remove(&l->groups, &g->by_name);
            line_queue_free_group(&g->by_name);
        }
    }
    map_remove(&l->queues, &q->by_name);
    list_remove(&l->all_queues, &q->in_all);
    line_queue_free(&q->by_name);
}

/* Looks at two each time one comes, so that there are never many. */
static void let_queue_go(struct lines *l, struct line_queue *q)
{
    list_push_back(&l->idle_queues, &q->idle);
    for (int i = 0; i < 2 && !list_is_empty(&l->idle_queues); i++) {
        struct list_node *n = list_pop_front(&l->idle_queues);
        struct line_queue *idle = FUT_CONTAINER(n, struct line_queue, idle);
        if (may_be_forgotten(l, idle) || l->idle_queues.len >= IDLE_QUEUES_MAX)
            forget_queue(l, idle);
        else
            list_push_back(&l->idle_queues, n);
    }
}

void line_queue_keep(struct lines *l, struct line_queue *q)
{
    bool is_there = line_queue_is_there(q);
    if (is_there && list_is_linked(&q->idle))
        list_remove(&l->idle_queues, &q->idle);
    else if (!is_there && !q->is_changing && !list_is_linked(&q->idle))
        let_queue_go(l, q);
}

size_t line_queue_list(const struct lines *l, struct line_queue ***out)
{
    size_t n = 0;
    struct line_queue **all = xcalloc(l->all_queues.len + 1, sizeof(*all));
    for (struct list_node *i = list_first(&l->all_queues); i; i = list_next(&l->all_queues, i)) {
        struct line_queue *q = FUT_CONTAINER(i, struct line_queue, in_all);
        if (line_queue_is_there(q))
            all[n++] = q;
    }
    *out = all;
    return n;
}
