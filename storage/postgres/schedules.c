/* schedules: their rows, the runs of each, and its unfinished tasks. The methods that take a
 * backend run on the writer thread alone. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

/* In the order in which statements give a schedule. */
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

static int64_t time_or_never(const PGresult *r, int row, int column)
{
    return postgres_is_null(r, row, column) ? STORE_SCHEDULE_NEVER : postgres_int(r, row, column);
}

/* The caller's to release. */
static void read_schedule(const PGresult *r, int row, struct store_schedule *out)
{
    *out = (struct store_schedule){
        .text = xstrdup(postgres_text(r, row, S_TEXT)),
        .is_from_file = postgres_int(r, row, S_IS_FILE) != 0,
        .is_paused = postgres_int(r, row, S_IS_PAUSED) != 0,
        .is_ready = postgres_int(r, row, S_IS_READY) != 0,
        .revision = postgres_uint(r, row, S_REVISION),
        .since_ms = postgres_int(r, row, S_SINCE),
        .next_ms = time_or_never(r, row, S_NEXT),
        .due_ms = time_or_never(r, row, S_DUE),
        .waiting_ms = time_or_never(r, row, S_WAITING),
        .runs = postgres_uint(r, row, S_RUNS),
    };
    (void)snprintf(out->name, sizeof(out->name), "%s", postgres_text(r, row, S_NAME));
}

/* Reads the row of a result, if there is one, and frees the result. */
static int read_one(PGresult *r, struct store_schedule *out)
{
    int rc = PQntuples(r) > 0 ? 0 : FUT_ERR_NOT_FOUND;
    if (rc == 0)
        read_schedule(r, 0, out);
    PQclear(r);
    return rc;
}

/* ---- the writer -------------------------------------------------------------------------------
 */

int postgres_schedule_find(struct backend *b, const char *name, struct store_schedule *out)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_SCHEDULE_FIND, PG_VALUES(v_text(name)), &r);
    return rc == 0 ? read_one(r, out) : rc;
}

int postgres_schedule_put(struct backend *b, const struct store_schedule *s)
{
    return postgres_send(&b->c, P_SCHEDULE_PUT,
                         PG_VALUES(v_text(s->name), v_int(s->is_from_file), v_int(s->is_paused),
                                   v_int(s->is_ready), v_key(s->revision), v_int(s->since_ms),
                                   v_int_or_null(s->next_ms, STORE_SCHEDULE_NEVER),
                                   v_int_or_null(s->due_ms, STORE_SCHEDULE_NEVER),
                                   v_int_or_null(s->waiting_ms, STORE_SCHEDULE_NEVER),
                                   v_key(s->runs), v_text(s->text),
                                   v_int_or_null(backend_schedule_wake(s), STORE_SCHEDULE_NEVER)));
}

int postgres_schedule_remove(struct backend *b, const char *name)
{
    int rc = postgres_send(&b->c, P_SCHEDULE_REMOVE, PG_VALUES(v_text(name)));
    return rc == 0 ? postgres_send(&b->c, P_SCHEDULE_REMOVE_RUNS, PG_VALUES(v_text(name))) : rc;
}

int postgres_schedule_count(struct backend *b, size_t *out_all, size_t *out_of_file)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_SCHEDULE_COUNT, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    *out_all = (size_t)postgres_int(r, 0, 0);
    *out_of_file = (size_t)postgres_int(r, 0, 1);
    PQclear(r);
    return 0;
}

int postgres_schedule_of_file(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                              size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_SCHEDULE_OF_FILE, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(r);
    char(*names)[STORE_SCHEDULE_NAME_MAX + 1] = n ? xcalloc(n, sizeof(*names)) : NULL;
    for (size_t i = 0; i < n; i++)
        (void)snprintf(names[i], sizeof(*names), "%s", postgres_text(r, (int)i, 0));
    PQclear(r);
    *out = names;
    *out_n = n;
    return 0;
}

