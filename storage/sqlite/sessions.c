/* sessions: sessions for the writer and for the readers. Their tasks are members of a batch with
 * the same key, whose row counts them. */
#include <stdio.h>

#include "storage/sqlite/internal.h"

static void read_row(sqlite3_stmt *st, struct store_session *out)
{
    *out = (struct store_session){
        .id = {.hi = (uint64_t)sqlite3_column_int64(st, 0),
               .lo = (uint64_t)sqlite3_column_int64(st, 1)},
        .created_wall_ms = sqlite3_column_int64(st, 3),
        .closed_wall_ms = sqlite3_column_int64(st, 4),
        .total = (uint32_t)sqlite3_column_int64(st, 5),
        .unfinished = (uint64_t)sqlite3_column_int64(st, 6),
        .has_init = sqlite3_column_int(st, 7) != 0,
        .max_tasks = (uint32_t)sqlite3_column_int64(st, 8),
        .on_disconnect = (enum store_on_disconnect)sqlite3_column_int(st, 10),
        .grace_ms = sqlite3_column_int64(st, 11),
        .lease_up_ms = sqlite3_column_type(st, 12) == SQLITE_NULL ? STORE_NO_LEASE
                                                                  : sqlite3_column_int64(st, 12),
        .disconnected_wall_ms = sqlite3_column_int64(st, 13)};
    const char *broken = column_text(st, 9);
    (void)snprintf(out->handler, sizeof(out->handler), "%s", column_text(st, 2));
    (void)snprintf(out->broken, sizeof(out->broken), "%s", broken ? broken : "");
}

/* Its id stays unset but for the key where there is none. *out_step: as SQLite says. */
static void find(sqlite3_stmt *st, uint64_t key, struct store_session *out, int *out_step)
{
    bind_int(st, 1, (int64_t)key);
    *out = (struct store_session){.id = {.hi = key}};
    *out_step = sqlite3_step(st);
    if (*out_step == SQLITE_ROW)
        read_row(st, out);
    (void)sqlite3_reset(st);
}

/* ---- writing: the writer thread -------------------------------------------------------------- */

static int put_batch(struct backend *b, const struct store_session *s)
{
    sqlite3_stmt *st = b->stmts[W_PUT_SESSION_BATCH];
    bind_int(st, 1, (int64_t)s->id.hi);
    bind_int(st, 2, (int64_t)s->id.lo);
    bind_int(st, 3, s->created_wall_ms);
    bind_int(st, 4, b->now.up_ms);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return step == SQLITE_CONSTRAINT ? FUT_ERR_EXISTS : sqlite_noted_rc(b, step);
}

int sqlite_session_put(struct backend *b, const struct store_session *s,
                       const struct task_init *init)
{
    sqlite3_stmt *st = b->stmts[W_PUT_SESSION];
    int rc = put_batch(b, s);
    bind_int(st, 1, (int64_t)s->id.hi);
    bind_int(st, 2, (int64_t)s->id.lo);
    bind_text(st, 3, s->handler);
    bind_int(st, 4, s->created_wall_ms);
    bind_text(st, 5, init ? init->type : NULL);
    if (init)
        bind_blob(st, 6, init->body, init->len);
    else
        (void)sqlite3_bind_null(st, 6);
    bind_int_or_null(st, 7, s->max_tasks, 0);
    bind_int(st, 8, s->on_disconnect);
    bind_int_or_null(st, 9, s->grace_ms, 0);
    bind_int_or_null(st, 10, s->lease_up_ms, STORE_NO_LEASE);
    return rc == 0 ? sqlite_run(b, W_PUT_SESSION) : rc;
}

