/* owner: which daemons have the database. Each shares an advisory lock with those of its version,
 * so a program that needs the database for itself is refused, and they by it. Each has a number of
 * its own, a lock of its session for that, and a row in `boots`. Each of its transactions adds its
 * number to `commits`, which fails when the others have given the daemon up. The latest number also
 * tells, on a new connection, whether a transaction has happened whose answer did not come. A row
 * that each of them changed would be found ever more slowly beside an old snapshot, which keeps all
 * its former versions. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

#define AGAIN_MIN_MS 50
#define AGAIN_MAX_MS 1000
#define HOLD_MS 5000
#define NAMESAKE_MS 5000 /* for so long the server may not know yet that a session has ended */

/* ---- locks ------------------------------------------------------------------------------------
 */

static int ask_whether(struct backend *b, enum postgres_stmt stmt, int64_t value, bool *out)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, stmt, PG_VALUES(v_int(value)), &r);
    if (rc != 0)
        return rc;
    *out = postgres_int(r, 0, 0) != 0;
    PQclear(r);
    return 0;
}

/* The lock that a node's session holds. */
static int64_t lock_of(const struct backend *b, int64_t node)
{
    return (int64_t)((uint64_t)b->schema << 32 | ((uint64_t)node & 0xFFFFFFFF));
}

/* Who holds the node's lock, or has the database for itself; 0: nobody any more. Text (of size)
 * for the operator. */
static int find_holder(struct backend *b, int64_t node, char *text, size_t size)
{
    PGresult *r;
    int pid = 0;
    if (postgres_ask(&b->c, P_HOLDER, PG_VALUES(v_int(lock_of(b, node)), v_int(b->schema)), &r) !=
        0)
        return 0;
    if (PQntuples(r) > 0) {
        const char *host = postgres_text(r, 0, 1);
        pid = (int)postgres_int(r, 0, 0);
        (void)snprintf(text, size, "process %d of the server, connected from %s", pid,
                       host ? host : "its own machine");
    }
    PQclear(r);
    return pid;
}

/* The server may not know yet that our own former connection is gone. */
static void end_former(struct backend *b)
{
    char text[128] = "";
    int holder = find_holder(b, b->boot, text, sizeof(text));
    if (holder && holder == b->old_pid)
        (void)postgres_run(&b->c, P_END_SESSION, PG_VALUES(v_int(holder)));
}

static int refuse(struct backend *b, int64_t node, const char *advice, struct fut_errbuf *err)
{
    char text[128] = "a session that has just ended";
    (void)find_holder(b, node, text, sizeof(text));
    return fut_fail(err, FUT_ERR_BUSY,
                    "the PostgreSQL database is in use by another futured (%s): %s", text, advice);
}

static int take_schema(struct backend *b, enum postgres_stmt stmt, bool *out_taken)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_SCHEMA_NUMBER, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    b->schema = postgres_int(r, 0, 0);
    PQclear(r);
    return ask_whether(b, stmt, b->schema, out_taken);
}

int postgres_owner_alone(struct backend *b, struct fut_errbuf *err)
{
    int64_t until_mono_ms = clock_mono_ms() + NAMESAKE_MS;
    bool is_alone = false;
    int rc;
    while ((rc = take_schema(b, P_ALONE, &is_alone)) == 0 && !is_alone &&
           clock_mono_ms() < until_mono_ms)
        (void)poll(NULL, 0, AGAIN_MIN_MS);
    if (rc != 0)
        return fut_fail(err, rc, "cannot lock the PostgreSQL database");
    return is_alone ? 0 : refuse(b, 0, "stop all of them first", err);
}

