#include "tests/support/worker_points.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "core/task.h"
#include "tests/support/fail.h"
#include "tests/support/receiver.h"
#include "tests/support/text.h"
#include "tests/support/worker_payloads.h"

#define MIB ((size_t)1 << 20)
#define BYTES "application/octet-stream"
#define UNANSWERED_MS 100 /* a worker that does not wait for the answer has gone on by then */

static void check_serves(struct worker *w)
{
    for (unsigned id = 1; id <= 20; id++)
        worker_expect_life(w, id);
}

static void check_unknown_keys(struct worker *w)
{
    static const char line[] = "RUN 1 2 colour=blue task=t attempt=2 zz=a=b timeout_ms=1 "
                               "handler=%s fdx=1 trace=00-1-2-01 type=text/plain";
    struct peer_message m;
    char *whole = text_printf(line, worker_handler_or("echo"));
    peer_send(w->peer, whole, "hi", 2, -1);
    worker_answer(w, 1, &m);
    worker_judge_echo(&m, "hi", 2, "text/plain");
    peer_message_release(&m);
    free(whole);
}

/* The stream comes in pieces, cut anywhere. */
static void check_pieces(struct worker *w)
{
    struct peer_message m;
    char *line = worker_run_line(1, worker_handler_or("echo"), "text/plain", 3, "");
    char *whole = text_printf("%s\nabc", line);
    for (size_t i = 0; whole[i]; i++)
        peer_send_raw(w->peer, whole + i, 1);
    worker_answer(w, 1, &m);
    worker_judge_echo(&m, "abc", 3, "text/plain");
    peer_message_release(&m);
    free(whole);
    free(line);
}

static void check_unknown_handler(struct worker *w)
{
    worker_ask(w, 1, "no-such-handler", "x");
    worker_expect_fail(w, 1, "kind", NULL);
    worker_expect_life(w, 2);
}

static void check_progress_and_log(struct worker *w)
{
    struct peer_message m;
    bool progress = false;
    worker_ask(w, 1, "report", "12345678");
    for (worker_next(w, 1, &m); !peer_message_is(&m, "DONE"); worker_next(w, 1, &m)) {
        char fraction[32];
        peer_message_key(&m, "fraction", fraction, sizeof(fraction));
        if (peer_message_is(&m, "FAIL"))
            fail("report fails: %.300s", m.payload);
        progress |= peer_message_is(&m, "PROGRESS") && strtod(fraction, NULL) == 0.5 &&
                    strcmp(m.payload, "half of 8 bytes") == 0;
        peer_message_release(&m);
    }
    peer_message_release(&m);
    if (!progress)
        fail("no PROGRESS with fraction=0.5 and \"half of 8 bytes\" came before DONE");
    peer_wait_log(w->peer, "a line for the log\n");
}

static void check_failure(struct worker *w)
{
    struct peer_message m;
    char retry[8], kind[65];
    worker_ask(w, 1, "fail", "really");
    worker_answer(w, 1, &m);
    peer_message_key(&m, "kind", kind, sizeof(kind));
    peer_message_key(&m, "retry", retry, sizeof(retry));
    size_t first = strcspn(m.payload, "\n");
    if (!peer_message_is(&m, "FAIL") || !kind[0] || retry[0] ||
        !memmem(m.payload, first, "really", 6))
        fail("expected FAIL of a kind, without retry=, \"really\" in its first line; got \"%s\" "
             "with \"%.300s\"",
             m.line, m.payload);
    peer_message_release(&m);
    worker_expect_life(w, 2);
}

/* The text, then any bytes, of the type that is said. */
static void check_error_data(struct worker *w)
{
    static const char bytes[] = "a\0b\nDONE 1 0\n\xff";
    struct peer_message m;
    char text[32], type[128];
    char *line = worker_run_line(1, "data", "application/x-noise", sizeof(bytes), "");
    peer_send(w->peer, line, bytes, sizeof(bytes), -1);
    worker_answer(w, 1, &m);
    peer_message_key(&m, "text", text, sizeof(text));
    peer_message_key(&m, "type", type, sizeof(type));
    size_t n = strtoul(text, NULL, 10);
    if (!peer_message_is(&m, "FAIL") || !n || m.n != n + sizeof(bytes) ||
        memcmp(m.payload + n, bytes, sizeof(bytes)) != 0 ||
        strcmp(type, "application/x-noise") != 0 || !memmem(m.payload, n, "no good", 7))
        fail("expected FAIL with \"no good\" in its text and the input behind; got \"%s\" with "
             "\"%.300s\"",
             m.line, m.payload);
    peer_message_release(&m);
    free(line);
    worker_expect_life(w, 2);
}

