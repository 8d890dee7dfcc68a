/* catalog: what the daemon can run, as plain data. workers/ makes it, api/ reads it (to refuse an
 * unknown handler and to fill in defaults), daemon/ hands it over. Immutable while shared; a reload
 * brings another one, and whoever uses the old one holds a reference. */
#ifndef FUT_CORE_CATALOG_H
#define FUT_CORE_CATALOG_H

#include <stdatomic.h>
#include <stddef.h>

#include "core/attempt_limits.h"
#include "core/retry.h"
#include "core/sync.h"
#include "core/task.h"

struct handler_info {
    const char *name;
    const char *kind;          /* "builtin", "exec", "worker" or "internal" */
    const char *description;   /* one sentence, "" when none */
    enum lane lane;            /* default lane */
    bool any_lane;             /* a task may ask for the other lane */
    bool is_internal;          /* the daemon's own: no client may submit it, no list shows it */
    int64_t timeout_ms;        /* default */
    uint32_t retries;          /* default */
    struct retry_policy retry; /* what a task does not say itself; may be unsaid */
    struct limits limits;      /* of each attempt */
    const char *queue;         /* of tasks that name none; NULL: TASK_QUEUE_DEFAULT */
    bool takes_code;           /* its input is a program: to submit it needs the scope "code" */
    const char
        *task_limits; /* what its tasks name beside their own (core/task_limits); NULL: none */
    /* Is this input wrong, for all that can be told before it runs? NULL: nothing can. 0, or
     * FUT_ERR_INVAL with the name of the wrong field and what is allowed there, literals. */
    int (*check_input)(const void *input, size_t n, const char **out_field,
                       const char **out_allowed);
};

/* Of what the catalog is a part of. */
struct catalog_life {
    atomic_uint refs; /* 1 at first */
    void (*end)(struct catalog_life *life);
};

struct catalog {
    const struct handler_info *items; /* sorted by name */
    size_t n;
    struct catalog_life *life; /* NULL: lives as long as the program */
};

/* Any thread. catalog_unref NULLs. NULL ok. */
const struct catalog *catalog_ref(const struct catalog *c);
void catalog_unref(const struct catalog **c);

/* The handler of this name, or NULL. */
const struct handler_info *catalog_find(const struct catalog *c, const char *name);
/* Has it a handler whose input is a program? */
bool catalog_takes_code(const struct catalog *c);
/* The handler that a client may name, or NULL: the daemon's own are unknown to clients. */
const struct handler_info *catalog_find_public(const struct catalog *c, const char *name);

/* The catalog of now, lent to requests: a reload puts another one in its place while requests go on
 * using the one they were lent. Any thread; holds its lock for a few instructions only. */
struct catalog_lend {
    struct mutex mu;
    const struct catalog *now; /* guarded by mu; one reference */
};

/* first: a reference is taken. */
void catalog_lend_init(struct catalog_lend *l, const struct catalog *first);
/* Drops the own reference; what was lent lives on. */
void catalog_lend_release(struct catalog_lend *l);
/* Requests that begin from now on are lent next, of which a reference is taken. */
void catalog_lend_set(struct catalog_lend *l, const struct catalog *next);
/* Returns *kept after setting it to the catalog of now, unless an earlier call has set it: one
 * request sees one catalog, and what it found there stays valid. The reference in *kept is the
 * caller's, for catalog_unref. */
const struct catalog *catalog_lend_to(struct catalog_lend *l, const struct catalog **kept);

#endif
