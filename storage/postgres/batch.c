/* batch: batches, and the keys: unique ones and those of idempotency. The methods that take a
 * backend run on the writer thread alone.
 *
 * batches.unfinished counts the members that are not done, failed and cancelled how others ended.
 * Ends of members are gathered in the backend and written once per transaction and batch. */
#include "core/mem.h"
#include "storage/postgres/internal.h"

/* ---- batches ----------------------------------------------------------------------------------
 */

static struct postgres_value hi_of(struct task_id id)
{
    return v_int_or_null((int64_t)id.hi, 0);
}

static struct postgres_value lo_of(struct task_id id)
{
    return id.hi ? v_int((int64_t)id.lo) : v_int_or_null(0, 0);
}

int postgres_batch_put(struct backend *b, const struct store_batch *batch)
{
    PGresult *r;
    bool is_new = postgres_is_new_key(b, batch->id.hi);
    const struct postgres_value values[] = {
        v_key(batch->id.hi),    v_key(batch->id.lo),     v_int(batch->created_wall_ms),
        v_int(batch->total),    v_int(batch->fail_fast), hi_of(batch->callback),
        lo_of(batch->callback), hi_of(batch->then),      lo_of(batch->then),
        hi_of(batch->parent),   lo_of(batch->parent),    v_int(!is_new)};
    if (is_new)
        return postgres_send(&b->c, P_PUT_BATCH, values, FUT_COUNT(values));
    int rc = postgres_ask(&b->c, P_PUT_BATCH, values, FUT_COUNT(values), &r);
    if (rc != 0)
        return rc;
    rc = postgres_int(r, 0, 0) ? 0 : FUT_ERR_EXISTS;
    PQclear(r);
    return rc;
}

/* The search for members to cancel begins again: some may be unfinished by now that were not. */
static void restart_search(struct backend *b, uint64_t key)
{
    if (b->cancel_key == (int64_t)key)
        b->cancel_pos = 0;
}

/* Does the statement give a row? */
static int ask_whether(struct backend *b, enum postgres_stmt stmt,
                       const struct postgres_value *values, size_t n, bool *out)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, stmt, values, n, &r);
    *out = false;
    if (rc != 0)
        return rc;
    *out = PQntuples(r) > 0;
    PQclear(r);
    return 0;
}

int postgres_batch_failed(struct backend *b, uint64_t key, bool *out_cancel)
{
    restart_search(b, key);
    return ask_whether(b, P_FAIL_BATCH, PG_VALUES(v_key(key)), out_cancel);
}

int postgres_batch_cancel(struct backend *b, struct task_id id, bool spares_running)
{
    bool is_there;
    restart_search(b, id.hi);
    int rc = ask_whether(b, P_CANCEL_BATCH,
                         PG_VALUES(v_key(id.hi), v_key(id.lo), v_int(spares_running)), &is_there);
    return rc == 0 && !is_there ? FUT_ERR_NOT_FOUND : rc;
}

static int flush_one(struct backend *b, const struct backend_end *e)
{
    b->has_kept = b->has_kept || e->keep_ms;
    int rc =
        postgres_send(&b->c, P_END_MEMBERS,
                      PG_VALUES(v_int(e->batch), v_int(e->n), v_int(b->now.up_ms), v_int(e->failed),
                                v_int(e->cancelled), v_int(e->keeps_default), v_int(e->keep_ms)));
    if (rc == 0 && b->has_kept)
        rc = postgres_send(&b->c, P_KEEP_BATCH, PG_VALUES(v_int(e->batch)));
    return rc;
}

int postgres_flush_ends(struct backend *b)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->ends.n; i++)
        rc = flush_one(b, &b->ends.items[i]);
    b->ends.n = 0;
    return rc;
}

int postgres_end_member(struct backend *b, const struct task *t)
{
    if (backend_ends_add(&b->ends, t))
        return 0;
    int rc = postgres_flush_ends(b);
    if (rc == 0)
        FUT_MUST(backend_ends_add(&b->ends, t));
    return rc;
}

int postgres_return_member(struct backend *b, struct task_id batch, enum task_state state)
{
    int rc = postgres_flush_ends(b);
    if (rc == 0)
        rc = postgres_drop_kept(b, batch.hi);
    if (rc != 0)
        return rc;
    return postgres_send(
        &b->c, P_RETURN_MEMBER,
        PG_VALUES(v_key(batch.hi), v_int(state == TASK_FAILED), v_int(state == TASK_CANCELLED)));
}

