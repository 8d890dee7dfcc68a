/* backend: what the backends and the engine both ask about tasks and operations. */
#include "storage/backend.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/mem.h"

bool backend_part_wants(const struct backend_part *part, const char *handler)
{
    uint8_t rank = part->others;
    for (size_t i = 0; i < part->n_ranks; i++) {
        if (strcmp(part->ranks[i].handler, handler) == 0)
            rank = part->ranks[i].rank;
    }
    return rank <= part->most;
}

uint64_t backend_next_place(void)
{
    return id_new().hi;
}

bool backend_is_claimable(enum task_state s)
{
    struct task_move move;
    return task_move_of(s, EVENT_START, &move) == 0;
}

struct store_attempt backend_keep_attempt(const struct store_attempt *a)
{
    struct store_attempt kept = *a;
    if (!a->outcome)
        return kept;
    struct task_outcome o = *a->outcome;
    size_t extra = o.log_len > STORE_ATTEMPT_LOG_MAX ? o.log_len - STORE_ATTEMPT_LOG_MAX : 0;
    o.log += extra;
    o.log_len -= extra;
    kept.outcome = task_outcome_new(&o);
    return kept;
}

void store_attempts_free(struct store_attempt *attempts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_outcome_unref(attempts[i].outcome);
    free(attempts);
}

void backend_copy_log(struct store_log *o, const void *kept, size_t kept_len)
{
    o->begin = o->reported.log_end - kept_len;
    size_t skip = o->from > o->begin ? (size_t)(o->from - o->begin) : 0;
    if (skip >= kept_len) {
        o->begin = o->reported.log_end;
        return;
    }
    o->begin += skip;
    o->log_len = kept_len - skip;
    o->log = xmalloc(o->log_len);
    memcpy(o->log, (const char *)kept + skip, o->log_len);
}
