/* sqlite_write: transactions, and the statements that write one task. The writer thread alone. */
#include <string.h>

#include "storage/sqlite_internal.h"

/* No state is spelled here: states come in as parameters. */
static const char *const sql[W_COUNT] = {
    [W_BEGIN] = "BEGIN IMMEDIATE",
    [W_COMMIT] = "COMMIT",
    [W_ROLLBACK] = "ROLLBACK",
    [W_MARK] = "SAVEPOINT mark",
    [W_UNMARK] = "RELEASE mark",
    [W_BACK] = "ROLLBACK TO mark",
    [W_INSERT_TASK] = "INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries,"
                      " input_type, input) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [W_INSERT_LIVE] =
        "INSERT INTO live (key, state, attempt, lost, lane, queue, due_ms, started_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [W_UPDATE_LIVE] =
        "UPDATE live SET state = ?2, attempt = ?3, lost = ?4, queue = ?6, due_ms = ?7,"
        " started_ms = ?8 WHERE key = ?1 AND state = ?9 AND attempt = ?10",
    [W_DELETE_LIVE] = "DELETE FROM live WHERE key = ?1 AND state = ?2 AND attempt = ?3",
    [W_INSERT_RESULT] = "INSERT INTO results (key, seq, state, attempt, lost, started_ms,"
                        " finished_ms, type, body, code, message, exit_code, signal, log)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [W_TAKE] = "SELECT key, attempt, lost FROM live WHERE queue = ?1 ORDER BY key LIMIT ?2",
    [W_TAKE_ONE] = "UPDATE live SET state = ?2, attempt = ?3, queue = NULL, started_ms = ?4"
                   " WHERE key = ?1",
    [W_LOAD] = "SELECT lo, lane, handler, created_ms, timeout_ms, retries, input_type, input"
               " FROM tasks WHERE key = ?1",
    [W_DUE] = "SELECT key, lane FROM live WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2",
    [W_PROMOTE_ONE] = "UPDATE live SET state = ?2, queue = lane, due_ms = NULL WHERE key = ?1",
    [W_NEXT_DUE] = "SELECT min(due_ms) FROM live WHERE due_ms IS NOT NULL",
    [W_IN_STATE] = "SELECT l.key, t.lo, t.lane, t.handler, t.created_ms, t.timeout_ms, t.retries,"
                   " t.input_type, l.attempt, l.lost, l.started_ms"
                   " FROM live l JOIN tasks t ON t.key = l.key WHERE l.state = ?1 LIMIT ?2",
    [W_IS_LIVE] =
        "SELECT (SELECT 1 FROM live WHERE key = ?1) FROM tasks WHERE key = ?1 AND lo = ?2",
    [W_DELETE_TASK] = "DELETE FROM tasks WHERE key = ?1",
    [W_DELETE_RESULT] = "DELETE FROM results WHERE key = ?1",
    [W_OLDEST] = "SELECT key FROM results WHERE finished_ms <= ?1 AND seq IN"
                 " (SELECT seq FROM results ORDER BY seq LIMIT ?2)",
};

int sqlite_prepare_writes(struct backend *b)
{
    for (int i = 0; i < W_COUNT; i++) {
        int rc =
            sqlite3_prepare_v3(b->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &b->stmts[i], NULL);
        if (rc != SQLITE_OK)
            return sqlite_rc(b->db, rc);
    }
    return 0;
}

void sqlite_finalize_writes(struct backend *b)
{
    for (int i = 0; i < W_COUNT; i++)
        (void)sqlite3_finalize(b->stmts[i]);
}

/* Runs a statement without rows; its reset repeats the error that step gave. */
static int run(struct backend *b, enum write_stmt which)
{
    sqlite3_stmt *st = b->stmts[which];
    int rc = sqlite_rc(b->db, sqlite3_step(st));
    (void)sqlite3_reset(st);
    return rc;
}

int sqlite_begin(struct backend *b)
{
    return run(b, W_BEGIN);
}

int sqlite_commit(struct backend *b)
{
    return run(b, W_COMMIT);
}

void sqlite_rollback(struct backend *b)
{
    if (!sqlite3_get_autocommit(b->db)) /* some failures have rolled back already */
        (void)run(b, W_ROLLBACK);
}

int sqlite_mark(struct backend *b)
{
    return run(b, W_MARK);
}

int sqlite_unmark(struct backend *b)
{
    return run(b, W_UNMARK);
}

int sqlite_back(struct backend *b)
{
    int rc = run(b, W_BACK);
    return rc == 0 ? run(b, W_UNMARK) : rc;
}

