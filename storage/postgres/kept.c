/* kept: what is kept for a time of its own, as the queue says in which it ended. The writer thread
 * alone. */
#include "storage/postgres/internal.h"

int postgres_keep(struct backend *b, const struct task *t)
{
    b->has_kept = true;
    return postgres_send(&b->c, P_KEEP,
                         PG_VALUES(v_key(t->spec->id.hi), v_int(b->now.up_ms + t->keep_ms)));
}

int postgres_drop_kept(struct backend *b, uint64_t key)
{
    return b->has_kept ? postgres_send(&b->c, P_DROP_KEPT, PG_VALUES(v_key(key))) : 0;
}
