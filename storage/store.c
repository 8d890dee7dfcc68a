/* store: the door. Opening and closing, the two queues, and the posting of operations. */
#include "storage/store.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/mem.h"
#include "storage/engine/internal.h"
#include "storage/fault.h"

static const struct backend_ops *const backends[] = {&backend_sqlite, &backend_mem};

/* What clients ask for may be refused when too much of it waits; how a task goes on may not. */
const struct store_verb verb_submit = {.name = "submit", .is_refusable = true},
                        verb_apply = {.name = "apply"}, verb_claim = {.name = "claim"},
                        verb_recall = {.name = "recall"},
                        verb_delete = {.name = "delete", .is_refusable = true},
                        verb_revive = {.name = "revive", .is_refusable = true},
                        verb_batch_cancel = {.name = "batch_cancel", .is_refusable = true},
                        verb_report = {.name = "report"}, verb_ping = {.name = "ping"},
                        verb_get = {.name = "get", .is_refusable = true, .is_read = true},
                        verb_list = {.name = "list", .is_refusable = true, .is_read = true},
                        verb_get_many = {.name = "get_many", .is_refusable = true, .is_read = true},
                        verb_batch_get = {.name = "batch_get",
                                          .is_refusable = true,
                                          .is_read = true},
                        verb_attempts = {.name = "attempts", .is_refusable = true, .is_read = true},
                        verb_members = {.name = "members", .is_refusable = true, .is_read = true},
                        verb_log = {.name = "log", .is_refusable = true, .is_read = true};

bool backend_part_wants(const struct backend_part *part, const char *handler)
{
    uint8_t rank = part->others;
    for (size_t i = 0; i < part->n_ranks; i++) {
        if (strcmp(part->ranks[i].handler, handler) == 0)
            rank = part->ranks[i].rank;
    }
    return rank <= part->most;
}

bool backend_is_claimable(enum task_state s)
{
    struct task_move move;
    return task_move_of(s, EVENT_START, &move) == 0;
}

struct store_attempt backend_keep_attempt(const struct store_attempt *a)
{
    struct store_attempt kept = *a;
    if (!a->outcome)
        return kept;
    struct task_outcome o = *a->outcome;
    size_t extra = o.log_len > STORE_ATTEMPT_LOG_MAX ? o.log_len - STORE_ATTEMPT_LOG_MAX : 0;
    o.log += extra;
    o.log_len -= extra;
    kept.outcome = task_outcome_new(&o);
    return kept;
}

void store_attempts_free(struct store_attempt *attempts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_outcome_unref(attempts[i].outcome);
    free(attempts);
}

bool backend_list_wants(const struct store_list *o, const struct task *t)
{
    return (!o->states || (o->states & 1u << t->state)) &&
           (o->lane < 0 || o->lane == (int)t->spec->lane) &&
           (!o->handler || strcmp(o->handler, t->spec->handler) == 0);
}

void backend_copy_log(struct store_log *o, const void *kept, size_t kept_len)
{
    o->begin = o->note.log_end - kept_len;
    size_t skip = o->from > o->begin ? (size_t)(o->from - o->begin) : 0;
    if (skip >= kept_len) {
        o->begin = o->note.log_end;
        return;
    }
    o->begin += skip;
    o->log_len = kept_len - skip;
    o->log = xmalloc(o->log_len);
    memcpy(o->log, (const char *)kept + skip, o->log_len);
}

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
    cond_init(&s->reader_wake);
    list_init(&s->write_queue);
    list_init(&s->read_queue);
    return s;
}

int store_open(const struct store_config *cfg, struct store **out, struct fut_errbuf *err)
{
    const struct backend_ops *ops = find_backend(cfg->backend);
    struct backend *b = NULL;
    struct backend_totals totals;
    if (!ops)
        return fut_fail(err, FUT_ERR_INVAL, "no store is called \"%s\"", cfg->backend);
    int rc = ops->open(cfg, &b, err);
    if (rc != 0)
        return rc;
    rc = ops->totals(b, &totals);
    if (rc != 0) {
        ops->close(b);
        return fut_fail(err, rc, "cannot count the tasks in %s (%s)", cfg->path, fut_err_name(rc));
    }
    struct store *s = store_new(cfg, ops, b);
    writer_init(s, &totals);
    id_seed(totals.max_key);
    if (ops->hold_room(b, true) == FUT_ERR_NO_SPACE)
        store_trouble_note(s, FUT_ERR_NO_SPACE);
    rc = writer_recover(s, cfg, &s->w.now.stats.recovered);
    if (rc != 0) {
        store_close(&s);
        return fut_fail(err, rc, "cannot give back the tasks that were running in %s (%s)",
                        cfg->path, fut_err_name(rc));
    }
    s->published = s->w.now.stats;
    *out = s;
    return 0;
}

