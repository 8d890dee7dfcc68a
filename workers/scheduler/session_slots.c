/* session_slots: how many attempts of each session have a slot. The store lets more of a session be
 * claimed than its max_running, so that the next ones are here when one ends
 * (store_session_ahead); that no more of it run is seen to here. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/limit.h"
#include "storage/session.h"
#include "workers/scheduler/internal.h"

/* One of which something runs. */
struct session_slots {
    struct map_node by_key;
    uint32_t taken;
};

static struct session_slots *find(const struct scheduler *s, uint64_t key)
{
    struct map_node *n = map_get(&s->sessions, key);
    return n ? FUT_CONTAINER(n, struct session_slots, by_key) : NULL;
}

uint32_t session_slots_max(const struct attempt *a)
{
    char limit[STORE_SESSION_LIMIT_SIZE];
    if (!a->apply.task.spec->in_session)
        return 0;
    store_session_limit(a->apply.task.spec->batch, limit);
    return store_limit_max_running(a->s->cfg.store, limit);
}

bool session_slots_has_free(const struct attempt *a)
{
    const struct session_slots *has = find(a->s, a->apply.task.spec->batch.hi);
    uint32_t max = has ? session_slots_max(a) : 0;
    return !max || has->taken < max;
}

void session_slots_take(struct attempt *a)
{
    struct session_slots *has;
    uint64_t key = a->apply.task.spec->batch.hi;
    if (!a->apply.task.spec->in_session)
        return;
    has = find(a->s, key);
    if (!has) {
        has = xnew(struct session_slots);
        map_put(&a->s->sessions, &has->by_key, key);
    }
    has->taken++;
}

void session_slots_free(struct attempt *a)
{
    struct session_slots *has;
    if (!a->apply.task.spec->in_session)
        return;
    has = find(a->s, a->apply.task.spec->batch.hi);
    FUT_ASSERT(has && has->taken);
    if (--has->taken)
        return;
    map_remove(&a->s->sessions, &has->by_key);
    free(has);
}

static void free_node(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct session_slots, by_key));
}

void session_slots_release(struct scheduler *s)
{
    map_drain(&s->sessions, free_node);
}

void session_slots_tell(struct scheduler *s, enum lane lane, uint32_t window)
{
    struct lane_slots *slots = &s->lanes[lane];
    if (slots->told_ahead == window)
        return;
    slots->told_ahead = window;
    store_session_ahead(s->cfg.store, lane, window);
}
