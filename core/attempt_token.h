/* attempt_token: the names under which running attempts ask the daemon. Each attempt of an
 * operator's program may have a token, which is valid as long as the attempt runs; whoever sends it
 * speaks for that attempt. Kept in memory alone. One table for the daemon: workers/ gives tokens
 * out and ends them, api/ looks them up. Any thread; nothing blocks but on a short lock. */
#ifndef FUT_CORE_ATTEMPT_TOKEN_H
#define FUT_CORE_ATTEMPT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/list.h"
#include "core/task.h"

/* "attempt-" NUMBER "-" SECRET and a NUL: 16 and 32 hexadecimal digits. The number finds the token,
 * 128 random bits make it one that nobody guesses; they are compared in constant time. */
#define ATTEMPT_TOKEN_PREFIX "attempt-"
#define ATTEMPT_TOKEN_SIZE 58
#define ATTEMPT_URL_SIZE 320 /* of the daemon's address, with its NUL */

struct attempt_tokens;
struct attempt_token;

/* Whom a token speaks for. */
struct attempt_who {
    struct task_id task; /* hi 0: nobody */
    uint32_t attempt;
    uint64_t number; /* of the token */
    bool takes_code; /* the attempt runs what its task was sent, so it may send programs itself */
    enum lane lane;
    void *owner; /* of the token: what attempt_token_take_change gives back */
};

/* An empty table. */
struct attempt_tokens *attempt_token_table_new(void);
/* All tokens must have ended. NULL ok; NULLs. */
void attempt_token_table_free(struct attempt_tokens **t);

/* Where attempts find the daemon. Once, before the first token is given out. */
void attempt_token_set_url(struct attempt_tokens *t, const char *url);
/* NULL: not known (there is no HTTP side); then no token is given out. */
const char *attempt_token_url(const struct attempt_tokens *t);

/* Gives a token out for an attempt (its number is set here); text is what its program is told. The
 * caller ends it. */
struct attempt_token *attempt_token_begin(struct attempt_tokens *t, const struct attempt_who *who,
                                          char text[ATTEMPT_TOKEN_SIZE]);
/* From here on the token is not known. NULLs; NULL ok. */
void attempt_token_end(struct attempt_tokens *t, struct attempt_token **token);

/* Was any token ever given out? Cheap: without, no request can bear one. */
bool attempt_token_any(const struct attempt_tokens *t);
/* Whom this text speaks for. FUT_ERR_INVAL: it does not begin as our tokens do; FUT_ERR_NOT_FOUND:
 * it does, and the attempt has ended, or it never was one. */
FUT_MUST_CHECK int attempt_token_find(struct attempt_tokens *t, const char *text, size_t n,
                                      struct attempt_who *out);

/* ---- waiting: an attempt that waits for futures under its token lends its slot meanwhile ------
 */

#define ATTEMPT_CIRCLE_MAX 32 /* tasks of a circle that are named */

/* One wait. Lives in the request that waits, from attempt_token_wait until attempt_token_go_on. */
struct attempt_wait {
    struct list_node link;       /* guarded by the table */
    struct attempt_token *token; /* likewise; NULL: it does not wait, or its attempt has ended */
    struct task_id *ids;         /* owned; by hi */
    size_t n;
    uint64_t number; /* of the wait */
    bool is_any;     /* the first of them is enough */
};
/* A circle of waits: each task waits for the next one, the last one for the first. */
struct attempt_circle {
    struct task_id ids[ATTEMPT_CIRCLE_MAX];
    size_t n; /* of all, also those that are not named */
};
/* The attempt waits for these futures (copied) from now on. FUT_ERR_NOT_FOUND: it has ended;
 * FUT_ERR_CONFLICT: the wait would never end, as *circle says; FUT_ERR_FULL: its lane has lent
 * POOL_LENT_MAX slots. w is zeroed memory. */
FUT_MUST_CHECK int attempt_token_wait(struct attempt_tokens *t, struct attempt_wait *w,
                                      uint64_t number, const struct task_id *ids, size_t n,
                                      bool is_any, struct attempt_circle *circle);
/* Ends the wait. Nothing happens when there is none. */
void attempt_token_go_on(struct attempt_tokens *t, struct attempt_wait *w);

/* A running attempt that waits. */
struct attempt_waiting {
    struct task_id task;
    uint64_t wait; /* of its waits: which */
    size_t need;   /* so many of the futures must not end for the wait to be one for ever */
};
/* Those that wait for this task: at most max. Returns how many. */
size_t attempt_token_waiting(struct attempt_tokens *t, struct task_id id,
                             struct attempt_waiting *out, size_t max);

/* on_change is called when attempts begin or cease to wait: any thread, it must not block. Once,
 * before the first token. */
void attempt_token_watch(struct attempt_tokens *t, void (*on_change)(void *ctx), void *ctx);
/* The owner of a token whose attempt has begun or ceased to wait since it was last asked for.
 * False: there is none. */
bool attempt_token_take_change(struct attempt_tokens *t, void **out_owner, bool *out_waits);

#endif