void store_listen(struct store *s, store_listener *fn, void *ctx)
{
    FUT_ASSERT(s->n_listeners < STORE_LISTENERS_MAX && !s->is_started);
    s->listeners[s->n_listeners].fn = fn;
    s->listeners[s->n_listeners++].ctx = ctx;
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
    cond_broadcast(&s->reader_wake);
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
    cond_destroy(&me->writer_wake);
    cond_destroy(&me->reader_wake);
    mutex_destroy(&me->mu);
    free(me);
    *s = NULL;
}

void store_stats(struct store *s, struct store_stats *out)
{
    mutex_lock(&s->mu);
    *out = s->published;
    mutex_unlock(&s->mu);
    out->max_queued = s->max_queued;
}

static void push_write(struct store *s, struct store_op *op)
{
    list_push_back(&s->write_queue, &op->link);
    if (s->writer_asleep) {
        s->writer_asleep = false; /* one signal per sleep is enough */
        cond_signal(&s->writer_wake);
    }
}

static void push_read(struct store *s, struct store_op *op)
{
    list_push_back(&s->read_queue, &op->link);
    if (s->readers_asleep)
        cond_signal(&s->reader_wake);
}

static int post(struct store *s, struct store_op *op, const struct store_verb *verb,
                store_done *done)
{
    int rc = 0;
    *op = (struct store_op){.verb = verb, .done = done};
    mutex_lock(&s->mu);
    if (s->stopping)
        rc = FUT_ERR_CLOSED;
    else if (verb->is_refusable &&
             (verb->is_read ? &s->read_queue : &s->write_queue)->len >= STORE_QUEUE_MAX)
        rc = FUT_ERR_FULL;
    else if (verb->is_read)
        push_read(s, op);
    else
        push_write(s, op);
    mutex_unlock(&s->mu);
    return rc;
}

int store_submit(struct store *s, struct store_submit *o, store_done *done)
{
    return post(s, &o->op, &verb_submit, done);
}

int store_apply(struct store *s, struct store_apply *o, store_done *done)
{
    FUT_ASSERT(o->task.spec);
    return post(s, &o->op, &verb_apply, done);
}

int store_revive(struct store *s, struct store_revive *o, store_done *done)
{
    FUT_ASSERT(o->task.spec);
    return post(s, &o->op, &verb_revive, done);
}

int store_claim(struct store *s, struct store_claim *o, store_done *done)
{
    FUT_ASSERT(o->max > 0);
    o->n = 0;
    return post(s, &o->op, &verb_claim, done);
}

int store_recall(struct store *s, struct store_recall *o, store_done *done)
{
    return post(s, &o->op, &verb_recall, done);
}

int store_delete(struct store *s, struct store_delete *o, store_done *done)
{
    return post(s, &o->op, &verb_delete, done);
}

int store_get(struct store *s, struct store_get *o, store_done *done)
{
    o->task = (struct task){0};
    o->note = (struct store_note){.progress = -1};
    return post(s, &o->op, &verb_get, done);
}

int store_attempts(struct store *s, struct store_attempts *o, store_done *done)
{
    o->attempts = NULL;
    o->n = 0;
    return post(s, &o->op, &verb_attempts, done);
}

int store_get_many(struct store *s, struct store_get_many *o, store_done *done)
{
    return post(s, &o->op, &verb_get_many, done);
}

int store_batch_get(struct store *s, struct store_batch_get *o, store_done *done)
{
    return post(s, &o->op, &verb_batch_get, done);
}

int store_members(struct store *s, struct store_members *o, store_done *done)
{
    FUT_ASSERT(o->limit >= 1 && o->limit <= STORE_LIST_MAX);
    o->n = 0;
    return post(s, &o->op, &verb_members, done);
}

int store_batch_cancel(struct store *s, struct store_batch_cancel *o, store_done *done)
{
    return post(s, &o->op, &verb_batch_cancel, done);
}

int store_report(struct store *s, struct store_report *o, store_done *done)
{
    return post(s, &o->op, &verb_report, done);
}

int store_log(struct store *s, struct store_log *o, store_done *done)
{
    o->note = (struct store_note){.progress = -1};
    o->log = NULL;
    o->log_len = 0;
    o->begin = 0;
    return post(s, &o->op, &verb_log, done);
}

int store_list(struct store *s, struct store_list *o, store_done *done)
{
    FUT_ASSERT(o->limit >= 1 && o->limit <= STORE_LIST_MAX);
    o->n = 0;
    o->next = 0;
    return post(s, &o->op, &verb_list, done);
}

static void ping_done(struct store_op *op)
{
    atomic_store(&FUT_CONTAINER(op, struct store, ping)->is_pinging, false);
}

bool store_has_moved(struct store *s)
{
    if (atomic_load(&s->is_pinging))
        return false;
    atomic_store(&s->is_pinging, true);
    if (post(s, &s->ping, &verb_ping, ping_done) != 0)
        atomic_store(&s->is_pinging, false);
    return true;
}
