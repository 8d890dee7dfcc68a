/* write: transactions, and the statements that write one task. The writer thread alone. */
#include "core/mem.h"
#include "storage/sqlite/internal.h"

int sqlite_begin(struct backend *b, struct backend_time now)
{
    int64_t again_mono_us;
    int rc = b->is_behind ? sqlite_tidy(b, &again_mono_us) : 0;
    b->now = now;
    backend_set_up_offset(&b->up_offset_ms, now);
    return rc == 0 ? sqlite_run(b, W_BEGIN) : rc;
}

int sqlite_commit(struct backend *b)
{
    int rc = sqlite_flush_ends(b);
    return rc == 0 ? sqlite_run(b, W_COMMIT) : rc;
}

void sqlite_rollback(struct backend *b)
{
    b->ends.n = 0;
    b->cancel_key = 0;
    if (!sqlite3_get_autocommit(b->db)) /* some failures have rolled back already */
        (void)sqlite_run(b, W_ROLLBACK);
}

/* What has ended before the mark is counted before it, as `back` keeps that. */
int sqlite_mark(struct backend *b)
{
    int rc = sqlite_flush_ends(b);
    return rc == 0 ? sqlite_run(b, W_MARK) : rc;
}

int sqlite_unmark(struct backend *b)
{
    return sqlite_run(b, W_UNMARK);
}

int sqlite_back(struct backend *b)
{
    int rc = sqlite_run(b, W_BACK);
    return rc == 0 ? sqlite_run(b, W_UNMARK) : rc;
}

static int insert_task(struct backend *b, const struct task_spec *spec)
{
    sqlite3_stmt *st = b->stmts[W_INSERT_TASK];
    sqlite_bind_spec(&b->put_task, spec);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return step == SQLITE_CONSTRAINT ? FUT_ERR_EXISTS : sqlite_noted_rc(b, step);
}

/* due_up_ms: -1: it waits for no time. */
static void bind_live(struct params *p, const struct task *t, int64_t line, int64_t due_up_ms)
{
    params_int(p, 1, (int64_t)t->spec->id.hi);
    params_int(p, 2, t->state);
    params_int(p, 3, t->attempt);
    params_int(p, 4, t->daemon_deaths);
    params_int_or_null(p, 6, backend_is_claimable(t->state) ? line : -1, -1);
    params_int_or_null(p, 7, due_up_ms, -1);
    params_int_or_null(p, 8, t->started_wall_ms, 0);
}

static int insert_live(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    struct params *p = &b->put_live;
    bool has_due = t->due_wall_ms && !backend_waits_for_wall(t);
    bind_live(p, t, line, has_due ? b->now.up_ms + t->due_wall_ms - b->now.wall_ms : -1);
    params_int(p, 5, (int64_t)t->spec->lane);
    params_int_or_null(p, 9, t->state == TASK_SCHEDULED ? (int64_t)t->spec->after.hi : 0, 0);
    params_text(p, 10, t->spec->unique);
    params_int(p, 11, t->earlier_attempts);
    params_int(p, 12, place);
    params_int(p, 13, line);
    params_int(p, 14, t->spec->priority);
    return sqlite_run(b, W_INSERT_LIVE);
}

int sqlite_insert(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    int rc = insert_task(b, t->spec);
    if (rc == 0 && sqlite_bind_options(b->stmts[W_PUT_OPTIONS], t->spec))
        rc = sqlite_run(b, W_PUT_OPTIONS);
    if (rc == 0 && backend_has_timers(t->spec))
        rc = sqlite_put_timers(b, t, true);
    if (rc == 0 && t->spec->schedule)
        rc = sqlite_schedule_add_task(b, t->spec);
    return rc == 0 ? insert_live(b, t, line, place) : rc;
}

static int insert_result(struct backend *b, const struct task *t)
{
    static const struct task_outcome none = {.exit_code = -1};
    const struct task_outcome *o = t->outcome ? t->outcome : &none;
    struct params *p = &b->put_result;
    params_int(p, 1, (int64_t)t->spec->id.hi);
    params_int(p, 2, (int64_t)t->seq);
    params_int(p, 3, t->state);
    params_int(p, 4, t->attempt);
    params_int(p, 5, t->daemon_deaths);
    params_int_or_null(p, 6, t->started_wall_ms, 0);
    params_int(p, 7, t->finished_wall_ms);
    params_text(p, 8, o->type);
    if (o->type)
        params_blob(p, 9, o->body, o->body_len);
    else
        params_null(p, 9);
    params_text(p, 10, o->code);
    params_text(p, 11, o->message);
    params_int_or_null(p, 12, o->exit_code, -1);
    params_int_or_null(p, 13, o->signal, 0);
    if (o->log_len)
        params_blob(p, 14, o->log, o->log_len);
    else
        params_null(p, 14);
    params_int_or_null(p, 15, o->oom, TASK_OOM_UNKNOWN);
    params_int_or_null(p, 16, (int64_t)o->max_rss_kib, 0);
    params_int_or_null(p, 17, o->max_rss_kib ? (int64_t)o->cpu_ms : -1, -1);
    params_int_or_null(p, 18, t->spec->batch.hi || t->keep_ms ? -1 : b->now.up_ms, -1);
    params_text(p, 19, o->error_type);
    params_int_or_null(p, 20, t->spec->in_session ? (int64_t)t->spec->batch.hi : 0, 0);
    return sqlite_run(b, W_INSERT_RESULT);
}

