#include "storage/engine/spec_cache.h"

#include <stdlib.h>

#include "core/mem.h"

#define COUNT_MAX 4096
#define BYTES_MAX (8u << 20)

struct entry {
    struct map_node by_key;
    struct list_node by_age;
    struct task_spec *spec;
};

void spec_cache_init(struct spec_cache *c)
{
    map_init(&c->by_key);
    list_init(&c->by_age);
    c->bytes = 0;
}

static struct task_spec *drop(struct spec_cache *c, struct entry *e)
{
    struct task_spec *spec = e->spec;
    map_remove(&c->by_key, &e->by_key);
    list_remove(&c->by_age, &e->by_age);
    c->bytes -= spec->input_len;
    free(e);
    return spec;
}

static void drop_oldest(struct spec_cache *c)
{
    task_spec_unref(drop(c, FUT_CONTAINER(list_front(&c->by_age), struct entry, by_age)));
}

void spec_cache_release(struct spec_cache *c)
{
    while (!list_is_empty(&c->by_age))
        drop_oldest(c);
    map_release(&c->by_key);
}

void spec_cache_put(struct spec_cache *c, struct task_spec *spec)
{
    if (spec->input_len > BYTES_MAX / 8)
        return;
    while (c->by_age.len >= COUNT_MAX || (c->by_age.len && c->bytes + spec->input_len > BYTES_MAX))
        drop_oldest(c);
    struct entry *e = xnew(struct entry);
    e->spec = task_spec_ref(spec);
    map_put(&c->by_key, &e->by_key, spec->id.hi);
    list_push_back(&c->by_age, &e->by_age);
    c->bytes += spec->input_len;
}

struct task_spec *spec_cache_take(struct spec_cache *c, uint64_t key)
{
    struct map_node *n = map_get(&c->by_key, key);
    return n ? drop(c, FUT_CONTAINER(n, struct entry, by_key)) : NULL;
}
