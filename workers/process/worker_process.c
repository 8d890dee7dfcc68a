#include "workers/process/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/proc.h"
#include "workers/process/worker_internal.h"

/* ---- what the fork server tells, and time that has passed ---- */

static void on_child(struct child *child, const struct fork_event *ev)
{
    struct worker_process *w = FUT_CONTAINER(child, struct worker_process, child);
    if (ev->verb == FORK_SPAWNED) {
        w->pid = ev->pid;
        w->hooks->started(w);
        return;
    }
    if (ev->verb == FORK_CPU_EXCEEDED) {
        struct worker_job *job = worker_messages_job(w, ev->task);
        if (job) /* else the task has just ended */
            job->exceeded(job, ev->met, ev->cpu_ms);
        return;
    }
    if (ev->verb == FORK_SPAWN_FAILED)
        buf_puts(&w->printed, ev->text);
    worker_messages_read_rest(w);
    worker_end_gone(w, (struct worker_end){.known = ev->verb == FORK_EXITED,
                                           .status = ev->status,
                                           .max_rss_kib = ev->max_rss_kib,
                                           .cpu_ms = ev->cpu_ms,
                                           .met = ev->met,
                                           .oom = ev->oom});
}

static void on_timer(struct loop_timer *t)
{
    struct worker_process *w = FUT_CONTAINER(t, struct worker_process, timer);
    if (w->template) {
        /* A template that does not answer is of no use; its end becomes the end of w as well. */
        children_kill(w->children, &w->template->child, SIGKILL);
        return;
    }
    if (w->state == WORKER_DYING) {
        worker_end_time(w);
        return;
    }
    if (w->state == WORKER_STARTING)
        buf_puts(&w->printed, "\nfutured: it did not say HELLO in time");
    children_kill(w->children, &w->child, SIGKILL);
}

/* ---- starting ---- */

/* Both ends are the caller's. */
static int make_channel(struct worker_process *w, int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return FUT_ERR_IO;
    wire_stream_init(&w->stream, pair[0], w->max_result_bytes);
    return 0;
}

/* Our end is watched; *theirs is the caller's. */
static int open_channel(struct worker_process *w, int *theirs)
{
    int pair[2];
    if (make_channel(w, pair) != 0)
        return FUT_ERR_IO;
    *theirs = pair[1];
    if (loop_open(w->loop, &w->channel, pair[0], EPOLLIN, worker_messages_ready) == 0)
        return 0;
    fd_close(&pair[0]);
    return FUT_ERR_IO;
}

static int spawn_program(struct worker_process *w, const struct exec_command *command, int channel)
{
    struct fork_exec what = {.path = command->path,
                             .cwd = command->cwd,
                             .argv = (const char *const *)command->argv,
                             .env = (const char *const *)command->env,
                             .fds = {-1, -1, -1, channel},
                             .limits = limits_of_process(&command->limits),
                             .is_local = command->is_local};
    what.fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int rc = what.fds[0] >= 0 ? 0 : FUT_ERR_IO;
    if (rc == 0)
        rc = worker_channel_open_pipe(w, &w->out, &what.fds[1]);
    if (rc == 0)
        rc = worker_channel_open_pipe(w, &w->err, &what.fds[2]);
    if (rc == 0)
        rc = children_spawn_exec(w->children, &w->child, w->slot, &what);
    for (int i = 0; i < 3; i++)
        fd_close(&what.fds[i]);
    return rc;
}

static int fork_from(struct worker_process *w, struct worker_process *template)
{
    int pair[2] = {-1, -1}, fds[3] = {-1, -1, -1};
    int rc = make_channel(w, pair);
    fds[0] = pair[1];
    if (rc == 0)
        rc = worker_channel_open_pipe(w, &w->out, &fds[1]);
    if (rc == 0)
        rc = worker_channel_open_pipe(w, &w->err, &fds[2]);
    w->is_forked = true;
    if (rc == 0) {
        worker_channel_fork(template, w, fds, pair[0]);
        return 0;
    }
    fd_close(&pair[0]);
    for (int i = 0; i < 3; i++)
        fd_close(&fds[i]);
    return rc;
}

/* The sources that were opened before an error are the caller's to close. */
static int spawn(struct worker_process *w, const struct worker_start *how)
{
    int theirs = -1;
    if (how->template)
        return fork_from(w, how->template);
    int rc = open_channel(w, &theirs);
    if (rc == 0 && how->command)
        rc = spawn_program(w, how->command, theirs);
    else if (rc == 0)
        rc = children_spawn_worker(w->children, &w->child, w->slot, theirs);
    fd_close(&theirs);
    return rc;
}

int worker_process_start(struct worker_process *w, struct loop *l, struct children *c,
                         const struct worker_start *how, const struct worker_hooks *hooks,
                         void *owner)
{
    w->loop = l;
    w->children = c;
    w->hooks = hooks;
    w->owner = owner;
    w->max_jobs = how->max_jobs;
    w->max_result_bytes = how->max_result_bytes;
    w->is_builtin = !how->command && !how->template;
    if (how->command)
        w->limits = how->command->limits;
    w->state = WORKER_STARTING;
    w->child = (struct child){.on_event = on_child};
    w->timer.fn = on_timer;
    w->channel.fd = w->out.fd = w->err.fd = w->unadopted_fd = -1;
    list_init(&w->jobs);
    list_init(&w->ahead);
    list_init(&w->forks);
    int rc = spawn(w, how);
    if (rc != 0) {
        worker_end_close(w);
        return rc;
    }
    w->started_wall_ms = clock_wall_ms();
    loop_timer_set(l, &w->timer, clock_mono_ms() + how->hello_ms);
    return 0;
}

