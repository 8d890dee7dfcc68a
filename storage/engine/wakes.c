/* wakes: tasks that are suspended until named futures end: whether they may be, what is kept of it
 * (edges of STORE_ON_WAKE), circles of waits (also those that a wait under a token would close),
 * and what the next attempt is told of the ends. The writer thread alone, but for the reading. What
 * follows from an end is in cascades.c. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base64.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/pool_view.h"
#include "storage/engine/internal.h"
#include "storage/results.h"

/* ---- may it wait for them? ------------------------------------------------------------------- */

/* How the task or batch stands. */
static int look(struct store *s, struct task_id id, bool *out_pending)
{
    enum task_state state;
    struct store_batch batch;
    uint64_t unfinished;
    int rc = s->ops->find_state(s->backend, id, &state);
    if (rc == 0)
        *out_pending = !task_state_is_final(state);
    if (rc != FUT_ERR_NOT_FOUND)
        return rc;
    rc = s->ops->batch_ends(s->backend, id.hi, &batch, &unfinished);
    if (rc == 0 && batch.id.lo != id.lo)
        rc = FUT_ERR_NOT_FOUND;
    if (rc == 0)
        *out_pending = unfinished > 0;
    return rc;
}

/* A task, or a batch, that cannot end before the task that is to be suspended has ended. */
struct waiter {
    struct map_node by_key;
    struct task_id id;
    size_t place, for_place; /* its own, and that of what it waits for */
};

/* A wait under a token that ends with the first of its futures: how many are not yet known to wait
 * for the task. */
struct choice {
    uint64_t wait;
    size_t rest;
};

struct search {
    struct waiter **found; /* in the order in which they were found; the first is the task itself */
    size_t n, cap, looks;
    struct map by_key;
    struct choice *choices;
    size_t n_choices;
};

/* Its place among those that were found. */
static size_t add_waiter(struct search *q, struct task_id id, size_t for_place)
{
    struct map_node *known = map_get(&q->by_key, id.hi);
    if (known)
        return FUT_CONTAINER(known, struct waiter, by_key)->place;
    if (q->n == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 16;
        q->found = xrealloc(q->found, q->cap * sizeof(struct waiter *));
    }
    struct waiter *w = xnew(struct waiter);
    w->id = id;
    w->for_place = for_place;
    w->place = q->n;
    map_put(&q->by_key, &w->by_key, id.hi);
    q->found[q->n++] = w;
    return w->place;
}

/* A batch waits for its members. */
static void add_task(struct search *q, const struct task_spec *spec, size_t for_place)
{
    size_t place = add_waiter(q, spec->id, for_place);
    if (spec->batch.hi)
        (void)add_waiter(q, spec->batch, place);
}

/* The task waits for its parent for ever, unless that ends: there is no time at which it goes on.
 */
static bool waits_for_ever(const struct task *t)
{
    return t->state == TASK_SCHEDULED && t->unmet && (!t->is_suspended || !t->due_wall_ms);
}

/* Adds those that wait for the one at `place`. */
static int add_waiters_for(struct store *s, struct search *q, size_t place)
{
    struct backend_edge edges[100];
    uint64_t after = 0;
    size_t n = FUT_COUNT(edges);
    int rc = 0;
    while (rc == 0 && n == FUT_COUNT(edges) && q->looks < STORE_CIRCLE_LOOKS) {
        rc = s->ops->children(s->backend, q->found[place]->id.hi, after, FUT_COUNT(edges), edges,
                              &n);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            struct task t;
            after = edges[i].child;
            q->looks++;
            if (!edges[i].is_pending)
                continue;
            rc = s->ops->find_live(s->backend, edges[i].child, &t);
            if (rc == 0 && waits_for_ever(&t))
                add_task(q, t.spec, place);
            if (rc == 0)
                task_release(&t);
            rc = rc == FUT_ERR_NOT_FOUND ? 0 : rc;
        }
    }
    return rc;
}

