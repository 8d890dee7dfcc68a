/* turns: whose turn it is, where several lines have tasks that may start. README.md has the rules.
 * Nothing here is kept on disk: after a restart everybody begins with as much. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"
#include "storage/engine/lines.h"

#define RAN_WEIGHT 16          /* tasks over which the run time of a queue's tasks is averaged */
#define RAN_MAX_US 86400000000 /* TASK_TIMEOUT_MAX_MS: what one start is charged at most */

/* ---- who waits ------------------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool may_start(const struct line_group *g)
{
    return g->part->queue->is_open && !g->handler->closed;
}

bool turns_may_start(const struct line *line)
{
    return may_start(line->group);
}

/* A group that was idle does not make up for the turns of that time. */
static void link_group(struct lines *l, struct line_group *g)
{
    struct line_handler *h = g->handler;
    struct line_part *part = g->part;
    if (part->groups.len == 1)
        part->turn_us = later(part->turn_us, l->turn_us[part->lane]);
    heap_put(&h->groups, &g->by_turn, part->turn_us);
    if (h->groups.len == 1 && !list_is_linked(&h->active))
        list_push_back(&l->active[h->lane], &h->active);
}

static void unlink_group(struct lines *l, struct line_group *g)
{
    struct line_handler *h = g->handler;
    heap_remove(&h->groups, &g->by_turn);
    if (h->groups.len == 0 && list_is_linked(&h->active))
        list_remove(&l->active[h->lane], &h->active);
}

static struct heap_node *first_of(const struct line_node *node)
{
    struct heap_node *line = heap_min(&node->lines), *below = heap_min(&node->nodes);
    return !below || (line && line->key <= below->key) ? line : below;
}

/* A node is among its parent's while it is open and has something that waits, by the first turn of
 * these. */
static void lift(struct line_node *node)
{
    for (; node->parent; node = node->parent) {
        const struct heap_node *first = first_of(node);
        if (first && node->limit->is_open)
            heap_put(&node->parent->nodes, &node->by_turn, first->key);
        else
            heap_remove(&node->parent->nodes, &node->by_turn);
    }
}

/* The group is in its part's list while something in it may start. */
static void follow_group(struct lines *l, struct line_group *g)
{
    bool has_some = first_of(&g->root) != NULL;
    if (has_some && !list_is_linked(&g->in_part)) {
        list_push_back(&g->part->groups, &g->in_part);
        if (may_start(g))
            link_group(l, g);
    } else if (!has_some && list_is_linked(&g->in_part)) {
        list_remove(&g->part->groups, &g->in_part);
        unlink_group(l, g);
    }
}

static bool key_waits(const struct line_key *key)
{
    for (struct list_node *i = list_first(&key->lines); i; i = list_next(&key->lines, i)) {
        if (heap_is_linked(&FUT_CONTAINER(i, struct line, in_key)->by_turn))
            return true;
    }
    return false;
}

void turns_enter(struct lines *l, struct line *line)
{
    struct line_group *g = line->group;
    if (!key_waits(line->key))
        line->key->turn = later(line->key->turn, g->part->key_turn);
    heap_put(&line->node->lines, &line->by_turn, line->key->turn);
    lift(line->node);
    follow_group(l, g);
}

void turns_leave(struct lines *l, struct line *line)
{
    heap_remove(&line->node->lines, &line->by_turn);
    line->first = BACKEND_PLACE_NONE;
    lift(line->node);
    follow_group(l, line->group);
}

bool turns_are_limited(const struct lines *l, const struct line *line)
{
    for (const struct line_node *node = line->node; node->parent; node = node->parent) {
        if (!limit_set_space(l->limits, node->limit, 1))
            return true;
    }
    return false;
}

uint64_t turns_space(const struct lines *l, const struct line *line, uint64_t want)
{
    const struct limit_key *gate = line->group->part->queue->gate;
    if (gate)
        want = limit_set_space(l->limits, gate, want);
    for (const struct line_node *node = line->node; node->parent; node = node->parent)
        want = limit_set_space(l->limits, node->limit, want);
    return want;
}

static void follow_limit(struct lines *l, struct limit_key *k)
{
    for (struct list_node *i = list_first(&k->nodes); i; i = list_next(&k->nodes, i)) {
        struct line_node *node = FUT_CONTAINER(i, struct line_node, in_limit);
        lift(node);
        follow_group(l, node->group);
    }
    if (k->queue)
        turns_follow(l, k->queue);
}

void turns_update_limit(struct lines *l, struct limit_key *k)
{
    if (limit_set_update(l->limits, k))
        follow_limit(l, k);
}

