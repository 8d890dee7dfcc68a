/* lines: the directory of waiting lines, and what each has. Whose turn it is: turns.c. */
#include "storage/engine/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define TIDY_STEP 1000 /* rows that one transaction deletes at most */

struct name {
    enum lane lane;
    const char *queue, *handler, *fair_key, *limits;
};

/* ---- finding and making ---------------------------------------------------------------------- */

static uint64_t hash_name(const struct name *n)
{
    uint64_t hash = hash_byte(HASH_START, (unsigned char)n->lane);
    hash = hash_byte(hash_text(hash, n->queue), 0);
    hash = hash_byte(hash_text(hash, n->handler), 0);
    hash = hash_byte(hash_text(hash, n->fair_key), 0);
    return hash_text(hash, n->limits);
}

static bool is_called(const struct line *line, const struct name *n)
{
    return lines_lane(line) == n->lane && strcmp(line->group->handler->name, n->handler) == 0 &&
           strcmp(line->key->text, n->fair_key) == 0 && strcmp(line->key->limits, n->limits) == 0 &&
           strcmp(line->group->part->queue->name, n->queue) == 0;
}

static struct line *find(const struct lines *l, const struct name *n, uint64_t hash)
{
    for (struct map_node *i = map_get(&l->by_name, hash); i; i = map_next_same(i)) {
        struct line *line = FUT_CONTAINER(i, struct line, by_name);
        if (is_called(line, n))
            return line;
    }
    return NULL;
}

struct line *lines_find(const struct lines *l, int64_t number)
{
    struct map_node *n = map_get(&l->by_number, (uint64_t)number);
    return n ? FUT_CONTAINER(n, struct line, by_number) : NULL;
}

static uint64_t hash_handler(enum lane lane, const char *name)
{
    return hash_text(hash_byte(HASH_START, (unsigned char)lane), name);
}

struct line_handler *lines_find_handler(const struct lines *l, enum lane lane, const char *name)
{
    uint64_t hash = hash_handler(lane, name);
    for (struct map_node *i = map_get(&l->handlers, hash); i; i = map_next_same(i)) {
        struct line_handler *h = FUT_CONTAINER(i, struct line_handler, by_name);
        if (h->lane == lane && strcmp(h->name, name) == 0)
            return h;
    }
    return NULL;
}

uint64_t lines_running(const struct lines *l, const char *handler)
{
    uint64_t n = 0;
    for_each_lane (lane) {
        const struct line_handler *h = lines_find_handler(l, lane, handler);
        n += h ? h->running : 0;
    }
    return n;
}

static int by_text(const void *name, const void *item)
{
    return strcmp(name, *(char *const *)item);
}

static bool is_here(const struct lines *l, const char *handler)
{
    return !l->here || (l->n_here && bsearch(handler, l->here, l->n_here, sizeof(char *), by_text));
}

static void free_here(struct lines *l)
{
    for (size_t i = 0; i < l->n_here; i++)
        free(l->here[i]);
    free(l->here);
}

void lines_set_here(struct lines *l, char **names, size_t n)
{
    free_here(l);
    l->here = names;
    l->n_here = n;
    for (size_t i = 0; l->handlers.len && i <= l->handlers.mask; i++) {
        for (struct map_node *m = l->handlers.buckets[i]; m; m = m->next) {
            struct line_handler *h = FUT_CONTAINER(m, struct line_handler, by_name);
            turns_close(l, h, (h->closed & LINE_PAUSED) | (is_here(l, h->name) ? 0 : LINE_FOREIGN));
        }
    }
}

static struct line_handler *get_handler(struct lines *l, enum lane lane, const char *name)
{
    struct line_handler *h = lines_find_handler(l, lane, name);
    if (h)
        return h;
    h = xnew(struct line_handler);
    h->lane = lane;
    h->closed = (pauses_find(l->pauses, STORE_PAUSE_HANDLER, name) ? LINE_PAUSED : 0) |
                (is_here(l, name) ? 0 : LINE_FOREIGN);
    (void)snprintf(h->name, sizeof(h->name), "%s", name);
    map_put(&l->handlers, &h->by_name, hash_handler(lane, name));
    return h;
}