static void check_retry(struct worker *w)
{
    worker_ask(w, 1, "later", "");
    worker_expect_fail(w, 1, "retry", "1");
    worker_ask(w, 2, "refuse", "");
    worker_expect_fail(w, 2, "retry", "0");
}

static void check_stray_print(struct worker *w)
{
    worker_ask(w, 1, "print", "");
    worker_expect_done(w, 1, "printed");
    peer_wait_log(w->peer, "DONE 1 0 a stray line\n");
    worker_expect_life(w, 2);
}

/* Starts a task that waits to be cancelled, and is sure that it has begun. */
static void begin_wait(struct worker *w, unsigned id)
{
    struct peer_message m;
    worker_ask(w, id, "wait", "");
    worker_next(w, id, &m);
    if (!peer_message_is(&m, "PROGRESS"))
        fail("wait should report first, and says \"%s\" \"%.300s\"", m.line, m.payload);
    peer_message_release(&m);
}

static void cancel(struct worker *w, unsigned id)
{
    char *line = text_printf("CANCEL %u 0", id);
    peer_send(w->peer, line, NULL, 0, -1);
    free(line);
}

static void check_cancel(struct worker *w)
{
    begin_wait(w, 1);
    cancel(w, 1);
    worker_expect_fail(w, 1, "kind", "Cancelled");
    worker_expect_life(w, 2);
}

/* CANCEL and DONE may cross: the worker must not mind, nor cancel the next one. */
static void check_late_cancel(struct worker *w)
{
    worker_expect_life(w, 1);
    cancel(w, 1);
    worker_expect_life(w, 2);
    cancel(w, 1);
    cancel(w, 2);
    worker_expect_life(w, 3);
}

static void check_concurrency(struct worker *w)
{
    unsigned n = (unsigned)w->hello.concurrency;
    for (unsigned id = 1; id < n; id++)
        begin_wait(w, id);
    worker_expect_life(w, n); /* beside all the others */
    for (unsigned id = n - 1; id > 0; id--) {
        cancel(w, id);
        worker_expect_fail(w, id, "kind", "Cancelled");
    }
    worker_expect_life(w, n + 1);
}

static void say(struct worker *w, const char *verb, unsigned id, const char *payload)
{
    char *line = text_printf("%s %u %zu", verb, id, strlen(payload));
    peer_send(w->peer, line, payload, strlen(payload), -1);
    free(line);
}

static void expect_checkpoint(struct worker *w, unsigned id, const char *bytes, size_t n)
{
    struct peer_message m;
    worker_next(w, id, &m);
    if (!peer_message_is(&m, "CHECKPOINT") || m.n != n || memcmp(m.payload, bytes, n) != 0)
        fail("expected CHECKPOINT with %zu bytes; got \"%s\"", n, m.line);
    peer_message_release(&m);
    if (peer_has_message(w->peer, UNANSWERED_MS))
        fail("it goes on although its CHECKPOINT was not answered");
}

static void expect_suspend(struct worker *w, unsigned id, const char *for_ms)
{
    struct peer_message m;
    char value[32];
    worker_next(w, id, &m);
    peer_message_key(&m, "for_ms", value, sizeof(value));
    if (!peer_message_is(&m, "SUSPEND") || strcmp(*value ? value : "0", for_ms) != 0)
        fail("expected SUSPEND with for_ms=%s; got \"%s\" \"%.300s\"", for_ms, m.line, m.payload);
    peer_message_release(&m);
}

/* What an earlier attempt stored comes before the RUN of the same id. */
static void send_checkpoint(struct worker *w, unsigned id, const char *bytes, size_t n, int memfd)
{
    char *line =
        text_printf("CHECKPOINT %u %zu%s attempt=1 type=" BYTES, id, n, memfd >= 0 ? " fd=1" : "");
    peer_send(w->peer, line, memfd >= 0 ? NULL : bytes, n, memfd);
    free(line);
}