int postgres_owner_share(struct backend *b, struct fut_errbuf *err)
{
    bool shares = false;
    int rc = take_schema(b, P_SHARE, &shares);
    if (rc == 0 && !shares)
        return refuse(b, 0,
                      "one that copies it, or an older version, which does not share it: stop that",
                      err);
    if (rc == 0)
        rc = postgres_node_call(b); /* who is alone gives its turn up then */
    if (rc == 0)
        rc = postgres_run(&b->c, P_TURN_OF_SESSION, PG_VALUES(v_int(b->schema)));
    if (rc != 0 && postgres_is_connected(&b->c)) /* for the next try */
        (void)postgres_run(&b->c, P_END_STANDING,
                           PG_VALUES(v_int(b->schema), v_int(POSTGRES_STANDING_MS)));
    b->old_pid = b->c.pg ? PQbackendPID(b->c.pg) : 0;
    return rc == 0 ? 0 : fut_fail(err, rc, "cannot lock the PostgreSQL database");
}

/* ---- a number of its own ----------------------------------------------------------------------
 */

/* A node of this name whose session has ended is no more. */
static int give_up_namesake(struct backend *b, int64_t node, struct fut_errbuf *err)
{
    int64_t until_mono_ms = clock_mono_ms() + NAMESAKE_MS;
    bool is_free = false;
    int rc;
    while ((rc = ask_whether(b, P_TRY_NODE, lock_of(b, node), &is_free)) == 0 && !is_free &&
           clock_mono_ms() < until_mono_ms)
        (void)poll(NULL, 0, AGAIN_MIN_MS);
    if (rc == 0 && !is_free)
        return refuse(b, node,
                      "it has the name of this node: stop it, or give each node a name of its own "
                      "(FUTURED_NODE), or set FUTURED_DB to another database",
                      err);
    if (rc == 0)
        rc = ask_whether(b, P_FREE_NODE, lock_of(b, node), &is_free);
    return rc == 0 ? postgres_run(&b->c, P_GIVE_UP, PG_VALUES(v_int(node))) : rc;
}

static int give_up_namesakes(struct backend *b, struct fut_errbuf *err)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_NAMESAKES, PG_VALUES(v_text(b->node)), &r);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < PQntuples(r); i++)
        rc = give_up_namesake(b, postgres_int(r, i, 0), err);
    PQclear(r);
    return rc;
}

/* No two nodes that live have numbers by which they would make equal ids. */
static int take_number(struct backend *b)
{
    bool is_free = false, makes_equal_ids = true;
    int rc = 0;
    for (int i = 0; rc == 0 && makes_equal_ids && i < ID_NODES; i++) {
        PGresult *r;
        rc = postgres_ask(&b->c, P_NEW_NODE, PG_VALUES(v_text(b->node), v_int(ID_NODES)), &r);
        if (rc != 0)
            return rc;
        b->boot = postgres_int(r, 0, 0);
        makes_equal_ids = postgres_int(r, 0, 1) != 0;
        PQclear(r);
    }
    if (rc == 0)
        rc = ask_whether(b, P_TRY_NODE, lock_of(b, b->boot), &is_free);
    if (rc == 0 && (!is_free || makes_equal_ids))
        return FUT_ERR_BUSY;
    id_use_node((unsigned)(b->boot % ID_NODES));
    return rc;
}

int postgres_owner_begin(struct backend *b, struct fut_errbuf *err)
{
    int rc = give_up_namesakes(b, err);
    if (rc == FUT_ERR_BUSY)
        return rc;
    if (rc == 0)
        rc = take_number(b);
    if (rc == FUT_ERR_BUSY)
        return fut_fail(err, rc, "%d nodes share the PostgreSQL database already", ID_NODES);
    return rc == 0 ? 0 : fut_fail(err, rc, "cannot write to the PostgreSQL database");
}

/* ---- connecting again -------------------------------------------------------------------------
 */

/* What a new connection has found. */
struct found {
    bool is_node; /* the others have not given this one up */
    int64_t groups;
};

/* How many transactions of this node the database has; FUT_ERR_READ_ONLY: it is not ours. */
static int read_groups(struct backend *b, struct found *out)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_OWN_NODE, PG_VALUES(v_int(b->boot)), &r);
    if (rc != 0)
        return rc;
    bool is_there = PQntuples(r) == 1;
    if (is_there) {
        out->groups = postgres_int(r, 0, 0);
        out->is_node = postgres_int(r, 0, 1) != 0;
    }
    PQclear(r);
    return is_there ? 0 : FUT_ERR_READ_ONLY;
}

