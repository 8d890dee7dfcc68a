/* queue: claims, due times, and the counts at start. The writer thread alone. */
#include "core/mem.h"
#include "storage/sqlite/internal.h"

static int take_one(struct backend *b, const struct task_move *move, const struct backend_row *row)
{
    sqlite3_stmt *st = b->stmts[W_TAKE_ONE];
    bind_int(st, 1, (int64_t)row->key);
    bind_int(st, 2, move->to);
    bind_int(st, 3, row->attempt);
    bind_int(st, 4, row->started_wall_ms);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

static struct backend_row row_of(const struct backend *b, sqlite3_stmt *st,
                                 const struct task_move *move)
{
    int64_t attempt = sqlite3_column_int64(st, 1) + move->attempt_delta;
    return (struct backend_row){.key = (uint64_t)sqlite3_column_int64(st, 0),
                                .attempt = (uint32_t)attempt,
                                .earlier_attempts = (uint32_t)sqlite3_column_int64(st, 3),
                                .daemon_deaths = (uint32_t)sqlite3_column_int64(st, 2),
                                .started_wall_ms = b->now.wall_ms};
}

static int take_all(struct backend *b, const struct task_move *move, const struct backend_row *rows,
                    size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = take_one(b, move, &rows[i]);
    return rc;
}

/* The rows are collected first: the index must not change under the statement that reads it. */
int sqlite_take(struct backend *b, enum lane lane, const struct task_move *move, size_t max,
                struct backend_row *rows, size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_TAKE];
    size_t n = 0;
    int step;
    bind_int(st, 1, (int64_t)lane);
    bind_int(st, 2, (int64_t)max);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < max)
        rows[n++] = row_of(b, st, move);
    (void)sqlite3_reset(st);
    int rc = sqlite_noted_rc(b, step);
    if (rc == 0)
        rc = take_all(b, move, rows, n);
    *out_n = rc == 0 ? n : 0;
    return rc;
}

int sqlite_take_part(struct backend *b, enum lane lane, const struct task_move *move, size_t max,
                     struct backend_part *part, struct backend_row *rows, size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_TAKE_PART];
    size_t n = 0, looked = 0;
    int step = SQLITE_ROW;
    bind_int(st, 1, (int64_t)lane);
    bind_int(st, 2, (int64_t)part->after);
    bind_int(st, 3, (int64_t)part->look);
    part->passed = part->after;
    while (n < max && (step = sqlite3_step(st)) == SQLITE_ROW) {
        part->passed = (uint64_t)sqlite3_column_int64(st, 5);
        looked++;
        if (backend_part_wants(part, (const char *)sqlite3_column_text(st, 4)))
            rows[n++] = row_of(b, st, move);
    }
    (void)sqlite3_reset(st);
    part->is_all = step == SQLITE_DONE && looked < part->look;
    int rc = sqlite_noted_rc(b, step);
    if (rc == 0)
        rc = take_all(b, move, rows, n);
    *out_n = rc == 0 ? n : 0;
    return rc;
}

int sqlite_load(struct backend *b, uint64_t key, struct task_spec **out)
{
    sqlite3_stmt *st = b->stmts[W_LOAD];
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = sqlite_read_spec(st, SPEC_COLUMN_COUNT);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

static int move_one(struct backend *b, enum write_stmt which, const struct task_move *move,
                    int64_t key)
{
    bind_int(b->stmts[which], 1, key);
    bind_int(b->stmts[which], 2, move->to);
    bind_int(b->stmts[which], 3, (int64_t)backend_next_place());
    return sqlite_run(b, which);
}

#define MOVE_MAX 1000

/* Collects (key, lane) rows of a bound statement, then moves each: the index must not change under
 * the statement that reads it. keys: room for MOVE_MAX; out: of the *out_n that were moved. */
static int move_rows(struct backend *b, sqlite3_stmt *st, enum write_stmt which,
                     const struct task_move *move, size_t out_lanes[LANE_COUNT], int64_t *keys,
                     size_t *out_n)
{
    size_t n = 0;
    int step;
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < MOVE_MAX) {
        keys[n++] = sqlite3_column_int64(st, 0);
        out_lanes[sqlite3_column_int(st, 1)]++;
    }
    (void)sqlite3_reset(st);
    int rc = sqlite_noted_rc(b, step);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = move_one(b, which, move, keys[i]);
    *out_n = n;
    return rc;
}

