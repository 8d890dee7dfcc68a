/* fixture: the fork server of a test, and the event that it told last. Each test in a process of
 * its own. */
#ifndef FUT_TESTS_UNIT_WORKERS_FORK_FIXTURE_H
#define FUT_TESTS_UNIT_WORKERS_FORK_FIXTURE_H

#include <check.h>
#include <poll.h>

#include "workers/fork/server.h"

static struct fork_server *fs;
static struct fork_event ev;

static inline void setup(void)
{
    ck_assert_int_eq(fork_server_start(&fs, NULL), 0);
}

static inline void teardown(void)
{
    fork_server_stop(&fs);
    ck_assert_ptr_null(fs);
}

/* Waits for the next event; the case's timeout is the deadline. */
static enum fork_verb next_event(void)
{
    struct pollfd p = {.fd = fork_server_fd(fs), .events = POLLIN};
    int rc;
    while ((rc = fork_server_read(fs, &ev)) == FUT_ERR_AGAIN)
        (void)poll(&p, 1, -1);
    ck_assert_int_eq(rc, 0);
    return ev.verb;
}

#endif
