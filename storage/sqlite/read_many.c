/* read_many: what the reader threads ask about many futures at once, and logs. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

static int read_brief(struct backend_reader *r, struct task_id id, struct store_brief *out)
{
    sqlite3_stmt *st = r->stmts[R_BRIEF];
    bind_int(st, 1, (int64_t)id.hi);
    bind_int(st, 2, (int64_t)id.lo);
    int step = sqlite3_step(st);
    *out = (struct store_brief){.found = step == SQLITE_ROW};
    if (out->found) {
        bool done = sqlite3_column_type(st, 1) != SQLITE_NULL;
        out->state = (enum task_state)sqlite3_column_int(st, done ? 1 : 0);
        out->seq = (uint64_t)sqlite3_column_int64(st, 2);
    }
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

/* Many reads are one transaction: each begin and end asks the system for locks. */
static int begin(struct backend_reader *r)
{
    int step = sqlite3_step(r->stmts[R_BEGIN]);
    (void)sqlite3_reset(r->stmts[R_BEGIN]);
    return sqlite_rc(r->db, step);
}

/* rc: what became of the reads; after some errors SQLite has ended the transaction itself. */
static int end(struct backend_reader *r, int rc)
{
    if (sqlite3_get_autocommit(r->db))
        return rc;
    int step = sqlite3_step(r->stmts[R_COMMIT]);
    (void)sqlite3_reset(r->stmts[R_COMMIT]);
    return rc != 0 ? rc : sqlite_rc(r->db, step);
}

int sqlite_get_many(struct backend_reader *r, struct store_get_many *o)
{
    int rc = begin(r);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < o->n; i++)
        rc = read_brief(r, o->ids[i], &o->briefs[i]);
    return end(r, rc);
}

int sqlite_get_several(struct backend_reader *r, struct store_get_several *o)
{
    int rc = begin(r);
    return rc != 0 ? rc : end(r, backend_get_several(sqlite_get, r, o));
}

static int read_counts(struct backend_reader *r, struct store_batch *batch, uint64_t *out_n)
{
    sqlite3_stmt *st = r->stmts[R_BATCH_COUNTS];
    int step;
    bind_int(st, 1, (int64_t)batch->id.hi);
    *out_n = 0;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        int64_t finished = sqlite3_column_int64(st, 2);
        uint64_t n = (uint64_t)sqlite3_column_int64(st, 1);
        batch->counts[sqlite3_column_int(st, 0)] = n;
        *out_n += n;
        if (finished > batch->finished_wall_ms)
            batch->finished_wall_ms = finished;
    }
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

int sqlite_batch_get(struct backend_reader *r, struct store_batch_get *o)
{
    sqlite3_stmt *st = r->stmts[R_BATCH];
    bool may_be_empty = false;
    uint64_t n;
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, (int64_t)o->id.lo);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        may_be_empty = sqlite3_column_int(st, 10) != 0; /* it is a session */
        o->batch = (struct store_batch){
            .id = o->id,
            .created_wall_ms = sqlite3_column_int64(st, 0),
            .total = (uint32_t)sqlite3_column_int64(st, 1),
            .fail_fast = sqlite3_column_int(st, 2) != 0,
            .cancelling = sqlite3_column_type(st, 3) != SQLITE_NULL,
            .callback = {(uint64_t)sqlite3_column_int64(st, 4),
                         (uint64_t)sqlite3_column_int64(st, 5)},
            .then = {(uint64_t)sqlite3_column_int64(st, 6), (uint64_t)sqlite3_column_int64(st, 7)},
            .parent = {(uint64_t)sqlite3_column_int64(st, 8),
                       (uint64_t)sqlite3_column_int64(st, 9)},
        };
    }
    (void)sqlite3_reset(st);
    if (step != SQLITE_ROW)
        return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_rc(r->db, step);
    int rc = read_counts(r, &o->batch, &n);
    return rc == 0 && n == 0 && !may_be_empty ? FUT_ERR_NOT_FOUND : rc;
}

/* failed and cancelled are NULL in batches of before they were counted. */
static void read_batch_row(sqlite3_stmt *st, struct store_batch_row *out)
{
    uint64_t total = (uint64_t)sqlite3_column_int64(st, 3),
             unfinished = (uint64_t)sqlite3_column_int64(st, 8),
             failed = (uint64_t)sqlite3_column_int64(st, 9),
             cancelled = (uint64_t)sqlite3_column_int64(st, 10);
    *out =
        (struct store_batch_row){.batch = {.id = {(uint64_t)sqlite3_column_int64(st, 0),
                                                  (uint64_t)sqlite3_column_int64(st, 1)},
                                           .created_wall_ms = sqlite3_column_int64(st, 2),
                                           .total = (uint32_t)total,
                                           .fail_fast = sqlite3_column_int(st, 4) != 0,
                                           .cancelling = sqlite3_column_type(st, 5) != SQLITE_NULL,
                                           .parent = {(uint64_t)sqlite3_column_int64(st, 6),
                                                      (uint64_t)sqlite3_column_int64(st, 7)}},
                                 .unfinished = unfinished};
    backend_count_batch(out, failed, cancelled);
}

int sqlite_batch_list(struct backend_reader *r, struct store_batch_list *o)
{
    sqlite3_stmt *st = r->stmts[R_BATCH_LIST];
    int step;
    bind_int(st, 1, o->before ? (int64_t)o->before : INT64_MAX);
    bind_int(st, 2, (int64_t)o->limit + 1);
    bind_int(st, 3, o->which);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && o->n < o->limit)
        read_batch_row(st, &o->rows[o->n++]);
    (void)sqlite3_reset(st);
    if (step == SQLITE_ROW)
        o->next = o->rows[o->n - 1].batch.id.hi;
    return sqlite_rc(r->db, step);
}

int sqlite_members(struct backend_reader *r, struct store_members *o)
{
    sqlite3_stmt *st = r->stmts[R_MEMBERS];
    int step = SQLITE_DONE;
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, (int64_t)o->id.lo);
    bind_int(st, 3, o->from);
    bind_int(st, 4, (int64_t)o->page.limit);
    while (!o->page.is_full && (step = sqlite3_step(st)) == SQLITE_ROW) {
        sqlite_read_task(r->b, st, o->with_body, &o->page.tasks[o->page.n]);
        backend_page_add(&o->page);
    }
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

int sqlite_log(struct backend_reader *r, struct store_log *o)
{
    sqlite3_stmt *st = r->stmts[R_LOG];
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, (int64_t)o->id.lo);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        bool unknown = sqlite3_column_type(st, 1) == SQLITE_NULL;
        const char *message = column_text(st, 2);
        const void *kept = sqlite3_column_blob(st, 4);
        o->state = (enum task_state)sqlite3_column_int(st, 0);
        o->reported = (struct store_reported){
            .progress = unknown ? -1 : sqlite3_column_double(st, 1),
            .message = message ? xstrdup(message) : NULL,
            .log_end = (uint64_t)sqlite3_column_int64(st, 3),
        };
        backend_copy_log(o, kept, (size_t)sqlite3_column_bytes(st, 4));
    }
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_rc(r->db, step);
}
