/* schedules: how they come and go, and how they fire. The writer thread alone. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define CANCEL_MAX 1000 /* tasks that one firing cancels */

/* ---- definitions ------------------------------------------------------------------------------
 */

/* What waited goes; so that nothing waits for a task any more. */
static int drop_waiting(struct store *s, struct store_schedule *row)
{
    if (row->waiting_ms == STORE_SCHEDULE_NEVER)
        return 0;
    struct store_schedule_run run = {.kind = STORE_RUN_PAUSED,
                                     .at_ms = row->waiting_ms,
                                     .to_ms = row->waiting_ms,
                                     .done_ms = clock_wall_ms()};
    row->waiting_ms = STORE_SCHEDULE_NEVER;
    row->is_ready = false;
    int rc = s->ops->schedule_end_waiting(s->backend, row->name);
    return rc == 0 ? s->ops->schedule_add_run(s->backend, row, &run) : rc;
}

/* known: the row that is there already. */
static int change_one(struct store *s, struct store_schedules_put *o,
                      const struct store_schedule *item, struct store_schedule *known)
{
    bool is_same = strcmp(known->text, item->text) == 0;
    if (is_same && known->is_from_file == o->is_file)
        return 0;
    known->is_from_file = o->is_file;
    if (!is_same) {
        int rc = drop_waiting(s, known);
        if (rc != 0)
            return rc;
        free(known->text);
        known->text = xstrdup(item->text);
        known->revision = id_new().hi;
        known->since_ms = item->since_ms;
        known->next_ms = item->next_ms;
        known->due_ms = item->due_ms;
    }
    o->changed++;
    return s->ops->schedule_put(s->backend, known);
}

static int put_one(struct store *s, struct store_schedules_put *o,
                   const struct store_schedule *item)
{
    struct store_schedule known;
    int rc = s->ops->schedule_find(s->backend, item->name, &known);
    if (rc == 0) {
        rc = change_one(s, o, item, &known);
        store_schedule_release(&known);
        return rc;
    }
    if (rc != FUT_ERR_NOT_FOUND)
        return rc;
    struct store_schedule added = *item;
    added.is_from_file = o->is_file;
    added.is_paused = added.is_ready = false;
    added.revision = id_new().hi;
    added.waiting_ms = STORE_SCHEDULE_NEVER;
    added.runs = 0;
    o->added++;
    return s->ops->schedule_put(s->backend, &added);
}

static int by_name(const void *name, const void *item)
{
    return strcmp(name, ((const struct store_schedule *)item)->name);
}

static bool is_named(const struct store_schedules_put *o, const char *name)
{
    return bsearch(name, o->items, o->n, sizeof(*o->items), by_name) != NULL;
}

/* Those of the file that are not in it any more. */
static int remove_rest(struct store *s, struct store_schedules_put *o)
{
    char(*names)[STORE_SCHEDULE_NAME_MAX + 1] = NULL;
    size_t n = 0;
    int rc = s->ops->schedule_of_file(s->backend, &names, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (is_named(o, names[i]))
            continue;
        rc = s->ops->schedule_remove(s->backend, names[i]);
        o->removed++;
    }
    free(names);
    return rc;
}

/* Whatever refuses is found before anything is written. */
static int check_put(struct store *s, const struct store_schedules_put *o)
{
    size_t n = 0, of_file = 0, added = 0;
    int rc = s->ops->schedule_count(s->backend, &n, &of_file);
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        struct store_schedule known;
        rc = s->ops->schedule_find(s->backend, o->items[i].name, &known);
        added += rc == FUT_ERR_NOT_FOUND || (o->is_file && rc == 0 && known.is_from_file);
        if (rc == 0) {
            if (known.is_from_file && !o->is_file)
                rc = FUT_ERR_STATE;
            store_schedule_release(&known);
        }
        rc = rc == FUT_ERR_NOT_FOUND ? 0 : rc;
    }
    if (rc != 0)
        return rc;
    return n - (o->is_file ? of_file : 0) + added > STORE_SCHEDULES_MAX ? FUT_ERR_FULL : 0;
}

