#include "workers/process/worker_program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/process/worker_internal.h"
#include "workers/process/worker_renewal.h"

#define BUILTIN_HELLO_MS 30000
#define HERE_AHEAD 16 /* tasks of a process that wait for it, with us or with it */
#define RETRY_FIRST_MS 2000
#define RETRY_LAST_MS 60000

const char *worker_program_name(const struct worker_program *p)
{
    return p->handler ? p->handler->info.name : WORKER_BUILTINS_NAME;
}

bool worker_program_is_on_cpu(const struct worker_program *p)
{
    return !p->handler || p->handler->info.lane == LANE_CPU;
}

/* ---- counting ---- */

uint32_t worker_program_living(const struct worker_program *p)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i)) {
        const struct worker_process *w = worker_process_at(i);
        n += !w->retiring && !w->has_successor && !(p->lent && worker_process_is_blocked(w)) &&
             (w->state == WORKER_STARTING || w->state == WORKER_READY);
    }
    return n;
}

static uint32_t count_in_state(const struct worker_program *p, enum worker_state state)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i))
        n += worker_process_at(i)->state == state;
    return n;
}

uint32_t worker_program_ready(const struct worker_program *p)
{
    return count_in_state(p, WORKER_READY);
}

static bool is_idle(const struct worker_process *w)
{
    return worker_process_has_capacity(w) && w->jobs.len == 0;
}

uint32_t worker_program_idle(const struct worker_program *p)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i))
        n += is_idle(worker_process_at(i));
    return n;
}

/* ---- the view ---- */

/* After each change of a process's state or tasks. */
static void show(struct worker_process *w)
{
    const struct worker_program *p = w->owner;
    struct list_node *first = list_first(&w->jobs);
    struct pool_worker row = {
        .pid = w->pid,
        .lane = worker_program_is_on_cpu(p) ? LANE_CPU : LANE_IO,
        .state = worker_process_shown_state(w),
        .tasks = (uint32_t)w->jobs.len,
        .tasks_done = w->tasks_done,
        .started_wall_ms = w->started_wall_ms,
    };
    if (first)
        row.task = FUT_CONTAINER(first, struct worker_job, link)->task->spec->id;
    const char *name = worker_program_name(p);
    memcpy(row.program, name, strnlen(name, sizeof(row.program) - 1)); /* cheap: for each task */
    worker_view_put(&p->common->view, w->slot, &row, w->state == WORKER_READY);
}

/* ---- giving tasks ---- */

static void rebalance(struct worker_program *p)
{
    loop_do_soon(p->common->loop, &p->common->rebalance);
}

static void end_unstarted(struct worker_job *job, enum worker_end_how how)
{
    job->done(job, &(struct worker_end){.how = how, .log = ""});
}

static void renew(struct worker_program *p);

static void give(struct worker_process *w, struct worker_job *job)
{
    int rc = worker_process_give(w, job);
    if (rc != 0) {
        end_unstarted(job, rc == FUT_ERR_STATE ? WORKER_ENDED_SESSION : WORKER_ENDED_REFUSED);
        return;
    }
    show(w);
    renew(w->owner);
}

static struct worker_process *find_free(const struct worker_program *p)
{
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        if (worker_process_has_capacity(worker_process_at(n)))
            return worker_process_at(n);
    }
    return NULL;
}

bool worker_program_takes_now(const struct worker_program *p)
{
    return find_free(p) ||
           (!p->broken_wall_ms && p->waiting.len == 0 && worker_program_is_on_cpu(p));
}

bool worker_program_takes_more(const struct worker_program *p, bool ahead)
{
    uint64_t capacity = worker_program_is_on_cpu(p) ? 1 : 0; /* the one that makes it grow */
    bool any = false;
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        const struct worker_process *w = worker_process_at(n);
        if (w->state != WORKER_READY || w->retiring)
            continue;
        any = true;
        capacity += w->max_jobs - w->n_abandoned;
        if (ahead) /* one that takes none ahead: they wait here */
            capacity += w->n_abandoned ? w->max_ahead : HERE_AHEAD;
    }
    return any && p->claimed < capacity;
}

bool worker_program_needs_more(const struct worker_program *p)
{
    return p->waiting.len > count_in_state(p, WORKER_STARTING);
}

static void feed(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    struct list_node *n;
    while (worker_process_has_capacity(w) && (n = list_pop_front(&p->waiting)) != NULL) {
        struct worker_job *job = FUT_CONTAINER(n, struct worker_job, link);
        if (job->given)
            job->given(job);
        give(w, job);
    }
}

void worker_program_submit(struct worker_program *p, struct worker_job *job)
{
    struct worker_process *w = find_free(p);
    job->program = p;
    if (w) {
        give(w, job);
    } else if (p->broken_wall_ms) {
        end_unstarted(job, WORKER_ENDED_RETURNED);
    } else {
        list_push_back(&p->waiting, &job->link);
        rebalance(p);
    }
}

