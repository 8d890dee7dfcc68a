/* queue: waiting lines, claims, times, and the counts at start. The writer thread alone. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

int postgres_add_line(struct backend *b, const struct backend_line *line)
{
    return postgres_send(&b->c, P_ADD_LINE,
                         PG_VALUES(v_int(line->number), v_int(line->lane), v_text(line->queue),
                                   v_text(line->handler), v_text(line->fair_key),
                                   v_text(line->limits)));
}

int postgres_drop_line(struct backend *b, int64_t number)
{
    return postgres_send(&b->c, P_DROP_LINE, PG_VALUES(v_int(number)));
}

/* ---- claims -----------------------------------------------------------------------------------
 */

static struct backend_row row_of(const PGresult *r, int i, int64_t now_ms)
{
    return (struct backend_row){.key = postgres_uint(r, i, 0),
                                .attempt = (uint32_t)postgres_int(r, i, 1),
                                .daemon_deaths = (uint32_t)postgres_int(r, i, 2),
                                .earlier_attempts = (uint32_t)postgres_int(r, i, 3),
                                .started_wall_ms = now_ms,
                                .place = postgres_int(r, i, 4),
                                .has_suspended = !postgres_is_null(r, i, 5)};
}

static void remember_taken(struct backend *b, uint64_t key)
{
    if (b->n_taken < POSTGRES_AHEAD)
        b->taken[b->n_taken++] = key;
}

/* The row without a key tells the place of the one that is next. */
int postgres_take(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                  struct backend_row *rows, size_t *out_n, int64_t *out_next)
{
    PGresult *r;
    int64_t now_ms = clock_wall_ms();
    size_t n = 0;
    int64_t next = BACKEND_PLACE_NONE;
    postgres_ahead_clear(b);
    int rc = postgres_ask(&b->c, P_TAKE,
                          PG_VALUES(v_int(line), v_int(postgres_mark_get(b, line)),
                                    v_int((int64_t)max), v_int(move->to),
                                    v_int(move->attempt_delta), v_int(now_ms), v_int(b->boot)),
                          &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++) {
        if (postgres_is_null(r, i, 0)) {
            next = postgres_int(r, i, 4);
        } else if (n < max) {
            rows[n] = row_of(r, i, now_ms);
            postgres_know(b, rows[n].key, move->to, rows[n].attempt);
            remember_taken(b, rows[n++].key);
        }
    }
    PQclear(r);
    postgres_mark_set(b, line, next);
    *out_n = n;
    *out_next = next;
    return 0;
}

int postgres_first(struct backend *b, int64_t line, int64_t *out_place)
{
    PGresult *r;
    int rc =
        postgres_ask(&b->c, P_FIRST, PG_VALUES(v_int(line), v_int(postgres_mark_get(b, line))), &r);
    if (rc != 0)
        return rc;
    *out_place = PQntuples(r) > 0 ? postgres_int(r, 0, 0) : BACKEND_PLACE_NONE;
    PQclear(r);
    postgres_mark_set(b, line, *out_place);
    return 0;
}

/* ---- specs ------------------------------------------------------------------------------------
 */

static struct task_spec *take_loaded(struct backend *b, uint64_t key)
{
    for (size_t i = 0; i < b->n_taken; i++) {
        struct task_spec *spec = b->ahead[i];
        if (b->taken[i] != key || !spec)
            continue;
        b->ahead[i] = NULL;
        return spec;
    }
    return NULL;
}

/* The tasks of the latest take that come behind this one will be asked for next: those with small
 * inputs are loaded with it. */
static size_t keys_ahead(const struct backend *b, uint64_t key, int64_t *keys)
{
    size_t i = 0, n = 0;
    keys[n++] = (int64_t)key;
    while (i < b->n_taken && b->taken[i] != key)
        i++;
    for (i++; i < b->n_taken; i++) {
        if (!b->ahead[i])
            keys[n++] = (int64_t)b->taken[i];
    }
    return n;
}

static void keep_loaded(struct backend *b, const PGresult *r, int row)
{
    uint64_t key = postgres_uint(r, row, C_KEY);
    for (size_t i = 0; i < b->n_taken; i++) {
        if (b->taken[i] != key)
            continue;
        task_spec_unref(b->ahead[i]);
        b->ahead[i] = postgres_read_spec(r, row, C_INPUT_TYPE);
        return;
    }
}

int postgres_load(struct backend *b, uint64_t key, struct task_spec **out)
{
    struct task_spec *spec = take_loaded(b, key);
    int64_t keys[POSTGRES_AHEAD + 1];
    PGresult *r;
    if (spec) {
        *out = spec;
        return 0;
    }
    size_t n = keys_ahead(b, key, keys);
    int rc = postgres_ask(&b->c, P_LOAD, PG_VALUES(v_key(key), v_ints(keys, n)), &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++) {
        if (postgres_uint(r, i, C_KEY) == key)
            spec = postgres_read_spec(r, i, C_INPUT_TYPE);
        else
            keep_loaded(b, r, i);
    }
    PQclear(r);
    if (!spec)
        return FUT_ERR_NOT_FOUND;
    *out = spec;
    return 0;
}