static void store_and_suspend(struct worker *w, unsigned id, const char *text)
{
    worker_ask(w, id, "resume", text);
    expect_checkpoint(w, id, text, strlen(text));
    say(w, "SAVED", id, "");
    expect_suspend(w, id, "1000");
}

static void check_checkpoint(struct worker *w)
{
    store_and_suspend(w, 1, "half way\nthere");
    send_checkpoint(w, 2, "half way", 8, -1);
    worker_ask(w, 2, "resume", "the input");
    worker_expect_done(w, 2, "half way");
    store_and_suspend(w, 3, "another task"); /* which has none */
    send_checkpoint(w, 4, "", 0, -1);
    worker_ask(w, 4, "resume", "the input");
    worker_expect_done(w, 4, "");
}

static void check_large_checkpoint(struct worker *w)
{
    char *bytes = worker_noise(MIB);
    char *line = worker_run_line(2, "resume", BYTES, MIB, "");
    struct peer_message m;
    send_checkpoint(w, 1, bytes, MIB, -1);
    worker_ask(w, 1, "resume", "x");
    worker_answer(w, 1, &m);
    if (!peer_message_is(&m, "DONE") || m.n != MIB || memcmp(m.payload, bytes, MIB) != 0)
        fail("a checkpoint of 1 MiB does not come back; got \"%s\"", m.line);
    peer_message_release(&m);
    peer_send(w->peer, line, bytes, MIB, -1);
    expect_checkpoint(w, 2, bytes, MIB);
    say(w, "SAVED", 2, "");
    expect_suspend(w, 2, "1000");
    free(line);
    free(bytes);
    worker_expect_life(w, 3);
}

static void check_checkpoint_by_memfd(struct worker *w)
{
    char *bytes = worker_noise(MIB);
    int fd = worker_sealed_file(bytes, MIB);
    struct peer_message m;
    send_checkpoint(w, 1, NULL, MIB, fd);
    worker_ask(w, 1, "resume", "x");
    worker_answer(w, 1, &m);
    if (!peer_message_is(&m, "DONE") || m.n != MIB || memcmp(m.payload, bytes, MIB) != 0)
        fail("a checkpoint that came by memfd does not come back; got \"%s\"", m.line);
    peer_message_release(&m);
    fd_close(&fd);
    free(bytes);
    worker_expect_life(w, 2);
}

static void check_refused_checkpoint(struct worker *w)
{
    worker_ask(w, 1, "resume", "half");
    expect_checkpoint(w, 1, "half", 4);
    say(w, "REFUSED", 1, "the disk is full");
    worker_expect_fail(w, 1, "kind", "NotSaved");
    worker_expect_life(w, 2);
}

static void check_yield(struct worker *w)
{
    worker_ask(w, 1, "yield", "");
    expect_checkpoint(w, 1, "so far", 6);
    say(w, "SAVED", 1, "");
    expect_checkpoint(w, 1, "so far", 6);
    say(w, "YIELD", 1, "");
    say(w, "SAVED", 1, "");
    expect_suspend(w, 1, "0");
    say(w, "YIELD", 1, ""); /* late: it has ended */
    worker_ask(w, 2, "yield", "");
    expect_checkpoint(w, 2, "so far", 6);
    say(w, "YIELD", 1, "");
    say(w, "SAVED", 2, "");
    expect_checkpoint(w, 2, "so far", 6); /* it was not meant */
    say(w, "REFUSED", 2, "enough");
    worker_expect_fail(w, 2, "kind", "NotSaved");
    say(w, "YIELD", 2, "");
    worker_expect_life(w, 3);
}

static void expect_until(struct worker *w, unsigned id, const char *ids)
{
    struct peer_message m;
    worker_next(w, id, &m);
    size_t n = m.n && m.payload[m.n - 1] == '\n' ? m.n - 1 : m.n;
    if (!peer_message_is(&m, "SUSPEND") || n != strlen(ids) || memcmp(m.payload, ids, n) != 0)
        fail("expected SUSPEND with \"%s\"; got \"%s\" \"%.300s\"", ids, m.line, m.payload);
    peer_message_release(&m);
}