static int write_put(struct store *s, struct store_op *op)
{
    struct store_schedules_put *o = FUT_CONTAINER(op, struct store_schedules_put, op);
    o->added = o->changed = o->removed = 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = check_put(s, o);
    if (rc == 0 && o->is_file)
        rc = remove_rest(s, o);
    for (size_t i = 0; rc == 0 && i < o->n; i++)
        rc = put_one(s, o, &o->items[i]);
    s->w.schedules_moved = s->w.schedules_moved || rc == 0;
    return rc;
}

const struct store_verb store_verb_schedules_put = {
    .write = write_put, .is_refusable = true, .is_repeatable = true};

static int write_remove(struct store *s, struct store_op *op)
{
    struct store_schedule_remove *o = FUT_CONTAINER(op, struct store_schedule_remove, op);
    struct store_schedule row;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->schedule_find(s->backend, o->name, &row);
    if (rc != 0)
        return rc;
    rc = row.is_from_file ? FUT_ERR_STATE : s->ops->schedule_remove(s->backend, o->name);
    store_schedule_release(&row);
    s->w.schedules_moved = s->w.schedules_moved || rc == 0;
    return rc;
}

const struct store_verb store_verb_schedule_remove = {
    .write = write_remove, .is_refusable = true, .is_repeatable = true};

static int pause_row(struct store *s, const struct store_schedule_pause *o,
                     struct store_schedule *row)
{
    if (row->revision != o->revision)
        return FUT_ERR_STALE;
    if (row->is_paused == o->is_paused)
        return 0;
    int rc = o->is_paused ? drop_waiting(s, row) : 0;
    if (rc != 0)
        return rc;
    row->is_paused = o->is_paused;
    row->revision = id_new().hi;
    if (!o->is_paused) {
        row->next_ms = o->next_ms;
        row->due_ms = o->due_ms;
    }
    s->w.schedules_moved = true;
    return s->ops->schedule_put(s->backend, row);
}

static int write_pause(struct store *s, struct store_op *op)
{
    struct store_schedule_pause *o = FUT_CONTAINER(op, struct store_schedule_pause, op);
    struct store_schedule row;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->schedule_find(s->backend, o->name, &row);
    if (rc != 0)
        return rc;
    rc = pause_row(s, o, &row);
    store_schedule_release(&row);
    return rc;
}

const struct store_verb store_verb_schedule_pause = {
    .write = write_pause, .is_refusable = true, .is_repeatable = true};

/* ---- firing -----------------------------------------------------------------------------------
 */

static bool is_still_time(const struct store_schedule_fire *o, const struct store_schedule *row)
{
    if (o->kind == STORE_FIRE_NOW)
        return true;
    if (row->revision != o->revision || row->is_paused)
        return false;
    return (o->kind == STORE_FIRE_TIME ? row->next_ms : row->waiting_ms) == o->time_ms;
}

static int cancel_one(struct store *s, struct task *t)
{
    struct task_outcome *why = task_outcome_error(end_code_text(END_CANCELLED),
                                                  "cancelled because its schedule was due again");
    int rc = txn_end(s, t, EVENT_CANCEL, why);
    task_outcome_unref(why);
    return rc;
}

/* The tasks of the schedule that were there before those of this firing. */
static int cancel_unfinished(struct store *s, struct task *tasks, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = cancel_one(s, &tasks[i]);
        task_release(&tasks[i]);
    }
    return rc;
}

/* What is to become of the time, while tasks of the schedule are unfinished. */
static enum store_run_kind judge(const struct store_schedule_fire *o,
                                 const struct store_schedule *row, size_t unfinished)
{
    if (o->n == 0)
        return STORE_RUN_REFUSED;
    if (unfinished == 0 || o->kind == STORE_FIRE_NOW)
        return STORE_RUN_FIRED;
    if (o->overlap == STORE_OVERLAP_SKIP)
        return STORE_RUN_OVERLAP;
    if (o->overlap == STORE_OVERLAP_QUEUE_ONE)
        return row->waiting_ms == STORE_SCHEDULE_NEVER || o->kind == STORE_FIRE_WAITING
                   ? STORE_RUN_WAITING
                   : STORE_RUN_OVERLAP;
    return STORE_RUN_FIRED;
}

