/* owner: one daemon has the database: it holds an advisory lock of its session, and each
 * transaction counts itself in the daemon's row of `boots`, which fails when another daemon has
 * come after it. That count also tells, on a new connection, whether a transaction has happened
 * whose answer did not come. */
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

/* An advisory lock is of the whole database; a number per schema lets several share it. */
static int take_lock(struct backend *b, bool *out_taken)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_TRY_LOCK, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    *out_taken = postgres_int(r, 0, 0) != 0;
    b->lock = postgres_int(r, 0, 1);
    PQclear(r);
    return 0;
}

/* Who holds it; 0: nobody any more. Text (of size) for the operator. */
static int find_holder(struct backend *b, char *text, size_t size)
{
    PGresult *r;
    int pid = 0;
    if (postgres_ask(&b->c, P_LOCK_HOLDER, PG_VALUES(v_int(b->lock)), &r) != 0)
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
    int holder = find_holder(b, text, sizeof(text));
    if (holder && holder == b->old_pid)
        (void)postgres_run(&b->c, P_END_SESSION, PG_VALUES(v_int(holder)));
}

static int refuse(struct backend *b, struct fut_errbuf *err)
{
    char text[128] = "a session that has just ended";
    (void)find_holder(b, text, sizeof(text));
    return fut_fail(err, FUT_ERR_BUSY,
                    "the PostgreSQL database is in use by another futured (%s): stop it, or set "
                    "FUTURED_DB to another database",
                    text);
}

int postgres_owner_lock(struct backend *b, struct fut_errbuf *err)
{
    bool taken = false;
    int rc = take_lock(b, &taken);
    if (rc != 0)
        return fut_fail(err, rc, "cannot lock the PostgreSQL database");
    b->old_pid = PQbackendPID(b->c.pg);
    return taken ? 0 : refuse(b, err);
}

int postgres_owner_begin(struct backend *b, struct fut_errbuf *err)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_NEW_BOOT, PG_NO_VALUES, &r);
    if (rc != 0)
        return fut_fail(err, rc, "cannot write to the PostgreSQL database");
    b->boot = postgres_int(r, 0, 0);
    PQclear(r);
    return 0;
}

/* How many transactions of this boot the database has; FUT_ERR_READ_ONLY: it is not ours. */
static int read_groups(struct backend *b, int64_t *out, bool *out_is_latest)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_OWN_BOOT, PG_VALUES(v_int(b->boot)), &r);
    if (rc != 0)
        return rc;
    bool is_there = PQntuples(r) == 1;
    if (is_there) {
        *out = postgres_int(r, 0, 0);
        *out_is_latest = postgres_int(r, 0, 1) != 0;
    }
    PQclear(r);
    return is_there ? 0 : FUT_ERR_READ_ONLY;
}

/* What a new connection has found. */
struct found {
    bool is_locked; /* by it */
    bool is_latest; /* no other daemon has come after this one */
    int64_t groups;
};

/* While another session of ours holds the lock, its transaction may be open: not an answer. That of
 * another daemon is one, as ours has ended then. */
static int connect_again(struct backend *b, struct found *out)
{
    *out = (struct found){0};
    int rc = postgres_connect(&b->c);
    if (rc == 0)
        rc = take_lock(b, &out->is_locked);
    if (rc == 0 && !out->is_locked)
        end_former(b);
    if (rc == 0)
        rc = read_groups(b, &out->groups, &out->is_latest);
    if (rc == 0 && !out->is_locked && out->is_latest)
        rc = FUT_ERR_IO;
    if (rc == 0)
        b->old_pid = PQbackendPID(b->c.pg);
    else
        postgres_disconnect(&b->c);
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
    while ((rc = connect_again(b, out)) != 0 && rc != FUT_ERR_READ_ONLY &&
           clock_mono_ms() < until_mono_ms) {
        (void)poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 2 < AGAIN_MAX_MS ? pause_ms * 2 : AGAIN_MAX_MS;
    }
    return rc;
}

int postgres_owner_again(struct backend *b)
{
    struct found found;
    int rc = connect_until(b, b->is_away ? 0 : clock_mono_ms() + HOLD_MS, &found);
    b->is_away = rc != 0;
    if (rc == FUT_ERR_READ_ONLY || (rc == 0 && !found.is_latest))
        return stop_for_good(b, "another daemon has taken the database");
    if (rc == 0 && found.groups != b->group)
        return stop_for_good(b, "the database is not as this daemon has left it");
    return rc;
}

int postgres_owner_resolve(struct backend *b)
{
    struct found found;
    if (connect_until(b, INT64_MAX, &found) != 0)
        return stop_for_good(b, "the database does not know this daemon");
    bool happened = found.groups == b->group + 1;
    if (!happened && found.groups != b->group)
        return stop_for_good(b, "the database is not as this daemon has left it");
    if (!found.is_latest)
        (void)stop_for_good(b, "another daemon has taken the database");
    b->group = found.groups;
    return happened ? 0 : FUT_ERR_IO;
}
