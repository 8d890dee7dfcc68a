/* txn: the transaction that is open: begun by its first write, the numbers that go with it, the
 * changes of which the listeners will hear, and how one task changes. The writer thread alone. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define SEQ_BLOCK 65536 /* numbers that are taken at once, so that few transactions save them */
#define SEQ_SPARE 4096  /* more than one transaction can use */

int64_t txn_up_ms(const struct store *s)
{
    return s->w.up_base_ms + (clock_mono_us() - s->w.up_base_mono_us) / 1000;
}

int txn_save(struct store *s, uint64_t seq)
{
    struct writer_numbers *now = &s->w.now;
    now->saved_seq = seq;
    now->saved_up_ms = txn_up_ms(s);
    return s->ops->save(s->backend, &(struct backend_counters){
                                        .seq = seq, .when = {now->saved_up_ms, clock_wall_ms()}});
}

int txn_spare_seq(struct store *s)
{
    bool is_short = s->w.now.saved_seq - s->w.now.seq < SEQ_SPARE;
    return is_short ? txn_save(s, s->w.now.seq + SEQ_BLOCK) : 0;
}

int txn_begin(struct store *s)
{
    struct writer *w = &s->w;
    if (w->in_txn)
        return 0;
    if (w->broken_rc != 0)
        return w->broken_rc;
    if (w->no_txn_rc != 0)
        return w->no_txn_rc;
    struct backend_time now = {txn_up_ms(s), clock_wall_ms()};
    w->limits.now_up_ms = now.up_ms;
    int rc = s->ops->begin(s->backend, now);
    if (rc != 0)
        return rc;
    w->in_txn = true;
    w->saved = w->now;
    return s->ops->hear ? 0 : txn_spare_seq(s);
}

void txn_add_change(struct store *s, const struct store_change *c)
{
    struct writer *w = &s->w;
    if (w->n_changes == w->cap_changes) {
        w->cap_changes = w->cap_changes ? w->cap_changes * 2 : 256;
        w->changes = xrealloc(w->changes, w->cap_changes * sizeof(*w->changes));
    }
    w->changes[w->n_changes++] = *c;
}

void txn_add_change_of(struct store *s, const struct task *t, uint32_t stopped)
{
    txn_add_change(
        s, &(struct store_change){.id = t->spec->id,
                                  .state = t->state,
                                  .stopped_attempt = stopped,
                                  .batch = t->spec->batch,
                                  .spec = task_spec_ref(t->spec),
                                  .outcome = t->outcome ? task_outcome_ref(t->outcome) : NULL});
}

void txn_forget_changes(struct store *s, size_t n)
{
    struct writer *w = &s->w;
    while (w->n_changes > n) {
        const struct store_change *c = &w->changes[--w->n_changes];
        task_spec_unref(c->spec);
        task_outcome_unref(c->outcome);
    }
}

/* ---- numbers --------------------------------------------------------------------------------- */

uint64_t txn_live(const struct store *s, enum lane lane, enum task_state state)
{
    return s->w.now.stats.live[lane][state];
}

bool txn_is_full(const struct store *s, size_t n)
{
    uint64_t waiting = 0;
    for_each_lane (l)
        waiting += s->w.now.stats.live[l][TASK_QUEUED] + s->w.now.stats.live[l][TASK_SCHEDULED];
    return waiting + n > s->max_queued;
}

/* Somebody may wait for the end of what ran when the queue or the handler was paused. */
static void tell_pauses(struct store *s, const struct line *line)
{
    const struct line_queue *q = line->group->part->queue;
    const struct line_handler *h = line->group->handler;
    struct task_id id;
    if (q->is_paused && q->running == 0) {
        id = store_pause_id(STORE_PAUSE_QUEUE, q->is.name);
        txn_add_change(s, &(struct store_change){.id = id, .state = TASK_SUCCEEDED});
    }
    if ((h->closed & LINE_PAUSED) && lines_running(&s->w.lines, h->name) == 0) {
        id = store_pause_id(STORE_PAUSE_HANDLER, h->name);
        txn_add_change(s, &(struct store_change){.id = id, .state = TASK_SUCCEEDED});
    }
}

void txn_count(struct store *s, struct line *line, int from, int to, uint64_t n)
{
    uint64_t *live = s->w.now.stats.live[lines_lane(line)];
    if (from != LINE_NONE && !task_state_is_final((enum task_state)from))
        live[from] -= n;
    if (to != LINE_NONE && !task_state_is_final((enum task_state)to))
        live[to] += n;
    lines_move(&s->w.lines, line, from, to, n);
    if (from == TASK_RUNNING)
        tell_pauses(s, line);
}

