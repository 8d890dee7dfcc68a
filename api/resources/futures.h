/* futures: what other resources need of reading one future. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_FUTURES_H
#define FUT_API_RESOURCES_FUTURES_H

#include <stdbool.h>

#include "core/id.h"

struct request;

/* The id in the path. False: it is malformed, so nobody has it, and the request was answered. */
bool futures_read_id(struct request *r, struct task_id *out);

#endif
