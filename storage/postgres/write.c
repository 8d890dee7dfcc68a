/* write: transactions, and the statements that write one task. The writer thread alone.
 *
 * What the writer knows (known.c) is written without waiting; the statement fails when it was
 * wrong. What it does not know, it asks. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

#define INPUT_COPIED_MAX (64 << 10)
#define TRIM 256 /* rows of commits that go together */

/* ---- transactions -----------------------------------------------------------------------------
 */

int postgres_begin(struct backend *b, struct backend_time now)
{
    int rc = 0;
    b->was_cut_off = false;
    if (b->broken)
        rc = postgres_turn_leave(b);
    else if (!postgres_is_usable(&b->c))
        rc = postgres_owner_again(b);
    postgres_pending_clear(b);
    b->now = now;
    backend_set_up_offset(&b->up_offset_ms, now);
    if (rc != 0)
        return rc;
    rc = postgres_txn_begin(&b->c);
    if (rc == 0)
        rc = postgres_turn_begin(b);
    b->was_cut_off = rc != 0 && !b->c.pg;
    return rc;
}

bool postgres_was_cut_off(const struct backend *b)
{
    return b->was_cut_off;
}

/* The row of this commit, which fails when the others have given the node up. It keeps the latest
 * one and up to TRIM before it. */
static int guard(struct backend *b)
{
    int64_t n = b->group + 1;
    int rc = postgres_send(&b->c, P_GUARD, PG_VALUES(v_int(b->boot), v_int(n)));
    if (rc != 0 || n % TRIM != 0)
        return rc;
    return postgres_send(&b->c, P_TRIM_COMMITS,
                         PG_VALUES(v_int(b->boot), v_int(n - TRIM), v_int(n)));
}

/* Nobody has heard of it. */
static int resolve(struct backend *b)
{
    int rc = postgres_owner_resolve(b);
    b->was_cut_off = rc == FUT_ERR_IO;
    return rc;
}

int postgres_commit(struct backend *b)
{
    bool is_unknown = false;
    int rc = postgres_flush_ends(b);
    bool has_written = b->c.has_written;
    if (rc == 0 && has_written)
        rc = guard(b);
    if (rc == 0)
        rc = postgres_txn_commit(&b->c, &is_unknown);
    if (is_unknown && has_written)
        rc = resolve(b);
    else if (rc == 0 && has_written)
        b->group++;
    if (rc == 0)
        postgres_peers_told(b);
    b->broken = b->broken || rc == FUT_ERR_READ_ONLY;
    return rc;
}

void postgres_rollback(struct backend *b)
{
    b->was_cut_off = b->was_cut_off || !b->c.pg;
    b->ends.n = 0;
    b->cancel_key = 0;
    b->is_told = false;
    postgres_peers_failed(b);
    postgres_forget_all(b);
    postgres_pending_clear(b);
    postgres_txn_rollback(&b->c);
}

/* What has ended before the mark is counted before it, as `back` keeps that. */
int postgres_mark(struct backend *b)
{
    int rc = postgres_flush_ends(b);
    return rc == 0 ? postgres_send(&b->c, P_MARK, PG_NO_VALUES) : rc;
}

int postgres_unmark(struct backend *b)
{
    return postgres_send(&b->c, P_UNMARK, PG_NO_VALUES);
}

int postgres_back(struct backend *b)
{
    postgres_forget_all(b);
    int rc = postgres_send(&b->c, P_BACK, PG_NO_VALUES);
    return rc == 0 ? postgres_send(&b->c, P_UNMARK, PG_NO_VALUES) : rc;
}

/* ---- new tasks --------------------------------------------------------------------------------
 */

static struct postgres_value id_hi(struct task_id id)
{
    return v_int_or_null((int64_t)id.hi, 0);
}

static struct postgres_value id_lo(struct task_id id)
{
    return id.hi ? v_int((int64_t)id.lo) : v_int_or_null(0, 0);
}

/* A statement whose first column counts the rows that it has changed: is it known that there is
 * one? Else the answer is waited for; FUT_ERR_*: what no row means. */
static int run_counted(struct backend *b, enum postgres_stmt stmt, bool is_known, int none,
                       const struct postgres_value *values, size_t n)
{
    PGresult *r;
    if (is_known)
        return postgres_send(&b->c, stmt, values, n);
    int rc = postgres_ask(&b->c, stmt, values, n, &r);
    if (rc != 0)
        return rc;
    bool is_one = postgres_int(r, 0, 0) != 0;
    PQclear(r);
    return is_one ? 0 : none;
}

static struct postgres_value queue_of(const struct task *t, int64_t line)
{
    return v_int_or_null(backend_is_claimable(t->state) ? line : -1, -1);
}

