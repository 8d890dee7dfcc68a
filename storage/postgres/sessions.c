/* sessions: sessions for the writer and for the readers. Their tasks are members of a batch with
 * the same key, whose row counts them. */
#include <stdio.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

static void read_row(PGresult *rows, int i, struct store_session *out)
{
    *out = (struct store_session){
        .id = {postgres_uint(rows, i, 0), postgres_uint(rows, i, 1)},
        .created_wall_ms = postgres_int(rows, i, 3),
        .closed_wall_ms = postgres_int(rows, i, 4),
        .total = (uint32_t)postgres_int(rows, i, 5),
        .unfinished = postgres_uint(rows, i, 6),
        .has_init = postgres_int(rows, i, 7) != 0,
        .max_tasks = (uint32_t)postgres_int(rows, i, 8),
        .on_disconnect = (enum store_on_disconnect)postgres_int(rows, i, 10),
        .grace_ms = postgres_int(rows, i, 11),
        .lease_up_ms = PQgetisnull(rows, i, 12) ? STORE_NO_LEASE : postgres_int(rows, i, 12),
        .disconnected_wall_ms = postgres_int(rows, i, 13)};
    const char *handler = postgres_text(rows, i, 2), *broken = postgres_text(rows, i, 9);
    (void)snprintf(out->handler, sizeof(out->handler), "%s", handler ? handler : "");
    (void)snprintf(out->broken, sizeof(out->broken), "%s", broken ? broken : "");
}

/* Reads the row of a result, if there is one, and frees the result. */
static int read_session(PGresult *r, struct store_session *out)
{
    int rc = PQntuples(r) > 0 ? 0 : FUT_ERR_NOT_FOUND;
    if (rc == 0)
        read_row(r, 0, out);
    PQclear(r);
    return rc;
}

/* ---- writing: the writer thread ---------------------------------------------------------------
 */

int postgres_session_put(struct backend *b, const struct store_session *s,
                         const struct task_init *init)
{
    PGresult *r;
    struct postgres_value body = init ? v_bytes(init->body, init->len) : v_bytes_or_null(NULL, 0);
    int rc = postgres_ask(
        &b->c, P_PUT_SESSION,
        PG_VALUES(v_key(s->id.hi), v_key(s->id.lo), v_text(s->handler), v_int(s->created_wall_ms),
                  v_int(b->now.up_ms), v_text(init ? init->type : NULL), body,
                  v_int_or_null(s->max_tasks, 0), v_int(s->on_disconnect),
                  v_int_or_null(s->grace_ms, 0), v_int_or_null(s->lease_up_ms, STORE_NO_LEASE)),
        &r);
    if (rc != 0)
        return rc;
    rc = postgres_int(r, 0, 0) ? 0 : FUT_ERR_EXISTS;
    PQclear(r);
    (void)postgres_is_new_key(b, s->id.hi);
    return rc;
}

int postgres_session_find(struct backend *b, uint64_t key, struct store_session *out)
{
    PGresult *r;
    int rc = postgres_flush_ends(b);
    if (rc == 0)
        rc = postgres_ask(&b->c, P_FIND_SESSION, PG_VALUES(v_key(key)), &r);
    return rc == 0 ? read_session(r, out) : rc;
}

int postgres_session_init(struct backend *b, uint64_t key, struct task_init **out)
{
    PGresult *r;
    *out = NULL;
    int rc = postgres_ask(&b->c, P_SESSION_INIT, PG_VALUES(v_key(key)), &r);
    if (rc != 0)
        return rc;
    if (PQntuples(r) > 0) {
        *out = task_init_new(&(struct task_init){.session = {key, postgres_uint(r, 0, 0)},
                                                 .max_tasks = (uint32_t)postgres_int(r, 0, 3),
                                                 .type = postgres_text(r, 0, 1),
                                                 .body = (const void *)postgres_text(r, 0, 2),
                                                 .len = (size_t)PQgetlength(r, 0, 2),
                                                 .broken = postgres_text(r, 0, 4)});
    }
    PQclear(r);
    return 0;
}

