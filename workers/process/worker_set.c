#include "workers/process/worker_set.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/mem.h"
#include "workers/process/worker_set_internal.h"

struct worker_set {
    struct worker_set_config cfg;
    struct list programs; /* the built-ins' first */
    struct worker_process **by_slot;
    uint32_t n_slots; /* of by_slot */
    bool is_open;
    struct worker_book book;
    atomic_uint alive;
    _Atomic uint64_t died;
    atomic_int last_status; /* of the latest death, as waitpid has it; -1 not known */
};

static struct worker_program *program_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_program, link);
}

static bool on_cpu(const struct worker_program *p)
{
    return !p->handler || p->handler->info.lane == LANE_CPU;
}

static bool shares_slots(const struct worker_program *p)
{
    return on_cpu(p) && !p->is_leaving;
}

struct loop *worker_set_loop(const struct worker_set *s)
{
    return s->cfg.loop;
}

struct children *worker_set_children(const struct worker_set *s)
{
    return s->cfg.children;
}

bool worker_set_is_open(const struct worker_set *s)
{
    return s->is_open;
}

const struct list *worker_set_programs(const struct worker_set *s)
{
    return &s->programs;
}

/* ---- who has how many ---- */

static uint32_t count_cpu_programs(const struct worker_set *s)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i))
        n += shares_slots(program_at(i));
    return n;
}

static uint32_t sum_of_targets(const struct worker_set *s)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i))
        n += shares_slots(program_at(i)) ? program_at(i)->target : 0;
    return n;
}

/* At first: the operator's programs share the slots, for they may be slow to start; one process for
 * the built-ins, which start in no time. */
static void share_out(struct worker_set *s)
{
    uint32_t n = count_cpu_programs(s) - 1, left = s->cfg.slots;
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i)) {
        struct worker_program *p = program_at(i);
        if (p->is_leaving)
            continue;
        p->target = 1;
        if (!p->handler && n == 0)
            p->target = s->cfg.slots;
        if (!p->handler || !on_cpu(p) || n == 0)
            continue;
        if (left / n > 1)
            p->target = left / n;
        left -= left > p->target ? p->target : left;
        n--;
    }
}

/* The program with the most idle processes, one of which it can do without. */
static struct worker_program *who_gives_way(const struct worker_set *s,
                                            const struct worker_program *to)
{
    struct worker_program *best = NULL;
    uint32_t most = 0, idle;
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n)) {
        struct worker_program *p = program_at(n);
        if (p == to || !on_cpu(p) || p->target < 2 || !worker_program_idle(p, &idle))
            continue;
        if (idle > most) {
            most = idle;
            best = p;
        }
    }
    return best;
}

static bool take_from_another(struct worker_set *s, const struct worker_program *to)
{
    struct worker_program *from = who_gives_way(s, to);
    uint32_t idle;
    if (!from)
        return false;
    struct worker_process *w = worker_program_idle(from, &idle);
    from->target--;
    worker_process_retire(w);
    worker_set_note(w);
    return true;
}

void worker_set_grow(struct worker_program *p)
{
    struct worker_set *s = p->set;
    uint32_t most = s->cfg.slots + count_cpu_programs(s) - 1;
    if (!shares_slots(p) || p->failed_starts || p->target >= s->cfg.slots)
        return;
    if (sum_of_targets(s) < most || take_from_another(s, p))
        p->target++;
    worker_program_fill(p);
}

/* ---- the book of processes ---- */

static uint32_t free_slot(struct worker_set *s)
{
    uint32_t i = 0;
    while (i < s->n_slots && s->by_slot[i])
        i++;
    if (i == s->n_slots) {
        s->by_slot = xrealloc(s->by_slot, (i + 1) * sizeof(struct worker_process *));
        s->by_slot[s->n_slots++] = NULL;
    }
    return i;
}

void worker_set_enter(struct worker_set *s, struct worker_process *w, struct worker_start *how)
{
    how->max_result_bytes = s->cfg.max_result_bytes;
    w->slot = free_slot(s);
    s->by_slot[w->slot] = w;
}

void worker_set_leave(struct worker_set *s, struct worker_process *w)
{
    s->by_slot[w->slot] = NULL;
    worker_book_strike(&s->book, w->slot);
}

static void count_alive(struct worker_set *s)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i))
        n += on_cpu(program_at(i)) ? worker_program_ready(program_at(i)) : 0;
    atomic_store_explicit(&s->alive, n, memory_order_relaxed);
}

void worker_set_note(struct worker_process *w)
{
    worker_book_note(&((struct worker_program *)w->owner)->set->book, w);
}

void worker_set_room_made(struct worker_set *s)
{
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n)) {
        if (program_at(n)->waiting.len)
            worker_program_seek(program_at(n));
    }
}

void worker_set_changed(struct worker_set *s)
{
    count_alive(s);
    worker_set_room_made(s);
}

void worker_set_forget(struct worker_process *w, const struct worker_end *end,
                       const struct worker_program *p)
{
    struct worker_set *s = p->set;
    bool by_signal = end->known && WIFSIGNALED(end->status);
    worker_set_leave(s, w);
    if (w->by_us)
        return;
    atomic_fetch_add_explicit(&s->died, 1, memory_order_relaxed);
    atomic_store_explicit(&s->last_status, end->known ? end->status : -1, memory_order_relaxed);
    if (children_are_broken(s->cfg.children))
        return; /* then every worker dies, and that was logged once */
    log_warn("worker_died", LOG_STR("program", worker_program_name(p)), LOG_INT("pid", w->pid),
             LOG_INT("exit_code", end->known && !by_signal ? WEXITSTATUS(end->status) : -1),
             LOG_INT("signal", by_signal ? WTERMSIG(end->status) : 0),
             LOG_INT("max_rss_kib", end->max_rss_kib), LOG_INT("cpu_ms", end->cpu_ms),
             LOG_INT("tasks", w->tasks_done));
}

