/* sessions: sessions open and close, tasks join them, and their limits go. The writer thread
 * alone. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

void store_session_limit(struct task_id id, char out[STORE_SESSION_LIMIT_SIZE])
{
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    (void)snprintf(out, STORE_SESSION_LIMIT_SIZE, "%s%s", STORE_SESSION_LIMIT, text);
}

uint64_t store_session_newest_seq(const struct store *s)
{
    return atomic_load_explicit(&s->newest_seq, memory_order_relaxed);
}

void store_session_ahead(struct store *s, enum lane lane, uint32_t n)
{
    atomic_store_explicit(&s->ahead[lane], n, memory_order_relaxed);
}

/* Other nodes know nothing of what is held back here. */
void sessions_set_ahead(struct store *s)
{
    for_each_lane (l)
        s->w.limits.ahead[l].most =
            s->ops->hear ? 0 : atomic_load_explicit(&s->ahead[l], memory_order_relaxed);
}

static int define_limit(struct store *s, const struct store_session_open *o)
{
    struct store_limit limit = {.max_running = o->max_running};
    char name[STORE_SESSION_LIMIT_SIZE];
    bool is_new;
    if (!o->max_running)
        return 0;
    store_session_limit(o->session.id, name);
    (void)snprintf(limit.name, sizeof(limit.name), "%s", name);
    return limit_verbs_define(s, &limit, &is_new);
}

static void prepare_open(struct store_op *op)
{
    const struct store_session *in = &FUT_CONTAINER(op, struct store_session_open, op)->session;
    FUT_ASSERT((in->on_disconnect == STORE_KEEP) == (in->grace_ms == 0));
    FUT_ASSERT(in->grace_ms >= 0 && in->grace_ms <= STORE_GRACE_MAX_MS);
}

/* The writer looks again when the lease ends, that of the node which leads does. */
static void watch_lease(struct store *s, int64_t up_ms)
{
    if (up_ms < s->w.next_lease_up_ms)
        s->w.next_lease_up_ms = up_ms;
    s->w.has_leased = true;
}

static int write_open(struct store *s, struct store_op *op)
{
    const struct store_session_open *o = FUT_CONTAINER(op, struct store_session_open, op);
    struct store_session session = o->session;
    int rc = txn_begin(s);
    if (rc == 0) /* first what may be refused and leaves nothing */
        rc = define_limit(s, o);
    session.has_init = o->init != NULL;
    session.max_tasks = o->init ? o->init->max_tasks : 0;
    session.lease_up_ms =
        session.grace_ms ? txn_up_ms(s) + session.grace_ms + session.grace_ms / 3 : STORE_NO_LEASE;
    if (rc == 0)
        rc = s->ops->session_put(s->backend, &session, o->init);
    if (rc == 0 && session.grace_ms)
        watch_lease(s, session.lease_up_ms);
    return rc;
}

const struct store_verb store_verb_session_open = {
    .prepare = prepare_open, .write = write_open, .is_refusable = true, .is_repeatable = true};

int sessions_drop_limit(struct store *s, struct task_id id)
{
    char name[STORE_SESSION_LIMIT_SIZE];
    store_session_limit(id, name);
    int rc = limit_verbs_drop(s, name);
    return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
}

/* The session with that whole id. */
static int find(struct store *s, struct task_id id, struct store_session *out)
{
    int rc = s->ops->session_find(s->backend, id.hi, out);
    return rc == 0 && !id_equal(out->id, id) ? FUT_ERR_NOT_FOUND : rc;
}

/* ---- what prepares worker processes ---- */

static struct session_init *remembered(struct store *s, uint64_t key)
{
    for (size_t i = 0; i < SESSION_INITS; i++) {
        if (s->w.inits[i].key == key)
            return &s->w.inits[i];
    }
    return NULL;
}

void sessions_forget_inits(struct store *s)
{
    for (size_t i = 0; i < SESSION_INITS; i++) {
        task_init_unref(s->w.inits[i].init);
        s->w.inits[i] = (struct session_init){.key = 0};
    }
}

int sessions_add_init(struct store *s, struct task *t)
{
    uint64_t key = t->spec->batch.hi;
    struct session_init *found = remembered(s, key);
    if (!found) {
        struct task_init *init;
        int rc = s->ops->session_init(s->backend, key, &init);
        if (rc != 0)
            return rc;
        found = &s->w.inits[s->w.next_init++ % SESSION_INITS];
        task_init_unref(found->init);
        *found = (struct session_init){key, init};
    }
    t->init = task_init_ref(found->init);
    return 0;
}

static int write_break(struct store *s, struct store_op *op)
{
    const struct store_session_break *o = FUT_CONTAINER(op, struct store_session_break, op);
    struct store_session session;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = find(s, o->id, &session);
    if (rc == 0)
        rc = s->ops->session_break(s->backend, o->id.hi, o->why);
    sessions_forget_inits(s);
    return rc;
}

