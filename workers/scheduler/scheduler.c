#include "workers/scheduler/scheduler.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/scheduler/internal.h"

#define COMMIT_WAIT_MS 5 /* nobody is woken for a commit that went well */
#define DELAY_MIN_US 500 /* a thread may wait as long for its turn: workers would be idle */
#define DELAY_MAX_US 2000
#define GATHER_MS 4         /* an end waits so long for others at most */
#define DRAIN_SLACK_MS 5000 /* for the last commits, and for what KILL takes */

/* ---- the thread ---- */

static size_t count_attempts(const struct scheduler *s)
{
    size_t n = 0;
    for_each_lane (l) {
        for (int state = 0; state < ATTEMPT_STATE_COUNT; state++)
            n += s->lanes[l].in[state].len;
    }
    return n;
}

static void check_drained(struct scheduler *s)
{
    if (!s->draining || count_attempts(s) || s->claims.len)
        return;
    s->draining = false;
    loop_timer_clear(s->loop, &s->drain_timer);
    mutex_lock(&s->mu);
    s->drained = true;
    cond_signal(&s->drained_cond);
    mutex_unlock(&s->mu);
}

/* A commit costs as much for one end as for ten, on whatever CPU the tasks would have. So where
 * attempts have ended and every such lane has enough to do, their ends and the claims for their
 * places wait for others, and go in one commit. What is true of the store stays so: for it these
 * attempts run a little longer. */
static bool may_gather(struct scheduler *s)
{
    bool any = false;
    for_each_lane (l) {
        if (!s->lanes[l].in[ATTEMPT_ENDED].len)
            continue;
        if (!ready_lasts(s, l))
            return false;
        any = true;
    }
    return any && !atomic_load_explicit(&s->claims_stopped, memory_order_relaxed);
}

/* How long the thread may sleep before it gathers no more, or 0: it does not gather. */
static int64_t gather_ms(struct scheduler *s)
{
    int64_t now_ms;
    if (!may_gather(s)) {
        s->gather_mono_ms = 0;
        return 0;
    }
    now_ms = clock_mono_ms();
    if (!s->gather_mono_ms)
        s->gather_mono_ms = now_ms + GATHER_MS;
    if (now_ms < s->gather_mono_ms)
        return s->gather_mono_ms - now_ms;
    return s->gather_mono_ms = 0;
}

/* While each process has the next tasks with it, and there are more, nobody is kept waiting when
 * the thread hears of what has ended a little later, and of several at once. 0, or for how long. */
static int64_t delay_us(const struct scheduler *s)
{
    const struct lane_slots *cpu = &s->lanes[LANE_CPU];
    if (cpu->programs || s->lanes[LANE_IO].programs || !ready_lasts(s, LANE_CPU) ||
        atomic_load_explicit(&s->claims_stopped, memory_order_relaxed))
        return 0;
    int64_t us = (int64_t)worker_set_least_ahead(s->workers) * cpu->ran_us / 2;
    return us < DELAY_MIN_US ? 0 : us < DELAY_MAX_US ? us : DELAY_MAX_US;
}

static void *scheduler_thread(void *arg)
{
    struct scheduler *s = arg;
    while (!s->quit) {
        bool more = mailbox_run(&s->inbox);
        ready_begin(s);
        if (!list_is_empty(&s->thread_jobs)) {
            slots_start_threads(s);
            thread_pool_submit(s->pool, &s->thread_jobs);
        }
        int64_t wait_ms = gather_ms(s);
        if (!wait_ms) {
            finish_ended(s);
            wait_ms = s->posted ? COMMIT_WAIT_MS : -1;
        }
        claims_post(s); /* after the ends of this turn, so that both travel in one commit */
        check_drained(s);
        int64_t delay = more ? 0 : delay_us(s);
        if (delay)
            loop_delay(s->loop, delay);
        loop_turn(s->loop, more || delay ? 0 : wait_ms);
    }
    finish_ended(s);
    return NULL;
}

