/* The fork server takes over what its children have forked. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/fork/fixture.h"

static const struct limits no_limits;

/* A child that forks one twice over, which does `script`; the child itself stays. The pid of that
 * grandchild. */
static pid_t spawn_tree(uint64_t generation, const char *script)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    char command[256], line[32] = "";
    int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)snprintf(command, sizeof(command), "(setsid sh -c 'echo $$; %s' &); exec sleep 1000",
                   script);
    const char *argv[] = {"sh", "-c", command, NULL};
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    struct fork_exec what = {
        .path = "/bin/sh", .argv = argv, .env = env, .fds = {null, out[1], null, null}};
    ck_assert_int_eq(fork_server_spawn_exec(fs, 1, generation, &what), 0);
    close(null);
    close(out[1]);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    for (size_t i = 0; i + 1 < sizeof(line); i++) {
        char c;
        ck_assert_int_eq(fd_read_all(out[0], &c, 1), 0);
        if (c == '\n')
            break;
        line[i] = c;
    }
    close(out[0]);
    return (pid_t)strtol(line, NULL, 10);
}

static enum fork_verb adopt(uint64_t generation, pid_t pid)
{
    ck_assert_int_eq(fork_server_adopt(fs, 2, generation, pid, &no_limits), 0);
    enum fork_verb verb = next_event();
    ck_assert_uint_eq(ev.generation, generation);
    return verb;
}

/* Its parent may not be gone yet. The case's timeout is the deadline. */
static uint64_t adopt_soon(uint64_t generation, pid_t pid)
{
    while (adopt(generation, pid) == FORK_SPAWN_FAILED) {
        generation++;
        (void)sched_yield();
    }
    ck_assert_int_eq(ev.verb, FORK_SPAWNED);
    ck_assert_int_eq(ev.pid, pid);
    return generation;
}

START_TEST(test_adopted_child_is_one_like_any_other)
{
    pid_t pid = spawn_tree(1, "exec sleep 1000");
    uint64_t generation = adopt_soon(10, pid);
    ck_assert_int_eq(fork_server_kill(fs, 2, generation, SIGTERM), 0);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, generation);
    ck_assert(WIFSIGNALED(ev.status) && WTERMSIG(ev.status) == SIGTERM);
    ck_assert_int_eq(fork_server_kill(fs, 1, 1, SIGKILL), 0); /* who forked it has lived on */
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 1);
}
END_TEST

START_TEST(test_adopted_child_outlives_who_forked_it)
{
    pid_t pid = spawn_tree(1, "exec sleep 1000");
    uint64_t generation = adopt_soon(10, pid);
    ck_assert_int_eq(fork_server_kill(fs, 1, 1, SIGKILL), 0);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 1);
    ck_assert_int_eq(adopt(9, 1), FORK_SPAWN_FAILED); /* the fork server has been round since */
    ck_assert_int_eq(kill(pid, 0), 0);
    ck_assert_int_eq(fork_server_kill(fs, 2, generation, SIGKILL), 0);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, generation);
}
END_TEST

START_TEST(test_adoption_after_the_end_tells_how_it_ended)
{
    pid_t pid = spawn_tree(1, "exit 5");
    while (kill(pid, 0) == 0) /* until it has been reaped */
        (void)sched_yield();
    ck_assert_int_eq(errno, ESRCH);
    ck_assert_int_eq(adopt(10, pid), FORK_SPAWNED);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 10);
    ck_assert(WIFEXITED(ev.status) && WEXITSTATUS(ev.status) == 5);
    ck_assert_int_eq(adopt(11, pid), FORK_SPAWN_FAILED); /* that was all */
}
END_TEST

START_TEST(test_strangers_are_not_adopted)
{
    pid_t pid = spawn_tree(1, "exec sleep 1000");
    uint64_t generation = adopt_soon(10, pid);
    ck_assert_int_eq(adopt(generation + 1, pid), FORK_SPAWN_FAILED); /* it is somebody's */
    ck_assert_int_eq(adopt(generation + 2, getpid()), FORK_SPAWN_FAILED);
    ck_assert_int_eq(adopt(generation + 3, 1), FORK_SPAWN_FAILED);
    ck_assert_int_eq(adopt(generation + 4, 0), FORK_SPAWN_FAILED);
    ck_assert_int_eq(adopt(generation + 5, -1), FORK_SPAWN_FAILED);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_adopted_child_is_one_like_any_other, 0},
        {test_adopted_child_outlives_who_forked_it, 0},
        {test_adoption_after_the_end_tells_how_it_ended, 0},
        {test_strangers_are_not_adopted, 0},
    };
    return suite_run_rows("fork_adopt", 30, setup, teardown, rows, FUT_COUNT(rows));
}
