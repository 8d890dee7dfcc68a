/* known: what the writer knows without asking the server: how tasks stand that it has changed
 * itself, which keys are new, and before which places nothing waits. It may always know less than
 * is so; what it knows is true, as long as nobody else writes. */
#include "core/mem.h"
#include "storage/postgres/internal.h"

static struct postgres_known *slot_of(const struct backend *b, uint64_t key)
{
    uint64_t mixed = key * 0x9E3779B97F4A7C15ULL; /* its upper bits: 0..POSTGRES_KNOWN - 1 */
    return (struct postgres_known *)(uintptr_t)&b->known[mixed >> 52];
}

bool postgres_knows(const struct backend *b, uint64_t key, enum task_state state, uint32_t attempt)
{
    const struct postgres_known *k = slot_of(b, key);
    bool is_sure = k->news == b->news || state == TASK_RUNNING;
    return k->key == key && k->state == state && k->attempt == attempt && is_sure;
}

void postgres_know(struct backend *b, uint64_t key, enum task_state state, uint32_t attempt)
{
    *slot_of(b, key) = (struct postgres_known){key, state, attempt, b->news};
}

void postgres_forget(struct backend *b, uint64_t key)
{
    struct postgres_known *k = slot_of(b, key);
    if (k->key == key)
        k->key = 0;
}

void postgres_forget_all(struct backend *b)
{
    memset(b->known, 0, sizeof(b->known));
    memset(b->marks, 0, sizeof(b->marks));
    postgres_ahead_clear(b);
}

bool postgres_is_new_key(struct backend *b, uint64_t key)
{
    bool is_new = key > b->floor;
    for (size_t i = 0; is_new && i < POSTGRES_NEW_KEYS; i++)
        is_new = b->new_keys[i] != key;
    uint64_t *oldest = &b->new_keys[b->next_new_key++ % POSTGRES_NEW_KEYS];
    if (*oldest > b->floor)
        b->floor = *oldest;
    *oldest = key;
    return is_new;
}

/* ---- places -----------------------------------------------------------------------------------
 */

static struct postgres_mark *mark_of(const struct backend *b, int64_t line)
{
    return (struct postgres_mark *)(uintptr_t)&b->marks[(uint64_t)line % POSTGRES_MARKS];
}

void postgres_mark_put(struct backend *b, int64_t line, int64_t place)
{
    struct postgres_mark *m = mark_of(b, line);
    if (line == 0)
        memset(b->marks, 0, sizeof(b->marks));
    else if (m->line == line && place == BACKEND_PLACE_KEPT)
        m->line = 0;
    else if (m->line == line && place < m->place)
        m->place = place;
}

void postgres_mark_set(struct backend *b, int64_t line, int64_t next)
{
    *mark_of(b, line) = (struct postgres_mark){line, next};
}

int64_t postgres_mark_get(const struct backend *b, int64_t line)
{
    const struct postgres_mark *m = mark_of(b, line);
    return m->line == line ? m->place : INT64_MIN;
}

void postgres_ahead_clear(struct backend *b)
{
    for (size_t i = 0; i < b->n_taken; i++) {
        task_spec_unref(b->ahead[i]);
        b->ahead[i] = NULL;
    }
    b->n_taken = 0;
}