static void on_waits(struct mailbox_call *item)
{
    struct scheduler *s = FUT_CONTAINER(item, struct scheduler, waits_item);
    atomic_store(&s->waits_are_told, false);
    slots_follow_waits(s);
}

/* Any thread. */
static void tell_waits(void *ctx)
{
    struct scheduler *s = ctx;
    if (!atomic_exchange(&s->waits_are_told, true))
        mailbox_push(&s->inbox, &s->waits_item.link);
}

static void on_wake(struct loop_source *src, uint32_t events)
{
    (void)src;
    (void)events; /* edge-triggered and never read: the inbox is looked at in every turn */
}

/* Attempts whose processes have gone with the fork server: their tasks are given back. */
static void give_back_unforked(struct lane_slots *lane, enum attempt_state state)
{
    struct attempt *next;
    for (struct attempt *a = attempt_first(lane, state); a; a = next) {
        next = attempt_next(a);
        if (!a->kind->needs_fork_server)
            continue;
        a->kind->abandon(a);
        next = attempt_next(a); /* its worker may have begun another one */
        if (a->stop == STOP_NONE)
            a->stop = STOP_RELEASED;
        attempt_end(a, RUN_NONE, NULL);
    }
}

static void on_broken(void *ctx)
{
    struct scheduler *s = ctx;
    log_error("fork_server_died", LOG_INT("pid", fork_server_pid(s->cfg.fs)));
    atomic_store(&s->broken, true);
    scheduler_stop_claiming(s);
    for_each_lane (l) {
        attempt_exec_recall_line(&s->lanes[l]); /* what has begun is running */
        give_back_unforked(&s->lanes[l], ATTEMPT_RUNNING);
        give_back_unforked(&s->lanes[l], ATTEMPT_STOPPING);
    }
    fd_wake(s->broken_fd);
}

/* ---- life ---- */

static uint32_t random_seed(void)
{
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) || !seed)
        seed = 2463534242u; /* for jitter alone */
    return seed;
}

static void init_containers(struct scheduler *s)
{
    for_each_lane (l) {
        for (int state = 0; state < ATTEMPT_STATE_COUNT; state++)
            list_init(&s->lanes[l].in[state]);
    }
    list_init(&s->thread_jobs);
    list_init(&s->cancels_by_age);
    map_init(&s->by_id);
    map_init(&s->sessions);
    map_init(&s->cancels);
    mutex_init(&s->mu);
    cond_init(&s->drained_cond);
}

/* What a shortage of descriptors may refuse. */
static int open_descriptors(struct scheduler *s)
{
    s->wake.fd = -1;
    int rc = mailbox_init(&s->inbox);
    s->broken_fd = rc == 0 ? fd_wake_new() : -1;
    s->loop = s->broken_fd >= 0 ? loop_new() : NULL;
    if (!s->loop)
        return FUT_ERR_IO;
    int wake = dup(s->inbox.wake_fd);
    if (wake < 0 || loop_open(s->loop, &s->wake, wake, EPOLLIN | EPOLLET, on_wake) != 0) {
        int why = errno;
        fd_close(&wake);
        errno = why;
        return FUT_ERR_IO;
    }
    if (loop_end_delays(s->loop, &s->wake) != 0)
        return FUT_ERR_IO;
    s->children = children_new(s->loop, s->cfg.fs, on_broken, s);
    return s->children ? 0 : FUT_ERR_IO;
}

static void release(struct scheduler **sp)
{
    struct scheduler *s = *sp;
    children_free(&s->children);
    if (s->loop)
        loop_close(s->loop, &s->wake);
    loop_free(&s->loop);
    mailbox_release(&s->inbox);
    map_release(&s->by_id);
    session_slots_release(s);
    map_release(&s->cancels);
    cond_destroy(&s->drained_cond);
    mutex_destroy(&s->mu);
    fd_close(&s->broken_fd);
    free(s);
    *sp = NULL;
}

