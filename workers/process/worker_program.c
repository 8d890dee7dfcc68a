#include "workers/process/worker_program.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/process/worker_faults.h"
#include "workers/process/worker_set_internal.h"

#define BUILTIN_HELLO_MS 30000

static struct worker_process *worker_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_process, link);
}

const char *worker_program_name(const struct worker_program *p)
{
    return p->handler ? p->handler->info.name : "futured";
}

/* ---- counting ---- */

uint32_t worker_program_living(const struct worker_program *p)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i)) {
        const struct worker_process *w = worker_at(i);
        n += !w->tired && (w->state == WORKER_STARTING || w->state == WORKER_READY);
    }
    return n;
}

static uint32_t in_state(const struct worker_program *p, enum worker_state state)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i))
        n += worker_at(i)->state == state;
    return n;
}

uint32_t worker_program_ready(const struct worker_program *p)
{
    return in_state(p, WORKER_READY);
}

struct worker_process *worker_program_idle(const struct worker_program *p, uint32_t *out_n)
{
    struct worker_process *longest = NULL;
    *out_n = 0;
    for (struct list_node *i = list_first(&p->workers); i; i = list_next(&p->workers, i)) {
        struct worker_process *w = worker_at(i);
        if (!worker_process_has_room(w) || w->jobs.len)
            continue;
        ++*out_n;
        if (!longest || w->idle_mono_ms < longest->idle_mono_ms)
            longest = w;
    }
    return longest;
}

/* ---- giving tasks ---- */

static void end_unstarted(struct worker_job *job, enum worker_end_how how)
{
    job->done(job, &(struct worker_end){.how = how, .log = ""});
}

static void give(struct worker_process *w, struct worker_job *job)
{
    if (worker_process_give(w, job) != 0)
        end_unstarted(job, WORKER_ENDED_REFUSED);
    else
        worker_set_note(w);
}

static struct worker_process *with_room(const struct worker_program *p)
{
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        if (worker_process_has_room(worker_at(n)))
            return worker_at(n);
    }
    return NULL;
}

static bool is_wide(const struct worker_program *p)
{
    return p->handler && p->handler->info.lane == LANE_IO;
}

bool worker_program_takes_now(const struct worker_program *p)
{
    return with_room(p) || (!p->broken_wall_ms && p->waiting.len == 0 && !is_wide(p));
}

bool worker_program_takes_more(const struct worker_program *p)
{
    uint64_t room = is_wide(p) ? 0 : 1; /* the one that makes it grow */
    bool any = false;
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        const struct worker_process *w = worker_at(n);
        if (w->state != WORKER_READY || w->tired)
            continue;
        any = true;
        room += w->width;
    }
    return any && p->claimed < room;
}

static void feed(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    struct list_node *n;
    while (worker_process_has_room(w) && (n = list_pop_front(&p->waiting)) != NULL)
        give(w, FUT_CONTAINER(n, struct worker_job, link));
}

void worker_program_seek(struct worker_program *p)
{
    if (p->waiting.len > in_state(p, WORKER_STARTING))
        worker_set_grow(p);
}

void worker_program_submit(struct worker_program *p, struct worker_job *job)
{
    struct worker_process *w = with_room(p);
    job->program = p;
    if (w) {
        give(w, job);
    } else if (p->broken_wall_ms) {
        end_unstarted(job, WORKER_ENDED_TAKEN);
    } else {
        list_push_back(&p->waiting, &job->link);
        worker_program_seek(p);
    }
}

void worker_program_give_back(struct worker_program *p)
{
    struct list_node *n;
    while ((n = list_pop_front(&p->waiting)) != NULL)
        end_unstarted(FUT_CONTAINER(n, struct worker_job, link), WORKER_ENDED_TAKEN);
}

/* ---- coming and going ---- */

static bool start_one(struct worker_program *p);

static bool can_fork(const struct worker_program *p)
{
    return p->template && p->template->state == WORKER_TEMPLATE && !p->template->tired;
}

/* It has loaded what its workers need. Whether they start is seen with the first of them. */
static void on_template(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    worker_set_note(w);
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
    worker_faults_mend(p);
    worker_set_note(w);
    worker_program_trim(p);
    feed(w);
    worker_program_fill(p);
    worker_set_changed(p->set);
}

/* Between two tasks: has it served long enough? One of a program at a time, so that the others are
 * there; but memory does not wait. */
