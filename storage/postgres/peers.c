/* peers: what a transaction hears of the other nodes and tells them (engine/news.c), which nodes
 * there are, and the tasks of those that are no more. The writer thread alone. */
#include <stdio.h>

#include "core/log.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

/* ---- news ------------------------------------------------------------------------------------ */

#define HAS_CHECKPOINTS 1
#define HAS_KEPT 2

/* The first byte is this file's, the rest the engine's. */
static int hear_one(struct backend *b, const PGresult *r, int row, backend_news_fn *fn, void *ctx)
{
    const char *body = PQgetvalue(r, row, 4);
    size_t len = postgres_len(r, row, 4);
    int64_t number = postgres_int(r, row, 0);
    if (len == 0 || number != atomic_load(&b->seen) + 1)
        return FUT_ERR_READ_ONLY;
    b->news++;
    b->has_kept = b->has_kept || body[0] & HAS_KEPT;
    if (body[0] & HAS_CHECKPOINTS)
        atomic_store(&b->has_checkpoints, true);
    atomic_store(&b->seen, number);
    return fn(ctx, body + 1, len - 1);
}

/* The row without news tells of the nodes. */
static int hear_nodes(struct backend *b, const PGresult *r, int row, bool *out_leads,
                      bool *out_is_draining)
{
    b->has_peers = postgres_int(r, row, 1) > 1;
    *out_leads = postgres_int(r, row, 2) == b->boot;
    *out_is_draining = postgres_int(r, row, 5) != 0;
    if (postgres_int(r, row, 3) != 0)
        return 0;
    b->broken = true;
    return FUT_ERR_READ_ONLY;
}

int postgres_hear(struct backend *b, backend_news_fn *fn, void *ctx, bool *out_leads,
                  bool *out_is_draining)
{
    PGresult *r;
    if (postgres_turn_is_kept(b)) {
        *out_leads = true;
        *out_is_draining = b->is_draining;
        return 0;
    }
    int rc =
        postgres_ask(&b->c, P_NEWS, PG_VALUES(v_int(b->boot), v_int(atomic_load(&b->seen))), &r);
    atomic_store(&b->turn_mono_ms, 0);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < PQntuples(r); i++)
        rc = postgres_is_null(r, i, 4) ? hear_nodes(b, r, i, out_leads, out_is_draining)
                                       : hear_one(b, r, i, fn, ctx);
    PQclear(r);
    b->is_draining = *out_is_draining;
    return rc == 0 ? postgres_turn_keep(b) : rc;
}

bool postgres_has_peers(const struct backend *b)
{
    return b->has_peers;
}

int postgres_tell(struct backend *b, const void *bytes, size_t len)
{
    bool has_checkpoints = atomic_load(&b->has_checkpoints);
    char flags = (char)((has_checkpoints ? HAS_CHECKPOINTS : 0) | (b->has_kept ? HAS_KEPT : 0));
    struct buf body = BUF_INIT;
    if (!b->c.has_written)
        return 0;
    buf_putc(&body, flags);
    buf_put(&body, bytes, len);
    int rc = postgres_send(
        &b->c, P_TELL, PG_VALUES(v_int(atomic_load(&b->seen) + 1), v_bytes(body.data, body.len)));
    buf_release(&body);
    b->is_told = rc == 0;
    return rc;
}

void postgres_peers_told(struct backend *b)
{
    if (!b->is_told)
        return;
    b->is_told = false;
    (void)atomic_fetch_add(&b->seen, 1);
    postgres_node_call_soon(b);
}

void postgres_forget_of(struct backend *b, int64_t line, uint64_t key)
{
    if (line)
        postgres_mark_put(b, line, BACKEND_PLACE_KEPT);
    if (key)
        postgres_forget(b, key);
    if (!line && !key)
        b->cancel_key = 0;
}

/* ---- all nodes ------------------------------------------------------------------------------- */

static char *copy_text(const PGresult *r, int row, int column)
{
    const char *text = postgres_text(r, row, column);
    return text ? xstrdup(text) : NULL;
}

static struct store_node read_node(const struct backend *b, const PGresult *r, int row)
{
    struct store_node n = {.number = postgres_int(r, row, 0),
                           .is_live = postgres_int(r, row, 2) != 0,
                           .is_draining = postgres_int(r, row, 3) != 0,
                           .is_busy = postgres_int(r, row, 4) != 0,
                           .seen_wall_ms = postgres_int(r, row, 5),
                           .info = copy_text(r, row, 6),
                           .load = copy_text(r, row, 7)};
    (void)snprintf(n.name, sizeof(n.name), "%s", postgres_text(r, row, 1));
    n.is_self = n.number == b->boot;
    n.until_wall_ms = n.is_live ? n.seen_wall_ms + POSTGRES_LEASE_MS : 0;
    return n;
}

int postgres_nodes(struct backend *b, struct store_node_list *o)
{
    PGresult *r;
    int rc =
        postgres_ask(&b->c, P_NODES, PG_VALUES(v_int(TASK_RUNNING), v_int(STORE_NODE_GONE_MS)), &r);
    if (rc != 0)
        return rc;
    o->nodes = xcalloc((size_t)PQntuples(r) + 1, sizeof(*o->nodes));
    for (int i = 0; i < PQntuples(r); i++)
        o->nodes[o->n++] = read_node(b, r, i);
    PQclear(r);
    return 0;
}

int postgres_queue_nodes(struct backend *b, backend_queue_node_fn *fn, void *ctx)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_QUEUE_NODES, PG_VALUES(v_int(TASK_RUNNING)), &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++)
        fn(ctx, postgres_text(r, i, 0), postgres_text(r, i, 1), (enum lane)postgres_int(r, i, 2),
           (uint64_t)postgres_int(r, i, 3));
    PQclear(r);
    return 0;
}

/* Another node looks when it is called, with what its transaction hears. */
int postgres_node_drain(struct backend *b, const char *name, bool drains)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_DRAIN, PG_VALUES(v_text(name), v_int(drains)), &r);
    if (rc != 0)
        return rc;
    rc = PQntuples(r) == 1 ? 0 : FUT_ERR_NOT_FOUND;
    PQclear(r);
    b->asks_anyway = true; /* whether that is it */
    return rc;
}

/* ---- nodes that are no more ------------------------------------------------------------------ */

static int expire(struct backend *b)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_EXPIRE, PG_VALUES(v_int(b->boot), v_int(POSTGRES_LEASE_MS)), &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++)
        log_warn("node_given_up", LOG_STR("node", postgres_text(r, i, 1)));
    PQclear(r);
    return 0;
}

int postgres_abandoned(struct backend *b, size_t max, struct task *tasks, size_t *out_n)
{
    PGresult *r;
    *out_n = 0;
    if (!atomic_exchange(&b->has_abandoned, false))
        return 0;
    int rc = expire(b);
    if (rc == 0)
        rc = postgres_ask(&b->c, P_ABANDONED, PG_VALUES(v_int(TASK_RUNNING), v_int((int64_t)max)),
                          &r);
    if (rc == 0)
        postgres_read_lives(r, max, tasks, out_n);
    if (rc != 0 || *out_n == max) /* again, soon */
        atomic_store(&b->has_abandoned, true);
    return rc;
}

void postgres_peers_failed(struct backend *b)
{
    if (b->has_peers)
        atomic_store(&b->has_abandoned, true);
}
