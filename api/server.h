/* server: starts, reloads and ends the HTTP side. It needs the store alone: submit, read, list and
 * cancel are store verbs, waiters wake on the store's changes. HTTP threads never wait for a
 * commit.
 *
 * Order of life: api_new (→ api_start → api_attach) → store_start → api_start → (api_set_ready) … →
 * api_quiesce → api_release_waiters → store_stop → api_stop → api_free. All calls come from one
 * thread (main); what they start are `threads` event loops of their own. */
#ifndef FUT_API_SERVER_H
#define FUT_API_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/config.h"
#include "core/err.h"

struct api;

/* With a store in cfg, before store_start: api_attach is part of it. Strings and pointers are
 * borrowed until api_free. Never NULL. */
struct api *api_new(const struct api_config *cfg);
/* Gives it the store and the pools that cfg did not have, once, before store_start: registers the
 * store's listeners. Until then HTTP may be served (api_start), and requests that need the store
 * are answered 503. */
void api_attach(struct api *a, struct store *store, const struct pool_view *pools,
                const struct node_view *nodes);
/* Binds, listens, starts the loops. 0, or FUT_ERR_IO / INVAL / BUSY with the address and the reason
 * in err; then only api_free may follow. Blocks for a name lookup at most. */
FUT_MUST_CHECK int api_start(struct api *a, struct fut_errbuf *err);
/* "127.0.0.1:8420", "[::1]:8420" or "unix:/path", with the real port, of the i-th listening socket;
 * NULL: there are no more. After api_start. */
const char *api_address(const struct api *a, size_t i);
/* The i-th listening socket, which stays the api's; -1: there are no more. After api_start. */
int api_listening_fd(const struct api *a, size_t i);
/* Where a program on this machine finds the daemon, as FUTURED_URL says it: the first TCP socket,
 * or "unix:/path". After api_start. False: there is no address that fits. */
bool api_local_url(const struct api *a, char *out, size_t size);
/* What /readyz says; false until the first call. Any thread. */
void api_set_ready(struct api *a, bool is_ready);
/* The name of a module that gives no sign of life, for /readyz, which answers 503 then; NULL: all
 * do. A literal. Any thread. */
void api_set_stuck(struct api *a, const char *module);

/* Takes a sample for GET /v1/history when one is due; to be called every few seconds, from one
 * thread, between the store's start and its end. Does not block. */
void api_sample(struct api *a);

/* Requests that begin from now on see this catalog; takes a reference of its own. Any thread. */
void api_set_catalog(struct api *a, const struct catalog *c);

/* Stops accepting; answers close their connection, /healthz says 200, /readyz 503. Submits on
 * kept-alive connections get 503, unless the sockets were inherited: then somebody holds them for
 * the next daemon, clients that come now wait in the backlog, and those who are inside are served.
 * Returns at once. */
void api_quiesce(struct api *a);
/* All long-polls answer with the current state now, and no new one waits. Returns at once. */
void api_release_waiters(struct api *a);
/* Have all loops had a round since the last call? True the first time; each yes asks anew. */
bool api_has_moved(struct api *a);
/* For inherited sockets, after api_quiesce: waits until those who were inside have been answered
 * and are gone, max_ms at most (a connection that is kept open in silence). With sockets of our own
 * it returns at once. */
void api_linger(struct api *a, int64_t max_ms);
/* True when no request waits for anything (waiter or store). */
bool api_idle(const struct api *a);
/* Quiesces, releases waiters, gives answers up to a second to leave, closes all connections and
 * ends the loops. Everything that a request waits for must come within budget_ms (stop the store
 * first): a request still waiting then is our bug and aborts. Nothing happens when not started. */
void api_stop(struct api *a, int64_t budget_ms);
/* After api_stop, or when never started, with the store's threads joined. NULL ok. */
void api_free(struct api **a);

#endif
