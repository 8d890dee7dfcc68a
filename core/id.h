/* id: public future ids. A UUIDv7 (RFC 9562): its top 64 bits are `hi`, the store's integer key,
 * time-ordered and strictly increasing within one generator; `lo` is random and makes the id
 * unguessable. */
#ifndef FUT_CORE_ID_H
#define FUT_CORE_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_TEXT_SIZE 37 /* 36 characters and a NUL */

struct task_id {
    uint64_t hi; /* 48 bits of ms since 1970, version 7, 12 bits of counter; never 0 in a real id */
    uint64_t lo; /* variant and 62 random bits */
};

/* A new id: greater `hi` than any made or seeded before in this process. Any thread; may block
 * for the kernel's random pool only at early boot. */
struct task_id id_new(void);
#define ID_NODES 64
/* Of several processes that share a store, each makes ids of its own number (< ID_NODES), so that
 * no two of them ever make ids of the same `hi`. Any thread; before the first id. */
void id_use_node(unsigned node);
/* Ids made from now on are greater than hi. The daemon seeds with the store's greatest key. */
void id_seed(uint64_t hi);
void id_format(struct task_id id, char out[ID_TEXT_SIZE]);
/* Exactly the 36-character form (either case), version 7. False leaves *out untouched. */
bool id_parse(const char *text, struct task_id *out);

static inline bool id_equal(struct task_id a, struct task_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

#endif
