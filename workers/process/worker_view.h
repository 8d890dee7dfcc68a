/* worker_view: the worker processes and the programs that do not start, as other threads may see
 * them. The scheduler's loop writes a row of plain data at each change; any thread reads. */
#ifndef FUT_WORKERS_PROCESS_WORKER_VIEW_H
#define FUT_WORKERS_PROCESS_WORKER_VIEW_H

#include <stdatomic.h>

#include "core/pool_view.h"
#include "core/sync.h"

struct worker_view_row;
struct worker_view_fault;

struct worker_view {
    struct mutex mu;
    struct worker_view_row *rows;     /* guarded by mu; a process's slot is its index */
    size_t n;                         /* guarded by mu */
    struct worker_view_fault *faults; /* guarded by mu; one for each program that does not start */
    /* Written by the loop, n_faults and n_ready with mu locked; worker_view_counts reads them. */
    atomic_uint n_faults, n_ready;
    _Atomic uint64_t n_died[POOL_DEATHS];
    atomic_int last_status;
    pool_death_listener *died; /* NULL: nobody listens */
    void *died_ctx;
};

/* Numbers of one moment. */
struct worker_view_counts {
    uint32_t ready;  /* processes of the cpu lane that serve tasks */
    uint32_t faults; /* programs that do not start */
    uint64_t died;   /* processes that died unasked */
    uint64_t died_by[POOL_DEATHS];
    int last_status; /* of the latest of these, as waitpid tells; -1: unknown, or none has */
};

/* Prepares zeroed memory. */
void worker_view_init(struct worker_view *v);
/* Frees what the view owns, not the view. No thread may read any more. */
void worker_view_release(struct worker_view *v);

/* The loop: reserves the lowest free slot for a process that is about to start. Readers do not see
 * the process before worker_view_put. */
uint32_t worker_view_reserve(struct worker_view *v);
/* The loop: publishes the state of the process in that slot. is_ready: it serves tasks. */
void worker_view_put(struct worker_view *v, uint32_t slot, const struct pool_worker *row,
                     bool is_ready);
/* The loop: the process is no more and its slot is free. */
void worker_view_remove(struct worker_view *v, uint32_t slot);
/* Before the loop starts: fn hears of each process that dies unasked. */
void worker_view_listen(struct worker_view *v, pool_death_listener *fn, void *ctx);
/* The loop: counts a process of that program that died unasked, and tells the listener. status: as
 * waitpid tells; -1: unknown. */
void worker_view_count_death(struct worker_view *v, const char *program, int status);

/* The loop: the program does not start; replaces what was published of it before. */
void worker_view_put_fault(struct worker_view *v, const char *program,
                           const struct pool_broken *what);
/* The loop: the program starts again, or is not needed any more. */
void worker_view_remove_fault(struct worker_view *v, const char *program);
/* Any thread: copies what was published of a program that does not start. False, *out untouched:
 * there is no such fault. */
bool worker_view_find_fault(struct worker_view *v, const char *program, struct pool_broken *out);
/* Any thread; takes no lock. */
struct worker_view_counts worker_view_counts(const struct worker_view *v);
/* Any thread: a heap array of *out_n processes in the order of their slots, to be freed. */
struct pool_worker *worker_view_copy(struct worker_view *v, size_t *out_n);

#endif
