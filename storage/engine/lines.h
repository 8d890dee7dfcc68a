/* lines: the waiting lines as the writer remembers them: a directory of those that unfinished tasks
 * belong to, how many each has, and whose turn it is. The rows are the truth; all this is made from
 * them at start, and follows each change. README.md, "Turns", has the rules. The writer thread
 * alone.
 *
 * A line is what cannot be told apart: the tasks of one lane, queue, handler and fairness key.
 * Those of a handler in a queue's lane are a group; a queue's two lanes are its parts. What a claim
 * looks at is only what may run: a line with waiting tasks is in its group's heap, a group with
 * such lines is in its handler's heap as long as its queue may start tasks. */
#ifndef FUT_STORAGE_ENGINE_LINES_H
#define FUT_STORAGE_ENGINE_LINES_H

#include "core/heap.h"
#include "core/list.h"
#include "core/map.h"
#include "storage/backend.h"
#include "storage/engine/limit_set.h"
#include "storage/engine/pauses.h"

struct store;

/* The latest starts of tasks of a queue, for its statistics. */
struct line_starts {
    struct {
        uint32_t at_ds, wait_ms; /* the uptime in tenths of seconds; how long it had waited */
    } ring[STORE_QUEUE_STARTS];
    uint64_t n; /* ever */
};

/* A queue in one lane. */
struct line_part {
    struct line_queue *queue;
    enum lane lane;
    struct list groups; /* with lines that have waiting tasks */
    struct list all_groups;
    int64_t turn_us;       /* slot time that it has had by its weight, from where the lane began */
    int64_t ran_us;        /* moving average of how long its tasks run: what a start is charged */
    int64_t charged_us;    /* of those that run */
    int64_t key_turn;      /* of the key that was served last */
    struct heap idle_keys; /* keys without lines that have had more than their turn */
    uint64_t live[TASK_STATE_COUNT];
};

struct line_queue {
    struct map_node by_name;
    struct line_part parts[LANE_COUNT];
    struct list_node in_all;
    struct list_node idle; /* in the directory's list; it has no line, and nothing is said of it */
    size_t n_lines;
    uint64_t running;
    char name[TASK_QUEUE_MAX + 1]; /* "": TASK_QUEUE_DEFAULT */
    struct store_queue is;         /* what is said of it, or what holds otherwise */
    bool is_said, is_paused;
    bool is_changing;               /* in this transaction: it stays, as that may be taken back */
    bool is_open;                   /* it may start tasks */
    bool is_listed;                 /* by the latest queues_reload */
    struct limit_key *gate;         /* max_running and rate; NULL: neither is said */
    struct store_fair_weight *fair; /* by key */
    size_t n_fair;
    uint32_t fair_version; /* changes with these */
    struct line_starts *starts;
};

/* A fairness key in a part; its tasks that name other limits take turns of their own, so that a key
 * has few lines, however many keys of limits there are. */
struct line_key {
    struct map_node by_name;
    struct heap_node idle; /* in its part's heap */
    struct list lines;
    struct line_part *part;
    int64_t turn;          /* the key with the lowest goes first; a start adds step */
    int64_t step;          /* LINE_KEY_STEP by the key's weight */
    uint32_t fair_version; /* of the queue, as of which that is */
    const char *limits;    /* behind text; "": none */
    char text[];
};
#define LINE_KEY_STEP 1000000

/* A handler in a lane. */
struct line_handler {
    struct map_node by_name;
    struct list_node active; /* in the directory's list while groups has any */
    struct heap groups;      /* that may start tasks, by the turn of their parts */
    uint64_t running;
    uint64_t served;      /* number of its latest start */
    bool is_wanted;       /* by the claim that is being served */
    unsigned char closed; /* bits of enum line_closed; 0: its tasks may start here */
    enum lane lane;
    char name[TASK_HANDLER_MAX + 1];
};

enum line_closed {
    LINE_PAUSED = 1,
    LINE_FOREIGN = 2, /* this node does not have the handler */
};

/* What waits in a group stands in a tree: under the group, one level for each limit that the tasks
 * name, and under these the lines. A node whose limit is closed is not among its parent's, so
 * nothing below it is looked at. */