int sqlite_promote(struct backend *b, const struct task_move *move, size_t max,
                   size_t out_lanes[LANE_COUNT])
{
    sqlite3_stmt *due = b->stmts[W_DUE], *run_at = b->stmts[W_RUN_AT];
    int64_t keys[MOVE_MAX], limit = (int64_t)(max < MOVE_MAX ? max : MOVE_MAX);
    size_t n = 0;
    bind_int(due, 1, b->now.up_ms);
    bind_int(due, 2, limit);
    int rc = move_rows(b, due, W_PROMOTE_ONE, move, out_lanes, keys, &n);
    bind_int(run_at, 1, BACKEND_RUN_AT);
    bind_int(run_at, 2, b->now.wall_ms);
    bind_int(run_at, 3, limit - (int64_t)n);
    if (rc == 0)
        rc = move_rows(b, run_at, W_PROMOTE_ONE, move, out_lanes, keys, &n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = sqlite_drop_timer(b, (uint64_t)keys[i], BACKEND_RUN_AT);
    return rc;
}

int sqlite_wake_after(struct backend *b, uint64_t key, const struct buf *end,
                      const struct task_move *move, size_t out_lanes[LANE_COUNT])
{
    sqlite3_stmt *append = b->stmts[W_APPEND_END], *st = b->stmts[W_WAITING];
    bind_int(append, 1, (int64_t)key);
    FUT_MUST(sqlite3_bind_text(append, 2, end->data, (int)end->len, SQLITE_STATIC) == SQLITE_OK);
    int rc = sqlite_run(b, W_APPEND_END);
    if (rc != 0)
        return rc;
    int64_t keys[MOVE_MAX];
    size_t n;
    bind_int(st, 1, (int64_t)key);
    return move_rows(b, st, W_WAKE_ONE, move, out_lanes, keys, &n);
}

int sqlite_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                    size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_IN_STATE];
    size_t n = 0;
    int step;
    bind_int(st, 1, state);
    bind_int(st, 2, (int64_t)max);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < max)
        sqlite_read_live(st, &tasks[n++]);
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_noted_rc(b, step);
}

/* ---- at start -------------------------------------------------------------------------------- */

/* Rows of n whole numbers, one after the other into out, cap of them at most. */
static int read_numbers(struct backend *b, const char *text, int64_t *out, size_t n, size_t cap,
                        size_t *out_rows)
{
    sqlite3_stmt *st = NULL;
    size_t rows = 0;
    int step = sqlite3_prepare_v2(b->db, text, -1, &st, NULL);
    if (step == SQLITE_OK) {
        for (; (step = sqlite3_step(st)) == SQLITE_ROW && rows < cap; rows++) {
            for (size_t i = 0; i < n; i++)
                out[rows * n + i] = sqlite3_column_int64(st, (int)i);
        }
    }
    (void)sqlite3_finalize(st);
    *out_rows = rows;
    return sqlite_noted_rc(b, step);
}

static int count_live(struct backend *b, struct backend_totals *out)
{
    int64_t row[LANE_COUNT * TASK_STATE_COUNT][4];
    size_t n;
    int rc =
        read_numbers(b, "SELECT lane, state, count(*), max(place) FROM live GROUP BY lane, state",
                     row[0], 4, FUT_COUNT(row), &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        out->live[row[i][0]][row[i][1]] = (uint64_t)row[i][2];
        if ((uint64_t)row[i][3] > out->max_key)
            out->max_key = (uint64_t)row[i][3];
    }
    return rc;
}

/* By the uptime no time has passed while no daemon ran; those who wait for a time shall not wait
 * the longer for it. A clock that was set back meanwhile makes them wait what was left, no more. */
static int pass_downtime(struct backend *b, int64_t down_ms)
{
    char *sql = sqlite3_mprintf("UPDATE live SET due_ms = max(0, due_ms - %lld)"
                                " WHERE due_ms IS NOT NULL;"
                                "UPDATE timers SET at_ms = max(0, at_ms - %lld) WHERE kind <> %d",
                                (long long)down_ms, (long long)down_ms, BACKEND_RUN_AT);
    int rc = down_ms > 0 ? sqlite3_exec(b->db, sql, NULL, NULL, NULL) : SQLITE_OK;
    sqlite3_free(sql);
    return sqlite_noted_rc(b, rc);
}

/* Only the queue is counted row by row; the history is as long as it likes. */
int sqlite_totals(struct backend *b, int64_t now_wall_ms, struct backend_totals *out)
{
    enum { SEQ, UP, WALL, RESULT_UP, BATCH_UP, KEY, N };
    int64_t v[N] = {0};
    size_t n;
    *out = (struct backend_totals){0};
    int rc = read_numbers(b,
                          "SELECT seq, up_ms, wall_ms,"
                          " (SELECT max(up_ms) FROM results WHERE up_ms IS NOT NULL),"
                          " (SELECT max(up_ms) FROM batches WHERE up_ms IS NOT NULL),"
                          " (SELECT max(key) FROM tasks) FROM counters",
                          v, N, 1, &n);
    out->max_key = (uint64_t)v[KEY];
    if (rc == 0)
        rc = count_live(b, out);
    if (rc != 0)
        return rc;
    out->seq = (uint64_t)v[SEQ];
    out->up_ms = v[RESULT_UP] > v[UP] ? v[RESULT_UP] : v[UP];
    out->up_ms = v[BATCH_UP] > out->up_ms ? v[BATCH_UP] : out->up_ms;
    return pass_downtime(b, now_wall_ms - v[WALL] - (out->up_ms - v[UP]));
}
