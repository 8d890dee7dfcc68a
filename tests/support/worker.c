#include "tests/support/worker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"

/* Of this process: set once. handler NULL: it offers the tour's. */
static const char *subject_program, *subject_handler;

void worker_set_subject(const char *program, const char *handler)
{
    subject_program = program;
    subject_handler = handler;
}

bool worker_is_tour(void)
{
    return subject_handler == NULL;
}

struct worker worker_new(void)
{
    struct worker w = {.peer = peer_start(subject_program)};
    w.hello = peer_hello(w.peer);
    if (w.hello.fork) {
        w.template = w.peer;
        w.peer = peer_fork(w.template, 1);
        w.hello = peer_hello(w.peer);
        if (w.hello.fork)
            fail("a forked worker says fork=1: it is no template");
    }
    return w;
}

void worker_free(struct worker *w)
{
    peer_free(&w->peer);
    peer_free(&w->template);
}

/* ---- asking and answering -------------------------------------------------------------------- */

const char *worker_handler_or(const char *tour)
{
    return subject_handler ? subject_handler : tour;
}

char *worker_run_line(unsigned id, const char *handler, const char *type, size_t n,
                      const char *more)
{
    return text_printf("RUN %u %zu task=task-%u attempt=1 timeout_ms=60000 handler=%s%s type=%s",
                       id, n, id, handler, more, type);
}

void worker_ask(struct worker *w, unsigned id, const char *handler, const char *payload)
{
    char *line = worker_run_line(id, handler, "text/plain", strlen(payload), "");
    peer_send(w->peer, line, payload, strlen(payload), -1);
    free(line);
}

static void judge_progress(const struct peer_message *m)
{
    char fraction[64];
    char *end = fraction;
    peer_message_key(m, "fraction", fraction, sizeof(fraction));
    double value = fraction[0] ? strtod(fraction, &end) : 0;
    if (*end || value < 0 || value > 1 || m->n > 500 || strchr(m->payload, '\n'))
        fail("PROGRESS is a fraction of 0 to 1 and one line of up to 500 bytes: \"%s\" \"%s\"",
             m->line, m->payload);
}

static bool may_say(const struct worker *w, const struct peer_message *m)
{
    bool stores = peer_message_is(m, "CHECKPOINT") || peer_message_is(m, "SUSPEND");
    return peer_message_is(m, "LOG") || peer_message_is(m, "DONE") || peer_message_is(m, "FAIL") ||
           (stores && w->hello.checkpoint);
}

/* The next message about this task, a LOG also to what the worker has printed; what else comes
 * breaks the protocol. */
void worker_next(struct worker *w, unsigned id, struct peer_message *m)
{
    peer_next(w->peer, m);
    if (m->id != id)
        fail("task %u runs, and the worker says \"%s\"", id, m->line);
    if (peer_message_is(m, "PROGRESS"))
        judge_progress(m);
    else if (!may_say(w, m))
        fail("a worker does not say \"%s\"", m->line);
    if (peer_message_is(m, "LOG"))
        peer_add_log(w->peer, m->payload, m->n);
}

/* Skips reports. */
void worker_answer(struct worker *w, unsigned id, struct peer_message *m)
{
    for (worker_next(w, id, m); !peer_message_is(m, "DONE") && !peer_message_is(m, "FAIL");
         worker_next(w, id, m))
        peer_message_release(m);
}

void worker_expect_done(struct worker *w, unsigned id, const char *text)
{
    struct peer_message m;
    worker_answer(w, id, &m);
    if (!peer_message_is(&m, "DONE") || strcmp(m.payload, text) != 0)
        fail("expected DONE with \"%s\", got \"%s\" with \"%.300s\"", text, m.line, m.payload);
    peer_message_release(&m);
}

/* key: "kind" or "retry". */
void worker_expect_fail(struct worker *w, unsigned id, const char *key, const char *value)
{
    struct peer_message m;
    char got[128];
    worker_answer(w, id, &m);
    peer_message_key(&m, key, got, sizeof(got));
    if (!peer_message_is(&m, "FAIL") || (value && strcmp(got, value) != 0))
        fail("expected FAIL with %s=%s, got \"%s\" with \"%.300s\"", key, value ? value : "any",
             m.line, m.payload);
    peer_message_release(&m);
}

/* It still works. */
void worker_expect_life(struct worker *w, unsigned id)
{
    struct peer_message m;
    worker_ask(w, id, worker_handler_or("echo"), "still here");
    worker_answer(w, id, &m);
    if (worker_is_tour() && strcmp(m.payload, "still here") != 0)
        fail("echo gives \"%.100s\"", m.payload);
    peer_message_release(&m);
}

/* Did echo give the very bytes with their type? */
void worker_judge_echo(const struct peer_message *m, const char *bytes, size_t n, const char *type)
{
    char got[256];
    if (!worker_is_tour())
        return;
    peer_message_key(m, "type", got, sizeof(got));
    if (!peer_message_is(m, "DONE"))
        fail("echo fails: \"%s\" \"%.300s\"", m->line, m->payload);
    if (strcmp(got, type) != 0)
        fail("the type was \"%s\", and came back as \"%s\"", type, got);
    if (m->n != n || memcmp(m->payload, bytes, n) != 0)
        fail("%zu bytes were sent, %zu came back%s", n, m->n, m->n == n ? ", others" : "");
    if (m->by_fd && !m->is_sealed)
        fail("a result by descriptor is not sealed: F_SEAL_SHRINK, F_SEAL_WRITE");
}

void worker_round_trip(struct worker *w, unsigned id, const char *bytes, size_t n, int memfd,
                       const char *type)
{
    struct peer_message m;
    char *line = worker_run_line(id, worker_handler_or("echo"), type, n, memfd >= 0 ? " fd=1" : "");
    peer_send(w->peer, line, bytes, n, memfd);
    worker_answer(w, id, &m);
    worker_judge_echo(&m, bytes, n, type);
    peer_message_release(&m);
    free(line);
}

/* n bytes of all values, NUL and newlines among them; free() them. */
char *worker_noise(size_t n)
{
    char *bytes = xcalloc(1, n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)((i * 31 + i / 256) & 0xff);
    return bytes;
}

int worker_sealed_file(const char *bytes, size_t n)
{
    int fd = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || fd_write_all(fd, bytes, n) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        fail("no memfd");
    return fd;
}

void worker_expect_clean_end(struct worker *w)
{
    int status = peer_wait_end(w->peer);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("it should exit with 0 (waitpid: %#x); it printed:\n%s", (unsigned)status,
             peer_log(w->peer));
}
