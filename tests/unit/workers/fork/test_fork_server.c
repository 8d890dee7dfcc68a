/* The fork server as a process: spawns, signals by generation, reports, and takes all with it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/fork/fixture.h"
#include "workers/fork/messages.h"

#define LEASE_MS 100
#define LATE_MS 10000

static int spawn_worker(uint64_t generation)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(fork_server_spawn_worker(fs, 0, generation, pair[1]), 0);
    close(pair[1]);
    return pair[0];
}

static void expect_hello(int fd)
{
    static const char hello[] = "HELLO 1 0 memfd=1 ahead=15\n";
    char got[sizeof(hello) - 1];
    ck_assert_int_eq(fd_read_all(fd, got, sizeof(got)), 0);
    ck_assert_mem_eq(got, hello, sizeof(got));
}

START_TEST(test_fork_server_worker_lives_and_ends_with_its_channel)
{
    int fd = spawn_worker(11);
    expect_hello(fd);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_gt(ev.pid, 0);
    close(fd);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 11);
    ck_assert(WIFEXITED(ev.status) && WEXITSTATUS(ev.status) == 0);
    ck_assert_uint_gt(ev.max_rss_kib, 0);
}
END_TEST

START_TEST(test_fork_server_sigkill_is_seen_twice)
{
    char c;
    int fd = spawn_worker(12);
    expect_hello(fd);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(kill(ev.pid, SIGKILL), 0);
    ck_assert_int_eq(read(fd, &c, 1), 0);        /* the channel ends ... */
    ck_assert_int_eq(next_event(), FORK_EXITED); /* ... and the reason follows */
    ck_assert(WIFSIGNALED(ev.status) && WTERMSIG(ev.status) == SIGKILL);
    close(fd);
}
END_TEST

START_TEST(test_fork_server_kills_by_generation_only)
{
    int a = spawn_worker(20), b = spawn_worker(21);
    expect_hello(a);
    expect_hello(b);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(fork_server_kill(fs, 0, 19, SIGKILL), 0); /* never was */
    ck_assert_int_eq(fork_server_kill(fs, 1, 20, SIGKILL), 0); /* another slot */
    ck_assert_int_eq(fork_server_kill(fs, 0, 21, SIGTERM), 0);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 21);
    ck_assert_int_eq(WTERMSIG(ev.status), SIGTERM);
    ck_assert_int_eq(fork_server_kill(fs, 0, 21, SIGKILL), 0); /* is no more: nothing happens */
    close(a);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 20);
    ck_assert(WIFEXITED(ev.status));
    close(b);
}
END_TEST

START_TEST(test_fork_server_runs_a_program_in_a_clean_place)
{
    char text[4096];
    int out = spawn_sh(
        30, "pwd; env | sort; ls /proc/self/fd | wc -l; grep NoNewPrivs /proc/self/status; exit 7",
        "/usr");
    read_to_end(out, text, sizeof(text));
    ck_assert_int_eq(strncmp(text, "/usr\n", 5), 0);
    ck_assert_ptr_nonnull(strstr(text, "\nMARK=1\n"));
    ck_assert_ptr_null(strstr(text, "HOME="));
    ck_assert_ptr_nonnull(strstr(text, "\n5\n")); /* 0 to 3 and the one that ls itself opens */
    ck_assert_ptr_nonnull(strstr(text, "NoNewPrivs:\t1"));
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_int_eq(WEXITSTATUS(ev.status), 7);
    close(out);
}
END_TEST

static const struct {
    const char *path, *cwd, *says;
} impossible[] = {
    {"/no/such/program", NULL, "cannot run /no/such/program: No such file"},
    {"/etc/passwd", NULL, "cannot run /etc/passwd: Permission denied"},
    {"/bin/true", "/no/such/dir", "cannot change to /no/such/dir: No such file"},
};