/* Have all futures of the wait been found? */
static bool is_decided(struct search *q, const struct attempt_waiting *w)
{
    size_t i = 0;
    if (w->need == 1)
        return true;
    while (i < q->n_choices && q->choices[i].wait != w->wait)
        i++;
    if (i == q->n_choices) {
        q->choices = xrealloc(q->choices, ++q->n_choices * sizeof(*q->choices));
        q->choices[i] = (struct choice){w->wait, w->need};
    }
    return --q->choices[i].rest == 0;
}

/* Adds the running tasks that wait under tokens for the one at `place`. */
static int add_running(struct store *s, struct search *q, size_t place)
{
    struct attempt_waiting waiting[2 * POOL_LENT_MAX];
    struct task t;
    size_t n = s->tokens ? attempt_token_waiting(s->tokens, q->found[place]->id, waiting,
                                                 FUT_COUNT(waiting))
                         : 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        q->looks++;
        if (!is_decided(q, &waiting[i]))
            continue;
        rc = s->ops->find_live(s->backend, waiting[i].task.hi, &t);
        if (rc == 0) {
            add_task(q, t.spec, place);
            task_release(&t);
        }
        rc = rc == FUT_ERR_NOT_FOUND ? 0 : rc;
    }
    return rc;
}

static void name_circle(const struct search *q, const struct waiter *w, struct attempt_circle *out)
{
    *out = (struct attempt_circle){.ids = {q->found[0]->id}, .n = 1};
    for (; w != q->found[0]; w = q->found[w->for_place]) {
        if (out->n < ATTEMPT_CIRCLE_MAX)
            out->ids[out->n] = w->id;
        out->n++;
    }
}

static void release_search(struct search *q)
{
    for (size_t i = 0; i < q->n; i++) {
        map_remove(&q->by_key, &q->found[i]->by_key);
        free(q->found[i]);
    }
    map_release(&q->by_key);
    free(q->found);
    free(q->choices);
}

static const struct waiter *find_waiter(const struct search *q, struct task_id id)
{
    struct map_node *found = map_get(&q->by_key, id.hi);
    const struct waiter *w = found ? FUT_CONTAINER(found, struct waiter, by_key) : NULL;
    return w && id_equal(w->id, id) ? w : NULL;
}

/* The members of a batch are known by it alone, so the search goes from the task to those that wait
 * for it. FUT_ERR_CONFLICT: `need` of the futures are among them. */
static int find_circle(struct store *s, const struct task_spec *spec, const struct task_id *ids,
                       size_t n, size_t need, struct attempt_circle *out)
{
    struct search q = {0};
    int rc = 0;
    map_init(&q.by_key);
    add_task(&q, spec, 0);
    for (size_t i = 0; rc == 0 && i < q.n && q.looks < STORE_CIRCLE_LOOKS; i++) {
        rc = s->w.has_edges ? add_waiters_for(s, &q, i) : 0;
        if (rc == 0)
            rc = add_running(s, &q, i);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct waiter *w = find_waiter(&q, ids[i]);
        if (!w || --need)
            continue;
        name_circle(&q, w, out);
        rc = FUT_ERR_CONFLICT;
    }
    release_search(&q);
    return rc;
}

static int write_find_circle(struct store *s, struct store_op *op)
{
    struct store_find_circle *o = FUT_CONTAINER(op, struct store_find_circle, op);
    struct task t;
    int rc = s->ops->find_live(s->backend, o->task.hi, &t);
    if (rc != 0)
        return rc;
    rc = find_circle(s, t.spec, o->ids, o->n, o->is_any ? o->n : 1, &o->circle);
    task_release(&t);
    return rc;
}

const struct store_verb store_verb_find_circle = {
    .write = write_find_circle, .uses_reserve = true, .is_repeatable = true};

