/* backend: the methods of the reference backend: everything in memory, nothing kept. For tests, and
 * for `--store=memory`. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/memory/internal.h"

/* ---- writing --------------------------------------------------------------------------------- */

static int memory_add_line(struct backend *b, const struct backend_line *line)
{
    struct memory_line *m = xnew(struct memory_line);
    m->line = *line;
    m->line.queue = xstrdup(line->queue);
    m->line.handler = xstrdup(line->handler);
    m->line.fair_key = xstrdup(line->fair_key);
    m->line.limits = xstrdup(line->limits);
    memory_keep_line(b, m);
    memory_remember(b, UNDO_ADD_LINE, NULL);
    b->undo[b->n_undo - 1].line = m;
    return 0;
}

static int memory_drop_line(struct backend *b, int64_t number)
{
    struct memory_line *m = memory_find_line(b, number);
    memory_hide_line(b, m);
    memory_remember(b, UNDO_DROP_LINE, NULL);
    b->undo[b->n_undo - 1].line = m;
    return 0;
}

static int memory_first(struct backend *b, int64_t line, int64_t *out_place)
{
    const struct heap_node *first = heap_min(&memory_find_line(b, line)->queued);
    *out_place = first ? first->key : BACKEND_PLACE_NONE;
    return 0;
}

static int memory_lines(struct backend *b, backend_line_fn *fn, void *ctx)
{
    (void)b; /* always new */
    (void)fn;
    (void)ctx;
    return 0;
}

static int memory_insert(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    if (memory_find(b, t->spec->id.hi))
        return FUT_ERR_EXISTS;
    memory_add(b, t, memory_find_line(b, line), place);
    return 0;
}

static int memory_change(struct backend *b, const struct task_change *c, const struct task *after,
                         int64_t line, int64_t place)
{
    struct record *r = memory_find(b, c->id.hi);
    if (!r || r->task.state != c->from_state || r->task.attempt != c->from_attempt)
        return FUT_ERR_STALE;
    memory_set(b, r, after, memory_find_line(b, line), place);
    if (task_state_is_final(after->state) && after->spec->schedule)
        memory_schedule_end_task(b, after->spec->schedule);
    return 0;
}

static struct backend_row move_row(struct backend *b, struct record *r,
                                   const struct task_move *move)
{
    struct task after = r->task;
    int64_t place = r->place;
    after.state = move->to;
    after.attempt = (uint32_t)((int64_t)after.attempt + move->attempt_delta);
    after.started_wall_ms = clock_wall_ms();
    after.is_suspended = false;
    memory_set(b, r, &after, r->line, BACKEND_PLACE_KEPT);
    return (struct backend_row){after.spec->id.hi,   after.attempt,         after.earlier_attempts,
                                after.daemon_deaths, after.started_wall_ms, place,
                                r->has_suspended};
}

static int memory_take(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                       struct backend_row *rows, size_t *out_n, int64_t *out_next)
{
    const struct heap *queued = &memory_find_line(b, line)->queued;
    size_t n = 0;
    struct heap_node *first;
    while (n < max && (first = heap_min(queued)))
        rows[n++] = move_row(b, FUT_CONTAINER(first, struct record, queued), move);
    *out_n = n;
    return memory_first(b, line, out_next);
}

static int memory_load(struct backend *b, uint64_t key, struct task_spec **out)
{
    struct record *r = memory_find(b, key);
    if (!r)
        return FUT_ERR_NOT_FOUND;
    *out = task_spec_ref(r->task.spec);
    return 0;
}

static struct backend_moved moved(const struct record *r)
{
    return (struct backend_moved){r->task.spec->id.hi, r->line->line.number,
                                  r->task.spec->priority};
}

/* They are taken out of the heaps to see the next one, and put back: they wait until they are
 * queued. */