/* ---- what waits for something -----------------------------------------------------------------
 */

static size_t read_moved(PGresult *r, size_t max, struct backend_moved *rows)
{
    size_t n = (size_t)PQntuples(r) < max ? (size_t)PQntuples(r) : max;
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct backend_moved){.key = postgres_uint(r, (int)i, 0),
                                         .line = postgres_int(r, (int)i, 1),
                                         .priority = (int)postgres_int(r, (int)i, 2)};
    PQclear(r);
    return n;
}

int postgres_due(struct backend *b, size_t max, struct backend_moved *rows, size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_DUE, PG_VALUES(v_int(b->now.up_ms), v_int((int64_t)max)), &r);
    if (rc != 0)
        return rc;
    size_t n = read_moved(r, max, rows);
    if (n < max) {
        rc = postgres_ask(
            &b->c, P_RUN_AT,
            PG_VALUES(v_int(BACKEND_RUN_AT), v_int(b->now.wall_ms), v_int((int64_t)(max - n))), &r);
        n += rc == 0 ? read_moved(r, max - n, rows + n) : 0;
    }
    *out_n = n;
    return rc;
}

int postgres_after(struct backend *b, uint64_t key, const struct buf *end, size_t max,
                   struct backend_moved *rows, size_t *out_n)
{
    PGresult *r;
    int rc =
        postgres_ask(&b->c, P_AFTER,
                     PG_VALUES(v_key(key), v_bytes(end->data, end->len), v_int((int64_t)max)), &r);
    if (rc == 0)
        *out_n = read_moved(r, max, rows);
    return rc;
}

int postgres_queue(struct backend *b, uint64_t key, enum task_state to, int64_t place)
{
    postgres_forget(b, key);
    postgres_mark_put(b, 0, place);
    return postgres_send(&b->c, P_QUEUE, PG_VALUES(v_key(key), v_int(to), v_int(place)));
}

int postgres_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                      size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_IN_STATE, PG_VALUES(v_int(state), v_int((int64_t)max)), &r);
    *out_n = 0;
    if (rc == 0)
        postgres_read_lives(r, max, tasks, out_n);
    return rc;
}

/* ---- timers -----------------------------------------------------------------------------------
 */

static int put_timer(struct backend *b, enum postgres_stmt stmt, uint64_t key,
                     enum backend_timer which, int64_t at_ms)
{
    return postgres_send(&b->c, stmt, PG_VALUES(v_key(key), v_int(which), v_int(at_ms)));
}

int postgres_put_timers(struct backend *b, const struct task *t, bool is_first)
{
    const struct task_times *times = &t->spec->times;
    uint64_t key = t->spec->id.hi;
    int rc = 0;
    if (is_first && backend_waits_for_wall(t))
        rc = put_timer(b, P_PUT_TIMER, key, BACKEND_RUN_AT, times->run_at_wall_ms);
    if (rc == 0 && times->expires_in_ms)
        rc = put_timer(b, P_PUT_TIMER, key, BACKEND_EXPIRY, b->now.up_ms + times->expires_in_ms);
    if (rc == 0 && times->deadline_ms)
        rc = put_timer(b, P_PUT_TIMER, key, BACKEND_DEADLINE, b->now.up_ms + times->deadline_ms);
    return rc;
}

int postgres_change_timers(struct backend *b, const struct task *after)
{
    uint64_t key = after->spec->id.hi;
    if (task_state_is_final(after->state))
        return postgres_send(&b->c, P_DROP_TIMERS, PG_VALUES(v_key(key)));
    if (!after->spec->times.expires_in_ms || task_has_begun(after))
        return 0;
    /* One that suspended itself has begun, although no attempt is charged. */
    if (after->is_suspended)
        return postgres_drop_expiry(b, key);
    return put_timer(b, P_RETURN_EXPIRY, key, BACKEND_EXPIRY, b->now.up_ms);
}

int postgres_set_due(struct backend *b, const struct task *t)
{
    uint64_t key = t->spec->id.hi;
    if (backend_waits_for_wall(t))
        return put_timer(b, P_PUT_TIMER, key, BACKEND_RUN_AT, t->spec->times.run_at_wall_ms);
    int64_t due_up_ms = b->now.up_ms + t->due_wall_ms - b->now.wall_ms;
    return postgres_send(&b->c, P_SET_DUE, PG_VALUES(v_key(key), v_int(due_up_ms)));
}

