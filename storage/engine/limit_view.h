/* limit_view: what other threads may see of limits: which there are, and which keys are closed. The
 * writer brings it up to date; store.h and queue.h have the functions that look (store_limit_find,
 * store_limit_closed, store_queue_closed and others). */
#ifndef FUT_STORAGE_ENGINE_LIMIT_VIEW_H
#define FUT_STORAGE_ENGINE_LIMIT_VIEW_H

#include <stdatomic.h>

#include "core/hash.h"
#include "core/map.h"
#include "core/sync.h"
#include "storage/limit.h"

/* The name under which queues have their own limits, by key; nobody else can have it. */
#define LIMIT_VIEW_QUEUES "(queue)"

struct limit_view {
    struct mutex mu;
    struct map closed;      /* of struct limit_closed */
    atomic_size_t n_closed; /* in it; mostly none, which is seen without the lock */
    struct map names;       /* of struct limit_name */
    size_t hosts;           /* of these, names that begin with TASK_LIMIT_HOST */
};

/* Where a limit of that name stands in a map, or (key not "") one of its keys. */
static inline uint64_t limit_view_hash(const char *name, const char *key)
{
    return hash_text(hash_byte(hash_text(HASH_START, name), 0), key);
}

/* Nothing is seen; limit_view_release frees. */
void limit_view_init(struct limit_view *v);
/* When no other thread looks any more. */
void limit_view_release(struct limit_view *v);
/* The limit is defined, or no longer. */
void limit_view_name(struct limit_view *v, const struct store_limit *is);
void limit_view_drop_name(struct limit_view *v, const char *name);
/* The key (is->name, is->key) is closed, or open again. */
void limit_view_close(struct limit_view *v, const struct store_limit_closed *is);
void limit_view_open(struct limit_view *v, const char *name, const char *key);

#endif
