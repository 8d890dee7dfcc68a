#include "workers/process/worker_set.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

struct worker_set {
    struct worker_common common;
    uint32_t slots;       /* of the cpu lane */
    struct list programs; /* the built-ins' first */
};

static struct worker_program *program_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_program, link);
}

static bool shares_slots(const struct worker_program *p)
{
    return worker_program_is_on_cpu(p) && !p->is_leaving;
}

const struct list *worker_set_programs(const struct worker_set *s)
{
    return &s->programs;
}

struct worker_view *worker_set_view(struct worker_set *s)
{
    return &s->common.view;
}

/* ---- who has how many processes ---- */

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

/* At first the operator's programs share the slots, because they may be slow to start; the
 * built-ins have one process, because they start in no time. */
static void share_out(struct worker_set *s)
{
    uint32_t n = count_cpu_programs(s) - 1, remaining = s->slots;
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i)) {
        struct worker_program *p = program_at(i);
        if (p->is_leaving)
            continue;
        p->target = 1;
        if (!p->handler && n == 0)
            p->target = s->slots;
        if (!p->handler || !worker_program_is_on_cpu(p) || n == 0)
            continue;
        if (remaining / n > 1)
            p->target = remaining / n;
        remaining -= remaining > p->target ? p->target : remaining;
        n--;
    }
}

/* Takes a process of the program that has the most idle ones and can do without one of them. */
static bool take_from_another(struct worker_set *s, const struct worker_program *to)
{
    struct worker_program *best = NULL;
    uint32_t most = 0;
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n)) {
        struct worker_program *p = program_at(n);
        if (p == to || !worker_program_is_on_cpu(p) || p->target < 2)
            continue;
        uint32_t idle = worker_program_idle(p);
        if (idle > most) {
            most = idle;
            best = p;
        }
    }
    return best && worker_program_give_way(best);
}

static void grow(struct worker_set *s, struct worker_program *p)
{
    uint32_t most = s->slots + count_cpu_programs(s) - 1;
    if (!shares_slots(p) || p->failed_starts || p->target >= s->slots)
        return;
    if (sum_of_targets(s) < most || take_from_another(s, p))
        p->target++;
    worker_program_fill(p);
}

static void on_rebalance(struct loop_soon *soon)
{
    struct worker_set *s = FUT_CONTAINER(soon, struct worker_set, common.rebalance);
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n)) {
        struct worker_program *p = program_at(n);
        uint64_t missing = worker_program_needs_more(p) ? p->waiting.len : 0;
        while (missing-- > 0 && worker_program_needs_more(p))
            grow(s, p);
    }
}

size_t worker_set_least_ahead(const struct worker_set *s)
{
    size_t least = SIZE_MAX;
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n)) {
        size_t here = worker_program_least_ahead(program_at(n));
        least = here < least ? here : least;
    }
    return least == SIZE_MAX ? 0 : least;
}

/* ---- life ---- */

static void add_program(struct worker_set *s, const struct handler *h,
                        const struct handlers *handlers)
{
    struct worker_program *p = xnew(struct worker_program);
    worker_program_init(p, &s->common, h);
    p->handlers = handlers ? handlers_ref(handlers) : NULL;
    list_push_back(&s->programs, &p->link);
}

static void free_program(struct worker_program *p)
{
    loop_timer_clear(p->common->loop, &p->retry);
    loop_timer_clear(p->common->loop, &p->renewal);
    handlers_unref(p->handlers);
    free(p);
}

/* Adds those that the set does not have. */
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
    s->common.loop = cfg->loop;
    s->common.children = cfg->children;
    s->common.max_result_bytes = cfg->max_result_bytes;
    s->common.rebalance.fn = on_rebalance;
    s->slots = cfg->slots;
    list_init(&s->programs);
    worker_view_init(&s->common.view);
    add_program(s, NULL, NULL);
    if (cfg->handlers)
        add_programs(s, cfg->handlers);
    share_out(s);
    return s;
}

static bool still_runs(const struct worker_process *w, struct task_id task)
{
    for (uint32_t i = 0; i < w->n_abandoned; i++)
        if (id_equal(w->abandoned[i].task, task))
            return true;
    return false;
}

bool worker_set_still_runs(const struct worker_set *s, struct task_id task)
{
    for (struct list_node *i = list_first(&s->programs); i; i = list_next(&s->programs, i)) {
        const struct list *workers = &program_at(i)->workers;
        for (struct list_node *n = list_first(workers); n; n = list_next(workers, n))
            if (still_runs(FUT_CONTAINER(n, struct worker_process, link), task))
                return true;
    }
    return false;
}

void worker_set_start(struct worker_set *s)
{
    s->common.is_open = true;
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
    loop_do_soon(s->common.loop, &s->common.rebalance);
}

void worker_set_resize(struct worker_set *s, uint32_t n)
{
    s->slots = n;
    follow_targets(s);
}

/* Keeps the program when its entry has not changed. */
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
        if (!p->is_leaving)
            worker_program_try_again(p); /* the operator may have mended it */
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
    s->common.is_open = false;
    loop_do_not(s->common.loop, &s->common.rebalance);
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n))
        worker_program_stop(program_at(n));
}

void worker_set_free(struct worker_set **sp)
{
    struct worker_set *s = *sp;
    struct list_node *n;
    if (!s)
        return;
    worker_set_stop(s);
    loop_run_deferred(s->common.loop);
    while ((n = list_pop_front(&s->programs)) != NULL)
        free_program(program_at(n));
    worker_view_release(&s->common.view);
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

void worker_set_close_session(struct worker_set *s, struct task_id session)
{
    for (struct list_node *n = list_first(&s->programs); n; n = list_next(&s->programs, n))
        worker_program_close_session(program_at(n), session);
}

void worker_set_submit(struct worker_set *s, const struct handler *h, struct worker_job *job)
{
    struct worker_program *p = worker_set_program(s, h);
    if (p)
        worker_program_submit(p, job);
    else
        job->done(job, &(struct worker_end){.how = WORKER_ENDED_RETURNED, .log = ""});
}