static struct line_group *get_group(struct lines *l, struct line_part *part,
                                    struct line_handler *handler)
{
    uint64_t hash = hash_number(hash_number(HASH_START, (uintptr_t)part), (uintptr_t)handler);
    for (struct map_node *i = map_get(&l->groups, hash); i; i = map_next_same(i)) {
        struct line_group *g = FUT_CONTAINER(i, struct line_group, by_name);
        if (g->part == part && g->handler == handler)
            return g;
    }
    struct line_group *g = xnew(struct line_group);
    g->part = part;
    g->handler = handler;
    list_push_back(&part->all_groups, &g->in_all);
    g->root.group = g;
    map_put(&l->groups, &g->by_name, hash);
    return g;
}

static struct line_key *get_key(struct lines *l, struct line_part *part, const char *text,
                                const char *limits)
{
    uint64_t hash = hash_text(hash_number(HASH_START, (uintptr_t)part), text);
    hash = hash_text(hash_byte(hash, 0), limits);
    for (struct map_node *i = map_get(&l->keys, hash); i; i = map_next_same(i)) {
        struct line_key *k = FUT_CONTAINER(i, struct line_key, by_name);
        if (k->part == part && strcmp(k->text, text) == 0 && strcmp(k->limits, limits) == 0)
            return k;
    }
    size_t n = strlen(text) + 1, n_limits = strlen(limits) + 1;
    struct line_key *k = xcalloc(1, sizeof(*k) + n + n_limits);
    k->part = part;
    k->turn = part->key_turn;
    k->step = LINE_KEY_STEP;
    memcpy(k->text, text, n);
    k->limits = memcpy(k->text + n, limits, n_limits);
    list_init(&k->lines);
    map_put(&l->keys, &k->by_name, hash);
    return k;
}

/* Those of the default queue without a key stay: there are few, and they are used again. */
static bool goes_when_idle(const struct line *line)
{
    return *line->key->text || *line->key->limits || *line->group->part->queue->name;
}

static struct line_node *get_node(struct lines *l, struct line_node *parent, struct limit_key *k)
{
    uint64_t hash = hash_number(hash_number(HASH_START, (uintptr_t)parent), (uintptr_t)k);
    for (struct map_node *i = map_get(&l->nodes, hash); i; i = map_next_same(i)) {
        struct line_node *node = FUT_CONTAINER(i, struct line_node, by_name);
        if (node->parent == parent && node->limit == k)
            return node;
    }
    struct line_node *node = xnew(struct line_node);
    *node = (struct line_node){.parent = parent, .group = parent->group, .limit = k};
    parent->refs++;
    list_push_back(&k->nodes, &node->in_limit);
    limit_set_join_lane(l->limits, k, parent->group->part->lane);
    map_put(&l->nodes, &node->by_name, hash);
    return node;
}

static void let_node_go(struct lines *l, struct line_node *node)
{
    while (node->parent && --node->refs == 0) {
        struct line_node *parent = node->parent;
        map_remove(&l->nodes, &node->by_name);
        list_remove(&node->limit->nodes, &node->in_limit);
        if (list_is_empty(&node->limit->nodes))
            limit_set_let_go(l->limits, node->limit);
        heap_release(&node->lines);
        heap_release(&node->nodes);
        free(node);
        node = parent;
    }
}

/* The node of these under the parent; NULL: too many keys are in use, and the parent is let go. */
static struct line_node *step_down(struct lines *l, struct line_node *parent, const char *name,
                                   const char *key)
{
    struct limit_key *k = limit_set_get(l->limits, name, key);
    if (k)
        return get_node(l, parent, k);
    parent->refs++;
    let_node_go(l, parent);
    return NULL;
}

/* The node of a task's labels and limits under the group; NULL: too many keys are in use. */
static struct line_node *descend(struct lines *l, struct line_group *g, const char *limits)
{
    struct task_limits named;
    struct task_needs needs;
    struct line_node *node = &g->root;
    if (!*limits || task_limits_read(limits, &named) != 0)
        return node;
    task_needs_read(limits, &needs);
    for (size_t i = 0; node && i < needs.n; i++)
        node = step_down(l, node, LIMIT_SET_LABELS, needs.items[i]);
    for (size_t i = 0; node && i < named.n; i++)
        node = step_down(l, node, named.items[i].name, named.items[i].key);
    return node;
}

