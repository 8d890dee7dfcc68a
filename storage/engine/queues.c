/* queues: what is said of queues and handlers: how it is changed, kept, taken back and shown. The
 * writer thread alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

/* ---- what holds ------------------------------------------------------------------------------ */

/* As the lines know it. */
static const char *short_name(const char *name)
{
    return strcmp(name, TASK_QUEUE_DEFAULT) == 0 ? "" : name;
}

/* The key that counts the queue's running tasks and has its tokens. False: there are too many. */
static bool set_gate(struct store *s, struct line_queue *q)
{
    struct limit_set *l = &s->w.limits;
    struct limit_key *k = NULL;
    if (q->is.limit.max_running || q->is.limit.rate_tasks > 0) {
        k = limit_set_own(l, LIMIT_VIEW_QUEUES, q->is.name, &q->is.limit);
        if (!k)
            return false;
        k->queue = q;
        k->running = q->running;
        (void)limit_set_update(l, k); /* turns_follow looks */
    } else if (q->gate) {
        limit_set_disown(l, q->gate);
    }
    q->gate = k;
    return true;
}

/* Everything but the weights of its keys. */
static bool define(struct store *s, struct line_queue *q, const struct store_queue *is,
                   bool is_said)
{
    struct store_queue was = q->is;
    q->is = *is;
    if (!set_gate(s, q)) {
        q->is = was;
        return false;
    }
    q->is_said = is_said;
    turns_follow(&s->w.lines, q);
    return true;
}

static void set_fair(struct line_queue *q, const struct store_fair_weight *all, size_t n)
{
    free(q->fair);
    q->fair = NULL;
    if (n) {
        q->fair = xcalloc(n, sizeof(*q->fair));
        memcpy(q->fair, all, n * sizeof(*all));
    }
    q->n_fair = n;
    q->fair_version++;
}

static void set_pause(struct store *s, enum store_pausable kind, const char *name,
                      const struct pool_pause *p)
{
    struct lines *l = &s->w.lines;
    struct line_queue *q = kind == STORE_PAUSE_QUEUE ? line_queue_find(l, short_name(name)) : NULL;
    pauses_put(&s->w.pauses, kind, name, p);
    if (q) {
        q->is_paused = p->since_wall_ms != 0;
        turns_follow(l, q);
    }
    for_each_lane (lane) {
        struct line_handler *h =
            kind == STORE_PAUSE_HANDLER ? lines_find_handler(l, lane, name) : NULL;
        unsigned others = h ? h->closed & ~(unsigned)LINE_PAUSED : 0;
        if (h)
            turns_close(l, h, others | (p->since_wall_ms ? LINE_PAUSED : 0U));
    }
}

/* ---- at start -------------------------------------------------------------------------------- */

static struct line_queue *loaded(struct store *s, const char *name)
{
    struct line_queue *q = line_queue_get(&s->w.lines, short_name(name));
    FUT_ASSERT(q != NULL); /* there are not more than there were */
    return q;
}

static void load_queue(void *ctx, const struct store_queue *is)
{
    struct line_queue *q = loaded(ctx, is->name);
    q->is_listed = true;
    FUT_MUST(define(ctx, q, is, true));
}

static void load_fair(void *ctx, const char *queue, const struct store_fair_weight *weight)
{
    struct line_queue *q = loaded(ctx, queue);
    q->fair = xrealloc(q->fair, (q->n_fair + 1) * sizeof(*q->fair));
    q->fair[q->n_fair++] = *weight; /* in the order of the rows, which is that of the keys */
    q->fair_version++;
    q->is_said = true;
}

static void load_pause(void *ctx, enum store_pausable kind, const char *name,
                       const struct pool_pause *p)
{
    if (kind == STORE_PAUSE_QUEUE)
        (void)loaded(ctx, name);
    set_pause(ctx, kind, name, p);
}

int queues_load(struct store *s)
{
    (void)loaded(s, TASK_QUEUE_DEFAULT);
    return s->ops->queues(s->backend, load_queue, load_fair, load_pause, s);
}

void queues_open(struct store *s)
{
    struct line_queue **all;
    size_t n = line_queue_list(&s->w.lines, &all);
    for (size_t i = 0; i < n; i++)
        turns_follow(&s->w.lines, all[i]);
    free(all);
}