int postgres_schedule_add_run(struct backend *b, struct store_schedule *s,
                              const struct store_schedule_run *run)
{
    uint64_t n = ++s->runs;
    int rc = postgres_send(&b->c, P_SCHEDULE_ADD_RUN,
                           PG_VALUES(v_text(s->name), v_key(n), v_int(run->kind), v_int(run->at_ms),
                                     v_int(run->to_ms), v_int(run->done_ms), v_int(run->is_manual),
                                     v_int_or_null((int64_t)run->id.hi, 0),
                                     v_int_or_null((int64_t)run->id.lo, 0)));
    if (rc != 0 || n <= STORE_SCHEDULE_RUNS)
        return rc;
    return postgres_send(&b->c, P_SCHEDULE_TRIM_RUNS,
                         PG_VALUES(v_text(s->name), v_key(n - STORE_SCHEDULE_RUNS)));
}

int postgres_schedule_end_waiting(struct backend *b, const char *name)
{
    return postgres_send(&b->c, P_SCHEDULE_END_WAITING,
                         PG_VALUES(v_text(name), v_int(STORE_RUN_WAITING)));
}

int postgres_schedule_unfinished(struct backend *b, const char *name, size_t max,
                                 struct task *tasks, size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_SCHEDULE_UNFINISHED,
                          PG_VALUES(v_text(name), v_int((int64_t)max)), &r);
    *out_n = 0;
    if (rc == 0)
        postgres_read_lives(r, max, tasks, out_n);
    return rc;
}

int postgres_schedule_add_task(struct backend *b, const struct task_spec *spec)
{
    return postgres_send(&b->c, P_SCHEDULE_ADD_TASK,
                         PG_VALUES(v_text(spec->schedule), v_key(spec->id.hi)));
}

int postgres_schedule_end_task(struct backend *b, const struct task_spec *spec)
{
    int rc = postgres_send(&b->c, P_SCHEDULE_DROP_TASK,
                           PG_VALUES(v_text(spec->schedule), v_key(spec->id.hi)));
    return rc == 0 ? postgres_send(&b->c, P_SCHEDULE_READY, PG_VALUES(v_text(spec->schedule))) : rc;
}

/* ---- readers ----------------------------------------------------------------------------------
 */

static int read_runs(struct backend_reader *r, struct store_schedule_get *o)
{
    PGresult *rows;
    int rc = postgres_read(r, P_SCHEDULE_RUNS,
                           PG_VALUES(v_text(o->name), v_int(STORE_SCHEDULE_RUNS)), &rows);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(rows); i++)
        o->runs[o->n_runs++] =
            (struct store_schedule_run){.kind = (enum store_run_kind)postgres_int(rows, i, 0),
                                        .at_ms = postgres_int(rows, i, 1),
                                        .to_ms = postgres_int(rows, i, 2),
                                        .done_ms = postgres_int(rows, i, 3),
                                        .is_manual = postgres_int(rows, i, 4) != 0,
                                        .id = postgres_id(rows, i, 5, 6),
                                        .has_future = !postgres_is_null(rows, i, 7),
                                        .state = (enum task_state)postgres_int(rows, i, 7)};
    PQclear(rows);
    return 0;
}

int postgres_schedule_get(struct backend_reader *r, struct store_schedule_get *o)
{
    PGresult *row;
    int rc = postgres_read(r, P_SCHEDULE_FIND, PG_VALUES(v_text(o->name)), &row);
    if (rc == 0)
        rc = read_one(row, &o->schedule);
    return rc == 0 ? read_runs(r, o) : rc;
}

int postgres_schedule_list(struct backend_reader *r, struct store_schedule_list *o)
{
    PGresult *rows;
    int rc = postgres_read(r, P_SCHEDULE_LIST,
                           PG_VALUES(v_text(o->after), v_int((int64_t)o->limit + 1)), &rows);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(rows);
    for (; o->n < n && o->n < o->limit; o->n++)
        read_schedule(rows, (int)o->n, &o->items[o->n]);
    o->is_more = n > o->limit;
    PQclear(rows);
    return 0;
}

int postgres_schedule_due(struct backend_reader *r, struct store_schedule_due *o)
{
    PGresult *rows;
    int rc = postgres_read(r, P_SCHEDULE_DUE, PG_VALUES(v_int(o->now_ms), v_int((int64_t)o->limit)),
                           &rows);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(rows); i++)
        read_schedule(rows, i, &o->items[o->n++]);
    PQclear(rows);
    rc = postgres_read(r, P_SCHEDULE_NEXT, PG_VALUES(v_int(o->now_ms)), &rows);
    if (rc != 0)
        return rc;
    o->next_ms = time_or_never(rows, 0, 0);
    PQclear(rows);
    return 0;
}
