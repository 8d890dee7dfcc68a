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

/* Programs are started with a copy of the fork server's memory, or (setup_local) share it until
 * they are there. */
extern bool is_local;
void setup_local(void);

extern const char *const clean_env[]; /* with PATH and MARK=1 */

/* Runs `sh -c script` with the write end of a pipe as stdout and channel (-1: none) as 3; returns
 * the read end. */
int spawn_sh_with(uint64_t generation, const char *script, const char *cwd, int channel);
int spawn_sh(uint64_t generation, const char *script, const char *cwd);
/* Blocks until the other end is closed by its last owner; what came is counted. */
size_t read_to_end(int fd, char *into, size_t cap);

#endif
