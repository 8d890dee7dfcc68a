/* node: the thread by which a daemon stays a node: it says that it lives, calls the others after a
 * commit and when it has something to say of itself, and is called by them.
 *
 * A node says that it lives each second, on a connection of its own. One that has not for the time
 * of its lease is given up by whichever node notices; what ran on it is given back. The node itself
 * ends its attempts before: the lease is counted from before the word was sent. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sync.h"
#include "storage/postgres/internal.h"

#define BEAT_MS 1000
#define AGAIN_MS 250
#define FENCE_MS (POSTGRES_LEASE_MS - 2000) /* without an answer: attempts end now */
#define LOOK_US 250000
#define SLOW_BEATS 10 /* between what need not be done at each */
#define REPLICAS_AGAIN_MS 3600000
#define CHANNEL_SIZE 32
#define CALL_MS 3 /* at least between two calls: those of the meantime are one */
/* What a call says: there are news, or another node has something to say of itself. A node of
 * another version takes any for news. */
#define CALL_NEWS ""
#define CALL_NODES "nodes"

struct postgres_node {
    struct backend *b;
    struct backend_self *self; /* from join on */
    struct postgres_conn c;
    void (*on_news)(void *ctx);
    void *news_ctx;
    void (*on_fenced)(void *ctx);
    void (*on_lease)(void *ctx, int64_t until_mono_ms);
    void *fenced_ctx;
    char channel[CHANNEL_SIZE];
    int wake_fd;
    bool is_started;
    bool has_lease; /* it was told of one */
    pthread_t speaker, watcher;
    struct mutex mu;
    struct cond wake;
    bool stops;       /* guarded by mu */
    bool is_fenced;   /* guarded by mu */
    int64_t alive_ms; /* guarded by mu: by the monotonic clock, the latest word that was answered
                         was sent then */
    int64_t n_nodes;  /* guarded by mu: as of that answer */
    int64_t next_call_mono_ms; /* the earliest one */
    atomic_bool calls;         /* the others are to be called */
    bool looks;                /* at the nodes now: one has something to say of itself */
    bool has_async_replicas;
    unsigned beats;
    int64_t warned_mono_ms; /* of these; 0: never */
    uint64_t published;     /* so many infos of its own the row has had */
    int64_t version;        /* of what all nodes are, as of the latest beat */
};

static const char settings[] =
    "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET lock_timeout = 4000";

/* ---- the lease --------------------------------------------------------------------------------
 */

static void fence(struct postgres_node *n, const char *why)
{
    mutex_lock(&n->mu);
    bool is_first = !n->is_fenced && !n->stops;
    n->is_fenced = true;
    mutex_unlock(&n->mu);
    if (!is_first)
        return;
    log_error("node_fenced", LOG_STR("reason", why));
    if (n->on_fenced)
        n->on_fenced(n->fenced_ctx);
}

/* Alone it goes on, as nobody else starts its tasks. */
static void *watch(void *node)
{
    struct postgres_node *n = node;
    mutex_lock(&n->mu);
    while (!n->stops) {
        bool is_late = n->n_nodes > 1 && clock_mono_ms() - n->alive_ms > FENCE_MS;
        if (is_late && !n->is_fenced) {
            mutex_unlock(&n->mu);
            fence(n, "the database did not answer for so long that other nodes may run its tasks");
            mutex_lock(&n->mu);
        }
        (void)cond_wait_until(&n->wake, &n->mu, clock_mono_us() + LOOK_US);
    }
    mutex_unlock(&n->mu);
    return NULL;
}

/* ---- the thread that speaks -------------------------------------------------------------------
 */

static bool stops(struct postgres_node *n)
{
    mutex_lock(&n->mu);
    bool is = n->stops;
    mutex_unlock(&n->mu);
    return is;
}

/* Also when this process stands still its programs end in time. */
static void tell_lease(struct postgres_node *n, int64_t until_mono_ms)
{
    if (n->on_lease && (until_mono_ms || n->has_lease))
        n->on_lease(n->fenced_ctx, until_mono_ms);
    n->has_lease = until_mono_ms != 0;
}

