#include "workers/exec/exec_attempt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/base64.h"
#include "core/clock.h"
#include "core/end_codes.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/exec/exec_end.h"
#include "workers/exec/exec_env.h"
#include "workers/exec/exec_pipes.h"

#define READ_BYTES 65536
#define READS_PER_EVENT 8   /* then the others have a turn */
#define READS_AT_THE_END 32 /* more than a pipe holds; what left the group may write for ever */
#define WATCH_AFTER_MS 5    /* what ends before is read once, and nobody wakes up for its output */
#define MUCH_BYTES 32768    /* of output: half of what a pipe holds */
#define LOG_KEEP_BYTES ((size_t)2 * TASK_LOG_MAX) /* so that it is not moved at every read */

/* ---- ending ---- */

static void close_all(struct exec_attempt *x)
{
    loop_close(x->start.loop, &x->in);
    loop_close(x->start.loop, &x->out);
    loop_close(x->start.loop, &x->err);
    loop_close(x->start.loop, &x->progress);
    loop_timer_clear(x->start.loop, &x->watch_timer);
    for (int i = 0; i < FORK_EXEC_FDS; i++)
        fd_close(&x->theirs[i]);
    children_forget(x->start.children, &x->child);
}

static void free_buffers(struct exec_attempt *x)
{
    buf_release(&x->result);
    buf_release(&x->log);
    buf_release(&x->unread);
    buf_release(&x->answers);
    progress_lines_release(&x->lines);
}

static void log_bad_lines(const struct exec_attempt *x)
{
    char id[ID_TEXT_SIZE];
    if (!x->lines.bad)
        return;
    id_format(x->start.task->spec->id, id);
    log_debug("progress_bad_lines", LOG_STR("task", id), LOG_INT("lines", x->lines.bad));
}

static void finish(struct exec_attempt *x, enum run_class class, struct task_outcome *o)
{
    if (x->has_ended)
        return;
    x->has_ended = true;
    close_all(x);
    log_bad_lines(x);
    size_t extra = x->log.len > TASK_LOG_MAX ? x->log.len - TASK_LOG_MAX : 0;
    o->log = x->log.data ? x->log.data + extra : "";
    o->log_len = x->log.len - extra;
    struct task_outcome *outcome = task_outcome_new(o);
    x->start.done(x, class, outcome);
    free_buffers(x);
}

static void fail_start(struct exec_attempt *x, int error, const char *why)
{
    if (x->has_ended)
        return;
    x->has_ended = true;
    close_all(x);
    free_buffers(x);
    x->start.not_started(x, error, why);
}

/* It would be done, or suspended otherwise than it wants. */
static enum run_class refuse_suspension(const struct exec_attempt *x, struct task_outcome *o,
                                        char message[EXEC_END_MESSAGE_SIZE])
{
    (void)snprintf(message, EXEC_END_MESSAGE_SIZE,
                   "the line \"%s\" is neither \"suspend [SECONDS]\", up to a year, nor \"until ID "
                   "[ID]...\"",
                   x->lines.refused);
    *o = (struct task_outcome){.code = end_code_text(END_BAD_SUSPENSION),
                               .message = message,
                               .exit_code = -1,
                               .oom = o->oom,
                               .max_rss_kib = o->max_rss_kib,
                               .cpu_ms = o->cpu_ms};
    return RUN_NEVER;
}

static void ended(struct exec_attempt *x, const struct fork_event *ev)
{
    char message[EXEC_END_MESSAGE_SIZE];
    struct task_outcome o;
    struct exec_end end = {.command = x->start.command,
                           .event = ev,
                           .result = &x->result,
                           .log = &x->log,
                           .max_result_bytes = x->start.max_result_bytes,
                           .result_too_large = x->too_large,
                           .output_limit_met = x->output_limit_met};
    enum run_class class = exec_end_judge(&end, &o, message);
    if (*x->lines.refused && class == RUN_SUCCESS)
        class = refuse_suspension(x, &o, message);
    else if (x->suspends && WIFEXITED(ev->status) && WEXITSTATUS(ev->status) == 0 &&
             (class == RUN_SUCCESS || class == RUN_FAILED))
        class = RUN_SUSPENDED;
    finish(x, class, &o);
}

