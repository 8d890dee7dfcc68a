/* backend: the PostgreSQL backend: one writing connection, one reading connection per reader, and a
 * lock of the session that refuses a second daemon. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

#define SIZE_US 10000000

/* Nested loops by indexes, whatever the statistics of tables say that were empty a moment ago. */
static const char settings[] =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    "SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan;"
    /* A node that stands still in its turn keeps all others waiting. */
    "SET idle_in_transaction_session_timeout = 3000; SET lock_timeout = 8000;"
    /* The session of a daemon that has died ends while it waits for its turn, where the server's
     * machine can tell. */
    "DO $$ BEGIN PERFORM set_config('client_connection_check_interval', '500', false);"
    " EXCEPTION WHEN OTHERS THEN NULL; END $$";

static void backend_close(struct backend *b)
{
    postgres_node_end(b);
    postgres_ahead_clear(b);
    postgres_disconnect(&b->c);
    postgres_pending_end(b);
    free(b->c.sent);
    free(b->node);
    free(b->url);
    free(b);
}

static int ask_whether(struct backend *b, enum postgres_stmt stmt, bool *out,
                       struct fut_errbuf *err)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, stmt, PG_NO_VALUES, &r);
    if (rc != 0)
        return fut_fail(err, rc, "cannot read the PostgreSQL database");
    *out = postgres_int(r, 0, 0) != 0;
    PQclear(r);
    return 0;
}

/* What few databases have at all. */
static int look_for_rarities(struct backend *b, struct fut_errbuf *err)
{
    bool has_checkpoints = false;
    int rc = ask_whether(b, P_HAS_CHECKPOINTS, &has_checkpoints, err);
    if (rc == 0)
        rc = ask_whether(b, P_HAS_KEPT, &b->has_kept, err);
    atomic_store(&b->has_checkpoints, has_checkpoints);
    return rc;
}

static int backend_open(const struct store_config *cfg, struct backend **out,
                        struct fut_errbuf *err)
{
    struct backend *b = xnew(struct backend);
    b->url = xstrdup(cfg->path);
    b->node = xstrdup(cfg->node);
    b->c.url = b->url;
    b->c.settings = settings;
    postgres_pending_begin(b);
    int rc = postgres_connect_first(&b->c, err);
    if (rc == 0)
        rc = postgres_check_server(&b->c, err);
    if (rc == 0)
        rc = postgres_owner_share(b, err);
    if (rc == 0)
        rc = postgres_migrate(&b->c, cfg, err);
    if (rc == 0)
        rc = postgres_owner_begin(b, err);
    if (rc == 0)
        rc = postgres_node_begin(b, cfg, err);
    if (rc == 0)
        rc = look_for_rarities(b, err);
    if (rc != 0) {
        backend_close(b);
        return rc;
    }
    *out = b;
    return 0;
}

/* The server's disk is its administrator's: nothing is held back on it. */
static int reserve(struct backend *b, bool on)
{
    (void)b;
    (void)on;
    return 0;
}

/* Looks now and then how large the database is. */
static int tidy(struct backend *b, int64_t *out_again_mono_us)
{
    PGresult *r;
    *out_again_mono_us = INT64_MAX;
    if (clock_mono_us() < b->next_size_mono_us || !postgres_is_connected(&b->c))
        return 0;
    b->next_size_mono_us = clock_mono_us() + SIZE_US;
    if (postgres_ask(&b->c, P_SIZE, PG_NO_VALUES, &r) != 0)
        return 0; /* the next transaction hears of it */
    b->file_bytes = postgres_uint(r, 0, 0);
    PQclear(r);
    return 0;
}

static void sizes(const struct backend *b, uint64_t *out_file, uint64_t *out_log)
{
    *out_file = b->file_bytes;
    *out_log = 0;
}