static void tell_of_nodes(struct postgres_node *n)
{
    mutex_lock(&n->self->mu);
    if (n->self->on_nodes)
        n->self->on_nodes(n->self->nodes_ctx);
    mutex_unlock(&n->self->mu);
}

static void read_beat(struct postgres_node *n, const PGresult *r, int64_t sent_mono_ms)
{
    mutex_lock(&n->mu);
    n->alive_ms = sent_mono_ms;
    n->n_nodes = postgres_int(r, 0, 0);
    bool is_alone = n->n_nodes <= 1;
    mutex_unlock(&n->mu);
    tell_lease(n, is_alone ? 0 : sent_mono_ms + FENCE_MS);
    if (postgres_int(r, 0, 1) != 0)
        atomic_store(&n->b->has_abandoned, true);
    if (atomic_load(&n->b->has_abandoned) || postgres_int(r, 0, 2) > atomic_load(&n->b->seen))
        n->on_news(n->news_ctx);
    if (n->version == postgres_int(r, 0, 3))
        return;
    n->version = postgres_int(r, 0, 3);
    tell_of_nodes(n);
}

static int64_t up_ms(const struct backend *b)
{
    return clock_wall_ms() - atomic_load_explicit(&b->up_offset_ms, memory_order_relaxed);
}

static int say(struct postgres_conn *c, struct postgres_node *n, int64_t *out_sent_mono_ms,
               PGresult **r)
{
    struct buf load = BUF_INIT;
    mutex_lock(&n->self->mu);
    if (n->self->load)
        n->self->load(n->self->load_ctx, &load);
    mutex_unlock(&n->self->mu);
    *out_sent_mono_ms = clock_mono_ms();
    int rc = postgres_ask(c, P_BEAT,
                          PG_VALUES(v_int(n->b->boot), v_int(up_ms(n->b)),
                                    v_int(atomic_load(&n->b->seen)), v_int(POSTGRES_LEASE_MS),
                                    v_text(load.data)),
                          r);
    buf_release(&load);
    return rc;
}

/* What it says of itself, when that has changed. */
static void publish(struct postgres_node *n)
{
    struct backend_self *self = n->self;
    mutex_lock(&self->mu);
    uint64_t number = self->n_infos;
    char *info = number != n->published ? xstrdup(self->info) : NULL;
    mutex_unlock(&self->mu);
    if (info && postgres_run(&n->c, P_PUBLISH, PG_VALUES(v_int(n->b->boot), v_text(info))) == 0) {
        n->published = number;
        (void)postgres_run(&n->c, P_NOTIFY, PG_VALUES(v_text(n->channel), v_text(CALL_NODES)));
    }
    free(info);
}

/* Commits wait for no replica, so the latest of them are lost when one takes the server's place. */
static void look_at_replicas(struct postgres_node *n)
{
    PGresult *r;
    if (postgres_ask(&n->c, P_REPLICAS, PG_NO_VALUES, &r) != 0)
        return;
    int64_t now_ms = clock_mono_ms(), replicas = postgres_int(r, 0, 0);
    bool is_new = replicas > 0 && !n->has_async_replicas;
    n->has_async_replicas = replicas > 0;
    if (is_new && (!n->warned_mono_ms || now_ms - n->warned_mono_ms >= REPLICAS_AGAIN_MS)) {
        n->warned_mono_ms = now_ms;
        log_warn("async_replicas", LOG_INT("replicas", replicas),
                 LOG_STR("names", postgres_text(r, 0, 1)),
                 LOG_STR("reason", "commits do not wait for them: what was acknowledged last is"
                                   " lost when one is promoted; set synchronous_standby_names"));
    }
    PQclear(r);
}