int postgres_session_break(struct backend *b, uint64_t key, const char *why)
{
    return postgres_send(&b->c, P_BREAK_SESSION, PG_VALUES(v_key(key), v_text(why)));
}

int postgres_session_add(struct backend *b, uint64_t key, uint32_t n)
{
    int rc = postgres_drop_kept(b, key);
    return rc == 0 ? postgres_send(&b->c, P_ADD_TO_SESSION, PG_VALUES(v_key(key), v_int(n))) : rc;
}

int postgres_session_close(struct backend *b, uint64_t key, int64_t now_wall_ms)
{
    return postgres_send(&b->c, P_CLOSE_SESSION, PG_VALUES(v_key(key), v_int(now_wall_ms)));
}

int postgres_session_renew(struct backend *b, uint64_t key)
{
    return postgres_send(&b->c, P_RENEW_SESSION, PG_VALUES(v_key(key), v_int(b->now.up_ms)));
}

int postgres_session_renew_all(struct backend *b)
{
    return postgres_send(&b->c, P_RENEW_SESSIONS, PG_VALUES(v_int(b->now.up_ms)));
}

int postgres_session_leases(struct backend *b, size_t max, struct store_session *out, size_t *out_n)
{
    PGresult *rows;
    int rc = postgres_flush_ends(b);
    *out_n = 0;
    if (rc == 0)
        rc = postgres_ask(&b->c, P_SESSION_LEASES, PG_VALUES(v_int((int64_t)max)), &rows);
    if (rc != 0)
        return rc;
    for (; *out_n < (size_t)PQntuples(rows) && *out_n < max; (*out_n)++)
        read_row(rows, (int)*out_n, &out[*out_n]);
    PQclear(rows);
    return 0;
}

int postgres_session_end_lease(struct backend *b, uint64_t key, int64_t wall_ms)
{
    return postgres_send(&b->c, P_END_LEASE, PG_VALUES(v_key(key), v_int_or_null(wall_ms, 0)));
}

/* ---- reading: a reader thread -----------------------------------------------------------------
 */

int postgres_session_get(struct backend_reader *r, struct store_session_get *o)
{
    PGresult *row;
    int rc = postgres_read(r, P_FIND_SESSION, PG_VALUES(v_key(o->id.hi)), &row);
    if (rc == 0)
        rc = read_session(row, &o->session);
    return rc == 0 && !id_equal(o->session.id, o->id) ? FUT_ERR_NOT_FOUND : rc;
}

int postgres_session_list(struct backend_reader *r, struct store_session_list *o)
{
    PGresult *rows;
    uint64_t before = o->before ? o->before : INT64_MAX;
    int rc = postgres_read(r, P_SESSION_LIST,
                           PG_VALUES(v_key(before), v_int((int64_t)o->limit + 1)), &rows);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(rows);
    for (; o->n < n && o->n < o->limit; o->n++)
        read_row(rows, (int)o->n, &o->sessions[o->n]);
    if (n > o->limit)
        o->next = o->sessions[o->n - 1].id.hi;
    PQclear(rows);
    return 0;
}

/* What is over has ended before the ends are read, so none of them is missed. */
int postgres_session_ends(struct backend_reader *r, struct store_session_ends *o)
{
    struct store_session_get get = {.id = o->id};
    struct store_page *p = &o->page;
    uint64_t after = o->after;
    bool is_last = false;
    int rc = postgres_session_get(r, &get);
    while (rc == 0 && !p->is_full && !is_last) {
        int64_t want = postgres_page_step(p, true);
        rc = postgres_read_page(r, P_SESSION_ENDS,
                                PG_VALUES(v_key(o->id.hi), v_key(after), v_int(want)), p, true,
                                &is_last);
        after = p->n ? p->tasks[p->n - 1].seq : after;
    }
    o->is_finished = get.session.closed_wall_ms && !get.session.unfinished && !p->is_full;
    return rc;
}