void turns_update_limits(struct lines *l, const struct line *line)
{
    for (const struct line_node *node = line->node; node->parent; node = node->parent)
        turns_update_limit(l, node->limit);
}

static struct line_group *group_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct line_group, in_part);
}

static void move_part(struct line_part *part, int64_t slot_us)
{
    part->turn_us += (int64_t)((double)slot_us / part->queue->is.weight);
    for (struct list_node *i = list_first(&part->groups); i; i = list_next(&part->groups, i)) {
        struct line_group *g = group_at(i);
        if (heap_is_linked(&g->by_turn))
            heap_put(&g->handler->groups, &g->by_turn, part->turn_us);
    }
}

static void follow_part(struct lines *l, struct line_part *part, const struct line_handler *h)
{
    for (struct list_node *i = list_first(&part->groups); i; i = list_next(&part->groups, i)) {
        struct line_group *g = group_at(i);
        if (h && g->handler != h)
            continue;
        if (may_start(g))
            part->turn_us = later(part->turn_us, l->turn_us[part->lane]);
        (may_start(g) ? link_group : unlink_group)(l, g);
    }
    move_part(part, 0);
}

void turns_follow(struct lines *l, struct line_queue *q)
{
    bool is_open = !q->is_paused && (!q->gate || q->gate->is_open);
    if (is_open == q->is_open)
        return;
    q->is_open = is_open;
    for_each_lane (lane)
        follow_part(l, &q->parts[lane], NULL);
}

void turns_close(struct lines *l, struct line_handler *h, unsigned closed)
{
    bool is_same = !h->closed == !closed;
    h->closed = (unsigned char)closed;
    if (is_same)
        return;
    h->is_wanted = false;
    for (struct list_node *i = list_first(&l->all_queues); i; i = list_next(&l->all_queues, i))
        follow_part(l, &FUT_CONTAINER(i, struct line_queue, in_all)->parts[h->lane], h);
}

/* ---- who has had a turn ---------------------------------------------------------------------- */

static int by_key(const void *key, const void *weight)
{
    return strcmp(key, ((const struct store_fair_weight *)weight)->key);
}

static void find_step(struct line_key *key, const struct line_queue *q)
{
    const struct store_fair_weight *w =
        q->n_fair ? bsearch(key->text, q->fair, q->n_fair, sizeof(*w), by_key) : NULL;
    key->step = w ? (int64_t)(LINE_KEY_STEP / w->weight) : LINE_KEY_STEP;
    key->fair_version = q->fair_version;
}

/* The key was served n times: it begins no earlier than where the others are now. */
static void move_key(struct line_key *key, int64_t n)
{
    if (key->fair_version != key->part->queue->fair_version)
        find_step(key, key->part->queue);
    int64_t turn = later(key->turn, key->part->key_turn) + n * key->step;
    key->turn = turn;
    key->part->key_turn = turn - key->step;
    for (struct list_node *i = list_first(&key->lines); i; i = list_next(&key->lines, i)) {
        struct line *line = FUT_CONTAINER(i, struct line, in_key);
        if (!heap_is_linked(&line->by_turn))
            continue;
        heap_put(&line->node->lines, &line->by_turn, key->turn);
        lift(line->node);
    }
}

/* Where the part stands before the last of n starts. */
static int64_t last_start(const struct line_part *part, uint64_t n)
{
    double before_us = (double)(n - 1) * (double)part->ran_us / part->queue->is.weight;
    return part->turn_us + (int64_t)before_us;
}

static void take_tokens(struct lines *l, struct limit_key *k, uint64_t n)
{
    if (!k)
        return;
    limit_set_take(l->limits, k, n);
    turns_update_limit(l, k);
}

void turns_charge(struct lines *l, struct line *line, uint64_t n)
{
    struct line_part *part = line->group->part;
    int64_t charge_us = (int64_t)n * part->ran_us;
    part->turn_us = later(part->turn_us, l->turn_us[part->lane]);
    l->turn_us[part->lane] = last_start(part, n);
    part->charged_us += charge_us;
    line->group->handler->served = ++l->served;
    move_key(line->key, (int64_t)n);
    move_part(part, charge_us);
    take_tokens(l, part->queue->gate, n);
    for (struct line_node *node = line->node; node->parent; node = node->parent)
        take_tokens(l, node->limit, n);
}

void turns_refund(struct lines *l, struct line *line, int64_t ran_us)
{
    struct line_part *part = line->group->part;
    uint64_t running = part->live[TASK_RUNNING];
    int64_t charged_us = running ? part->charged_us / (int64_t)running : 0;
    (void)l;
    part->charged_us -= charged_us;
    if (ran_us > RAN_MAX_US)
        ran_us = RAN_MAX_US;
    if (ran_us >= 0)
        part->ran_us += (ran_us - part->ran_us) / RAN_WEIGHT;
    move_part(part, (ran_us >= 0 ? ran_us : 0) - charged_us);
}