struct line_node {
    struct heap_node by_turn; /* in its parent's heap while it is open and has something */
    struct heap lines;        /* that have waiting tasks, by the turn of their keys */
    struct heap nodes;        /* open ones that have something, by the first turn of it */
    struct line_node *parent; /* NULL: the group's */
    struct line_group *group;
    struct limit_key *limit; /* NULL with parent */
    struct list_node in_limit;
    struct map_node by_name;
    size_t refs; /* lines and nodes below it */
};

struct line_group {
    struct list_node in_part, in_all;
    struct map_node by_name;
    struct heap_node by_turn; /* in its handler's heap */
    struct line_node root;
    struct line_handler *handler;
    struct line_part *part;
};

struct line {
    struct map_node by_name, by_number;
    struct list_node in_key, idle; /* idle: in the directory's list; it has no task */
    struct heap_node by_turn;      /* in its node's heap */
    struct line_group *group;
    struct line_node *node; /* of its last limit, or the group's */
    struct line_key *key;
    int64_t number;
    uint64_t live[TASK_STATE_COUNT];
    int64_t first; /* the lowest place of those that wait; BACKEND_PLACE_NONE: not known */
    bool is_stored;
};

/* What is taken back when the transaction, or a part of it, is; and what other nodes are told. */
#define LINE_ADDED (-2)
struct line_undo {
    struct line *line;
    int from, to; /* as of lines_move; from LINE_ADDED: it was stored */
    uint64_t n;
};

struct lines {
    struct map by_name, by_number, groups, handlers, keys, queues, nodes;
    struct line *latest; /* that lines_get gave; mostly it is the next one, too */
    struct limit_set *limits;
    struct pauses *pauses;
    char **here; /* the handlers that this node has, sorted; NULL: all */
    size_t n_here;
    struct list active[LANE_COUNT]; /* handlers */
    int64_t turn_us[LANE_COUNT];    /* of the part that was served last */
    uint64_t served;
    int64_t last_number;
    struct list idle; /* lines of keys and named queues that have no task: their rows go with the
                         commit */
    struct list all_queues;
    struct list idle_queues; /* that are remembered for what they have had */
    struct list dropped;     /* of these, whose rows have gone in this transaction */
    struct line_undo *undo;
    size_t n_undo, cap_undo;
};

/* An empty directory; lines_release frees. */
void lines_init(struct lines *l);
void lines_release(struct lines *l);
/* Fills it from the backend; adds what there is to live. */
FUT_MUST_CHECK int lines_load(struct store *s, uint64_t live[LANE_COUNT][TASK_STATE_COUNT]);

/* The line of a task, which is made and stored if need be, within the transaction. FUT_ERR_TOO_BIG:
 * it would be in one more than STORE_QUEUES_MAX queues. */
FUT_MUST_CHECK int lines_get(struct store *s, const struct task_spec *spec, struct line **out);
/* The handler, or NULL: no line of it was ever made. */
struct line_handler *lines_find_handler(const struct lines *l, enum lane lane, const char *name);
/* From now on this node has these handlers (sorted, taken over with the texts); NULL: all. */
void lines_set_here(struct lines *l, char **names, size_t n);
/* How many tasks of the handler run, in both lanes. */
uint64_t lines_running(const struct lines *l, const char *handler);
/* The line of that number, or NULL. */
struct line *lines_find(const struct lines *l, int64_t number);
static inline enum lane lines_lane(const struct line *line)
{
    return line->group->handler->lane;
}

/* The place of a task that comes to the line at `key`. */
int64_t lines_place(const struct line *line, uint64_t key, int priority);
/* Counts n tasks of the line from state `from` to state `to`. LINE_NONE: a task that is new, or
 * that is deleted; final states are not counted. */
#define LINE_NONE (-1)
void lines_move(struct lines *l, struct line *line, int from, int to, uint64_t n);
/* One more task waits, at this place; BACKEND_PLACE_NONE: its place is not known. Call it before
 * lines_move. */
