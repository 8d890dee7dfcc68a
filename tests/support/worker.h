/* worker: a worker program under examination: started, asked, its answers judged. The program is
 * named once per process. A program that offers the handlers of workers/sdk/examples/tour.py must
 * give their very answers; of another one any DONE or FAIL is right. One thread; what is wrong ends
 * the process by fail(). Ids of tasks are the caller's, increasing. */
#ifndef FUT_TESTS_SUPPORT_WORKER_H
#define FUT_TESTS_SUPPORT_WORKER_H

#include "tests/support/peer.h"

/* It has greeted; template: where it was forked from, or NULL. */
struct worker {
    struct peer *peer, *template;
    struct peer_hello hello;
};

/* Both stay the caller's. handler NULL: it offers the tour's. */
void worker_set_subject(const char *program, const char *handler);
bool worker_is_tour(void);
const char *worker_handler_or(const char *tour);

/* A worker under examination; worker_free ends its process, frees and NULLs. */
struct worker worker_new(void);
void worker_free(struct worker *w);

/* A RUN line; `more`: further keys, each with a space before it. free() it. */
char *worker_run_line(unsigned id, const char *handler, const char *type, size_t n,
                      const char *more);
void worker_ask(struct worker *w, unsigned id, const char *handler, const char *payload);
/* The next message about this task; peer_message_release() it. */
void worker_next(struct worker *w, unsigned id, struct peer_message *m);
/* The answer to this task, DONE or FAIL; reports before it are skipped. */
void worker_answer(struct worker *w, unsigned id, struct peer_message *m);

/* Fails unless the answer to this task is DONE with this text. */
void worker_expect_done(struct worker *w, unsigned id, const char *text);
/* value NULL: any. */
void worker_expect_fail(struct worker *w, unsigned id, const char *key, const char *value);
/* A small task goes through. */
void worker_expect_life(struct worker *w, unsigned id);
/* It exits with 0 by itself. */
void worker_expect_clean_end(struct worker *w);

/* n bytes of all values; free() them. */
char *worker_noise(size_t n);
/* A sealed memfd with these bytes; close() it. */
int worker_sealed_file(const char *bytes, size_t n);
/* Sends the bytes (memfd < 0: in the stream) and judges what comes back. */
void worker_round_trip(struct worker *w, unsigned id, const char *bytes, size_t n, int memfd,
                       const char *type);
void worker_judge_echo(const struct peer_message *m, const char *bytes, size_t n, const char *type);

#endif
