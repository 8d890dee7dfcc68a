/* edges: which tasks wait for which, and the ends (and other lives) whose consequences are still to
 * be drawn. A task's parents are counted down in its live row. The writer thread alone. */
#include "core/mem.h"
#include "storage/sqlite/internal.h"

int sqlite_find_state(struct backend *b, struct task_id id, enum task_state *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_STATE];
    bind_int(st, 1, (int64_t)id.hi);
    bind_int(st, 2, (int64_t)id.lo);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = (enum task_state)sqlite3_column_int(st, 0);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_put_edge(struct backend *b, const struct backend_edge *e)
{
    sqlite3_stmt *st = b->stmts[W_PUT_EDGE];
    bind_int(st, 1, (int64_t)e->parent.hi);
    bind_int(st, 2, (int64_t)e->parent.lo);
    bind_int(st, 3, (int64_t)e->child);
    bind_int(st, 4, backend_edge_kind(e));
    bind_int(st, 5, e->is_pending);
    return sqlite_run(b, W_PUT_EDGE);
}

int sqlite_drop_wakes(struct backend *b, uint64_t child)
{
    bind_int(b->stmts[W_DROP_WAKES], 1, (int64_t)child);
    bind_int(b->stmts[W_DROP_WAKES], 2, STORE_ON_WAKE | BACKEND_EDGE_WAKE);
    bind_int(b->stmts[W_END_WAKES], 1, (int64_t)child);
    bind_int(b->stmts[W_END_WAKES], 2, BACKEND_EDGE_WAKE);
    int rc = sqlite_run(b, W_DROP_WAKES);
    return rc == 0 ? sqlite_run(b, W_END_WAKES) : rc;
}

/* Rows of parent, its lo, child, on, is_pending. */
static int read_edges(struct backend *b, sqlite3_stmt *st, size_t max, struct backend_edge *edges,
                      size_t *out_n)
{
    size_t n = 0;
    int step = SQLITE_ROW;
    while (n < max && (step = sqlite3_step(st)) == SQLITE_ROW) {
        edges[n++] = (struct backend_edge){
            .parent = {(uint64_t)sqlite3_column_int64(st, 0),
                       (uint64_t)sqlite3_column_int64(st, 1)},
            .child = (uint64_t)sqlite3_column_int64(st, 2),
            .on = backend_edge_on(sqlite3_column_int(st, 3)),
            .is_pending = sqlite3_column_int(st, 4) != 0,
            .is_unmet = sqlite3_column_int(st, 3) & BACKEND_EDGE_UNMET,
            .is_wake = sqlite3_column_int(st, 3) & BACKEND_EDGE_WAKE,
        };
    }
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_noted_rc(b, step);
}

int sqlite_pending_edges(struct backend *b, uint64_t parent, size_t max, struct backend_edge *edges,
                         size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_PENDING_EDGES];
    bind_int(st, 1, (int64_t)parent);
    bind_int(st, 2, (int64_t)max);
    return read_edges(b, st, max, edges, out_n);
}

int sqlite_children(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                    struct backend_edge *edges, size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_CHILDREN];
    bind_int(st, 1, (int64_t)parent);
    bind_int(st, 2, (int64_t)after);
    bind_int(st, 3, (int64_t)max);
    return read_edges(b, st, max, edges, out_n);
}

int sqlite_parents(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                   size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_PARENTS];
    bind_int(st, 1, (int64_t)child);
    bind_int(st, 2, (int64_t)max);
    return read_edges(b, st, max, edges, out_n);
}

int sqlite_place(struct backend *b, uint64_t key, int64_t *out)
{
    sqlite3_stmt *st = b->stmts[W_PLACE];
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_submitted(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                     size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_SUBMITTED];
    size_t n = 0;
    int step = SQLITE_ROW;
    bind_int(st, 1, (int64_t)key);
    bind_int(st, 2, (int64_t)after);
    bind_int(st, 3, (int64_t)max);
    while (n < max && (step = sqlite3_step(st)) == SQLITE_ROW)
        keys[n++] = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_noted_rc(b, step);
}

int sqlite_set_unmet(struct backend *b, uint64_t child, uint32_t unmet)
{
    bind_int(b->stmts[W_SET_UNMET], 1, (int64_t)child);
    bind_int(b->stmts[W_SET_UNMET], 2, unmet);
    return sqlite_run(b, W_SET_UNMET);
}

int sqlite_find_live(struct backend *b, uint64_t key, struct task *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_LIVE];
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        sqlite_read_live(st, out);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_find_done(struct backend *b, uint64_t key, struct task *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_DONE];
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        sqlite_read_task(b, st, false, out);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_put_cascade(struct backend *b, const struct backend_cascade *c)
{
    sqlite3_stmt *st = b->stmts[W_PUT_CASCADE];
    bind_int(st, 1, (int64_t)c->key);
    bind_int(st, 2, c->kind);
    bind_int(st, 3, c->state);
    bind_int(st, 4, (int64_t)c->after);
    return sqlite_run(b, W_PUT_CASCADE);
}

int sqlite_next_cascade(struct backend *b, struct backend_cascade *out)
{
    sqlite3_stmt *st = b->stmts[W_NEXT_CASCADE];
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out =
            (struct backend_cascade){.key = (uint64_t)sqlite3_column_int64(st, 0),
                                     .kind = (enum backend_cascade_kind)sqlite3_column_int(st, 1),
                                     .state = (enum task_state)sqlite3_column_int(st, 2),
                                     .after = (uint64_t)sqlite3_column_int64(st, 3)};
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_drop_cascade(struct backend *b, const struct backend_cascade *c)
{
    bind_int(b->stmts[W_DROP_CASCADE], 1, (int64_t)c->key);
    bind_int(b->stmts[W_DROP_CASCADE], 2, c->kind);
    return sqlite_run(b, W_DROP_CASCADE);
}

/* ---- reading: a reader thread ---------------------------------------------------------------- */

static void add_edge(struct store_edges *o, size_t *cap, const struct store_edge *e)
{
    if (o->n == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        o->edges = xrealloc(o->edges, *cap * sizeof(*o->edges));
    }
    o->edges[o->n++] = *e;
}

int sqlite_edges(struct backend_reader *r, struct store_edges *o)
{
    sqlite3_stmt *st = r->stmts[R_EDGES];
    size_t cap = 0;
    int step = SQLITE_DONE;
    for (size_t i = 0; i < o->n_ids && step == SQLITE_DONE; i++) {
        bind_int(st, 1, (int64_t)o->ids[i].hi);
        while ((step = sqlite3_step(st)) == SQLITE_ROW)
            add_edge(o, &cap,
                     &(struct store_edge){.parent = {(uint64_t)sqlite3_column_int64(st, 0),
                                                     (uint64_t)sqlite3_column_int64(st, 1)},
                                          .child = i,
                                          .on = backend_edge_on(sqlite3_column_int(st, 2)),
                                          .is_wake = sqlite3_column_int(st, 2) & BACKEND_EDGE_WAKE,
                                          .is_pending = sqlite3_column_int(st, 3) != 0});
        (void)sqlite3_reset(st);
    }
    return sqlite_rc(r->db, step);
}
