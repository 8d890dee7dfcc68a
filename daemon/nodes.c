#include "daemon/nodes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/retry.h"
#include "core/sync.h"

/* Another node that lives. */
struct peer {
    bool is_draining;
    struct task_needs labels;
    struct handler_info *handlers; /* sorted; the texts are info's */
    size_t n;
    json_t *info;
};

/* The peers as of one look; catalogs that name their handlers keep it. */
struct peers {
    atomic_uint refs;
    struct peer *items;
    size_t n;
};

struct nodes {
    struct nodes_config cfg;
    int64_t started_wall_ms;
    struct task_needs labels; /* of this one */
    struct mutex mu;
    const struct catalog *own; /* guarded by mu; one reference */
    struct peers *peers;       /* guarded by mu; one reference */
    bool looks, looks_again;   /* guarded by mu: the list is being read; something came since */
    bool looks_later;          /* guarded by mu: it could not be read */
    bool is_stopped;           /* guarded by mu */
    struct store_node_list list;
};

static void peers_unref(struct peers *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].handlers);
        json_decref(p->items[i].info);
    }
    free(p->items);
    free(p);
}

/* ---- its load: a thread of the store's ------------------------------------------------------- */

static void write_lane(struct buf *out, enum lane lane, const struct pool_lane *p)
{
    json_out_key(out, lane_name(lane));
    buf_putc(out, '{');
    json_out_uint(out, "slots", p->capacity);
    json_out_uint(out, "running", p->busy);
    json_out_bool(out, "paused", p->pause.since_wall_ms != 0);
    buf_putc(out, '}');
}

static void look(struct nodes *n);

/* Comes once a second while the store can be reached, so it also tries again to read the list. */
static void write_load(void *nodes, struct buf *out)
{
    struct nodes *n = nodes;
    struct pool_stats pools;
    mutex_lock(&n->mu);
    if (n->looks_later && !n->looks)
        look(n);
    mutex_unlock(&n->mu);
    double load[1];
    n->cfg.pools.read(n->cfg.pools.ctx, &pools);
    buf_putc(out, '{');
    json_out_key(out, "lanes");
    buf_putc(out, '{');
    for_each_lane (lane)
        write_lane(out, lane, &pools.lanes[lane]);
    buf_putc(out, '}');
    if (getloadavg(load, 1) == 1) {
        json_out_key(out, "load_average");
        buf_printf(out, "%.2f", load[0]);
    }
    buf_putc(out, '}');
}

/* ---- what it is ------------------------------------------------------------------------------ */

/* What another node needs to take a task of the handler. */
static void write_handler(struct buf *out, const struct handler_info *h)
{
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "name", h->name);
    json_out_str(out, "kind", h->kind);
    json_out_str(out, "description", h->description);
    json_out_str(out, "lane", lane_name(h->lane));
    json_out_bool(out, "any_lane", h->any_lane);
    json_out_int(out, "timeout_ms", h->timeout_ms);
    json_out_uint(out, "retries", h->retries);
    json_out_uint(out, "retry_on", h->retry.on);
    json_out_int(out, "retry_first_ms", h->retry.first_ms);
    json_out_int(out, "retry_max_ms", h->retry.max_ms);
    if (h->retry.says_jitter)
        json_out_uint(out, "retry_jitter", h->retry.jitter_percent);
    json_out_bool(out, "takes_code", h->takes_code);
    if (h->queue)
        json_out_str(out, "queue", h->queue);
    if (h->task_limits)
        json_out_str(out, "task_limits", h->task_limits);
    buf_putc(out, '}');
}

static void publish(const struct nodes *n, const struct catalog *c)
{
    struct buf out = BUF_INIT;
    buf_putc(&out, '{');
    json_out_str(&out, "version", n->cfg.version);
    json_out_time(&out, "started_at", n->started_wall_ms);
    json_out_labels(&out, "labels", &n->labels);
    json_out_key(&out, "handlers");
    buf_putc(&out, '[');
    for (size_t i = 0; i < c->n; i++) {
        if (!c->items[i].is_internal)
            write_handler(&out, &c->items[i]);
    }
    buf_puts(&out, "]}");
    store_publish(n->cfg.store, out.data);
    buf_release(&out);
}