static struct postgres_value due_of(const struct backend *b, const struct task *t)
{
    bool has_due = t->due_wall_ms && !backend_waits_for_wall(t);
    return v_int_or_null(has_due ? b->now.up_ms + t->due_wall_ms - b->now.wall_ms : -1, -1);
}

static struct postgres_value after_of(const struct task *t)
{
    return v_int_or_null(t->state == TASK_SCHEDULED ? (int64_t)t->spec->after.hi : 0, 0);
}

static void keep_live(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    postgres_know(b, t->spec->id.hi, t->state, t->attempt);
    if (backend_is_claimable(t->state))
        postgres_mark_put(b, line, place);
}

static struct postgres_value node_of(const struct backend *b, const struct task *t)
{
    return v_int_or_null(t->state == TASK_RUNNING ? b->boot : 0, 0);
}

static int add_rows(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    const struct task_spec *s = t->spec;
    int rc = postgres_add_row(
        b, IN_TASKS,
        PG_VALUES(v_key(s->id.hi), v_key(s->id.lo), v_int(s->lane), v_text(s->handler),
                  v_int(s->created_wall_ms), v_int(s->timeout_ms), v_int(s->retries),
                  id_hi(s->batch), v_int_or_null(s->batch.hi ? (int64_t)s->batch_pos : -1, -1),
                  v_text(s->traceparent), v_text(s->input_type), v_bytes(s->input, s->input_len)));
    if (rc != 0)
        return rc;
    return postgres_add_row(b, IN_LIVE,
                            PG_VALUES(v_key(s->id.hi), v_int(t->state), v_int(t->attempt),
                                      v_int(t->daemon_deaths), v_int(s->lane), queue_of(t, line),
                                      due_of(b, t), v_int_or_null(t->started_wall_ms, 0),
                                      v_int(t->earlier_attempts), v_int(place), v_int(line),
                                      v_int(s->priority), node_of(b, t)));
}

/* Rows of most tasks go together; what only few have, they do not have. A long input is not
 * copied. */
static bool may_wait(const struct task_spec *s)
{
    return !s->after.hi && !s->callback.hi && !s->unique && s->input_len <= INPUT_COPIED_MAX;
}

static int insert_rows(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    const struct task_spec *s = t->spec;
    bool is_new = postgres_is_new_key(b, s->id.hi);
    if (is_new && may_wait(s))
        return add_rows(b, t, line, place);
    return run_counted(
        b, P_INSERT, is_new, FUT_ERR_EXISTS,
        PG_VALUES(v_key(s->id.hi), v_key(s->id.lo), v_int(s->lane), v_text(s->handler),
                  v_int(s->created_wall_ms), v_int(s->timeout_ms), v_int(s->retries),
                  id_hi(s->batch), v_int_or_null(s->batch.hi ? (int64_t)s->batch_pos : -1, -1),
                  id_hi(s->after), id_lo(s->after), id_hi(s->callback), id_lo(s->callback),
                  v_text(s->traceparent), v_text(s->input_type), v_bytes(s->input, s->input_len),
                  v_int(t->state), v_int(t->attempt), v_int(t->daemon_deaths), queue_of(t, line),
                  due_of(b, t), v_int_or_null(t->started_wall_ms, 0), after_of(t),
                  v_key_text(s->unique), v_int(t->earlier_attempts), v_int(place), v_int(line),
                  v_int(s->priority), v_int(!is_new), node_of(b, t)));
}

int postgres_insert(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    int rc = insert_rows(b, t, line, place);
    if (rc == 0 && backend_has_options(t->spec))
        rc = postgres_put_options(b, t->spec);
    if (rc == 0 && backend_has_timers(t->spec))
        rc = postgres_put_timers(b, t, true);
    if (rc == 0 && t->spec->schedule)
        rc = postgres_schedule_add_task(b, t->spec);
    if (rc == 0)
        keep_live(b, t, line, place);
    return rc;
}

/* ---- changes ----------------------------------------------------------------------------------
 */

/* The task was done: its result goes and it is unfinished again. */
static int change_back(struct backend *b, const struct task_change *c, const struct task *t,
                       int64_t line, int64_t place)
{
    const struct task_spec *s = t->spec;
    int rc = run_counted(b, P_RETURN, false, FUT_ERR_STALE,
                         PG_VALUES(v_key(c->id.hi), v_int(c->from_state), v_int(c->from_attempt),
                                   v_int(t->state), v_int(t->attempt), v_int(t->daemon_deaths),
                                   v_int(s->lane), queue_of(t, line), due_of(b, t),
                                   v_int_or_null(t->started_wall_ms, 0), after_of(t),
                                   v_key_text(s->unique), v_int(t->earlier_attempts), v_int(place),
                                   v_int(line), v_int(s->priority)));
    if (rc == 0)
        rc = postgres_drop_kept(b, c->id.hi);
    if (rc == 0 && s->batch.hi)
        rc = postgres_return_member(b, s->batch, c->from_state);
    if (rc == 0 && backend_has_timers(s))
        rc = postgres_put_timers(b, t, false);
    if (rc == 0 && s->schedule)
        rc = postgres_schedule_add_task(b, s);
    if (rc == 0)
        keep_live(b, t, line, place);
    return rc;
}

