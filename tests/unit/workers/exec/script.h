/* script: one run of a shell script by exec_attempt, on a loop and a fork server of its own,
 * and what it told. Each test in a process of its own. */
#ifndef FUT_TESTS_UNIT_WORKERS_EXEC_SCRIPT_H
#define FUT_TESTS_UNIT_WORKERS_EXEC_SCRIPT_H

#include <check.h>
#include <signal.h>
#include <stdio.h>

#include "core/buf.h"
#include "workers/exec/exec_attempt.h"

extern struct fork_server *script_fs;
extern struct loop *script_loop;
extern struct children *script_children;
extern bool script_broken; /* the fork server has died */

extern struct exec_attempt script_attempt;
extern struct task script_task;
extern struct exec_command script_command; /* a test may set fields before script_start */
extern const char *script_traceparent;     /* likewise */

extern enum run_class script_class;
extern struct task_outcome *script_outcome; /* NULL until it is over */
extern double script_fraction;
extern char script_message[RUN_MESSAGE_MAX + 1];
extern struct buf script_log;

/* A loop and a fork server. */
void script_setup(void);
/* Frees them and what was kept of the run. */
void script_teardown(void);

extern int script_start_error; /* the program could not be started: errno, and */
extern char script_start_words[256];

/* Starts the script as attempt 2 of a task with this input. */
void script_start(const char *script, const void *input, size_t n, size_t max_result,
                  int64_t kill_grace_ms);

/* Turns the loop until the run has ended. */
void script_finish(void);

#endif
