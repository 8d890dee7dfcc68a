#include "workers/process/worker_spawn.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"
#include "workers/process/worker_channel.h"
#include "workers/process/worker_template.h"

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
    if (loop_open(w->loop, &w->channel, pair[0], EPOLLIN, worker_channel_ready) == 0)
        return 0;
    fd_close(&pair[0]);
    return FUT_ERR_IO;
}

static int open_pipe(struct worker_process *w, struct loop_source *src, int *theirs,
                     void (*fn)(struct loop_source *, uint32_t))
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return FUT_ERR_IO;
    *theirs = ends[1];
    if (fd_set_nonblock(ends[0]) == 0 && loop_open(w->loop, src, ends[0], EPOLLIN, fn) == 0)
        return 0;
    fd_close(&ends[0]);
    return FUT_ERR_IO;
}

static int open_null(int *theirs)
{
    *theirs = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return *theirs >= 0 ? 0 : FUT_ERR_IO;
}

static int spawn_program(struct worker_process *w, const struct exec_command *command, int channel)
{
    struct fork_exec what = {.path = command->path,
                             .cwd = command->cwd,
                             .argv = (const char *const *)command->argv,
                             .env = (const char *const *)command->env,
                             .fds = {-1, -1, -1, channel},
                             .limits = limits_of_process(&command->limits)};
    int rc = open_null(&what.fds[0]);
    if (rc == 0)
        rc = open_pipe(w, &w->out, &what.fds[1], worker_channel_out);
    if (rc == 0)
        rc = open_pipe(w, &w->err, &what.fds[2], worker_channel_err);
    if (rc == 0)
        rc = children_spawn_exec(w->children, &w->child, &what);
    for (int i = 0; i < 3; i++)
        fd_close(&what.fds[i]);
    return rc;
}

static int spawn_forked(struct worker_process *w, struct worker_process *template)
{
    int pair[2] = {-1, -1}, fds[3] = {-1, -1, -1};
    int rc = make_channel(w, pair);
    fds[0] = pair[1];
    if (rc == 0)
        rc = open_pipe(w, &w->out, &fds[1], worker_channel_out);
    if (rc == 0)
        rc = open_pipe(w, &w->err, &fds[2], worker_channel_err);
    w->is_forked = true;
    if (rc == 0) {
        worker_template_fork(template, w, fds, pair[0]);
        return 0;
    }
    fd_close(&pair[0]);
    for (int i = 0; i < 3; i++)
        fd_close(&fds[i]);
    return rc;
}

int worker_spawn(struct worker_process *w, const struct worker_start *how)
{
    const struct exec_command *command = how->command;
    int theirs = -1;
    if (how->template)
        return spawn_forked(w, how->template);
    int rc = open_channel(w, &theirs);
    if (rc == 0 && command)
        rc = spawn_program(w, command, theirs);
    else if (rc == 0)
        rc = children_spawn_worker(w->children, &w->child, w->slot, theirs);
    fd_close(&theirs);
    return rc;
}
