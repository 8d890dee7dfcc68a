/* bulk: operations on many futures: their rows, and how they look for what they mean; and failures
 * in groups. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

/* In the order in which statements give a bulk. */
enum bulk_column {
    B_KEY,
    B_LO,
    B_KIND,
    B_IS_DRY,
    B_FILTER,
    B_BY,
    B_CREATED,
    B_FINISHED,
    B_IS_STOPPED,
    B_NEXT,
    B_SEEN,
    B_MATCHED,
    B_CHANGED,
    B_REFUSED,
    B_UNFINISHED /* P_BULK_NEXT alone: how many are */
};

static int read_bulk(const PGresult *r, int row, struct store_bulk *out)
{
    struct store_bulk b = {
        .id = postgres_id(r, row, B_KEY, B_LO),
        .kind = (enum store_bulk_kind)postgres_int(r, row, B_KIND),
        .is_dry = postgres_int(r, row, B_IS_DRY) != 0,
        .is_stopped = postgres_int(r, row, B_IS_STOPPED) != 0,
        .created_wall_ms = postgres_int(r, row, B_CREATED),
        .finished_wall_ms = postgres_int(r, row, B_FINISHED),
        .next = postgres_uint(r, row, B_NEXT),
        .seen = postgres_uint(r, row, B_SEEN),
        .matched = postgres_uint(r, row, B_MATCHED),
        .changed = postgres_uint(r, row, B_CHANGED),
        .refused = postgres_uint(r, row, B_REFUSED),
    };
    (void)snprintf(b.by, sizeof(b.by), "%s", postgres_text(r, row, B_BY));
    if (b.kind >= STORE_BULK_KINDS ||
        task_filter_read(postgres_text(r, row, B_FILTER), &b.filter) != 0)
        return FUT_ERR_DAMAGED;
    *out = b;
    return 0;
}

/* Reads the one row of a result and frees it. */
static int read_one(PGresult *r, struct store_bulk *out)
{
    int rc = PQntuples(r) > 0 ? read_bulk(r, 0, out) : FUT_ERR_NOT_FOUND;
    PQclear(r);
    return rc;
}

/* ---- the writer -------------------------------------------------------------------------------
 */

int postgres_bulk_put(struct backend *b, const struct store_bulk *bulk)
{
    struct buf filter = BUF_INIT;
    task_filter_write(&filter, &bulk->filter);
    int rc = postgres_send(
        &b->c, P_BULK_PUT,
        PG_VALUES(v_key(bulk->id.hi), v_key(bulk->id.lo), v_int(bulk->kind), v_int(bulk->is_dry),
                  v_text(filter.len ? filter.data : ""), v_text(bulk->by),
                  v_int(bulk->created_wall_ms), v_int_or_null(bulk->finished_wall_ms, 0),
                  v_int(bulk->is_stopped), v_key(bulk->next), v_key(bulk->seen),
                  v_key(bulk->matched), v_key(bulk->changed), v_key(bulk->refused)));
    buf_release(&filter);
    if (rc != 0 || !bulk->finished_wall_ms)
        return rc;
    return postgres_send(&b->c, P_BULK_TRIM, PG_VALUES(v_int(STORE_BULKS_KEPT)));
}

int postgres_bulk_next(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_BULK_NEXT, PG_VALUES(v_key(after)), &r);
    if (rc != 0)
        return rc;
    *out_n = PQntuples(r) > 0 ? (size_t)postgres_int(r, 0, B_UNFINISHED) : 0;
    return read_one(r, out);
}

int postgres_bulk_find(struct backend *b, struct task_id id, struct store_bulk *out)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_BULK_FIND, PG_VALUES(v_key(id.hi), v_key(id.lo)), &r);
    return rc == 0 ? read_one(r, out) : rc;
}

/* The table that has all states that the kind changes; a retry concerns what has a code. */
static enum postgres_stmt driving_table(enum store_bulk_kind kind, const struct task_filter *f)
{
    static const enum postgres_stmt tables[STORE_BULK_KINDS] = {
        [STORE_BULK_CANCEL] = P_SCAN_LIVE,
        [STORE_BULK_RETRY] = P_SCAN_CODE_WHOLE,
        [STORE_BULK_DELETE] = P_SCAN_DONE,
    };
    enum postgres_stmt by = postgres_scan_by(f, kind == STORE_BULK_RETRY);
    return by == P_COUNT ? tables[kind] : by;
}

static bool take_wanted(void *ctx, struct task *t)
{
    struct backend_scan *scan = ctx;
    scan->seen++;
    scan->next = t->spec->id.hi;
    if (backend_bulk_wants(scan->bulk, t))
        scan->tasks[scan->n++] = *t;
    else
        task_release(t);
    return scan->n < scan->max;
}

int postgres_bulk_scan(struct backend *b, struct backend_scan *scan)
{
    const struct task_filter *f = &scan->bulk->filter;
    struct postgres_walk w = {.stmt = driving_table(scan->bulk->kind, f),
                              .filter = f,
                              .is_whole = scan->bulk->kind == STORE_BULK_RETRY,
                              .before = scan->before,
                              .look = scan->look,
                              .step = scan->max > 64 ? scan->max : 64,
                              .fn = take_wanted,
                              .ctx = scan};
    scan->next = 0;
    int rc = postgres_scan(&b->c, b, &w);
    if (w.is_end)
        scan->next = 0;
    return rc;
}

/* ---- readers ----------------------------------------------------------------------------------
 */

static bool add_failure(void *ctx, struct task *t)
{
    backend_add_failure(ctx, t);
    task_release(t);
    return true;
}

#define FAILURES_STEP 1000

int postgres_failures(struct backend_reader *r, struct store_failures *o)
{
    struct postgres_walk w = {.stmt = P_SCAN_CODE,
                              .filter = &o->filter,
                              .before = INT64_MAX,
                              .look = STORE_FAILURES_SCAN,
                              .step = FAILURES_STEP,
                              .fn = add_failure,
                              .ctx = o};
    int rc = postgres_read_walk(r, &w);
    o->is_all = o->is_all && w.is_end;
    return rc;
}

int postgres_bulk_get(struct backend_reader *r, struct store_bulk_get *o)
{
    PGresult *row;
    int rc = postgres_read(r, P_BULK_FIND, PG_VALUES(v_key(o->id.hi), v_key(o->id.lo)), &row);
    return rc == 0 ? read_one(row, &o->bulk) : rc;
}

int postgres_bulk_list(struct backend_reader *r, struct store_bulk_list *o)
{
    const size_t max = STORE_BULKS_MAX + STORE_BULKS_KEPT;
    PGresult *rows;
    int rc = postgres_read(r, P_BULKS, PG_VALUES(v_int((int64_t)max)), &rows);
    if (rc != 0)
        return rc;
    o->bulks = xcalloc(max, sizeof(*o->bulks));
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++) {
        rc = read_bulk(rows, i, &o->bulks[o->n]);
        o->n += rc == 0;
    }
    PQclear(rows);
    return rc;
}