/* ---- who is next ----------------------------------------------------------------------------- */

bool turns_wants(const struct store_claim *o, const char *handler)
{
    for (size_t i = 0; i < o->n_handlers; i++) {
        if (strcmp(o->handlers[i], handler) == 0)
            return o->is_only;
    }
    return !o->is_only;
}

bool turns_has_any(const struct lines *l, enum lane lane)
{
    return !list_is_empty(&l->active[lane]);
}

void turns_want(struct lines *l, const struct store_claim *o)
{
    const struct list *active = &l->active[o->lane];
    for (struct list_node *i = list_first(active); i; i = list_next(active, i)) {
        struct line_handler *h = FUT_CONTAINER(i, struct line_handler, active);
        h->is_wanted = turns_wants(o, h->name);
    }
}

/* The part with the lowest turn that has tasks of a wanted handler, or NULL. */
static struct line_part *next_part(const struct lines *l, enum lane lane)
{
    const struct line_group *best = NULL;
    const struct list *active = &l->active[lane];
    for (struct list_node *i = list_first(active); i; i = list_next(active, i)) {
        const struct line_handler *h = FUT_CONTAINER(i, struct line_handler, active);
        if (!h->is_wanted)
            continue;
        const struct line_group *g =
            FUT_CONTAINER(heap_min(&h->groups), struct line_group, by_turn);
        if (!best || g->by_turn.key < best->by_turn.key)
            best = g;
    }
    return best ? best->part : NULL;
}

/* What is compared before the handlers are: where priorities age, what the first task of the line
 * has come to in whole points. */
static int64_t points(const struct line *line)
{
    int64_t age_ms = line->group->part->queue->is.age_after_ms;
    if (!age_ms)
        return backend_place_priority(line->first);
    int64_t waited_ms = clock_wall_ms() - backend_place_wall_ms(line->first, 0, 0);
    return waited_ms / age_ms - (waited_ms % age_ms < 0);
}

static bool goes_before(const struct line *a, const struct line *b)
{
    const struct line_handler *x = a->group->handler, *y = b->group->handler;
    int64_t more = points(a) - points(b);
    if (a->key->turn != b->key->turn)
        return a->key->turn < b->key->turn;
    if (more)
        return more > 0;
    if (x->running != y->running)
        return x->running < y->running;
    return x->served != y->served ? x->served < y->served : a->first < b->first;
}

static int find_first(struct store *s, struct line *line)
{
    return line->first == BACKEND_PLACE_NONE ? s->ops->first(s->backend, line->number, &line->first)
                                             : 0;
}

static struct line *first_line(const struct line_group *g)
{
    const struct line_node *node = &g->root;
    struct heap_node *first = first_of(node);
    while (first != heap_min(&node->lines)) {
        node = FUT_CONTAINER(first, struct line_node, by_turn);
        first = first_of(node);
    }
    return FUT_CONTAINER(first, struct line, by_turn);
}

/* Of the lines that are first in their groups. */
static int next_line(struct store *s, const struct line_part *part, struct line **out)
{
    struct line *best = NULL;
    int rc = 0;
    for (struct list_node *i = list_first(&part->groups); rc == 0 && i;
         i = list_next(&part->groups, i)) {
        const struct line_group *g = group_at(i);
        struct line *line = first_line(g);
        if (!g->handler->is_wanted)
            continue;
        if (part->groups.len > 1) /* else there is nothing to compare */
            rc = find_first(s, line);
        if (rc == 0 && (!best || goes_before(line, best)))
            best = line;
    }
    *out = best;
    return rc;
}

/* Does one line alone wait under the node? */
static bool has_one_line(const struct line_node *node)
{
    while (node->lines.len == 0 && node->nodes.len == 1)
        node = FUT_CONTAINER(heap_min(&node->nodes), struct line_node, by_turn);
    return node->lines.len == 1 && node->nodes.len == 0;
}

int turns_next(struct store *s, enum lane lane, struct line **out, uint64_t *out_n)
{
    const struct lines *l = &s->w.lines;
    const struct line_part *part = next_part(l, lane);
    *out = NULL;
    int rc = part ? next_line(s, part, out) : 0;
    if (rc != 0 || !*out)
        return rc;
    const struct line_group *g = (*out)->group;
    bool is_alone =
        l->active[lane].len == 1 && g->handler->groups.len == 1 && has_one_line(&g->root);
    *out_n = is_alone ? (*out)->live[TASK_QUEUED] : 1;
    return 0;
}