static void check_results(struct worker *w)
{
    static const char results[] = "{\"a\":{\"state\":\"succeeded\",\"done\":true,\"result\":[1]},"
                                  "\"b\":{\"state\":null,\"done\":true}}";
    struct peer_message m;
    worker_ask(w, 1, "join", "one\ntwo");
    expect_until(w, 1, "one\ntwo");
    say(w, "RESULTS", 2, results);
    worker_ask(w, 2, "join", "one\ntwo");
    worker_answer(w, 2, &m);
    json_t *got = json_loadb(m.payload, m.n, 0, NULL), *sent = json_loads(results, 0, NULL);
    if (!peer_message_is(&m, "DONE") || !json_equal(got, sent))
        fail("expected DONE with the results; got \"%s\" \"%.300s\"", m.line, m.payload);
    json_decref(got);
    json_decref(sent);
    peer_message_release(&m);
    worker_ask(w, 3, "join", "three"); /* another task, which has none */
    expect_until(w, 3, "three");
}

#define CHILD "01234567-89ab-7def-8123-456789abcdef"
static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                               "Content-Length: 45\r\nConnection: close\r\n\r\n"
                               "{\"id\":\"" CHILD "\"}";

static void ask_to_submit(struct worker *w, unsigned id, struct receiver *daemon, const char *token)
{
    char expected[128], got[256];
    char *more = text_printf(" url=http://127.0.0.1:%u token=%s", receiver_port(daemon), token);
    char *line = worker_run_line(id, "child", "text/plain", 5, more);
    int n = receiver_requests(daemon);
    receiver_answer(daemon, 1, accepted);
    peer_send(w->peer, line, "input", 5, -1);
    worker_expect_done(w, id, CHILD);
    if (receiver_requests(daemon) != n + 1 ||
        strncmp(receiver_request(daemon, n), "POST /v1/tasks", 14) != 0)
        fail("expected one POST /v1/tasks");
    (void)snprintf(expected, sizeof(expected), "Bearer %s", token);
    if (!receiver_header(daemon, n, "Authorization", got) || strcmp(got, expected) != 0)
        fail("expected the token of the RUN, \"%s\"", expected);
    free(line);
    free(more);
}

/* Each task submits where its own RUN says, under its own token; without them it fails. */
static void check_submits(struct worker *w)
{
    struct receiver *one = receiver_start(false), *two = receiver_start(false);
    ask_to_submit(w, 1, one, "attempt-1-0123456789");
    ask_to_submit(w, 2, two, "attempt-2-0123456789");
    ask_to_submit(w, 3, two, "attempt-3-0123456789");
    worker_ask(w, 4, "child", "input"); /* this daemon gives none out */
    worker_expect_fail(w, 4, "kind", NULL);
    if (receiver_requests(one) != 1 || receiver_requests(two) != 2)
        fail("a task without url= has submitted to that of another one");
    receiver_stop(&one);
    receiver_stop(&two);
    worker_expect_life(w, 5);
}

static void init(struct worker *w, unsigned number, const char *session, const char *text,
                 const char *verb)
{
    struct peer_message m;
    char *line =
        text_printf("INIT %u %zu session=%s type=text/plain", number, strlen(text), session);
    peer_send(w->peer, line, text, strlen(text), -1);
    free(line);
    worker_answer(w, number, &m);
    if (!peer_message_is(&m, verb))
        fail("expected %s for an INIT; got \"%s\" \"%.300s\"", verb, m.line, m.payload);
    peer_message_release(&m);
}

static void expect_prepared(struct worker *w, unsigned number, const char *session,
                            const char *text)
{
    char *line = text_printf("RUN %u 0 task=x handler=prepared attempt=1 timeout_ms=9000%s%s",
                             number, *session ? " session=" : "", session);
    struct peer_message m;
    peer_send(w->peer, line, NULL, 0, -1);
    worker_answer(w, number, &m);
    if (!peer_message_is(&m, "DONE") || m.n != strlen(text) || memcmp(m.payload, text, m.n) != 0)
        fail("expected DONE with \"%s\"; got \"%s\" \"%.300s\"", text, m.line, m.payload);
    peer_message_release(&m);
    free(line);
}