/* The tasks first: only they may be refused, and then nothing else has been written. */
static int submit(struct store *s, struct store_schedule_fire *o, struct task *unfinished,
                  size_t n_unfinished)
{
    if (o->run.kind == STORE_RUN_FIRED) {
        struct store_submit tasks = {.tasks = o->tasks, .n = o->n};
        int rc = txn_is_full(s, o->n) ? FUT_ERR_FULL : submit_insert(s, &tasks);
        if (rc == FUT_ERR_CONFLICT) /* an unfinished task has its unique key */
            o->run.kind = STORE_RUN_REFUSED;
        else if (rc != 0) {
            for (size_t i = 0; i < n_unfinished; i++)
                task_release(&unfinished[i]);
            return rc;
        } else {
            o->run.id = o->tasks[0].spec->id;
        }
    }
    if (o->run.kind == STORE_RUN_FIRED && o->overlap == STORE_OVERLAP_CANCEL &&
        o->kind != STORE_FIRE_NOW)
        return cancel_unfinished(s, unfinished, n_unfinished);
    for (size_t i = 0; i < n_unfinished; i++)
        task_release(&unfinished[i]);
    return 0;
}

static int record(struct store *s, struct store_schedule_fire *o, struct store_schedule *row)
{
    int64_t now = clock_wall_ms();
    int rc = 0;
    if (o->kind == STORE_FIRE_WAITING)
        rc = s->ops->schedule_end_waiting(s->backend, row->name);
    if (rc == 0 && o->missed_from_ms)
        rc = s->ops->schedule_add_run(s->backend, row,
                                      &(struct store_schedule_run){.kind = STORE_RUN_MISSED,
                                                                   .at_ms = o->missed_from_ms,
                                                                   .to_ms = o->missed_to_ms,
                                                                   .done_ms = now});
    o->run.at_ms = o->run.to_ms = o->at_ms;
    o->run.done_ms = now;
    o->run.is_manual = o->kind == STORE_FIRE_NOW;
    if (rc == 0 && o->at_ms)
        rc = s->ops->schedule_add_run(s->backend, row, &o->run);
    return rc;
}

static void move_on(const struct store_schedule_fire *o, struct store_schedule *row)
{
    if (o->kind == STORE_FIRE_TIME) {
        row->next_ms = o->next_ms;
        row->due_ms = o->due_ms;
    }
    if (o->kind == STORE_FIRE_WAITING) {
        row->waiting_ms = STORE_SCHEDULE_NEVER;
        row->is_ready = false;
    }
    if (o->at_ms && o->run.kind == STORE_RUN_WAITING) {
        row->waiting_ms = o->at_ms;
        row->is_ready = false;
    }
}

static int fire(struct store *s, struct store_schedule_fire *o, struct store_schedule *row)
{
    bool looks = o->overlap != STORE_OVERLAP_ALLOW && o->n && o->kind != STORE_FIRE_NOW;
    size_t n = 0, max = o->overlap == STORE_OVERLAP_CANCEL ? CANCEL_MAX : 1;
    struct task *unfinished = looks ? xcalloc(max, sizeof(*unfinished)) : NULL;
    int rc = looks ? s->ops->schedule_unfinished(s->backend, row->name, max, unfinished, &n) : 0;
    o->run = (struct store_schedule_run){.kind = judge(o, row, n)};
    if (rc == 0)
        rc = submit(s, o, unfinished, n);
    free(unfinished);
    if (rc == 0) {
        move_on(o, row);
        rc = record(s, o, row);
    }
    return rc == 0 ? s->ops->schedule_put(s->backend, row) : rc;
}

static int write_fire(struct store *s, struct store_op *op)
{
    struct store_schedule_fire *o = FUT_CONTAINER(op, struct store_schedule_fire, op);
    struct store_schedule row;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->schedule_find(s->backend, o->name, &row);
    if (rc != 0)
        return rc;
    rc = is_still_time(o, &row) ? fire(s, o, &row) : FUT_ERR_STALE;
    store_schedule_release(&row);
    s->w.schedules_moved = s->w.schedules_moved || rc == 0;
    return rc;
}

const struct store_verb store_verb_schedule_fire = {.write = write_fire};
