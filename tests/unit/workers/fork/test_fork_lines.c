/* Programs that wait in a line of the fork server for the end of others. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/fork/fixture.h"

enum { LINE = 1, OTHER_LINE = 2 };

static int line_up_rc;

/* A program that waits in the line, with this standard input (-1: none); the read end of its
 * output.
 */
static int line_up_in(uint32_t line, uint64_t generation, const char *script, int input)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    struct fork_exec what = {.path = "/bin/sh",
                             .argv = argv,
                             .env = clean_env,
                             .fds = {input < 0 ? null : input, out[1], null, null},
                             .is_local = is_local,
                             .line = line};
    line_up_rc = fork_server_line_up(fs, generation, &what);
    close(null);
    close(out[1]);
    return out[0];
}

static int line_up(uint64_t generation, const char *script)
{
    int out = line_up_in(LINE, generation, script, -1);
    ck_assert_int_eq(line_up_rc, 0);
    return out;
}

/* One of the line that runs until what is returned is closed. */
static int spawn_gate(uint64_t generation)
{
    const char *argv[] = {"sh", "-c", "read _", NULL};
    int gate[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
    struct fork_exec what = {.path = "/bin/sh",
                             .argv = argv,
                             .env = clean_env,
                             .fds = {gate[0], null, null, null},
                             .is_local = is_local,
                             .line = LINE};
    ck_assert_int_eq(fork_server_spawn_exec(fs, 3, generation, &what), 0);
    close(null);
    close(gate[0]);
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    return gate[1];
}

static void expect_end(uint64_t generation, uint64_t next)
{
    ck_assert_int_eq(next_event(), FORK_EXITED);
    ck_assert_uint_eq(ev.generation, generation);
    ck_assert_uint_eq(ev.next, next);
}

/* In the order of the line, and only when one of that line has ended. */
START_TEST(test_fork_server_starts_what_waits_in_a_line)
{
    char got[64];
    int gate = spawn_gate(1), out[3];
    out[0] = line_up(2, "exit 2");
    out[1] = line_up(3, "exit 3");
    out[2] = line_up_in(OTHER_LINE, 4, "echo never", -1);
    close(spawn_sh(5, "exit 5", NULL)); /* of no line */
    ck_assert_int_eq(next_event(), FORK_SPAWNED);
    expect_end(5, 0);
    int64_t before_mono_us = clock_mono_us();
    close(gate);
    expect_end(1, 2);
    ck_assert_int_ge(ev.at_mono_us, before_mono_us);
    ck_assert_int_le(ev.at_mono_us, clock_mono_us());
    ck_assert(!fork_server_withdraw(fs, 2)); /* it has begun */
    expect_end(2, 3);
    ck_assert_int_eq(WEXITSTATUS(ev.status), 2);
    expect_end(3, 0);
    ck_assert_int_eq(WEXITSTATUS(ev.status), 3);
    ck_assert(fork_server_withdraw(fs, 4));
    fork_server_stop(&fs);
    ck_assert_uint_eq(read_to_end(out[2], got, sizeof(got)), 0);
    for (int i = 0; i < 3; i++)
        close(out[i]);
}
END_TEST

/* Ends wait for others while there is enough in the line, but not for long: those before a program
 * that does not end are told of while it runs. */
START_TEST(test_fork_server_tells_of_all_ends_in_a_line)
{
    enum { BEFORE = 3, AFTER = 20 };
    int gate = spawn_gate(1), second[2], outs[1 + BEFORE + AFTER];
    uint64_t last = 1;
    ck_assert_int_eq(pipe2(second, O_CLOEXEC), 0);
    for (; last <= BEFORE; last++)
        outs[last - 1] = line_up(1 + last, "exit 0");
    outs[last - 1] = line_up_in(LINE, 1 + last, "read _", second[0]);
    for (last++; last <= 1 + BEFORE + AFTER; last++)
        outs[last - 1] = line_up(1 + last, "exit 0");
    close(second[0]);
    close(gate);
    for (uint64_t i = 1; i <= 1 + BEFORE; i++)
        expect_end(i, i + 1);
    close(second[1]);
    for (uint64_t i = 2 + BEFORE; i < last; i++)
        expect_end(i, i + 1);
    expect_end(last, 0);
    for (uint64_t i = 1; i < last; i++)
        close(outs[i - 1]);
}
END_TEST

START_TEST(test_fork_server_gives_back_what_waits)
{
    char got[64];
    int gate = spawn_gate(1), first = line_up(2, "echo first"), second, third;
    ck_assert(fork_server_withdraw(fs, 2));
    ck_assert(!fork_server_withdraw(fs, 2));
    second = line_up(3, "echo second");
    ck_assert(fork_server_withdraw(fs, 3));
    third = line_up(4, "echo third");
    close(gate);
    expect_end(1, 4);
    ck_assert_uint_eq(read_to_end(first, got, sizeof(got)), 0); /* nobody has the other end */
    ck_assert_uint_eq(read_to_end(second, got, sizeof(got)), 0);
    (void)read_to_end(third, got, sizeof(got));
    ck_assert_str_eq(got, "third\n");
    expect_end(4, 0);
    close(first);
    close(second);
    close(third);
}
END_TEST

START_TEST(test_fork_server_tells_why_what_waited_did_not_start)
{
    const char *argv[] = {"none", NULL};
    int gate = spawn_gate(1), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct fork_exec what = {.path = "/no/such/program",
                             .argv = argv,
                             .env = clean_env,
                             .fds = {null, null, null, null},
                             .is_local = is_local,
                             .line = LINE};
    ck_assert_int_eq(fork_server_line_up(fs, 2, &what), 0);
    close(null);
    close(gate);
    expect_end(1, 2);
    ck_assert_int_eq(next_event(), FORK_SPAWN_FAILED);
    ck_assert_uint_eq(ev.generation, 2);
    ck_assert_int_eq(ev.error, ENOENT);
}
END_TEST

/* A line takes no more than its socket does, and nobody waits for that. */
START_TEST(test_fork_server_has_full_lines)
{
    enum { MOST = 2000 };
    int gate = spawn_gate(1), n = 0;
    for (line_up_rc = 0; line_up_rc == 0 && n < MOST; n++)
        close(line_up_in(LINE, 2 + (uint64_t)n, "exit 0", -1));
    ck_assert_int_eq(line_up_rc, FUT_ERR_FULL);
    ck_assert_int_gt(n, 64);
    ck_assert(!fork_server_withdraw(fs, 1 + (uint64_t)n));
    close(gate);
    expect_end(1, 2);
}
END_TEST

/* The turn of one that waits has come, and there are no numbers for its pipes. */
START_TEST(test_fork_server_has_no_descriptors_for_what_waits)
{
    struct rlimit before, none = {2, 0}; /* what poll is given, all open */
    int gate = spawn_gate(1), out = line_up(2, "echo never");
    ck_assert_int_eq(prlimit(fork_server_pid(fs), RLIMIT_NOFILE, NULL, &before), 0);
    none.rlim_max = before.rlim_max;
    ck_assert_int_eq(prlimit(fork_server_pid(fs), RLIMIT_NOFILE, &none, NULL), 0);
    close(gate);
    expect_end(1, 2);
    ck_assert_int_eq(next_event(), FORK_SPAWN_FAILED);
    ck_assert_uint_eq(ev.generation, 2);
    ck_assert_int_eq(ev.error, EMFILE);
    ck_assert(!fork_server_withdraw(fs, 2));
    ck_assert_int_eq(prlimit(fork_server_pid(fs), RLIMIT_NOFILE, &before, NULL), 0);
    close(out);
}
END_TEST

static TCase *programs(const char *name, void (*begin)(void))
{
    TCase *t = suite_case(name, 30, begin, teardown);
    tcase_add_test(t, test_fork_server_starts_what_waits_in_a_line);
    tcase_add_test(t, test_fork_server_tells_of_all_ends_in_a_line);
    tcase_add_test(t, test_fork_server_gives_back_what_waits);
    tcase_add_test(t, test_fork_server_tells_why_what_waited_did_not_start);
    tcase_add_test(t, test_fork_server_has_full_lines);
    tcase_add_test(t, test_fork_server_has_no_descriptors_for_what_waits);
    return t;
}

int main(void)
{
    return suite_run_cases("fork_lines", programs("copies", setup), programs("local", setup_local),
                           NULL);
}
