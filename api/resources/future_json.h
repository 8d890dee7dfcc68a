/* future_json: a future as clients see it. Pure; any thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_FUTURE_JSON_H
#define FUT_API_RESOURCES_FUTURE_JSON_H

#include <stdbool.h>

#include "api/resources/waiting_for.h"
#include "api/text/event_out.h"
#include "core/buf.h"
#include "core/task.h"
#include "storage/store.h"

/* A future with all that is known around it; whatever is NULL is left out. */
struct future_view {
    const struct task *task;
    const struct store_reported *reported; /* what it reported */
    const struct task *callback;           /* the task that tells of its end */
    const struct waiting_scene *scene;     /* for "waiting_for" */
    const struct store_attempt *attempts;  /* that ended without ending it; n_attempts */
    size_t n_attempts;
    bool timed_out;  /* its client waited, and it is not done */
    unsigned fields; /* of future_json_fields: only these; 0: all */
    /* Not NULL: bytes that would stand in base64 are left out, and *bytes_behind (borrowed) has
     * them.
     */
    const struct task_outcome **bytes_behind;
};

/* Reads names of members with commas between as a set, the id among them. False: one is not known;
 * *out untouched. Pure. */
bool future_json_fields(const char *text, unsigned *out);
/* Which there are, for people. */
#define FUTURE_JSON_FIELDS                                                                         \
    "some of id, handler, lane, state, done, attempt, created_at, started_at, finished_at, "       \
    "result, log, error"

/* Appends the whole object: with result or error when done. */
void future_json_write_view(struct buf *out, const struct future_view *v);
/* Appends the event `done` of v's task, numbered by its end, with that object; in frames its bytes
 * stand behind the line (v->bytes_behind is not looked at). */
void future_json_write_done(struct buf *out, const struct event_out *form,
                            const struct future_view *v);
/* Appends the whole object from the task alone. A result of type application/json is put inline as
 * it is: it was checked when it came. */
void future_json_write(struct buf *out, const struct task *t);
/* Appends the object as listings show it: no result, no log. scene: NULL leaves "waiting_for" out.
 */
void future_json_write_summary(struct buf *out, const struct task *t,
                               const struct waiting_scene *scene);
/* Appends the member "callback" from the task that delivers it; NULL or without a spec: nothing. */
void future_json_write_callback(struct buf *out, const struct task *t);
/* Appends the object under "error": code, message, exit_code, signal, log, and the data of the
 * failure of the future with this id; NULL leaves the data out. */
void future_json_write_error(struct buf *out, const struct task_outcome *o, const char *id);

/* Writes the limits that a task or handler names (core/task_limits) as a member; NULL: nothing. */
void future_json_limits(struct buf *out, const char *key, const char *text);

/* Writes how many tasks are in each state as the member "counts". */
void future_json_counts(struct buf *out, const uint64_t counts[TASK_STATE_COUNT]);

#endif
