/* filter_in: reads the body of an operation on many futures: which ones, as the members of a
 * listing's filter, and how. Pure but for the clock; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_FILTER_IN_H
#define FUT_API_TEXT_FILTER_IN_H

#include <stdbool.h>
#include <stddef.h>

#include "api/text/problem.h"
#include "core/task_filter.h"

struct filter_in {
    struct task_filter filter;
    bool is_dry;
};

/* states: those that the operation concerns; the body may name no others. Somebody who means every
 * future says so with "all": true. 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int filter_in_read(const char *text, size_t n, unsigned states,
                                  struct filter_in *out, struct problem *p);

#endif
