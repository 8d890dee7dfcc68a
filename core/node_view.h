/* node_view: the little that api/ may know of the nodes that could run a task, handed over by
 * daemon/ at start. */
#ifndef FUT_CORE_NODE_VIEW_H
#define FUT_CORE_NODE_VIEW_H

#include "core/task.h"

/* Who could start a task; the first that holds. */
enum node_fit {
    NODE_FIT_HERE,
    NODE_FIT_ELSEWHERE,  /* another node that lives and does not drain */
    NODE_FIT_DRAINING,   /* only nodes that drain */
    NODE_FIT_NO_HANDLER, /* no node that lives has its handler */
    NODE_FIT_NO_LABELS   /* of those that have it none has all labels that it needs */
};

struct node_view {
    void *ctx;
    /* Any thread; takes a short lock; a second old. NULL: this daemon alone runs what there is. */
    enum node_fit (*fit)(void *ctx, const struct task_spec *spec);
    /* Has any node that lives the label? Likewise. */
    bool (*has_label)(void *ctx, const char *label);
};

#endif