static void read_ends(const PGresult *r, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished)
{
    *out = (struct store_batch){.id = {key, postgres_uint(r, 0, 0)},
                                .total = (uint32_t)postgres_int(r, 0, 1),
                                .callback = postgres_id(r, 0, 5, 6)};
    *out_unfinished = postgres_uint(r, 0, 2);
    out->counts[TASK_FAILED] = postgres_uint(r, 0, 3);
    out->counts[TASK_CANCELLED] = postgres_uint(r, 0, 4);
    out->counts[TASK_SUCCEEDED] =
        out->total - *out_unfinished - out->counts[TASK_FAILED] - out->counts[TASK_CANCELLED];
}

int postgres_batch_ends(struct backend *b, uint64_t key, struct store_batch *out,
                        uint64_t *out_unfinished)
{
    PGresult *r;
    int rc = postgres_flush_ends(b);
    if (rc == 0)
        rc = postgres_row(postgres_ask(&b->c, P_BATCH_ENDS, PG_VALUES(v_key(key)), &r), &r);
    if (rc != 0)
        return rc;
    read_ends(r, key, out, out_unfinished);
    PQclear(r);
    return 0;
}

int postgres_batch_set_callback(struct backend *b, uint64_t key, struct task_id callback)
{
    return postgres_send(&b->c, P_SET_BATCH_CALLBACK,
                         PG_VALUES(v_key(key), v_key(callback.hi), v_key(callback.lo)));
}

/* The batch that is being cancelled; 0: none. */
static int find_cancelling(struct backend *b, int64_t *out_key, bool *out_spares)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_CANCELLING, PG_NO_VALUES, &r);
    *out_key = 0;
    if (rc != 0)
        return rc;
    *out_key = PQntuples(r) > 0 ? postgres_int(r, 0, 0) : 0;
    *out_spares = PQntuples(r) > 0 && postgres_int(r, 0, 1);
    PQclear(r);
    return 0;
}

#define LOOK_MAX 2000 /* members that one step looks at */

/* The places that one step looks at: up to *out_to, `*out_n` members. */
static int find_window(struct backend *b, int64_t key, int64_t *out_to, int64_t *out_n)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_WINDOW,
                          PG_VALUES(v_int(key), v_int(b->cancel_pos), v_int(LOOK_MAX)), &r);
    if (rc != 0)
        return rc;
    *out_to = postgres_int(r, 0, 0);
    *out_n = postgres_int(r, 0, 1);
    PQclear(r);
    return 0;
}

/* Goes on from where the last step has stopped, as many members may be done already. */
int postgres_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                              bool *out_more)
{
    int64_t key, to = 0, looked = 0;
    bool spares_running;
    PGresult *r;
    *out_n = 0;
    int rc = find_cancelling(b, &key, &spares_running);
    *out_more = rc == 0 && key != 0;
    if (!*out_more)
        return rc;
    if (b->cancel_key != key) {
        b->cancel_key = key;
        b->cancel_pos = 0;
    }
    rc = find_window(b, key, &to, &looked);
    if (rc == 0)
        rc = postgres_ask(&b->c, P_UNFINISHED,
                          PG_VALUES(v_int(key), v_int(b->cancel_pos), v_int(looked ? to : -1),
                                    v_int((int64_t)max), v_int(spares_running ? TASK_RUNNING : -1)),
                          &r);
    if (rc != 0)
        return rc;
    postgres_read_lives(r, max, tasks, out_n);
    bool is_full = *out_n == max;
    b->cancel_pos = is_full ? (int64_t)tasks[max - 1].spec->batch_pos + 1 : to + 1;
    if (is_full || looked == LOOK_MAX)
        return 0;
    b->cancel_key = 0;
    return postgres_send(&b->c, P_CANCELLED, PG_VALUES(v_int(key)));
}

/* ---- keys -------------------------------------------------------------------------------------
 */

int postgres_find_unique(struct backend *b, const char *unique, struct task_id *out)
{
    PGresult *r;
    int rc =
        postgres_row(postgres_ask(&b->c, P_FIND_UNIQUE, PG_VALUES(v_key_text(unique)), &r), &r);
    if (rc != 0)
        return rc;
    *out = postgres_id(r, 0, 0, 1);
    PQclear(r);
    return 0;
}

int postgres_find_key(struct backend *b, const char *key, struct backend_key *out)
{
    PGresult *r;
    int rc = postgres_row(postgres_ask(&b->c, P_FIND_KEY, PG_VALUES(v_key_text(key)), &r), &r);
    if (rc != 0)
        return rc;
    *out = (struct backend_key){.id = postgres_id(r, 0, 0, 1)};
    if (postgres_len(r, 0, 2) == STORE_FINGERPRINT_SIZE)
        memcpy(out->fingerprint, PQgetvalue(r, 0, 2), STORE_FINGERPRINT_SIZE);
    PQclear(r);
    return 0;
}

