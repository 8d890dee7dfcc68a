/* store: opening and closing, the two queues, and the posting of operations. */
#include "storage/store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/engine/internal.h"
#include "storage/fault.h"
#include "storage/results.h"

static const struct backend_ops *const backends[] = {&backend_sqlite, &backend_memory,
                                                     &backend_postgres};

static const struct backend_ops *find_backend(const char *name)
{
    size_t prefix = strlen(STORE_FAULT_PREFIX);
    if (strncmp(name, STORE_FAULT_PREFIX, prefix) == 0)
        return store_fault_wrap(find_backend(name + prefix));
    for (size_t i = 0; i < FUT_COUNT(backends); i++) {
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    }
    return NULL;
}

static struct store *store_new(const struct store_config *cfg, const struct backend_ops *ops,
                               struct backend *b)
{
    struct store *s = xnew(struct store);
    s->ops = ops;
    s->backend = b;
    s->max_queued = cfg->max_queued;
    s->retention_ms = cfg->retention_ms;
    s->n_readers = cfg->readers < STORE_READERS_MAX ? cfg->readers : STORE_READERS_MAX;
    mutex_init(&s->mu);
    cond_init(&s->writer_wake);
    idle_init(&s->idle_readers);
    list_init(&s->write_queue);
    list_init(&s->read_queue);
    recent_ends_init(&s->ends);
    nodes_init(s, cfg);
    return s;
}

/* What the path may be called: a URL may hold a password. */
static const char *name_of(const struct store_config *cfg)
{
    return cfg->path && strstr(cfg->path, "://") ? "the database" : cfg->path;
}

/* A thread of the backend's. */
static void on_news(void *store)
{
    struct store *s = store;
    mutex_lock(&s->mu);
    s->has_news = true;
    if (s->writer_asleep) {
        s->writer_asleep = false;
        cond_signal(&s->writer_wake);
    }
    mutex_unlock(&s->mu);
}

bool store_is_url(const char *path)
{
    return strncmp(path, "postgresql://", 13) == 0 || strncmp(path, "postgres://", 11) == 0;
}

static int open_named(const struct store_config *cfg, struct store **out, struct fut_errbuf *err)
{
    const struct backend_ops *ops = find_backend(cfg->backend);
    struct backend *b = NULL;
    struct backend_totals totals;
    if (!ops)
        return fut_fail(err, FUT_ERR_INVAL, "no store is called \"%s\"", cfg->backend);
    int rc = ops->open(cfg, &b, err);
    if (rc != 0)
        return rc;
    rc = ops->totals(b, clock_wall_ms(), &totals);
    if (rc != 0) {
        ops->close(b);
        return fut_fail(err, rc, "cannot count the tasks in %s (%s)", name_of(cfg),
                        fut_err_name(rc));
    }
    struct store *s = store_new(cfg, ops, b);
    writer_init(s, &totals);
    id_seed(totals.max_key);
    rc = queues_load(s);
    if (rc == 0)
        rc = limit_set_load(s);
    queues_open(s);
    if (rc == 0)
        rc = lines_load(s, s->w.now.stats.live);
    if (rc != 0) {
        store_close(&s);
        return fut_fail(err, rc, "cannot count the tasks in %s (%s)", name_of(cfg),
                        fut_err_name(rc));
    }
    if (ops->join)
        ops->join(b, &s->self, on_news, s);
    if (ops->reserve(b, true) == FUT_ERR_NO_SPACE)
        trouble_set(s, FUT_ERR_NO_SPACE);
    if (cfg->listener)
        store_listen(s, cfg->listener, cfg->listener_ctx);
    rc = writer_recover(s, cfg, &s->w.now.stats.recovered);
    if (rc != 0) {
        store_close(&s);
        return fut_fail(err, rc, "cannot give back the tasks that were running in %s (%s)",
                        name_of(cfg), fut_err_name(rc));
    }
    s->published = s->w.now.stats;
    *out = s;
    return 0;
}

int store_open(const struct store_config *cfg, struct store **out, struct fut_errbuf *err)
{
    char host[STORE_NODE_NAME_MAX + 1] = "";
    struct store_config named = *cfg;
    if (!cfg->node || !*cfg->node) {
        (void)gethostname(host, sizeof(host) - 1);
        named.node = host;
    }
    return open_named(&named, out, err);
}

void store_listen(struct store *s, store_listener *fn, void *ctx)
{
    FUT_ASSERT(s->n_listeners < STORE_LISTENERS_MAX && !s->is_started);
    s->listeners[s->n_listeners].fn = fn;
    s->listeners[s->n_listeners++].ctx = ctx;
}

void store_watch_schedules(struct store *s, void (*fn)(void *ctx), void *ctx)
{
    s->schedules_watch.fn = fn;
    s->schedules_watch.ctx = ctx;
}