/* Another node may have dropped what was said of it. Those that are there stay. */
static void follow_listed(struct store *s, struct line_queue *q)
{
    struct store_queue unsaid = line_queue_unsaid(q->name);
    if (!q->is_listed && q->is_said)
        FUT_MUST(define(s, q, &unsaid, q->n_fair > 0));
    if (line_queue_is_there(q))
        line_queue_keep(&s->w.lines, q);
}

/* One that nobody needs, and that is not known to be such. */
static struct line_queue *find_unneeded(struct store *s)
{
    struct list *queues = &s->w.lines.all_queues;
    for (struct list_node *i = list_first(queues); i; i = list_next(queues, i)) {
        struct line_queue *q = FUT_CONTAINER(i, struct line_queue, in_all);
        if (!line_queue_is_there(q) && !list_is_linked(&q->idle))
            return q;
    }
    return NULL;
}

/* Those that other nodes have ended. */
static void end_unlisted_pauses(struct store *s, enum store_pausable kind)
{
    const struct pool_pause goes_on = {.since_wall_ms = 0};
    const char *found;
    while ((found = pauses_unlisted(&s->w.pauses, kind))) {
        char name[TASK_QUEUE_MAX + 1];
        (void)snprintf(name, sizeof(name), "%s", found);
        set_pause(s, kind, name, &goes_on);
    }
}

int queues_reload(struct store *s)
{
    struct list *queues = &s->w.lines.all_queues;
    struct line_queue *unneeded;
    for (struct list_node *i = list_first(queues); i; i = list_next(queues, i)) {
        struct line_queue *q = FUT_CONTAINER(i, struct line_queue, in_all);
        q->is_listed = false;
        set_fair(q, NULL, 0);
    }
    pauses_unlist(&s->w.pauses);
    int rc = queues_load(s);
    if (rc != 0)
        return rc;
    for (int kind = 0; kind < PAUSES_KINDS; kind++)
        end_unlisted_pauses(s, (enum store_pausable)kind);
    for (struct list_node *i = list_first(queues); i; i = list_next(queues, i))
        follow_listed(s, FUT_CONTAINER(i, struct line_queue, in_all));
    while ((unneeded = find_unneeded(s)))
        line_queue_keep(&s->w.lines, unneeded); /* which may free others of that kind */
    return 0;
}

/* ---- what can be taken back ------------------------------------------------------------------ */

/* How a queue, or the pause of a handler, was before the transaction. */
struct queue_change {
    bool is_handler, was_said;
    char name[TASK_QUEUE_MAX + 1];
    struct store_queue was;
    struct pool_pause pause;
    struct store_fair_weight *fair;
    size_t n_fair;
};

static struct pool_pause pause_of(struct store *s, enum store_pausable kind, const char *name)
{
    const struct pool_pause *p = pauses_find(&s->w.pauses, kind, name);
    return p ? *p : (struct pool_pause){.since_wall_ms = 0};
}

static struct queue_change *add_change(struct store *s, enum store_pausable kind, const char *name)
{
    struct writer *w = &s->w;
    w->queue_changes =
        xrealloc(w->queue_changes, (w->n_queue_changes + 1) * sizeof(*w->queue_changes));
    struct queue_change *c = &w->queue_changes[w->n_queue_changes++];
    *c = (struct queue_change){.is_handler = kind == STORE_PAUSE_HANDLER,
                               .pause = pause_of(s, kind, name)};
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    return c;
}

static void remember(struct store *s, struct line_queue *q)
{
    struct queue_change *c = add_change(s, STORE_PAUSE_QUEUE, q->is.name);
    if (list_is_linked(&q->idle))
        list_remove(&s->w.lines.idle_queues, &q->idle);
    q->is_changing = true;
    c->was_said = q->is_said;
    c->was = q->is;
    c->n_fair = q->n_fair;
    c->fair = xcalloc(q->n_fair + 1, sizeof(*c->fair));
    if (q->n_fair)
        memcpy(c->fair, q->fair, q->n_fair * sizeof(*c->fair));
}

void queues_committed(struct store *s)
{
    struct writer *w = &s->w;
    for (size_t i = 0; i < w->n_queue_changes; i++) {
        const struct queue_change *c = &w->queue_changes[i];
        struct line_queue *q =
            c->is_handler ? NULL : line_queue_find(&w->lines, short_name(c->name));
        if (q && q->is_changing) { /* the first one of its changes */
            q->is_changing = false;
            line_queue_keep(&w->lines, q);
        }
        free(c->fair);
    }
    free(w->queue_changes);
    w->queue_changes = NULL;
    w->n_queue_changes = 0;
}

