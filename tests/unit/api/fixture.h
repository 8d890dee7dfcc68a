/* fixture: the real api over the real memory store, with a worker that lives in the store's
 * callbacks, and a plain client over sockets. For the test programs of this folder only. */
#ifndef FUT_TESTS_UNIT_API_FIXTURE_H
#define FUT_TESTS_UNIT_API_FIXTURE_H

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/server.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/sync.h"
#include "storage/fault.h"
#include "storage/store.h"

#define PATIENCE_MS 10000
#define CLAIM_MAX 64

/* ---- the daemon's side ----------------------------------------------------------------------- */

struct worker {
    struct store *store;
    struct store_claim claim;
    struct task tasks[CLAIM_MAX];
};

struct fixture {
    struct store *store;
    struct api *api;
    struct worker workers[LANE_COUNT];
    uint16_t port;
};

/* Lets the worker take what is submitted from now on. */
void fixture_work(struct fixture *f);

/* Starts store and api, without the worker. */
void fixture_start_with(struct fixture *f, const struct api_config *tweak, uint64_t max_queued);

extern const struct catalog fixture_catalog; /* echo, fail and hold */
extern const struct api_config fixture_config;

/* Starts all, with fixture_config. */
void fixture_start(struct fixture *f);

/* Stops all, in the order in which the daemon does. */
void fixture_stop(struct fixture *f);

/* ---- the client's side ------------------------------------------------------------------------
 */

struct reply {
    int status; /* 0: the connection ended without an answer */
    char head[2048];
    char *body;
    size_t len;
};

/* A connection of the test, whose reads give up after PATIENCE_MS; close() it. */
int client_connect(const struct fixture *f);

/* Sends all. */
void client_send(int fd, const char *bytes, size_t n);

/* "POST /v1/tasks" with more headers ("A: b\r\n") and a body; headers may be "". */
void client_ask(int fd, const char *line, const char *headers, const char *body);

/* The head of the answer; status 0: there was none. */
struct reply client_read_head_only(int fd);

/* The answer, with a body to free. */
struct reply client_read(int fd);

/* Both. */
struct reply client_do(int fd, const char *line, const char *headers, const char *body);

/* One request on a connection of its own. */
struct reply ask(const struct fixture *f, const char *line, const char *headers, const char *body);

/* Whether head or body contain the text. */
bool reply_has(const struct reply *r, const char *text);

/* Checks status and up to three texts (NULL: none) in head or body; frees the body. */
void expect_(struct reply r, const char *file, int line, int status, const char *a, const char *b,
             const char *c);
#define expect(reply, status, a, b, c) expect_(reply, __FILE__, __LINE__, status, a, b, c)

/* Posts and returns the new future's path in out ("/v1/futures/…"). */
void submit(int fd, const char *json, char out[64]);

/* Writes the text into out, and returns that. */
const char *line_of(char *out, size_t cap, const char *fmt, ...) FUT_PRINTF(3, 4);

/* Asks /v1/stats until it contains the text. */
void await_stats(const struct fixture *f, const char *text);

#endif
