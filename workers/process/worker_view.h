/* worker_book: the worker processes as others may see them: one page of plain data per slot, and
 * one per program that does not start, written by the scheduler's loop at each change, read by any
 * thread. */
#ifndef FUT_WORKERS_PROCESS_WORKER_VIEW_H
#define FUT_WORKERS_PROCESS_WORKER_VIEW_H

#include <stdatomic.h>

#include "core/pool_view.h"
#include "core/sync.h"

struct worker_process;
struct worker_program;
struct worker_fault;

struct worker_book {
    struct mutex mu;
    struct pool_worker *pages; /* guarded by mu, as all below; by slot */
    bool *used;
    size_t n;
    struct worker_fault *faults; /* one per broken program */
    atomic_uint n_faults;        /* written with mu held */
};

void worker_book_init(struct worker_book *b);
void worker_book_release(struct worker_book *b);
/* The loop: its state or its tasks have changed. */
void worker_book_note(struct worker_book *b, const struct worker_process *w);
void worker_book_strike(struct worker_book *b, uint32_t slot);
/* The loop: the program does not start (again); it starts, or it is no more. */
void worker_book_broken(struct worker_book *b, const struct worker_program *p);
void worker_book_mended(struct worker_book *b, const struct worker_program *p);
/* Any thread. */
uint32_t worker_book_count_broken(const struct worker_book *b);
bool worker_book_find_broken(struct worker_book *b, const char *program, struct pool_broken *out);
/* Any thread: a heap array of *out_n, in the order of their slots. */
struct pool_worker *worker_book_copy(struct worker_book *b, size_t *out_n);

#endif
