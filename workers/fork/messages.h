/* messages: what the daemon and its fork server say to each other. Both are the same program in
 * memory, so the head of a message is a plain struct; the strings behind it are checked all the
 * same. Requests go to the fork server, events (struct fork_event) come from it. */
#ifndef FUT_WORKERS_FORK_MESSAGES_H
#define FUT_WORKERS_FORK_MESSAGES_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/buf.h"
#include "workers/fork/server.h"

struct fork_request {
    uint32_t verb; /* enum fork_verb */
    uint32_t slot;
    uint64_t generation;
    int32_t signal;
    int32_t pid; /* FORK_ADOPT */
    uint32_t argc, envc;
    uint32_t has_cwd, is_local;
    uint64_t task;         /* FORK_TASK; limits: its CPU time */
    int64_t until_mono_ms; /* FORK_LEASE */
    uint32_t line;         /* FORK_SPAWN_EXEC */
    struct limits limits;
    int64_t kill_grace_ms;
    /* FORK_SPAWN_EXEC: path, cwd, argv…, env…, each NUL-ended */
};

/* Appends a request to out; what: of FORK_SPAWN_EXEC, else NULL. FUT_ERR_TOO_BIG beyond
 * FORK_MESSAGE_MAX_BYTES, out unchanged. */
FUT_MUST_CHECK int message_encode(struct buf *out, struct fork_request head,
                                  const struct fork_exec *what);
/* Reads a request. out->argv and env are made in a; strings point into bytes. FUT_ERR_INVAL. */
FUT_MUST_CHECK int message_decode(const char *bytes, size_t n, struct arena *a,
                                  struct fork_request *head, struct fork_exec *out);

/* ---- events: in the fork server process alone ------------------------------------------------ */

/* So many travel together at most. */
#define MESSAGE_EVENTS_MAX 8

/* The socket that events go to; it stays the caller's. */
void message_init(int sock);
/* Copies the event and sends it, in the order of the calls. Never waits for the daemon, which may
 * be waiting for us: what the socket does not take is kept. */
void message_send(const struct fork_event *ev);
/* Likewise, but it may wait for others, for 2 ms, so that the daemon wakes up once for all. */
void message_gather(const struct fork_event *ev);
/* Does the socket take no more for now? When it does again, call message_send_kept. */
bool message_is_blocked(void);
/* For poll: milliseconds until message_send_kept is to be called; -1: nothing is to be sent. */
int message_timeout_ms(void);
/* Sends of the kept events what the socket takes. Never blocks. */
void message_send_kept(void);

#endif
