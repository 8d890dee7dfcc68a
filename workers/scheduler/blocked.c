/* blocked: whether a claimed attempt must wait for another one to end. The store has ended a task
 * that is cancelled; its program may run on for the grace of a kill. Until it is gone, the task has
 * no next life, and what it took of its limits is not free. */
#include <string.h>

#include "core/task_limits.h"
#include "storage/limit.h"
#include "workers/scheduler/internal.h"

/* ---- an earlier life of the task ------------------------------------------------------------- */

static bool has_earlier_life(const struct attempt *a)
{
    struct task_id id = a->apply.task.spec->id;
    for (struct map_node *n = map_get(&a->s->by_id, id.hi); n; n = map_next_same(n)) {
        const struct attempt *other = FUT_CONTAINER(n, struct attempt, by_id);
        if (other != a && id_equal(other->apply.task.spec->id, id))
            return true;
    }
    return false;
}

/* ---- what others take of its limits ---------------------------------------------------------- */

static bool names_limit(const struct attempt *a, const struct task_limit *limit)
{
    struct task_limits named;
    if (!a->apply.task.spec->limits || task_limits_read(a->apply.task.spec->limits, &named) != 0)
        return false;
    for (size_t i = 0; i < named.n; i++) {
        if (strcmp(named.items[i].name, limit->name) == 0 &&
            strcmp(named.items[i].key, limit->key) == 0)
            return true;
    }
    return false;
}

static uint64_t count_in(const struct scheduler *s, enum attempt_state state,
                         const struct task_limit *limit, bool cancelled_only)
{
    uint64_t n = 0;
    for_each_lane (l) {
        for (struct attempt *a = attempt_first(&s->lanes[l], state); a; a = attempt_next(a))
            n += (!cancelled_only || a->stop == STOP_CANCELLED) && names_limit(a, limit);
    }
    return n;
}

/* Those that the store counts are never more than the limit lets run; so there can be too many only
 * while one that was cancelled has not ended. */
static bool is_full(const struct scheduler *s, const struct task_limit *limit)
{
    static const enum attempt_state taking[] = {ATTEMPT_WAITING, ATTEMPT_SUSPECT, ATTEMPT_PENDING,
                                                ATTEMPT_OFFERED, ATTEMPT_RUNNING, ATTEMPT_STOPPING};
    uint64_t max, n = 0;
    if (!count_in(s, ATTEMPT_STOPPING, limit, true))
        return false;
    max = store_limit_max_running(s->cfg.store, limit->name);
    for (size_t i = 0; max && i < FUT_COUNT(taking); i++)
        n += count_in(s, taking[i], limit, false);
    return max && n >= max;
}

static bool has_full_limit(const struct attempt *a)
{
    struct task_limits named;
    bool any = false;
    for_each_lane (l)
        any = any || !list_is_empty(&a->s->lanes[l].in[ATTEMPT_STOPPING]);
    if (!any || !a->apply.task.spec->limits ||
        task_limits_read(a->apply.task.spec->limits, &named) != 0)
        return false;
    for (size_t i = 0; i < named.n; i++) {
        if (is_full(a->s, &named.items[i]))
            return true;
    }
    return false;
}

bool blocked_must_wait(const struct attempt *a)
{
    return has_earlier_life(a) || has_full_limit(a);
}
