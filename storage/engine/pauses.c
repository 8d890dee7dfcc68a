#include "storage/engine/pauses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

struct paused {
    struct map_node by_name;
    struct pool_pause is;
    bool is_listed;                /* since pauses_unlist */
    char name[TASK_QUEUE_MAX + 1]; /* or a handler's */
};
_Static_assert(TASK_HANDLER_MAX <= TASK_QUEUE_MAX, "names of handlers fit");

static struct paused *find(const struct pauses *p, enum store_pausable kind, const char *name)
{
    for (struct map_node *i = map_get(&p->by_name[kind], hash_text(HASH_START, name)); i;
         i = map_next_same(i)) {
        struct paused *one = FUT_CONTAINER(i, struct paused, by_name);
        if (strcmp(one->name, name) == 0)
            return one;
    }
    return NULL;
}

void pauses_put(struct pauses *p, enum store_pausable kind, const char *name,
                const struct pool_pause *pause)
{
    mutex_lock(&p->mu);
    struct paused *one = find(p, kind, name);
    if (one && !pause->since_wall_ms) {
        map_remove(&p->by_name[kind], &one->by_name);
        free(one);
    } else if (pause->since_wall_ms) {
        if (!one) {
            one = xnew(struct paused);
            (void)snprintf(one->name, sizeof(one->name), "%s", name);
            map_put(&p->by_name[kind], &one->by_name, hash_text(HASH_START, name));
        }
        one->is = *pause;
        one->is_listed = true;
    }
    atomic_store(&p->n[kind], p->by_name[kind].len);
    mutex_unlock(&p->mu);
}

const struct pool_pause *pauses_find(const struct pauses *p, enum store_pausable kind,
                                     const char *name)
{
    const struct paused *one = find(p, kind, name);
    return one ? &one->is : NULL;
}

/* The first that is not listed; NULL: there is none. unlists: all are not, from now on. */
static const struct paused *look(const struct map *m, bool unlists)
{
    const struct paused *found = NULL;
    for (size_t i = 0; m->len && i <= m->mask; i++) {
        for (struct map_node *n = m->buckets[i]; n; n = n->next) {
            struct paused *one = FUT_CONTAINER(n, struct paused, by_name);
            one->is_listed = one->is_listed && !unlists;
            if (!one->is_listed && !found)
                found = one;
        }
    }
    return found;
}

void pauses_unlist(struct pauses *p)
{
    for (size_t kind = 0; kind < PAUSES_KINDS; kind++)
        (void)look(&p->by_name[kind], true);
}

const char *pauses_unlisted(const struct pauses *p, enum store_pausable kind)
{
    const struct paused *one = look(&p->by_name[kind], false);
    return one ? one->name : NULL;
}

size_t pauses_count(const struct pauses *p, enum store_pausable kind)
{
    return p->by_name[kind].len;
}

bool store_paused(struct store *s, enum store_pausable kind, const char *name,
                  struct pool_pause *out)
{
    struct pauses *p = &s->w.pauses;
    if (atomic_load(&p->n[kind]) == 0)
        return false;
    mutex_lock(&p->mu);
    const struct paused *one = find(p, kind, name);
    if (one)
        *out = one->is;
    mutex_unlock(&p->mu);
    return one != NULL;
}

struct task_id store_pause_id(enum store_pausable kind, const char *name)
{
    uint64_t hi = hash_text(hash_byte(HASH_START, (unsigned char)(kind + 1)), name);
    return (struct task_id){.hi = hi, .lo = hash_byte(hi, 0)};
}

void pauses_init(struct pauses *p)
{
    mutex_init(&p->mu);
    for (size_t i = 0; i < PAUSES_KINDS; i++) {
        map_init(&p->by_name[i]);
        atomic_init(&p->n[i], 0);
    }
}

static void free_one(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct paused, by_name));
}

void pauses_release(struct pauses *p)
{
    for (size_t i = 0; i < PAUSES_KINDS; i++)
        map_drain(&p->by_name[i], free_one);
    mutex_destroy(&p->mu);
}
