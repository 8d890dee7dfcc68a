#include "workers/process/worker_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/process/worker_program.h"

struct worker_fault {
    char program[TASK_HANDLER_MAX + 1];
    struct pool_broken what;
};

void worker_book_init(struct worker_book *b)
{
    *b = (struct worker_book){0};
    mutex_init(&b->mu);
}

void worker_book_release(struct worker_book *b)
{
    mutex_destroy(&b->mu);
    free(b->pages);
    free(b->used);
    free(b->faults);
}

static enum pool_worker_state state_of(const struct worker_process *w)
{
    static const enum pool_worker_state states[] = {
        [WORKER_STARTING] = POOL_WORKER_STARTING, [WORKER_READY] = POOL_WORKER_IDLE,
        [WORKER_TEMPLATE] = POOL_WORKER_TEMPLATE, [WORKER_LEAVING] = POOL_WORKER_LEAVING,
        [WORKER_DYING] = POOL_WORKER_DYING,
    };
    if (w->state != WORKER_READY)
        return states[w->state];
    if (w->tired)
        return POOL_WORKER_LEAVING;
    return w->jobs.len ? POOL_WORKER_BUSY : POOL_WORKER_IDLE;
}

static struct task_id task_of(const struct worker_process *w)
{
    struct list_node *n = list_first(&w->jobs);
    return n ? FUT_CONTAINER(n, struct worker_job, link)->task->spec->id : (struct task_id){0};
}

static struct pool_worker describe(const struct worker_process *w)
{
    const struct worker_program *p = w->owner;
    struct pool_worker out = {
        .pid = w->pid,
        .lane = p->handler ? p->handler->info.lane : LANE_CPU,
        .state = state_of(w),
        .tasks = (uint32_t)w->jobs.len,
        .task = task_of(w),
        .tasks_done = w->tasks_done,
        .started_wall_ms = w->started_wall_ms,
    };
    const char *name = worker_program_name(p);
    memcpy(out.program, name, strnlen(name, sizeof(out.program) - 1)); /* for each task */
    return out;
}

/* mu held. */
static void make_room(struct worker_book *b, size_t n)
{
    if (n <= b->n)
        return;
    b->pages = xrealloc(b->pages, n * sizeof(b->pages[0]));
    b->used = xrealloc(b->used, n * sizeof(b->used[0]));
    while (b->n < n)
        b->used[b->n++] = false;
}

void worker_book_note(struct worker_book *b, const struct worker_process *w)
{
    struct pool_worker page = describe(w);
    mutex_lock(&b->mu);
    make_room(b, (size_t)w->slot + 1);
    b->pages[w->slot] = page;
    b->used[w->slot] = true;
    mutex_unlock(&b->mu);
}

void worker_book_strike(struct worker_book *b, uint32_t slot)
{
    mutex_lock(&b->mu);
    if (slot < b->n)
        b->used[slot] = false;
    mutex_unlock(&b->mu);
}

struct pool_worker *worker_book_copy(struct worker_book *b, size_t *out_n)
{
    mutex_lock(&b->mu);
    struct pool_worker *out = xcalloc(b->n + 1, sizeof(*out));
    *out_n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->used[i])
            out[(*out_n)++] = b->pages[i];
    }
    mutex_unlock(&b->mu);
    return out;
}

/* mu held. */
static struct worker_fault *find(struct worker_book *b, const char *program)
{
    for (size_t i = 0; i < atomic_load(&b->n_faults); i++) {
        if (strcmp(b->faults[i].program, program) == 0)
            return &b->faults[i];
    }
    return NULL;
}

void worker_book_broken(struct worker_book *b, const struct worker_program *p)
{
    mutex_lock(&b->mu);
    struct worker_fault *f = find(b, worker_program_name(p));
    if (!f) {
        size_t n = atomic_load(&b->n_faults);
        b->faults = xrealloc(b->faults, (n + 1) * sizeof(b->faults[0]));
        f = &b->faults[n];
        atomic_store(&b->n_faults, (unsigned)(n + 1));
    }
    (void)snprintf(f->program, sizeof(f->program), "%s", worker_program_name(p));
    f->what.since_wall_ms = p->broken_wall_ms;
    (void)snprintf(f->what.words, sizeof(f->what.words), "%s", p->last_words);
    mutex_unlock(&b->mu);
}

void worker_book_mended(struct worker_book *b, const struct worker_program *p)
{
    mutex_lock(&b->mu);
    struct worker_fault *f = find(b, worker_program_name(p));
    if (f)
        *f = b->faults[atomic_fetch_sub(&b->n_faults, 1) - 1];
    mutex_unlock(&b->mu);
}

uint32_t worker_book_count_broken(const struct worker_book *b)
{
    return atomic_load(&b->n_faults);
}

bool worker_book_find_broken(struct worker_book *b, const char *program, struct pool_broken *out)
{
    mutex_lock(&b->mu);
    const struct worker_fault *f = find(b, program);
    if (f)
        *out = f->what;
    mutex_unlock(&b->mu);
    return f != NULL;
}
