/* peer: the daemon's end of the worker protocol, for tests: starts a worker program as the fork
 * server would, sends it messages, reads and judges its answers. One thread. What breaks the
 * protocol, or does not come in time, ends the test by fail(), with what was expected. */
#ifndef FUT_TESTS_SUPPORT_PEER_H
#define FUT_TESTS_SUPPORT_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/support/peer_message.h"

struct peer;

/* What the program said in its greeting. */
struct peer_hello {
    unsigned long concurrency;
    unsigned long ahead;
    bool cancel, fork, memfd, checkpoint, yield, results, sessions, closes, submits;
};

/* How long any answer may take, for all peers of this process (a minute). */
void peer_set_patience(int ms);
/* Starts `sh -c "exec COMMAND"` with descriptor 3 and a session of its own. It dies with us. */
struct peer *peer_start(const char *command);
/* Asks a template for a worker; waits for FORKED and for the worker's descriptors to be its own. */
struct peer *peer_fork(struct peer *template, uint64_t id);
/* Closes everything, kills the group, reaps, frees, NULLs. NULL ok. */
void peer_free(struct peer **p);

/* The pid of the process at the other end. */
pid_t peer_pid(const struct peer *p);
/* Reads the greeting. Once, first. */
struct peer_hello peer_hello(struct peer *p);

/* The tickets of tasks that are sent ahead, in the file that has come with the greeting: writes by
 * (0: none) where the ticket of this id has its place, under the lock of the file. What was there.
 * Only where the greeting says ahead. */
uint64_t peer_put_ticket(struct peer *p, uint64_t id, uint64_t by);

/* The header line (without newline), then n payload bytes. memfd >= 0: it goes with the header, and
 * payload is NULL. Reads meanwhile, so no side waits for the other. */
void peer_send(struct peer *p, const char *line, const void *payload, size_t n, int memfd);
/* Bytes that are no whole message. */
void peer_send_raw(struct peer *p, const char *bytes, size_t n);
/* The next message, whatever it is. */
void peer_next(struct peer *p, struct peer_message *out);
/* Is something there to read within so many milliseconds? */
bool peer_has_message(struct peer *p, int timeout_ms);

/* No more input: shuts our end for writing and reading. */
void peer_close(struct peer *p);
void peer_signal_group(struct peer *p, int signal);
/* Waits for its end; what waitpid says. */
int peer_wait_end(struct peer *p);
/* Waits until its stdout or stderr has shown the text. */
void peer_wait_log(struct peer *p, const char *text);
/* Counts bytes (of a LOG) as printed. */
void peer_add_log(struct peer *p, const char *bytes, size_t n);
/* What it has printed so far, with a NUL behind. */
const char *peer_log(const struct peer *p);

#endif
