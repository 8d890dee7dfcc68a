#include "tests/unit/workers/fork/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

struct fork_server *fs;
struct fork_event ev;

void setup(void)
{
    ck_assert_int_eq(fork_server_start(&fs, NULL), 0);
}

void teardown(void)
{
    fork_server_stop(&fs);
    ck_assert_ptr_null(fs);
}

enum fork_verb next_event(void)
{
    struct pollfd p = {.fd = fork_server_fd(fs), .events = POLLIN};
    int rc;
    while ((rc = fork_server_read(fs, &ev)) == FUT_ERR_AGAIN)
        (void)poll(&p, 1, -1);
    ck_assert_int_eq(rc, 0);
    return ev.verb;
}

size_t read_to_end(int fd, char *into, size_t cap)
{
    size_t n = 0;
    ssize_t got;
    char sink[4096];
    while ((got = read(fd, sink, sizeof(sink))) > 0) {
        for (ssize_t i = 0; i < got && n + 1 < cap; i++)
            into[n++] = sink[i];
    }
    into[n] = '\0';
    return n;
}

bool is_local;

void setup_local(void)
{
    is_local = true;
    setup();
}

const char *const clean_env[] = {"PATH=/usr/bin:/bin", "MARK=1", NULL};

int spawn_sh_with(uint64_t generation, const char *script, const char *cwd, int channel)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    struct fork_exec what = {.path = "/bin/sh",
                             .cwd = cwd,
                             .argv = argv,
                             .env = clean_env,
                             .fds = {null, out[1], null, channel < 0 ? null : channel},
                             .is_local = is_local};
    ck_assert_int_eq(fork_server_spawn_exec(fs, 3, generation, &what), 0);
    close(null);
    close(out[1]);
    return out[0];
}

int spawn_sh(uint64_t generation, const char *script, const char *cwd)
{
    return spawn_sh_with(generation, script, cwd, -1);
}