bool worker_program_submit_ahead(struct worker_program *p, struct worker_job *job)
{
    struct worker_process *best = NULL;
    if (!list_is_empty(&p->waiting)) /* those have their slots and come first */
        return false;
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        struct worker_process *w = worker_process_at(n);
        if (worker_ahead_takes(w, job) && worker_session_is_ready(w, job->task->init) &&
            (!best || w->ahead.len < best->ahead.len))
            best = w;
    }
    if (!best || worker_ahead_give(best, job) != 0)
        return false;
    job->program = p;
    renew(p);
    return true;
}

size_t worker_program_least_ahead(const struct worker_program *p)
{
    size_t least = list_is_empty(&p->waiting) ? SIZE_MAX : 0;
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        const struct worker_process *w = worker_process_at(n);
        if ((w->jobs.len || w->state == WORKER_STARTING) && w->ahead.len < least)
            least = w->ahead.len;
    }
    return least;
}

void worker_program_close_session(struct worker_program *p, struct task_id session)
{
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n))
        worker_session_close(worker_process_at(n), session);
}

void worker_program_stop_job(struct worker_job *job, int signal)
{
    struct worker_process *w = job->worker;
    if (w) {
        worker_process_stop_job(w, job, signal);
        show(w);
        worker_program_fill(w->owner); /* that one may be of no use any more */
    } else if (list_is_linked(&job->link)) {
        list_remove(&job->program->waiting, &job->link);
        end_unstarted(job, WORKER_ENDED_RETURNED);
    }
}

void worker_program_lend_job(struct worker_job *job, bool is_lent)
{
    struct worker_program *p = job->program;
    if (job->is_lent == is_lent)
        return;
    job->is_lent = is_lent;
    p->lent += is_lent ? 1u : -1u;
    if (is_lent && job->worker)
        worker_ahead_give_up(job->worker); /* it may wait for these */
    if (is_lent)
        worker_program_fill(p);
    else
        worker_program_trim(p);
    rebalance(p);
}

void worker_program_abandon_job(struct worker_job *job)
{
    struct worker_process *w = job->worker;
    if (w) {
        worker_process_abandon_job(w, job);
        show(w);
    } else if (list_is_linked(&job->link)) {
        list_remove(&job->program->waiting, &job->link);
    }
}

/* The tasks that wait for a process go back to the queue, uncharged. */
static void give_back(struct worker_program *p)
{
    struct list_node *n;
    while ((n = list_pop_front(&p->waiting)) != NULL)
        end_unstarted(FUT_CONTAINER(n, struct worker_job, link), WORKER_ENDED_RETURNED);
}

/* ---- a program that does not start ---- */

/* Whether it ended without having been of use, and not by our wish. A kill from outside of a
 * process that had started well is not worth a pause. */
static bool is_failed_start(const struct worker_process *w, const struct worker_end *end)
{
    bool was_killed = end->known && WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL;
    return !w->we_ended_it && w->last_id == 0 && !(w->said_hello && was_killed);
}

/* While no process of the program is ready its tasks stay in the queue. */
static void break_program(struct worker_program *p)
{
    struct pool_broken fault = {.of_builtins = !p->handler};
    if (p->is_leaving || worker_program_ready(p))
        return;
    if (!p->broken_wall_ms)
        p->broken_wall_ms = clock_wall_ms();
    fault.since_wall_ms = p->broken_wall_ms;
    memcpy(fault.words, p->last_words, sizeof(fault.words));
    worker_view_put_fault(&p->common->view, worker_program_name(p), &fault);
    give_back(p);
}

/* Keeps its last words and sets p->retry. */
static void take_failed_start(struct worker_program *p, const struct worker_end *end)
{
    worker_end_words(end, p->last_words, sizeof(p->last_words));
    if (!heap_is_linked(&p->retry.node)) {
        p->retry_ms = backoff_ms(++p->failed_starts, RETRY_FIRST_MS, RETRY_LAST_MS);
        loop_timer_set(p->common->loop, &p->retry, clock_mono_ms() + p->retry_ms);
        log_warn("worker_start_failed", LOG_STR("program", worker_program_name(p)),
                 LOG_STR("words", p->last_words), LOG_INT("again_ms", p->retry_ms));
    }
    break_program(p);
}

static void forget_fault(struct worker_program *p)
{
    if (p->broken_wall_ms) /* the view is locked for a change: not at every HELLO */
        worker_view_remove_fault(&p->common->view, worker_program_name(p));
    p->broken_wall_ms = 0;
    loop_timer_clear(p->common->loop, &p->retry);
}