/* ---- tasks ---- */

bool worker_process_has_capacity(const struct worker_process *w)
{
    return w->state == WORKER_READY && !w->retiring && w->jobs.len + w->n_abandoned < w->max_jobs;
}

bool worker_process_is_blocked(const struct worker_process *w)
{
    if (w->jobs.len < w->max_jobs || w->state != WORKER_READY)
        return false;
    for (struct list_node *n = list_first(&w->jobs); n; n = list_next(&w->jobs, n)) {
        if (!FUT_CONTAINER(n, struct worker_job, link)->is_lent)
            return false;
    }
    return true;
}

int worker_process_give(struct worker_process *w, struct worker_job *job)
{
    FUT_ASSERT(worker_process_has_capacity(w));
    int rc = worker_session_run(w, job);
    if (rc != 0)
        return rc;
    w->printed.len = 0;
    list_push_back(&w->jobs, &job->link);
    worker_channel_count_cpu(w, job->id);
    return 0;
}

bool worker_process_withdraw(struct worker_job *job)
{
    struct worker_process *w = job->worker;
    if (worker_ahead_take_back(w, job))
        return true;
    /* A worker that has taken the ticket has answered for the task before it. */
    worker_messages_read_rest(w);
    if (job->worker == w && worker_ahead_has(w, job))
        worker_ahead_begin(w, job); /* that answer is missing: not one of our workers */
    return false;
}

void worker_process_answer(struct worker_job *job, const char *why)
{
    struct worker_process *w = job->worker;
    job->is_storing = false;
    if (w->channel.fd >= 0)
        worker_channel_tell(w, job->id, why ? WIRE_REFUSED : WIRE_SAVED, why);
}

/* Nothing runs in the process that anybody waits for, and it gets no more. */
static bool is_useless(const struct worker_process *w)
{
    return w->jobs.len == 0 && (w->retiring || w->n_abandoned >= w->max_jobs);
}

/* The process has other tasks, which must not suffer, or wants to live: this one can only be left
 * running. */
static void leave_running(struct worker_process *w, struct worker_job *job)
{
    struct worker_end end = {.how = WORKER_ENDED_ABANDONED, .log = ""};
    if (job->is_storing)
        worker_process_answer(job, "the task has been stopped");
    worker_end_abandon(w, job);
    worker_end_job(w, job, &end);
    if (is_useless(w))
        worker_end_kill(w, SIGKILL);
}

void worker_process_stop_job(struct worker_process *w, struct worker_job *job, int signal)
{
    job->is_stopped = true;
    /* The process may die of the stop, so everything that it has not begun comes back. */
    if (!worker_ahead_take_all_back(w))
        worker_messages_read_rest(w);
    if (job->worker != w)
        return; /* it has ended meanwhile */
    bool is_alone = w->jobs.len == 1 && w->n_abandoned == 0 && !w->cancel_is_soft;
    if (w->state == WORKER_READY && w->takes_cancel && signal == SIGTERM)
        worker_channel_tell(w, job->id, WIRE_CANCEL, NULL);
    else if (w->state != WORKER_READY || is_alone)
        worker_end_kill(w, signal);
    else if (signal == SIGKILL)
        leave_running(w, job);
}

void worker_process_yield(struct worker_job *job)
{
    struct worker_process *w = job->worker;
    if (w->state == WORKER_READY && w->takes_yield)
        worker_channel_tell(w, job->id, WIRE_YIELD, NULL);
}

void worker_process_yield_all(struct worker_process *w)
{
    for (struct list_node *n = list_first(&w->jobs); n; n = list_next(&w->jobs, n))
        worker_process_yield(FUT_CONTAINER(n, struct worker_job, link));
}

void worker_process_abandon_job(struct worker_process *w, struct worker_job *job)
{
    list_remove(&w->jobs, &job->link);
    job->worker = NULL;
    buf_release(&job->tail);
    worker_end_abandon(w, job);
    if (w->jobs.len == 0)
        worker_end_kill(w, SIGKILL);
}

/* ---- life ---- */

void worker_process_retire(struct worker_process *w)
{
    w->retiring = true;
    bool is_idle = w->state == WORKER_READY && w->jobs.len == 0;
    if (is_idle || w->state == WORKER_STARTING || w->state == WORKER_TEMPLATE)
        worker_end_leave(w);
}

void worker_process_release(struct worker_process *w)
{
    for (struct list_node *n; (n = list_first(&w->forks)) != NULL;)
        worker_channel_forget_fork(FUT_CONTAINER(n, struct worker_process, fork_link));
    worker_end_close(w);
    buf_release(&w->printed);
}

uint64_t worker_process_rss_bytes(const struct worker_process *w)
{
    struct proc_stat is;
    return proc_stat_read(w->pid, &is) ? is.rss_bytes : 0;
}

enum pool_worker_state worker_process_shown_state(const struct worker_process *w)
{
    static const enum pool_worker_state states[] = {
        [WORKER_STARTING] = POOL_WORKER_STARTING, [WORKER_READY] = POOL_WORKER_IDLE,
        [WORKER_TEMPLATE] = POOL_WORKER_TEMPLATE, [WORKER_LEAVING] = POOL_WORKER_LEAVING,
        [WORKER_DYING] = POOL_WORKER_DYING,
    };
    if (w->state == WORKER_READY && w->retiring)
        return POOL_WORKER_LEAVING;
    if (w->state == WORKER_READY && w->jobs.len)
        return POOL_WORKER_BUSY;
    return states[w->state];
}
