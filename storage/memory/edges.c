/* edges: what the graph asks of the records of the memory backend. */
#include "storage/memory/internal.h"

int memory_find_state(struct backend *b, struct task_id id, enum task_state *out)
{
    const struct record *r = memory_find(b, id.hi);
    if (!r || r->task.spec->id.lo != id.lo)
        return FUT_ERR_NOT_FOUND;
    *out = r->task.state;
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