START_TEST(test_fork_server_tells_why_a_program_did_not_start)
{
    const char *argv[] = {"x", NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct fork_exec what = {.path = impossible[_i].path,
                             .cwd = impossible[_i].cwd,
                             .argv = argv,
                             .env = clean_env,
                             .fds = {null, null, null, null},
                             .is_local = is_local};
    ck_assert_int_eq(fork_server_spawn_exec(fs, 1, 40, &what), 0);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(next_event(), FORK_SPAWN_FAILED);
    ck_assert_uint_eq(ev.generation, 40);
    ck_assert_msg(strstr(ev.text, impossible[_i].says) != NULL, "%s", ev.text);
    close(null);
}
END_TEST

START_TEST(test_fork_server_kills_what_a_program_leaves_running)
{
    char text[64];
    /* The grandchild holds the pipe open: the end is only seen because it is killed. */
    int out = spawn_sh(50, "sleep 1000 & echo left; exit 0", NULL);
    ck_assert_uint_eq(read_to_end(out, text, sizeof(text)), 5);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_int_eq(WEXITSTATUS(ev.status), 0);
    close(out);
}
END_TEST

/* Nobody waits for the start of a program that runs one task, so nobody is woken for it. */
START_TEST(test_fork_server_tells_only_the_end_without_a_slot)
{
    const char *argv[] = {"sh", "-c", "exit 3", NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct fork_exec what = {.path = "/bin/sh",
                             .argv = argv,
                             .env = clean_env,
                             .fds = {null, null, null, null},
                             .is_local = is_local};
    ck_assert_int_eq(fork_server_spawn_exec(fs, FORK_NO_SLOT, 52, &what), 0);
    close(null);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, 52);
    ck_assert_int_eq(WEXITSTATUS(ev.status), 3);
}
END_TEST

START_TEST(test_fork_server_signals_the_whole_group)
{
    char text[64];
    int out = spawn_sh(51, "sleep 1000 & sleep 1000; true", NULL);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(fork_server_kill(fs, 3, 51, SIGTERM), 0);
    read_to_end(out, text, sizeof(text));
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_int_eq(WTERMSIG(ev.status), SIGTERM);
    close(out);
}
END_TEST

/* Even what has left its group and lost its parent: it is adopted, and killed at the end. */
START_TEST(test_fork_server_takes_everything_with_it)
{
    char text[64];
    int a = spawn_sh(60, "sleep 1000", NULL);
    int b = spawn_sh(61, "setsid sleep 1000 & wait", NULL);
    int c = spawn_worker(62);
    expect_hello(c);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(next_event(), FORK_SPAWNED);
    fork_server_stop(&fs);
    ck_assert_uint_eq(read_to_end(a, text, sizeof(text)), 0);
    ck_assert_uint_eq(read_to_end(b, text, sizeof(text)), 0);
    ck_assert_uint_eq(read_to_end(c, text, sizeof(text)), 0);
    close(a);
    close(b);
    close(c);
}
END_TEST

START_TEST(test_fork_server_death_is_seen)
{
    struct pollfd p = {.fd = fork_server_fd(fs), .events = POLLIN};
    int fd = spawn_worker(70);
    char c;
    expect_hello(fd);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    ck_assert_int_eq(kill(fork_server_pid(fs), SIGKILL), 0);
    ck_assert_int_eq(poll(&p, 1, -1), 1);
    ck_assert_int_eq(fork_server_read(fs, &ev), FUT_ERR_CLOSED);
    ck_assert_int_eq(read(fd, &c, 1), 0); /* its children die with it */
    ck_assert_int_eq(fork_server_kill(fs, 0, 70, SIGTERM), FUT_ERR_CLOSED);
    close(fd);
}
END_TEST

/* More answers than the socket holds, and nobody reads them: it must go on taking requests. */
START_TEST(test_fork_server_never_waits_for_the_daemon)
{
    enum { MANY = 600 };
    const char *argv[] = {"x", NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), failed = 0;
    struct fork_exec what = {.path = "/no/such/x",
                             .argv = argv,
                             .env = clean_env,
                             .fds = {null, null, null, null},
                             .is_local = is_local};
    for (uint64_t i = 1; i <= MANY; i++)
        ck_assert_int_eq(fork_server_spawn_exec(fs, 1, i, &what), 0);
    for (int i = 0; i < 2 * MANY; i++)
        failed += next_event() == FORK_SPAWN_FAILED;
    ck_assert_int_eq(failed, MANY);
    close(null);
}
END_TEST

START_TEST(test_fork_server_limits_the_message)
{
    char *big = xmalloc(FORK_MESSAGE_MAX_BYTES + 1);
    memset(big, 'x', FORK_MESSAGE_MAX_BYTES);
    big[FORK_MESSAGE_MAX_BYTES] = '\0';
    const char *argv[] = {"x", big, NULL};
    struct fork_exec what = {.path = "/bin/true", .argv = argv, .env = clean_env};
    ck_assert_int_eq(fork_server_spawn_exec(fs, 1, 80, &what), FUT_ERR_TOO_BIG);
    free(big);
}
END_TEST

/* A program that uses about 0.15 s of CPU time when it gets a line, and says so after that. */
static const char worker_sh[] = "while read -r x <&3; do perl -e 'do { @t = times } while $t[0] + "
                                "$t[1] < 0.15'; echo done; done";

static void have_it_work(int channel, int out)
{
    char got[5];
    ck_assert_int_eq(write(channel, "\n", 1), 1);
    ck_assert_int_eq(fd_read_all(out, got, sizeof(got)), 0);
}

/* What was used before a task began is not the task's: five times 0.15 s, and none is over 0.6 s.
 * Without a beginning in between they are, and are told of once, under the task's own number. */
START_TEST(test_fork_server_counts_cpu_time_from_the_begin_of_a_task)
{
    int channel[2], out;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    out = spawn_sh_with(90, worker_sh, NULL, channel[1]);
    close(channel[1]);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    for (uint64_t task = 1; task <= 5; task++) {
        ck_assert_int_eq(fork_server_task(fs, 3, 90, task, 600), 0);
        have_it_work(channel[0], out);
    }
    ck_assert_int_eq(fork_server_task(fs, 4, 90, 6, 1), 0); /* another slot: nobody */
    ck_assert_int_eq(fork_server_task(fs, 3, 90, 7, 600), 0);
    while (fork_server_read(fs, &ev) == FUT_ERR_AGAIN)
        have_it_work(channel[0], out);
    ck_assert_int_eq(ev.verb, FORK_CPU_EXCEEDED);
    ck_assert_uint_eq(ev.task, 7);
    ck_assert_uint_gt(ev.cpu_ms, 600);
    ck_assert_int_eq(ev.met, LIMIT_CPU);
    for (int i = 0; i < 5; i++)
        have_it_work(channel[0], out); /* it lives, and nothing more is told */
    close(channel[0]);
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_int_eq(ev.met, LIMIT_NONE);
    close(out);
}
END_TEST

/* Has it ended? The daemon may go on by now, and is not to take the task for a failed one. */
static bool ends_untold(void)
{
    struct fork_event got;
    int rc;
    while ((rc = fork_server_read(fs, &got)) == 0)
        ck_assert_int_ne(got.verb, FORK_EXITED);
    return rc == FUT_ERR_CLOSED;
}

/* A daemon that stands still puts nothing off. */
START_TEST(test_fork_server_ends_with_its_lease)
{
    char text[8];
    int runs = spawn_sh(1, "exec sleep 600", NULL);
    fork_server_lease(fs, clock_mono_ms() + LATE_MS);
    fork_server_lease(fs, 0);
    struct pollfd p = {.fd = runs, .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 2 * LEASE_MS), 0);
    int64_t until_mono_ms = clock_mono_ms() + LEASE_MS;
    fork_server_lease(fs, until_mono_ms);
    ck_assert_int_eq(poll(&p, 1, LATE_MS), 1);
    ck_assert_int_ge(clock_mono_ms(), until_mono_ms);
    ck_assert_uint_eq(read_to_end(runs, text, sizeof(text)), 0);
    close(runs);
    wait_for(ends_untold());
}
END_TEST