/* Each of two sessions has what was made of its own; so has none that failed. */
static void check_sessions(struct worker *w)
{
    init(w, 1, "one", "first", "DONE");
    expect_prepared(w, 2, "one", "first");
    init(w, 3, "two", "second", "DONE");
    init(w, 4, "three", "bad", "FAIL");
    expect_prepared(w, 5, "one", "first");
    expect_prepared(w, 6, "two", "second");
    init(w, 7, "two", "third", "DONE");
    expect_prepared(w, 8, "two", "third");
    worker_expect_life(w, 9);
}

static void close_session(struct worker *w, const char *session)
{
    char *line = text_printf("CLOSE 0 0 session=%s", session);
    peer_send(w->peer, line, NULL, 0, -1);
    free(line);
}

/* It is not answered, concerns no other session, and is left when the worker knows none of that
 * name. The session may come again, with its INIT. */
static void check_closes(struct worker *w)
{
    init(w, 1, "one", "first", "DONE");
    init(w, 2, "two", "second", "DONE");
    close_session(w, "one");
    close_session(w, "one");
    close_session(w, "unknown");
    if (peer_has_message(w->peer, UNANSWERED_MS))
        fail("CLOSE is answered");
    expect_prepared(w, 3, "two", "second");
    init(w, 4, "one", "third", "DONE");
    expect_prepared(w, 5, "one", "third");
    expect_prepared(w, 6, "two", "second");
    worker_expect_life(w, 7);
}

static void send_ahead(struct worker *w, unsigned id, const char *text)
{
    char *line = worker_run_line(id, "echo", "text/plain", strlen(text), " ahead=1");
    (void)peer_put_ticket(w->peer, id, id);
    peer_send(w->peer, line, text, strlen(text), -1);
    free(line);
}

/* While a task runs, none that came ahead is begun; then they are, in their order, but for those
 * whose tickets were withdrawn. */
static void check_ahead(struct worker *w)
{
    begin_wait(w, 1);
    for (unsigned id = 2; id <= 5; id++)
        send_ahead(w, id, "ahead");
    if (peer_has_message(w->peer, UNANSWERED_MS))
        fail("it says something about a task that came ahead while the one before runs");
    for (unsigned id = 2; id <= 4; id += 2)
        if (peer_put_ticket(w->peer, id, 0) != id)
            fail("it took the ticket of task %u while task 1 runs", id);
    cancel(w, 1);
    worker_expect_fail(w, 1, "kind", "Cancelled");
    worker_expect_done(w, 3, "ahead"); /* nothing of 2, which was withdrawn */
    worker_expect_done(w, 5, "ahead");
    if (peer_put_ticket(w->peer, 3, 0) || peer_put_ticket(w->peer, 5, 0))
        fail("a task was begun without its ticket");
    worker_expect_life(w, 6);
}

static void check_end_of_stream(struct worker *w)
{
    worker_expect_life(w, 1);
    peer_close(w->peer);
    worker_expect_clean_end(w);
}

static void check_end_while_running(struct worker *w)
{
    begin_wait(w, 1);
    peer_close(w->peer);
    (void)peer_wait_end(w->peer);
}

static void check_term(struct worker *w)
{
    worker_expect_life(w, 1);
    peer_signal_group(w->peer, SIGTERM);
    (void)peer_wait_end(w->peer);
}

static void check_garbage(struct worker *w)
{
    peer_send(w->peer, "GOOD MORNING", NULL, 0, -1);
    int status = peer_wait_end(w->peer);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        fail("a line that is none of the protocol's should end it with a status of its own");
}

static void check_unknown_verb(struct worker *w)
{
    peer_send(w->peer, "DANCE 1 0", NULL, 0, -1);
    (void)peer_wait_end(w->peer);
}

