/* span_view: what api/ may know of the spans that daemon/ sends to a collector, as plain data
 * behind a function pointer, as in core/pool_view.h. */
#ifndef FUT_CORE_SPAN_VIEW_H
#define FUT_CORE_SPAN_VIEW_H

#include <stdint.h>

/* Counted since boot. */
struct span_stats {
    uint64_t sent;
    uint64_t dropped; /* the collector was slow or did not answer: there was no space, or no time */
    uint64_t refused; /* the collector did not want them */
    uint64_t waiting; /* are in memory now */
};

struct span_view {
    void *ctx;
    void (*read)(void *ctx, struct span_stats *out); /* any thread; NULL: no spans are sent */
};

#endif