int scheduler_new(const struct scheduler_config *cfg, struct scheduler **out,
                  struct fut_errbuf *err)
{
    struct scheduler *s = xnew(struct scheduler);
    FUT_ASSERT(cfg->max_threads >= 1 && cfg->max_workers >= 1);
    (void)signal(SIGPIPE, SIG_IGN); /* a program may close its standard input */
    s->cfg = *cfg;
    s->random = random_seed();
    init_containers(s);
    if (open_descriptors(s) != 0) {
        int why = errno;
        release(&s);
        return fut_fail(err, FUT_ERR_IO, "the scheduler: %s", strerror(why));
    }
    slots_init(s);
    claims_init(s);
    ready_init(s);
    if (cfg->callback_secret && *cfg->callback_secret &&
        webhook_secret_parse(cfg->callback_secret, &s->callback_secret, NULL) != 0)
        FUT_BUG("the callback secret was not checked");
    s->workers =
        worker_set_new(&(struct worker_set_config){.loop = s->loop,
                                                   .children = s->children,
                                                   .handlers = cfg->handlers,
                                                   .slots = cfg->max_workers,
                                                   .max_result_bytes = cfg->max_result_bytes});
    store_listen(cfg->store, cancels_listener, s);
    s->waits_item.fn = on_waits;
    if (cfg->tokens)
        attempt_token_watch(cfg->tokens, tell_waits, s);
    audit_init(s);
    *out = s;
    return 0;
}

void scheduler_start(struct scheduler *s)
{
    worker_set_start(s->workers);
    s->pool = thread_pool_start(s->cfg.max_threads);
    slots_started(s);
    s->started = true;
    thread_start(&s->thread, "scheduler", scheduler_thread, s);
}

void scheduler_reload(struct scheduler *s, const struct scheduler_plan *plan)
{
    slots_plan(s, plan);
}

void scheduler_stop_claiming(struct scheduler *s)
{
    atomic_store(&s->claims_stopped, true);
    store_stop_claims(s->cfg.store);
}

/* ---- draining ---- */

static void on_grace_end(struct loop_timer *t)
{
    struct scheduler *s = FUT_CONTAINER(t, struct scheduler, drain_timer);
    for_each_lane (l) {
        for (struct attempt *a; (a = attempt_first(&s->lanes[l], ATTEMPT_RUNNING)) != NULL;)
            attempt_stop(a, STOP_RELEASED);
    }
}

/* Those that can go on after the restart need not be waited for. */
static void yield_running(const struct lane_slots *lane)
{
    struct attempt *next;
    for (struct attempt *a = attempt_first(lane, ATTEMPT_RUNNING); a; a = next) {
        next = attempt_next(a);
        if (a->kind->yield)
            a->kind->yield(a);
    }
}

static void on_drain(struct mailbox_call *item)
{
    struct scheduler *s = FUT_CONTAINER(item, struct scheduler, drain_item);
    s->draining = true;
    for_each_lane (l)
        yield_running(&s->lanes[l]);
    s->drain_timer.fn = on_grace_end;
    loop_timer_set(s->loop, &s->drain_timer, clock_mono_ms() + s->grace_ms);
}

bool scheduler_drain(struct scheduler *s, int64_t grace_ms)
{
    scheduler_stop_claiming(s);
    s->grace_ms = grace_ms;
    s->drain_item.fn = on_drain;
    mailbox_push(&s->inbox, &s->drain_item.link);
    int64_t total_ms = grace_ms + s->cfg.kill_grace_ms + DRAIN_SLACK_MS;
    int64_t deadline_us = clock_mono_us() + total_ms * 1000;
    mutex_lock(&s->mu);
    while (!s->drained && cond_wait_until(&s->drained_cond, &s->mu, deadline_us))
        ;
    bool drained = s->drained;
    mutex_unlock(&s->mu);
    return drained;
}

/* ---- stopping ---- */

static void on_quit(struct mailbox_call *item)
{
    FUT_CONTAINER(item, struct scheduler, quit_item)->quit = true;
}

static void abandon_all(const struct lane_slots *lane, enum attempt_state state)
{
    for (struct attempt *a = attempt_first(lane, state); a; a = attempt_next(a))
        a->kind->abandon(a);
}

