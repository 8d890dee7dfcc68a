/* queue: waiting lines, claims, due times, and the counts at start. The writer thread alone. */
#include "core/clock.h"
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

static struct backend_row row_of(sqlite3_stmt *st, const struct task_move *move, int64_t now_ms)
{
    int64_t attempt = sqlite3_column_int64(st, 1) + move->attempt_delta;
    return (struct backend_row){.key = (uint64_t)sqlite3_column_int64(st, 0),
                                .attempt = (uint32_t)attempt,
                                .earlier_attempts = (uint32_t)sqlite3_column_int64(st, 3),
                                .daemon_deaths = (uint32_t)sqlite3_column_int64(st, 2),
                                .started_wall_ms = now_ms,
                                .place = sqlite3_column_int64(st, 4),
                                .has_suspended = sqlite3_column_type(st, 5) != SQLITE_NULL};
}

static int take_all(struct backend *b, const struct task_move *move, const struct backend_row *rows,
                    size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = take_one(b, move, &rows[i]);
    return rc;
}

int sqlite_add_line(struct backend *b, const struct backend_line *line)
{
    sqlite3_stmt *st = b->stmts[W_ADD_LINE];
    bind_int(st, 1, line->number);
    bind_int(st, 2, (int64_t)line->lane);
    bind_text(st, 3, line->queue);
    bind_text(st, 4, line->handler);
    bind_text(st, 5, line->fair_key);
    bind_text(st, 6, line->limits);
    return sqlite_run(b, W_ADD_LINE);
}

int sqlite_drop_line(struct backend *b, int64_t number)
{
    bind_int(b->stmts[W_DROP_LINE], 1, number);
    return sqlite_run(b, W_DROP_LINE);
}

/* The rows are collected first: the index must not change under the statement that reads it. */
int sqlite_take(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                struct backend_row *rows, size_t *out_n, int64_t *out_next)
{
    sqlite3_stmt *st = b->stmts[W_TAKE];
    int64_t now_ms = clock_wall_ms();
    size_t n = 0;
    int step;
    bind_int(st, 1, line);
    bind_int(st, 2, (int64_t)max + 1);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < max)
        rows[n++] = row_of(st, move, now_ms);
    *out_next = step == SQLITE_ROW ? sqlite3_column_int64(st, 4) : BACKEND_PLACE_NONE;
    (void)sqlite3_reset(st);
    int rc = sqlite_noted_rc(b, step);
    if (rc == 0)
        rc = take_all(b, move, rows, n);
    *out_n = rc == 0 ? n : 0;
    return rc;
}

int sqlite_first(struct backend *b, int64_t line, int64_t *out_place)
{
    sqlite3_stmt *st = b->stmts[W_FIRST];
    bind_int(st, 1, line);
    int step = sqlite3_step(st);
    *out_place = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : BACKEND_PLACE_NONE;
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
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

static int read_moved(struct backend *b, sqlite3_stmt *st, size_t max, struct backend_moved *rows,
                      size_t *out_n)
{
    size_t n = 0;
    int step;
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < max) {
        rows[n++] = (struct backend_moved){.key = (uint64_t)sqlite3_column_int64(st, 0),
                                           .line = sqlite3_column_int64(st, 1),
                                           .priority = sqlite3_column_int(st, 2)};
    }
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_noted_rc(b, step);
}

int sqlite_due(struct backend *b, size_t max, struct backend_moved *rows, size_t *out_n)
{
    sqlite3_stmt *due = b->stmts[W_DUE], *run_at = b->stmts[W_RUN_AT];
    size_t n = 0, n_run_at = 0;
    bind_int(due, 1, b->now.up_ms);
    bind_int(due, 2, (int64_t)max);
    int rc = read_moved(b, due, max, rows, &n);
    bind_int(run_at, 1, BACKEND_RUN_AT);
    bind_int(run_at, 2, b->now.wall_ms);
    bind_int(run_at, 3, (int64_t)(max - n));
    if (rc == 0)
        rc = read_moved(b, run_at, max - n, rows + n, &n_run_at);
    for (size_t i = 0; rc == 0 && i < n_run_at; i++)
        rc = sqlite_drop_timer(b, rows[n + i].key, BACKEND_RUN_AT);
    *out_n = n + n_run_at;
    return rc;
}

int sqlite_after(struct backend *b, uint64_t key, const struct buf *end, size_t max,
                 struct backend_moved *rows, size_t *out_n)
{
    sqlite3_stmt *append = b->stmts[W_APPEND_END], *st = b->stmts[W_AFTER];
    bind_int(append, 1, (int64_t)key);
    FUT_MUST(sqlite3_bind_text(append, 2, end->data, (int)end->len, SQLITE_STATIC) == SQLITE_OK);
    int rc = sqlite_run(b, W_APPEND_END);
    if (rc != 0)
        return rc;
    bind_int(st, 1, (int64_t)key);
    bind_int(st, 2, (int64_t)max);
    return read_moved(b, st, max, rows, out_n);
}

