/* lines: the waiting lines of the memory backend. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

struct memory_line *memory_find_line(const struct backend *b, int64_t number)
{
    struct map_node *n = map_get(&b->line_by_number, (uint64_t)number);
    FUT_ASSERT(n != NULL);
    return FUT_CONTAINER(n, struct memory_line, by_number);
}

void memory_keep_line(struct backend *b, struct memory_line *line)
{
    map_put(&b->line_by_number, &line->by_number, (uint64_t)line->line.number);
    list_push_back(&b->lines, &line->in_order);
}

void memory_hide_line(struct backend *b, struct memory_line *line)
{
    map_remove(&b->line_by_number, &line->by_number);
    list_remove(&b->lines, &line->in_order);
}

void memory_free_line(struct memory_line *line)
{
    free((char *)(uintptr_t)line->line.queue);
    free((char *)(uintptr_t)line->line.handler);
    free((char *)(uintptr_t)line->line.fair_key);
    free((char *)(uintptr_t)line->line.limits);
    heap_release(&line->queued);
    free(line);
}

static bool is_ahead_of(const struct backend_line *a, const struct backend_line *b)
{
    return a->lane == b->lane && strcmp(a->queue, b->queue) == 0 &&
           strcmp(a->fair_key, b->fair_key) == 0;
}

uint32_t memory_place_of(const struct backend *b, const struct record *r)
{
    size_t ahead = 0;
    if (!heap_is_linked(&r->queued))
        return 0;
    for (struct list_node *i = list_first(&b->lines); i; i = list_next(&b->lines, i)) {
        const struct memory_line *m = FUT_CONTAINER(i, struct memory_line, in_order);
        if (is_ahead_of(&m->line, &r->line->line))
            ahead += heap_count_below(&m->queued, r->place, STORE_PLACE_MAX);
    }
    return 1 + (uint32_t)(ahead < STORE_PLACE_MAX ? ahead : STORE_PLACE_MAX);
}

static bool waits_in(const struct record *r, const char *queue)
{
    if (strcmp(queue, TASK_QUEUE_DEFAULT) == 0)
        queue = "";
    return heap_is_linked(&r->queued) && strcmp(r->line->line.queue, queue) == 0;
}

int memory_queue_oldest(struct backend_reader *r, struct store_queue_oldest *o)
{
    struct backend *b = r->b;
    mutex_lock(&b->mu);
    for (size_t q = 0; q < o->n; q++) {
        o->wall_ms[q] = 0;
        for (struct list_node *i = list_first(&b->in_order); i; i = list_next(&b->in_order, i)) {
            const struct record *record = FUT_CONTAINER(i, struct record, in_order);
            if (!waits_in(record, o->queues[q].queue.name))
                continue;
            o->wall_ms[q] = record->task.spec->created_wall_ms;
            break;
        }
    }
    mutex_unlock(&b->mu);
    return 0;
}