const struct store_verb store_verb_session_break = {
    .write = write_break, .uses_reserve = true, .is_repeatable = true};

static void tell(struct store *s, struct task_id id, bool ended)
{
    txn_add_change(s,
                   &(struct store_change){
                       .id = id, .state = TASK_RUNNING, .reported = true, .session_ended = ended});
}

static int close_found(struct store *s, const struct store_session *session, int64_t now_wall_ms)
{
    int rc = s->ops->session_close(s->backend, session->id.hi, now_wall_ms);
    if (rc == 0 && !session->unfinished)
        rc = sessions_drop_limit(s, session->id);
    if (rc == 0)
        tell(s, session->id, !session->unfinished);
    return rc;
}

static int write_close(struct store *s, struct store_op *op)
{
    const struct store_session_close *o = FUT_CONTAINER(op, struct store_session_close, op);
    struct store_session session;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = find(s, o->id, &session);
    return rc == 0 ? close_found(s, &session, o->now_wall_ms) : rc;
}

const struct store_verb store_verb_session_close = {.write = write_close, .is_repeatable = true};

/* ---- clients that go --------------------------------------------------------------------------
 */

#define LEASES_STEP 8

static int write_renew(struct store *s, struct store_op *op)
{
    int rc = txn_begin(s);
    return rc != 0 ? rc
                   : s->ops->session_renew(
                         s->backend, FUT_CONTAINER(op, struct store_session_renew, op)->id.hi);
}

const struct store_verb store_verb_session_renew = {
    .write = write_renew, .uses_reserve = true, .is_repeatable = true};

/* One that is over has nothing left to be ended. */
static int disconnect(struct store *s, const struct store_session *session)
{
    int64_t now_wall_ms = clock_wall_ms();
    bool is_finished = session->closed_wall_ms && !session->unfinished;
    int rc = s->ops->session_end_lease(s->backend, session->id.hi, is_finished ? 0 : now_wall_ms);
    if (rc == 0 && !is_finished)
        rc = close_found(s, session, now_wall_ms);
    if (rc != 0 || !session->unfinished)
        return rc;
    s->w.cancel_pending = true;
    return s->ops->batch_cancel(s->backend, session->id,
                                session->on_disconnect == STORE_CANCEL_QUEUED);
}

static int renew_stale(struct store *s)
{
    int rc = s->w.leases_stale ? s->ops->session_renew_all(s->backend) : 0;
    if (rc == 0)
        s->w.leases_stale = false;
    return rc;
}

int sessions_end_leases(struct store *s)
{
    struct store_session sessions[LEASES_STEP];
    size_t n = 0, i = 0;
    int64_t up_ms = txn_up_ms(s);
    if (!s->w.leads || (!s->w.leases_stale && s->w.next_lease_up_ms > up_ms))
        return 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = renew_stale(s);
    if (rc == 0)
        rc = s->ops->session_leases(s->backend, LEASES_STEP, sessions, &n);
    for (; rc == 0 && i < n && sessions[i].lease_up_ms <= up_ms; i++)
        rc = disconnect(s, &sessions[i]);
    s->w.next_lease_up_ms = i < n              ? sessions[i].lease_up_ms
                            : n == LEASES_STEP ? 0 /* at once */
                                               : INT64_MAX;
    return rc;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static int end_one(struct store *s, uint64_t key)
{
    struct store_session session;
    int rc = s->ops->session_find(s->backend, key, &session);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
    bool ended = session.closed_wall_ms && !session.unfinished;
    tell(s, session.id, ended);
    return ended ? sessions_drop_limit(s, session.id) : 0;
}

int sessions_end(struct store *s)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->w.ended_sessions.n; i++)
        rc = end_one(s, s->w.ended_sessions.keys[i]);
    s->w.ended_sessions.n = 0;
    return rc;
}

static int check(const struct store_submit *o, const struct store_session *session)
{
    if (session->broken[0])
        return FUT_ERR_CONFLICT;
    if (session->closed_wall_ms)
        return FUT_ERR_STATE;
    if (o->n_members > UINT32_MAX - session->total)
        return FUT_ERR_FULL;
    for (size_t i = 0; i < o->n_members; i++)
        if (strcmp(o->tasks[i].spec->handler, session->handler) != 0)
            return FUT_ERR_INVAL;
    return 0;
}

int sessions_join(struct store *s, struct store_submit *o)
{
    struct store_session session;
    o->session_rc = find(s, o->session, &session);
    if (o->session_rc == 0)
        o->session_rc = check(o, &session);
    if (o->session_rc != 0)
        return o->session_rc;
    for (size_t i = 0; i < o->n_members; i++)
        o->tasks[i].spec->batch_pos = session.total + (uint32_t)i;
    return s->ops->session_add(s->backend, o->session.hi, (uint32_t)o->n_members);
}
