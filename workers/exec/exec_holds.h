/* exec_holds: programs that are not started for now, because the last start failed for a reason
 * that no task is to blame for: the program is not there or cannot be executed (its handler is
 * held), or the machine has no process, memory or descriptor to give (every program is held). A
 * hold lasts 1 s, doubling to 60 s; then one attempt tries, and its success ends the hold. The
 * scheduler's loop only, unless said. */
#ifndef FUT_WORKERS_EXEC_EXEC_HOLDS_H
#define FUT_WORKERS_EXEC_EXEC_HOLDS_H

#include "core/list.h"
#include "core/pool_view.h"
#include "core/sync.h"
#include "workers/handlers/registry.h"

struct exec_holds {
    struct mutex mu;
    struct list holds;               /* guarded by mu, written by the loop only */
    const struct handlers *handlers; /* guarded by mu; a reference */
};

/* No handler on hold; exec_holds_release frees. */
void exec_holds_init(struct exec_holds *h, const struct handlers *handlers);
void exec_holds_release(struct exec_holds *h);
/* Takes other handlers, and ends every hold: what was wrong may have been mended. */
void exec_holds_reload(struct exec_holds *h, const struct handlers *handlers);

/* A start of this handler's program failed with this errno; why: one sentence. True: a hold begins
 * or begins again, which is logged; false: it is in force already. */
bool exec_holds_fail(struct exec_holds *h, const char *handler, int error, const char *why);
/* The program runs, or has run: a hold that lets one attempt try has ended. */
void exec_holds_succeed(struct exec_holds *h, const char *handler);

enum exec_hold_answer {
    EXEC_HOLD_NONE,   /* start it; where a hold is to be tried this is the attempt that tries */
    EXEC_HOLD_TRYING, /* wait: another attempt tries now */
    EXEC_HOLD_HELD,   /* do not start it, nor take tasks of it */
};
/* May an attempt of this handler start? */
enum exec_hold_answer exec_holds_ask(struct exec_holds *h, const char *handler);
/* Are all programs held? */
bool exec_holds_all(struct exec_holds *h);
/* The i-th handler that is held by itself, or NULL; valid until a hold begins or ends. */
const char *exec_holds_name(struct exec_holds *h, size_t i);
/* Ends holds whose attempt has run for a second. *out_mono_ms: when the next hold is to be looked
 * at again. False: there is none. */
bool exec_holds_next(struct exec_holds *h, int64_t *out_mono_ms);

/* Any thread: holds in force, of one handler or of all. */
uint32_t exec_holds_count(struct exec_holds *h);
/* Any thread: does a hold concern this handler? Since when, and why. */
bool exec_holds_find(struct exec_holds *h, const char *handler, struct pool_broken *out);
/* Any thread: since when all programs are held, and why; false: they are not. */
bool exec_holds_find_all(struct exec_holds *h, struct pool_broken *out);

#endif