static int insert_task(struct backend *b, const struct task_spec *spec)
{
    sqlite3_stmt *st = b->stmts[W_INSERT_TASK];
    bind_int(st, 1, (int64_t)spec->id.hi);
    bind_int(st, 2, (int64_t)spec->id.lo);
    bind_int(st, 3, (int64_t)spec->lane);
    bind_text(st, 4, spec->handler);
    bind_int(st, 5, spec->created_wall_ms);
    bind_int(st, 6, spec->timeout_ms);
    bind_int(st, 7, spec->retries);
    bind_text(st, 8, spec->input_type);
    bind_blob(st, 9, spec->input, spec->input_len);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return step == SQLITE_CONSTRAINT ? FUT_ERR_EXISTS : sqlite_rc(b->db, step);
}

static void bind_live(sqlite3_stmt *st, const struct task *t)
{
    bind_int(st, 1, (int64_t)t->spec->id.hi);
    bind_int(st, 2, t->state);
    bind_int(st, 3, t->attempt);
    bind_int(st, 4, t->lost);
    bind_int_or_null(st, 6, backend_is_claimable(t->state) ? (int64_t)t->spec->lane : -1, -1);
    bind_int_or_null(st, 7, t->due_wall_ms, 0);
    bind_int_or_null(st, 8, t->started_wall_ms, 0);
}

int sqlite_insert(struct backend *b, const struct task *t)
{
    int rc = insert_task(b, t->spec);
    if (rc != 0)
        return rc;
    bind_live(b->stmts[W_INSERT_LIVE], t);
    bind_int(b->stmts[W_INSERT_LIVE], 5, (int64_t)t->spec->lane);
    return run(b, W_INSERT_LIVE);
}

static int insert_result(struct backend *b, const struct task *t)
{
    static const struct task_outcome none = {.exit_code = -1};
    const struct task_outcome *o = t->outcome ? t->outcome : &none;
    sqlite3_stmt *st = b->stmts[W_INSERT_RESULT];
    bind_int(st, 1, (int64_t)t->spec->id.hi);
    bind_int(st, 2, (int64_t)t->seq);
    bind_int(st, 3, t->state);
    bind_int(st, 4, t->attempt);
    bind_int(st, 5, t->lost);
    bind_int_or_null(st, 6, t->started_wall_ms, 0);
    bind_int(st, 7, t->finished_wall_ms);
    bind_text(st, 8, o->type);
    if (o->type)
        bind_blob(st, 9, o->body, o->body_len);
    else
        (void)sqlite3_bind_null(st, 9);
    bind_text(st, 10, o->code);
    bind_text(st, 11, o->message);
    bind_int_or_null(st, 12, o->exit_code, -1);
    bind_int_or_null(st, 13, o->signal, 0);
    if (o->log_len)
        bind_blob(st, 14, o->log, o->log_len);
    else
        (void)sqlite3_bind_null(st, 14);
    return run(b, W_INSERT_RESULT);
}

int sqlite_change(struct backend *b, const struct task_change *c, const struct task *after)
{
    bool final = task_state_is_final(c->to_state);
    enum write_stmt which = final ? W_DELETE_LIVE : W_UPDATE_LIVE;
    sqlite3_stmt *st = b->stmts[which];
    if (!final)
        bind_live(st, after);
    bind_int(st, 1, (int64_t)c->id.hi);
    bind_int(st, final ? 2 : 9, c->from_state);
    bind_int(st, final ? 3 : 10, c->from_attempt);
    int rc = run(b, which);
    if (rc == 0 && sqlite3_changes(b->db) == 0)
        return FUT_ERR_STALE;
    return rc == 0 && final ? insert_result(b, after) : rc;
}

static int delete_key(struct backend *b, int64_t key)
{
    bind_int(b->stmts[W_DELETE_RESULT], 1, key);
    bind_int(b->stmts[W_DELETE_TASK], 1, key);
    int rc = run(b, W_DELETE_RESULT);
    return rc == 0 ? run(b, W_DELETE_TASK) : rc;
}

int sqlite_remove(struct backend *b, struct task_id id)
{
    sqlite3_stmt *st = b->stmts[W_IS_LIVE];
    bind_int(st, 1, (int64_t)id.hi);
    bind_int(st, 2, (int64_t)id.lo);
    int step = sqlite3_step(st);
    bool live = step == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
    (void)sqlite3_reset(st);
    if (step == SQLITE_DONE)
        return FUT_ERR_NOT_FOUND;
    if (step != SQLITE_ROW)
        return sqlite_rc(b->db, step);
    return live ? FUT_ERR_STATE : delete_key(b, (int64_t)id.hi);
}

#define PRUNE_MAX 1000

int sqlite_prune(struct backend *b, int64_t cutoff_wall_ms, size_t max, size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_OLDEST];
    int64_t keys[PRUNE_MAX];
    size_t n = 0;
    int step;
    bind_int(st, 1, cutoff_wall_ms);
    bind_int(st, 2, (int64_t)(max < PRUNE_MAX ? max : PRUNE_MAX));
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < PRUNE_MAX)
        keys[n++] = sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    int rc = sqlite_rc(b->db, step);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = delete_key(b, keys[i]);
    *out_n = rc == 0 ? n : 0;
    return rc;
}