static void undo_one(struct store *s, const struct queue_change *c)
{
    enum store_pausable kind = c->is_handler ? STORE_PAUSE_HANDLER : STORE_PAUSE_QUEUE;
    set_pause(s, kind, c->name, &c->pause);
    if (c->is_handler)
        return;
    struct line_queue *q = line_queue_find(&s->w.lines, short_name(c->name));
    set_fair(q, c->fair, c->n_fair);
    FUT_MUST(define(s, q, &c->was, c->was_said));
}

void queues_undo(struct store *s)
{
    struct writer *w = &s->w;
    for (size_t i = w->n_queue_changes; i-- > 0;)
        undo_one(s, &w->queue_changes[i]);
    queues_committed(s);
}

/* ---- changing -------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct store_fair_weight *)a)->key,
                  ((const struct store_fair_weight *)b)->key);
}

/* The weights as they are to be, by key; *out: free() it. Returns their number. */
static size_t merge_fair(const struct line_queue *q, const struct store_queue_set *o,
                         struct store_fair_weight **out)
{
    const struct store_fair_weight *old = q->fair, *end = old + (o->is_all_fair ? 0 : q->n_fair);
    struct store_fair_weight *all = xcalloc(q->n_fair + o->n_fair + 1, sizeof(*all));
    struct store_fair_weight *fresh = xcalloc(o->n_fair + 1, sizeof(*fresh));
    size_t n = 0;
    if (o->n_fair)
        memcpy(fresh, o->fair, o->n_fair * sizeof(*fresh));
    qsort(fresh, o->n_fair, sizeof(*fresh), by_key);
    for (size_t i = 0; i < o->n_fair; i++) {
        while (old < end && by_key(old, &fresh[i]) < 0)
            all[n++] = *old++;
        if (old < end && by_key(old, &fresh[i]) == 0)
            old++;
        if (fresh[i].weight > 0)
            all[n++] = fresh[i];
    }
    while (old < end)
        all[n++] = *old++;
    free(fresh);
    *out = all;
    return n;
}

static int store_fair(struct store *s, const struct line_queue *q, const struct store_queue_set *o)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && o->is_all_fair && i < q->n_fair; i++) {
        struct store_fair_weight gone = q->fair[i];
        gone.weight = 0;
        rc = s->ops->fair_put(s->backend, q->is.name, &gone);
    }
    for (size_t i = 0; rc == 0 && i < o->n_fair; i++)
        rc = s->ops->fair_put(s->backend, q->is.name, &o->fair[i]);
    return rc;
}

static struct store_queue merged(const struct line_queue *q, const struct store_queue_set *o)
{
    const struct store_queue *from = &o->queue;
    struct store_queue is = q->is;
    if (o->sets & STORE_QUEUE_WEIGHT)
        is.weight = from->weight;
    if (o->sets & STORE_QUEUE_MAX_RUNNING)
        is.limit.max_running = from->limit.max_running;
    if (o->sets & STORE_QUEUE_RATE) {
        is.limit.rate_tasks = from->limit.rate_tasks;
        is.limit.rate_per_ms = from->limit.rate_per_ms;
        is.limit.rate_burst = from->limit.rate_burst;
    }
    if (o->sets & STORE_QUEUE_AGE)
        is.age_after_ms = from->age_after_ms;
    if (o->sets & STORE_QUEUE_RETENTION)
        is.retention_ms = from->retention_ms;
    return is;
}

static int store_all(struct store *s, const struct line_queue *q, const struct store_queue_set *o,
                     const struct store_queue *is)
{
    const char *name = q->is.name;
    int rc = o->sets & ~(unsigned)STORE_QUEUE_PAUSE ? s->ops->queue_put(s->backend, is) : 0;
    if (rc == 0)
        rc = store_fair(s, q, o);
    if (rc == 0 && o->sets & STORE_QUEUE_PAUSE)
        rc = s->ops->pause_put(s->backend, STORE_PAUSE_QUEUE, name, &o->pause);
    return rc;
}

