/* sqlite_queue: claims, due times, and the counts at start. The writer thread alone. */
#include "storage/sqlite_internal.h"

static int take_one(struct backend *b, const struct task_move *move, const struct backend_row *row)
{
    sqlite3_stmt *st = b->stmts[W_TAKE_ONE];
    bind_int(st, 1, (int64_t)row->key);
    bind_int(st, 2, move->to);
    bind_int(st, 3, row->attempt);
    bind_int(st, 4, row->started_wall_ms);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return sqlite_rc(b->db, step);
}

/* The rows are collected first: the index must not change under the statement that reads it. */
int sqlite_take(struct backend *b, enum lane lane, const struct task_move *move,
                int64_t now_wall_ms, size_t max, struct backend_row *rows, size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_TAKE];
    size_t n = 0;
    int step;
    bind_int(st, 1, (int64_t)lane);
    bind_int(st, 2, (int64_t)max);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < max) {
        int64_t attempt = sqlite3_column_int64(st, 1) + move->attempt_delta;
        rows[n++] = (struct backend_row){(uint64_t)sqlite3_column_int64(st, 0), (uint32_t)attempt,
                                         (uint32_t)sqlite3_column_int64(st, 2), now_wall_ms};
    }
    (void)sqlite3_reset(st);
    int rc = sqlite_rc(b->db, step);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = take_one(b, move, &rows[i]);
    *out_n = rc == 0 ? n : 0;
    return rc;
}

int sqlite_load(struct backend *b, uint64_t key, struct task_spec **out)
{
    sqlite3_stmt *st = b->stmts[W_LOAD];
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        struct task_spec spec = {
            .id = {key, (uint64_t)sqlite3_column_int64(st, 0)},
            .lane = (enum lane)sqlite3_column_int(st, 1),
            .handler = column_text(st, 2),
            .created_wall_ms = sqlite3_column_int64(st, 3),
            .timeout_ms = sqlite3_column_int64(st, 4),
            .retries = (uint32_t)sqlite3_column_int64(st, 5),
            .input_type = column_text(st, 6),
            .input = sqlite3_column_blob(st, 7),
            .input_len = (size_t)sqlite3_column_bytes(st, 7),
        };
        *out = task_spec_new(&spec);
    }
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_rc(b->db, step);
}

static int promote_one(struct backend *b, const struct task_move *move, int64_t key)
{
    sqlite3_stmt *st = b->stmts[W_PROMOTE_ONE];
    bind_int(st, 1, key);
    bind_int(st, 2, move->to);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return sqlite_rc(b->db, step);
}

#define PROMOTE_MAX 1000

int sqlite_promote(struct backend *b, const struct task_move *move, int64_t now_wall_ms, size_t max,
                   size_t out_lanes[LANE_COUNT])
{
    sqlite3_stmt *st = b->stmts[W_DUE];
    int64_t keys[PROMOTE_MAX];
    size_t n = 0;
    int step;
    bind_int(st, 1, now_wall_ms);
    bind_int(st, 2, (int64_t)(max < PROMOTE_MAX ? max : PROMOTE_MAX));
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < PROMOTE_MAX) {
        keys[n++] = sqlite3_column_int64(st, 0);
        out_lanes[sqlite3_column_int(st, 1)]++;
    }
    (void)sqlite3_reset(st);
    int rc = sqlite_rc(b->db, step);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = promote_one(b, move, keys[i]);
    return rc;
}

int sqlite_next_due(struct backend *b, int64_t *out_wall_ms)
{
    sqlite3_stmt *st = b->stmts[W_NEXT_DUE];
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out_wall_ms = sqlite3_column_type(st, 0) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    return sqlite_rc(b->db, step);
}

static void read_live(sqlite3_stmt *st, enum task_state state, struct task *out)
{
    struct task_spec spec = {
        .id = {(uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1)},
        .lane = (enum lane)sqlite3_column_int(st, 2),
        .handler = column_text(st, 3),
        .created_wall_ms = sqlite3_column_int64(st, 4),
        .timeout_ms = sqlite3_column_int64(st, 5),
        .retries = (uint32_t)sqlite3_column_int64(st, 6),
        .input_type = column_text(st, 7),
    };
    *out = (struct task){.spec = task_spec_new(&spec),
                         .state = state,
                         .attempt = (uint32_t)sqlite3_column_int64(st, 8),
                         .lost = (uint32_t)sqlite3_column_int64(st, 9),
                         .started_wall_ms = sqlite3_column_int64(st, 10)};
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
        read_live(st, state, &tasks[n++]);
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_rc(b->db, step);
}

static int read_numbers(struct backend *b, const char *text, int64_t *out, size_t n,
                        struct backend_totals *totals)
{
    sqlite3_stmt *st = NULL;
    int step = sqlite3_prepare_v2(b->db, text, -1, &st, NULL);
    if (step == SQLITE_OK) {
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
            for (size_t i = 0; i < n; i++)
                out[i] = sqlite3_column_int64(st, (int)i);
            if (totals)
                totals->live[out[0]][out[1]] = (uint64_t)out[2];
        }
    }
    (void)sqlite3_finalize(st);
    return sqlite_rc(b->db, step);
}

/* Only the queue is counted row by row; the history is as long as it likes. */
int sqlite_totals(struct backend *b, struct backend_totals *out)
{
    int64_t row[3], max[2] = {0, 0};
    *out = (struct backend_totals){0};
    int rc =
        read_numbers(b, "SELECT lane, state, count(*) FROM live GROUP BY lane, state", row, 3, out);
    if (rc == 0)
        rc = read_numbers(b, "SELECT (SELECT max(key) FROM tasks), (SELECT max(seq) FROM results)",
                          max, 2, NULL);
    out->max_key = (uint64_t)max[0];
    out->max_seq = (uint64_t)max[1];
    return rc;
}
