/* batch: batches as the writer sees them, and the keys: unique ones and those of idempotency. The
 * writer thread alone.
 *
 * batches.unfinished counts the members that are not done, failed and cancelled how others ended.
 * Ends of members are gathered in the backend and written once per transaction and batch. What else
 * a batch has come to is counted when somebody asks. */
#include <string.h>

#include "storage/sqlite/internal.h"

/* ---- batches --------------------------------------------------------------------------------- */

int sqlite_batch_put(struct backend *b, const struct store_batch *batch)
{
    sqlite3_stmt *st = b->stmts[W_PUT_BATCH];
    bind_int(st, 1, (int64_t)batch->id.hi);
    bind_int(st, 2, (int64_t)batch->id.lo);
    bind_int(st, 3, batch->created_wall_ms);
    bind_int(st, 4, batch->total);
    bind_int(st, 5, batch->fail_fast);
    bind_int_or_null(st, 6, (int64_t)batch->callback.hi, 0);
    bind_int_or_null(st, 7, batch->callback.hi ? (int64_t)batch->callback.lo : 0, 0);
    bind_int_or_null(st, 8, (int64_t)batch->then.hi, 0);
    bind_int_or_null(st, 9, batch->then.hi ? (int64_t)batch->then.lo : 0, 0);
    bind_int_or_null(st, 10, (int64_t)batch->parent.hi, 0);
    bind_int_or_null(st, 11, batch->parent.hi ? (int64_t)batch->parent.lo : 0, 0);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return step == SQLITE_CONSTRAINT ? FUT_ERR_EXISTS : sqlite_noted_rc(b, step);
}

/* The search for members to cancel begins again: some may be unfinished by now that were not. */
static void restart_search(struct backend *b, uint64_t key)
{
    if (b->cancel_key == (int64_t)key)
        b->cancel_pos = 0;
}

int sqlite_batch_failed(struct backend *b, uint64_t key, bool *out_cancel)
{
    restart_search(b, key);
    bind_int(b->stmts[W_FAIL_BATCH], 1, (int64_t)key);
    int rc = sqlite_run(b, W_FAIL_BATCH);
    *out_cancel = rc == 0 && sqlite3_changes(b->db) > 0;
    return rc;
}

int sqlite_batch_cancel(struct backend *b, struct task_id id, bool spares_running)
{
    restart_search(b, id.hi);
    bind_int(b->stmts[W_CANCEL_BATCH], 1, (int64_t)id.hi);
    bind_int(b->stmts[W_CANCEL_BATCH], 2, (int64_t)id.lo);
    bind_int(b->stmts[W_CANCEL_BATCH], 3, spares_running);
    int rc = sqlite_run(b, W_CANCEL_BATCH);
    return rc == 0 && sqlite3_changes(b->db) == 0 ? FUT_ERR_NOT_FOUND : rc;
}

int sqlite_flush_ends(struct backend *b)
{
    sqlite3_stmt *st = b->stmts[W_END_MEMBERS];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->ends.n; i++) {
        bind_int(st, 1, b->ends.items[i].batch);
        bind_int(st, 2, b->ends.items[i].n);
        bind_int(st, 3, b->now.up_ms);
        bind_int(st, 4, b->ends.items[i].failed);
        bind_int(st, 5, b->ends.items[i].cancelled);
        bind_int(st, 6, b->ends.items[i].keeps_default);
        rc = sqlite_keep_members(b, &b->ends.items[i]);
        if (rc == 0)
            rc = sqlite_run(b, W_END_MEMBERS);
        if (rc == 0)
            rc = sqlite_keep_batch(b, b->ends.items[i].batch);
    }
    b->ends.n = 0;
    return rc;
}

int sqlite_end_member(struct backend *b, const struct task *t)
{
    if (backend_ends_add(&b->ends, t))
        return 0;
    int rc = sqlite_flush_ends(b);
    if (rc == 0)
        FUT_MUST(backend_ends_add(&b->ends, t));
    return rc;
}

int sqlite_return_member(struct backend *b, struct task_id batch, enum task_state state)
{
    sqlite3_stmt *st = b->stmts[W_RETURN_MEMBER];
    int rc = sqlite_flush_ends(b);
    if (rc == 0)
        rc = sqlite_drop_kept(b, (int64_t)batch.hi);
    bind_int(st, 1, (int64_t)batch.hi);
    bind_int(st, 2, state == TASK_FAILED);
    bind_int(st, 3, state == TASK_CANCELLED);
    return rc == 0 ? sqlite_run(b, W_RETURN_MEMBER) : rc;
}