static int set_queue(struct store *s, struct line_queue *q, const struct store_queue_set *o)
{
    struct store_fair_weight *fair;
    struct store_queue is = merged(q, o);
    size_t n = merge_fair(q, o, &fair);
    int rc = n > STORE_FAIR_WEIGHTS_MAX ? FUT_ERR_TOO_BIG : 0;
    bool is_said = q->is_said || n || o->sets & ~(unsigned)STORE_QUEUE_PAUSE;
    remember(s, q);
    if (rc == 0 && !define(s, q, &is, is_said))
        rc = FUT_ERR_AGAIN;
    if (rc == 0)
        rc = store_all(s, q, o, &is);
    if (rc == 0) {
        set_fair(q, fair, n);
        if (o->sets & STORE_QUEUE_PAUSE)
            set_pause(s, STORE_PAUSE_QUEUE, q->is.name, &o->pause);
    }
    free(fair);
    return rc;
}

static int write_set(struct store *s, struct store_op *op)
{
    struct store_queue_set *o = FUT_CONTAINER(op, struct store_queue_set, op);
    int rc = txn_begin(s);
    if (rc != 0)
        return rc;
    struct line_queue *q = line_queue_get(&s->w.lines, short_name(o->queue.name));
    if (!q)
        return FUT_ERR_FULL;
    o->is_new = !q->is_said && !q->is_paused;
    return set_queue(s, q, o);
}

const struct store_verb store_verb_queue_set = {
    .write = write_set, .is_refusable = true, .is_repeatable = true};

static int write_drop(struct store *s, struct store_op *op)
{
    struct store_queue_drop *o = FUT_CONTAINER(op, struct store_queue_drop, op);
    const struct pool_pause none = {.since_wall_ms = 0};
    struct line_queue *q = line_queue_find(&s->w.lines, short_name(o->name));
    if (!q || !line_queue_is_there(q))
        return FUT_ERR_NOT_FOUND;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->queue_drop(s->backend, o->name);
    if (rc == 0)
        rc = s->ops->pause_put(s->backend, STORE_PAUSE_QUEUE, o->name, &none);
    if (rc != 0)
        return rc;
    remember(s, q);
    set_fair(q, NULL, 0);
    struct store_queue is = line_queue_unsaid(q->is.name);
    FUT_MUST(define(s, q, &is, false)); /* it needs no key */
    set_pause(s, STORE_PAUSE_QUEUE, is.name, &none);
    return 0;
}

const struct store_verb store_verb_queue_drop = {
    .write = write_drop, .is_refusable = true, .is_repeatable = true};

static int pause_handler(struct store *s, const struct store_handler_pause *o)
{
    bool is_more =
        o->pause.since_wall_ms && !pauses_find(&s->w.pauses, STORE_PAUSE_HANDLER, o->name);
    if (is_more && pauses_count(&s->w.pauses, STORE_PAUSE_HANDLER) >= STORE_QUEUES_MAX)
        return FUT_ERR_FULL;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->pause_put(s->backend, STORE_PAUSE_HANDLER, o->name, &o->pause);
    if (rc != 0)
        return rc;
    (void)add_change(s, STORE_PAUSE_HANDLER, o->name);
    set_pause(s, STORE_PAUSE_HANDLER, o->name, &o->pause);
    return 0;
}

static int write_handler_pause(struct store *s, struct store_op *op)
{
    struct store_handler_pause *o = FUT_CONTAINER(op, struct store_handler_pause, op);
    int rc = o->only_looks ? 0 : pause_handler(s, o);
    if (rc == 0)
        o->pause = pause_of(s, STORE_PAUSE_HANDLER, o->name);
    o->running = lines_running(&s->w.lines, o->name);
    return rc;
}

const struct store_verb store_verb_handler_pause = {
    .write = write_handler_pause, .is_refusable = true, .is_repeatable = true};

/* ---- what is shown --------------------------------------------------------------------------- */

static int by_size(const void *a_, const void *b_)
{
    uint32_t a = *(const uint32_t *)a_, b = *(const uint32_t *)b_;
    return a < b ? -1 : a > b;
}