int postgres_put_key(struct backend *b, const struct store_key *key, struct task_id id)
{
    return postgres_send(&b->c, P_PUT_KEY,
                         PG_VALUES(v_key_text(key->key),
                                   v_bytes(key->fingerprint, sizeof(key->fingerprint)),
                                   v_key(id.hi), v_key(id.lo), v_int(b->now.wall_ms)));
}

/* ---- reading: a reader thread -----------------------------------------------------------------
 */

static int read_counts(struct backend_reader *r, struct store_batch *batch, uint64_t *out_n)
{
    PGresult *rows;
    int rc = postgres_read(r, P_BATCH_COUNTS, PG_VALUES(v_key(batch->id.hi)), &rows);
    *out_n = 0;
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(rows); i++) {
        uint64_t n = postgres_uint(rows, i, 1);
        int64_t finished = postgres_int(rows, i, 2);
        batch->counts[postgres_int(rows, i, 0)] = n;
        *out_n += n;
        if (finished > batch->finished_wall_ms)
            batch->finished_wall_ms = finished;
    }
    PQclear(rows);
    return 0;
}

int postgres_batch_get(struct backend_reader *r, struct store_batch_get *o)
{
    PGresult *row;
    uint64_t n;
    int rc = postgres_row(
        postgres_read(r, P_BATCH, PG_VALUES(v_key(o->id.hi), v_key(o->id.lo)), &row), &row);
    if (rc != 0)
        return rc;
    o->batch = (struct store_batch){.id = o->id,
                                    .created_wall_ms = postgres_int(row, 0, 0),
                                    .total = (uint32_t)postgres_int(row, 0, 1),
                                    .fail_fast = postgres_int(row, 0, 2) != 0,
                                    .cancelling = postgres_int(row, 0, 3) != 0,
                                    .callback = postgres_id(row, 0, 4, 5),
                                    .then = postgres_id(row, 0, 6, 7),
                                    .parent = postgres_id(row, 0, 8, 9)};
    bool may_be_empty = postgres_int(row, 0, 10) != 0; /* it is a session */
    PQclear(row);
    rc = read_counts(r, &o->batch, &n);
    return rc == 0 && n == 0 && !may_be_empty ? FUT_ERR_NOT_FOUND : rc;
}

static void read_row(PGresult *rows, int i, struct store_batch_row *out)
{
    *out = (struct store_batch_row){.batch = {.id = postgres_id(rows, i, 0, 1),
                                              .created_wall_ms = postgres_int(rows, i, 2),
                                              .total = (uint32_t)postgres_int(rows, i, 3),
                                              .fail_fast = postgres_int(rows, i, 4) != 0,
                                              .cancelling = postgres_int(rows, i, 5) != 0,
                                              .parent = postgres_id(rows, i, 6, 7)},
                                    .unfinished = postgres_uint(rows, i, 8)};
    backend_count_batch(out, postgres_uint(rows, i, 9), postgres_uint(rows, i, 10));
}

int postgres_batch_list(struct backend_reader *r, struct store_batch_list *o)
{
    PGresult *rows;
    uint64_t before = o->before ? o->before : INT64_MAX;
    int rc = postgres_read(
        r, P_BATCH_LIST,
        PG_VALUES(v_key(before), v_int((int64_t)o->limit + 1), v_int((int64_t)o->which)), &rows);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(rows);
    for (; o->n < n && o->n < o->limit; o->n++)
        read_row(rows, (int)o->n, &o->rows[o->n]);
    if (n > o->limit)
        o->next = o->rows[o->n - 1].batch.id.hi;
    PQclear(rows);
    return 0;
}

int postgres_members(struct backend_reader *r, struct store_members *o)
{
    struct store_page *p = &o->page;
    uint32_t from = o->from;
    bool is_last = false;
    int rc = 0;
    while (rc == 0 && !p->is_full && !is_last) {
        int64_t want = postgres_page_step(p, o->with_body);
        rc = postgres_read_page(
            r, P_MEMBERS, PG_VALUES(v_key(o->id.hi), v_key(o->id.lo), v_int(from), v_int(want)), p,
            o->with_body, &is_last);
        from = p->n ? p->tasks[p->n - 1].spec->batch_pos + 1 : from;
    }
    return rc;
}