static void watch(int64_t *next, int64_t *fresh, int64_t at)
{
    if (at < *next)
        *next = at;
    if (at < *fresh)
        *fresh = at;
}

void txn_watch_times(struct store *s, const struct task *t)
{
    const struct task_times *times = &t->spec->times;
    struct backend_next *next = &s->w.next, *fresh = &s->w.fresh_next;
    int64_t up_ms = txn_up_ms(s);
    if (backend_waits_for_wall(t))
        watch(&next->run_at_wall_ms, &fresh->run_at_wall_ms, t->due_wall_ms);
    else if (t->due_wall_ms)
        watch(&next->due_up_ms, &fresh->due_up_ms, up_ms + t->due_wall_ms - clock_wall_ms());
    if (times->expires_in_ms && !task_state_is_final(t->state))
        watch(&next->limit_up_ms, &fresh->limit_up_ms, up_ms + times->expires_in_ms);
    if (times->deadline_ms && !task_state_is_final(t->state))
        watch(&next->limit_up_ms, &fresh->limit_up_ms, up_ms + times->deadline_ms);
}

/* What has ended has no outcome when it was given back unharmed. */
static void count_change(struct store *s, const struct task_change *c, const struct task *after,
                         struct line *line, int64_t place)
{
    struct writer *w = &s->w;
    int64_t ran_ms = clock_wall_ms() - after->started_wall_ms;
    if (c->from_state == TASK_RUNNING)
        turns_refund(&w->lines, line, c->outcome ? (ran_ms > 0 ? ran_ms * 1000 : 0) : -1);
    if (backend_is_claimable(c->from_state))
        lines_wait_at(line, BACKEND_PLACE_NONE);
    if (backend_is_claimable(c->to_state))
        lines_wait_at(line, place == BACKEND_PLACE_KEPT ? BACKEND_PLACE_NONE : place);
    txn_count(s, line, (int)c->from_state, (int)c->to_state, 1);
    if (task_state_is_final(after->state)) {
        w->now.stats.finished[after->state]++;
        if (after->spec->queue && strcmp(after->spec->queue, TASK_QUEUE_CALLBACKS) == 0)
            w->now.stats.callbacks[after->state]++;
    }
    if (c->outcome && c->outcome->code)
        w->now.stats.ended_by[end_code_of(c->outcome->code)]++;
    txn_watch_times(s, after);
}

/* ---- a part of a transaction ----------------------------------------------------------------- */

int txn_mark(struct store *s, struct txn_mark *out)
{
    *out = (struct txn_mark){s->w.now, s->w.n_changes, lines_mark(&s->w.lines)};
    return s->ops->mark(s->backend);
}

int txn_unmark(struct store *s)
{
    return s->ops->unmark(s->backend);
}

int txn_back(struct store *s, const struct txn_mark *mark)
{
    s->w.now = mark->now;
    txn_forget_changes(s, mark->n_changes);
    lines_undo_to(&s->w.lines, mark->lines);
    return s->ops->back(s->backend);
}

/* ---- one task -------------------------------------------------------------------------------- */

int txn_check_unique(struct store *s, const struct task_spec *spec)
{
    struct task_id other;
    if (!spec->unique)
        return 0;
    int rc = s->ops->find_unique(s->backend, spec->unique, &other);
    return rc == FUT_ERR_NOT_FOUND ? 0 : rc == 0 ? FUT_ERR_CONFLICT : rc;
}

uint32_t txn_stopped(const struct task_change *c)
{
    bool stops = c->from_state == TASK_RUNNING && c->to_state == TASK_CANCELLED;
    return stops ? c->from_attempt : 0;
}

void txn_advance(struct store *s, struct task *t, const struct task_change *c)
{
    bool is_end = task_state_is_final(c->to_state);
    int64_t now = clock_wall_ms();
    t->state = c->to_state;
    t->attempt = c->attempt;
    t->earlier_attempts = c->earlier_attempts;
    t->daemon_deaths = c->daemon_deaths;
    t->is_suspended = c->suspends;
    bool has_due = c->to_state == TASK_SCHEDULED && c->due_in_ms >= 0;
    t->due_wall_ms = has_due ? now + c->due_in_ms : 0;
    if (c->to_state == TASK_RUNNING)
        t->started_wall_ms = now;
    t->finished_wall_ms = is_end ? now : 0;
    t->seq = is_end ? ++s->w.now.seq : 0;
    if (c->to_state == TASK_SUCCEEDED) {
        task_checkpoint_unref(t->checkpoint);
        t->checkpoint = NULL;
    }
    task_outcome_unref(t->outcome);
    t->outcome = is_end && c->outcome ? task_outcome_ref(c->outcome) : NULL;
}

