#include "workers/fork/orphans.h"

#include "core/mem.h"

#define KEPT 64

static struct orphan_end kept[KEPT];
static size_t next;

void orphans_note(pid_t pid, int status, const struct rusage *use)
{
    kept[next] = (struct orphan_end){.pid = pid, .status = status, .use = *use};
    next = (next + 1) % FUT_COUNT(kept);
}

bool orphans_take(pid_t pid, struct orphan_end *out)
{
    for (size_t i = 1; i <= FUT_COUNT(kept); i++) {
        struct orphan_end *end = &kept[(next + FUT_COUNT(kept) - i) % FUT_COUNT(kept)];
        if (end->pid != pid || pid == 0)
            continue;
        *out = *end;
        end->pid = 0;
        return true;
    }
    return false;
}