/* ---- life ---- */

static void add_program(struct worker_set *s, const struct handler *h,
                        const struct handlers *handlers)
{
    struct worker_program *p = xnew(struct worker_program);
    worker_program_init(p, s, h);
    p->handlers = handlers ? handlers_ref(handlers) : NULL;
    list_push_back(&s->programs, &p->link);
}

static void free_program(struct worker_program *p)
{
    loop_timer_clear(worker_set_loop(p->set), &p->retry);
    handlers_unref(p->handlers);
    free(p);
}

/* Those that are not there yet. */
static void add_programs(struct worker_set *s, const struct handlers *handlers)
{
    const struct catalog *all = handlers_catalog(handlers);
    for (size_t i = 0; i < all->n; i++) {
        const struct handler *h = handlers_find(handlers, all->items[i].name);
        if (h->is_worker && !worker_set_program(s, h))
            add_program(s, h, handlers);
    }
}

struct worker_set *worker_set_new(const struct worker_set_config *cfg)
{
    struct worker_set *s = xnew(struct worker_set);
    FUT_ASSERT(cfg->slots >= 1);
    s->cfg = *cfg;
    atomic_init(&s->last_status, -1);
    list_init(&s->programs);
    worker_book_init(&s->book);
    add_program(s, NULL, NULL);
    if (cfg->handlers)
        add_programs(s, cfg->handlers);
    share_out(s);
    return s;
}

void worker_set_start(struct worker_set *s)
{
    s->is_open = true;
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n))
        worker_program_fill(program_at(n));
}

static void follow_targets(struct worker_set *s)
{
    share_out(s);
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i)) {
        worker_program_trim(program_at(i));
        worker_program_fill(program_at(i));
    }
    worker_set_changed(s);
}

void worker_set_resize(struct worker_set *s, uint32_t n)
{
    s->cfg.slots = n;
    follow_targets(s);
}

/* Keeps the program when its entry is as it was. */
static void compare_program(struct worker_program *p, const struct handlers *now)
{
    const struct handler *h = handlers_find(now, p->handler->info.name);
    if (!h || !h->is_worker || strcmp(h->definition, p->handler->definition) != 0) {
        worker_program_leave(p);
        return;
    }
    handlers_unref(p->handlers);
    p->handlers = handlers_ref(now);
    p->handler = h;
}

void worker_set_reload(struct worker_set *s, const struct handlers *now)
{
    struct list_node *next;
    for (struct list_node *i = list_first(&s->programs); i; i = next) {
        struct worker_program *p = program_at(i);
        next = list_next(&s->programs, i);
        if (p->handler && !p->is_leaving)
            compare_program(p, now);
        if (!p->is_leaving || !list_is_empty(&p->workers) || p->claimed)
            continue;
        list_remove(&s->programs, i);
        free_program(p);
    }
    add_programs(s, now);
    follow_targets(s);
}

void worker_set_stop(struct worker_set *s)
{
    s->is_open = false;
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n))
        worker_program_stop(program_at(n));
    count_alive(s);
}

void worker_set_free(struct worker_set **sp)
{
    struct worker_set *s = *sp;
    struct list_node *n;
    if (!s)
        return;
    worker_set_stop(s);
    loop_bury(s->cfg.loop);
    while ((n = list_pop_front(&s->programs)) != NULL)
        free_program(program_at(n));
    free(s->by_slot);
    worker_book_release(&s->book);
    free(s);
    *sp = NULL;
}

/* ---- jobs ---- */

struct worker_program *worker_set_program(const struct worker_set *s, const struct handler *h)
{
    if (!h->is_worker)
        return program_at(list_front(&s->programs));
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n)) {
        struct worker_program *p = program_at(n);
        /* By name: the attempt may have begun before a reload. */
        if (p->handler && !p->is_leaving && strcmp(p->handler->info.name, h->info.name) == 0)
            return p;
    }
    return NULL;
}

void worker_set_submit(struct worker_set *s, const struct handler *h, struct worker_job *job)
{
    struct worker_program *p = worker_set_program(s, h);
    if (p)
        worker_program_submit(p, job);
    else
        job->done(job, &(struct worker_end){.how = WORKER_ENDED_TAKEN, .log = ""});
}

void worker_set_stop_job(struct worker_set *s, struct worker_job *job, int signal)
{
    if (job->worker) {
        struct worker_process *w = job->worker;
        worker_process_stop_job(w, job, signal);
        worker_set_note(w);
        worker_program_fill(w->owner); /* that one may be good for nothing more */
        count_alive(s);
    } else if (list_is_linked(&job->link)) {
        list_remove(&job->program->waiting, &job->link);
        job->done(job, &(struct worker_end){.how = WORKER_ENDED_TAKEN, .log = ""});
    }
}

void worker_set_abandon(struct worker_set *s, struct worker_job *job)
{
    if (job->worker)
        worker_process_abandon_job(job->worker, job);
    else if (list_is_linked(&job->link))
        list_remove(&job->program->waiting, &job->link);
    count_alive(s);
}

struct worker_book *worker_set_book(struct worker_set *s)
{
    return &s->book;
}

uint32_t worker_set_alive(const struct worker_set *s)
{
    return atomic_load_explicit(&s->alive, memory_order_relaxed);
}

uint64_t worker_set_died(const struct worker_set *s)
{
    return atomic_load_explicit(&s->died, memory_order_relaxed);
}

int worker_set_last_status(const struct worker_set *s)
{
    return atomic_load_explicit(&s->last_status, memory_order_relaxed);
}
