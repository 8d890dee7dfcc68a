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

int txn_begin(struct store *s)
{
    struct writer *w = &s->w;
    if (w->in_txn)
        return 0;
    if (w->broken_rc != 0)
        return w->broken_rc;
    struct backend_time now = {txn_up_ms(s), clock_wall_ms()};
    int rc = s->ops->begin(s->backend, now);
    if (rc != 0)
        return rc;
    w->in_txn = true;
    w->saved = w->now;
    bool is_short = w->now.saved_seq - w->now.seq < SEQ_SPARE;
    return is_short ? txn_save(s, w->now.seq + SEQ_BLOCK) : 0;
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

/* ---- numbers --------------------------------------------------------------------------------- */

uint64_t *txn_live(struct store *s, enum lane lane, enum task_state state)
{
    return &s->w.now.stats.live[lane][state];
}

bool txn_is_full(const struct store *s, size_t n)
{
    uint64_t waiting = 0;
    for_each_lane (l)
        waiting += s->w.now.stats.live[l][TASK_QUEUED] + s->w.now.stats.live[l][TASK_SCHEDULED];
    return waiting + n > s->max_queued;
}

void txn_queued(struct store *s, enum lane lane, uint64_t place)
{
    for (size_t i = 0; i < STORE_MARKS; i++) {
        struct claim_mark *m = &s->w.marks[i];
        if (m->left_out && m->lane == lane && m->place >= place)
            m->place = place - 1;
    }
}

/* Tasks that return stand behind every mark. */
void txn_count_moved(struct store *s, enum lane lane, const struct task_move *move, size_t n)
{
    *txn_live(s, lane, move->from) -= n;
    *txn_live(s, lane, move->to) += n;
}

static void watch(int64_t *next, int64_t at)
{
    if (at < *next)
        *next = at;
}

void txn_watch_times(struct store *s, const struct task *t)
{
    const struct task_times *times = &t->spec->times;
    int64_t up_ms = txn_up_ms(s);
    if (backend_waits_for_wall(t))
        watch(&s->w.next.run_at_wall_ms, t->due_wall_ms);
    else if (t->due_wall_ms)
        watch(&s->w.next.due_up_ms, up_ms + t->due_wall_ms - clock_wall_ms());
    if (times->expires_in_ms && !task_state_is_final(t->state))
        watch(&s->w.next.limit_up_ms, up_ms + times->expires_in_ms);
    if (times->deadline_ms && !task_state_is_final(t->state))
        watch(&s->w.next.limit_up_ms, up_ms + times->deadline_ms);
}

static void count_change(struct store *s, const struct task_change *c, const struct task *after)
{
    struct writer *w = &s->w;
    if (!task_state_is_final(c->from_state))
        (*txn_live(s, after->spec->lane, c->from_state))--;
    if (task_state_is_final(after->state))
        w->now.stats.finished[after->state]++;
    else
        (*txn_live(s, after->spec->lane, after->state))++;
    if (backend_is_claimable(after->state))
        txn_queued(s, after->spec->lane, after->spec->id.hi);
    txn_watch_times(s, after);
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
    t->due_wall_ms = c->to_state == TASK_SCHEDULED ? now + c->due_in_ms : 0;
    if (c->to_state == TASK_RUNNING)
        t->started_wall_ms = now;
    t->finished_wall_ms = is_end ? now : 0;
    t->seq = is_end ? ++s->w.now.seq : 0;
    task_outcome_unref(t->outcome);
    t->outcome = is_end && c->outcome ? task_outcome_ref(c->outcome) : NULL;
}

/* Queues what waits for the task or batch that has ended so. */
static int wake_after(struct store *s, uint64_t key, const struct buf *end)
{
    size_t by_lane[LANE_COUNT] = {0};
    struct task_move move;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = s->ops->wake_after(s->backend, key, end, &move, by_lane);
    if (rc != 0)
        return rc;
    for_each_lane (l)
        txn_count_moved(s, l, &move, by_lane[l]);
    return 0;
}

static void add_ended(struct writer *w, uint64_t batch)
{
    for (size_t i = 0; i < w->n_ended; i++)
        if (w->ended[i] == batch)
            return;
    if (w->n_ended == w->cap_ended) {
        w->cap_ended = w->cap_ended ? w->cap_ended * 2 : 16;
        w->ended = xrealloc(w->ended, w->cap_ended * sizeof(*w->ended));
    }
    w->ended[w->n_ended++] = batch;
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
    if (rc != 0 || !t->spec->batch.hi)
        return rc;
    add_ended(&s->w, t->spec->batch.hi);
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
    for (size_t i = 0; rc == 0 && i < w->n_ended; i++)
        rc = end_batch(s, w->ended[i]);
    w->n_ended = 0;
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

int txn_change(struct store *s, const struct task_change *c, struct task *t)
{
    struct task after;
    uint64_t seq = s->w.now.seq;
    task_copy(&after, t);
    txn_advance(s, &after, c);
    int rc = s->ops->change(s->backend, c, &after);
    if (rc == 0)
        rc = keep_attempt(s, c, &after);
    if (rc == 0 && task_state_is_final(after.state))
        rc = tell_others(s, &after);
    if (rc != 0) {
        s->w.now.seq = seq;
        task_release(&after);
        return rc;
    }
    count_change(s, c, &after);
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
    return rc == 0 ? s->ops->remove(s->backend, id) : rc;
}