/* One that has no task: it is idle until it has. NULL: too many keys of limits are in use. */
static struct line *make(struct lines *l, struct line_queue *queue, const struct name *n,
                         uint64_t hash, int64_t number)
{
    struct line *line = xnew(struct line);
    struct line_part *part = &queue->parts[n->lane];
    line->group = get_group(l, part, get_handler(l, n->lane, n->handler));
    line->node = descend(l, line->group, n->limits);
    if (!line->node) {
        free(line);
        return NULL;
    }
    line->node->refs++;
    line->key = get_key(l, part, n->fair_key, n->limits);
    line->number = number;
    line->first = BACKEND_PLACE_NONE;
    heap_remove(&part->idle_keys, &line->key->idle);
    list_push_back(&line->key->lines, &line->in_key);
    map_put(&l->by_name, &line->by_name, hash);
    map_put(&l->by_number, &line->by_number, (uint64_t)number);
    queue->n_lines++;
    line_queue_keep(l, queue);
    if (goes_when_idle(line))
        list_push_back(&l->idle, &line->idle);
    return line;
}

static void remember(struct lines *l, struct line *line, int from, int to, uint64_t n)
{
    if (l->n_undo == l->cap_undo) {
        l->cap_undo = l->cap_undo ? l->cap_undo * 2 : 256;
        l->undo = xrealloc(l->undo, l->cap_undo * sizeof(*l->undo));
    }
    l->undo[l->n_undo++] = (struct line_undo){line, from, to, n};
}

static int store_line(struct store *s, struct line *line)
{
    int rc = s->ops->add_line(
        s->backend,
        &(struct backend_line){line->number, lines_lane(line), line->group->part->queue->name,
                               line->group->handler->name, line->key->text, line->key->limits});
    if (rc != 0)
        return rc;
    line->is_stored = true;
    remember(&s->w.lines, line, LINE_ADDED, LINE_NONE, 0);
    return 0;
}

int lines_get(struct store *s, const struct task_spec *spec, struct line **out)
{
    struct lines *l = &s->w.lines;
    struct name n = {spec->lane, spec->queue ? spec->queue : "", spec->handler,
                     spec->fair_key ? spec->fair_key : "", spec->limits ? spec->limits : ""};
    if (l->latest && l->latest->is_stored && is_called(l->latest, &n)) {
        *out = l->latest;
        return 0;
    }
    uint64_t hash = hash_name(&n);
    struct line *line = find(l, &n, hash);
    if (!line) {
        struct line_queue *queue = line_queue_get(l, n.queue);
        if (!queue)
            return FUT_ERR_TOO_BIG;
        line = make(l, queue, &n, hash, ++l->last_number);
        if (!line) {
            line_queue_keep(l, queue);
            return FUT_ERR_AGAIN;
        }
    }
    *out = l->latest = line;
    return line->is_stored ? 0 : store_line(s, line);
}

/* ---- what they have -------------------------------------------------------------------------- */

static void count_limits(struct lines *l, struct line *line, int state, uint64_t n)
{
    for (struct line_node *node = line->node; node->parent; node = node->parent) {
        struct limit_key *k = node->limit;
        if (state == TASK_QUEUED)
            k->waiting += n;
        if (state == TASK_RUNNING)
            k->running += n;
        turns_update_limit(l, k);
    }
}

static void count_gate(struct lines *l, struct limit_key *gate, uint64_t n)
{
    gate->running += n;
    turns_update_limit(l, gate);
}

static void add(struct lines *l, struct line *line, int state, uint64_t n)
{
    if (state == LINE_NONE || task_state_is_final((enum task_state)state))
        return;
    if (line->node->parent)
        count_limits(l, line, state, n);
    line->live[state] += n;
    line->group->part->live[state] += n;
    if (state != TASK_RUNNING)
        return;
    line->group->handler->running += n;
    line->group->part->queue->running += n;
    if (line->group->part->queue->gate)
        count_gate(l, line->group->part->queue->gate, n);
}

static bool is_empty(const struct line *line)
{
    return !line->live[TASK_SCHEDULED] && !line->live[TASK_QUEUED] && !line->live[TASK_RUNNING];
}