static int memory_due(struct backend *b, size_t max, struct backend_moved *rows, size_t *out_n)
{
    struct heap *run_at = &b->timers[BACKEND_RUN_AT];
    struct heap_node *first;
    size_t n = 0, n_due;
    for (; n < max && (first = heap_min(&b->due)) && first->key <= b->now.up_ms; n++) {
        rows[n] = moved(FUT_CONTAINER(first, struct record, due));
        heap_remove(&b->due, first);
    }
    n_due = n;
    for (; n < max && (first = heap_min(run_at)) && first->key <= b->now.wall_ms; n++) {
        rows[n] = moved(FUT_CONTAINER(first, struct record, timers[BACKEND_RUN_AT]));
        heap_remove(run_at, first);
    }
    for (size_t i = 0; i < n; i++) {
        struct record *r = memory_find(b, rows[i].key);
        if (i < n_due)
            heap_put(&b->due, &r->due, r->due.key);
        else
            heap_put(run_at, &r->timers[BACKEND_RUN_AT], r->timers[BACKEND_RUN_AT].key);
    }
    *out_n = n;
    return 0;
}

static void append_end(struct backend *b, struct record *r, const struct buf *end)
{
    struct task_spec spec = *r->task.spec;
    struct buf input = BUF_INIT;
    buf_put(&input, spec.input, spec.input_len);
    buf_putc(&input, '\n');
    buf_put(&input, end->data, end->len);
    spec.input = (const unsigned char *)input.data;
    spec.input_len = input.len;
    memory_set_spec(b, r, task_spec_new(&spec));
    buf_release(&input);
}

static int memory_after(struct backend *b, uint64_t key, const struct buf *end, size_t max,
                        struct backend_moved *rows, size_t *out_n)
{
    size_t n = 0;
    for (struct list_node *i = list_first(&b->in_order); i && n < max;
         i = list_next(&b->in_order, i)) {
        struct record *r = FUT_CONTAINER(i, struct record, in_order);
        if (r->task.spec->after.hi != key || r->task.state != TASK_SCHEDULED || r->task.due_wall_ms)
            continue;
        append_end(b, r, end);
        rows[n++] = moved(r);
    }
    *out_n = n;
    return 0;
}

static int64_t min_of(const struct heap *h)
{
    const struct heap_node *first = heap_min(h);
    return first ? first->key : INT64_MAX;
}

static int memory_next_times(struct backend *b, struct backend_next *out)
{
    int64_t expiry = min_of(&b->timers[BACKEND_EXPIRY]);
    int64_t deadline = min_of(&b->timers[BACKEND_DEADLINE]);
    *out = (struct backend_next){.due_up_ms = min_of(&b->due),
                                 .run_at_wall_ms = min_of(&b->timers[BACKEND_RUN_AT]),
                                 .limit_up_ms = expiry < deadline ? expiry : deadline};
    return 0;
}

/* They are taken out of the heap to see the next one, and put back. */
static int memory_timed_out(struct backend *b, enum backend_timer which, size_t max,
                            struct task *tasks, size_t *out_n)
{
    struct heap *h = &b->timers[which];
    struct record **found = xcalloc(max, sizeof(struct record *));
    struct heap_node *first;
    size_t n = 0;
    for (; n < max && (first = heap_min(h)) && first->key <= b->now.up_ms; n++) {
        found[n] = which == BACKEND_EXPIRY
                       ? FUT_CONTAINER(first, struct record, timers[BACKEND_EXPIRY])
                       : FUT_CONTAINER(first, struct record, timers[BACKEND_DEADLINE]);
        task_copy(&tasks[n], &found[n]->task);
        heap_remove(h, first);
    }
    for (size_t i = 0; i < n; i++)
        heap_put(h, &found[i]->timers[which], found[i]->timers[which].key);
    free(found);
    *out_n = n;
    return 0;
}

static int memory_drop_expiry(struct backend *b, uint64_t key)
{
    (void)b; /* a task that has begun is not looked at */
    (void)key;
    return 0;
}

static int memory_remove(struct backend *b, struct task_id id)
{
    struct record *r = memory_find(b, id.hi);
    if (!r || r->task.spec->id.lo != id.lo)
        return FUT_ERR_NOT_FOUND;
    if (!task_state_is_final(r->task.state))
        return FUT_ERR_STATE;
    memory_drop(b, r);
    return 0;
}

