/* worker_book: the worker processes as others may see them: one page of plain data per slot,
 * written by the scheduler's loop at each change, read by any thread. */
#ifndef FUT_WORKERS_WORKER_BOOK_H
#define FUT_WORKERS_WORKER_BOOK_H

#include "core/pool_view.h"
#include "core/sync.h"

struct worker_process;

struct worker_book {
    struct mutex mu;
    struct pool_worker *pages; /* guarded by mu, as all below; by slot */
    bool *used;
    size_t n;
};

void worker_book_init(struct worker_book *b);
void worker_book_release(struct worker_book *b);
/* The loop: its state or its tasks have changed. */
void worker_book_note(struct worker_book *b, const struct worker_process *w);
void worker_book_strike(struct worker_book *b, uint32_t slot);
/* Any thread: a heap array of *out_n, in the order of their slots. */
struct pool_worker *worker_book_copy(struct worker_book *b, size_t *out_n);

#endif