int wakes_check(struct store *s, const struct task *t, struct store_wakes *w, bool has_time,
                bool **out_pending, uint32_t *out_unmet)
{
    int rc = 0;
    bool *pending = xcalloc(w->n, sizeof(*pending));
    *out_unmet = 0;
    *out_pending = pending;
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        w->refused = i;
        rc = look(s, w->ids[i], &pending[i]);
    }
    if (rc == FUT_ERR_NOT_FOUND)
        return FUT_ERR_INVAL;
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        for (size_t k = 0; pending[i] && k < i; k++) /* each counts once */
            pending[i] = !id_equal(w->ids[i], w->ids[k]);
        *out_unmet += pending[i];
    }
    return rc == 0 && *out_unmet && !has_time ? find_circle(s, t->spec, w->ids, w->n, 1, &w->circle)
                                              : rc;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

/* The edge of this child and parent as it is, or a new one. */
static struct backend_edge edge_to(const struct backend_edge *edges, size_t n, uint64_t child,
                                   struct task_id parent)
{
    for (size_t i = 0; i < n; i++) {
        if (edges[i].parent.hi == parent.hi)
            return edges[i];
    }
    return (struct backend_edge){.parent = parent, .child = child, .on = STORE_ON_WAKE};
}

static int put_edges(struct store *s, uint64_t child, const struct store_wakes *w,
                     const bool *pending)
{
    struct backend_edge *edges = xmalloc(STORE_PARENTS_MAX * sizeof(*edges));
    size_t n = 0;
    int rc = s->ops->parents(s->backend, child, STORE_PARENTS_MAX, edges, &n);
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        bool is_again = false;
        for (size_t k = 0; !is_again && k < i; k++)
            is_again = id_equal(w->ids[i], w->ids[k]);
        if (is_again)
            continue;
        struct backend_edge e = edge_to(edges, n, child, w->ids[i]);
        e.is_wake = true;
        e.is_pending = pending[i];
        rc = s->ops->put_edge(s->backend, &e);
    }
    free(edges);
    return rc;
}

int wakes_put(struct store *s, struct task *t, const struct store_wakes *w, const bool *pending,
              uint32_t unmet)
{
    uint64_t key = t->spec->id.hi;
    int rc = s->w.has_edges ? s->ops->drop_wakes(s->backend, key) : 0;
    if (rc != 0 || !w)
        return rc;
    s->w.has_edges = true;
    rc = put_edges(s, key, w, pending);
    if (rc == 0 && unmet)
        rc = s->ops->set_unmet(s->backend, key, unmet);
    t->unmet = rc == 0 ? unmet : 0;
    return rc;
}

int wakes_meet(struct store *s, const struct task *t)
{
    int rc = s->ops->set_unmet(s->backend, t->spec->id.hi, t->unmet - 1);
    return rc == 0 && t->unmet == 1 ? edges_queue(s, t->spec) : rc;
}

/* ---- what became of them: a reader thread ---------------------------------------------------- */

/* False, and nothing is said: it is no UTF-8. key: with what stands before it. */
static bool put_text(struct buf *out, const char *key, const char *text, size_t n)
{
    json_t *value = json_stringn(text, n);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        buf_printf(out, "%s:%s", key, quoted);
    json_decref(value);
    free(quoted);
    return quoted != NULL;
}

/* As in GET /v1/futures/{id}: JSON as it is, text and other bytes with their type. */
static void put_result(struct buf *out, const struct task_outcome *o)
{
    const char *type = o->type ? o->type : CONTENT_BYTES;
    if (o->body_len && task_type_is_json(type)) {
        buf_puts(out, ",\"result\":");
        buf_put(out, o->body, o->body_len);
        return;
    }
    buf_puts(out, ",\"result\":{");
    (void)put_text(out, "\"content_type\"", type, strlen(type));
    if (strncasecmp(type, "text/", 5) != 0 ||
        !put_text(out, ",\"text\"", o->body_len ? (const char *)o->body : "", o->body_len)) {
        buf_puts(out, ",\"base64\":\"");
        base64_put(out, o->body, o->body_len);
        buf_putc(out, '"');
    }
    buf_putc(out, '}');
}

