/* edges: what the graph asks of the records of the memory backend. */
#include "core/mem.h"
#include "storage/memory/internal.h"

int memory_find_state(struct backend *b, struct task_id id, enum task_state *out)
{
    const struct record *r = memory_find(b, id.hi);
    if (!r || r->task.spec->id.lo != id.lo)
        return FUT_ERR_NOT_FOUND;
    *out = r->task.state;
    return 0;
}

int memory_queue(struct backend *b, uint64_t key, enum task_state to, int64_t place)
{
    struct record *r = memory_find(b, key);
    struct task after = r->task;
    after.state = to;
    after.due_wall_ms = 0;
    after.unmet = 0;
    after.is_suspended = false;
    memory_set(b, r, &after, r->line, place);
    return 0;
}

int memory_set_due(struct backend *b, const struct task *t)
{
    struct record *r = memory_find(b, t->spec->id.hi);
    struct task after = r->task;
    after.due_wall_ms = t->due_wall_ms;
    memory_set(b, r, &after, r->line, BACKEND_PLACE_KEPT);
    return 0;
}

int memory_set_unmet(struct backend *b, uint64_t child, uint32_t unmet)
{
    struct record *r = memory_find(b, child);
    struct task after = r->task;
    after.unmet = unmet;
    memory_set(b, r, &after, r->line, BACKEND_PLACE_KEPT);
    return 0;
}

int memory_find_live(struct backend *b, uint64_t key, struct task *out)
{
    const struct record *r = memory_find(b, key);
    if (!r || task_state_is_final(r->task.state))
        return FUT_ERR_NOT_FOUND;
    task_copy(out, &r->task);
    return 0;
}

int memory_find_done(struct backend *b, uint64_t key, struct task *out)
{
    const struct record *r = memory_find(b, key);
    if (!r || !task_state_is_final(r->task.state))
        return FUT_ERR_NOT_FOUND;
    task_copy(out, &r->task);
    return 0;
}

int memory_place(struct backend *b, uint64_t key, int64_t *out)
{
    const struct record *r = memory_find(b, key);
    if (!r || task_state_is_final(r->task.state))
        return FUT_ERR_NOT_FOUND;
    *out = r->place;
    return 0;
}

int memory_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                    size_t *out_n)
{
    size_t n = 0;
    for (struct list_node *i = list_first(&b->in_order); i && n < max;
         i = list_next(&b->in_order, i)) {
        const struct record *r = FUT_CONTAINER(i, struct record, in_order);
        if (r->task.state == state)
            task_copy(&tasks[n++], &r->task);
    }
    *out_n = n;
    return 0;
}