static void change(struct lines *l, struct line *line, int from, int to, uint64_t n)
{
    bool waited = line->live[TASK_QUEUED];
    add(l, line, from, -n);
    add(l, line, to, n);
    bool waits = line->live[TASK_QUEUED];
    if (waits && !waited)
        turns_enter(l, line);
    else if (waited && !waits)
        turns_leave(l, line);
    if (list_is_linked(&line->idle) && !is_empty(line))
        list_remove(&l->idle, &line->idle);
    else if (!list_is_linked(&line->idle) && is_empty(line) && goes_when_idle(line))
        list_push_back(&l->idle, &line->idle);
}

void lines_move(struct lines *l, struct line *line, int from, int to, uint64_t n)
{
    change(l, line, from, to, n);
    remember(l, line, from, to, n);
}

int64_t lines_place(const struct line *line, uint64_t key, int priority)
{
    int64_t age_ms = line->group->part->queue->is.age_after_ms;
    return backend_place(key, priority, age_ms ? age_ms : BACKEND_STRICT_MS);
}

void lines_wait_at(struct line *line, int64_t place)
{
    bool is_lower = line->first != BACKEND_PLACE_NONE && place < line->first;
    if (!line->live[TASK_QUEUED] || place == BACKEND_PLACE_NONE || is_lower)
        line->first = place;
}

size_t lines_mark(const struct lines *l)
{
    return l->n_undo;
}

void lines_undo_to(struct lines *l, size_t mark)
{
    while (l->n_undo > mark) {
        struct line_undo *u = &l->undo[--l->n_undo];
        if (u->from == LINE_ADDED) {
            u->line->is_stored = false;
            continue;
        }
        u->line->first = BACKEND_PLACE_NONE;
        change(l, u->line, u->to, u->from, u->n);
    }
    list_take_all(&l->idle, &l->dropped);
}

/* ---- letting go ------------------------------------------------------------------------------ */

bool lines_are_untidy(const struct lines *l)
{
    return !list_is_empty(&l->idle);
}

int lines_tidy(struct store *s)
{
    struct lines *l = &s->w.lines;
    struct list_node *first;
    for (size_t n = 0; n < TIDY_STEP && (first = list_first(&l->idle)); n++) {
        struct line *line = FUT_CONTAINER(first, struct line, idle);
        int rc = line->is_stored ? s->ops->drop_line(s->backend, line->number) : 0;
        if (rc != 0)
            return rc;
        list_remove(&l->idle, first);
        list_push_back(&l->dropped, first);
    }
    return 0;
}

/* A key that has had more than its turn is remembered until the others have had theirs, or nobody
 * has a task any more. */
static void let_key_go(struct lines *l, struct line_key *k)
{
    struct line_part *part = k->part;
    const uint64_t *live = part->live;
    struct heap_node *first;
    bool is_idle = !live[TASK_SCHEDULED] && !live[TASK_QUEUED] && !live[TASK_RUNNING];
    heap_put(&part->idle_keys, &k->idle, k->turn);
    while ((first = heap_min(&part->idle_keys)) && (is_idle || first->key <= part->key_turn)) {
        part->key_turn = first->key > part->key_turn ? first->key : part->key_turn;
        heap_remove(&part->idle_keys, first);
        line_queue_free_key(l, FUT_CONTAINER(first, struct line_key, idle));
    }
}

static void free_line(struct lines *l, struct line *line)
{
    struct line_key *k = line->key;
    struct line_queue *q = line->group->part->queue;
    list_remove(&k->lines, &line->in_key);
    map_remove(&l->by_name, &line->by_name);
    map_remove(&l->by_number, &line->by_number);
    let_node_go(l, line->node);
    if (l->latest == line)
        l->latest = NULL;
    free(line);
    if (list_is_empty(&k->lines))
        let_key_go(l, k);
    q->n_lines--;
    line_queue_keep(l, q);
}

void lines_committed(struct lines *l)
{
    struct list_node *n;
    l->n_undo = 0;
    while ((n = list_pop_front(&l->dropped)))
        free_line(l, FUT_CONTAINER(n, struct line, idle));
}

/* ---- what other nodes have done -------------------------------------------------------------- */

static void renumber(struct lines *l, struct line *line, int64_t number)
{
    map_remove(&l->by_number, &line->by_number);
    line->number = number;
    map_put(&l->by_number, &line->by_number, (uint64_t)number);
}