int txn_insert(struct store *s, const struct task *t, struct line *line)
{
    int64_t place = lines_place(line, t->spec->id.hi, t->spec->priority);
    if (s->w.ahead_ms)
        place = backend_place_ahead(place, s->w.ahead_ms);
    int rc = s->ops->insert(s->backend, t, line->number, place);
    if (rc != 0)
        return rc;
    if (backend_is_claimable(t->state))
        lines_wait_at(line, place);
    txn_count(s, line, LINE_NONE, (int)t->state, 1);
    s->w.now.stats.submitted++;
    txn_watch_times(s, t);
    return 0;
}

int txn_queue(struct store *s, const struct backend_moved *rows, size_t n,
              const struct task_move *move)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct line *line = lines_find(&s->w.lines, rows[i].line);
        FUT_ASSERT(line != NULL);
        int64_t place = lines_place(line, backend_next_key(), rows[i].priority);
        rc = s->ops->queue(s->backend, rows[i].key, move->to, place);
        if (rc != 0)
            return rc;
        lines_wait_at(line, place);
        txn_count(s, line, (int)move->from, (int)move->to, 1);
    }
    return rc;
}

#define AFTER_MAX 1000 /* that may wait for one task or batch: the api makes no more than one */

/* Queues what waits for the task or batch that has ended so. */
static int wake_after(struct store *s, uint64_t key, const struct buf *end)
{
    struct backend_moved rows[AFTER_MAX];
    size_t n = 0;
    struct task_move move;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = s->ops->after(s->backend, key, end, AFTER_MAX, rows, &n);
    return rc == 0 ? txn_queue(s, rows, n, &move) : rc;
}

static void add_ended(struct ended *to, uint64_t batch)
{
    for (size_t i = 0; i < to->n; i++)
        if (to->keys[i] == batch)
            return;
    if (to->n == to->cap) {
        to->cap = to->cap ? to->cap * 2 : 16;
        to->keys = xrealloc(to->keys, to->cap * sizeof(*to->keys));
    }
    to->keys[to->n++] = batch;
}

static int forget_end(struct store *s, uint64_t key)
{
    return s->ops->drop_cascade(s->backend, &(struct backend_cascade){.key = key});
}

/* The children of a task, or of a batch, are dealt with in this transaction or in later ones
 * (cascades.c). */
static int keep_cascade(struct store *s, uint64_t key, enum task_state state,
                        enum backend_cascade_kind kind)
{
    bool is_revival = kind == BACKEND_CASCADE_REVIVAL;
    struct backend_edge any;
    size_t n = 0;
    if (!s->w.has_edges)
        return 0;
    int rc = is_revival ? forget_end(s, key) : 0; /* children that it has not reached wait on */
    if (rc != 0)
        return rc;
    rc = is_revival ? s->ops->children(s->backend, key, 0, 1, &any, &n)
                    : s->ops->pending_edges(s->backend, key, 1, &any, &n);
    if (rc != 0 || n == 0)
        return rc;
    s->w.cascade_pending = true;
    return s->ops->put_cascade(s->backend,
                               &(struct backend_cascade){.key = key, .kind = kind, .state = state});
}

/* The end of a task may concern others: those that wait for it, and the rest of its batch. */
static int tell_others(struct store *s, const struct task *t)
{
    bool cancel = false;
    int rc = 0;
    if (t->spec->callback.hi) {
        struct buf end = BUF_INIT;
        task_write_end(&end, t);
        rc = wake_after(s, t->spec->id.hi, &end);
        buf_release(&end);
    }
    if (rc == 0)
        rc = keep_cascade(s, t->spec->id.hi, t->state, BACKEND_CASCADE_END);
    if (rc != 0 || !t->spec->batch.hi)
        return rc;
    add_ended(t->spec->in_session ? &s->w.ended_sessions : &s->w.ended, t->spec->batch.hi);
    if (t->state == TASK_FAILED)
        rc = s->ops->batch_failed(s->backend, t->spec->batch.hi, &cancel);
    s->w.cancel_pending = s->w.cancel_pending || cancel;
    return rc;
}

