/* schedules: their rows, the runs of each, and its unfinished tasks. The methods that take a
 * backend run on the writer thread alone. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* In the order of SCHEDULE_COLUMNS. */
enum schedule_column {
    S_NAME,
    S_IS_FILE,
    S_IS_PAUSED,
    S_IS_READY,
    S_REVISION,
    S_SINCE,
    S_NEXT,
    S_DUE,
    S_WAITING,
    S_RUNS,
    S_TEXT
};

static int64_t time_or_never(sqlite3_stmt *st, int column)
{
    return sqlite3_column_type(st, column) == SQLITE_NULL ? STORE_SCHEDULE_NEVER
                                                          : sqlite3_column_int64(st, column);
}

/* The caller's to release. */
static void read_schedule(sqlite3_stmt *st, struct store_schedule *out)
{
    *out = (struct store_schedule){
        .text = xstrdup(column_text(st, S_TEXT)),
        .is_from_file = sqlite3_column_int(st, S_IS_FILE) != 0,
        .is_paused = sqlite3_column_int(st, S_IS_PAUSED) != 0,
        .is_ready = sqlite3_column_int(st, S_IS_READY) != 0,
        .revision = (uint64_t)sqlite3_column_int64(st, S_REVISION),
        .since_ms = sqlite3_column_int64(st, S_SINCE),
        .next_ms = time_or_never(st, S_NEXT),
        .due_ms = time_or_never(st, S_DUE),
        .waiting_ms = time_or_never(st, S_WAITING),
        .runs = (uint64_t)sqlite3_column_int64(st, S_RUNS),
    };
    (void)snprintf(out->name, sizeof(out->name), "%s", column_text(st, S_NAME));
}

/* Reads the row of a bound statement, if there is one, and resets it. Returns SQLite's code. */
static int read_one(sqlite3_stmt *st, struct store_schedule *out)
{
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        read_schedule(st, out);
    (void)sqlite3_reset(st);
    return step;
}

/* ---- the writer -------------------------------------------------------------------------------
 */

int sqlite_schedule_find(struct backend *b, const char *name, struct store_schedule *out)
{
    bind_text(b->stmts[W_SCHEDULE_FIND], 1, name);
    int step = read_one(b->stmts[W_SCHEDULE_FIND], out);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_schedule_put(struct backend *b, const struct store_schedule *s)
{
    sqlite3_stmt *st = b->stmts[W_SCHEDULE_PUT];
    bind_text(st, 1 + S_NAME, s->name);
    bind_int(st, 1 + S_IS_FILE, s->is_from_file);
    bind_int(st, 1 + S_IS_PAUSED, s->is_paused);
    bind_int(st, 1 + S_IS_READY, s->is_ready);
    bind_int(st, 1 + S_REVISION, (int64_t)s->revision);
    bind_int(st, 1 + S_SINCE, s->since_ms);
    bind_int_or_null(st, 1 + S_NEXT, s->next_ms, STORE_SCHEDULE_NEVER);
    bind_int_or_null(st, 1 + S_DUE, s->due_ms, STORE_SCHEDULE_NEVER);
    bind_int_or_null(st, 1 + S_WAITING, s->waiting_ms, STORE_SCHEDULE_NEVER);
    bind_int(st, 1 + S_RUNS, (int64_t)s->runs);
    bind_text(st, 1 + S_TEXT, s->text);
    bind_int_or_null(st, 2 + S_TEXT, backend_schedule_wake(s), STORE_SCHEDULE_NEVER);
    return sqlite_run(b, W_SCHEDULE_PUT);
}

int sqlite_schedule_remove(struct backend *b, const char *name)
{
    bind_text(b->stmts[W_SCHEDULE_REMOVE], 1, name);
    bind_text(b->stmts[W_SCHEDULE_REMOVE_RUNS], 1, name);
    int rc = sqlite_run(b, W_SCHEDULE_REMOVE);
    return rc == 0 ? sqlite_run(b, W_SCHEDULE_REMOVE_RUNS) : rc;
}

int sqlite_schedule_count(struct backend *b, size_t *out_all, size_t *out_of_file)
{
    sqlite3_stmt *st = b->stmts[W_SCHEDULE_COUNT];
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        *out_all = (size_t)sqlite3_column_int64(st, 0);
        *out_of_file = (size_t)sqlite3_column_int64(st, 1);
    }
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_schedule_of_file(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                            size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_SCHEDULE_OF_FILE];
    char(*names)[STORE_SCHEDULE_NAME_MAX + 1] = NULL;
    size_t n = 0, cap = 0;
    int step;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            names = xrealloc(names, cap * sizeof(*names));
        }
        (void)snprintf(names[n++], sizeof(*names), "%s", column_text(st, 0));
    }
    (void)sqlite3_reset(st);
    int rc = sqlite_noted_rc(b, step);
    if (rc != 0) {
        free(names);
        return rc;
    }
    *out = names;
    *out_n = n;
    return 0;
}