static void told(struct store_op *op)
{
    free(FUT_CONTAINER(op, struct store_node_handlers, op));
}

/* Only these are claimed here; alone it claims all, and fails what it does not know. */
static void claim_own(const struct nodes *n, const struct catalog *c)
{
    if (!store_is_shared(n->cfg.store))
        return;
    struct store_node_handlers *o = xnew(struct store_node_handlers);
    o->names = xcalloc(c->n + 1, sizeof(char *));
    for (size_t i = 0; i < c->n; i++)
        o->names[o->n++] = xstrdup(c->items[i].name);
    if (store_post(n->cfg.store, &store_verb_node_handlers, &o->op, told) == 0)
        return;
    for (size_t i = 0; i < o->n; i++)
        free(o->names[i]);
    free(o->names);
    free(o);
}

/* ---- what the others are --------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : otherwise;
}

static int64_t int_of(const json_t *o, const char *key, int64_t max)
{
    json_int_t i = json_integer_value(json_object_get(o, key));
    return i < 0 ? 0 : i > max ? max : i;
}

/* False: this version cannot take tasks of it. */
static bool read_handler(const json_t *o, struct handler_info *out)
{
    const char *queue = text_of(o, "queue", NULL), *limits = text_of(o, "task_limits", NULL);
    struct task_limits named;
    *out = (struct handler_info){
        .name = text_of(o, "name", NULL),
        .kind = text_of(o, "kind", ""),
        .description = text_of(o, "description", ""),
        .any_lane = json_is_true(json_object_get(o, "any_lane")),
        .timeout_ms = int_of(o, "timeout_ms", TASK_TIMEOUT_MAX_MS),
        .retries = (uint32_t)int_of(o, "retries", TASK_RETRIES_MAX),
        .takes_code = json_is_true(json_object_get(o, "takes_code")),
        .queue = queue,
        .task_limits = limits,
    };
    out->retry.on = (unsigned)int_of(o, "retry_on", UINT16_MAX);
    out->retry.first_ms = int_of(o, "retry_first_ms", INT64_MAX);
    out->retry.max_ms = int_of(o, "retry_max_ms", INT64_MAX);
    out->retry.says_jitter = json_object_get(o, "retry_jitter") != NULL;
    out->retry.jitter_percent = (unsigned)int_of(o, "retry_jitter", 100);
    return out->name && strlen(out->name) <= TASK_HANDLER_MAX && out->timeout_ms > 0 &&
           lane_parse(text_of(o, "lane", ""), &out->lane) &&
           (!queue || strlen(queue) <= TASK_QUEUE_MAX) &&
           (!limits || task_limits_read(limits, &named) == 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct handler_info *)a)->name, ((const struct handler_info *)b)->name);
}

static void read_labels(const json_t *all, struct task_needs *out)
{
    out->n = 0;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *label = json_string_value(json_array_get(all, i));
        int rc = label && task_needs_label_ok(label) ? task_needs_add(out, label) : 0;
        (void)rc; /* more than this version knows of are left out */
    }
}

static void read_peer(const struct store_node *node, struct peer *out)
{
    *out = (struct peer){.is_draining = node->is_draining};
    out->info = node->info ? json_loads(node->info, 0, NULL) : NULL;
    const json_t *all = json_object_get(out->info, "handlers");
    read_labels(json_object_get(out->info, "labels"), &out->labels);
    out->handlers = xcalloc(json_array_size(all) + 1, sizeof(*out->handlers));
    for (size_t i = 0; i < json_array_size(all); i++)
        out->n += read_handler(json_array_get(all, i), &out->handlers[out->n]);
    qsort(out->handlers, out->n, sizeof(*out->handlers), by_name);
}