static void beat(struct postgres_node *n)
{
    PGresult *r;
    int64_t sent_mono_ms;
    n->looks = false;
    if (say(&n->c, n, &sent_mono_ms, &r) != 0)
        return;
    if (PQntuples(r) == 1)
        read_beat(n, r, sent_mono_ms);
    else
        fence(n, "the other nodes have given it up");
    PQclear(r);
    if (n->beats++ % SLOW_BEATS != 0)
        return;
    (void)postgres_run(&n->c, P_TRIM_NEWS, PG_NO_VALUES);
    look_at_replicas(n);
}

/* What was said while nobody listened is looked for. */
static void listen_again(struct postgres_node *n)
{
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "LISTEN %s", n->channel);
    if (postgres_connect(&n->c, NULL) != 0)
        return;
    if (postgres_exec(&n->c, sql, NULL) != 0) {
        postgres_disconnect(&n->c);
        return;
    }
    n->on_news(n->news_ctx);
}

static void read_calls(struct postgres_node *n)
{
    bool is_called = false;
    PGnotify *call;
    if (PQconsumeInput(n->c.pg) != 1) {
        postgres_disconnect(&n->c);
        return;
    }
    while ((call = PQnotifies(n->c.pg))) {
        if (call->be_pid != PQbackendPID(n->c.pg)) {
            is_called = true;
            n->looks = n->looks || strcmp(call->extra, CALL_NODES) == 0;
        }
        PQfreemem(call);
    }
    if (is_called) {
        (void)postgres_turn_want(n->b);
        n->on_news(n->news_ctx);
    }
}

/* The first call after a silence goes at once, the others of a busy node go together: each costs
 * two transactions of the server, here and there, and a turn of whoever is called. */
static void call(struct postgres_node *n)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms < n->next_call_mono_ms || !atomic_exchange(&n->calls, false))
        return;
    n->next_call_mono_ms = now_ms + CALL_MS;
    (void)postgres_run(&n->c, P_NOTIFY, PG_VALUES(v_text(n->channel), v_text(CALL_NEWS)));
}

static void wait_until(struct postgres_node *n, int64_t mono_ms)
{
    struct pollfd fds[] = {{n->wake_fd, POLLIN, 0}, {-1, POLLIN, 0}};
    if (atomic_load(&n->calls) && n->next_call_mono_ms < mono_ms)
        mono_ms = n->next_call_mono_ms;
    int64_t ms = mono_ms - clock_mono_ms();
    fds[1].fd = n->c.pg ? PQsocket(n->c.pg) : -1;
    (void)poll(fds, FUT_COUNT(fds), ms > 0 ? (int)ms : 0);
    if (fds[0].revents)
        fd_wake_clear(n->wake_fd);
}

static void *speak(void *node)
{
    struct postgres_node *n = node;
    int64_t next_mono_ms = clock_mono_ms();
    while (!stops(n)) {
        if (!postgres_is_connected(&n->c))
            listen_again(n);
        if (postgres_is_connected(&n->c))
            call(n);
        if (postgres_is_connected(&n->c))
            publish(n);
        if (postgres_is_connected(&n->c) && (n->looks || clock_mono_ms() >= next_mono_ms)) {
            postgres_turn_end_standing(n->b, &n->c);
            beat(n);
            if (postgres_turn_look(n->b, &n->c))
                n->on_news(n->news_ctx);
            next_mono_ms = clock_mono_ms() + BEAT_MS;
        }
        if (postgres_is_connected(&n->c))
            read_calls(n);
        if (!n->looks)
            wait_until(n, postgres_is_connected(&n->c) ? next_mono_ms : clock_mono_ms() + AGAIN_MS);
    }
    return NULL;
}

/* ---- joining and leaving ----------------------------------------------------------------------
 */

static int join_nodes(struct backend *b)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_EXPIRE, PG_VALUES(v_int(b->boot), v_int(POSTGRES_LEASE_MS)), &r);
    if (rc != 0)
        return rc;
    PQclear(r);
    rc = postgres_ask(&b->c, P_LATEST_NEWS, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    atomic_store(&b->seen, postgres_int(r, 0, 0));
    b->has_peers = !postgres_is_null(r, 0, 1);
    b->joined_up_ms = postgres_int(r, 0, 1);
    PQclear(r);
    return postgres_run(&b->c, P_JOIN,
                        PG_VALUES(v_int(b->boot), v_int(atomic_load(&b->seen)),
                                  v_int_or_null(b->has_peers ? b->joined_up_ms : -1, -1)));
}