static void read_ends(sqlite3_stmt *st, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished)
{
    *out = (struct store_batch){
        .id = {key, (uint64_t)sqlite3_column_int64(st, 0)},
        .total = (uint32_t)sqlite3_column_int64(st, 1),
        .callback = {(uint64_t)sqlite3_column_int64(st, 5), (uint64_t)sqlite3_column_int64(st, 6)},
    };
    *out_unfinished = (uint64_t)sqlite3_column_int64(st, 2);
    out->counts[TASK_FAILED] = (uint64_t)sqlite3_column_int64(st, 3);
    out->counts[TASK_CANCELLED] = (uint64_t)sqlite3_column_int64(st, 4);
    out->counts[TASK_SUCCEEDED] =
        out->total - *out_unfinished - out->counts[TASK_FAILED] - out->counts[TASK_CANCELLED];
}

int sqlite_batch_ends(struct backend *b, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished)
{
    sqlite3_stmt *st = b->stmts[W_BATCH_ENDS];
    int rc = sqlite_flush_ends(b);
    if (rc != 0)
        return rc;
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        read_ends(st, key, out, out_unfinished);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_batch_set_callback(struct backend *b, uint64_t key, struct task_id callback)
{
    sqlite3_stmt *st = b->stmts[W_SET_BATCH_CALLBACK];
    bind_int(st, 1, (int64_t)key);
    bind_int(st, 2, (int64_t)callback.hi);
    bind_int(st, 3, (int64_t)callback.lo);
    return sqlite_run(b, W_SET_BATCH_CALLBACK);
}

/* The batch that is being cancelled; 0: none. */
static int find_cancelling(struct backend *b, int64_t *out_key, bool *out_spares)
{
    sqlite3_stmt *st = b->stmts[W_CANCELLING];
    int step = sqlite3_step(st);
    *out_key = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    *out_spares = step == SQLITE_ROW && sqlite3_column_int(st, 1);
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

#define LOOK_MAX 2000 /* members that one step looks at */

/* The member of this row, if it is to be cancelled. */
static void take_member(sqlite3_stmt *st, bool spares_running, struct task *tasks, size_t *n)
{
    if (sqlite3_column_type(st, SPEC_COLUMN_COUNT) == SQLITE_NULL)
        return;
    sqlite_read_live(st, &tasks[*n]);
    if (spares_running && tasks[*n].state == TASK_RUNNING)
        task_release(&tasks[*n]);
    else
        (*n)++;
}

/* Goes on from where the last step has stopped, as many members may be done already. */
int sqlite_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                            bool *out_more)
{
    sqlite3_stmt *st = b->stmts[W_UNFINISHED];
    int64_t key;
    size_t n = 0, looked = 0;
    int step = SQLITE_ROW;
    bool spares_running;
    *out_n = 0;
    int rc = find_cancelling(b, &key, &spares_running);
    *out_more = rc == 0 && key != 0;
    if (!*out_more)
        return rc;
    if (b->cancel_key != key) {
        b->cancel_key = key;
        b->cancel_pos = 0;
    }
    bind_int(st, 1, key);
    bind_int(st, 2, b->cancel_pos);
    while (n < max && looked < LOOK_MAX && (step = sqlite3_step(st)) == SQLITE_ROW) {
        looked++;
        b->cancel_pos = sqlite3_column_int64(st, SQLITE_MEMBER_POS) + 1;
        take_member(st, spares_running, tasks, &n);
    }
    (void)sqlite3_reset(st);
    rc = sqlite_noted_rc(b, step);
    *out_n = n;
    if (rc != 0 || step == SQLITE_ROW)
        return rc;
    b->cancel_key = 0;
    bind_int(b->stmts[W_CANCELLED], 1, key);
    return sqlite_run(b, W_CANCELLED);
}

/* ---- keys ------------------------------------------------------------------------------------ */

int sqlite_find_unique(struct backend *b, const char *unique, struct task_id *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_UNIQUE];
    bind_text(st, 1, unique);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = (struct task_id){(uint64_t)sqlite3_column_int64(st, 0),
                                (uint64_t)sqlite3_column_int64(st, 1)};
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_find_key(struct backend *b, const char *key, struct backend_key *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_KEY];
    bind_text(st, 1, key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        *out = (struct backend_key){
            .id = {(uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1)}};
        if (sqlite3_column_bytes(st, 2) == STORE_FINGERPRINT_SIZE)
            memcpy(out->fingerprint, sqlite3_column_blob(st, 2), STORE_FINGERPRINT_SIZE);
    }
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_put_key(struct backend *b, const struct store_key *key, struct task_id id)
{
    sqlite3_stmt *st = b->stmts[W_PUT_KEY];
    bind_text(st, 1, key->key);
    bind_blob(st, 2, key->fingerprint, sizeof(key->fingerprint));
    bind_int(st, 3, (int64_t)id.hi);
    bind_int(st, 4, (int64_t)id.lo);
    bind_int(st, 5, b->now.wall_ms);
    return sqlite_run(b, W_PUT_KEY);
}
