/* task_filter: which futures a listing or an operation on many of them means: a future
 * matches when all members that are set match. One table has its members by name, each with a text
 * form, which are the query parameters of a listing, the members of a JSON body, and what a store
 * keeps of an operation. Pure but for the clock, which "older_than" reads; any thread; nothing
 * blocks. */
#ifndef FUT_CORE_TASK_FILTER_H
#define FUT_CORE_TASK_FILTER_H

#include "core/buf.h"
#include "core/err.h"
#include "core/task.h"

#define TASK_FILTER_CODE_MAX 64 /* bytes of an error code */

struct task_filter {
    unsigned states;                     /* bit (1u << state) for each wanted state; 0: all */
    int lane;                            /* enum lane, or -1: both */
    char handler[TASK_HANDLER_MAX + 1];  /* "": all */
    char queue[TASK_QUEUE_MAX + 1];      /* "": all; TASK_QUEUE_DEFAULT has those that name none */
    char schedule[TASK_HANDLER_MAX + 1]; /* that made them; "": all */
    char code[TASK_FILTER_CODE_MAX + 1]; /* how they have ended; "": however, or not at all */
    struct task_id batch;                /* hi 0: in any or none */
    struct task_id parent;               /* hi 0: submitted by any task, or by none */
    int64_t from_wall_ms, until_wall_ms; /* submitted at or after, and before; 0: whenever */
    bool runs_here; /* on this node, where several share the store: for the daemon
                       itself, no text says so */
};

/* Means every future. */
extern const struct task_filter task_filter_all;

/* Sets one member from its text. 0; FUT_ERR_NOT_FOUND: no member has this name; FUT_ERR_INVAL: the
 * text is not what *out_allowed says ("a comma list of …"; static). */
FUT_MUST_CHECK int task_filter_set(struct task_filter *f, const char *name, const char *text,
                                   const char **out_allowed);
/* The names of all members, as text for people: "state, lane, …". Static. */
const char *task_filter_members(void);
/* Appends all that is said as "state=failed&handler=x"; task_filter_read reads it again. */
void task_filter_write(struct buf *out, const struct task_filter *f);
/* 0, or FUT_ERR_INVAL with *out undefined. */
FUT_MUST_CHECK int task_filter_read(const char *text, struct task_filter *out);

/* Is the task meant? Its spec may lack the input, its outcome all but the code. */
bool task_filter_wants(const struct task_filter *f, const struct task *t);
/* No future that is meant has a lower id.hi. */
uint64_t task_filter_lowest(const struct task_filter *f);

#endif