/* A process has said HELLO: the program starts. */
static void mend(struct worker_program *p)
{
    if (p->failed_starts)
        log_info("worker_start_recovered", LOG_STR("program", worker_program_name(p)),
                 LOG_INT("failed_starts", p->failed_starts));
    p->failed_starts = 0;
    forget_fault(p);
}

/* ---- processes come and go ---- */

static bool start_one(struct worker_program *p);

static void retire(struct worker_process *w)
{
    worker_process_retire(w);
    show(w);
}

static void recycle(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    log_info("worker_recycled", LOG_STR("program", worker_program_name(p)), LOG_INT("pid", w->pid),
             LOG_INT("tasks", w->tasks_done + w->jobs.len));
    retire(w);
    worker_program_fill(p);
}

static bool can_fork(const struct worker_program *p)
{
    return p->template && p->template->state == WORKER_TEMPLATE && !p->template->retiring;
}

/* It has loaded what its workers need. Whether they start is seen with the first of them. */
static void on_template(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    show(w);
    p->origin = WORKER_ORIGIN_FORKED;
    if (p->is_leaving || can_fork(p)) { /* one is enough */
        worker_process_retire(w);
        return;
    }
    p->template = w;
    log_info("worker_template", LOG_STR("program", worker_program_name(p)), LOG_INT("pid", w->pid));
    if (p->failed_starts && worker_program_living(p) < p->target)
        (void)start_one(p);
    worker_program_fill(p);
}

static void on_ready(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    if (w->state == WORKER_TEMPLATE) {
        on_template(w);
        return;
    }
    if (!w->is_forked)
        p->origin = WORKER_ORIGIN_STARTED;
    mend(p);
    show(w);
    renew(p);
    worker_program_trim(p);
    feed(w);
    worker_program_fill(p);
    rebalance(p);
}

/* One of its tasks has ended. */
static void on_capacity(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    int64_t max_rss = p->handler ? p->handler->worker.max_rss_bytes : 0;
    show(w);
    if (w->retiring)
        retire(w); /* it leaves now if that was the last one */
    else if (max_rss && worker_process_rss_bytes(w) >= (uint64_t)max_rss)
        recycle(w);
    renew(p);
    worker_program_trim(p);
    feed(w);
    rebalance(p);
}

static void free_process(struct loop_deferred *deferred)
{
    free(FUT_CONTAINER(deferred, struct worker_process, deferred));
}

static void count_death(const struct worker_program *p, const struct worker_process *w,
                        const struct worker_end *end)
{
    bool by_signal = end->known && WIFSIGNALED(end->status);
    if (w->we_ended_it)
        return;
    worker_view_count_death(&p->common->view, worker_program_name(p),
                            end->known ? end->status : -1);
    if (children_are_broken(p->common->children))
        return; /* then every worker dies, and that was logged once */
    if (!w->said_hello)
        return; /* worker_start_failed tells of it, once for each pause */
    log_warn("worker_died", LOG_STR("program", worker_program_name(p)), LOG_INT("pid", w->pid),
             LOG_INT("exit_code", end->known && !by_signal ? WEXITSTATUS(end->status) : -1),
             LOG_INT("signal", by_signal ? WTERMSIG(end->status) : 0),
             LOG_INT("max_rss_kib", end->max_rss_kib), LOG_INT("cpu_ms", end->cpu_ms),
             LOG_INT("tasks", w->tasks_done));
}

static void on_gone(struct worker_process *w, const struct worker_end *end)
{
    struct worker_program *p = w->owner;
    if (p->template == w)
        p->template = NULL;
    list_remove(&p->workers, &w->link);
    worker_view_remove(&p->common->view, w->slot);
    count_death(p, w, end);
    loop_defer(p->common->loop, &w->deferred, free_process);
    if (is_failed_start(w, end) && !p->is_leaving)
        take_failed_start(p, end);
    else
        worker_program_fill(p);
    rebalance(p);
}

static const struct worker_hooks hooks = {
    .started = show, .ready = on_ready, .has_capacity = on_capacity, .gone = on_gone};

static bool start_one(struct worker_program *p)
{
    struct worker_process *w = xnew(struct worker_process);
    struct worker_common *c = p->common;
    struct worker_start how = {
        .command = p->handler ? p->handler->exec : NULL,
        .max_jobs = worker_program_is_on_cpu(p) ? 1 : WIRE_CONCURRENCY_MAX,
        .template = can_fork(p) ? p->template : NULL,
        .hello_ms = p->handler ? p->handler->worker.start_timeout_ms : BUILTIN_HELLO_MS,
        .max_result_bytes = c->max_result_bytes,
    };
    w->slot = worker_view_reserve(&c->view);
    list_push_back(&p->workers, &w->link);
    if (worker_process_start(w, c->loop, c->children, &how, &hooks, p) == 0) {
        show(w);
        return true;
    }
    list_remove(&p->workers, &w->link);
    worker_view_remove(&c->view, w->slot);
    free(w);
    take_failed_start(p, &(struct worker_end){.log = ""});
    return false;
}

