/* schedules: schedules in the memory backend, in order of their names. A transaction that changes
 * one keeps all of them as they were. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

static void keep_before(struct backend *b)
{
    if (b->schedules_before)
        return;
    b->n_schedules_before = b->n_schedules;
    b->schedules_before = xcalloc(b->n_schedules + 1, sizeof(*b->schedules));
    for (size_t i = 0; i < b->n_schedules; i++) {
        b->schedules_before[i] = b->schedules[i];
        b->schedules_before[i].row.text = xstrdup(b->schedules[i].row.text);
    }
}

/* The place of the first one whose name is not before this one. */
static size_t place_of(const struct backend *b, const char *name)
{
    size_t low = 0, high = b->n_schedules;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(b->schedules[middle].row.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct memory_schedule *find(const struct backend *b, const char *name)
{
    size_t i = place_of(b, name);
    bool is_there = i < b->n_schedules && strcmp(b->schedules[i].row.name, name) == 0;
    return is_there ? &b->schedules[i] : NULL;
}

static void copy_row(struct store_schedule *out, const struct store_schedule *row)
{
    *out = *row;
    out->text = xstrdup(row->text);
}

/* ---- the writer -------------------------------------------------------------------------------
 */

int memory_schedule_find(struct backend *b, const char *name, struct store_schedule *out)
{
    const struct memory_schedule *m = find(b, name);
    if (!m)
        return FUT_ERR_NOT_FOUND;
    copy_row(out, &m->row);
    return 0;
}

int memory_schedule_put(struct backend *b, const struct store_schedule *s)
{
    keep_before(b);
    struct memory_schedule *m = find(b, s->name);
    if (m) {
        store_schedule_release(&m->row);
    } else {
        size_t at = place_of(b, s->name);
        if (b->n_schedules == b->cap_schedules) {
            b->cap_schedules = b->cap_schedules ? 2 * b->cap_schedules : 16;
            b->schedules = xrealloc(b->schedules, b->cap_schedules * sizeof(*b->schedules));
        }
        m = &b->schedules[at];
        memmove(m + 1, m, (b->n_schedules - at) * sizeof(*m));
        b->n_schedules++;
        m->n_runs = 0;
    }
    copy_row(&m->row, s);
    return 0;
}

int memory_schedule_remove(struct backend *b, const char *name)
{
    keep_before(b);
    struct memory_schedule *m = find(b, name);
    if (!m)
        return 0;
    store_schedule_release(&m->row);
    memmove(m, m + 1, (size_t)(b->schedules + b->n_schedules - m - 1) * sizeof(*m));
    b->n_schedules--;
    return 0;
}

int memory_schedule_count(struct backend *b, size_t *out_all, size_t *out_of_file)
{
    *out_all = b->n_schedules;
    *out_of_file = 0;
    for (size_t i = 0; i < b->n_schedules; i++)
        *out_of_file += b->schedules[i].row.is_from_file;
    return 0;
}

int memory_schedule_of_file(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                            size_t *out_n)
{
    *out = xcalloc(b->n_schedules + 1, sizeof(**out));
    *out_n = 0;
    for (size_t i = 0; i < b->n_schedules; i++) {
        if (b->schedules[i].row.is_from_file)
            memcpy((*out)[(*out_n)++], b->schedules[i].row.name, sizeof(**out));
    }
    return 0;
}

int memory_schedule_add_run(struct backend *b, struct store_schedule *s,
                            const struct store_schedule_run *run)
{
    keep_before(b);
    struct memory_schedule *m = find(b, s->name);
    FUT_ASSERT(m);
    s->runs++;
    if (m->n_runs == STORE_SCHEDULE_RUNS)
        memmove(m->runs, m->runs + 1, --m->n_runs * sizeof(*m->runs));
    m->runs[m->n_runs++] = *run;
    return 0;
}

int memory_schedule_end_waiting(struct backend *b, const char *name)
{
    keep_before(b);
    struct memory_schedule *m = find(b, name);
    FUT_ASSERT(m);
    for (size_t i = m->n_runs; i-- > 0;) {
        if (m->runs[i].kind == STORE_RUN_WAITING)
            memmove(&m->runs[i], &m->runs[i + 1], (--m->n_runs - i) * sizeof(*m->runs));
    }
    return 0;
}

int memory_schedule_unfinished(struct backend *b, const char *name, size_t max, struct task *tasks,
                               size_t *out_n)
{
    size_t n = 0;
    for (struct list_node *i = list_first(&b->in_order); i && n < max;
         i = list_next(&b->in_order, i)) {
        const struct task *t = &FUT_CONTAINER(i, struct record, in_order)->task;
        if (!task_state_is_final(t->state) && t->spec->schedule &&
            strcmp(t->spec->schedule, name) == 0)
            task_copy(&tasks[n++], t);
    }
    *out_n = n;
    return 0;
}

void memory_schedule_end_task(struct backend *b, const char *name)
{
    struct task other;
    size_t n;
    const struct memory_schedule *known = find(b, name);
    if (!known || known->row.waiting_ms == STORE_SCHEDULE_NEVER || known->row.is_paused)
        return;
    (void)memory_schedule_unfinished(b, name, 1, &other, &n);
    if (n) {
        task_release(&other);
        return;
    }
    keep_before(b);
    find(b, name)->row.is_ready = true;
}

/* ---- readers ----------------------------------------------------------------------------------
 */

int memory_schedule_get(struct backend_reader *r, struct store_schedule_get *o)
{
    struct backend *b = r->b;
    mutex_lock(&b->mu);
    const struct memory_schedule *m = find(b, o->name);
    if (m)
        copy_row(&o->schedule, &m->row);
    for (size_t i = m ? m->n_runs : 0; i-- > 0;) {
        struct store_schedule_run run = m->runs[i];
        const struct record *rec = run.id.hi ? memory_find(b, run.id.hi) : NULL;
        run.has_future = rec != NULL;
        run.state = rec ? rec->task.state : TASK_SCHEDULED;
        o->runs[o->n_runs++] = run;
    }
    mutex_unlock(&b->mu);
    return m ? 0 : FUT_ERR_NOT_FOUND;
}

int memory_schedule_list(struct backend_reader *r, struct store_schedule_list *o)
{
    struct backend *b = r->b;
    mutex_lock(&b->mu);
    size_t i = place_of(b, o->after);
    if (i < b->n_schedules && strcmp(b->schedules[i].row.name, o->after) == 0)
        i++;
    for (; i < b->n_schedules && o->n < o->limit; i++)
        copy_row(&o->items[o->n++], &b->schedules[i].row);
    o->is_more = i < b->n_schedules;
    mutex_unlock(&b->mu);
    return 0;
}

int memory_schedule_due(struct backend_reader *r, struct store_schedule_due *o)
{
    struct backend *b = r->b;
    mutex_lock(&b->mu);
    for (size_t i = 0; i < b->n_schedules; i++) {
        const struct store_schedule *row = &b->schedules[i].row;
        int64_t wake = backend_schedule_wake(row);
        if (wake > o->now_ms) {
            o->next_ms = wake < o->next_ms ? wake : o->next_ms;
            continue;
        }
        size_t at = o->n;
        while (at > 0 && backend_schedule_wake(&o->items[at - 1]) > wake)
            at--;
        if (at == o->limit)
            continue;
        if (o->n == o->limit)
            store_schedule_release(&o->items[--o->n]);
        memmove(&o->items[at + 1], &o->items[at], (o->n++ - at) * sizeof(*o->items));
        copy_row(&o->items[at], row);
    }
    mutex_unlock(&b->mu);
    return 0;
}