/* The task was done: its result goes and it is unfinished again. */
static int change_back(struct backend *b, const struct task_change *c, const struct task *after,
                       int64_t line, int64_t place)
{
    sqlite3_stmt *st = b->stmts[W_TAKE_RESULT];
    bind_int(st, 1, (int64_t)c->id.hi);
    bind_int(st, 2, c->from_state);
    bind_int(st, 3, c->from_attempt);
    int rc = sqlite_run(b, W_TAKE_RESULT);
    if (rc == 0 && sqlite3_changes(b->db) == 0)
        return FUT_ERR_STALE;
    if (rc == 0)
        rc = sqlite_drop_kept(b, (int64_t)c->id.hi);
    if (rc == 0 && after->spec->batch.hi)
        rc = sqlite_return_member(b, after->spec->batch, c->from_state);
    if (rc == 0 && backend_has_timers(after->spec))
        rc = sqlite_put_timers(b, after, false);
    if (rc == 0 && after->spec->schedule)
        rc = sqlite_schedule_add_task(b, after->spec);
    return rc == 0 ? insert_live(b, after, line, place) : rc;
}

static int change_timers(struct backend *b, const struct task *after)
{
    if (task_state_is_final(after->state))
        return sqlite_drop_timers(b, after->spec->id.hi);
    if (!after->spec->times.expires_in_ms || task_has_begun(after))
        return 0;
    /* One that suspended itself has begun, although no attempt is charged. */
    return after->is_suspended ? sqlite_drop_expiry(b, after->spec->id.hi)
                               : sqlite_return_expiry(b, after->spec->id.hi);
}

static int update_live(struct backend *b, const struct task_change *c, const struct task *after,
                       int64_t line, int64_t place)
{
    struct params *p = &b->change_live;
    bind_live(p, after, line, after->due_wall_ms ? b->now.up_ms + c->due_in_ms : -1);
    params_int_or_null(p, 11, place, BACKEND_PLACE_KEPT);
    params_int(p, 12, after->is_suspended);
    params_int(p, 9, c->from_state);
    params_int(p, 10, c->from_attempt);
    return sqlite_run(b, W_UPDATE_LIVE);
}

static int delete_live(struct backend *b, const struct task_change *c)
{
    sqlite3_stmt *st = b->stmts[W_DELETE_LIVE];
    bind_int(st, 1, (int64_t)c->id.hi);
    bind_int(st, 2, c->from_state);
    bind_int(st, 3, c->from_attempt);
    return sqlite_run(b, W_DELETE_LIVE);
}

int sqlite_change(struct backend *b, const struct task_change *c, const struct task *after,
                  int64_t line, int64_t place)
{
    bool final = task_state_is_final(c->to_state);
    if (task_state_is_final(c->from_state))
        return change_back(b, c, after, line, place);
    int rc = final ? delete_live(b, c) : update_live(b, c, after, line, place);
    if (rc == 0 && sqlite3_changes(b->db) == 0)
        return FUT_ERR_STALE;
    if (rc == 0 && backend_has_timers(after->spec))
        rc = change_timers(b, after);
    if (rc == 0 && final && after->spec->batch.hi)
        rc = sqlite_end_member(b, after);
    if (rc == 0 && final && after->spec->schedule)
        rc = sqlite_schedule_end_task(b, after->spec);
    if (rc == 0 && after->state == TASK_SUCCEEDED)
        rc = sqlite_drop_checkpoint(b, c->id.hi);
    if (rc == 0 && final)
        rc = insert_result(b, after);
    return rc == 0 && final && after->keep_ms && !after->spec->batch.hi ? sqlite_keep(b, after)
                                                                        : rc;
}

int sqlite_delete_task(struct backend *b, int64_t key)
{
    static const enum write_stmt which[] = {W_DELETE_RESULT,  W_DELETE_NOTE, W_DELETE_ATTEMPTS,
                                            W_DELETE_OPTIONS, W_DELETE_KEYS, W_DELETE_EDGES,
                                            W_DELETE_TASK};
    int rc = sqlite_drop_checkpoint(b, (uint64_t)key);
    if (rc == 0)
        rc = sqlite_drop_kept(b, key);
    for (size_t i = 0; rc == 0 && i < FUT_COUNT(which); i++)
        rc = sqlite_run_with_key(b, which[i], key);
    return rc;
}

/* A batch goes with the last of its members. */
static int delete_member(struct backend *b, int64_t key, int64_t batch)
{
    int rc = sqlite_delete_task(b, key);
    if (rc != 0 || batch == 0)
        return rc;
    rc = sqlite_run_with_key(b, W_DELETE_EMPTY_BATCH, batch);
    if (rc != 0 || sqlite3_changes(b->db) == 0)
        return rc;
    rc = sqlite_drop_kept(b, batch);
    return rc == 0 ? sqlite_run_with_key(b, W_DELETE_KEYS, batch) : rc;
}

int sqlite_remove(struct backend *b, struct task_id id)
{
    sqlite3_stmt *st = b->stmts[W_IS_LIVE];
    bind_int(st, 1, (int64_t)id.hi);
    bind_int(st, 2, (int64_t)id.lo);
    int step = sqlite3_step(st);
    bool live = step == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
    int64_t batch = step == SQLITE_ROW ? sqlite3_column_int64(st, 1) : 0;
    (void)sqlite3_reset(st);
    if (step == SQLITE_DONE)
        return FUT_ERR_NOT_FOUND;
    if (step != SQLITE_ROW)
        return sqlite_noted_rc(b, step);
    return live ? FUT_ERR_STATE : delete_member(b, (int64_t)id.hi, batch);
}

int sqlite_save(struct backend *b, const struct backend_counters *c)
{
    sqlite3_stmt *st = b->stmts[W_SAVE];
    bind_int(st, 1, (int64_t)c->seq);
    bind_int(st, 2, c->when.up_ms);
    bind_int(st, 3, c->when.wall_ms);
    return sqlite_run(b, W_SAVE);
}
