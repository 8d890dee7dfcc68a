/* waiting_for: why a future that is not done is not running, as a stable code, a sentence and the
 * numbers behind it. From what the store counts and the pools show; it reads no queue, so it costs
 * the same however many tasks wait. Any thread; takes short locks. */
#ifndef FUT_API_RESOURCES_WAITING_FOR_H
#define FUT_API_RESOURCES_WAITING_FOR_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/node_view.h"
#include "core/pool_view.h"
#include "core/task.h"
#include "storage/store.h"

/* One look at the daemon, enough for any number of futures. */
struct waiting_scene {
    struct store_stats stats;
    struct pool_stats pools;
    const struct pool_view *view;
    const struct node_view *nodes;
    struct store *store; /* whom to ask which limits are closed */
    bool has_pools;      /* false: this daemon runs nothing */
    bool is_draining;
    const struct store_reported *reported; /* of the one future that is shown; NULL: not known */
};

/* Reads how the pools stand now. */
void waiting_for_look(struct waiting_scene *out, struct store *store, const struct pool_view *view,
                      const struct node_view *nodes, bool is_draining);
/* Appends the member "waiting_for" to an object; nothing when t runs or is done. */
void waiting_for_write(struct buf *out, const struct task *t, const struct waiting_scene *scene);
/* Append members of an object that say what holds a lane up: who paused it, when and why; how many
 * slots hold results that the store does not take. */
void waiting_for_write_pause(struct buf *out, const struct pool_pause *p);
void waiting_for_write_unsaved(struct buf *out, const struct pool_lane *p);

#endif
