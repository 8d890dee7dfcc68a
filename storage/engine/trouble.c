/* trouble: what the store does while its disk does not take writes. The writer thread alone.
 *
 * Full: what is held back is let go, and only what ends or cancels tasks is written, so that the
 * results of the running tasks still find space; new work waits outside until the reserve can be
 * held back again. Failing writes: four times a second a write that changes nothing asks whether
 * they work again, so that the store heals although nobody dares to submit. A failed fsync or a
 * damaged file is for good. */
#include "core/clock.h"
#include "storage/engine/internal.h"

#define TRY_US 250000

void trouble_set(struct store *s, int rc)
{
    struct writer *w = &s->w;
    w->now.stats.health = rc;
    w->next_try_mono_us = clock_mono_us() + TRY_US;
    if (rc == FUT_ERR_READ_ONLY || rc == FUT_ERR_DAMAGED)
        w->broken_rc = rc;
    if (rc == FUT_ERR_NO_SPACE && !w->disk_full) {
        w->disk_full = true;
        (void)s->ops->reserve(s->backend, false); /* letting go cannot fail */
    }
}

bool trouble_refuses(const struct store *s, const struct store_op *op)
{
    return s->w.disk_full && !op->verb->uses_reserve;
}

int trouble_mend(struct store *s, bool *out_wait)
{
    struct writer *w = &s->w;
    *out_wait = w->disk_full;
    if (w->now.stats.health == 0 || w->broken_rc != 0)
        return 0;
    if (clock_mono_us() < w->next_try_mono_us) {
        w->retry_mono_us = w->next_try_mono_us;
        return 0;
    }
    w->next_try_mono_us = w->retry_mono_us = clock_mono_us() + TRY_US;
    if (w->disk_full && s->ops->reserve(s->backend, true) != 0)
        return 0;
    *out_wait = w->disk_full = false;
    int rc = txn_begin(s);
    return rc == 0 ? s->ops->touch(s->backend) : rc;
}