void store_set_tokens(struct store *s, struct attempt_tokens *tokens)
{
    s->tokens = tokens;
}

bool store_has_waits(const struct store *s)
{
    return atomic_load_explicit(&s->w.has_edges, memory_order_relaxed);
}

void store_watch_limits(struct store *s, void (*fn)(void *ctx, const struct task_limit *limit),
                        void *ctx)
{
    s->limits_watch.fn = fn;
    s->limits_watch.ctx = ctx;
}

void store_start(struct store *s)
{
    s->is_started = true;
    thread_start(&s->writer_thread, "store-writer", writer_main, s);
    for (unsigned i = 0; i < s->n_readers; i++)
        thread_start(&s->reader_threads[i], "store-reader", reader_main, s);
}

void store_stop_claims(struct store *s)
{
    mutex_lock(&s->mu);
    s->claims_stopped = true;
    cond_signal(&s->writer_wake);
    mutex_unlock(&s->mu);
}

void store_stop(struct store *s)
{
    mutex_lock(&s->mu);
    s->stopping = s->claims_stopped = true;
    cond_signal(&s->writer_wake);
    idle_wake_all(&s->idle_readers);
    mutex_unlock(&s->mu);
    thread_join(s->writer_thread);
    for (unsigned i = 0; i < s->n_readers; i++)
        thread_join(s->reader_threads[i]);
    s->is_started = false;
}

void store_close(struct store **s)
{
    struct store *me = *s;
    if (!me)
        return;
    FUT_ASSERT(!me->is_started);
    writer_release(me);
    me->ops->close(me->backend);
    nodes_release(me);
    recent_ends_release(&me->ends);
    cond_destroy(&me->writer_wake);
    mutex_destroy(&me->mu);
    free(me);
    *s = NULL;
}

static bool waits(struct store *s, bool *out_is_away)
{
    *out_is_away = false;
    return s->ops->waits && s->ops->waits(s->backend, out_is_away);
}

void store_stats(struct store *s, struct store_stats *out)
{
    bool is_away;
    mutex_lock(&s->mu);
    *out = s->published;
    mutex_unlock(&s->mu);
    out->max_queued = s->max_queued;
    if (out->health == 0 && waits(s, &is_away) && is_away)
        out->health = FUT_ERR_IO;
}

const struct histogram *store_log_syncs(const struct store *s)
{
    return s->ops->log_syncs ? s->ops->log_syncs(s->backend) : NULL;
}

const struct store_durations *store_durations(const struct store *s)
{
    return &s->durations;
}

/* True: the writer is to be signalled, behind the lock, into which it would run. (It waits alone:
 * no other thread can take its signal.) */
FUT_MUST_CHECK static bool push_write(struct store *s, struct store_op *op)
{
    bool must_wake = s->writer_asleep; /* one signal per sleep is enough */
    list_push_back(&s->write_queue, &op->link);
    s->writer_asleep = false;
    return must_wake;
}

static void push_read(struct store *s, struct store_op *op)
{
    struct idle_thread *reader = idle_take(&s->idle_readers);
    list_push_back(&s->read_queue, &op->link);
    if (reader) /* while mu is held: it may be gone after that */
        cond_signal(&reader->wake);
}

int store_post(struct store *s, const struct store_verb *verb, struct store_op *op,
               store_done *done)
{
    int rc = 0;
    bool wakes_writer = false;
    *op = (struct store_op){.verb = verb, .done = done};
    if (verb->prepare)
        verb->prepare(op);
    mutex_lock(&s->mu);
    if (s->stopping)
        rc = FUT_ERR_CLOSED;
    else if (verb->is_refusable &&
             (verb->read ? &s->read_queue : &s->write_queue)->len >= STORE_QUEUE_MAX)
        rc = FUT_ERR_FULL;
    else if (verb->read)
        push_read(s, op);
    else
        wakes_writer = push_write(s, op);
    mutex_unlock(&s->mu);
    if (wakes_writer)
        cond_signal(&s->writer_wake);
    return rc;
}

/* ---- is the writer alive? -------------------------------------------------------------------- */

static int write_nothing(struct store *s, struct store_op *op)
{
    (void)s;
    (void)op;
    return 0;
}

const struct store_verb store_verb_pass = {
    .write = write_nothing, .uses_reserve = true, .is_repeatable = true};

static void probe_done(struct store_op *op)
{
    thread_probe_answer(&FUT_CONTAINER(op, struct store, probe_op)->probe);
}

bool store_has_moved(struct store *s)
{
    bool is_away;
    if (!thread_probe_ask(&s->probe))
        return waits(s, &is_away);
    if (store_post(s, &store_verb_pass, &s->probe_op, probe_done) != 0)
        thread_probe_answer(&s->probe);
    return true;
}
