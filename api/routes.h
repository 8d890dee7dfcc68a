/* routes: the table of all that the API answers. A new route is a row in routes.c. */
#ifndef FUT_API_ROUTES_H
#define FUT_API_ROUTES_H

#include "api/http/route.h"

extern const struct route_table routes_table;

#endif
