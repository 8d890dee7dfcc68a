/* with_postgres [--durable] COMMAND…: runs it beside a PostgreSQL server of its own
 * (tests/support/database.h), whose socket's directory is in FUT_POSTGRES. Test programs share that
 * server; each test has a schema of its own there. --durable: it waits for its disk, as servers do.
 * Exits as the command does. A signal to end is for the command; the server ends after it. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/database.h"
#include "tests/support/fail.h"

/* Waits until it is told where the server is. */
static FUT_NORETURN void be_command(int told, char **command)
{
    char dir[PATH_MAX];
    ssize_t n = read(told, dir, sizeof(dir) - 1);
    if (n <= 0)
        _exit(EX_UNAVAILABLE);
    dir[n] = '\0';
    (void)setenv("FUT_POSTGRES", dir, 1);
    (void)execvp(command[0], command);
    perror(command[0]);
    _exit(EX_UNAVAILABLE);
}

static volatile pid_t command_pid;

static void pass_on(int sig)
{
    (void)kill(command_pid, sig);
}

/* The command's process is forked first: the server has a thread that reads what it says. */
int main(int argc, char **argv)
{
    int status = 0, ends[2], is_durable = argc > 1 && strcmp(argv[1], "--durable") == 0;
    char **command = argv + 1 + is_durable;
    if (argc < 2 || !*command) {
        (void)fputs("usage: with_postgres [--durable] COMMAND...\n", stderr);
        return EX_USAGE;
    }
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail("cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[1]);
        be_command(ends[0], command);
    }
    command_pid = pid;
    (void)signal(SIGTERM, pass_on);
    (void)signal(SIGINT, pass_on);
    (void)close(ends[0]);
    struct database *db = database_new(is_durable);
    const char *dir = database_dir(db);
    if (pid < 0 || write(ends[1], dir, strlen(dir)) < 0)
        fail("cannot start %s", *command);
    (void)close(ends[1]);
    while (waitpid(pid, &status, 0) < 0)
        ;
    database_free(&db);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}