static int memory_save(struct backend *b, const struct backend_counters *c)
{
    (void)b; /* there is no next daemon */
    (void)c;
    return 0;
}

static int memory_totals(struct backend *b, int64_t now_wall_ms, struct backend_totals *out)
{
    (void)b; /* always new */
    (void)now_wall_ms;
    *out = (struct backend_totals){0};
    return 0;
}

static int memory_reserve(struct backend *b, bool on)
{
    (void)b; /* memory that is not there ends the process */
    (void)on;
    return 0;
}

static int memory_tidy(struct backend *b, int64_t *out_again_mono_us)
{
    (void)b;
    *out_again_mono_us = INT64_MAX;
    return 0;
}

static void memory_sizes(const struct backend *b, uint64_t *out_file, uint64_t *out_log)
{
    (void)b;
    *out_file = *out_log = 0;
}

static int memory_touch(struct backend *b)
{
    (void)b;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int memory_open(const struct store_config *cfg, struct backend **out, struct fut_errbuf *err)
{
    (void)cfg;
    (void)err;
    struct backend *b = xnew(struct backend);
    mutex_init(&b->mu);
    map_init(&b->by_key);
    map_init(&b->batch_by_key);
    map_init(&b->line_by_number);
    list_init(&b->lines);
    list_init(&b->in_order);
    list_init(&b->batches);
    list_init(&b->keys);
    *out = b;
    return 0;
}

static void memory_close(struct backend *b)
{
    free(b->bulks);
    memory_clear(b);
    memory_graph_release(b);
    while (!list_is_empty(&b->batches))
        memory_drop_last_batch(b);
    while (!list_is_empty(&b->keys))
        memory_drop_last_key(b);
    map_release(&b->by_key);
    map_release(&b->batch_by_key);
    map_release(&b->line_by_number);
    heap_release(&b->due);
    for (int i = 0; i < BACKEND_TIMER_COUNT; i++)
        heap_release(&b->timers[i]);
    heap_release(&b->done);
    heap_release(&b->kept);
    mutex_destroy(&b->mu);
    memory_free_schedules(b);
    free(b->undo);
    free(b);
}

/* ---- queues, pauses, limits: the engine has them in memory, and nothing is kept here
 * ---------------------------
 */

static int memory_queue_put(struct backend *b, const struct store_queue *queue)
{
    (void)b, (void)queue;
    return 0;
}

static int memory_queue_drop(struct backend *b, const char *name)
{
    (void)b, (void)name;
    return 0;
}

static int memory_fair_put(struct backend *b, const char *queue,
                           const struct store_fair_weight *weight)
{
    (void)b, (void)queue, (void)weight;
    return 0;
}

static int memory_pause_put(struct backend *b, enum store_pausable kind, const char *name,
                            const struct pool_pause *pause)
{
    (void)b, (void)kind, (void)name, (void)pause;
    return 0;
}

static int memory_queues(struct backend *b, backend_queue_fn *queue_fn, backend_fair_fn *fair_fn,
                         backend_pause_fn *pause_fn, void *ctx)
{
    (void)b, (void)queue_fn, (void)fair_fn, (void)pause_fn, (void)ctx;
    return 0;
}

static int memory_limit_put(struct backend *b, const struct store_limit *limit)
{
    (void)b, (void)limit;
    return 0;
}

static int memory_limit_drop(struct backend *b, const char *name)
{
    (void)b, (void)name;
    return 0;
}

static int memory_limit_key_put(struct backend *b, const struct backend_limit_key *key)
{
    (void)b, (void)key;
    return 0;
}

static int memory_limit_key_drop(struct backend *b, const char *name, const char *key)
{
    (void)b, (void)name, (void)key;
    return 0;
}

static int memory_limits(struct backend *b, backend_limit_fn *limit_fn,
                         backend_limit_key_fn *key_fn, void *ctx)
{
    (void)b, (void)limit_fn, (void)key_fn, (void)ctx;
    return 0;
}

const struct backend_ops backend_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .mark = memory_mark,
    .unmark = memory_unmark,
    .back = memory_back,
    .find_unique = memory_find_unique,
    .find_key = memory_find_key,
    .put_key = memory_put_key,
    .add_line = memory_add_line,
    .drop_line = memory_drop_line,
    .insert = memory_insert,
    .change = memory_change,
    .add_attempt = memory_add_attempt,
    .put_checkpoint = memory_put_checkpoint,
    .drop_checkpoint = memory_drop_checkpoint,
    .load_checkpoint = memory_load_checkpoint,
    .set_callback = memory_set_callback,
    .take = memory_take,
    .first = memory_first,
    .load = memory_load,
    .due = memory_due,
    .after = memory_after,
    .queue = memory_queue,
    .next_times = memory_next_times,
    .timed_out = memory_timed_out,
    .drop_expiry = memory_drop_expiry,
    .find_state = memory_find_state,
    .put_edge = memory_put_edge,
    .drop_wakes = memory_drop_wakes,
    .pending_edges = memory_pending_edges,
    .children = memory_children,
    .parents = memory_parents,
    .place = memory_place,
    .submitted = memory_submitted,
    .set_unmet = memory_set_unmet,
    .set_due = memory_set_due,
    .find_live = memory_find_live,
    .find_done = memory_find_done,
    .put_cascade = memory_put_cascade,
    .next_cascade = memory_next_cascade,
    .drop_cascade = memory_drop_cascade,
    .in_state = memory_in_state,
    .remove = memory_remove,
    .prune = memory_prune,
    .save = memory_save,
    .totals = memory_totals,
    .lines = memory_lines,
    .reserve = memory_reserve,
    .tidy = memory_tidy,
    .sizes = memory_sizes,
    .touch = memory_touch,
    .batch_put = memory_batch_put,
    .batch_failed = memory_batch_failed,
    .batch_cancel = memory_batch_cancel,
    .batch_ends = memory_batch_ends,
    .batch_set_callback = memory_batch_set_callback,
    .batch_unfinished = memory_batch_unfinished,
    .session_put = memory_session_put,
    .session_init = memory_session_init,
    .session_break = memory_session_break,
    .session_find = memory_session_find,
    .session_add = memory_session_add,
    .session_close = memory_session_close,
    .session_renew = memory_session_renew,
    .session_renew_all = memory_session_renew_all,
    .session_leases = memory_session_leases,
    .session_end_lease = memory_session_end_lease,
    .bulk_put = memory_bulk_put,
    .bulk_next = memory_bulk_next,
    .bulk_find = memory_bulk_find,
    .bulk_scan = memory_bulk_scan,
    .queue_put = memory_queue_put,
    .queue_drop = memory_queue_drop,
    .fair_put = memory_fair_put,
    .pause_put = memory_pause_put,
    .queues = memory_queues,
    .limit_put = memory_limit_put,
    .limit_drop = memory_limit_drop,
    .limit_key_put = memory_limit_key_put,
    .limit_key_drop = memory_limit_key_drop,
    .limits = memory_limits,
    .report = memory_report,
    .schedule_find = memory_schedule_find,
    .schedule_put = memory_schedule_put,
    .schedule_remove = memory_schedule_remove,
    .schedule_count = memory_schedule_count,
    .schedule_of_file = memory_schedule_of_file,
    .schedule_add_run = memory_schedule_add_run,
    .schedule_end_waiting = memory_schedule_end_waiting,
    .schedule_unfinished = memory_schedule_unfinished,
    .reader_open = memory_reader_open,
    .reader_close = memory_reader_close,
    .get = memory_get,
    .list = memory_list,
    .get_many = memory_get_many,
    .batch_get = memory_batch_get,
    .batch_list = memory_batch_list,
    .members = memory_members,
    .session_get = memory_session_get,
    .session_list = memory_session_list,
    .session_ends = memory_session_ends,
    .edges = memory_edges,
    .log = memory_log,
    .attempts = memory_attempts,
    .schedule_get = memory_schedule_get,
    .schedule_list = memory_schedule_list,
    .schedule_due = memory_schedule_due,
    .failures = memory_failures,
    .bulk_get = memory_bulk_get,
    .bulk_list = memory_bulk_list,
    .queue_oldest = memory_queue_oldest,
};