static struct peers *read_peers(const struct store_node_list *list)
{
    struct peers *p = xnew(struct peers);
    atomic_init(&p->refs, 1);
    p->items = xcalloc(list->n + 1, sizeof(*p->items));
    for (size_t i = 0; i < list->n; i++) {
        if (list->nodes[i].is_live && !list->nodes[i].is_self)
            read_peer(&list->nodes[i], &p->items[p->n++]);
    }
    return p;
}

/* ---- the handlers of all --------------------------------------------------------------------- */

struct merged {
    struct catalog catalog;
    struct catalog_life life;
    const struct catalog *own;
    struct peers *peers;
    struct handler_info items[];
};

static void end_merged(struct catalog_life *life)
{
    struct merged *m = FUT_CONTAINER(life, struct merged, life);
    catalog_unref(&m->own);
    peers_unref(m->peers);
    free(m);
}

/* What this node has itself counts; of the others the first. Programs of clients only where tokens
 * say who may run them. */
static struct merged *merge(const struct catalog *own, struct peers *peers, bool takes_code)
{
    size_t most = own->n, n = own->n;
    for (size_t i = 0; i < peers->n; i++)
        most += peers->items[i].n;
    struct merged *m = xcalloc(1, sizeof(*m) + most * sizeof(m->items[0]));
    if (own->n)
        memcpy(m->items, own->items, own->n * sizeof(m->items[0]));
    for (size_t i = 0; i < peers->n; i++) {
        const struct peer *p = &peers->items[i];
        size_t sorted = n;
        for (size_t j = 0; j < p->n; j++) {
            bool may = takes_code || !p->handlers[j].takes_code;
            if (may && !bsearch(&p->handlers[j], m->items, sorted, sizeof(m->items[0]), by_name))
                m->items[n++] = p->handlers[j];
        }
        qsort(m->items, n, sizeof(m->items[0]), by_name);
    }
    atomic_init(&m->life.refs, 1);
    m->life.end = end_merged;
    m->own = catalog_ref(own);
    atomic_fetch_add_explicit(&peers->refs, 1, memory_order_relaxed);
    m->peers = peers;
    m->catalog = (struct catalog){m->items, n, &m->life};
    return m;
}

static void tell_catalog(struct nodes *n)
{
    mutex_lock(&n->mu);
    struct merged *m = merge(n->own, n->peers, n->cfg.takes_code);
    const struct catalog *all = &m->catalog;
    n->cfg.on_catalog(n->cfg.ctx, all);
    mutex_unlock(&n->mu);
    catalog_unref(&all);
}

/* ---- looking: a thread of the store's -------------------------------------------------------- */

static void listed(struct store_op *op);

/* With mu. */
static void look(struct nodes *n)
{
    n->looks_again = n->looks_later = false;
    n->list = (struct store_node_list){.n = 0};
    n->looks =
        !n->is_stopped && store_post(n->cfg.store, &store_verb_node_list, &n->list.op, listed) == 0;
}

static void listed(struct store_op *op)
{
    struct nodes *n = FUT_CONTAINER(op, struct nodes, list.op);
    bool is_read = op->rc == 0;
    mutex_lock(&n->mu);
    if (is_read) {
        peers_unref(n->peers);
        n->peers = read_peers(&n->list);
    }
    store_node_list_release(&n->list);
    n->looks = false;
    n->looks_later = !is_read;
    if (n->looks_again && is_read)
        look(n);
    mutex_unlock(&n->mu);
    if (is_read)
        tell_catalog(n);
}

static void on_nodes(void *nodes)
{
    struct nodes *n = nodes;
    mutex_lock(&n->mu);
    if (n->looks)
        n->looks_again = true;
    else
        look(n);
    mutex_unlock(&n->mu);
}

/* ---- who could run a task -------------------------------------------------------------------- */