static void name_channel(const struct backend *b, char out[CHANNEL_SIZE])
{
    (void)snprintf(out, CHANNEL_SIZE, "futured_%u", (unsigned)(uint32_t)b->schema);
}

void postgres_node_call_soon(struct backend *b)
{
    if (!atomic_exchange(&b->member->calls, true))
        fd_wake(b->member->wake_fd);
}

int postgres_node_call(struct backend *b)
{
    char channel[CHANNEL_SIZE];
    name_channel(b, channel);
    return postgres_run(&b->c, P_NOTIFY, PG_VALUES(v_text(channel), v_text(CALL_NEWS)));
}

int postgres_node_begin(struct backend *b, const struct store_config *cfg, struct fut_errbuf *err)
{
    struct postgres_node *n = xnew(struct postgres_node);
    n->b = b;
    n->c.url = b->url;
    n->c.settings = settings;
    n->on_fenced = cfg->on_fenced;
    n->on_lease = cfg->on_lease;
    n->fenced_ctx = cfg->fenced_ctx;
    n->wake_fd = fd_wake_new();
    name_channel(b, n->channel);
    mutex_init(&n->mu);
    cond_init(&n->wake);
    b->member = n;
    int rc = n->wake_fd >= 0 ? join_nodes(b) : FUT_ERR_IO;
    return rc == 0 ? 0 : fut_fail(err, rc, "cannot become a node of the PostgreSQL database");
}

static void watch_info(struct backend_self *self, void (*fn)(void *ctx), void *ctx)
{
    mutex_lock(&self->mu);
    self->on_info = fn;
    self->info_ctx = ctx;
    mutex_unlock(&self->mu);
}

/* What it says of itself has changed. */
static void on_info(void *backend)
{
    fd_wake(((struct backend *)backend)->member->wake_fd);
}

/* Says that it lives before others may write, so that these know its uptime. */
void postgres_join(struct backend *b, struct backend_self *self, void (*fn)(void *ctx), void *ctx)
{
    struct postgres_node *n = b->member;
    PGresult *r;
    n->self = self;
    n->on_news = fn;
    n->news_ctx = ctx;
    n->alive_ms = clock_mono_ms();
    if (say(&b->c, n, &n->alive_ms, &r) == 0) {
        n->n_nodes = postgres_int(r, 0, 0);
        PQclear(r);
    }
    (void)postgres_run(&b->c, P_END_TURN, PG_VALUES(v_int(b->schema)));
    watch_info(self, on_info, b);
    thread_start(&n->speaker, "store-node", speak, n);
    thread_start(&n->watcher, "store-lease", watch, n);
    n->is_started = true;
}

static void stop_threads(struct postgres_node *n)
{
    watch_info(n->self, NULL, NULL);
    mutex_lock(&n->mu);
    n->stops = true;
    cond_broadcast(&n->wake);
    mutex_unlock(&n->mu);
    fd_wake(n->wake_fd);
    thread_join(n->speaker);
    thread_join(n->watcher);
    tell_lease(n, 0);
}

void postgres_node_end(struct backend *b)
{
    struct postgres_node *n = b->member;
    if (!n)
        return;
    if (n->is_started)
        stop_threads(n);
    if (postgres_is_usable(&b->c) && !b->broken) {
        (void)postgres_run(&b->c, P_LEAVE, PG_VALUES(v_int(b->boot)));
        (void)postgres_run(&b->c, P_NOTIFY, PG_VALUES(v_text(n->channel), v_text(CALL_NODES)));
    }
    postgres_disconnect(&n->c);
    free(n->c.sent);
    fd_close(&n->wake_fd);
    cond_destroy(&n->wake);
    mutex_destroy(&n->mu);
    free(n);
    b->member = NULL;
}