/* The row of `results`; one that asks has three values more, with which it removes that of
 * `live`. */
static int finish(struct backend *b, const struct task_change *c, const struct task *t,
                  bool is_known)
{
    static const struct task_outcome none = {.exit_code = -1};
    enum { COLUMNS = 20, ASKED = 3 };
    const struct task_outcome *o = t->outcome ? t->outcome : &none;
    struct postgres_value body = v_bytes(o->body, o->body_len);
    body.is_null = !o->type;
    const struct postgres_value values[] = {
        v_key(c->id.hi),
        v_key(t->seq),
        v_int(t->state),
        v_int(t->attempt),
        v_int(t->daemon_deaths),
        v_int_or_null(t->started_wall_ms, 0),
        v_int(t->finished_wall_ms),
        v_text(o->type),
        body,
        v_text(o->code),
        v_text(o->message),
        v_int_or_null(o->exit_code, -1),
        v_int_or_null(o->signal, 0),
        v_bytes_or_null(o->log, o->log_len),
        v_int_or_null(o->oom, TASK_OOM_UNKNOWN),
        v_int_or_null((int64_t)o->max_rss_kib, 0),
        v_int_or_null(o->max_rss_kib ? (int64_t)o->cpu_ms : -1, -1),
        v_int_or_null(t->spec->batch.hi || t->keep_ms ? -1 : b->now.up_ms, -1),
        v_text(o->error_type),
        v_int_or_null(t->spec->in_session ? (int64_t)t->spec->batch.hi : 0, 0),
        v_int(c->from_state),
        v_int(c->from_attempt),
        v_int(1)};
    if (!is_known)
        return run_counted(b, P_FINISH, false, FUT_ERR_STALE, values, COLUMNS + ASKED);
    int rc = postgres_add_row(b, IN_RESULTS, values, COLUMNS);
    if (rc != 0)
        return rc;
    return postgres_add_row(
        b, OUT_OF_LIVE, PG_VALUES(v_key(c->id.hi), v_int(c->from_state), v_int(c->from_attempt)));
}

static int update(struct backend *b, const struct task_change *c, const struct task *t,
                  int64_t line, int64_t place, bool is_known)
{
    int64_t due_up_ms = t->due_wall_ms ? b->now.up_ms + c->due_in_ms : -1;
    return run_counted(b, P_UPDATE_LIVE, is_known, FUT_ERR_STALE,
                       PG_VALUES(v_key(c->id.hi), v_int(t->state), v_int(t->attempt),
                                 v_int(t->daemon_deaths), queue_of(t, line),
                                 v_int_or_null(due_up_ms, -1), v_int_or_null(t->started_wall_ms, 0),
                                 v_int(c->from_state), v_int(c->from_attempt),
                                 v_int_or_null(place, BACKEND_PLACE_KEPT), v_int(t->is_suspended),
                                 v_int(!is_known)));
}

/* What goes with the end of a task. */
static int end(struct backend *b, const struct task *t)
{
    int rc = 0;
    postgres_forget(b, t->spec->id.hi);
    if (t->spec->batch.hi)
        rc = postgres_end_member(b, t);
    else if (t->keep_ms)
        rc = postgres_keep(b, t);
    if (rc == 0 && t->spec->schedule)
        rc = postgres_schedule_end_task(b, t->spec);
    if (rc == 0 && t->state == TASK_SUCCEEDED)
        rc = postgres_drop_checkpoint(b, t->spec->id.hi);
    return rc;
}

int postgres_change(struct backend *b, const struct task_change *c, const struct task *after,
                    int64_t line, int64_t place)
{
    bool is_final = task_state_is_final(c->to_state);
    if (task_state_is_final(c->from_state))
        return change_back(b, c, after, line, place);
    bool is_known = postgres_knows(b, c->id.hi, c->from_state, c->from_attempt);
    int rc = is_final ? finish(b, c, after, is_known) : update(b, c, after, line, place, is_known);
    if (rc == 0 && backend_has_timers(after->spec))
        rc = postgres_change_timers(b, after);
    if (rc != 0)
        return rc;
    if (is_final)
        return end(b, after);
    keep_live(b, after, line, place);
    return 0;
}

/* ---- what stands beside a task ----------------------------------------------------------------
 */