void worker_program_try_again(struct worker_program *p)
{
    if (heap_is_linked(&p->retry.node))
        loop_timer_set(p->common->loop, &p->retry, clock_mono_ms());
}

/* One process shows whether it starts now. */
static void on_retry(struct loop_timer *t)
{
    struct worker_program *p = FUT_CONTAINER(t, struct worker_program, retry);
    if (worker_program_living(p) < p->target)
        (void)start_one(p);
}

/* The one that starts now may be the one that forks the others. */
static bool must_wait(const struct worker_program *p)
{
    return p->handler && p->origin != WORKER_ORIGIN_STARTED && !can_fork(p) &&
           count_in_state(p, WORKER_STARTING) > 0;
}

void worker_program_fill(struct worker_program *p)
{
    while (!p->failed_starts && !must_wait(p) && p->common->is_open &&
           worker_program_living(p) < p->target && start_one(p))
        ;
}

/* ---- renewal ---- */

/* Successors are started one at a time, so that a program does not load everything at once. */
static void start_successor(struct worker_program *p, struct worker_process *w)
{
    if (count_in_state(p, WORKER_STARTING) > 0)
        return;
    w->has_successor = true;
    worker_program_fill(p);
}

/* Ends the processes that have served long enough and starts successors of those that soon will
 * have: after each task that was given, after each HELLO, and by time. */
static void renew(struct worker_program *p)
{
    const struct worker_options *o = p->handler ? &p->handler->worker : NULL;
    int64_t now_ms, next_ms = INT64_MAX;
    if (!o || p->is_leaving || (!o->max_tasks && !o->max_age_ms))
        return;
    now_ms = clock_mono_ms();
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i)) {
        struct worker_process *w = worker_process_at(i);
        if (!worker_renewal_serves(w))
            continue;
        bool is_replaced =
            w->has_successor && worker_renewal_count_lasting(&p->workers) >= p->target;
        if (is_replaced || worker_renewal_is_due(w, o, now_ms)) {
            if (worker_renewal_is_old(w, o, now_ms))
                worker_process_yield_all(w);
            recycle(w);
            continue;
        }
        if (!w->has_successor && worker_renewal_is_near(w, o, now_ms))
            start_successor(p, w);
        int64_t at_ms = worker_renewal_next_mono_ms(w, o, now_ms);
        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    if (next_ms < INT64_MAX)
        loop_timer_set(p->common->loop, &p->renewal, next_ms);
}

static void on_renewal(struct loop_timer *t)
{
    renew(FUT_CONTAINER(t, struct worker_program, renewal));
}

/* NULL: none is idle. */
static struct worker_process *find_longest_idle(const struct worker_program *p)
{
    struct worker_process *longest = NULL;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i)) {
        struct worker_process *w = worker_process_at(i);
        if (is_idle(w) && (!longest || w->idle_mono_ms < longest->idle_mono_ms))
            longest = w;
    }
    return longest;
}

void worker_program_trim(struct worker_program *p)
{
    struct worker_process *w;
    if (p->lent &&
        !p->is_leaving) /* they were started for slots that are lent, and soon are again */
        return;
    while (worker_program_living(p) > p->target && (w = find_longest_idle(p)) != NULL)
        retire(w);
}

bool worker_program_give_way(struct worker_program *p)
{
    struct worker_process *w = find_longest_idle(p);
    if (!w)
        return false;
    p->target--;
    retire(w);
    return true;
}

/* ---- life ---- */

void worker_program_init(struct worker_program *p, struct worker_common *common,
                         const struct handler *handler)
{
    *p = (struct worker_program){.common = common, .handler = handler};
    p->retry.fn = on_retry;
    p->renewal.fn = on_renewal;
    list_init(&p->workers);
    list_init(&p->waiting);
}

void worker_program_leave(struct worker_program *p)
{
    p->is_leaving = true;
    forget_fault(p);
    p->target = 0;
    give_back(p);
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n))
        worker_process_yield_all(worker_process_at(n));
    worker_program_trim(p);
    if (can_fork(p))
        retire(p->template);
}

void worker_program_stop(struct worker_program *p)
{
    struct list_node *n;
    loop_timer_clear(p->common->loop, &p->retry);
    loop_timer_clear(p->common->loop, &p->renewal);
    while ((n = list_pop_front(&p->workers)) != NULL) {
        worker_process_release(worker_process_at(n));
        worker_view_remove(&p->common->view, worker_process_at(n)->slot);
        free(worker_process_at(n));
    }
}
