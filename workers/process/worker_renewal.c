#include "workers/process/worker_renewal.h"

#include "core/mem.h"

#define AHEAD 10 /* a tenth of what a process may serve is left when its successor is started */

/* From its HELLO on, because loading may take longer than max_age. One that has done nothing yet is
 * as good as new. */
static int64_t age_ms(const struct worker_process *w, int64_t now_mono_ms)
{
    return w->last_id ? now_mono_ms - w->ready_mono_ms : 0;
}

bool worker_renewal_serves(const struct worker_process *w)
{
    return w->state == WORKER_READY && !w->retiring;
}

uint32_t worker_renewal_count_lasting(const struct list *workers)
{
    uint32_t n = 0;
    for (struct list_node *i = list_first(workers); i; i = list_next(workers, i)) {
        const struct worker_process *w = FUT_CONTAINER(i, struct worker_process, link);
        n += worker_renewal_serves(w) && !w->has_successor;
    }
    return n;
}

bool worker_renewal_is_old(const struct worker_process *w, const struct worker_options *o,
                           int64_t now_mono_ms)
{
    return o->max_age_ms && age_ms(w, now_mono_ms) >= o->max_age_ms;
}

bool worker_renewal_is_due(const struct worker_process *w, const struct worker_options *o,
                           int64_t now_mono_ms)
{
    return (o->max_tasks && w->last_id >= (uint64_t)o->max_tasks) ||
           worker_renewal_is_old(w, o, now_mono_ms);
}

bool worker_renewal_is_near(const struct worker_process *w, const struct worker_options *o,
                            int64_t now_mono_ms)
{
    return (o->max_tasks && w->last_id >= (uint64_t)(o->max_tasks - o->max_tasks / AHEAD)) ||
           (o->max_age_ms && age_ms(w, now_mono_ms) >= o->max_age_ms - o->max_age_ms / AHEAD);
}

int64_t worker_renewal_next_mono_ms(const struct worker_process *w, const struct worker_options *o,
                                    int64_t now_mono_ms)
{
    int64_t due_ms = w->ready_mono_ms + o->max_age_ms;
    int64_t near_ms = due_ms - o->max_age_ms / AHEAD;
    if (!o->max_age_ms || !w->last_id)
        return INT64_MAX;
    return near_ms > now_mono_ms ? near_ms : due_ms;
}
