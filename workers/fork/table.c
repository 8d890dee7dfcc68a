#include "workers/fork/table.h"

#include <signal.h>
#include <stdlib.h>

#include "core/fd.h"
#include "core/mem.h"
#include "workers/fork/groups.h"

static struct {
    struct map by_pid, by_generation;
    struct list all;
    size_t of_line[FORK_LINES + 1];
} table;

void table_init(void)
{
    map_init(&table.by_pid);
    map_init(&table.by_generation);
    list_init(&table.all);
}

struct list *table_all(void)
{
    return &table.all;
}

struct fork_child *table_of_generation(uint64_t generation)
{
    struct map_node *n = map_get(&table.by_generation, generation);
    return n ? FUT_CONTAINER(n, struct fork_child, by_generation) : NULL;
}

struct fork_child *table_of_pid(pid_t pid)
{
    struct map_node *n = map_get(&table.by_pid, (uint64_t)pid);
    return n ? FUT_CONTAINER(n, struct fork_child, by_pid) : NULL;
}

struct fork_child *table_find(uint32_t slot, uint64_t generation)
{
    struct fork_child *child = table_of_generation(generation);
    return child && child->slot == slot ? child : NULL;
}

struct fork_child *table_add(const struct fork_request *r, pid_t pid)
{
    struct fork_child *child = xnew(struct fork_child);
    child->pid = pid;
    child->slot = r->slot;
    child->generation = r->generation;
    child->refusal_fd = -1;
    child->line = r->line;
    table.of_line[r->line]++;
    child->limits = r->limits;
    child->kill_grace_ms = r->kill_grace_ms;
    map_put(&table.by_pid, &child->by_pid, (uint64_t)pid);
    map_put(&table.by_generation, &child->by_generation, r->generation);
    list_push_back(&table.all, &child->link);
    return child;
}

void table_remove(struct fork_child *child)
{
    map_remove(&table.by_pid, &child->by_pid);
    map_remove(&table.by_generation, &child->by_generation);
    list_remove(&table.all, &child->link);
    table.of_line[child->line]--;
    fd_close(&child->refusal_fd);
    free(child->refusal);
    free(child);
}

size_t table_count_line(uint32_t line)
{
    return table.of_line[line];
}

/* The child is not reaped yet, so neither its pid nor its group can belong to another process. A
 * child that has not made its group yet is still alone: then the process itself is signalled. */
void table_signal(struct fork_child *child, int signal)
{
    if (kill(-child->pid, signal) != 0)
        (void)kill(child->pid, signal);
    if (signal == SIGKILL)
        groups_kill(child->generation);
    child->killed = child->killed || signal == SIGKILL;
    child->outside_signal = signal;
}