static void put_error(struct buf *out, const struct task_outcome *o)
{
    buf_puts(out, ",\"error\":{");
    (void)put_text(out, "\"code\"", o->code, strlen(o->code));
    if (o->message)
        (void)put_text(out, ",\"message\"", o->message, strlen(o->message));
    if (o->error_type)
        (void)put_text(out, ",\"type\"", o->error_type, strlen(o->error_type));
    buf_putc(out, '}');
}

static void put_task(struct buf *out, const struct task *t, size_t max_bytes)
{
    size_t before;
    buf_printf(out, "{\"state\":\"%s\",\"done\":%s", task_state_name(t->state),
               task_state_is_final(t->state) ? "true" : "false");
    before = out->len;
    if (t->outcome && t->state == TASK_SUCCEEDED && t->outcome->body_len < max_bytes)
        put_result(out, t->outcome);
    else if (t->outcome && t->outcome->code)
        put_error(out, t->outcome);
    if (out->len > max_bytes || (t->state == TASK_SUCCEEDED && out->len == before)) {
        out->len = before;
        buf_puts(out, ",\"truncated\":true");
    }
    buf_putc(out, '}');
}

static int put_batch(struct buf *out, const struct backend_ops *ops, struct backend_reader *r,
                     struct task_id id)
{
    struct store_batch_get get = {.id = id};
    int rc = ops->batch_get(r, &get);
    if (rc != 0)
        return rc;
    uint64_t done = 0;
    for (int i = TASK_SUCCEEDED; i < TASK_STATE_COUNT; i++)
        done += get.batch.counts[i];
    buf_printf(out, "{\"state\":null,\"done\":%s,\"total\":%u,\"counts\":{",
               done == get.batch.total ? "true" : "false", get.batch.total);
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        buf_printf(out, "%s\"%s\":%llu", i ? "," : "", task_state_name((enum task_state)i),
                   (unsigned long long)get.batch.counts[i]);
    buf_puts(out, "}}");
    return 0;
}

/* One that was deleted meanwhile has neither a state nor a result. */
static int put_one(struct buf *out, const struct backend_ops *ops, struct backend_reader *r,
                   struct task_id id, size_t max_bytes)
{
    struct store_get get = {.id = id, .reported = {.progress = -1}};
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", text);
    int rc = ops->get(r, &get);
    if (rc == 0)
        put_task(out, &get.task, max_bytes);
    task_release(&get.task);
    store_reported_release(&get.reported);
    if (rc == FUT_ERR_NOT_FOUND)
        rc = put_batch(out, ops, r, id);
    if (rc == FUT_ERR_NOT_FOUND)
        buf_puts(out, "{\"state\":null,\"done\":true}");
    return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
}

static void prepare_results(struct store_op *op)
{
    FUT_CONTAINER(op, struct store_wake_results, op)->results = NULL;
}

static int read_results(const struct backend_ops *ops, struct backend_reader *r,
                        struct store_op *op)
{
    struct store_wake_results *o = FUT_CONTAINER(op, struct store_wake_results, op);
    struct store_edges e = {.ids = &o->id, .n_ids = 1};
    struct buf out = BUF_INIT;
    size_t n = 0;
    int rc = ops->edges(r, &e);
    buf_putc(&out, '{');
    for (size_t i = 0; rc == 0 && i < e.n; i++) {
        if (!e.edges[i].is_wake)
            continue;
        n++;
        rc = put_one(&out, ops, r, e.edges[i].parent, o->max_bytes);
    }
    buf_putc(&out, '}');
    if (rc == 0 && n)
        o->results =
            task_checkpoint_new(&(struct task_checkpoint){.type = CONTENT_JSON,
                                                          .stored_wall_ms = clock_wall_ms(),
                                                          .body = (const unsigned char *)out.data,
                                                          .len = out.len});
    free(e.edges);
    buf_release(&out);
    return rc;
}

const struct store_verb store_verb_wake_results = {.prepare = prepare_results,
                                                   .read = read_results};