int sqlite_schedule_add_run(struct backend *b, struct store_schedule *s,
                            const struct store_schedule_run *run)
{
    sqlite3_stmt *add = b->stmts[W_SCHEDULE_ADD_RUN], *trim = b->stmts[W_SCHEDULE_TRIM_RUNS];
    uint64_t n = ++s->runs;
    bind_text(add, 1, s->name);
    bind_int(add, 2, (int64_t)n);
    bind_int(add, 3, run->kind);
    bind_int(add, 4, run->at_ms);
    bind_int(add, 5, run->to_ms);
    bind_int(add, 6, run->done_ms);
    bind_int(add, 7, run->is_manual);
    bind_int_or_null(add, 8, (int64_t)run->id.hi, 0);
    bind_int_or_null(add, 9, (int64_t)run->id.lo, 0);
    int rc = sqlite_run(b, W_SCHEDULE_ADD_RUN);
    if (rc != 0 || n <= STORE_SCHEDULE_RUNS)
        return rc;
    bind_text(trim, 1, s->name);
    bind_int(trim, 2, (int64_t)(n - STORE_SCHEDULE_RUNS));
    return sqlite_run(b, W_SCHEDULE_TRIM_RUNS);
}

int sqlite_schedule_end_waiting(struct backend *b, const char *name)
{
    bind_text(b->stmts[W_SCHEDULE_END_WAITING], 1, name);
    bind_int(b->stmts[W_SCHEDULE_END_WAITING], 2, STORE_RUN_WAITING);
    return sqlite_run(b, W_SCHEDULE_END_WAITING);
}

int sqlite_schedule_unfinished(struct backend *b, const char *name, size_t max, struct task *tasks,
                               size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_SCHEDULE_UNFINISHED];
    size_t n = 0;
    int step = SQLITE_DONE;
    bind_text(st, 1, name);
    bind_int(st, 2, (int64_t)max);
    while (n < max && (step = sqlite3_step(st)) == SQLITE_ROW)
        sqlite_read_live(st, &tasks[n++]);
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_noted_rc(b, step);
}

static int run_with_task(struct backend *b, enum write_stmt which, const struct task_spec *spec)
{
    bind_text(b->stmts[which], 1, spec->schedule);
    bind_int(b->stmts[which], 2, (int64_t)spec->id.hi);
    return sqlite_run(b, which);
}

int sqlite_schedule_add_task(struct backend *b, const struct task_spec *spec)
{
    return run_with_task(b, W_SCHEDULE_ADD_TASK, spec);
}

int sqlite_schedule_end_task(struct backend *b, const struct task_spec *spec)
{
    int rc = run_with_task(b, W_SCHEDULE_DROP_TASK, spec);
    bind_text(b->stmts[W_SCHEDULE_READY], 1, spec->schedule);
    return rc == 0 ? sqlite_run(b, W_SCHEDULE_READY) : rc;
}

/* ---- readers ----------------------------------------------------------------------------------
 */

static int read_runs(struct backend_reader *r, struct store_schedule_get *o)
{
    sqlite3_stmt *st = r->stmts[R_SCHEDULE_RUNS];
    int step = SQLITE_DONE;
    bind_text(st, 1, o->name);
    bind_int(st, 2, STORE_SCHEDULE_RUNS);
    while (o->n_runs < STORE_SCHEDULE_RUNS && (step = sqlite3_step(st)) == SQLITE_ROW)
        o->runs[o->n_runs++] = (struct store_schedule_run){
            .kind = (enum store_run_kind)sqlite3_column_int(st, 0),
            .at_ms = sqlite3_column_int64(st, 1),
            .to_ms = sqlite3_column_int64(st, 2),
            .done_ms = sqlite3_column_int64(st, 3),
            .is_manual = sqlite3_column_int(st, 4) != 0,
            .id = {(uint64_t)sqlite3_column_int64(st, 5), (uint64_t)sqlite3_column_int64(st, 6)},
            .has_future = sqlite3_column_type(st, 7) != SQLITE_NULL,
            .state = (enum task_state)sqlite3_column_int(st, 7),
        };
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

int sqlite_schedule_get(struct backend_reader *r, struct store_schedule_get *o)
{
    bind_text(r->stmts[R_SCHEDULE], 1, o->name);
    int step = read_one(r->stmts[R_SCHEDULE], &o->schedule);
    if (step == SQLITE_DONE)
        return FUT_ERR_NOT_FOUND;
    int rc = sqlite_rc(r->db, step);
    return rc == 0 ? read_runs(r, o) : rc;
}

int sqlite_schedule_list(struct backend_reader *r, struct store_schedule_list *o)
{
    sqlite3_stmt *st = r->stmts[R_SCHEDULE_LIST];
    int step;
    bind_text(st, 1, o->after);
    bind_int(st, 2, (int64_t)o->limit + 1);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && o->n < o->limit)
        read_schedule(st, &o->items[o->n++]);
    (void)sqlite3_reset(st);
    o->is_more = step == SQLITE_ROW;
    return sqlite_rc(r->db, step);
}

int sqlite_schedule_due(struct backend_reader *r, struct store_schedule_due *o)
{
    sqlite3_stmt *st = r->stmts[R_SCHEDULE_DUE], *next = r->stmts[R_SCHEDULE_NEXT];
    int step = SQLITE_DONE;
    bind_int(st, 1, o->now_ms);
    bind_int(st, 2, (int64_t)o->limit);
    while (o->n < o->limit && (step = sqlite3_step(st)) == SQLITE_ROW)
        read_schedule(st, &o->items[o->n++]);
    (void)sqlite3_reset(st);
    int rc = sqlite_rc(r->db, step);
    if (rc != 0)
        return rc;
    bind_int(next, 1, o->now_ms);
    step = sqlite3_step(next);
    if (step == SQLITE_ROW)
        o->next_ms = time_or_never(next, 0);
    (void)sqlite3_reset(next);
    return sqlite_rc(r->db, step);
}
