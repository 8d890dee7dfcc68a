/* fixture: the fork server of a test, and the event that it told last. Each test in a process of
 * its own. */
#ifndef FUT_TESTS_UNIT_WORKERS_FORK_FIXTURE_H
#define FUT_TESTS_UNIT_WORKERS_FORK_FIXTURE_H

#include <check.h>

#include "workers/fork/server.h"

extern struct fork_server *fs;
extern struct fork_event ev;

/* For tcase_add_checked_fixture: starts and stops fs. */
void setup(void);
void teardown(void);
/* Waits for the next event, which is then in ev; the case's timeout is the deadline. */
enum fork_verb next_event(void);

#endif
