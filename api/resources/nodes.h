/* nodes: what the daemons that share the store say of themselves, for those who show parts of it.
 */
#ifndef FUT_API_RESOURCES_NODES_H
#define FUT_API_RESOURCES_NODES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/task.h"
#include "storage/node.h"

struct request;

struct node_lane {
    uint64_t slots, running;
    bool is_paused;
};

/* Reads all nodes into r->op.node_list, then goes on with next, which looks at its rc. */
void nodes_read(struct request *r, void (*next)(struct request *r));
/* The node's word for how it is, of the HTTP contract. */
const char *node_state(const struct store_node *n);
/* Its load, for json_decref; NULL: it has said nothing that can be read. */
json_t *node_load(const struct store_node *n);
/* A lane of that; what is not said is 0. load NULL ok. */
struct node_lane node_lane_of(const json_t *load, enum lane lane);
/* The member "lanes" of that. */
void node_write_lanes(struct buf *out, const json_t *load);

#endif