/* ---- pipes ---- */

static void on_in(struct loop_source *src, uint32_t events)
{
    struct exec_attempt *x = FUT_CONTAINER(src, struct exec_attempt, in);
    (void)events;
    if (exec_pipes_feed(src->fd, x->start.task->spec, &x->fed))
        loop_close(x->start.loop, src);
}

/* Up to `reads` times; closes src at its end. False when there is nothing more for now. */
static bool read_some(struct exec_attempt *x, struct loop_source *src, struct buf *into)
{
    buf_reserve(into, READ_BYTES);
    ssize_t n = read(src->fd, into->data + into->len, READ_BYTES);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return errno == EINTR;
    if (n <= 0) {
        loop_close(x->start.loop, src);
        return false;
    }
    into->len += (size_t)n;
    return true;
}

/* The program writes more than anybody wants: nothing more is read, and it is killed. */
static void silence(struct exec_attempt *x)
{
    loop_close(x->start.loop, &x->out);
    loop_close(x->start.loop, &x->err);
    children_kill(x->start.children, &x->child, SIGKILL);
}

static void count_output(struct exec_attempt *x, size_t n)
{
    uint64_t allowed = x->start.command->limits.output_bytes;
    x->written += n;
    if (!allowed || x->written <= allowed || x->output_limit_met)
        return;
    x->output_limit_met = true;
    silence(x);
}

static void read_result(struct exec_attempt *x, int reads)
{
    for (bool more = true; more && reads > 0 && x->out.fd >= 0; reads--) {
        size_t before = x->result.len;
        more = read_some(x, &x->out, &x->result);
        count_output(x, x->result.len - before);
        if (x->result.len <= x->start.max_result_bytes)
            continue;
        x->too_large = true;
        silence(x);
    }
}

static void read_log(struct exec_attempt *x, int reads)
{
    for (bool more = true; more && reads > 0 && x->err.fd >= 0; reads--) {
        size_t before = x->log.len;
        more = read_some(x, &x->err, &x->log);
        if (x->log.len > before)
            x->start.sink->log(x->start.sink, x->log.data + before, x->log.len - before);
        count_output(x, x->log.len - before);
        if (x->log.len > LOG_KEEP_BYTES)
            buf_consume(&x->log, x->log.len - TASK_LOG_MAX);
    }
}

static void tell_progress(struct exec_attempt *x)
{
    const struct progress_lines *p = &x->lines;
    x->start.sink->progress(x->start.sink, p->fraction, *p->message ? p->message : NULL);
}

/* ---- checkpoints ---- */