int postgres_timed_out(struct backend *b, enum backend_timer which, size_t max, struct task *tasks,
                       size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_TIMED_OUT,
                          PG_VALUES(v_int(which), v_int(b->now.up_ms), v_int((int64_t)max)), &r);
    *out_n = 0;
    if (rc == 0)
        postgres_read_lives(r, max, tasks, out_n);
    return rc;
}

int postgres_drop_expiry(struct backend *b, uint64_t key)
{
    return postgres_send(&b->c, P_DROP_TIMER, PG_VALUES(v_key(key), v_int(BACKEND_EXPIRY)));
}

static int64_t time_or_never(const PGresult *r, int column)
{
    return postgres_is_null(r, 0, column) ? INT64_MAX : postgres_int(r, 0, column);
}

int postgres_next_times(struct backend *b, struct backend_next *out)
{
    PGresult *r;
    int rc = postgres_ask(
        &b->c, P_NEXT_TIMES,
        PG_VALUES(v_int(BACKEND_RUN_AT), v_int(BACKEND_EXPIRY), v_int(BACKEND_DEADLINE)), &r);
    if (rc != 0)
        return rc;
    *out = (struct backend_next){.due_up_ms = time_or_never(r, 0),
                                 .run_at_wall_ms = time_or_never(r, 1),
                                 .limit_up_ms = time_or_never(r, 2)};
    PQclear(r);
    return 0;
}

/* ---- at start ---------------------------------------------------------------------------------
 */

static void read_line(const PGresult *r, int row, struct backend_line_totals *total)
{
    total->line = (struct backend_line){.number = postgres_int(r, row, 0),
                                        .lane = (enum lane)postgres_int(r, row, 1),
                                        .queue = postgres_text(r, row, 2),
                                        .handler = postgres_text(r, row, 3),
                                        .fair_key = postgres_text(r, row, 4),
                                        .limits = postgres_text(r, row, 5)};
    if (postgres_is_null(r, row, 6))
        return; /* it has no task */
    total->live[postgres_int(r, row, 6)] = postgres_uint(r, row, 7);
    if (!postgres_is_null(r, row, 8))
        total->first = postgres_int(r, row, 8);
}

/* A row for each state of a line's tasks. */
int postgres_lines(struct backend *b, backend_line_fn *fn, void *ctx)
{
    struct backend_line_totals total = {0};
    PGresult *r;
    int rc = postgres_ask(&b->c, P_LINES, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++) {
        if (total.line.number && total.line.number != postgres_int(r, i, 0)) {
            fn(ctx, &total);
            total = (struct backend_line_totals){0};
        }
        read_line(r, i, &total);
    }
    if (total.line.number)
        fn(ctx, &total);
    PQclear(r);
    return 0;
}

/* By the uptime no time has passed while no daemon ran; those who wait for a time shall not wait
 * the longer for it. A clock that was set back meanwhile makes them wait what was left, no more.
 * Not in one transaction with the saving of the uptime: a daemon that dies here makes some wait
 * less. */
static int pass_downtime(struct backend *b, int64_t down_ms)
{
    if (down_ms <= 0)
        return 0;
    int rc = postgres_run(&b->c, P_PASS_DUE, PG_VALUES(v_int(down_ms)));
    if (rc == 0)
        rc = postgres_run(&b->c, P_PASS_TIMERS, PG_VALUES(v_int(down_ms), v_int(BACKEND_RUN_AT)));
    return rc == 0 ? postgres_run(&b->c, P_PASS_LIMITS, PG_VALUES(v_int(down_ms))) : rc;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int postgres_totals(struct backend *b, int64_t now_wall_ms, struct backend_totals *out)
{
    enum { SEQ, UP, WALL, RESULT_UP, BATCH_UP, KEY, PLACE, EDGES, BATCH_KEY };
    PGresult *r;
    int rc = postgres_ask(&b->c, P_TOTALS, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    int64_t up_ms = postgres_int(r, 0, UP), wall_ms = postgres_int(r, 0, WALL);
    *out = (struct backend_totals){
        .has_edges = postgres_int(r, 0, EDGES) != 0,
        .max_key = (uint64_t)larger(postgres_int(r, 0, KEY), postgres_int(r, 0, PLACE)),
        .seq = postgres_uint(r, 0, SEQ),
        .up_ms = larger(up_ms, larger(postgres_int(r, 0, RESULT_UP), postgres_int(r, 0, BATCH_UP))),
    };
    b->floor = (uint64_t)larger(postgres_int(r, 0, KEY), postgres_int(r, 0, BATCH_KEY));
    PQclear(r);
    if (b->has_peers)
        out->up_ms = larger(out->up_ms, b->joined_up_ms);
    atomic_store(&b->up_offset_ms, now_wall_ms - out->up_ms);
    return b->has_peers ? 0 : pass_downtime(b, now_wall_ms - wall_ms - (out->up_ms - up_ms));
}
