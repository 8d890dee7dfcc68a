/* prune: how futures go: one by one, and by their age. The writer thread alone. */
#include "core/mem.h"
#include "storage/postgres/internal.h"

static int delete_tasks(struct backend *b, const int64_t *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        postgres_forget(b, (uint64_t)keys[i]);
    return n ? postgres_send(&b->c, P_DELETE_TASKS, PG_VALUES(v_ints(keys, n))) : 0;
}

int postgres_remove(struct backend *b, struct task_id id)
{
    PGresult *r;
    int64_t key = (int64_t)id.hi;
    int rc = postgres_ask(&b->c, P_IS_LIVE, PG_VALUES(v_key(id.hi), v_key(id.lo)), &r);
    if (rc != 0)
        return rc;
    bool is_there = PQntuples(r) > 0;
    bool is_live = is_there && postgres_int(r, 0, 0);
    int64_t batch = is_there ? postgres_int(r, 0, 1) : 0;
    PQclear(r);
    if (!is_there || is_live)
        return is_there ? FUT_ERR_STATE : FUT_ERR_NOT_FOUND;
    rc = delete_tasks(b, &key, 1);
    /* A batch goes with the last of its members. */
    if (rc == 0 && batch)
        rc = postgres_send(&b->c, P_DELETE_EMPTY_BATCH, PG_VALUES(v_int(batch)));
    return rc;
}

/* ---- retention --------------------------------------------------------------------------------
 */

static size_t still_may(const struct backend_prune *p)
{
    return p->max - p->n - p->n_kept;
}

struct pruned {
    int64_t gone[BACKEND_PRUNE_MAX], kept[BACKEND_PRUNE_MAX];
    size_t n_gone, n_kept;
};

static bool goes_too(const struct pruned *p, int64_t key)
{
    for (size_t i = 0; i < p->n_gone; i++) {
        if (p->gone[i] == key)
            return true;
    }
    return false;
}

/* The callback of a future or batch that is kept stays, too. */
static void sort_out(const PGresult *r, struct backend_prune *p, struct pruned *to)
{
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t key = postgres_int(r, i, 0), up_ms = postgres_int(r, i, 1);
        bool is_needed = postgres_int(r, i, 3) && !goes_too(to, postgres_int(r, i, 2));
        if (i == 0)
            backend_keep_oldest(p, up_ms);
        if (up_ms > p->until_up_ms)
            return;
        if (is_needed)
            to->kept[to->n_kept++] = key;
        else
            to->gone[to->n_gone++] = key;
    }
}

static int prune_singles(struct backend *b, struct backend_prune *p)
{
    struct pruned found = {.n_gone = 0};
    PGresult *r;
    int rc = postgres_ask(&b->c, P_OLDEST, PG_VALUES(v_int((int64_t)still_may(p))), &r);
    if (rc != 0)
        return rc;
    sort_out(r, p, &found);
    PQclear(r);
    p->n += found.n_gone;
    p->n_kept += found.n_kept;
    rc = delete_tasks(b, found.gone, found.n_gone);
    if (rc == 0 && found.n_kept)
        rc = postgres_send(&b->c, P_KEEP_LONGER,
                           PG_VALUES(v_ints(found.kept, found.n_kept), v_int(b->now.up_ms)));
    return rc;
}

/* *out_key 0: no batch is old enough. */
static int find_old_batch(struct backend *b, struct backend_prune *p, int64_t *out_key)
{
    PGresult *r;
    *out_key = 0;
    int rc = postgres_ask(&b->c, P_OLD_BATCH, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    if (PQntuples(r) > 0) {
        int64_t up_ms = postgres_int(r, 0, 1);
        if (up_ms <= p->until_up_ms)
            *out_key = postgres_int(r, 0, 0);
        backend_keep_oldest(p, up_ms);
    }
    PQclear(r);
    return 0;
}

/* Deletes members until there are none, and then the batch. */
static int prune_batch(struct backend *b, int64_t batch, struct backend_prune *p)
{
    int64_t keys[BACKEND_PRUNE_MAX];
    PGresult *r;
    int64_t want = (int64_t)still_may(p);
    int rc = postgres_ask(&b->c, P_MEMBER_KEYS, PG_VALUES(v_int(batch), v_int(want)), &r);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(r);
    for (size_t i = 0; i < n; i++)
        keys[i] = postgres_int(r, (int)i, 0);
    PQclear(r);
    rc = delete_tasks(b, keys, n);
    p->n += n;
    if (rc != 0 || still_may(p) == 0)
        return rc;
    rc = postgres_ask(&b->c, P_DELETE_BATCH, PG_VALUES(v_int(batch)), &r);
    if (rc != 0)
        return rc;
    if (PQntuples(r) > 0) /* it was a session's */
        p->session = (struct task_id){(uint64_t)batch, postgres_uint(r, 0, 0)};
    PQclear(r);
    return 0;
}

/* What is kept for a time of its own that is over, the oldest. */
struct kept {
    int64_t key; /* 0: there is none */
    bool is_batch;
    int64_t then_up_ms; /* -1: it goes now */
};

static int find_old_kept(struct backend *b, struct backend_prune *p, struct kept *out)
{
    PGresult *r;
    *out = (struct kept){0};
    int rc = postgres_ask(&b->c, P_KEPT_OLDEST, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    if (PQntuples(r) > 0) {
        int64_t until_ms = postgres_int(r, 0, 2);
        if (until_ms <= b->now.up_ms)
            *out = (struct kept){postgres_int(r, 0, 0), postgres_int(r, 0, 1) != 0,
                                 postgres_is_null(r, 0, 3) ? -1 : postgres_int(r, 0, 3)};
        backend_keep_oldest(p, p->until_up_ms + until_ms - b->now.up_ms);
    }
    PQclear(r);
    return 0;
}

static int prune_kept_one(struct backend *b, const struct kept *k, struct backend_prune *p)
{
    if (k->is_batch && k->then_up_ms < 0)
        return prune_batch(b, k->key, p);
    if (!k->is_batch) {
        p->n++;
        return delete_tasks(b, &k->key, 1);
    }
    p->n_kept++;
    return postgres_send(&b->c, P_END_KEPT, PG_VALUES(v_int(k->key), v_int(k->then_up_ms)));
}

static int prune_kept(struct backend *b, struct backend_prune *p)
{
    struct kept k = {.key = 1};
    int rc = 0;
    while (rc == 0 && b->has_kept && k.key && still_may(p) && !p->session.hi) {
        rc = find_old_kept(b, p, &k);
        if (rc == 0 && k.key)
            rc = prune_kept_one(b, &k, p);
    }
    return rc;
}

int postgres_prune(struct backend *b, struct backend_prune *p)
{
    int64_t batch = 1;
    FUT_ASSERT(p->max <= BACKEND_PRUNE_MAX);
    p->n = p->n_kept = 0;
    p->oldest_up_ms = -1;
    p->session = (struct task_id){0};
    int rc = postgres_flush_ends(b);
    if (rc == 0)
        rc = prune_kept(b, p);
    if (rc == 0 && still_may(p))
        rc = prune_singles(b, p);
    while (rc == 0 && still_may(p) && batch && !p->session.hi) {
        rc = find_old_batch(b, p, &batch);
        if (rc == 0 && batch)
            rc = prune_batch(b, batch, p);
    }
    return rc;
}
