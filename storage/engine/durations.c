/* durations: how long tasks wait and run, for metrics. The writer thread alone. */
#include "storage/engine/internal.h"

/* Since when the task could have begun, as far as its own times say: what it waits for otherwise
 * (a slot, a limit, its parents) is what is measured. */
static int64_t could_begin_wall_ms(const struct task_spec *spec)
{
    int64_t at = spec->created_wall_ms + spec->times.delay_ms;
    return at < spec->times.run_at_wall_ms ? spec->times.run_at_wall_ms : at;
}

static void observe(struct store_durations *d, const struct task *t)
{
    enum lane lane = t->spec->lane;
    if (t->state == TASK_RUNNING && t->attempt == 1)
        histogram_observe(&d->wait[lane],
                          (t->started_wall_ms - could_begin_wall_ms(t->spec)) * 1000);
    else if (task_state_is_final(t->state) && t->started_wall_ms)
        histogram_observe(&d->run[lane], (t->finished_wall_ms - t->started_wall_ms) * 1000);
}

void durations_observe(struct store *s)
{
    const struct writer *w = &s->w;
    for (size_t i = 0; i < w->n_changes; i++) {
        if (w->changes[i].task && !w->changes[i].reported)
            observe(&s->durations, w->changes[i].task);
    }
}