static void show_starts(const struct line_starts *starts, int64_t up_ms,
                        struct store_queue_status *out)
{
    const uint32_t now_ds = (uint32_t)(up_ms / 100), most_ds = STORE_QUEUE_RATE_S * 10;
    uint32_t waits[STORE_QUEUE_STARTS], oldest_ds = 0;
    size_t n = starts->n < STORE_QUEUE_STARTS ? (size_t)starts->n : STORE_QUEUE_STARTS, recent = 0;
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        uint32_t age_ds = now_ds - starts->ring[i].at_ds;
        waits[i] = starts->ring[i].wait_ms;
        recent += age_ds < most_ds;
        oldest_ds = age_ds > oldest_ds ? age_ds : oldest_ds;
    }
    qsort(waits, n, sizeof(*waits), by_size);
    out->starts = n;
    out->wait_p50_ms = waits[(n - 1) / 2];
    out->wait_p95_ms = waits[(n * 95 + 99) / 100 - 1];
    bool is_all_recent = recent == STORE_QUEUE_STARTS;
    double seconds = is_all_recent ? (oldest_ds + 1) / 10.0 : STORE_QUEUE_RATE_S;
    out->started_per_s = (double)recent / seconds;
}

static void show(struct store *s, const struct line_queue *q, struct store_queue_status *out)
{
    int64_t up_ms = txn_up_ms(s);
    *out = (struct store_queue_status){.queue = q->is,
                                       .pause = pause_of(s, STORE_PAUSE_QUEUE, q->is.name)};
    for_each_lane (lane)
        memcpy(out->live[lane], q->parts[lane].live, sizeof(out->live[lane]));
    if (q->gate && !q->gate->is_open) {
        out->is_closed = true;
        if (heap_is_linked(&q->gate->timer) && q->gate->timer.key > up_ms)
            out->opens_wall_ms = clock_wall_ms() + q->gate->timer.key - up_ms;
    }
    if (q->starts)
        show_starts(q->starts, up_ms, out);
}

static void prepare_list(struct store_op *op)
{
    struct store_queue_list *o = FUT_CONTAINER(op, struct store_queue_list, op);
    o->queues = NULL;
    o->fair = NULL;
    o->n = o->n_fair = 0;
    o->has_more = false;
}

static int show_one(struct store *s, struct store_queue_list *o)
{
    const struct line_queue *q = line_queue_find(&s->w.lines, short_name(o->name));
    if (!q || !line_queue_is_there(q)) {
        if (!o->shows_any)
            return FUT_ERR_NOT_FOUND;
        o->queues = xcalloc(1, sizeof(*o->queues));
        o->queues[o->n++].queue = line_queue_unsaid(o->name);
        return 0;
    }
    o->queues = xcalloc(1, sizeof(*o->queues));
    show(s, q, &o->queues[o->n++]);
    o->fair = xcalloc(q->n_fair + 1, sizeof(*o->fair));
    if (q->n_fair)
        memcpy(o->fair, q->fair, q->n_fair * sizeof(*o->fair));
    o->n_fair = q->n_fair;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct line_queue *const *)a)->is.name,
                  (*(struct line_queue *const *)b)->is.name);
}

/* The writer knows how they stand, so it is asked although nothing is written. */
static int write_list(struct store *s, struct store_op *op)
{
    struct store_queue_list *o = FUT_CONTAINER(op, struct store_queue_list, op);
    struct line_queue **all;
    if (o->name)
        return show_one(s, o);
    size_t n = line_queue_list(&s->w.lines, &all), n_behind = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_internal = !task_queue_name_ok(all[i]->is.name);
        if (!is_internal && (!o->after || strcmp(all[i]->is.name, o->after) > 0))
            all[n_behind++] = all[i];
    }
    qsort(all, n_behind, sizeof(*all), by_name);
    o->has_more = n_behind > o->limit;
    o->queues = xcalloc(o->limit + 1, sizeof(*o->queues));
    while (o->n < o->limit && o->n < n_behind) {
        show(s, all[o->n], &o->queues[o->n]);
        o->n++;
    }
    free(all);
    return 0;
}

static void forget_list(struct store_op *op)
{
    struct store_queue_list *o = FUT_CONTAINER(op, struct store_queue_list, op);
    free(o->queues);
    free(o->fair);
}

const struct store_verb store_verb_queue_list = {.prepare = prepare_list,
                                                 .forget = forget_list,
                                                 .write = write_list,
                                                 .uses_reserve = true,
                                                 .is_refusable = true,
                                                 .is_repeatable = true};
