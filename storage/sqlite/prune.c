/* prune: how what is done goes, in small steps. The writer thread alone. */
#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* A result that is old, and of a callback what it tells of. */
struct old {
    int64_t key, after;
};

/* Is it the callback of a future or a batch that is kept? */
static int look_whether_needed(struct backend *b, const struct old *old, bool *out)
{
    sqlite3_stmt *st = b->stmts[W_IS_NEEDED];
    *out = false;
    if (!old->after)
        return 0;
    bind_int(st, 1, old->key);
    bind_int(st, 2, old->after);
    int step = sqlite3_step(st);
    *out = step == SQLITE_ROW;
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

static int keep_longer(struct backend *b, int64_t key)
{
    bind_int(b->stmts[W_KEEP_LONGER], 2, b->now.up_ms);
    return sqlite_run_with_key(b, W_KEEP_LONGER, key);
}

static int prune_one(struct backend *b, const struct old *old, struct backend_prune *p)
{
    bool is_needed;
    int rc = look_whether_needed(b, old, &is_needed);
    if (rc != 0)
        return rc;
    if (is_needed)
        p->n_kept++;
    else
        p->n++;
    return is_needed ? keep_longer(b, old->key) : sqlite_delete_task(b, old->key);
}

static int prune_singles(struct backend *b, struct backend_prune *p)
{
    sqlite3_stmt *st = b->stmts[W_OLDEST];
    struct old old[BACKEND_PRUNE_MAX];
    size_t n = 0;
    int step;
    bind_int(st, 1, (int64_t)(p->max - p->n - p->n_kept));
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        int64_t up_ms = sqlite3_column_int64(st, 1);
        if (n == 0)
            backend_keep_oldest(p, up_ms);
        if (up_ms > p->until_up_ms)
            break;
        old[n++] = (struct old){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 2)};
    }
    (void)sqlite3_reset(st);
    int rc = sqlite_noted_rc(b, step);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = prune_one(b, &old[i], p);
    return rc;
}

/* *out_key 0: no batch is old enough. */
static int find_old_batch(struct backend *b, struct backend_prune *p, int64_t *out_key)
{
    sqlite3_stmt *st = b->stmts[W_OLD_BATCH];
    int step = sqlite3_step(st);
    *out_key = 0;
    if (step == SQLITE_ROW) {
        int64_t up_ms = sqlite3_column_int64(st, 1);
        if (up_ms <= p->until_up_ms)
            *out_key = sqlite3_column_int64(st, 0);
        backend_keep_oldest(p, up_ms);
    }
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

/* Deletes members until there are none, and then the batch. */
static int prune_batch(struct backend *b, int64_t batch, struct backend_prune *p)
{
    sqlite3_stmt *st = b->stmts[W_MEMBERS];
    int64_t keys[BACKEND_PRUNE_MAX];
    size_t n = 0;
    int step;
    bind_int(st, 1, batch);
    bind_int(st, 2, (int64_t)(p->max - p->n - p->n_kept));
    while ((step = sqlite3_step(st)) == SQLITE_ROW)
        keys[n++] = sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    int rc = sqlite_noted_rc(b, step);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = sqlite_delete_task(b, keys[i]);
    p->n += n;
    if (rc != 0 || p->n + p->n_kept == p->max)
        return rc;
    rc = sqlite_run_with_key(b, W_DELETE_BATCH, batch);
    if (rc == 0)
        rc = sqlite_drop_kept(b, batch);
    if (rc == 0)
        rc = sqlite_session_delete(b, batch, &p->session);
    return rc == 0 ? sqlite_run_with_key(b, W_DELETE_KEYS, batch) : rc;
}

/* What is kept for a time of its own that is over, the oldest. */
struct kept {
    int64_t key; /* 0: there is none */
    bool is_batch;
    int64_t then_up_ms; /* -1: it goes now */
};

static int find_old_kept(struct backend *b, struct backend_prune *p, struct kept *out)
{
    sqlite3_stmt *st = b->stmts[W_KEPT_OLDEST];
    int step = sqlite3_step(st);
    *out = (struct kept){0};
    if (step == SQLITE_ROW) {
        int64_t until_ms = sqlite3_column_int64(st, 2);
        if (until_ms <= b->now.up_ms)
            *out = (struct kept){
                sqlite3_column_int64(st, 0), sqlite3_column_int(st, 1) != 0,
                sqlite3_column_type(st, 3) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 3)};
        backend_keep_oldest(p, p->until_up_ms + until_ms - b->now.up_ms);
    }
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

static int prune_kept_one(struct backend *b, const struct kept *k, struct backend_prune *p)
{
    if (k->is_batch && k->then_up_ms < 0)
        return prune_batch(b, k->key, p);
    if (!k->is_batch) {
        p->n++;
        return sqlite_delete_task(b, k->key);
    }
    p->n_kept++;
    int rc = sqlite_set_ended(b, k->key, k->then_up_ms);
    return rc == 0 ? sqlite_drop_kept(b, k->key) : rc;
}

static int prune_kept(struct backend *b, struct backend_prune *p)
{
    struct kept k = {.key = 1};
    int rc = 0;
    while (rc == 0 && b->has_kept && k.key && p->n + p->n_kept < p->max && !p->session.hi) {
        rc = find_old_kept(b, p, &k);
        if (rc == 0 && k.key)
            rc = prune_kept_one(b, &k, p);
    }
    return rc;
}

int sqlite_prune(struct backend *b, struct backend_prune *p)
{
    int64_t batch = 1;
    FUT_ASSERT(p->max <= BACKEND_PRUNE_MAX);
    p->n = p->n_kept = 0;
    p->oldest_up_ms = -1;
    p->session = (struct task_id){0};
    int rc = sqlite_flush_ends(b);
    if (rc == 0)
        rc = prune_kept(b, p);
    if (rc == 0 && p->n + p->n_kept < p->max)
        rc = prune_singles(b, p);
    while (rc == 0 && p->n + p->n_kept < p->max && batch && !p->session.hi) {
        rc = find_old_batch(b, p, &batch);
        if (rc == 0 && batch)
            rc = prune_batch(b, batch, p);
    }
    return rc;
}