/* What an operator reads: once that it is away and why, once that it is back. */
static void tell_away(struct backend *b, const char *reason)
{
    if (b->away_mono_ms)
        return;
    b->away_mono_ms = clock_mono_ms();
    log_warn("database_away", LOG_STR("reason", reason));
}

static void tell_back(struct backend *b)
{
    if (b->away_mono_ms)
        log_info("database_back", LOG_INT("ms", clock_mono_ms() - b->away_mono_ms));
    b->away_mono_ms = 0;
}

/* While another session of ours holds the lock, its transaction may be open: not an answer. */
static int connect_again(struct backend *b, struct found *out)
{
    struct fut_errbuf err = {""};
    bool shares = false, is_locked = false;
    *out = (struct found){0};
    int rc = postgres_connect(&b->c, &err);
    if (rc != 0)
        tell_away(b, err.text);
    if (rc == 0)
        rc = ask_whether(b, P_SHARE, b->schema, &shares);
    if (rc == 0)
        rc = ask_whether(b, P_TRY_NODE, lock_of(b, b->boot), &is_locked);
    if (rc == 0 && !is_locked)
        end_former(b);
    if (rc == 0)
        rc = read_groups(b, out);
    if (rc == 0 && (!is_locked || !shares))
        rc = FUT_ERR_IO;
    if (rc == 0) {
        b->old_pid = PQbackendPID(b->c.pg);
        tell_back(b);
    } else {
        postgres_disconnect(&b->c);
    }
    return rc;
}

static int stop_for_good(struct backend *b, const char *why)
{
    log_debug("postgres_not_ours", LOG_STR("why", why));
    b->broken = true;
    return FUT_ERR_READ_ONLY;
}

/* Tries again and again until there is an answer, or until the time is over. */
static int connect_until(struct backend *b, int64_t until_mono_ms, struct found *out)
{
    int pause_ms = AGAIN_MIN_MS;
    int rc;
    postgres_forget_all(b);
    atomic_store(&b->is_connecting, true);
    postgres_turn_gone(b);
    while ((rc = connect_again(b, out)) != 0 && rc != FUT_ERR_READ_ONLY &&
           clock_mono_ms() < until_mono_ms) {
        (void)poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 2 < AGAIN_MAX_MS ? pause_ms * 2 : AGAIN_MAX_MS;
    }
    atomic_store(&b->is_connecting, false);
    return rc;
}

/* Both have an end: what connecting may take, and how long a session may stand in its turn. */
bool postgres_waits(const struct backend *b, bool *out_is_away)
{
    *out_is_away = atomic_load(&b->is_connecting);
    return *out_is_away || atomic_load(&b->turn_mono_ms) != 0;
}

int postgres_owner_again(struct backend *b)
{
    struct found found;
    int rc = connect_until(b, b->is_away ? 0 : clock_mono_ms() + HOLD_MS, &found);
    b->is_away = rc != 0;
    if (rc == FUT_ERR_READ_ONLY || (rc == 0 && !found.is_node))
        return stop_for_good(b, "the other nodes have given this one up");
    if (rc == 0 && found.groups != b->group)
        return stop_for_good(b, "the database is not as this node has left it");
    return rc;
}

int postgres_owner_resolve(struct backend *b)
{
    struct found found;
    if (connect_until(b, INT64_MAX, &found) != 0)
        return stop_for_good(b, "the database does not know this node");
    bool happened = found.groups == b->group + 1;
    if (!happened && found.groups != b->group)
        return stop_for_good(b, "the database is not as this node has left it");
    if (!found.is_node)
        (void)stop_for_good(b, "the other nodes have given this one up");
    b->group = found.groups;
    return happened ? 0 : FUT_ERR_IO;
}