int postgres_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a)
{
    static const struct task_outcome none = {.exit_code = -1};
    struct store_attempt kept = backend_keep_attempt(a);
    const struct task_outcome *o = kept.outcome ? kept.outcome : &none;
    int rc = postgres_send(
        &b->c, P_ADD_ATTEMPT,
        PG_VALUES(v_key(key), v_int(kept.attempt), v_int(kept.state),
                  v_int_or_null(kept.started_wall_ms, 0), v_int(kept.finished_wall_ms),
                  v_text(o->code), v_text(o->message), v_int_or_null(o->exit_code, -1),
                  v_int_or_null(o->signal, 0), v_int_or_null(o->oom, TASK_OOM_UNKNOWN),
                  v_int_or_null((int64_t)o->max_rss_kib, 0),
                  v_int_or_null(o->max_rss_kib ? (int64_t)o->cpu_ms : -1, -1),
                  v_bytes_or_null(o->log, o->log_len), v_text(o->error_type)));
    task_outcome_unref(kept.outcome);
    if (rc != 0 || a->attempt <= STORE_ATTEMPTS_MAX)
        return rc;
    return postgres_send(&b->c, P_TRIM_ATTEMPTS,
                         PG_VALUES(v_key(key), v_int((int64_t)a->attempt - STORE_ATTEMPTS_MAX)));
}

int postgres_set_callback(struct backend *b, uint64_t key, struct task_id callback)
{
    return postgres_send(&b->c, P_SET_CALLBACK,
                         PG_VALUES(v_key(key), v_key(callback.hi), v_key(callback.lo)));
}

static int check_running(struct backend *b, struct task_id id, uint32_t attempt)
{
    PGresult *r;
    if (postgres_knows(b, id.hi, TASK_RUNNING, attempt))
        return 0;
    int rc = postgres_ask(&b->c, P_IS_RUNNING,
                          PG_VALUES(v_key(id.hi), v_int(TASK_RUNNING), v_int(attempt)), &r);
    if (rc != 0)
        return rc;
    bool is_running = PQntuples(r) > 0;
    PQclear(r);
    if (is_running)
        postgres_know(b, id.hi, TASK_RUNNING, attempt);
    return is_running ? 0 : FUT_ERR_STALE;
}

int postgres_put_checkpoint(struct backend *b, const struct store_checkpoint *o)
{
    int rc = check_running(b, o->id, o->attempt);
    if (rc != 0)
        return rc;
    atomic_store(&b->has_checkpoints, true);
    return postgres_send(&b->c, P_PUT_CHECKPOINT,
                         PG_VALUES(v_key(o->id.hi), v_int(o->attempt), v_int(b->now.wall_ms),
                                   v_text(o->type), v_bytes(o->body, o->len)));
}

int postgres_drop_checkpoint(struct backend *b, uint64_t key)
{
    if (!atomic_load_explicit(&b->has_checkpoints, memory_order_relaxed))
        return 0;
    return postgres_send(&b->c, P_DELETE_CHECKPOINT, PG_VALUES(v_key(key)));
}

int postgres_load_checkpoint(struct backend *b, uint64_t key, struct task_checkpoint **out)
{
    PGresult *r;
    *out = NULL;
    if (!atomic_load_explicit(&b->has_checkpoints, memory_order_relaxed))
        return 0;
    int rc = postgres_ask(&b->c, P_GET_CHECKPOINT, PG_VALUES(v_key(key)), &r);
    if (rc != 0)
        return rc;
    if (PQntuples(r) > 0)
        *out = postgres_read_checkpoint(r, 0);
    PQclear(r);
    return 0;
}

int postgres_report(struct backend *b, const struct store_report *o)
{
    int rc = check_running(b, o->id, o->attempt);
    size_t cut = o->log_len > STORE_LOG_MAX ? o->log_len - STORE_LOG_MAX : 0;
    struct postgres_value progress = v_double(o->progress);
    progress.is_null = o->progress < 0;
    if (rc != 0)
        return rc;
    return postgres_send(&b->c, P_REPORT,
                         PG_VALUES(v_key(o->id.hi), progress, v_text(o->message),
                                   v_bytes(o->log_len ? o->log + cut : "", o->log_len - cut),
                                   v_int(STORE_LOG_MAX), v_int((int64_t)o->log_len)));
}

/* ---- the daemon's numbers ---------------------------------------------------------------------
 */

int postgres_save(struct backend *b, const struct backend_counters *c)
{
    return postgres_send(&b->c, P_SAVE,
                         PG_VALUES(v_key(c->seq), v_int(c->when.up_ms), v_int(c->when.wall_ms)));
}

int postgres_touch(struct backend *b)
{
    return postgres_send(&b->c, P_TOUCH, PG_NO_VALUES);
}
