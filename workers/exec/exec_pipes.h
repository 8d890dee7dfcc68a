/* exec_pipes: the pipes between the daemon and one program: its standard input, output and error,
 * and the one of its progress. Nothing blocks. */
#ifndef FUT_WORKERS_EXEC_EXEC_PIPES_H
#define FUT_WORKERS_EXEC_EXEC_PIPES_H

#include "core/task.h"
#include "workers/fork/server.h"

/* Makes them, close-on-exec; the last one goes both ways if need be. FUT_ERR_IO, errno set: those
 * that are there are to be closed, the others are -1. */
FUT_MUST_CHECK int exec_pipes_open(int pipes[FORK_EXEC_FDS][2], bool both_ways);
/* Closes what is not -1. */
void exec_pipes_close(int pipes[FORK_EXEC_FDS][2]);
/* Which end of the i-th pipe is ours. */
int exec_pipes_ours(int i);
/* Writes of the task's input, from *fed on, what the pipe takes. True: there is no more to be
 * written, or the program does not want it. */
bool exec_pipes_feed(int fd, const struct task_spec *spec, size_t *fed);
/* From now on reads and writes of fd, one of our ends, do not block. False: the system refuses it.
 */
bool exec_pipes_never_block(int fd);

#endif