static void *nothing(void *arg)
{
    (void)arg;
    pause();
    return NULL;
}

START_TEST(test_fork_server_refuses_to_start_beside_threads)
{
    pthread_t t;
    struct fork_server *late;
    (void)pthread_create(&t, NULL, nothing, NULL);
    ck_abort_msg("started: %d", fork_server_start(&late, NULL)); /* aborts before it returns */
}
END_TEST

START_TEST(test_fork_request_roundtrip)
{
    const char *argv[] = {"a", "", "c d", NULL}, *env[] = {NULL};
    struct fork_exec in = {.path = "/p",
                           .cwd = "",
                           .argv = argv,
                           .env = env,
                           .is_local = true,
                           .line = 2},
                     out;
    struct fork_request head = {.verb = FORK_SPAWN_EXEC, .slot = 4, .generation = 5}, got;
    struct buf b = BUF_INIT;
    struct arena a;
    arena_init(&a);
    ck_assert_int_eq(message_encode(&b, head, &in), 0);
    ck_assert_int_eq(message_decode(b.data, b.len, &a, &got, &out), 0);
    ck_assert_uint_eq(got.generation, 5);
    ck_assert_uint_eq(got.line, 2);
    ck_assert_str_eq(out.path, "/p");
    ck_assert_str_eq(out.cwd, "");
    ck_assert_str_eq(out.argv[1], "");
    ck_assert_str_eq(out.argv[2], "c d");
    ck_assert_ptr_null(out.argv[3]);
    ck_assert_ptr_null(out.env[0]);
    ck_assert(out.is_local);
    for (size_t n = 0; n < b.len; n++)
        ck_assert_int_eq(message_decode(b.data, n, &a, &got, &out), FUT_ERR_INVAL);
    arena_release(&a);
    buf_release(&b);
}
END_TEST