/* A line of ours that is not stored gives way to one of the same number, and takes the number of
 * one that is called like it. */
bool lines_hear_line(struct lines *l, const struct backend_line *is)
{
    struct name n = {is->lane, is->queue, is->handler, is->fair_key, is->limits};
    uint64_t hash = hash_name(&n);
    struct line *line = find(l, &n, hash), *other = lines_find(l, is->number);
    if (is->number > l->last_number)
        l->last_number = is->number;
    if (other && other != line)
        renumber(l, other, ++l->last_number);
    if (line && line->number != is->number) {
        renumber(l, line, is->number);
    } else if (!line) {
        struct line_queue *queue = line_queue_get(l, n.queue);
        line = queue ? make(l, queue, &n, hash, is->number) : NULL;
        if (!line)
            return false;
    }
    line->is_stored = true;
    return true;
}

void lines_hear_move(struct lines *l, struct line *line, int from, int to, uint64_t n)
{
    if (from == TASK_RUNNING) {
        for (uint64_t i = 0; i < n; i++)
            turns_refund(l, line, line->group->part->ran_us);
    }
    if (to == TASK_RUNNING)
        turns_charge(l, line, n);
    change(l, line, from, to, n);
    line->first = BACKEND_PLACE_NONE;
}

void lines_hear_drop(struct lines *l, struct line *line)
{
    line->is_stored = false;
    if (!list_is_linked(&line->idle))
        return;
    list_remove(&l->idle, &line->idle);
    free_line(l, line);
}

/* ---- start and end --------------------------------------------------------------------------- */

void lines_init(struct lines *l)
{
    struct map *const maps[] = {&l->by_name, &l->by_number, &l->groups, &l->handlers,
                                &l->keys,    &l->queues,    &l->nodes};
    *l = (struct lines){0};
    for (size_t i = 0; i < FUT_COUNT(maps); i++)
        map_init(maps[i]);
    for_each_lane (lane)
        list_init(&l->active[lane]);
    list_init(&l->idle);
    list_init(&l->all_queues);
    list_init(&l->idle_queues);
    list_init(&l->dropped);
}

struct loading {
    struct lines *lines;
    uint64_t (*live)[TASK_STATE_COUNT];
};

static void load_one(void *ctx, const struct backend_line_totals *total)
{
    const struct loading *d = ctx;
    const struct backend_line *b = &total->line;
    struct name n = {b->lane, b->queue, b->handler, b->fair_key, b->limits};
    struct line_queue *queue = line_queue_get(d->lines, b->queue);
    FUT_ASSERT(queue != NULL); /* there are not more than there were */
    struct line *line = make(d->lines, queue, &n, hash_name(&n), b->number);
    FUT_ASSERT(line != NULL); /* there are not more keys than there were */
    line->is_stored = true;
    line->first = total->live[TASK_QUEUED] ? total->first : BACKEND_PLACE_NONE;
    if (b->number > d->lines->last_number)
        d->lines->last_number = b->number;
    for (int st = 0; st < TASK_STATE_COUNT; st++) {
        d->live[b->lane][st] += total->live[st];
        if (total->live[st])
            change(d->lines, line, LINE_NONE, st, total->live[st]);
    }
}

int lines_load(struct store *s, uint64_t live[LANE_COUNT][TASK_STATE_COUNT])
{
    return s->ops->lines(s->backend, load_one, &(struct loading){&s->w.lines, live});
}

static void free_one_line(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct line, by_number));
}

static void free_node(struct map_node *n)
{
    struct line_node *node = FUT_CONTAINER(n, struct line_node, by_name);
    heap_release(&node->lines);
    heap_release(&node->nodes);
    free(node);
}

static void free_one_key(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct line_key, by_name));
}

static void free_handler(struct map_node *n)
{
    struct line_handler *h = FUT_CONTAINER(n, struct line_handler, by_name);
    heap_release(&h->groups);
    free(h);
}

void lines_release(struct lines *l)
{
    map_release(&l->by_name);
    map_drain(&l->by_number, free_one_line);
    map_drain(&l->nodes, free_node);
    map_drain(&l->keys, free_one_key);
    map_drain(&l->groups, line_queue_free_group);
    map_drain(&l->handlers, free_handler);
    map_drain(&l->queues, line_queue_free);
    free(l->undo);
    free_here(l);
}
