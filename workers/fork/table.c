#include "workers/fork/table.h"

#include <signal.h>
#include <stdlib.h>

#include "core/fd.h"
#include "core/mem.h"
#include "workers/fork/groups.h"

static struct {
    struct map by_pid, by_generation;
    struct list all;
} kids;

void kids_init(void)
{
    map_init(&kids.by_pid);
    map_init(&kids.by_generation);
    list_init(&kids.all);
}

struct list *kids_all(void)
{
    return &kids.all;
}

struct kid *kid_of_generation(uint64_t generation)
{
    struct map_node *n = map_get(&kids.by_generation, generation);
    return n ? FUT_CONTAINER(n, struct kid, by_generation) : NULL;
}

struct kid *kid_of_pid(pid_t pid)
{
    struct map_node *n = map_get(&kids.by_pid, (uint64_t)pid);
    return n ? FUT_CONTAINER(n, struct kid, by_pid) : NULL;
}

struct kid *kid_find(uint32_t slot, uint64_t generation)
{
    struct kid *kid = kid_of_generation(generation);
    return kid && kid->slot == slot ? kid : NULL;
}

struct kid *kid_add(const struct fork_request *r, pid_t pid, int error_fd)
{
    struct kid *kid = xnew(struct kid);
    kid->pid = pid;
    kid->slot = r->slot;
    kid->generation = r->generation;
    kid->error_fd = error_fd;
    kid->limits = r->limits;
    kid->kill_grace_ms = r->kill_grace_ms;
    map_put(&kids.by_pid, &kid->by_pid, (uint64_t)pid);
    map_put(&kids.by_generation, &kid->by_generation, r->generation);
    list_push_back(&kids.all, &kid->link);
    return kid;
}

void kid_forget(struct kid *kid)
{
    map_remove(&kids.by_pid, &kid->by_pid);
    map_remove(&kids.by_generation, &kid->by_generation);
    list_remove(&kids.all, &kid->link);
    fd_close(&kid->error_fd);
    free(kid);
}

/* The kid is not reaped yet, so neither its pid nor its group can be somebody else's. A kid that
 * has not made its group yet is still alone: then the process itself is meant. */
void kid_signal(struct kid *kid, int signal)
{
    if (kill(-kid->pid, signal) != 0)
        (void)kill(kid->pid, signal);
    if (signal == SIGKILL)
        groups_kill(kid->generation);
    kid->killed = kid->killed || signal == SIGKILL;
    kid->far_signal = signal;
}