int sqlite_queue(struct backend *b, uint64_t key, enum task_state to, int64_t place)
{
    sqlite3_stmt *st = b->stmts[W_QUEUE];
    bind_int(st, 1, (int64_t)key);
    bind_int(st, 2, to);
    bind_int(st, 3, place);
    return sqlite_run(b, W_QUEUE);
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

#define LINE_TEXT_SIZE 640 /* more than any text of a line has */

/* Lines and what they have, by number: a row for each state of the tasks. */
#define LINES                                                                                      \
    "SELECT n.number, n.lane, n.queue, n.handler, n.fair_key, n.limits, l.state, l.n, l.first"     \
    " FROM lines n LEFT JOIN (SELECT line, state, count(*) AS n,"                                  \
    "  min(CASE WHEN queue IS NOT NULL THEN place END) AS first"                                   \
    "  FROM live GROUP BY line, state) l ON l.line = n.number ORDER BY n.number"

/* The texts of a row live until the next step, so a line is passed on when its last row is read:
 * *total has its numbers alone. */
static void read_line(sqlite3_stmt *st, struct backend_line_totals *total,
                      char names[4][LINE_TEXT_SIZE])
{
    total->line = (struct backend_line){.number = sqlite3_column_int64(st, 0),
                                        .lane = (enum lane)sqlite3_column_int(st, 1),
                                        .queue = names[0],
                                        .handler = names[1],
                                        .fair_key = names[2],
                                        .limits = names[3]};
    for (int i = 0; i < 4; i++)
        (void)sqlite3_snprintf(LINE_TEXT_SIZE, names[i], "%s", column_text(st, 2 + i));
}

static void read_line_state(sqlite3_stmt *st, struct backend_line_totals *total)
{
    if (sqlite3_column_type(st, 6) == SQLITE_NULL)
        return; /* it has no task */
    total->live[sqlite3_column_int(st, 6)] = (uint64_t)sqlite3_column_int64(st, 7);
    if (sqlite3_column_type(st, 8) != SQLITE_NULL)
        total->first = sqlite3_column_int64(st, 8);
}

int sqlite_lines(struct backend *b, backend_line_fn *fn, void *ctx)
{
    struct backend_line_totals total = {0};
    char names[4][LINE_TEXT_SIZE];
    sqlite3_stmt *st = NULL;
    int step = sqlite3_prepare_v2(b->db, LINES, -1, &st, NULL);
    if (step == SQLITE_OK) {
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
            if (total.line.number && total.line.number != sqlite3_column_int64(st, 0)) {
                fn(ctx, &total);
                total = (struct backend_line_totals){0};
            }
            if (!total.line.number)
                read_line(st, &total, names);
            read_line_state(st, &total);
        }
    }
    if (step == SQLITE_DONE && total.line.number)
        fn(ctx, &total);
    (void)sqlite3_finalize(st);
    return sqlite_noted_rc(b, step);
}

/* By the uptime no time has passed while no daemon ran; those who wait for a time shall not wait
 * the longer for it. A clock that was set back meanwhile makes them wait what was left, no more. */
static int pass_downtime(struct backend *b, int64_t down_ms)
{
    char *sql =
        sqlite3_mprintf("UPDATE live SET due_ms = max(0, due_ms - %lld)"
                        " WHERE due_ms IS NOT NULL;"
                        "UPDATE timers SET at_ms = max(0, at_ms - %lld) WHERE kind <> %d;"
                        "UPDATE limit_keys SET closed_until_ms ="
                        " max(0, closed_until_ms - %lld) WHERE closed_until_ms > 0",
                        (long long)down_ms, (long long)down_ms, BACKEND_RUN_AT, (long long)down_ms);
    int rc = down_ms > 0 ? sqlite3_exec(b->db, sql, NULL, NULL, NULL) : SQLITE_OK;
    sqlite3_free(sql);
    return sqlite_noted_rc(b, rc);
}

/* Only the queue is counted row by row; the history is as long as it likes. */
int sqlite_totals(struct backend *b, int64_t now_wall_ms, struct backend_totals *out)
{
    enum { SEQ, UP, WALL, RESULT_UP, BATCH_UP, KEY, PLACE, EDGES, N };
    int64_t v[N] = {0};
    size_t n;
    *out = (struct backend_totals){0};
    int rc = read_numbers(b,
                          "SELECT seq, up_ms, wall_ms,"
                          " (SELECT max(up_ms) FROM results WHERE up_ms IS NOT NULL),"
                          " (SELECT max(up_ms) FROM batches WHERE up_ms IS NOT NULL),"
                          " (SELECT max(key) FROM tasks),"
                          " (SELECT max(place) FROM live WHERE priority = 0),"
                          " EXISTS (SELECT 1 FROM edges) FROM counters",
                          v, N, 1, &n);
    if (rc != 0)
        return rc;
    out->max_key = (uint64_t)(v[PLACE] > v[KEY] ? v[PLACE] : v[KEY]);
    out->has_edges = v[EDGES] != 0;
    out->seq = (uint64_t)v[SEQ];
    out->up_ms = v[RESULT_UP] > v[UP] ? v[RESULT_UP] : v[UP];
    out->up_ms = v[BATCH_UP] > out->up_ms ? v[BATCH_UP] : out->up_ms;
    return pass_downtime(b, now_wall_ms - v[WALL] - (out->up_ms - v[UP]));
}