static bool has_all(const struct task_needs *labels, const struct task_needs *needs)
{
    for (size_t i = 0; i < needs->n; i++) {
        if (!task_needs_has(labels, needs->items[i]))
            return false;
    }
    return true;
}

/* A daemon alone claims tasks of handlers that it has not, and fails them. */
static enum node_fit fit(void *nodes, const struct task_spec *spec)
{
    struct nodes *n = nodes;
    struct task_needs needs;
    bool drains = false, runs = false;
    const struct handler_info wanted = {.name = spec->handler};
    task_needs_read(spec->limits, &needs);
    mutex_lock(&n->mu);
    bool has_handler =
        !store_is_shared(n->cfg.store) || catalog_find(n->own, spec->handler) != NULL;
    bool is_here = has_handler && has_all(&n->labels, &needs);
    for (size_t i = 0; i < n->peers->n; i++) {
        const struct peer *p = &n->peers->items[i];
        if (!p->n || !bsearch(&wanted, p->handlers, p->n, sizeof(wanted), by_name))
            continue;
        has_handler = true;
        if (!has_all(&p->labels, &needs))
            continue;
        drains = drains || p->is_draining;
        runs = runs || !p->is_draining;
    }
    mutex_unlock(&n->mu);
    if (is_here && !store_is_draining(n->cfg.store))
        return NODE_FIT_HERE;
    if (runs)
        return NODE_FIT_ELSEWHERE;
    if (is_here || drains)
        return NODE_FIT_DRAINING;
    return has_handler ? NODE_FIT_NO_LABELS : NODE_FIT_NO_HANDLER;
}

static bool has_label(void *nodes, const char *label)
{
    struct nodes *n = nodes;
    bool has = task_needs_has(&n->labels, label);
    mutex_lock(&n->mu);
    for (size_t i = 0; !has && i < n->peers->n; i++)
        has = task_needs_has(&n->peers->items[i].labels, label);
    mutex_unlock(&n->mu);
    return has;
}

struct node_view nodes_view(struct nodes *n)
{
    return (struct node_view){.ctx = n, .fit = fit, .has_label = has_label};
}

/* ---- life ------------------------------------------------------------------------------------ */

struct nodes *nodes_new(const struct nodes_config *cfg)
{
    struct nodes *n = xnew(struct nodes);
    n->cfg = *cfg;
    n->started_wall_ms = clock_wall_ms();
    FUT_MUST(task_needs_parse(cfg->labels, &n->labels) == 0);
    mutex_init(&n->mu);
    n->own = catalog_ref(cfg->catalog);
    n->peers = read_peers(&(struct store_node_list){.n = 0});
    publish(n, n->own);
    store_watch_load(cfg->store, write_load, n);
    return n;
}

void nodes_start(struct nodes *n)
{
    claim_own(n, n->own);
    if (!store_is_shared(n->cfg.store))
        return;
    store_watch_nodes(n->cfg.store, on_nodes, n);
    on_nodes(n);
}

void nodes_set_catalog(struct nodes *n, const struct catalog *c)
{
    publish(n, c);
    claim_own(n, c);
    mutex_lock(&n->mu);
    const struct catalog *before = n->own;
    n->own = catalog_ref(c);
    mutex_unlock(&n->mu);
    catalog_unref(&before);
    tell_catalog(n);
}

void nodes_stop(struct nodes *n)
{
    if (!n)
        return;
    store_watch_nodes(n->cfg.store, NULL, NULL);
    mutex_lock(&n->mu);
    n->is_stopped = true;
    mutex_unlock(&n->mu);
}

void nodes_free(struct nodes **n)
{
    struct nodes *me = *n;
    if (!me)
        return;
    store_watch_load(me->cfg.store, NULL, NULL);
    catalog_unref(&me->own);
    peers_unref(me->peers);
    mutex_destroy(&me->mu);
    free(me);
    *n = NULL;
}