void scheduler_stop(struct scheduler *s)
{
    if (!s->started)
        return;
    scheduler_stop_claiming(s);
    s->quit_item.fn = on_quit;
    mailbox_push(&s->inbox, &s->quit_item.link);
    thread_join(s->thread);
    s->started = false;
    for_each_lane (l) {
        abandon_all(&s->lanes[l], ATTEMPT_RUNNING);
        abandon_all(&s->lanes[l], ATTEMPT_STOPPING);
    }
    thread_pool_stop(&s->pool);
    worker_set_stop(s->workers);
}

/* What is still there stays as it is in the store. */
static void free_attempts(struct lane_slots *lane)
{
    for (int state = 0; state < ATTEMPT_STATE_COUNT; state++) {
        for (struct list_node *n; (n = list_pop_front(&lane->in[state])) != NULL;)
            attempt_free(FUT_CONTAINER(n, struct attempt, link));
    }
}

void scheduler_free(struct scheduler **sp)
{
    struct scheduler *s = *sp;
    if (!s)
        return;
    scheduler_stop(s);
    while (mailbox_run(&s->inbox))
        ;
    claims_free(s);
    audit_free(s);
    for_each_lane (l) {
        free_attempts(&s->lanes[l]);
        loop_timer_clear(s->loop, &s->lanes[l].ready_timer);
    }
    cancels_free(s);
    loop_run_deferred(s->loop);
    worker_set_free(&s->workers);
    slots_free(s);
    release(sp);
}

/* ---- what others may see ---- */

static void on_probe(struct mailbox_call *item)
{
    thread_probe_answer(&FUT_CONTAINER(item, struct scheduler, probe_item)->probe);
}

bool scheduler_has_moved(struct scheduler *s)
{
    if (!s->started)
        return true;
    if (!thread_probe_ask(&s->probe))
        return false;
    s->probe_item.fn = on_probe;
    mailbox_push(&s->inbox, &s->probe_item.link);
    return true;
}

bool scheduler_broken(const struct scheduler *s)
{
    return atomic_load(&s->broken);
}

int scheduler_broken_fd(const struct scheduler *s)
{
    return s->broken_fd;
}

static void read_pools(void *ctx, struct pool_stats *out)
{
    struct scheduler *s = ctx;
    for_each_lane (l)
        slots_read(s, l, &out->lanes[l]);
    out->containment = fork_server_containment(s->cfg.fs);
    struct worker_view_counts counts = worker_view_counts(worker_set_view(s->workers));
    int status = counts.last_status;
    out->workers_alive = counts.ready;
    out->workers_died = counts.died;
    memcpy(out->died_by, counts.died_by, sizeof(out->died_by));
    out->programs_broken = counts.faults + exec_holds_count(&s->holds);
    out->last_exit_code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    out->last_signal = status >= 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static struct pool_worker *list_workers(void *ctx, size_t *out_n)
{
    const struct scheduler *s = ctx;
    return worker_view_copy(worker_set_view(s->workers), out_n);
}

static bool find_broken(void *ctx, const char *handler, struct pool_broken *out)
{
    struct scheduler *s = ctx;
    const char *program = builtins_find(handler) ? WORKER_BUILTINS_NAME : handler;
    return worker_view_find_fault(worker_set_view(s->workers), program, out) ||
           exec_holds_find(&s->holds, handler, out);
}

static bool find_shortage(void *ctx, struct pool_broken *out)
{
    struct scheduler *s = ctx;
    return exec_holds_find_all(&s->holds, out);
}

static void listen_to_deaths(void *ctx, pool_death_listener *fn, void *listener_ctx)
{
    const struct scheduler *s = ctx;
    worker_view_listen(worker_set_view(s->workers), fn, listener_ctx);
}

struct pool_view scheduler_view(struct scheduler *s)
{
    return (struct pool_view){.ctx = s,
                              .read = read_pools,
                              .change = slots_change,
                              .workers = list_workers,
                              .broken = find_broken,
                              .shortage = find_shortage,
                              .listen = listen_to_deaths};
}
