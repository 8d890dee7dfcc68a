/* bulk: operations on many futures: their rows, and how they look for what they mean; and failures
 * in groups. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* In the order of BULK_COLUMNS. */
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
    B_REFUSED
};

static int read_bulk(sqlite3_stmt *st, struct store_bulk *out)
{
    struct store_bulk b = {
        .id = {(uint64_t)sqlite3_column_int64(st, B_KEY), (uint64_t)sqlite3_column_int64(st, B_LO)},
        .kind = (enum store_bulk_kind)sqlite3_column_int(st, B_KIND),
        .is_dry = sqlite3_column_int(st, B_IS_DRY) != 0,
        .is_stopped = sqlite3_column_int(st, B_IS_STOPPED) != 0,
        .created_wall_ms = sqlite3_column_int64(st, B_CREATED),
        .finished_wall_ms = sqlite3_column_int64(st, B_FINISHED),
        .next = (uint64_t)sqlite3_column_int64(st, B_NEXT),
        .seen = (uint64_t)sqlite3_column_int64(st, B_SEEN),
        .matched = (uint64_t)sqlite3_column_int64(st, B_MATCHED),
        .changed = (uint64_t)sqlite3_column_int64(st, B_CHANGED),
        .refused = (uint64_t)sqlite3_column_int64(st, B_REFUSED),
    };
    (void)snprintf(b.by, sizeof(b.by), "%s", column_text(st, B_BY));
    if (b.kind >= STORE_BULK_KINDS || task_filter_read(column_text(st, B_FILTER), &b.filter) != 0)
        return FUT_ERR_DAMAGED;
    *out = b;
    return 0;
}

/* Reads the one row of a bound statement and resets it. */
static int read_one(sqlite3 *db, sqlite3_stmt *st, struct store_bulk *out)
{
    int step = sqlite3_step(st);
    int rc = step == SQLITE_ROW    ? read_bulk(st, out)
             : step == SQLITE_DONE ? FUT_ERR_NOT_FOUND
                                   : sqlite_rc(db, step);
    (void)sqlite3_reset(st);
    return rc;
}

static void bind_id(sqlite3_stmt *st, struct task_id id)
{
    bind_int(st, 1, (int64_t)id.hi);
    bind_int(st, 2, (int64_t)id.lo);
}

/* ---- the writer -------------------------------------------------------------------------------
 */

int sqlite_bulk_put(struct backend *b, const struct store_bulk *bulk)
{
    sqlite3_stmt *st = b->stmts[W_BULK_PUT];
    struct buf filter = BUF_INIT;
    task_filter_write(&filter, &bulk->filter);
    bind_id(st, bulk->id);
    bind_int(st, 1 + B_KIND, bulk->kind);
    bind_int(st, 1 + B_IS_DRY, bulk->is_dry);
    bind_text(st, 1 + B_FILTER, filter.len ? filter.data : "");
    bind_text(st, 1 + B_BY, bulk->by);
    bind_int(st, 1 + B_CREATED, bulk->created_wall_ms);
    bind_int_or_null(st, 1 + B_FINISHED, bulk->finished_wall_ms, 0);
    bind_int(st, 1 + B_IS_STOPPED, bulk->is_stopped);
    bind_int(st, 1 + B_NEXT, (int64_t)bulk->next);
    bind_int(st, 1 + B_SEEN, (int64_t)bulk->seen);
    bind_int(st, 1 + B_MATCHED, (int64_t)bulk->matched);
    bind_int(st, 1 + B_CHANGED, (int64_t)bulk->changed);
    bind_int(st, 1 + B_REFUSED, (int64_t)bulk->refused);
    int rc = sqlite_run(b, W_BULK_PUT);
    buf_release(&filter);
    if (rc != 0 || !bulk->finished_wall_ms)
        return rc;
    bind_int(b->stmts[W_BULK_TRIM], 1, STORE_BULKS_KEPT);
    return sqlite_run(b, W_BULK_TRIM);
}