static bool is_due(const struct worker_program *p, const struct worker_process *w)
{
    const struct worker_options *o = p->handler ? &p->handler->worker : NULL;
    if (!o)
        return false;
    if (o->max_rss_bytes && worker_process_rss_bytes(w) >= (uint64_t)o->max_rss_bytes)
        return true;
    bool old = (o->max_tasks && w->tasks_done >= (uint64_t)o->max_tasks) ||
               (o->max_age_ms && clock_mono_ms() - w->started_mono_ms >= o->max_age_ms);
    return old && in_state(p, WORKER_STARTING) == 0;
}

static void on_room(struct worker_process *w)
{
    struct worker_program *p = w->owner;
    worker_set_note(w);
    if (is_due(p, w)) {
        log_info("worker_recycled", LOG_STR("program", worker_program_name(p)),
                 LOG_INT("pid", w->pid), LOG_INT("tasks", w->tasks_done));
        worker_process_retire(w);
        worker_set_note(w);
        worker_program_fill(p);
    }
    worker_program_trim(p);
    feed(w);
    worker_set_room_made(p->set);
}

static void bury(struct loop_dead *dead)
{
    free(FUT_CONTAINER(dead, struct worker_process, dead));
}

static void on_gone(struct worker_process *w, const struct worker_end *end)
{
    struct worker_program *p = w->owner;
    if (p->template == w)
        p->template = NULL;
    list_remove(&p->workers, &w->link);
    worker_set_forget(w, end, p);
    loop_defer(worker_set_loop(p->set), &w->dead, bury);
    if (worker_faults_is_one(w, end) && !p->is_leaving)
        worker_faults_note(p, end);
    else
        worker_program_fill(p);
    worker_set_changed(p->set);
}

static const struct worker_hooks hooks = {.ready = on_ready, .room = on_room, .gone = on_gone};

static bool start_one(struct worker_program *p)
{
    struct worker_process *w = xnew(struct worker_process);
    bool one_each = !p->handler || p->handler->info.lane == LANE_CPU;
    struct worker_start how = {
        .command = p->handler ? p->handler->exec : NULL,
        .max_width = one_each ? 1 : WIRE_CONCURRENCY_MAX,
        .template = can_fork(p) ? p->template : NULL,
        .hello_ms = p->handler ? p->handler->worker.start_timeout_ms : BUILTIN_HELLO_MS,
    };
    worker_set_enter(p->set, w, &how);
    list_push_back(&p->workers, &w->link);
    if (worker_process_start(w, worker_set_loop(p->set), worker_set_children(p->set), &how, &hooks,
                             p) == 0) {
        worker_set_note(w);
        return true;
    }
    list_remove(&p->workers, &w->link);
    worker_set_leave(p->set, w);
    free(w);
    worker_faults_note(p, &(struct worker_end){.log = ""});
    return false;
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
           in_state(p, WORKER_STARTING) > 0;
}

void worker_program_fill(struct worker_program *p)
{
    while (!p->failed_starts && !must_wait(p) && worker_set_is_open(p->set) &&
           worker_program_living(p) < p->target && start_one(p))
        ;
}

void worker_program_trim(struct worker_program *p)
{
    struct worker_process *w;
    uint32_t idle;
    while (worker_program_living(p) > p->target && (w = worker_program_idle(p, &idle)) != NULL) {
        worker_process_retire(w);
        worker_set_note(w);
    }
}

void worker_program_init(struct worker_program *p, struct worker_set *set,
                         const struct handler *handler)
{
    *p = (struct worker_program){.set = set, .handler = handler};
    p->retry.fn = on_retry;
    list_init(&p->workers);
    list_init(&p->waiting);
}

void worker_program_leave(struct worker_program *p)
{
    p->is_leaving = true;
    worker_faults_forget(p);
    p->target = 0;
    worker_program_give_back(p);
    worker_program_trim(p);
    if (can_fork(p))
        worker_process_retire(p->template);
}

void worker_program_stop(struct worker_program *p)
{
    struct list_node *n;
    loop_timer_clear(worker_set_loop(p->set), &p->retry);
    while ((n = list_pop_front(&p->workers)) != NULL) {
        worker_process_release(worker_at(n));
        worker_set_leave(p->set, worker_at(n));
        free(worker_at(n));
    }
}
