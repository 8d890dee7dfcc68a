/* turn: transactions of all nodes follow one upon the other, by an advisory lock. A node that is
 * alone keeps its turn from one transaction to the next, by the same lock of its session, and does
 * not ask what others have done meanwhile, for nobody can have done anything: each COMMIT that is
 * answered shows that the session was there, and so the lock. It gives the turn up in the first
 * transaction after another session has begun to wait for it, which calls, and which it looks for
 * at each beat. */
#include "core/clock.h"
#include "core/log.h"
#include "storage/postgres/internal.h"

#define AGAIN_MS 30000 /* after it was given up: a node that starts has joined by then */

/* ---- the writer thread ------------------------------------------------------------------------
 */

/* Also after an error: the session has the lock, or the first two statements release it. */
int postgres_turn_begin(struct backend *b)
{
    bool is_wanted = atomic_exchange(&b->turn_is_wanted, false);
    if (atomic_load(&b->keeps_turn) && !is_wanted)
        return 0;
    atomic_store(&b->turn_mono_ms, clock_mono_ms());
    int rc = postgres_send(&b->c, P_TURN, PG_VALUES(v_int(b->schema)));
    if (rc == 0 && atomic_load(&b->keeps_turn)) {
        atomic_store(&b->keeps_turn, false);
        b->keep_again_mono_ms = clock_mono_ms() + AGAIN_MS;
        rc = postgres_send(&b->c, P_END_TURN, PG_VALUES(v_int(b->schema)));
    }
    if (rc != 0)
        atomic_store(&b->turn_mono_ms, 0);
    return rc;
}

bool postgres_turn_is_kept(const struct backend *b)
{
    return atomic_load(&b->keeps_turn) && !b->asks_anyway;
}

/* In a transaction, whose lock it has: so it is not waited for. */
int postgres_turn_keep(struct backend *b)
{
    PGresult *r;
    b->asks_anyway = false;
    if (b->has_peers || atomic_load(&b->keeps_turn) || clock_mono_ms() < b->keep_again_mono_ms)
        return 0;
    int rc = postgres_ask(&b->c, P_TURN_OF_SESSION, PG_VALUES(v_int(b->schema)), &r);
    if (rc != 0)
        return rc;
    PQclear(r);
    atomic_store(&b->keeps_turn, true);
    return 0;
}

int postgres_turn_leave(struct backend *b)
{
    if (atomic_exchange(&b->keeps_turn, false) && postgres_is_usable(&b->c))
        (void)postgres_run(&b->c, P_END_TURN, PG_VALUES(v_int(b->schema)));
    return FUT_ERR_READ_ONLY;
}

void postgres_turn_gone(struct backend *b)
{
    atomic_store(&b->keeps_turn, false);
}

/* ---- the thread of the node -------------------------------------------------------------------
 */

/* A session that stands still in its turn keeps all nodes waiting: its node is stopped, or cut off.
 * The server itself does not see it, as in the middle of a pipeline no session is idle. */
void postgres_turn_end_standing(struct backend *b, struct postgres_conn *c)
{
    int64_t since_mono_ms = atomic_load(&b->turn_mono_ms);
    PGresult *r;
    if (since_mono_ms == 0 || clock_mono_ms() - since_mono_ms < POSTGRES_STANDING_MS ||
        postgres_ask(c, P_END_STANDING, PG_VALUES(v_int(b->schema), v_int(POSTGRES_STANDING_MS)),
                     &r) != 0)
        return;
    if (PQntuples(r) > 0)
        log_warn("standing_session_ended", LOG_INT("ms", clock_mono_ms() - since_mono_ms));
    PQclear(r);
}

bool postgres_turn_want(struct backend *b)
{
    bool is_kept = atomic_load(&b->keeps_turn);
    if (is_kept)
        atomic_store(&b->turn_is_wanted, true);
    return is_kept;
}

bool postgres_turn_look(struct backend *b, struct postgres_conn *c)
{
    PGresult *r;
    if (!atomic_load(&b->keeps_turn) ||
        postgres_ask(c, P_TURN_IS_WANTED, PG_VALUES(v_int(b->schema)), &r) != 0)
        return false;
    bool is_wanted = postgres_int(r, 0, 0) != 0;
    PQclear(r);
    return is_wanted && postgres_turn_want(b);
}
