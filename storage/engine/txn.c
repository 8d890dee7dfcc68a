/* store_txn: the transaction of the batch that runs: begun by its first write, with the changes
 * that the listeners will hear of. The writer thread alone. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/engine/internal.h"

int store_txn_begin(struct store *s)
{
    struct writer *w = &s->w;
    if (w->in_txn)
        return 0;
    if (w->broken_rc != 0)
        return w->broken_rc;
    int rc = s->ops->begin(s->backend);
    if (rc == 0) {
        w->in_txn = true;
        w->saved = w->now;
    }
    return rc;
}

void store_txn_note(struct store *s, const struct store_change *c)
{
    struct writer *w = &s->w;
    if (w->n_changes == w->cap_changes) {
        w->cap_changes = w->cap_changes ? w->cap_changes * 2 : 256;
        w->changes = xrealloc(w->changes, w->cap_changes * sizeof(*w->changes));
    }
    w->changes[w->n_changes++] = *c;
}