int sqlite_bulk_next(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n)
{
    sqlite3_stmt *count = b->stmts[W_BULK_COUNT], *next = b->stmts[W_BULK_NEXT];
    int step = sqlite3_step(count);
    if (step == SQLITE_ROW)
        *out_n = (size_t)sqlite3_column_int64(count, 0);
    (void)sqlite3_reset(count);
    if (step != SQLITE_ROW)
        return sqlite_noted_rc(b, step);
    bind_int(next, 1, (int64_t)after);
    return read_one(b->db, next, out);
}

int sqlite_bulk_find(struct backend *b, struct task_id id, struct store_bulk *out)
{
    bind_id(b->stmts[W_BULK_FIND], id);
    return read_one(b->db, b->stmts[W_BULK_FIND], out);
}

/* The table that has all states that the kind changes; a retry concerns what has a code. */
static enum write_stmt driving_table(enum store_bulk_kind kind, const struct task_filter *f)
{
    static const enum write_stmt tables[STORE_BULK_KINDS] = {
        [STORE_BULK_CANCEL] = W_BULK_SCAN_LIVE,
        [STORE_BULK_RETRY] = W_BULK_SCAN_CODE,
        [STORE_BULK_DELETE] = W_BULK_SCAN_DONE,
    };
    enum sqlite_filter_index index = sqlite_filter_index(f);
    return index == SQLITE_BY_PARENT     ? W_BULK_SCAN_PARENT
           : index == SQLITE_BY_SCHEDULE ? W_BULK_SCAN_SCHEDULE
           : index == SQLITE_BY_QUEUE    ? W_BULK_SCAN_QUEUE
                                         : tables[kind];
}

int sqlite_bulk_scan(struct backend *b, struct backend_scan *scan)
{
    enum store_bulk_kind kind = scan->bulk->kind;
    sqlite3_stmt *st = b->stmts[driving_table(kind, &scan->bulk->filter)];
    int step = SQLITE_ROW;
    sqlite_bind_filter(st, 4, &scan->bulk->filter);
    bind_int(st, 1, (int64_t)scan->before);
    bind_int(st, 2, (int64_t)task_filter_lowest(&scan->bulk->filter));
    bind_int(st, 3, (int64_t)scan->look);
    scan->next = 0;
    while (scan->n < scan->max && (step = sqlite3_step(st)) == SQLITE_ROW) {
        struct task *t = &scan->tasks[scan->n];
        sqlite_read_task(b, st, kind == STORE_BULK_RETRY, t);
        scan->seen++;
        scan->next = t->spec->id.hi;
        if (backend_bulk_wants(scan->bulk, t))
            scan->n++;
        else
            task_release(t);
    }
    (void)sqlite3_reset(st);
    if (step == SQLITE_DONE && scan->seen < scan->look)
        scan->next = 0;
    return sqlite_noted_rc(b, step);
}

/* ---- readers ----------------------------------------------------------------------------------
 */

int sqlite_failures(struct backend_reader *r, struct store_failures *o)
{
    sqlite3_stmt *st = r->stmts[R_FAILURES];
    int step;
    bind_int(st, 1, (int64_t)task_filter_lowest(&o->filter));
    bind_int(st, 2, STORE_FAILURES_SCAN + 1);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && o->seen < STORE_FAILURES_SCAN) {
        struct task t;
        sqlite_read_task(r->b, st, false, &t);
        backend_add_failure(o, &t);
        task_release(&t);
    }
    o->is_all = o->is_all && step == SQLITE_DONE;
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

int sqlite_bulk_get(struct backend_reader *r, struct store_bulk_get *o)
{
    bind_id(r->stmts[R_BULK], o->id);
    return read_one(r->db, r->stmts[R_BULK], &o->bulk);
}

int sqlite_bulk_list(struct backend_reader *r, struct store_bulk_list *o)
{
    sqlite3_stmt *st = r->stmts[R_BULKS];
    const size_t max = STORE_BULKS_MAX + STORE_BULKS_KEPT;
    int step, rc = 0;
    bind_int(st, 1, (int64_t)max);
    o->bulks = xcalloc(max, sizeof(*o->bulks));
    while ((step = sqlite3_step(st)) == SQLITE_ROW && rc == 0 && o->n < max) {
        rc = read_bulk(st, &o->bulks[o->n]);
        o->n += rc == 0;
    }
    (void)sqlite3_reset(st);
    return rc ? rc : sqlite_rc(r->db, step);
}