/* What a callback tells of a batch. */
static void write_batch_end(struct buf *out, const struct store_batch *b)
{
    char id[ID_TEXT_SIZE], at[CLOCK_RFC3339_SIZE];
    id_format(b->id, id);
    clock_rfc3339(clock_wall_ms(), at);
    buf_printf(out, "{\"id\":\"%s\",\"total\":%u,\"counts\":{", id, b->total);
    for (int i = TASK_SUCCEEDED; i < TASK_STATE_COUNT; i++)
        buf_printf(out, "%s\"%s\":%llu", i == TASK_SUCCEEDED ? "" : ",",
                   task_state_name((enum task_state)i), (unsigned long long)b->counts[i]);
    buf_printf(out, "},\"finished_at\":\"%s\",\"href\":\"/v1/batches/%s\"}", at, id);
}

static int end_batch(struct store *s, uint64_t key)
{
    struct store_batch batch;
    uint64_t unfinished;
    struct buf end = BUF_INIT;
    int rc = s->ops->batch_ends(s->backend, key, &batch, &unfinished);
    if (rc == 0 && !unfinished)
        rc = keep_cascade(s, key, TASK_SUCCEEDED, BACKEND_CASCADE_END);
    if (rc != 0 || unfinished || !batch.callback.hi)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc; /* it went with its last member */
    write_batch_end(&end, &batch);
    rc = wake_after(s, key, &end);
    buf_release(&end);
    return rc;
}

int txn_end_batches(struct store *s)
{
    struct writer *w = &s->w;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->ended.n; i++)
        rc = end_batch(s, w->ended.keys[i]);
    w->ended.n = 0;
    return rc;
}

/* The end of an attempt that does not end its task is kept beside the task. */
static int keep_attempt(struct store *s, const struct task_change *c, const struct task *after)
{
    if (task_state_is_final(c->to_state) || !c->outcome)
        return 0;
    return s->ops->add_attempt(s->backend, c->id.hi,
                               &(struct store_attempt){.attempt = c->from_attempt,
                                                       .state = TASK_FAILED,
                                                       .started_wall_ms = after->started_wall_ms,
                                                       .finished_wall_ms = clock_wall_ms(),
                                                       .outcome = c->outcome});
}

/* What is given back keeps its place; what is queued again stands behind all others. */
static int64_t place_after(const struct task_change *c, const struct task *t,
                           const struct line *line)
{
    if (c->from_state == TASK_RUNNING)
        return BACKEND_PLACE_KEPT;
    if (backend_is_claimable(c->to_state))
        return lines_place(line, backend_next_key(), t->spec->priority);
    return task_state_is_final(c->from_state) ? (int64_t)t->spec->id.hi : BACKEND_PLACE_KEPT;
}

int txn_change(struct store *s, const struct task_change *c, struct task *t)
{
    struct task after;
    struct line *line;
    uint64_t seq = s->w.now.seq;
    int rc = lines_get(s, t->spec, &line);
    if (rc != 0)
        return rc;
    int64_t place = place_after(c, t, line);
    task_copy(&after, t);
    txn_advance(s, &after, c);
    if (task_state_is_final(after.state))
        after.keep_ms = line->group->part->queue->is.retention_ms;
    rc = s->ops->change(s->backend, c, &after, line->number, place);
    if (rc == 0)
        rc = keep_attempt(s, c, &after);
    if (rc == 0 && task_state_is_final(after.state))
        rc = tell_others(s, &after);
    if (rc == 0 && task_state_is_final(c->from_state)) {
        s->w.ends_undone = true;
        rc = keep_cascade(s, c->id.hi, after.state, BACKEND_CASCADE_REVIVAL);
    }
    if (rc != 0) {
        s->w.now.seq = seq;
        task_release(&after);
        return rc;
    }
    count_change(s, c, &after, line, place);
    if (after.spec->schedule && task_state_is_final(after.state))
        s->w.schedules_moved = true;
    task_release(t);
    *t = after;
    return 0;
}

int txn_remove(struct store *s, struct task_id id)
{
    int rc =
        txn_end_batches(s); /* the batch goes with its last member, and what it tells does not */
    s->w.ends_undone = true;
    return rc == 0 ? s->ops->remove(s->backend, id) : rc;
}

int txn_end(struct store *s, struct task *t, enum task_event ev, struct task_outcome *why)
{
    struct task_change c;
    FUT_MUST(task_apply(t, ev, &(struct task_in){.outcome = why}, &c) == 0);
    int rc = txn_change(s, &c, t);
    if (rc == 0)
        txn_add_change_of(s, t, c.from_state == TASK_RUNNING ? c.from_attempt : 0);
    return rc;
}