/* What a program does not read waits here: a few bytes for each line that it writes. */
static void send_answers(struct exec_attempt *x)
{
    while (x->told < x->answers.len && x->progress.fd >= 0) {
        ssize_t n = send(x->progress.fd, x->answers.data + x->told, x->answers.len - x->told,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* not now, or nobody reads any more */
        x->told += (size_t)n;
    }
    if (x->told == x->answers.len)
        x->answers.len = x->told = 0;
    /* While a checkpoint is being stored nothing more is taken: that paces the program. */
    if (x->progress.fd >= 0)
        loop_watch(x->start.loop, &x->progress,
                   (x->is_storing ? 0 : EPOLLIN) | (x->answers.len ? EPOLLOUT : 0));
}

static void tell(struct exec_attempt *x, const char *word, const char *more)
{
    buf_printf(&x->answers, "%s%s%s\n", word, more ? " " : "", more ? more : "");
    send_answers(x);
}

static void store(struct exec_attempt *x)
{
    const struct buf *text = &x->lines.checkpoint;
    size_t most = x->start.max_result_bytes < TASK_CHECKPOINT_MAX ? x->start.max_result_bytes
                                                                  : TASK_CHECKPOINT_MAX;
    unsigned char *bytes = xmalloc(BASE64_BYTES(text->len) + 1);
    ssize_t n = base64_decode(text->len ? text->data : "", text->len, bytes);
    char why[96];
    (void)snprintf(why, sizeof(why), "a checkpoint has up to %zu bytes", most);
    if (x->lines.checkpoint_len > text->len || (n >= 0 && (size_t)n > most)) {
        tell(x, "refused", why);
    } else if (n < 0) {
        tell(x, "refused", "that is not base64");
    } else {
        x->is_storing = true;
        x->start.checkpoint(x, bytes, (size_t)n);
    }
    free(bytes);
}

/* Takes lines up to a checkpoint that is to be stored; what is behind it waits. */
static void take_lines(struct exec_attempt *x, const char *bytes, size_t n)
{
    enum progress_word said;
    while (!x->is_storing &&
           (said = progress_lines_next(&x->lines, &bytes, &n)) != PROGRESS_NOTHING) {
        if (said == PROGRESS_REPORT)
            tell_progress(x);
        else if (said == PROGRESS_SUSPEND)
            x->suspends = true;
        else if (said == PROGRESS_CHECKPOINT)
            store(x);
    }
    buf_put(&x->unread, bytes, n);
}

static void take_unread(struct exec_attempt *x)
{
    struct buf bytes = x->unread;
    x->unread = (struct buf)BUF_INIT;
    if (bytes.len)
        take_lines(x, bytes.data, bytes.len);
    buf_release(&bytes);
}

void exec_attempt_answer(struct exec_attempt *x, const char *why)
{
    if (x->has_ended)
        return;
    x->is_storing = false;
    tell(x, why ? "refused" : "saved", why);
    take_unread(x);
}

void exec_attempt_yield(struct exec_attempt *x)
{
    if (x->start.command->takes_checkpoints && x->progress.fd >= 0)
        tell(x, "yield", NULL);
}

static void put_bytes(struct exec_attempt *x, const struct task_checkpoint *c, const char *word,
                      const char *otherwise)
{
    buf_puts(&x->answers, c ? word : otherwise);
    if (!c)
        return;
    base64_put(&x->answers, c->body, c->len);
    buf_putc(&x->answers, '\n');
}

/* The first line for the program: what an earlier attempt stored; and before it, what became of the
 * futures that this one suspended itself for. */
static void tell_checkpoint(struct exec_attempt *x)
{
    put_bytes(x, x->start.task->results, "results ", "");
    put_bytes(x, x->start.task->checkpoint, "checkpoint ", "none\n");
    send_answers(x);
}

static void read_progress(struct exec_attempt *x, int reads)
{
    struct buf bytes = BUF_INIT;
    for (bool more = true; more && reads > 0 && x->progress.fd >= 0 && !x->is_storing; reads--) {
        bytes.len = 0;
        more = read_some(x, &x->progress, &bytes);
        take_lines(x, bytes.data ? bytes.data : "", bytes.len);
    }
    buf_release(&bytes);
}

/* Nobody waits for what would be stored now: the program has ended. */
static void read_last_progress(struct exec_attempt *x, int reads)
{
    x->is_storing = false;
    take_unread(x);
    for (int rounds = 0; rounds < READS_AT_THE_END && (rounds == 0 || x->is_storing); rounds++) {
        x->is_storing = false;
        take_unread(x);
        read_progress(x, reads);
    }
    enum progress_word said = progress_lines_end(&x->lines);
    if (said == PROGRESS_REPORT)
        tell_progress(x);
    x->suspends = x->suspends || said == PROGRESS_SUSPEND;
}

static void on_out(struct loop_source *src, uint32_t events)
{
    (void)events;
    read_result(FUT_CONTAINER(src, struct exec_attempt, out), READS_PER_EVENT);
}

static void on_err(struct loop_source *src, uint32_t events)
{
    (void)events;
    read_log(FUT_CONTAINER(src, struct exec_attempt, err), READS_PER_EVENT);
}

static void on_progress(struct loop_source *src, uint32_t events)
{
    struct exec_attempt *x = FUT_CONTAINER(src, struct exec_attempt, progress);
    if (events & EPOLLOUT)
        send_answers(x);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_progress(x, READS_PER_EVENT);
}

/* ---- when they are watched ----
 * Most programs are over before their pipes are full. What they have written is read at their end
 * then. */

static bool watch_one(struct exec_attempt *x, struct loop_source *src)
{
    return src->fd < 0 || !src->is_kept ||
           (exec_pipes_never_block(src->fd) && loop_begin(x->start.loop, src, EPOLLIN) == 0);
}

/* What the system refuses is tried again: the program has begun. */
static void watch(struct exec_attempt *x)
{
    bool all = watch_one(x, &x->out);
    all = watch_one(x, &x->err) && all;
    all = watch_one(x, &x->progress) && all;
    if (!all)
        loop_timer_set(x->start.loop, &x->watch_timer, clock_mono_ms() + WATCH_AFTER_MS);
}

static void on_watch_time(struct loop_timer *t)
{
    watch(FUT_CONTAINER(t, struct exec_attempt, watch_timer));
}

/* The program begins. One that has written much the last time would wait for us soon. */
static void watch_soon(struct exec_attempt *x)
{
    const bool *writes_much = x->start.command->writes_much;
    if (writes_much && *writes_much)
        watch(x);
    else
        loop_timer_set(x->start.loop, &x->watch_timer, clock_mono_ms() + WATCH_AFTER_MS);
}

static void remember_output(const struct exec_attempt *x)
{
    bool *writes_much = x->start.command->writes_much;
    if (writes_much)
        *writes_much = x->written > MUCH_BYTES;
}

/* ---- the end of the program ---- */

/* How often it may be read from. */
static int reads_at_the_end(const struct loop_source *src, bool is_ready)
{
    return is_ready && (!src->is_kept || exec_pipes_never_block(src->fd)) ? READS_AT_THE_END : 0;
}

/* Mostly its pipes are empty, which one look at all of them says. */
static void read_the_rest(struct exec_attempt *x)
{
    struct pollfd p[] = {{.fd = x->out.fd, .events = POLLIN},
                         {.fd = x->err.fd, .events = POLLIN},
                         {.fd = x->progress.fd, .events = POLLIN}};
    bool failed = poll(p, FUT_COUNT(p), 0) < 0;
    read_result(x, reads_at_the_end(&x->out, failed || p[0].revents));
    read_log(x, reads_at_the_end(&x->err, failed || p[1].revents));
    read_last_progress(x, reads_at_the_end(&x->progress, failed || p[2].revents));
    remember_output(x);
}

static void on_child(struct child *child, const struct fork_event *ev)
{
    struct exec_attempt *x = FUT_CONTAINER(child, struct exec_attempt, child);
    if (x->is_waiting) {
        x->is_waiting = false;
        watch_soon(x);
        x->start.begun(x, ev->at_mono_us);
    }
    if (ev->verb == FORK_SPAWN_FAILED)
        fail_start(x, ev->error, ev->text);
    if (ev->verb != FORK_EXITED)
        return;
    x->ended_mono_us = ev->at_mono_us;
    read_the_rest(x);
    ended(x, ev);
}

/* ---- starting ---- */

/* Arguments and environment are checked when the handlers are read; a trace may be a little more.
 */
static void fail_too_big(struct exec_attempt *x)
{
    finish(x, RUN_FAILED,
           &(struct task_outcome){.code = end_code_text(END_SPAWN_FAILED),
                                  .message = "arguments and environment are too large",
                                  .exit_code = -1});
}

static void fail_here(struct exec_attempt *x, const char *what, int error)
{
    char why[128];
    (void)snprintf(why, sizeof(why), "%s: %s", what, strerror(error));
    fail_start(x, error, why);
}

static int open_pipes(struct exec_attempt *x, int pipes[FORK_EXEC_FDS][2])
{
    struct loop_source *sources[FORK_EXEC_FDS] = {&x->in, &x->out, &x->err, &x->progress};
    static void (*const fns[FORK_EXEC_FDS])(struct loop_source *, uint32_t) = {on_in, on_out,
                                                                               on_err, on_progress};
    if (exec_pipes_open(pipes, x->start.command->takes_checkpoints) != 0)
        return FUT_ERR_IO;
    bool is_fed = exec_pipes_feed(pipes[0][1], x->start.task->spec, &x->fed); /* mostly so */
    for (int i = is_fed; i < FORK_EXEC_FDS; i++) {
        int *our = &pipes[i][exec_pipes_ours(i)];
        loop_keep(sources[i], *our, fns[i]);
        *our = -1; /* the source owns it */
    }
    if (x->in.fd >= 0 && loop_begin(x->start.loop, &x->in, EPOLLOUT) != 0)
        return FUT_ERR_IO;
    return !x->start.command->takes_checkpoints || watch_one(x, &x->progress) ? 0 : FUT_ERR_IO;
}

/* All but that of the input, which the program is to see closed. */
static void keep_theirs(struct exec_attempt *x, int pipes[FORK_EXEC_FDS][2])
{
    for (int i = 1; i < FORK_EXEC_FDS; i++) {
        int *their = &pipes[i][!exec_pipes_ours(i)];
        x->theirs[i] = *their;
        *their = -1;
    }
}

static int spawn(struct exec_attempt *x, int pipes[FORK_EXEC_FDS][2], bool waits)
{
    struct arena a;
    arena_init(&a);
    struct fork_exec what = {
        .path = x->start.command->path,
        .cwd = x->start.command->cwd,
        .argv = (const char *const *)x->start.command->argv,
        .env = exec_env_make(&x->start, &a),
        .fds = {pipes[0][0], pipes[1][1], pipes[2][1], pipes[3][1]},
        .limits = x->start.command->limits,
        .kill_grace_ms = x->start.kill_grace_ms,
        .is_local = x->start.command->is_local,
        .line = x->start.line,
    };
    int rc = waits ? children_line_up(x->start.children, &x->child, &what)
                   : children_spawn_exec(x->start.children, &x->child, FORK_NO_SLOT, &what);
    arena_release(&a);
    return rc;
}

static void prepare(struct exec_attempt *x, const struct exec_start *how)
{
    *x = (struct exec_attempt){.start = *how,
                               .child = {.on_event = on_child},
                               .in = {.fd = -1},
                               .out = {.fd = -1},
                               .err = {.fd = -1},
                               .progress = {.fd = -1},
                               .watch_timer = {.fn = on_watch_time},
                               .theirs = {-1, -1, -1, -1},
                               .lines = {.takes_checkpoints = how->command->takes_checkpoints}};
}

void exec_attempt_start(struct exec_attempt *x, const struct exec_start *how)
{
    int pipes[FORK_EXEC_FDS][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    prepare(x, how);
    int rc = open_pipes(x, pipes);
    if (rc != 0) {
        fail_here(x, "no pipe could be made", errno);
    } else {
        rc = spawn(x, pipes, false);
        if (rc == FUT_ERR_TOO_BIG)
            fail_too_big(x);
        else if (rc != 0)
            fail_here(x, "the fork server does not answer", EPIPE);
        else
            keep_theirs(x, pipes);
        if (rc == 0)
            watch_soon(x);
        if (rc == 0 && how->command->takes_checkpoints)
            tell_checkpoint(x);
    }
    exec_pipes_close(pipes);
}

bool exec_attempt_line_up(struct exec_attempt *x, const struct exec_start *how)
{
    int pipes[FORK_EXEC_FDS][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    prepare(x, how);
    int rc = open_pipes(x, pipes);
    if (rc == 0)
        rc = spawn(x, pipes, true);
    if (rc == 0) {
        keep_theirs(x, pipes);
        x->is_waiting = true;
    } else {
        exec_attempt_abandon(x);
    }
    exec_pipes_close(pipes);
    return rc == 0;
}

bool exec_attempt_take_back(struct exec_attempt *x)
{
    x->is_waiting = false;
    if (!children_withdraw(x->start.children, &x->child))
        return false;
    exec_attempt_abandon(x);
    return true;
}

void exec_attempt_kill(struct exec_attempt *x, int signal)
{
    children_kill(x->start.children, &x->child, signal);
}

void exec_attempt_abandon(struct exec_attempt *x)
{
    x->has_ended = true;
    close_all(x);
    free_buffers(x);
}