const struct backend_ops backend_postgres = {
    .name = "postgres",
    .open = backend_open,
    .close = backend_close,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .mark = postgres_mark,
    .unmark = postgres_unmark,
    .back = postgres_back,
    .find_unique = postgres_find_unique,
    .find_key = postgres_find_key,
    .put_key = postgres_put_key,
    .add_line = postgres_add_line,
    .drop_line = postgres_drop_line,
    .insert = postgres_insert,
    .change = postgres_change,
    .add_attempt = postgres_add_attempt,
    .put_checkpoint = postgres_put_checkpoint,
    .drop_checkpoint = postgres_drop_checkpoint,
    .load_checkpoint = postgres_load_checkpoint,
    .set_callback = postgres_set_callback,
    .take = postgres_take,
    .first = postgres_first,
    .load = postgres_load,
    .due = postgres_due,
    .after = postgres_after,
    .queue = postgres_queue,
    .next_times = postgres_next_times,
    .timed_out = postgres_timed_out,
    .drop_expiry = postgres_drop_expiry,
    .find_state = postgres_find_state,
    .put_edge = postgres_put_edge,
    .drop_wakes = postgres_drop_wakes,
    .pending_edges = postgres_pending_edges,
    .children = postgres_children,
    .parents = postgres_parents,
    .place = postgres_place,
    .submitted = postgres_submitted,
    .set_unmet = postgres_set_unmet,
    .set_due = postgres_set_due,
    .find_live = postgres_find_live,
    .find_done = postgres_find_done,
    .put_cascade = postgres_put_cascade,
    .next_cascade = postgres_next_cascade,
    .drop_cascade = postgres_drop_cascade,
    .in_state = postgres_in_state,
    .remove = postgres_remove,
    .prune = postgres_prune,
    .save = postgres_save,
    .totals = postgres_totals,
    .lines = postgres_lines,
    .reserve = reserve,
    .tidy = tidy,
    .sizes = sizes,
    .touch = postgres_touch,
    .batch_put = postgres_batch_put,
    .batch_failed = postgres_batch_failed,
    .batch_cancel = postgres_batch_cancel,
    .batch_ends = postgres_batch_ends,
    .batch_set_callback = postgres_batch_set_callback,
    .batch_unfinished = postgres_batch_unfinished,
    .session_put = postgres_session_put,
    .session_init = postgres_session_init,
    .session_break = postgres_session_break,
    .session_find = postgres_session_find,
    .session_add = postgres_session_add,
    .session_close = postgres_session_close,
    .session_renew = postgres_session_renew,
    .session_renew_all = postgres_session_renew_all,
    .session_leases = postgres_session_leases,
    .session_end_lease = postgres_session_end_lease,
    .bulk_put = postgres_bulk_put,
    .bulk_next = postgres_bulk_next,
    .bulk_find = postgres_bulk_find,
    .bulk_scan = postgres_bulk_scan,
    .queue_put = postgres_queue_put,
    .queue_drop = postgres_queue_drop,
    .fair_put = postgres_fair_put,
    .pause_put = postgres_pause_put,
    .queues = postgres_queues,
    .limit_put = postgres_limit_put,
    .limit_drop = postgres_limit_drop,
    .limit_key_put = postgres_limit_key_put,
    .limit_key_drop = postgres_limit_key_drop,
    .limits = postgres_limits,
    .report = postgres_report,
    .schedule_find = postgres_schedule_find,
    .schedule_put = postgres_schedule_put,
    .schedule_remove = postgres_schedule_remove,
    .schedule_count = postgres_schedule_count,
    .schedule_of_file = postgres_schedule_of_file,
    .schedule_add_run = postgres_schedule_add_run,
    .schedule_end_waiting = postgres_schedule_end_waiting,
    .schedule_unfinished = postgres_schedule_unfinished,
    .join = postgres_join,
    .hear = postgres_hear,
    .waits = postgres_waits,
    .was_cut_off = postgres_was_cut_off,
    .has_peers = postgres_has_peers,
    .tell = postgres_tell,
    .forget = postgres_forget_of,
    .abandoned = postgres_abandoned,
    .nodes = postgres_nodes,
    .node_drain = postgres_node_drain,
    .queue_nodes = postgres_queue_nodes,
    .reader_open = postgres_reader_open,
    .reader_close = postgres_reader_close,
    .get = postgres_get,
    .list = postgres_list,
    .get_many = postgres_get_many,
    .batch_get = postgres_batch_get,
    .batch_list = postgres_batch_list,
    .members = postgres_members,
    .session_get = postgres_session_get,
    .session_list = postgres_session_list,
    .session_ends = postgres_session_ends,
    .edges = postgres_edges,
    .log = postgres_log,
    .attempts = postgres_attempts,
    .schedule_get = postgres_schedule_get,
    .schedule_list = postgres_schedule_list,
    .schedule_due = postgres_schedule_due,
    .failures = postgres_failures,
    .bulk_get = postgres_bulk_get,
    .bulk_list = postgres_bulk_list,
    .queue_oldest = postgres_queue_oldest,
};
