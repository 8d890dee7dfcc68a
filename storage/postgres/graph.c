/* graph: which tasks wait for which, and the ends (and other lives) whose consequences are still to
 * be drawn. The methods that take a backend run on the writer thread alone. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

int postgres_find_state(struct backend *b, struct task_id id, enum task_state *out)
{
    PGresult *r;
    int rc = postgres_row(
        postgres_ask(&b->c, P_FIND_STATE, PG_VALUES(v_key(id.hi), v_key(id.lo)), &r), &r);
    if (rc != 0)
        return rc;
    *out = (enum task_state)postgres_int(r, 0, 0);
    PQclear(r);
    return 0;
}

int postgres_put_edge(struct backend *b, const struct backend_edge *e)
{
    return postgres_send(&b->c, P_PUT_EDGE,
                         PG_VALUES(v_key(e->parent.hi), v_key(e->parent.lo), v_key(e->child),
                                   v_int(backend_edge_kind(e)), v_int(e->is_pending)));
}

int postgres_drop_wakes(struct backend *b, uint64_t child)
{
    return postgres_send(&b->c, P_DROP_WAKES,
                         PG_VALUES(v_key(child), v_int(STORE_ON_WAKE | BACKEND_EDGE_WAKE),
                                   v_int(BACKEND_EDGE_WAKE)));
}

static int ask_edges(struct backend *b, enum postgres_stmt stmt,
                     const struct postgres_value *values, size_t n_values, size_t max,
                     struct backend_edge *edges, size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, stmt, values, n_values, &r);
    *out_n = 0;
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(r) < max ? (size_t)PQntuples(r) : max;
    for (size_t i = 0; i < n; i++) {
        int64_t kind = postgres_int(r, (int)i, 3);
        edges[i] = (struct backend_edge){.parent = postgres_id(r, (int)i, 0, 1),
                                         .child = postgres_uint(r, (int)i, 2),
                                         .on = backend_edge_on(kind),
                                         .is_wake = kind & BACKEND_EDGE_WAKE,
                                         .is_pending = postgres_int(r, (int)i, 4) != 0,
                                         .is_unmet = kind & BACKEND_EDGE_UNMET};
    }
    PQclear(r);
    *out_n = n;
    return 0;
}

int postgres_pending_edges(struct backend *b, uint64_t parent, size_t max,
                           struct backend_edge *edges, size_t *out_n)
{
    return ask_edges(b, P_PENDING_EDGES, PG_VALUES(v_key(parent), v_int((int64_t)max)), max, edges,
                     out_n);
}

int postgres_children(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                      struct backend_edge *edges, size_t *out_n)
{
    return ask_edges(b, P_CHILDREN, PG_VALUES(v_key(parent), v_key(after), v_int((int64_t)max)),
                     max, edges, out_n);
}

int postgres_parents(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                     size_t *out_n)
{
    return ask_edges(b, P_PARENTS, PG_VALUES(v_key(child), v_int((int64_t)max)), max, edges, out_n);
}

int postgres_place(struct backend *b, uint64_t key, int64_t *out)
{
    PGresult *r;
    int rc = postgres_row(postgres_ask(&b->c, P_PLACE, PG_VALUES(v_key(key)), &r), &r);
    if (rc != 0)
        return rc;
    *out = postgres_int(r, 0, 0);
    PQclear(r);
    return 0;
}

int postgres_submitted(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                       size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_SUBMITTED,
                          PG_VALUES(v_key(key), v_key(after), v_int((int64_t)max)), &r);
    *out_n = 0;
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(r) < max ? (size_t)PQntuples(r) : max;
    for (size_t i = 0; i < n; i++)
        keys[i] = postgres_uint(r, (int)i, 0);
    PQclear(r);
    *out_n = n;
    return 0;
}

int postgres_set_unmet(struct backend *b, uint64_t child, uint32_t unmet)
{
    return postgres_send(&b->c, P_SET_UNMET, PG_VALUES(v_key(child), v_int(unmet)));
}

int postgres_find_live(struct backend *b, uint64_t key, struct task *out)
{
    PGresult *r;
    int rc = postgres_row(postgres_ask(&b->c, P_FIND_LIVE, PG_VALUES(v_key(key)), &r), &r);
    if (rc != 0)
        return rc;
    postgres_read_live(r, 0, out);
    PQclear(r);
    return 0;
}

int postgres_find_done(struct backend *b, uint64_t key, struct task *out)
{
    PGresult *r;
    int rc = postgres_row(postgres_ask(&b->c, P_FIND_DONE, PG_VALUES(v_key(key)), &r), &r);
    if (rc != 0)
        return rc;
    postgres_read_task(b, r, 0, false, out);
    PQclear(r);
    return 0;
}

int postgres_put_cascade(struct backend *b, const struct backend_cascade *c)
{
    return postgres_send(
        &b->c, P_PUT_CASCADE,
        PG_VALUES(v_key(c->key), v_int(c->kind), v_int(c->state), v_key(c->after)));
}

int postgres_next_cascade(struct backend *b, struct backend_cascade *out)
{
    PGresult *r;
    int rc = postgres_row(postgres_ask(&b->c, P_NEXT_CASCADE, PG_NO_VALUES, &r), &r);
    if (rc != 0)
        return rc;
    *out = (struct backend_cascade){.key = postgres_uint(r, 0, 0),
                                    .kind = (enum backend_cascade_kind)postgres_int(r, 0, 1),
                                    .state = (enum task_state)postgres_int(r, 0, 2),
                                    .after = postgres_uint(r, 0, 3)};
    PQclear(r);
    return 0;
}

int postgres_drop_cascade(struct backend *b, const struct backend_cascade *c)
{
    return postgres_send(&b->c, P_DROP_CASCADE, PG_VALUES(v_key(c->key), v_int(c->kind)));
}

/* ---- reading: a reader thread -----------------------------------------------------------------
 */

int postgres_edges(struct backend_reader *r, struct store_edges *o)
{
    PGresult *rows;
    int64_t *keys = xcalloc(o->n_ids + 1, sizeof(*keys));
    for (size_t i = 0; i < o->n_ids; i++)
        keys[i] = (int64_t)o->ids[i].hi;
    int rc = postgres_read(r, P_EDGES, PG_VALUES(v_ints(keys, o->n_ids)), &rows);
    free(keys);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(rows);
    o->edges = n ? xcalloc(n, sizeof(*o->edges)) : NULL;
    for (; o->n < n; o->n++) {
        int i = (int)o->n;
        o->edges[o->n] =
            (struct store_edge){.parent = postgres_id(rows, i, 1, 2),
                                .child = (size_t)postgres_int(rows, i, 0) - 1,
                                .on = backend_edge_on(postgres_int(rows, i, 3)),
                                .is_wake = postgres_int(rows, i, 3) & BACKEND_EDGE_WAKE,
                                .is_pending = postgres_int(rows, i, 4) != 0};
    }
    PQclear(rows);
    return 0;
}
