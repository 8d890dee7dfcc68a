#include "workers/exec/exec_pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"

int exec_pipes_ours(int i)
{
    return i == 0;
}

bool exec_pipes_never_block(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

static bool open_one(int ends[2], bool both_ways)
{
    return both_ways ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0
                     : pipe2(ends, O_CLOEXEC) == 0;
}

int exec_pipes_open(int pipes[FORK_EXEC_FDS][2], bool both_ways)
{
    for (int i = 0; i < FORK_EXEC_FDS; i++)
        pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < FORK_EXEC_FDS; i++) {
        if (!open_one(pipes[i], both_ways && i == FORK_EXEC_FDS - 1))
            return FUT_ERR_IO;
    }
    return 0;
}

void exec_pipes_close(int pipes[FORK_EXEC_FDS][2])
{
    for (int i = 0; i < FORK_EXEC_FDS; i++) {
        fd_close(&pipes[i][0]);
        fd_close(&pipes[i][1]);
    }
}

/* An empty pipe takes PIPE_BUF bytes without a wait. */
bool exec_pipes_feed(int fd, const struct task_spec *spec, size_t *fed)
{
    if (*fed == 0 && spec->input_len > PIPE_BUF && !exec_pipes_never_block(fd))
        FUT_BUG("fcntl of a pipe");
    while (*fed < spec->input_len) {
        ssize_t n = write(fd, spec->input + *fed, spec->input_len - *fed);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno != EAGAIN; /* the program does not want the rest, which is its right */
        *fed += (size_t)n;
    }
    return true;
}
