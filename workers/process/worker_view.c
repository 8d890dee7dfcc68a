#include "workers/process/worker_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/mem.h"

struct worker_view_row {
    bool is_taken; /* the slot belongs to a process */
    bool is_shown;
    bool is_ready;
    struct pool_worker worker;
};

struct worker_view_fault {
    char program[TASK_HANDLER_MAX + 1];
    struct pool_broken what;
};

void worker_view_init(struct worker_view *v)
{
    mutex_init(&v->mu);
    atomic_init(&v->last_status, -1);
}

void worker_view_release(struct worker_view *v)
{
    mutex_destroy(&v->mu);
    free(v->rows);
    free(v->faults);
}

/* ---- processes ---- */

uint32_t worker_view_reserve(struct worker_view *v)
{
    size_t i = 0;
    mutex_lock(&v->mu);
    while (i < v->n && v->rows[i].is_taken)
        i++;
    if (i == v->n)
        v->rows = xrealloc(v->rows, ++v->n * sizeof(v->rows[0]));
    v->rows[i] = (struct worker_view_row){.is_taken = true};
    mutex_unlock(&v->mu);
    return (uint32_t)i;
}

/* The mutex is locked. */
static void count_ready(struct worker_view *v, const struct worker_view_row *row, bool is_ready)
{
    if (row->worker.lane != LANE_CPU || row->is_ready == is_ready)
        return;
    if (is_ready)
        atomic_fetch_add_explicit(&v->n_ready, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&v->n_ready, 1, memory_order_relaxed);
}

void worker_view_put(struct worker_view *v, uint32_t slot, const struct pool_worker *worker,
                     bool is_ready)
{
    mutex_lock(&v->mu);
    struct worker_view_row *row = &v->rows[slot];
    row->worker = *worker;
    row->is_shown = true;
    count_ready(v, row, is_ready);
    row->is_ready = is_ready;
    mutex_unlock(&v->mu);
}

void worker_view_remove(struct worker_view *v, uint32_t slot)
{
    mutex_lock(&v->mu);
    count_ready(v, &v->rows[slot], false);
    v->rows[slot] = (struct worker_view_row){0};
    mutex_unlock(&v->mu);
}

void worker_view_listen(struct worker_view *v, pool_death_listener *fn, void *ctx)
{
    v->died = fn;
    v->died_ctx = ctx;
}

void worker_view_count_death(struct worker_view *v, const char *program, int status)
{
    enum pool_death how = status < 0            ? POOL_DEATH_UNKNOWN
                          : WIFSIGNALED(status) ? POOL_DEATH_SIGNAL
                                                : POOL_DEATH_EXIT;
    int code = how == POOL_DEATH_SIGNAL ? WTERMSIG(status) : WEXITSTATUS(status);
    atomic_fetch_add_explicit(&v->n_died[how], 1, memory_order_relaxed);
    atomic_store_explicit(&v->last_status, status, memory_order_relaxed);
    if (v->died)
        v->died(v->died_ctx, program, how, status < 0 ? -1 : code);
}

struct worker_view_counts worker_view_counts(const struct worker_view *v)
{
    struct worker_view_counts counts = {
        .ready = atomic_load_explicit(&v->n_ready, memory_order_relaxed),
        .faults = atomic_load_explicit(&v->n_faults, memory_order_relaxed),
        .last_status = atomic_load_explicit(&v->last_status, memory_order_relaxed),
    };
    for (int i = 0; i < POOL_DEATHS; i++) {
        counts.died_by[i] = atomic_load_explicit(&v->n_died[i], memory_order_relaxed);
        counts.died += counts.died_by[i];
    }
    return counts;
}

struct pool_worker *worker_view_copy(struct worker_view *v, size_t *out_n)
{
    mutex_lock(&v->mu);
    struct pool_worker *out = xcalloc(v->n + 1, sizeof(*out));
    *out_n = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (v->rows[i].is_shown)
            out[(*out_n)++] = v->rows[i].worker;
    }
    mutex_unlock(&v->mu);
    return out;
}

/* ---- programs that do not start ---- */

/* The mutex is locked. */
static struct worker_view_fault *find(struct worker_view *v, const char *program)
{
    for (size_t i = 0; i < atomic_load(&v->n_faults); i++) {
        if (strcmp(v->faults[i].program, program) == 0)
            return &v->faults[i];
    }
    return NULL;
}

void worker_view_put_fault(struct worker_view *v, const char *program,
                           const struct pool_broken *what)
{
    mutex_lock(&v->mu);
    struct worker_view_fault *f = find(v, program);
    if (!f) {
        size_t n = atomic_load(&v->n_faults);
        v->faults = xrealloc(v->faults, (n + 1) * sizeof(v->faults[0]));
        f = &v->faults[n];
        (void)snprintf(f->program, sizeof(f->program), "%s", program);
        atomic_store(&v->n_faults, (unsigned)(n + 1));
    }
    f->what = *what;
    mutex_unlock(&v->mu);
}

void worker_view_remove_fault(struct worker_view *v, const char *program)
{
    mutex_lock(&v->mu);
    struct worker_view_fault *f = find(v, program);
    if (f)
        *f = v->faults[atomic_fetch_sub(&v->n_faults, 1) - 1];
    mutex_unlock(&v->mu);
}

bool worker_view_find_fault(struct worker_view *v, const char *program, struct pool_broken *out)
{
    mutex_lock(&v->mu);
    const struct worker_view_fault *f = find(v, program);
    if (f)
        *out = f->what;
    mutex_unlock(&v->mu);
    return f != NULL;
}