static TCase *programs(const char *name, void (*begin)(void))
{
    TCase *t = suite_case(name, 30, begin, teardown);
    tcase_add_test(t, test_fork_server_runs_a_program_in_a_clean_place);
    tcase_add_loop_test(t, test_fork_server_tells_why_a_program_did_not_start, 0,
                        (int)FUT_COUNT(impossible));
    tcase_add_test(t, test_fork_server_kills_what_a_program_leaves_running);
    tcase_add_test(t, test_fork_server_tells_only_the_end_without_a_slot);
    tcase_add_test(t, test_fork_server_signals_the_whole_group);
    tcase_add_test(t, test_fork_server_takes_everything_with_it);
    tcase_add_test(t, test_fork_server_never_waits_for_the_daemon);
    tcase_add_test(t, test_fork_server_ends_with_its_lease);
    tcase_add_test(t, test_fork_server_counts_cpu_time_from_the_begin_of_a_task);
    return t;
}

int main(void)
{
    TCase *t = suite_case("fork_server", 30, setup, teardown);
    tcase_add_test(t, test_fork_server_worker_lives_and_ends_with_its_channel);
    tcase_add_test(t, test_fork_server_sigkill_is_seen_twice);
    tcase_add_test(t, test_fork_server_kills_by_generation_only);
    tcase_add_test(t, test_fork_server_death_is_seen);
    tcase_add_test(t, test_fork_server_limits_the_message);
    TCase *alone = tcase_create("alone");
    tcase_add_test_raise_signal(alone, test_fork_server_refuses_to_start_beside_threads, SIGABRT);
    tcase_add_test(alone, test_fork_request_roundtrip);
    return suite_run_cases("fork_server", t, programs("copies", setup),
                           programs("local", setup_local), alone, NULL);
}
