/* graph: what submissions say of the tasks that they wait for: names and edges are gathered while
 * tasks are read, resolved when all are there, and checked for a cycle. Pure; any thread; nothing
 * blocks. */
#ifndef FUT_API_RESOURCES_GRAPH_H
#define FUT_API_RESOURCES_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "api/text/problem.h"
#include "core/task.h"
#include "storage/store.h"

#define GRAPH_PARENTS_MAX 1000 /* of one task */
#define GRAPH_EDGES_MAX 100000 /* of one batch */

struct json_t;
struct graph_name;
struct graph_edge;

/* Zeroed: an empty one. */
struct graph {
    struct graph_name *names; /* of the tasks that have one */
    size_t n_names, cap_names;
    struct graph_edge *edges; /* by ascending child */
    size_t n_edges, cap_edges;
    size_t then; /* the place of the task that waits for all others; 0: there is none */
};

/* The task at place `child` has this name (NULL: none) and waits for these (the array "after", or
 * NULL). Copies. 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int graph_add(struct graph *g, size_t child, const char *name,
                             const struct json_t *after, struct problem *p);
/* The task at place `child`, behind all others, waits for those at 0 … n - 1, and may refer to all
 * their results. 0, or FUT_ERR_INVAL with *p set: too many edges. */
FUT_MUST_CHECK int graph_add_then(struct graph *g, size_t child, size_t n, enum store_on on,
                                  struct problem *p);
/* All n tasks are there: makes those that wait TASK_SCHEDULED, and gives those whose input may
 * refer to results (spec.has_refs) one that refers by ids. *out: as struct store_submit wants them,
 * free() it; NULL none. 0, or FUT_ERR_INVAL with *p set: a name that nobody has, or that two have;
 * a parent that is named twice; a cycle; a result of a task that is not waited for. */
FUT_MUST_CHECK int graph_resolve(const struct graph *g, struct task *tasks, size_t n,
                                 struct store_edge **out, size_t *out_n, struct problem *p);
/* "success", "failure" or "done". */
const char *graph_on_text(enum store_on on);
/* How an edge's "on" is spelled. True, or false: it is none; *out untouched. */
bool graph_parse_on(const char *text, enum store_on *out);
/* Frees what was gathered; empty after that. */
void graph_release(struct graph *g);
/* The answer to a submission that the store refused for o->refused_edge. */
void graph_refused(const struct store_submit *o, struct problem *p);

#endif
