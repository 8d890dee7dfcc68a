/* pauses: which queues and handlers are paused, by whom, when and why. The writer alone changes it;
 * other threads look through store_paused. */
#ifndef FUT_STORAGE_ENGINE_PAUSES_H
#define FUT_STORAGE_ENGINE_PAUSES_H

#include <stdatomic.h>

#include "core/map.h"
#include "core/sync.h"
#include "storage/queue.h"

#define PAUSES_KINDS 2

struct pauses {
    struct mutex mu;                  /* the writer needs it only to change something */
    struct map by_name[PAUSES_KINDS]; /* by kind */
    atomic_size_t n[PAUSES_KINDS];    /* in each; mostly none, which is seen without the lock */
};

/* Nothing is paused; pauses_release frees. */
void pauses_init(struct pauses *p);
void pauses_release(struct pauses *p);
/* since_wall_ms 0: it goes on. The writer. */
void pauses_put(struct pauses *p, enum store_pausable kind, const char *name,
                const struct pool_pause *pause);
/* The pause, or NULL: it goes on. The writer. */
const struct pool_pause *pauses_find(const struct pauses *p, enum store_pausable kind,
                                     const char *name);
/* Begins a look at what is paused: all that pauses_put names from now on is listed. The writer. */
void pauses_unlist(struct pauses *p);
/* The name of one that is not listed, or NULL. The writer. */
const char *pauses_unlisted(const struct pauses *p, enum store_pausable kind);
/* How many of a kind are paused. The writer. */
size_t pauses_count(const struct pauses *p, enum store_pausable kind);

#endif
