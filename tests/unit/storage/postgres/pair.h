/* pair: two nodes on one database, in one process, for the tests of what they have to do with each
 * other. Each test in a process of its own. */
#ifndef FUT_TESTS_UNIT_STORAGE_POSTGRES_PAIR_H
#define FUT_TESTS_UNIT_STORAGE_POSTGRES_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/contract/fixture.h"

#define LATE_MS 3000 /* nobody may wait for news for so long */

extern struct fixture nodes[2];

/* Opens both, "first" and "second"; more: what their sessions say beside that, as a part of the
 * URL. */
void begin_with(const char *more);
void begin(void);
void end(void);
/* Opens one of them, again. */
void open_node(int i, const char *name);

/* Has the listener of the node heard of the end, or that this attempt is to stop? */
bool has_ended(int node, struct task_id id);
bool is_stopped(int node, struct task_id id, uint32_t attempt);

/* Runs SQL in the schema of the store; the first value of its first row, or NULL; free() it. */
char *run_sql(const char *sql);
/* Is this condition true, as SQL in the schema of the store? */
bool is_so(const char *sql);

/* A task of the io lane, which the caller releases. */
struct task make_task(const char *queue, const char *limits, int priority);
/* Submits one at the node. */
struct task_id submit(int node, const char *queue, const char *limits);
struct task_id submit_first(int node, int priority);
/* Says at the node that it has succeeded, and releases it. */
void finish(int node, struct task *t);

#endif
