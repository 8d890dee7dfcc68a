#include "tests/unit/workers/fork/fixture.h"

#include <poll.h>

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