void lines_wait_at(struct line *line, int64_t place);
/* Another node has committed: such a line is there (false: there are too many queues, or keys of
 * limits); n tasks of it went from one state to the other; its row has gone. Between transactions.
 */
FUT_MUST_CHECK bool lines_hear_line(struct lines *l, const struct backend_line *is);
void lines_hear_move(struct lines *l, struct line *line, int from, int to, uint64_t n);
void lines_hear_drop(struct lines *l, struct line *line);
/* Where lines_undo_to goes back to. */
size_t lines_mark(const struct lines *l);
void lines_undo_to(struct lines *l, size_t mark);
/* Are there rows of lines that no task needs? */
bool lines_are_untidy(const struct lines *l);
/* Deletes some of them; within the transaction, before its commit. */
FUT_MUST_CHECK int lines_tidy(struct store *s);
/* The transaction is committed: what it did is not taken back any more. */
void lines_committed(struct lines *l);

/* ---- line_queues.c: the queues of the directory ------------------------------------------------
 */

/* The queue of this name ("": the default one), or NULL. */
struct line_queue *line_queue_find(const struct lines *l, const char *name);
/* Likewise, made if need be; NULL: there are STORE_QUEUES_MAX. */
struct line_queue *line_queue_get(struct lines *l, const char *name);
/* What holds of a queue of which nothing is said. */
struct store_queue line_queue_unsaid(const char *name);
/* What is said of the queue has changed: it stays while something is, or it has lines. */
void line_queue_keep(struct lines *l, struct line_queue *q);
/* Does the queue exist: has it settings, or lines? */
bool line_queue_is_there(const struct line_queue *q);
/* All queues that are there; *out: free() it. */
size_t line_queue_list(const struct lines *l, struct line_queue ***out);
/* A task of the line has started, which had waited so long. */
void line_queue_add_start(struct line *line, int64_t up_ms, int64_t wait_ms);
/* Free a key, a group, a queue to which nothing refers. */
void line_queue_free_key(struct lines *l, struct line_key *k);
void line_queue_free_group(struct map_node *by_name);
void line_queue_free(struct map_node *by_name);

/* ---- turns.c: whose turn it is. Lines call it, it calls no line. ------------------------------
 */

/* The line has waiting tasks from now on, or no longer. */
void turns_enter(struct lines *l, struct line *line);
void turns_leave(struct lines *l, struct line *line);
/* May the queue start another task of the handler now? */
bool turns_may_start(const struct line *line);
/* Is one of the limits that its tasks name closed? */
bool turns_are_limited(const struct lines *l, const struct line *line);
/* How many tasks of the line its limits let start now, `want` at most. */
uint64_t turns_space(const struct lines *l, const struct line *line, uint64_t want);
/* limit_set_update, and when the key has opened or closed, so do the lines under it. */
void turns_update_limit(struct lines *l, struct limit_key *k);
/* The line has no space although none of its limits is closed: closes those that are used up. */
void turns_update_limits(struct lines *l, const struct line *line);
/* The queue has been paused, or goes on; or its own limit has opened or closed. */
void turns_follow(struct lines *l, struct line_queue *q);
/* Why the handler's tasks do not start in one lane has changed to these bits. */
void turns_close(struct lines *l, struct line_handler *h, unsigned closed);
/* n tasks of the line were given slots: its handler, key and queue have had their turns. */
void turns_charge(struct lines *l, struct line *line, uint64_t n);
/* A task of the line has given up its slot after ran_us; < 0: it never used it. Call it before
 * lines_move. */
void turns_refund(struct lines *l, struct line *line, int64_t ran_us);

/* Does any line of the lane have a task that may start? */
bool turns_has_any(const struct lines *l, enum lane lane);
/* Tells the directory which handlers the claim wants, for turns_next. */
void turns_want(struct lines *l, const struct store_claim *o);
/* Does the claim take tasks of this handler? */
bool turns_wants(const struct store_claim *o, const char *handler);
/* The line whose turn it is of those that the claim wants; NULL: none has tasks that may start.
 * *out_n: how many may be taken of it before it may be another's turn. */
FUT_MUST_CHECK int turns_next(struct store *s, enum lane lane, struct line **out, uint64_t *out_n);

#endif