int sqlite_session_find(struct backend *b, uint64_t key, struct store_session *out)
{
    int step, rc = sqlite_flush_ends(b);
    if (rc != 0)
        return rc;
    find(b->stmts[W_FIND_SESSION], key, out, &step);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_session_init(struct backend *b, uint64_t key, struct task_init **out)
{
    sqlite3_stmt *st = b->stmts[W_SESSION_INIT];
    bind_int(st, 1, (int64_t)key);
    *out = NULL;
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        const void *body = sqlite3_column_blob(st, 2);
        *out = task_init_new(
            &(struct task_init){.session = {key, (uint64_t)sqlite3_column_int64(st, 0)},
                                .max_tasks = (uint32_t)sqlite3_column_int64(st, 3),
                                .type = column_text(st, 1),
                                .body = body ? body : (const void *)"",
                                .len = (size_t)sqlite3_column_bytes(st, 2),
                                .broken = column_text(st, 4)});
    }
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_session_break(struct backend *b, uint64_t key, const char *why)
{
    bind_int(b->stmts[W_BREAK_SESSION], 1, (int64_t)key);
    bind_text(b->stmts[W_BREAK_SESSION], 2, why);
    return sqlite_run(b, W_BREAK_SESSION);
}

int sqlite_session_add(struct backend *b, uint64_t key, uint32_t n)
{
    int rc = sqlite_drop_kept(b, (int64_t)key);
    bind_int(b->stmts[W_ADD_TO_SESSION], 1, (int64_t)key);
    bind_int(b->stmts[W_ADD_TO_SESSION], 2, n);
    return rc == 0 ? sqlite_run(b, W_ADD_TO_SESSION) : rc;
}

int sqlite_session_close(struct backend *b, uint64_t key, int64_t now_wall_ms)
{
    bind_int(b->stmts[W_CLOSE_SESSION], 1, (int64_t)key);
    bind_int(b->stmts[W_CLOSE_SESSION], 2, now_wall_ms);
    return sqlite_run(b, W_CLOSE_SESSION);
}

int sqlite_session_renew(struct backend *b, uint64_t key)
{
    bind_int(b->stmts[W_RENEW_SESSION], 1, (int64_t)key);
    bind_int(b->stmts[W_RENEW_SESSION], 2, b->now.up_ms);
    return sqlite_run(b, W_RENEW_SESSION);
}

int sqlite_session_renew_all(struct backend *b)
{
    bind_int(b->stmts[W_RENEW_SESSIONS], 1, b->now.up_ms);
    return sqlite_run(b, W_RENEW_SESSIONS);
}

int sqlite_session_leases(struct backend *b, size_t max, struct store_session *out, size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_SESSION_LEASES];
    int step = SQLITE_DONE, rc = sqlite_flush_ends(b);
    *out_n = 0;
    if (rc != 0)
        return rc;
    bind_int(st, 1, (int64_t)max);
    while (*out_n < max && (step = sqlite3_step(st)) == SQLITE_ROW)
        read_row(st, &out[(*out_n)++]);
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_session_end_lease(struct backend *b, uint64_t key, int64_t wall_ms)
{
    bind_int(b->stmts[W_END_LEASE], 1, (int64_t)key);
    bind_int_or_null(b->stmts[W_END_LEASE], 2, wall_ms, 0);
    return sqlite_run(b, W_END_LEASE);
}

int sqlite_session_delete(struct backend *b, int64_t key, struct task_id *out)
{
    sqlite3_stmt *st = b->stmts[W_DELETE_SESSION];
    bind_int(st, 1, key);
    int step = sqlite3_step(st);
    *out = (struct task_id){0};
    if (step == SQLITE_ROW) {
        *out = (struct task_id){(uint64_t)key, (uint64_t)sqlite3_column_int64(st, 0)};
        step = sqlite3_step(st);
    }
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

/* ---- reading: a reader thread ---------------------------------------------------------------- */

static int find_read(struct backend_reader *r, struct task_id id, struct store_session *out)
{
    int step;
    find(r->stmts[R_SESSION], id.hi, out, &step);
    if (step == SQLITE_DONE || (step == SQLITE_ROW && !id_equal(out->id, id)))
        return FUT_ERR_NOT_FOUND;
    return sqlite_rc(r->db, step);
}

int sqlite_session_get(struct backend_reader *r, struct store_session_get *o)
{
    return find_read(r, o->id, &o->session);
}

int sqlite_session_list(struct backend_reader *r, struct store_session_list *o)
{
    sqlite3_stmt *st = r->stmts[R_SESSION_LIST];
    int step;
    bind_int(st, 1, o->before ? (int64_t)o->before : INT64_MAX);
    bind_int(st, 2, (int64_t)o->limit + 1);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && o->n < o->limit)
        read_row(st, &o->sessions[o->n++]);
    (void)sqlite3_reset(st);
    if (step == SQLITE_ROW)
        o->next = o->sessions[o->n - 1].id.hi;
    return sqlite_rc(r->db, step);
}

/* What is over has ended before the ends are read, so none of them is missed. */
int sqlite_session_ends(struct backend_reader *r, struct store_session_ends *o)
{
    sqlite3_stmt *st = r->stmts[R_SESSION_ENDS];
    struct store_session s;
    int step = SQLITE_DONE, rc = find_read(r, o->id, &s);
    if (rc != 0)
        return rc;
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, (int64_t)o->after);
    bind_int(st, 3, (int64_t)o->page.limit);
    while (!o->page.is_full && (step = sqlite3_step(st)) == SQLITE_ROW) {
        sqlite_read_task(r->b, st, true, &o->page.tasks[o->page.n]);
        backend_page_add(&o->page);
    }
    (void)sqlite3_reset(st);
    o->is_finished = s.closed_wall_ms && !s.unfinished && !o->page.is_full;
    return sqlite_rc(r->db, step);
}