/* Two workers of one template: apart from each other and from it, and ours to reap. */
static void check_fork(struct worker *w)
{
    struct worker other = {.peer = peer_fork(w->template, 2)};
    other.hello = peer_hello(other.peer);
    pid_t pids[] = {peer_pid(w->template), peer_pid(w->peer), peer_pid(other.peer)};
    if (pids[0] == pids[1] || pids[1] == pids[2])
        fail("the pids of the template and its workers are %d %d %d", (int)pids[0], (int)pids[1],
             (int)pids[2]);
    for (int i = 1; i < 3; i++) {
        if (getsid(pids[i]) != pids[i])
            fail("worker %d has no session of its own", (int)pids[i]);
    }
    worker_expect_life(w, 1);
    peer_signal_group(w->peer, SIGKILL);
    (void)peer_wait_end(w->peer);
    worker_expect_life(&other, 1);
    peer_close(other.peer);
    worker_expect_clean_end(&other);
    peer_free(&other.peer);
    other.peer = peer_fork(w->template, 3); /* it has survived both */
    other.hello = peer_hello(other.peer);
    worker_expect_life(&other, 1);
    peer_close(w->template);
    (void)peer_wait_end(w->template);
    worker_expect_life(&other, 2); /* and they do without it */
    peer_free(&other.peer);
}

static const struct worker_point points[] = {
    {"one task after another", check_serves, 0},
    {"an empty payload", worker_payloads_empty, 0},
    {"NUL, newlines, every byte", worker_payloads_binary, 0},
    {"1 MiB", worker_payloads_1_mib, 0},
    {"16 MiB", worker_payloads_16_mib, 0},
    {"16 MiB by memfd", worker_payloads_16_mib_by_memfd, WORKER_MEMFD},
    {"types with spaces", worker_payloads_types, 0},
    {"unknown keys are left", check_unknown_keys, 0},
    {"a stream in pieces", check_pieces, 0},
    {"an unknown handler fails, the worker lives", check_unknown_handler, WORKER_TOUR},
    {"progress and log", check_progress_and_log, WORKER_TOUR},
    {"an error: kind, message, details", check_failure, WORKER_TOUR},
    {"an error's data", check_error_data, WORKER_TOUR},
    {"retry=1 and retry=0", check_retry, WORKER_TOUR},
    {"a stray print is log", check_stray_print, WORKER_TOUR},
    {"cancel ends the task, not the worker", check_cancel, WORKER_TOUR | WORKER_CANCEL},
    {"a late cancel is left", check_late_cancel, WORKER_CANCEL},
    {"as many at once as it says", check_concurrency,
     WORKER_TOUR | WORKER_CANCEL | WORKER_CONCURRENCY},
    {"a checkpoint: stored, waited for, given back", check_checkpoint,
     WORKER_TOUR | WORKER_CHECKPOINT},
    {"a checkpoint of 1 MiB", check_large_checkpoint, WORKER_TOUR | WORKER_CHECKPOINT},
    {"… by memfd", check_checkpoint_by_memfd, WORKER_TOUR | WORKER_CHECKPOINT | WORKER_MEMFD},
    {"a refused checkpoint fails the task, not the worker", check_refused_checkpoint,
     WORKER_TOUR | WORKER_CHECKPOINT},
    {"YIELD suspends the task that it names", check_yield,
     WORKER_TOUR | WORKER_CHECKPOINT | WORKER_YIELD},
    {"suspended until futures end, and told of them", check_results,
     WORKER_TOUR | WORKER_CHECKPOINT | WORKER_RESULTS},
    {"submits under the token of its RUN", check_submits, WORKER_TOUR | WORKER_SUBMITS},
    {"INIT prepares for the tasks of its session", check_sessions, WORKER_TOUR | WORKER_SESSIONS},
    {"CLOSE ends its session, and no other", check_closes,
     WORKER_TOUR | WORKER_SESSIONS | WORKER_CLOSES},
    {"tasks that come ahead, and are withdrawn", check_ahead,
     WORKER_TOUR | WORKER_CANCEL | WORKER_AHEAD},
    {"the end of the stream ends it", check_end_of_stream, 0},
    {"… while a task runs", check_end_while_running, WORKER_TOUR | WORKER_CANCEL},
    {"TERM ends it", check_term, 0},
    {"a bad line ends it", check_garbage, 0},
    {"an unknown verb ends it", check_unknown_verb, 0},
    {"forked workers", check_fork, WORKER_FORK},
};

size_t worker_points(const struct worker_point **out)
{
    *out = points;
    return FUT_COUNT(points);
}
