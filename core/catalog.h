/* catalog: what the daemon can run, as plain data. workers/ makes it, api/ reads it (to refuse an
 * unknown handler and to fill in defaults), daemon/ hands it over. Immutable while shared. */
#ifndef FUT_CORE_CATALOG_H
#define FUT_CORE_CATALOG_H

#include <stddef.h>

#include "core/task.h"

struct handler_info {
    const char *name;
    const char *kind;        /* "builtin" or "exec" */
    const char *description; /* one sentence, "" when none */
    enum lane lane;          /* default lane */
    bool any_lane;           /* a task may ask for the other lane */
    int64_t timeout_ms;      /* default */
    uint32_t retries;        /* default */
};

struct catalog {
    const struct handler_info *items; /* sorted by name */
    size_t n;
};

/* NULL when unknown. */
const struct handler_info *catalog_find(const struct catalog *c, const char *name);

#endif
