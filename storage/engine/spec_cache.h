/* spec_cache: the specs of tasks that were submitted a moment ago and will be claimed in a moment,
 * so that a claim need not read them back. Bounded in count and bytes, oldest out first.
 * The writer thread alone. */
#ifndef FUT_STORAGE_ENGINE_SPEC_CACHE_H
#define FUT_STORAGE_ENGINE_SPEC_CACHE_H

#include "core/list.h"
#include "core/map.h"
#include "core/task.h"

struct spec_cache {
    struct map by_key;
    struct list by_age;
    size_t bytes;
};

/* An empty cache; spec_cache_release drops what it holds. */
void spec_cache_init(struct spec_cache *c);
void spec_cache_release(struct spec_cache *c);
/* Takes a reference of its own. Nothing happens when the spec is too large to be worth it. */
void spec_cache_put(struct spec_cache *c, struct task_spec *spec);
/* Removes it and hands its reference to the caller; NULL when it is not there. */
struct task_spec *spec_cache_take(struct spec_cache *c, uint64_t key);

#endif
